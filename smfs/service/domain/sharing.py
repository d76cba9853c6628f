"""Secrets between nodes (PROTOCOL.md sections 7 and 13)."""

from __future__ import annotations

from smfs.crypto.box import Box
from smfs.errors import SecretNotFound, TooLarge
from smfs.protocol import requests
from smfs.service.domain.operation import Operation
from smfs.service.domain.own import require_id, seal_envelope_text
from smfs.service.hook_rows import Target


def share_secret_to(op: Operation, request: requests.ShareSecretTo) -> None:
    """Puts an envelope into the recipient's sub space of the asker."""
    recipient, sender, secret_id = request.share_to_id, request.public_key, request.secret_id
    box = op.sealed()
    require_id(secret_id)
    space = op.space(recipient, lock=True)
    op.accepted(recipient, sender)
    op.put(space, recipient, sender, secret_id, box, one_time=request.is_one_time_secret)
    op.meet(recipient, Target(sender, secret_id))


def seal_shared(request: requests.ShareSecretTo) -> Box:
    """What is stored of a secret that is shared."""
    return seal_envelope_text(request.share_to_id, request.secret)


def check_share(op: Operation, request: requests.CheckShare) -> None:
    """Says what `share_secret_to` would say; stores nothing, and nobody is told."""
    seal_envelope_text(request.share_to_id, "")
    require_id(request.secret_id)
    op.space(request.share_to_id)
    op.accepted(request.share_to_id, request.public_key)
    op.met.clear()
    if request.size > op.limits.content_bytes:
        raise TooLarge


def get_secret_from(op: Operation, request: requests.GetSecretFrom) -> Box:
    """One shared secret; one that is one-time is gone with the answer."""
    node_id, sender, secret_id = request.public_key, request.from_id, request.secret_id
    require_id(secret_id)
    op.space(node_id, lock=True)
    op.accepted(node_id, sender)
    found = op.secret(node_id, sender, secret_id)
    if found.box is None:
        raise SecretNotFound(secret_id)
    if found.is_one_time:
        op.revision = op.rows.delete_secret(node_id, sender, secret_id)
        op.rows.handed.add(node_id, request.signature, sender, secret_id, found.box)
    return found.box


def repeat_secret_from(op: Operation, request: requests.RepeatSecretFrom) -> Box:
    """What an earlier getSecretFrom of the asker consumed; nobody is told."""
    node_id, sender, secret_id = request.public_key, request.from_id, request.secret_id
    require_id(secret_id)
    op.space(node_id)
    op.met.clear()
    found = op.rows.handed.find(node_id, request.first, sender, secret_id)
    if found is None:
        raise SecretNotFound(secret_id)
    return found


def delete_shared_secret(op: Operation, request: requests.DeleteSharedSecret) -> None:
    """Takes back what the asker shared."""
    recipient, sender, secret_id = request.shared_to_id, request.public_key, request.secret_id
    require_id(secret_id)
    op.space(recipient, lock=True)
    op.accepted(recipient, sender)
    if op.rows.delete_secret(recipient, sender, secret_id) is None:
        raise SecretNotFound(secret_id)
