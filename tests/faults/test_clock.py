"""The clock of a service is moved while it is used, by an hour in either direction."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import trio
import uvicorn

from smfs.cli.serve_listener import listening
from smfs.cli.serve_options import Address
from smfs.protocol import requests
from smfs.service import create_service
from smfs.service.app import system_now
from tests.faults.load import Client, Met
from tests.replicas.databases import made_database
from tests.service.followers import Follower
from tests.service.nodes import Answer

pytestmark = pytest.mark.trio

_HOUR_MS: Final = 3_600_000
_LATE: Final = "Error on authenticateRequest! Invalid Timestamp!"
_MANY: Final = 5
_WAIT_MS: Final = 2000


class Clock:
    """This machine's, moved.

    Attributes:
        moved_ms: by how much.
    """

    def __init__(self) -> None:
        self.moved_ms = 0

    def __call__(self) -> int:
        """Now, ms since 1970."""
        return system_now() + self.moved_ms


@contextmanager
def served(database: Path | str, clock: Clock) -> Iterator[str]:
    """A service of another clock, behind a real server; its URL."""
    make = functools.partial(create_service, database, now=clock)  # in the event loop of its own
    server = uvicorn.Server(uvicorn.Config(make, factory=True, log_config=None, lifespan="on"))
    with listening(Address("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class Writer:
    """Somebody who writes without a pause, and is told something each time.

    Attributes:
        node: who.
        answers: what was told, in its order.
    """

    def __init__(self, node: Client) -> None:
        self.node = node
        self.answers: list[Answer] = []
        self._more = trio.Event()

    async def write(self) -> None:
        """Until it is cancelled."""
        while True:
            number = str(len(self.answers))
            answer = await self.node.ask(requests.SetSecret, secret_id="n", secret=number)
            self.answers.append(answer)
            self._more.set()
            self._more = trio.Event()

    async def until(self, error: str | None) -> None:
        """Waits until that is what it is told, several times in a row."""
        start = len(self.answers)
        while True:
            last = self.answers[start:][-_MANY:]
            if len(last) == _MANY and {answer.error for answer in last} == {error}:
                return
            await self._more.wait()

    def revisions(self) -> list[int]:
        """Of all that was taken."""
        key = "smfs-revision"
        return [int(each.headers[key]) for each in self.answers if key in each.headers]


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
@pytest.mark.parametrize("moved_ms", [_HOUR_MS, -_HOUR_MS])
async def test_who_has_the_right_time_is_refused_until_the_service_has_it(
    tmp_path: Path, engine: str, moved_ms: int
) -> None:
    """Meanwhile who has the service's time goes on; revisions and feeds know no time."""
    clock = Clock()
    met = Met()
    with (
        made_database(tmp_path, postgres=engine == "postgres") as database,
        served(database, clock) as url,
    ):
        right = Writer(await Client(met, [url]).open_space())
        same = Writer(await Client(met, [url], clock=clock).open_space())
        followers = [Follower(right.node), Follower(same.node)]
        async with trio.open_nursery() as nursery:
            for writer in (right, same):
                nursery.start_soon(writer.write)
            nursery.start_soon(_follow, followers[1])
            await right.until(None)
            clock.moved_ms = moved_ms
            await right.until(_LATE)
            await same.until(None)
            clock.moved_ms = 0
            await right.until(None)
            await same.until(None)
            nursery.cancel_scope.cancel()
        for writer, follower in zip((right, same), followers, strict=True):
            await _check(writer, follower)
    assert {answer.error for answer in right.answers} == {None, _LATE}
    assert set(met.answers) == {200, 401}
    assert not met.complaints


async def _follow(follower: Follower) -> None:
    while True:
        answer = await follower.node.send(follower.request(wait=_WAIT_MS))
        # At the moment itself a request may be signed by the one time and read by the other.
        if answer.error != _LATE:
            follower.apply(follower.read(answer))


async def _check(writer: Writer, follower: Follower) -> None:
    revisions = writer.revisions()
    assert revisions == sorted(set(revisions))
    before = follower.since
    pages = await follower.catch_up()
    assert before == 0 or all(page.since for page in pages), "the feed began anew"
    # The last one may have been cut off by the end of the test.
    taken = [number for number, each in enumerate(writer.answers) if each.error is None]
    held = int(await writer.node.get("n"))
    assert held in (taken[-1], len(writer.answers))
    assert follower.secrets["", "n"].revision >= revisions[-1]
    await writer.node.aclose()


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
async def test_what_a_wrong_clock_closes_can_be_opened(tmp_path: Path, engine: str) -> None:
    """Whether it was swept away meanwhile or not; feed and listing agree."""
    clock = Clock()
    met = Met()
    with (
        made_database(tmp_path, postgres=engine == "postgres") as database,
        served(database, clock) as url,
    ):
        alice, bob = [await Client(met, [url], clock=clock).open_space() for _ in range(2)]
        soon = system_now() + _HOUR_MS / 2
        await alice.accept(bob, closure_date=soon)
        await _share(bob, alice, "x")
        feed = Follower(alice)
        await feed.catch_up()
        clock.moved_ms = _HOUR_MS
        refused = await bob.share(alice, "x", "y")
        assert refused.error is not None
        clock.moved_ms = 0
        await alice.accept(bob, closure_date=soon)
        await _share(bob, alice, "z")
        revision = feed.since
        await feed.catch_up()
        assert feed.since > revision
        shared = (await alice.space())["subSpaces"][bob.node_id]["secrets"]
        assert "z" in shared
        assert feed.secrets.keys() == {(bob.node_id, name) for name in shared}
        for node in (alice, bob):
            await node.aclose()
    assert not met.complaints


async def _share(sender: Client, recipient: Client, content: str) -> Any:
    answer = await sender.share(recipient, content, content)
    assert answer.error is None
