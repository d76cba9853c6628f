#!/usr/bin/env python3
"""The bad load of `soak`: everything that clients should not send, at full speed.

`soak_bad.py HOST:PORT` answers each line of its standard input with its counts as JSON, and ends
with that input. Each kind comes from an address of its own, so that none uses up what another, or
a good client, is allowed.
"""

from __future__ import annotations

import collections
import contextlib
import gzip
import json
import random
import resource
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import trio
from soak_line import ENDED, Line, post, signed, unsigned

from smfs.crypto.box import box_from_json, open_box
from smfs.crypto.identity import Identity
from smfs.protocol import requests

_LOW_ORDER: Final = ("00" * 32, "01" + "00" * 31, "ec" + "ff" * 30 + "7f", "ed" + "ff" * 30 + "7f")
_BUSY: Final = {ENDED, 429, 503}
_OPENED: Final = requests.AUTH_CODE_OPEN_SPACE
_BOMB: Final = gzip.compress(bytes(20_000_000))


async def half_a_head(line: Line) -> int:
    """The head never ends."""
    await line.send(post("/getSecret", b"{}")[: random.randrange(1, 60)])
    await trio.sleep(random.uniform(0, 2))
    await line.drop(hard=random.random() < 0.5)
    return ENDED


async def half_a_body(line: Line) -> int:
    """The body never ends."""
    await line.send(post("/setSecret", b'{"publicKey":"', length=random.choice([500, 2_000_000])))
    await trio.sleep(random.uniform(0, 2))
    await line.drop(hard=random.random() < 0.5)
    return ENDED


async def slow_body(line: Line) -> int:
    """A byte in a second."""
    await line.send(post("/setSecret", b"{", length=2000))
    found: list[int] = []
    async with trio.open_nursery() as tasks:

        async def read() -> None:
            found.append(await line.status())
            tasks.cancel_scope.cancel()

        tasks.start_soon(read)
        stream = await line.opened()
        with contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                await trio.sleep(1)
                await stream.send_all(b" ")
        await trio.sleep_forever()
    return found[0]


async def idle(line: Line) -> int:
    """It connects and says nothing."""
    await line.opened()
    return await line.status()


async def idle_afterwards(line: Line) -> int:
    """It asks once and says nothing more."""
    status = await line.ask(b"GET /.well-known/smfs HTTP/1.1\r\nhost: x\r\n\r\n")
    await line.status()
    return status


async def huge(line: Line) -> int:
    """A body that is larger than any."""
    length = random.choice([3_000_000, 10**12, 10**18])
    status = await line.ask(post("/setSecret", b"x" * 1000, length=length))
    await line.drop()
    return status


async def huge_in_pieces(line: Line) -> int:
    """A body that does not say how large it is."""
    head = post("/setSecret", b"").replace(b"content-length: 0", b"transfer-encoding: chunked")
    await line.send(head)
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    for _ in range(64):
        if not await line.send(piece):
            break
    status = await line.status()
    await line.drop()
    return status


async def bomb(line: Line) -> int:
    """A small body that inflates to a huge one."""
    return await line.ask(post("/setSecret", _BOMB, "content-encoding: gzip"))


