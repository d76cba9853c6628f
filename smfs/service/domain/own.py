"""A node's own secrets (PROTOCOL.md section 7)."""

from __future__ import annotations

from smfs.crypto import wtf8
from smfs.crypto.box import Box, seal_box
from smfs.errors import NoSecretId, SecretNotFound, TooLarge
from smfs.protocol import requests
from smfs.protocol.limits import LONGEST_ID_BYTES
from smfs.service.domain.operation import Operation
from smfs.service.hook_rows import Target
from smfs.service.store.keys import OWN


def set_secret(op: Operation, request: requests.SetSecret) -> None:
    """Encrypts the envelope to its owner once more and stores it; hooks on the id stay."""
    node_id, secret_id = request.public_key, request.secret_id
    box = op.sealed()
    require_id(secret_id)
    space = op.space(node_id, lock=True)
    op.revision = op.put(space, node_id, OWN, secret_id, box)
    op.meet(node_id, Target(OWN, secret_id))


def get_secret(op: Operation, request: requests.GetSecret) -> Box:
    """The service-layer box, the same bytes each time."""
    require_id(request.secret_id)
    op.space(request.public_key)
    found = op.own_secret(request.public_key, request.secret_id).box
    if found is None:
        raise SecretNotFound(request.secret_id)
    return found


def delete_secret(op: Operation, request: requests.DeleteSecret) -> None:
    """Removes a secret and the hooks on it, which hear nothing of it."""
    node_id, secret_id = request.public_key, request.secret_id
    require_id(secret_id)
    op.space(node_id, lock=True)
    op.revision = op.rows.delete_secret(node_id, OWN, secret_id)
    if op.revision is None:
        raise SecretNotFound(secret_id)


def require_id(secret_id: str) -> None:
    """Raises NoSecretId for the empty id, and TooLarge for one that is longer than any path."""
    if not secret_id:
        raise NoSecretId
    if len(secret_id) > LONGEST_ID_BYTES or len(wtf8.encode(secret_id)) > LONGEST_ID_BYTES:
        raise TooLarge


def seal_own(request: requests.SetSecret) -> Box:
    """What is stored of a secret that is set."""
    return seal_envelope_text(request.public_key, request.secret)


def seal_envelope_text(node_id: str, text: str) -> Box:
    """The service's layer; a lone surrogate becomes U+FFFD, as UTF-8 has no form for it.

    Raises:
        InvalidPoint: when nothing can be encrypted to this node id.
    """
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return seal_box(node_id, joined.encode())
