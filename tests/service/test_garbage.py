"""What a request leaves behind is gone with it: no circle keeps it until the collector comes by."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import pytest

from smfs.protocol import requests
from tests.service.nodes import Answer, Node, send

pytestmark = pytest.mark.anyio

Ask = Callable[[Node, Node], Awaitable[Answer]]


@contextmanager
def collected() -> Iterator[list[str]]:
    """What of ours only the collector finds after the block; empty within it."""
    found: list[str] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found += filter(None, map(_name, gc.garbage))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _name(thing: object) -> str:
    if isinstance(thing, FrameType):
        is_ours = "/smfs/" in thing.f_code.co_filename
        return f"frame of {thing.f_code.co_qualname}" if is_ours else ""
    return type(thing).__qualname__ if type(thing).__module__.startswith("smfs.") else ""


def _is_fine(answer: Answer) -> bool:
    return answer.status == 200 and answer.error is None


async def _forged(alice: Node, bob: Node) -> Answer:
    request = alice.signed(requests.SetSecret, secret_id="x", secret="y")
    return await alice.send(request.with_signature("0" * 128))


async def _replayed(alice: Node, bob: Node) -> Answer:
    request = alice.signed(requests.SetSecret, secret_id="x", secret="y")
    await alice.send(request)
    return await alice.send(request)


async def _late(alice: Node, bob: Node) -> Answer:
    return await alice.ask(requests.SetSecret, secret_id="x", secret="y", timestamp=0)


async def _no_gzip(alice: Node, bob: Node) -> Answer:
    return await send(alice.app, "/setSecret", "no gzip", headers={"content-encoding": "gzip"})


async def _no_json(alice: Node, bob: Node) -> Answer:
    return await send(alice.app, "/setSecret", '{"' + "x" * 100_000)


CASES: dict[str, tuple[bool, Ask]] = {
    "set": (True, lambda alice, bob: alice.set("x", "y")),
    "large": (True, lambda alice, bob: alice.set("x", "y" * 100_000)),
    "space": (True, lambda alice, bob: alice.do(requests.GetSecretSpace)),
    "forged": (False, _forged),
    "replayed": (False, _replayed),
    "late": (False, _late),
    "missing": (False, lambda alice, bob: alice.ask(requests.GetSecret, secret_id="?")),
    "nothing to delete": (
        False,
        lambda alice, bob: alice.ask(requests.DeleteSecret, secret_id="?"),
    ),
    "not accepted": (False, lambda alice, bob: alice.share(bob, "x", "y")),
    "no space": (
        False,
        lambda alice, bob: Node(alice.app, alice.clock).ask(requests.GetSecretSpace),
    ),
    "too long an id": (
        False,
        lambda alice, bob: alice.ask(requests.GetSecret, secret_id="i" * 9000),
    ),
    "no gzip": (False, _no_gzip),
    "large and no JSON": (False, _no_json),
}


@pytest.mark.parametrize("case", CASES)
async def test_nothing_is_left_for_the_collector(alice: Node, bob: Node, case: str) -> None:
    """Else the large bodies of many refused requests would lie about together."""
    is_fine, ask = CASES[case]
    answers = [await ask(alice, bob)]
    with collected() as found:
        answers.append(await ask(alice, bob))
    assert [_is_fine(answer) for answer in answers] == [is_fine, is_fine], answers
    assert found == []
