"""Notification hooks: adding, listing and removing them (PROTOCOL.md section 14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from smfs.client.arguments import text_of
from smfs.client.retries import Delivery
from smfs.client.session import Session
from smfs.errors import HookNotFound, ServiceUnavailable
from smfs.protocol import requests

_TARGET: Final = "the target of a hook"


@dataclass(frozen=True)
class NotificationHook:
    """One hook.

    Attributes:
        id: 32 hex digits.
        type: `log` or the name of an event.
        url: where the service posts to.
        notified_at: when it last did, ms since 1970; None when it never did.
        error: why the last time failed, in the service's words; None when it did not.
    """

    id: str
    type: str
    url: str
    notified_at: float | None = None
    error: str | None = None

    @classmethod
    def parse(cls, value: Any) -> NotificationHook:
        """The hook in a decoded JSON value; ServiceUnavailable when it is of another form."""
        match value:
            case {"id": str(hook_id), "type": str(kind), "url": str(url), **rest}:
                return cls(hook_id, kind, url, *_last(rest.get("lastNotification")))
        raise ServiceUnavailable("the service answered with something that is no hook")


def parse_hooks(value: Any) -> list[NotificationHook]:
    """The hooks in an answer to getNotificationHooks; ServiceUnavailable when it is none."""
    match value:
        case {"notificationHooks": list(hooks)}:
            return [NotificationHook.parse(hook) for hook in hooks]
    raise ServiceUnavailable("the service answered with something that are no hooks")


async def add_hook(
    session: Session, kind: str, target_id: str, notify_url: str
) -> NotificationHook:
    """Adds a hook; when the answer is lost, looks for it, since asking again would add another.

    Raises:
        InvalidInput: when something is no text.
    """
    kind, notify_url = text_of(kind, "the kind of a hook"), text_of(notify_url, "the URL of a hook")
    delivery = Delivery(repeatable=False)
    try:
        answer = await session.call(
            requests.AddNotificationHook,
            delivery,
            type=kind,
            target_id=text_of(target_id, _TARGET),
            notify_url=notify_url,
        )
    except ServiceUnavailable:
        if not delivery.lost:
            raise
    else:
        return NotificationHook.parse(answer.value)
    for hook in await hooks_of(session, target_id):
        if (hook.type, hook.url) == (kind, notify_url):
            return hook
    raise ServiceUnavailable("the answer was lost, and the hook was not added")


async def hooks_of(session: Session, target_id: str) -> list[NotificationHook]:
    """The hooks of a target, in the order they were added in; InvalidInput when it is no text."""
    target_id = text_of(target_id, _TARGET)
    answer = await session.call(requests.GetNotificationHooks, target_id=target_id)
    return parse_hooks(answer.value)


async def delete_hook(session: Session, hook_id: str) -> None:
    """Removes a hook; HookNotFound when there is none."""
    delivery = Delivery()
    try:
        await session.call(requests.DeleteNotificationHook, delivery, notification_hook_id=hook_id)
    except HookNotFound:
        if not delivery.lost:
            raise


def _last(value: Any) -> tuple[float | None, str | None]:
    match value:
        case {"time": int() | float() as time, "error": None | str() as error}:
            return time, error
    return None, None
