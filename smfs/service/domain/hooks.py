"""Notification hooks: added, listed, removed (PROTOCOL.md section 14)."""

from __future__ import annotations

from typing import Final

from smfs.crypto.identity import is_node_id
from smfs.errors import HookNotFound, InvalidHookTarget, NotAccepted, QuotaExceeded
from smfs.protocol import requests
from smfs.service.domain.operation import Checked, Operation
from smfs.service.hook_rows import Hook, Target, new_hook_id
from smfs.service.store.keys import OWN, long_id

_PER_TARGET: Final = 16
_PER_SPACE: Final = 256
_URL_CHARACTERS: Final = 2048


def add_notification_hook(op: Operation, request: requests.AddNotificationHook) -> Checked:
    """Stores a hook; its URL is called for a check before the answer is given.

    Raises:
        QuotaExceeded: for an endless URL or secret id, and for more hooks than can be called at
            every request.
    """
    node_id = request.public_key
    op.space(node_id, lock=True)
    target = _target(op, node_id, request.target_id, meet_sub_space=True)
    if (
        len(request.notify_url) > _URL_CHARACTERS
        or long_id(target.secret_id or "") is not None
        or op.rows.hooks.count(node_id) >= _PER_SPACE
        or len(op.rows.hooks.on(node_id, target)) >= _PER_TARGET
    ):
        raise QuotaExceeded
    hook = Hook(node_id, new_hook_id(), target, request.type, request.notify_url)
    op.rows.hooks.add(hook, op.changed(node_id))
    return Checked(hook)


def get_notification_hooks(
    op: Operation, request: requests.GetNotificationHooks
) -> dict[str, object]:
    """The hooks on one thing."""
    node_id = request.public_key
    op.space(node_id)
    target = _target(op, node_id, request.target_id, meet_sub_space=False)
    hooks = op.rows.hooks.on(node_id, target)
    return {"notificationHooks": [hook.to_wire() for hook in hooks]}


def delete_notification_hook(op: Operation, request: requests.DeleteNotificationHook) -> None:
    """Removes a hook of the asker; to others it does not exist."""
    node_id, hook_id = request.public_key, request.notification_hook_id
    space = op.rows.space(node_id)
    hook = op.rows.hooks.find(node_id, hook_id) if space is not None else None
    if hook is None:
        raise HookNotFound(hook_id)
    op.space(node_id, lock=True)
    if hook.target.secret_id is not None:
        op.meet(node_id, hook.target)
    op.unmeet([hook])
    op.rows.hooks.delete(hook)
    op.changed(node_id)


def _target(op: Operation, node_id: str, target_id: str, *, meet_sub_space: bool) -> Target:
    """What a target's text names; it is split at every dot, so ids with a dot have no hooks.

    Raises:
        InvalidHookTarget: when it is of no form that there is.
        NotAccepted, SecretNotFound: when the thing is not there.
    """
    kind, *rest = target_id.split(".")
    if kind == "this" and not rest:
        return Target()
    if kind == "secrets" and len(rest) == 1:
        op.own_secret(node_id, rest[0])
        return Target(OWN, rest[0])
    if kind != "subSpaces":
        raise InvalidHookTarget
    # The original looks a missing name up all the same.
    sender, *ids = rest or ["undefined"]
    if not is_node_id(sender):
        raise NotAccepted(sender)
    op.accepted(node_id, sender, meet=meet_sub_space)
    if len(ids) > 1:
        raise InvalidHookTarget
    if not ids:
        return Target(sender)
    op.secret(node_id, sender, ids[0])
    return Target(sender, ids[0])
