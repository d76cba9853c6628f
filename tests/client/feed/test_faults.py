"""A feed that is disturbed on its way, or by its service: nothing is lost, and no lie believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from smfs import errors
from smfs.client.feed import State
from tests.client.conftest import Fault, Faults
from tests.client.following import ALICE, Crowd, Party, altered, fill, with_change

pytestmark = pytest.mark.anyio


# --- what goes wrong on the way -------------------------------------------------------------------


BROKEN = {
    "never sent": Faults.never_sent,
    "answer lost": Faults.answer_lost,
    "request lost": Faults.request_lost,
    "failure": Faults.answers(500),
    "busy": Faults.answers(503),
    "moved": Faults.answers(302),
    "no JSON": Faults.answers(200, b"<html>"),
    "no box": Faults.answers(200, b'{"ok":true}'),
    "twice": Faults.carried_out_twice,
}


@pytest.mark.parametrize("fault", BROKEN.values(), ids=BROKEN)
async def test_nothing_is_lost_or_doubled_by_a_fault(
    fault: Fault, small_pages: None, crowd: Crowd, twin: Party
) -> None:
    """In a listing, in a page after it, and while it waits."""
    await fill(twin)
    alice = crowd.join(ALICE)
    alice.wire.next("/getChanges", fault, alice.wire._always["/getChanges"], fault)
    alice.wire.next("/getChanges", alice.wire._always["/getChanges"], fault, fault)
    await alice.follow()
    since = alice.view.generation
    assert len(alice.view.own()) == 12
    alice.wire.next("/getChanges", fault)
    await twin.view.write_own("s1", b"new")
    await alice.has("s1", b"new")
    await twin.view.delete_own("s2")
    await alice.sees(lambda: "s2" not in alice.view.own())
    await twin.view.write_own("t", b"new")
    await alice.has("t", b"new")
    assert [line.key and line.key.secret_id for line in alice.lines(since)] == ["s1", "s2", "t"]


@pytest.mark.parametrize("name", ["never sent", "answer lost", "request lost"])
async def test_who_reads_before_anything_is_known_hears_of_no_lost_answer(
    crowd: Crowd, twin: Party, name: str
) -> None:
    """The first page is asked for again while he waits, as any other request is."""
    await twin.view.write_own("a", b"one")
    alice = crowd.join(ALICE)
    alice.wire.next("/getChanges", BROKEN[name])
    await alice.follow(until=State.STARTING)
    assert (await alice.view.read_own("a")).content == b"one"
    assert alice.state is State.LIVE


async def test_a_lost_feed_is_known_at_once(alice: Party, twin: Party) -> None:
    """What is known is read on, writing fails at once, and a nudge brings it back."""
    await twin.view.write_own("a", b"one")
    await alice.has("a", b"one")
    gated = alice.wire._always["/getChanges"]
    alice.wire.always("*", Faults.never_sent)
    alice.wire.always("/getChanges", Faults.never_sent)
    await twin.view.write_own("wake", b"")
    await alice.is_in(State.AWAY)
    assert alice.view.source == "cache"
    assert (await alice.view.read_own("a")).content == b"one"
    before = alice.wire.count("/setSecret")
    with pytest.raises(errors.ServiceUnavailable):
        await alice.view.write_own("a", b"two")
    assert alice.wire.count("/setSecret") == before
    alice.wire.mend()
    alice.wire.always("/getChanges", gated)
    await alice.view.write_own("a", b"two")
    assert alice.state is State.LIVE
    assert alice.view.source == "live"


# --- a service that lies --------------------------------------------------------------------------


NODE = "5e" * 32
NONSENSE: dict[str, Callable[[Any], Any]] = {
    "no page": lambda page: [page],
    "null": lambda page: None,
    "no changes": lambda page: {**page, "changes": None},
    "no revision": lambda page: {**page, "revision": "1"},
    "back in time": lambda page: {**page, "since": 1, "revision": 1, "changes": []},
    "another feed": lambda page: {**page, "feed": "another", "since": page["since"] or 1},
    "no progress": lambda page: {**page, "more": True, "revision": page["since"], "changes": []},
    "beyond its end": lambda page: {
        **page,
        "changes": [*page["changes"], {"revision": 2**53 - 1, "secretId": "x"}],
    },
    "no node": with_change(sender="nobody"),
    "a date that is none": with_change(sender=NODE, closureDate="soon"),
    "deep": lambda page: {**page, "changes": [[[[[[[[[[]]]]]]]]]]},
}


@pytest.mark.parametrize("lie", NONSENSE.values(), ids=NONSENSE)
async def test_nonsense_is_no_page(lie: Callable[[Any], Any], alice: Party, twin: Party) -> None:
    """The service is then away, asked again now and then, and believed once it is sane."""
    await twin.view.write_own("a", b"one")
    await alice.has("a", b"one")
    gated = alice.wire._always["/getChanges"]
    await alice.stop()
    await twin.view.write_own("b", b"one")
    alice.wire.always("/getChanges", altered(alice, lie))
    await alice.follow(until=State.AWAY)
    assert (await alice.view.read_own("a")).content == b"one"
    alice.wire.always("/getChanges", gated)
    await alice.is_in(State.LIVE)
    assert set(alice.view.own()) == {"a", "b"}


HARMLESS: dict[str, Callable[[Any], Any]] = {
    "a later kind": with_change(kind="later"),
    "the software's own": with_change(secretId=".smfs/later"),
    "no box": with_change(secretId="x", secret={"no": "box"}),
    "an odd box": with_change(secretId="x", secret={"referencePoint": "00", "a": 1}),
    "a stranger's": with_change(**{"from": NODE}, secretId="x"),
    "a copy for nobody": with_change(secretId=".smfs/sent/nobody/x"),
    "an odd id": with_change(secretId="\ud800/../\u0000"),
    "gone before it came": with_change(secretId="x", gone=True),
    "a stranger gone": with_change(recipient=NODE, gone=True),
    "an endless date": with_change(sender=NODE, closureDate=1e300),
}


@pytest.mark.parametrize("lie", HARMLESS.values(), ids=HARMLESS)
async def test_what_is_odd_does_not_hide_the_rest(
    lie: Callable[[Any], Any], alice: Party, twin: Party
) -> None:
    """The other changes of the page are taken over, and what cannot be opened says so."""
    gated = alice.wire._always["/getChanges"]
    await alice.stop()
    alice.wire.next("/getChanges", altered(alice, lie))
    await twin.view.write_own("a", b"one")
    await alice.follow()
    await alice.has("a", b"one")
    if "x" in alice.view.own():
        with pytest.raises(errors.SmfsError):
            await alice.view.read_own("x")
    alice.wire.always("/getChanges", gated)
    await twin.view.write_own("c", b"one")
    await alice.has("c", b"one")


async def test_an_older_envelope_under_a_newer_revision_is_refused(
    alice: Party, twin: Party
) -> None:
    """The service cannot bring back what was replaced, nor what was deleted."""
    pages: list[Any] = []

    def keep(page: Any) -> Any:
        pages.append(page)
        return page

    await alice.stop()
    alice.wire.always("/getChanges", altered(alice, keep))
    await alice.follow()
    await twin.view.write_own("a", b"old")
    await alice.has("a", b"old")
    [old] = [each for page in pages for each in page["changes"] if each.get("secretId") == "a"]
    await twin.view.write_own("a", b"new")
    await alice.has("a", b"new")
    await alice.stop()
    again = with_change(secretId="a", secret=old["secret"])
    alice.wire.always("/getChanges", altered(alice, again))
    await alice.follow()
    with pytest.raises(errors.RolledBack):
        await alice.view.read_own("a")
