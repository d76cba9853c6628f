"""Notification hooks as a service tells of them (PROTOCOL.md section 14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from smfs.errors import ServiceUnavailable


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


def _last(value: Any) -> tuple[float | None, str | None]:
    match value:
        case {"time": int() | float() as time, "error": None | str() as error}:
            return time, error
    return None, None
