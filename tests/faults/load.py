"""Clients of several replicas, each of whose changes is settled before the next one.

A request without an answer, or with 503, is sent again byte for byte until it is answered, or
refused as a replay: then it was carried out. So in the end it is known exactly what there must be.
"""

from __future__ import annotations

import collections
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import trio

from smfs.crypto.identity import Identity
from smfs.errors import ReplayRefused
from smfs.protocol import canonical, texts
from smfs.protocol.requests import Request
from smfs.service.app import system_now
from tests.service.nodes import Answer, Node

PATIENCE_S: Final = 60.0
"""Without an answer for so long, a service hangs: it has 10 s, on a machine that has time."""

LONGEST_S: Final = 180.0
"""What has not come after so long never will."""

_PAUSE_S: Final = 0.05
_HEADERS: Final = {"content-type": "application/json"}
_REPLAYED: Final = texts.AUTHENTICATION_PREFIX + texts.text_of(ReplayRefused())
_EXPECTED: Final = {0, 200, 503}  # 0: no answer


@dataclass
class Met:
    """What all clients together have met.

    Attributes:
        acknowledged: how many changes by each replica, by its URL.
        done: how often each kind of thing was done.
        answers: how often there was each status, and how often none (0).
        lost: the changes that were carried out though their answers were lost.
        complaints: what cannot be right.
    """

    acknowledged: collections.Counter[str] = field(default_factory=collections.Counter)
    done: collections.Counter[str] = field(default_factory=collections.Counter)
    answers: collections.Counter[int] = field(default_factory=collections.Counter)
    lost: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    _more: trio.Event = field(default_factory=trio.Event)

    def note(self, kind: str, url: str = "") -> None:
        """Something was done; a change is acknowledged by the replica at a URL."""
        self.done[kind] += 1
        if url:
            self.acknowledged[url] += 1
        self._more.set()
        self._more = trio.Event()

    async def more_from(self, urls: Sequence[str], count: int) -> None:
        """Waits until each replica has acknowledged so many further changes."""
        ends = {url: self.acknowledged[url] + count for url in urls}
        with trio.fail_after(LONGEST_S):
            while any(self.acknowledged[url] < end for url, end in ends.items()):
                await self._more.wait()

    def expect(self, what: str, *, holds: bool) -> None:
        """Notes a complaint unless something holds."""
        if not holds:
            self.complaints.append(what)


class _Body(httpx.AsyncByteStream):
    """A body that may be left half sent; httpx's own is a generator, of which trio then warns."""

    def __init__(self, content: bytes) -> None:
        self._left = [content]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class Client(Node):
    """Somebody who signs requests and sends them to replicas.

    Args:
        met: where it is noted what comes back.
        urls: of the replicas; the first one is asked.
        roams: whether the next one is asked instead of one that does not answer.
        clock: by which requests are signed.
    """

    def __init__(
        self,
        met: Met,
        urls: Sequence[str],
        *,
        roams: bool = False,
        clock: Callable[[], int] = system_now,
    ) -> None:
        super().__init__(_nowhere, clock, Identity.generate())  # type: ignore[arg-type]
        self.met = met
        self.urls = collections.deque(urls)
        self._roams = roams
        self._http = httpx.AsyncClient(
            timeout=PATIENCE_S, limits=httpx.Limits(max_connections=None)
        )

    @property
    def url(self) -> str:
        """Of the replica that is asked."""
        return self.urls[0]

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def open_space(self, closure_date: float | None = None) -> Client:
        """As `Node.open_space`."""
        await super().open_space(closure_date)
        return self

    async def send(self, request: Request) -> Answer:
        """As `Node.send`, of what has to be answered."""
        answer = await self.attempt(request)
        assert answer is not None, f"no answer to {request.path()}"
        return answer

    async def attempt(self, request: Request, url: str = "") -> Answer | None:
        """One request, once; None when there was no answer."""
        body = canonical.encode(request.to_wire()).encode()
        asked = url or self.url
        sent = self._http.build_request(
            "POST", asked + request.path(), content=body, headers=_HEADERS
        )
        sent.stream = _Body(body)
        try:
            found = await self._http.send(sent)
        except httpx.TransportError as error:
            self.met.answers[0] += 1
            is_hung = isinstance(error, httpx.TimeoutException)
            self.met.expect(f"{request.path()} hangs", holds=not is_hung)
            if self._roams and asked == self.url:
                self.urls.rotate(-1)
            return None
        self.met.answers[found.status_code] += 1
        return Answer(found.status_code, dict(found.headers), found.content)

    async def settle(
        self, request: Request, url: str = "", *, is_in_doubt: bool = False
    ) -> Answer | None:
        """Sends it until it is carried out or refused; None when its answer was lost.

        Args:
            request: what.
            url: of the replica; empty: as of each request.
            is_in_doubt: whether it was sent before and may have been carried out.
        """
        with trio.fail_after(LONGEST_S):
            while True:
                answer = await self.attempt(request, url)
                if answer is not None and (answer.status, answer.error) == (401, _REPLAYED):
                    self.met.expect(f"{request.path()} was taken for a replay", holds=is_in_doubt)
                    self.met.lost.append(request.path())
                    return None
                if answer is not None and answer.status != 503:
                    return answer
                is_in_doubt |= leaves_doubt(answer)
                await trio.sleep(_PAUSE_S)
        raise AssertionError

    async def change(self, kind: str, request: Request, url: str = "") -> Answer | None:
        """Settles what has to go well."""
        answer = await self.settle(request, url)
        if answer is not None and (answer.status, answer.error) != (200, None):
            self.met.complaints.append(f"{kind}: {answer.status} {answer.error}")
        self.met.note(kind, url or self.url)
        return answer


async def until_ready(url: str, status: int) -> None:
    """Waits until a replica answers so when asked whether it is ready; it lives all the time."""
    async with httpx.AsyncClient(timeout=PATIENCE_S) as asking:
        with trio.fail_after(LONGEST_S):
            while True:
                if (await asking.get(f"{url}/readyz")).status_code == status:
                    break
                await trio.sleep(_PAUSE_S)
        assert (await asking.get(f"{url}/healthz")).status_code == 200


def leaves_doubt(answer: Answer | None) -> bool:
    """Whether what was asked may have been done: who says when to come back has done nothing."""
    return answer is None or "retry-after" not in answer.headers


def unexpected(met: Met, *allowed: int) -> set[int]:
    """The statuses that nobody should have been answered."""
    return set(met.answers) - _EXPECTED - set(allowed)


async def _nowhere(*_: Any) -> None:
    raise AssertionError
