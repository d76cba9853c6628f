"""A service that tells of changes, and lies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from smfs.client.cache import Cache
from smfs.client.changes import Changing
from smfs.client.client import Client
from smfs.client.feed import State
from smfs.client.spaces import read_changes
from smfs.client.view import View
from smfs.crypto.box import seal_box
from smfs.protocol import canonical
from smfs.protocol.changes import Changes

pytestmark = pytest.mark.anyio

Passing = Callable[[httpx.Request], Awaitable[httpx.Response]]

PATH = "/getChanges"


@asynccontextmanager
async def following(view: View) -> AsyncIterator[anyio.CancelScope]:
    """The view follows its feed meanwhile."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(view.follow)
        with anyio.fail_after(20):
            yield tasks.cancel_scope
        tasks.cancel_scope.cancel()


def changed(client: Client, change: Callable[[Changes], Changes]) -> Any:
    """A fault that makes another page of each."""

    async def fault(request: httpx.Request, pass_on: Passing) -> httpx.Response:
        response = await pass_on(request)
        identity = client.envelopes.session.identity
        page = await read_changes(identity, canonical.decode(response.content))
        text = canonical.encode(change(page).to_wire()).encode()
        body = canonical.encode(seal_box(client.node_id, text).to_json()).encode()
        headers = {k: v for k, v in response.headers.items() if k != "content-length"}
        return httpx.Response(200, content=body, headers=headers, request=request)

    return fault


async def test_a_feed_that_is_said_to_be_there_and_is_not(
    alices_view: View, wire: Any, faults: Any
) -> None:
    """It is not asked for again and again: the view goes on without one."""
    wire.always(PATH, faults.answers(404))
    async with following(alices_view):
        await alices_view._feed.wait_for(State.OFF)
        await anyio.wait_all_tasks_blocked()
        assert wire.count(PATH) == 1
        await alices_view.write_own("s", b"x")
        assert (await alices_view.read_own("s")).content == b"x"


async def test_a_page_of_another_place_is_refused(alice: Client, wire: Any) -> None:
    """A page that leaves changes out by its own account is none; the feed goes on after it."""
    await alice.set_secret("s", "x")
    view = View(alice)
    wire.next(PATH, changed(alice, lambda page: replace(page, since=page.revision)))
    async with following(view):
        await view._feed.wait_for(State.AWAY)
        assert not view.is_complete
        await view.wait_until_live(live=True)
        assert list(view.own()) == ["s"]


async def test_a_page_that_nobody_foresaw_ends_nothing(
    alice: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known stays as it was, and the page is asked for again."""
    await alice.set_secret("s", "x")
    view = View(alice)
    apply = Changing.apply

    async def fail(*_: object) -> bool:
        monkeypatch.setattr(Changing, "apply", apply)
        raise LookupError("canary")

    monkeypatch.setattr(Changing, "apply", fail)
    async with following(view):
        await view._feed.wait_for(State.AWAY)
        assert "canary" not in str(view._feed.failure)
        await view.wait_until_live(live=True)
        assert list(view.own()) == ["s"]


async def test_a_broken_connection_makes_no_service_away(
    alice: Client, wire: Any, faults: Any
) -> None:
    """Who reads right after it waits until the service was asked, and reads what is there."""

    async def passed(request: httpx.Request, pass_on: Passing) -> httpx.Response:
        return await pass_on(request)

    view = View(alice)
    await alice.set_secret("before", "x")  # and so the space is open
    wire.next(PATH, passed, faults.answer_lost)
    async with following(view):
        await view.wait_until_live(live=True)
        await alice.set_secret("s", "x")
        await view.wait_until_live(live=False)
        assert (await view.read_own("s")).content == b"x"


async def test_what_is_being_saved_at_the_end_is_saved(alice: Client, tmp_path: Path) -> None:
    """A cancellation between taking what is to be saved and saving it loses none of it."""
    identity = alice.envelopes.session.identity

    def cache() -> Cache:
        return Cache(tmp_path / "alice.cache", identity, service=alice.connection.shown_url)

    view = View(alice, cache=cache())
    async with following(view) as scope:
        await view.wait_until_live(live=True)
        take = view._known.take_unsaved

        def take_late() -> Any:
            taken = take()
            if taken:
                scope.cancel()
            return taken

        view._known.take_unsaved = take_late  # type: ignore[method-assign]
        await alice.set_secret("s", "x")
        await anyio.sleep_forever()
    kept = cache()
    await kept.open()
    loaded = await kept.load()
    await kept.aclose()
    assert loaded is not None
    assert [record.secret_id for record in loaded.secrets] == ["s"]
