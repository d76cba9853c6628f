"""What a view knows of own secrets, and its limits and state."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from smfs import errors
from smfs.client.view import View

pytestmark = pytest.mark.anyio


async def test_nothing_is_known_before_the_first_refresh(alices_view: View, wire: Any) -> None:
    """Nothing is known before the first refresh."""
    assert dict(alices_view.own()) == {}
    assert dict(alices_view.sent()) == {}
    assert dict(alices_view.senders()) == {}
    assert alices_view.state()["connection"] == "unknown"
    assert wire.seen == []


async def test_a_refresh_shows_what_is_there(alices_view: View, twins_view: View) -> None:
    """A refresh shows what is there."""
    written = await twins_view.write_own("a/b", b"text")
    await alices_view.refresh()
    version = alices_view.own()["a/b"]
    assert version.token == written.token
    assert version.size == 4
    assert version.sender == alices_view.node_id
    assert version.signed_at == written.signed_at
    assert version.changed_at * 1000 == version.signed_at
    assert version.problem is None


async def test_a_listing_is_current_for_its_time_to_live(
    alices_view: View, twins_view: View, wire: Any
) -> None:
    """A listing is current for its time to live."""
    await alices_view.refresh()
    await twins_view.write_own("id", b"text")
    await alices_view.refresh()
    assert dict(alices_view.own()) == {}
    assert wire.count("/getSecretSpace") == 2  # the first one opened the space
    await alices_view.refresh(max_age=0)
    assert list(alices_view.own()) == ["id"]


async def test_callers_at_the_same_time_share_a_request(alices_view: View, wire: Any) -> None:
    """Callers at the same time share a request."""
    await alices_view.refresh()
    before = wire.count("/getSecretSpace")
    async with anyio.create_task_group() as tasks:
        for _ in range(10):
            tasks.start_soon(alices_view.refresh, 0)
    assert wire.count("/getSecretSpace") - before <= 2


async def test_a_write_is_known_at_once_and_the_next_listing_says_the_same(
    alices_view: View,
) -> None:
    """A write is known at once and the next listing says the same."""
    await alices_view.refresh()
    written = await alices_view.write_own("id", b"text")
    assert alices_view.own()["id"] == written
    before = alices_view.generation
    await alices_view.refresh(0)
    assert alices_view.own()["id"].token == written.token
    assert alices_view.generation == before


async def test_the_generation_grows_with_every_change(alices_view: View, twins_view: View) -> None:
    """The generation grows with every change."""
    await alices_view.refresh()
    seen = [alices_view.generation]

    async def step(change: Any) -> None:
        await change
        seen.append(alices_view.generation)

    await step(alices_view.write_own("id", b"1"))
    await step(alices_view.write_own("id", b"2"))
    await step(alices_view.delete_own("id"))
    await twins_view.write_own("id", b"3")
    await step(alices_view.refresh(0))
    await twins_view.write_own("id", b"4")
    await step(alices_view.read_own("id"))
    await step(alices_view.accept("b1" * 32, None))
    await step(alices_view.deny("b1" * 32))
    assert seen == sorted(set(seen))
    await alices_view.refresh(0)
    await alices_view.read_own("id")
    assert alices_view.generation == seen[-1]


async def test_the_maps_show_the_newest_state(alices_view: View) -> None:
    """And nobody who has them can change them."""
    await alices_view.write_own("a", b"1")
    own = alices_view.own()
    await alices_view.write_own("b", b"2")
    await alices_view.delete_own("a")
    assert list(own) == ["b"]
    with pytest.raises(TypeError):
        own["c"] = own["b"]  # type: ignore[index]


async def test_reading_gives_the_content_and_the_listed_version(alices_view: View) -> None:
    """Reading gives the content and the listed version."""
    written = await alices_view.write_own("id", b"\xff\0")
    reading = await alices_view.read_own("id")
    assert reading.content == b"\xff\0"
    assert reading.version.token == written.token
    assert alices_view.own()["id"] == reading.version
    assert "\\xff" not in repr(reading)


async def test_reading_finds_changes_made_elsewhere(alices_view: View, twins_view: View) -> None:
    """Reading finds changes made elsewhere."""
    await alices_view.write_own("id", b"old")
    await twins_view.write_own("id", b"new")
    assert (await alices_view.read_own("id")).content == b"new"
    await twins_view.delete_own("id")
    with pytest.raises(errors.SecretNotFound):
        await alices_view.read_own("id")
    assert dict(alices_view.own()) == {}


async def test_a_check_tells_the_version_or_that_there_is_none(alices_view: View) -> None:
    """A check tells the version or that there is none."""
    assert await alices_view.check_own("id") is None
    written = await alices_view.write_own("id", b"text")
    checked = await alices_view.check_own("id")
    assert checked is not None
    assert checked.token == written.token


async def test_a_check_fails_while_the_service_is_away(
    alices_view: View, wire: Any, faults: Any
) -> None:
    """A check fails while the service is away."""
    await alices_view.refresh()
    wire.always("*", faults.never_sent)
    with pytest.raises(errors.ServiceUnavailable):
        await alices_view.check_own("id")
    assert alices_view.state()["connection"] == "unreachable"
    assert "ServiceUnavailable" in alices_view.state()["lastError"]
    wire.mend()
    await alices_view.check_own("id")
    assert alices_view.state()["connection"] == "connected"


async def test_a_delete_of_what_is_missing_is_told(alices_view: View, twins_view: View) -> None:
    """A delete of what is missing is told."""
    await alices_view.write_own("id", b"text")
    await twins_view.delete_own("id")
    with pytest.raises(errors.SecretNotFound):
        await alices_view.delete_own("id")
    assert dict(alices_view.own()) == {}


async def test_a_write_is_not_undone_by_an_older_listing(
    alices_view: View, wire: Any, faults: Any
) -> None:
    """A write is not undone by an older listing."""
    await alices_view.write_own("kept", b"old")
    await alices_view.write_own("gone", b"old")
    written = []

    async def change() -> None:
        written.append(await alices_view.write_own("kept", b"new"))
        written.append(await alices_view.write_own("made", b"new"))
        await alices_view.delete_own("gone")

    wire.next("/getSecretSpace", faults.after(change))
    await alices_view.refresh(0)
    assert {key: one.token for key, one in alices_view.own().items()} == {
        "kept": written[0].token,
        "made": written[1].token,
    }
    assert alices_view.own()["kept"].problem is None


async def test_writes_of_one_secret_at_once_leave_what_is_stored(
    alices_view: View, twins_view: View
) -> None:
    """Writes of one secret at once leave what is stored."""
    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(alices_view.write_own, "id", b"%d" % number)
    known = alices_view.own()["id"]
    assert (await alices_view.read_own("id")).version.token == known.token
    assert (await twins_view.read_own("id")).version.token == known.token


async def test_a_lost_answer_to_a_write_changes_no_token(
    alices_view: View, wire: Any, faults: Any
) -> None:
    """A lost answer to a write changes no token."""
    wire.next("/setSecret", faults.answer_lost)
    written = await alices_view.write_own("id", b"text")
    await alices_view.refresh(0)
    assert alices_view.own()["id"].token == written.token


# --- limits and state -----------------------------------------------------------------------------


async def test_the_limits_are_those_of_the_service(alices_view: View, wire: Any) -> None:
    """The limits are those of the service."""
    await alices_view.refresh()
    limit = alices_view.content_limit()
    assert limit == 1024 * 1024
    alices_view.check_size(b"\xff" * limit)
    with pytest.raises(errors.TooLarge):
        alices_view.check_size(b"a" * (limit + 1))


async def test_the_limits_of_an_original_are_lower(alices_view: View, wire: Any) -> None:
    """The limits of an original are lower."""
    wire.is_original = True
    await alices_view.refresh()
    assert alices_view.content_limit() == 49_000
    alices_view.check_size(b"a" * 49_000)
    for content in (b"a" * 49_001, b"\xff" * 36_001):
        with pytest.raises(errors.TooLarge):
            alices_view.check_size(content)


async def test_the_state_tells_no_secret(alices_view: View) -> None:
    """The state tells no secret."""
    await alices_view.write_own("name-7731", b"canary-7731")
    state = alices_view.state()
    assert state["service"] == "http://service.test"
    assert state["connection"] == "connected"
    assert state["lastError"] is None
    assert state["secrets"] == 1
    assert state["counters"]["requests"] > 0
    assert "7731" not in str(state)
    assert "canary" not in repr(alices_view.own())
