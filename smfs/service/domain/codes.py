"""Who the service is, and the codes that let somebody in (PROTOCOL.md section 6)."""

from __future__ import annotations

import secrets

from smfs.crypto.box import seal_box
from smfs.protocol import requests
from smfs.protocol.signing import NodeAnswer
from smfs.service.domain.operation import Operation
from smfs.service.hook_rows import Target


def get_node_id(op: Operation, request: requests.GetNodeId) -> dict[str, object]:
    """The service's node id, signed."""
    del request
    return NodeAnswer.make(op.service, op.now).to_wire()


def create_auth_code(op: Operation, request: requests.CreateAuthCode) -> None:
    """Makes a code that works once, and shares it to the asker as if the service were a sender."""
    node_id, sender = request.public_key, op.service.node_id
    space = op.space(node_id, lock=True)
    op.accepted(node_id, sender)
    code = secrets.token_hex(32)
    secret_id = f"{request.action}AuthCode"
    box = seal_box(node_id, code.encode())
    op.revision = op.put(space, node_id, sender, secret_id, box, one_time=True)
    op.rows.admission.add_code(code, request.action, node_id)
    op.meet(node_id, Target(sender, secret_id))
