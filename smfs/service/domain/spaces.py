"""Secret spaces and sub spaces: opened, listed, deleted (PROTOCOL.md sections 7, 11, 12)."""

from __future__ import annotations

from smfs.errors import ClosureDateFixed, ClosureDatePassed, NotAccepted
from smfs.protocol import requests, signing
from smfs.service.domain.operation import Operation, Sealed


def open_secret_space(op: Operation, request: requests.OpenSecretSpace) -> None:
    """A new, empty space; one that is open stays as it is, but for its owner."""
    node_id, date = request.public_key, request.closure_date
    op.rows.lock((node_id,))
    op.close(node_id, "")
    found = op.rows.space(node_id)
    if found is None:
        _check_date(op, date)
        op.revision = op.rows.add_space(node_id, date, op.creator or None)
        return
    if date is not None and date != found.closure_date:
        raise ClosureDateFixed
    if op.creator:
        op.rows.set_owner(node_id, op.creator)
        op.changed(node_id)


def get_secret_space(op: Operation, request: requests.GetSecretSpace) -> Sealed:
    """Everything of the asker, signed by the service and encrypted to him."""
    node_id, service = request.public_key, op.service
    space = op.rows.whole_space(node_id, op.space(node_id), service.node_id)

    def build() -> dict[str, object]:
        return space.to_wire(signing.sign_value(service, space.to_wire()))

    return Sealed(node_id, build)


def delete_secret_space(op: Operation, request: requests.DeleteSecretSpace) -> None:
    """Everything of the asker goes; fine when there was nothing."""
    node_id = request.public_key
    op.rows.lock((node_id, *op.rows.senders(node_id)))
    op.rows.delete_space(node_id)


def open_sub_space(op: Operation, request: requests.OpenSubSpace) -> None:
    """Accepts a sender; one who is accepted stays as he is, whatever the date."""
    node_id, from_id = request.public_key, request.from_id
    op.rows.lock((node_id, from_id))
    op.space(node_id)
    op.close(node_id, from_id)
    if op.rows.has_sub_space(node_id, from_id):
        return
    _check_date(op, request.closure_date)
    op.rows.add_sub_space(node_id, from_id, request.closure_date, op.changed(node_id))


def get_sub_space(op: Operation, request: requests.GetSubSpace) -> Sealed:
    """All that one sender shared, encrypted to the asker."""
    node_id, from_id = request.public_key, request.from_id
    op.space(node_id)
    op.accepted(node_id, from_id)
    found = op.rows.sub_space(node_id, from_id)
    if found is None:
        raise NotAccepted(from_id)
    return Sealed(node_id, lambda: found.to_wire(node_id, from_id))


def delete_sub_space(op: Operation, request: requests.DeleteSubSpace) -> None:
    """Stops accepting a sender."""
    node_id, from_id = request.public_key, request.from_id
    op.rows.lock((node_id, from_id))
    op.space(node_id)
    op.accepted(node_id, from_id, meet=False)
    op.revision = op.rows.delete_sub_space(node_id, from_id)
    if op.revision is not None:
        op.rows.feed.sender_went(node_id, from_id, op.revision)


def _check_date(op: Operation, date: float | None) -> None:
    if date is not None and date <= op.now:
        raise ClosureDatePassed
