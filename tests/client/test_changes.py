"""Pages of the feed on their way into the maps: what a lying service, or bad timing, can do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from smfs.client.changes import Changing
from smfs.client.client import Client
from smfs.client.contents import Contents
from smfs.client.envelopes import Stored, Written, inspect
from smfs.client.known import Key, Known
from smfs.client.listing import Listing
from smfs.client.trust import ROLLBACK_MS
from smfs.crypto.box import Box, seal_box
from smfs.crypto.envelope import Address, seal_envelope
from smfs.errors import RolledBack, TamperedSecret
from smfs.protocol.changes import Changes, SecretChanged
from smfs.protocol.spaces import StoredSecret

pytestmark = pytest.mark.anyio

KEY = Key("own", "", "s")
NOW_MS = 1_800_000_000_000


class Maps:
    """The maps of one node, and what fills them."""

    def __init__(self, client: Client) -> None:
        self.envelopes = client.envelopes
        self.node_id = client.node_id
        self.identity = client.envelopes.session.identity
        self.known = Known()
        self.changing = Changing(self.envelopes, self.known)
        self.contents = Contents(self.envelopes, self.known, self.changing)
        self.listing = Listing(self.envelopes, self.known)

    def envelope(self, content: bytes, signed_at: int = NOW_MS, key: Key = KEY) -> str:
        """What this node writes."""
        return seal_envelope(self.identity, self.envelopes.address(key), content, signed_at)

    def box(self, content: bytes, signed_at: int = NOW_MS, key: Key = KEY) -> Box:
        """The same, as a service stores it."""
        return seal_box(self.node_id, self.envelope(content, signed_at, key).encode())

    async def tell(self, *changes: SecretChanged, since: int = 1) -> None:
        """Takes one page over."""
        page = Changes("f", since, changes[-1].revision, more=False, changes=changes)
        assert await self.changing.apply(page, self.envelopes.history.mark())

    async def read(self, key: Key = KEY) -> bytes:
        """The content of a secret, looked at first."""
        look = await self.contents.look(key)
        return await self.contents.load(key, look.version)


@pytest.fixture
def maps(alice: Client) -> Maps:
    """The maps of Alice."""
    return Maps(alice)


async def test_a_second_box_for_a_revision_is_judged(maps: Maps) -> None:
    """A service cannot slip an old version under the revision of the new one."""
    await maps.tell(SecretChanged(5, "", "s", box=maps.box(b"new")))
    assert await maps.read() == b"new"
    old = maps.box(b"old", NOW_MS - ROLLBACK_MS - 1)
    await maps.tell(SecretChanged(5, "", "s", box=old))
    with pytest.raises(RolledBack):
        await maps.read()


async def test_the_box_of_a_write_of_ours_holds_what_was_written(maps: Maps) -> None:
    """A service cannot hand an older version back as what we have just written."""
    text = maps.envelope(b"new")
    address: Address = maps.envelopes.address(KEY)
    written = Written(_token_of(maps, text), NOW_MS, 5, text.encode())
    maps.envelopes.history.written(address, written.token, NOW_MS)
    maps.listing.note_written("s", written, 3, 0.0)
    await maps.tell(SecretChanged(5, "", "s", box=maps.box(b"old", NOW_MS - ROLLBACK_MS - 1)))
    with pytest.raises(TamperedSecret):
        await maps.read()


async def test_a_box_comes_with_a_write_of_ours(maps: Maps) -> None:
    """An honest echo is believed by its revision, unopened, and read from then on."""
    text = maps.envelope(b"new")
    written = Written(_token_of(maps, text), NOW_MS, 5, text.encode())
    maps.envelopes.history.written(maps.envelopes.address(KEY), written.token, NOW_MS)
    maps.listing.note_written("s", written, 3, 0.0)
    await maps.tell(SecretChanged(5, "", "s", box=seal_box(maps.node_id, text.encode())))
    version = maps.known.get(KEY)
    assert version is not None
    assert version.envelope is None
    assert version.token == written.token
    assert await maps.read() == b"new"


async def test_an_opening_during_a_page_does_not_mix_versions(
    maps: Maps, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is opened while the others of a page are being opened keeps no token of its own."""
    other = Key("own", "", "other")
    await maps.tell(
        SecretChanged(2, "", "other", box=maps.box(b"1", key=other)),
        SecretChanged(3, "", "s", box=maps.box(b"old")),
        since=0,
    )
    await maps.read(other)
    before = maps.known.generation
    _while_inspecting(maps, monkeypatch)
    await maps.tell(
        SecretChanged(4, "", "other", box=maps.box(b"2", NOW_MS + 1, other)),
        SecretChanged(5, "", "s", box=maps.box(b"new", NOW_MS + 1)),
    )
    assert KEY in [changed.key for changed in maps.known.changes_since(before) or ()]
    assert await maps.read() == b"new"


def _while_inspecting(maps: Maps, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has somebody open the secret while a page waits for its openings."""
    inspect_all = maps.envelopes.inspect_all

    async def meanwhile(secrets: Iterable[tuple[Address, StoredSecret]]) -> dict[Any, Stored]:
        found = await inspect_all(secrets)
        monkeypatch.setattr(maps.envelopes, "inspect_all", inspect_all)
        await maps.changing.open([KEY])
        return found

    monkeypatch.setattr(maps.envelopes, "inspect_all", meanwhile)


def _token_of(maps: Maps, text: str) -> str:
    box = seal_box(maps.node_id, text.encode())
    return inspect(maps.identity, maps.envelopes.address(KEY), StoredSecret(box)).token
