"""What a view knows while its service is away, and what it keeps of it over a restart."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from smfs import errors
from smfs.client import feed, keeper
from smfs.client.cache import Cache
from smfs.client.feed import State
from smfs.client.known import Key
from smfs.crypto.identity import Identity
from smfs.service import Service
from tests.client.conftest import URL, Clock, Faults, Passing
from tests.client.following import ALICE, BOB, Crowd, Party, altered, gathered, with_change

pytestmark = pytest.mark.anyio

MINUTE_MS = 60_000


@pytest.fixture(autouse=True)
def _short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses are there, but short."""
    monkeypatch.setattr(feed, "_FIRST_PAUSE_S", 0.005)
    monkeypatch.setattr(feed, "_LONGEST_PAUSE_S", 0.02)
    monkeypatch.setattr(keeper, "_GATHER_S", 0.01)


@pytest.fixture
def long_rests(_short_rests: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself, nobody looks again in the time of a test."""
    monkeypatch.setattr(feed, "_FIRST_PAUSE_S", 600.0)
    monkeypatch.setattr(feed, "_LONGEST_PAUSE_S", 600.0)


@pytest.fixture
async def crowd(service: Service, clock: Clock) -> AsyncIterator[Crowd]:
    """Whoever comes to the service."""
    async with gathered(service, clock) as crowd:
        yield crowd


@pytest.fixture
def twin(crowd: Crowd) -> Party:
    """Alice on another machine, where she does not follow."""
    return crowd.join(ALICE)


@pytest.fixture
def bob(crowd: Crowd) -> Party:
    """Somebody else, who does not follow."""
    return crowd.join(BOB)


@pytest.fixture
def start(crowd: Crowd, tmp_path: Path) -> Callable[..., Party]:
    """Starts Alice's program, each time with the same cache; it does not follow yet."""

    def one(**options: Any) -> Party:
        cache = Cache(tmp_path / "cache", Identity(bytes.fromhex(ALICE)), service=URL)
        return crowd.join(ALICE, cache=cache, **options)

    return one


def cut(party: Party) -> None:
    """The service is away for a party from now on."""
    party.wire.mend()
    party.wire.always("*", Faults.never_sent)


# --- in one run -----------------------------------------------------------------------------------


async def test_nothing_is_known_where_the_service_was_never_reached(crowd: Crowd) -> None:
    """That a secret is not known says nothing then."""
    alice = crowd.join(ALICE)
    cut(alice)
    await alice.follow(until=State.AWAY)
    with pytest.raises(errors.ServiceUnavailable):
        await alice.view.read_own("a")
    with pytest.raises(errors.ServiceUnavailable):
        await alice.view.refresh(0)
    assert alice.view.age() is None


READS: dict[str, Callable[[Party], Awaitable[object]]] = {
    "content": lambda party: party.view.read_own("a"),
    "names": lambda party: party.view.refresh(0),
    "lookup": lambda party: party.view.look_again(anyio.current_time()),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_nobody_is_refused_for_want_of_a_service_that_is_back(
    long_rests: None, crowd: Crowd, twin: Party, read: Callable[[Party], Awaitable[object]]
) -> None:
    """Where nothing is known to go by, it is tried once more before the reader is told."""
    await twin.view.write_own("a", b"text")
    alice = crowd.join(ALICE)
    cut(alice)
    await alice.follow(until=State.AWAY)
    alice.wire.mend()
    await read(alice)
    assert alice.state is State.LIVE
    assert set(alice.view.own()) == {"a"}


async def test_what_is_too_old_is_brought_up_to_date_by_a_service_that_is_back(
    long_rests: None, crowd: Crowd, twin: Party
) -> None:
    """It is read, as it is now."""
    await twin.view.write_own("a", b"text")
    alice = crowd.join(ALICE, max_stale=0.0)
    await alice.follow()
    await alice.stop()
    cut(alice)
    await alice.follow(until=State.AWAY)
    await twin.view.write_own("a", b"new")
    alice.wire.mend()
    assert (await alice.view.read_own("a")).content == b"new"


async def test_what_is_known_is_all_there_is_while_the_service_is_away(
    crowd: Crowd, twin: Party
) -> None:
    """What is known is read, what is not is not there, and nothing is written."""
    await twin.view.write_own("a", b"text")
    alice = crowd.join(ALICE)
    await alice.follow()
    await alice.stop()
    cut(alice)
    await alice.follow(until=State.AWAY)
    with alice.asks():
        assert (await alice.view.read_own("a")).content == b"text"
        await alice.view.refresh(0)
        with pytest.raises(errors.SecretNotFound):
            await alice.view.read_own("none")
        with pytest.raises(errors.NotAccepted):
            await alice.view.read_from(alice.id, "none")
    age = alice.view.age()
    assert age is not None
    assert age >= 0
    for refused in (
        alice.view.write_own("a", b"new"),
        alice.view.delete_own("a"),
        alice.view.check_own("a"),
        alice.view.accept(twin.id, None),
        alice.view.deny(twin.id),
        alice.view.check_share(twin.id, "a"),
        alice.view.consume(twin.id, "a"),
    ):
        with pytest.raises(errors.ServiceUnavailable):
            await refused
    assert not set(alice.wire.seen[-20:]) - {"/getChanges", "/.well-known/smfs", "/setSecret"}


async def test_what_is_too_old_is_not_read(crowd: Crowd, twin: Party) -> None:
    """Where the user has set how old it may be."""
    await twin.view.write_own("a", b"text")
    alice = crowd.join(ALICE, max_stale=0.0)
    await alice.follow()
    assert (await alice.view.read_own("a")).content == b"text"
    await alice.stop()
    cut(alice)
    await alice.follow(until=State.AWAY)
    with pytest.raises(errors.ServiceUnavailable):
        await alice.view.read_own("a")
    with pytest.raises(errors.ServiceUnavailable):
        await alice.view.refresh(0)


# --- over a restart -------------------------------------------------------------------------------


async def first_run(start: Callable[..., Party]) -> None:
    """Lets a first run fill the cache."""
    alice = start()
    await alice.follow()
    await alice.stop()


async def test_a_restart_without_the_service_knows_all(
    start: Callable[..., Party], twin: Party, bob: Party
) -> None:
    """Contents, sizes, senders, what was shared and petnames, though nothing is asked."""
    await bob.view.accept(twin.id, None)
    await twin.view.accept(bob.id, None)
    await twin.view.write_own("a", b"text")
    await twin.view.write_own("d/large", bytes(100_000))
    await bob.view.share(twin.id, "s", b"shared")
    await bob.view.share(twin.id, "once", b"once", one_time=True)
    await twin.view.share(bob.id, "t", b"sent")
    await twin.view.petnames.set("bob", bob.id)
    one = start()
    await one.follow()
    for secret_id in list(one.view.own()):
        await one.view.opened(Key("own", "", secret_id))
    await one.stop()
    alice = start()
    cut(alice)
    await alice.follow(until=State.AWAY)
    assert alice.view.is_complete
    assert {key: each.size for key, each in alice.view.own().items()} == {
        "a": 4,
        "d/large": 100_000,
    }
    assert (await alice.view.read_own("a")).content == b"text"
    assert (await alice.view.read_own("d/large")).content == bytes(100_000)
    assert (await alice.view.read_from(bob.id, "s")).content == b"shared"
    assert (await alice.view.read_sent(bob.id, "t")).content == b"sent"
    assert await alice.view.petnames.node_of("bob") == bob.id
    assert alice.view.senders()[bob.id].secrets["once"].one_time
    with pytest.raises(errors.ServiceUnavailable):
        await alice.view.read_from(bob.id, "once")
    assert alice.view.source == "cache"


async def test_a_restart_takes_only_what_has_changed(
    start: Callable[..., Party], twin: Party, bob: Party
) -> None:
    """It asks from where the cache ends."""
    await bob.view.refresh()
    for number in range(5):
        await twin.view.write_own(f"s{number}", b"old")
    await first_run(start)
    await twin.view.write_own("s1", b"new")
    await twin.view.delete_own("s2")
    alice = start()
    asked: list[Any] = []
    told: list[Any] = []

    def keep(page: Any) -> Any:
        told.append([each["secretId"] for each in page["changes"]])
        return page

    altering = altered(alice, keep)

    async def watch(request: httpx.Request, pass_on: Passing) -> httpx.Response:
        asked.append(json.loads(request.content))
        return await altering(request, pass_on)

    alice.wire.next("/getChanges", watch)
    await alice.follow()
    assert asked[0]["since"] > 0
    assert told == [["s1", "s2"]]
    with alice.asks():
        assert (await alice.view.read_own("s1")).content == b"new"
        assert (await alice.view.read_own("s3")).content == b"old"
        with pytest.raises(errors.SecretNotFound):
            await alice.view.read_own("s2")
    with alice.asks("/checkShare"), pytest.raises(errors.NotAccepted):
        await alice.view.check_share(bob.id, "a")


async def test_what_comes_while_it_runs_is_kept(start: Callable[..., Party], twin: Party) -> None:
    """What changes later, here and elsewhere, is in the cache at the next start."""
    await first_run(start)
    alice = start()
    await alice.follow()
    await alice.view.write_own("ours", b"ours")
    await alice.view.write_own("gone", b"")
    await twin.view.write_own("theirs", b"theirs")
    await alice.has("theirs", b"theirs")
    await alice.view.delete_own("gone")
    await alice.stop()
    alice = start()
    cut(alice)
    await alice.follow(until=State.AWAY)
    assert (await alice.view.read_own("ours")).content == b"ours"
    assert (await alice.view.read_own("theirs")).content == b"theirs"
    assert set(alice.view.own()) == {"ours", "theirs"}


async def test_a_rollback_over_a_restart_is_refused(
    start: Callable[..., Party], twin: Party, clock: Clock
) -> None:
    """An envelope that is much older than the one in the cache is not read."""
    alice, pages = start(), []

    def keep(page: Any) -> Any:
        pages.append(page)
        return page

    alice.wire.always("/getChanges", altered(alice, keep))
    await alice.follow()
    await twin.view.write_own("a", b"old")
    await alice.has("a", b"old")
    [old] = [each for page in pages for each in page["changes"]]
    clock.now_ms += 20 * MINUTE_MS
    await twin.view.write_own("a", b"new")
    await alice.has("a", b"new")
    await alice.stop()
    alice = start()
    lie = with_change(secretId="a", secret=old["secret"])
    alice.wire.always("/getChanges", altered(alice, lie))
    await alice.follow()
    with pytest.raises(errors.RolledBack):
        await alice.view.read_own("a")


async def test_a_second_program_goes_without_the_cache(
    start: Callable[..., Party], twin: Party
) -> None:
    """It follows all the same, and harms nothing."""
    await twin.view.write_own("a", b"text")
    one, other = start(), start()
    await one.follow()
    await other.follow()
    await twin.view.write_own("b", b"text")
    await one.has("b", b"text")
    await other.has("b", b"text")
    assert one.view.state()["cache"] is not None
    assert other.view.state()["cache"] is None
    await other.stop()
    await one.stop()
    alice = start()
    cut(alice)
    await alice.follow(until=State.AWAY)
    assert set(alice.view.own()) == {"a", "b"}


async def test_an_original_is_cached_too(start: Callable[..., Party], twin: Party) -> None:
    """What a listing told is there after a restart, and changes are found by the next one."""
    await twin.view.write_own("a", b"text")
    alice = start()
    alice.wire.is_original = True
    await alice.follow(until=State.OFF)
    await alice.view.refresh(0)
    await alice.stop()
    alice = start()
    cut(alice)
    await alice.follow(until=State.AWAY)
    assert (await alice.view.read_own("a")).content == b"text"
    await alice.stop()
    await twin.view.write_own("a", b"new")
    alice = start()
    alice.wire.is_original = True
    await alice.follow(until=State.OFF)
    assert (await alice.view.read_own("a")).content == b"new"
    with pytest.raises(errors.SecretNotFound):
        await alice.view.read_own("none")


async def test_a_slow_service_is_not_waited_for_long(
    start: Callable[..., Party], twin: Party, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that knows something from its cache reads that while nothing answers."""
    await twin.view.write_own("a", b"text")
    await first_run(start)
    alice = start()
    alice.wire.always("*", Faults.hangs)
    await alice.follow(until=State.STARTING)
    with anyio.fail_after(5):
        assert (await alice.view.read_own("a")).content == b"text"
