"""Requests that may still be on their way although nobody waits for them any more."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

import anyio

from smfs.errors import ServiceError
from smfs.protocol import requests, signing
from smfs.protocol.requests import SignedRequest

Target: TypeAlias = tuple[str, ...]
"""What a request changes; two requests of one target must not change places."""

_EXPIRED_S: Final = (signing.REPLAY_WINDOW_MS + signing.FRAME_MS) / 1000


class Wire(NamedTuple):
    """A request as it is sent.

    Attributes:
        path: where to.
        body: what.
        receipt: what the answer to this very request is known by (docs/additions.md); empty where
            it has no signature.
    """

    path: str
    body: bytes
    receipt: str = ""


@dataclass(frozen=True)
class _Straggler:
    wire: Wire
    since: float


class Stragglers:
    """What was sent and never answered, by what it changes.

    It may wait in some buffer, and arrive after a later change was acknowledged: then what is on
    the service is not what was reported. Before the later one goes out, the very same bytes are
    sent again: a service takes no signature twice, so afterwards they can do no harm.
    """

    def __init__(self) -> None:
        self._kept: dict[Target, _Straggler] = {}

    def keep(self, target: Target, wire: Wire) -> None:
        """A request may have been carried out, now or later."""
        self._forget_expired()
        self._kept[target] = _Straggler(wire, anyio.current_time())

    def forget(self) -> None:
        """Drops all: they went to a service that is no longer ours."""
        self._kept.clear()

    async def settle(self, target: Target, send: Callable[[Wire], Awaitable[object]]) -> None:
        """Has what is on its way to a target arrive before something else does.

        Args:
            target: what is to be changed next.
            send: makes a request once more, byte for byte.

        Raises:
            ServiceUnavailable: when that cannot be brought about.
        """
        self._forget_expired()
        straggler = self._kept.get(target)
        if straggler is None:
            return
        # Refused, most likely as a replay: in any case it was answered.
        with contextlib.suppress(ServiceError):
            await send(straggler.wire)
        if self._kept.get(target) is straggler:
            del self._kept[target]

    def _forget_expired(self) -> None:
        limit = anyio.current_time() - _EXPIRED_S
        for target in [key for key, each in self._kept.items() if each.since < limit]:
            del self._kept[target]


def target_of(request_type: type[SignedRequest], fields: dict[str, Any]) -> Target | None:
    """What a request changes; None when it changes nothing that another one could change back."""
    match request_type:
        case requests.SetSecret | requests.DeleteSecret:
            return "own", fields["secret_id"]
        case requests.ShareSecretTo:
            return "shared", fields["share_to_id"], fields["secret_id"]
        case requests.DeleteSharedSecret:
            return "shared", fields["shared_to_id"], fields["secret_id"]
        case requests.OpenSubSpace | requests.DeleteSubSpace:
            return "from", fields["from_id"]
    return None