async def deep(line: Line) -> int:
    """JSON without a bottom, or with far too much in it."""
    size = random.choice([100, 5_000, 60_000, 1_000_000])
    body = random.choice([b"[" * size, b'{"a":' * (size // 5), b"[" + b"[]," * (size // 3)])
    return await line.ask(post("/getSecret", body))


async def odd_json(line: Line) -> int:
    """Numbers, texts and shapes that no request has."""
    odd = [b"1e999999", b"-0", b"9" * 5000, b'"\\ud800"', b'"\\u0000"', b"NaN", b"null", b"[]"]
    body = b'{"publicKey":%b,"timestamp":%b}' % (random.choice(odd), random.choice(odd))
    return await line.ask(post("/getSecretSpace", random.choice([body, body[:-1], body[1:]])))


async def invalid_key(line: Line) -> int:
    """Points of low order, other spellings of points, and no points at all."""
    key = random.choice([*_LOW_ORDER, "ff" * 32, "A1" * 32, "a" * 63, random.randbytes(32).hex()])
    return await line.ask(unsigned(publicKey=key))


async def wrong_signature(line: Line) -> int:
    """Somebody else signs, or nobody."""
    return await line.ask(unsigned(signature=random.choice(["00", "ff", "ab"]) * 64))


async def wrong_time(line: Line) -> int:
    """A frame of another day."""
    return await line.ask(unsigned(timestamp=random.choice([180_000, 1, 2**60])))


async def wrong_code(line: Line) -> int:
    """An auth code that nobody has given out."""
    identity = Identity.generate()
    code = random.randbytes(32).hex()
    asked = signed(identity, requests.OpenSecretSpace, auth_code=code, closure_date=None)
    return await line.ask(asked)


async def unknown(line: Line) -> int:
    """Routes and methods that are not there."""
    method = random.choice(["GET", "PUT", "DELETE", "PATCH", "POST", "PROPFIND"])
    path = random.choice(["/", "/nothing", "/getSecret/", "/../etc/passwd", "/%00", "/x" * 900])
    head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
    return await line.ask(head.encode())


async def garbage(line: Line) -> int:
    """Bytes that are no HTTP."""
    start = random.choice([b"\x16\x03\x01\x02\x00", b"\0" * 20, b"GET / HTTP/9.9\r\n\r\n", b""])
    status = await line.ask(start + random.randbytes(200) + b"\r\n\r\n")
    await line.drop()
    return status


class Stranger:
    """A node that signs well, and asks for more than it may."""

    def __init__(self) -> None:
        self.identity = Identity.generate()
        self._is_opened = False
        self._sent = b""
        self._place: tuple[str, int] | None = None

    async def open(self, line: Line) -> None:
        """Its space is there."""
        if not self._is_opened:
            asked = signed(
                self.identity, requests.OpenSecretSpace, auth_code=_OPENED, closure_date=None
            )
            self._is_opened = await line.ask(asked) == 200

    async def flood(self, line: Line) -> int:
        """As many requests as go through."""
        await self.open(line)
        if random.random() < 0.5:
            return await line.ask(
                signed(self.identity, requests.SetSecret, secret_id="x", secret="y" * 500)
            )
        return await line.ask(signed(self.identity, requests.GetSecretSpace))

    async def replay(self, line: Line) -> int:
        """The same request as before."""
        await self.open(line)
        if not self._sent or random.random() < 0.01:
            self._sent = signed(self.identity, requests.SetSecret, secret_id="x", secret="y")
        return await line.ask(self._sent)

    async def wait_and_go(self, line: Line) -> int:
        """It waits for changes, and is gone before there are any."""
        await self.open(line)
        if self._place is None:
            if await line.ask(self._changes(("", 0), 0)) != 200:
                return ENDED
            page = json.loads(open_box(self.identity, box_from_json(json.loads(line.body))))
            self._place = page["feed"], page["revision"]
        await line.send(self._changes(self._place, 25_000))
        await trio.sleep(random.uniform(0, 1))
        await line.drop(hard=random.random() < 0.5)
        return ENDED

    def _changes(self, place: tuple[str, int], wait: int) -> bytes:
        feed, since = place
        more = {"listing": False, "contents": False, "wait": wait}
        return signed(self.identity, requests.GetChanges, feed=feed, since=since, **more)


@dataclass(frozen=True)
class Kind:
    """One kind of bad client.

    Attributes:
        act: what it does; returns the status that it got.
        at_once: how many of it there are.
        expected: the statuses that are right, besides that the service is busy.
    """

    act: Callable[[Line], Awaitable[int]]
    at_once: int
    expected: set[int]


def kinds() -> dict[str, Kind]:
    """All of them, by name."""
    return {
        "half a head": Kind(half_a_head, 50, set()),
        "half a body": Kind(half_a_body, 50, set()),
        "slow body": Kind(slow_body, 100, {408}),
        "idle": Kind(idle, 2000, set()),
        "idle afterwards": Kind(idle_afterwards, 500, {200}),
        "huge body": Kind(huge, 4, {400, 413}),
        "huge body in pieces": Kind(huge_in_pieces, 2, {400, 411, 413}),
        "bomb": Kind(bomb, 2, {413}),
        "deep JSON": Kind(deep, 4, {400}),
        "odd JSON": Kind(odd_json, 4, {400, 401}),
        "invalid key": Kind(invalid_key, 4, {400, 401}),
        "wrong signature": Kind(wrong_signature, 4, {401}),
        "wrong time": Kind(wrong_time, 4, {401}),
        "wrong code": Kind(wrong_code, 4, {401}),
        "unknown route": Kind(unknown, 4, {400, 404, 405}),
        "garbage": Kind(garbage, 2, {400}),
        "flood": Kind(Stranger().flood, 8, {200}),
        "replay": Kind(Stranger().replay, 4, {200, 401}),
        "wait and go": Kind(Stranger().wait_and_go, 50, set()),
    }


@dataclass
class Counts:
    """What the bad clients met.

    Attributes:
        statuses: by kind and status.
        wrong: kinds that got a status they should not get, and which.
    """

    statuses: dict[str, collections.Counter[int]] = field(
        default_factory=lambda: collections.defaultdict(collections.Counter)
    )
    wrong: set[str] = field(default_factory=set)

    def note(self, name: str, kind: Kind, status: int) -> None:
        """One bad client has done one thing."""
        self.statuses[name][status] += 1
        if status not in kind.expected | _BUSY:
            self.wrong.add(f"{name} got {status}")


async def _behave(name: str, kind: Kind, line: Line, counts: Counts) -> None:
    while True:
        counts.note(name, kind, await kind.act(line))


async def _main(target: tuple[str, int]) -> None:
    counts = Counts()
    async with trio.open_nursery() as tasks:
        for number, (name, kind) in enumerate(kinds().items(), 1):
            for _ in range(kind.at_once):
                line = Line(target, f"127.0.1.{number}")
                tasks.start_soon(_behave, name, kind, line, counts)
        while await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            said = {"statuses": counts.statuses, "wrong": sorted(counts.wrong)}
            print(json.dumps(said), flush=True)
        tasks.cancel_scope.cancel()


def main() -> None:
    """The program."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    host, _, port = sys.argv[1].partition(":")
    trio.run(_main, (host, int(port)))


if __name__ == "__main__":
    main()
