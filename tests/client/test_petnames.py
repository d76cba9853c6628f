"""Petnames: what can be one, what it may hold, and who is believed about it."""

from __future__ import annotations

import json
import re
from typing import Any

import anyio
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smfs import errors
from smfs.client.petnames import is_petname, parse_named, petname_id, split_petname_id
from smfs.client.spaces import box_of
from smfs.client.view import Key, View
from smfs.crypto.box import open_box, seal_box
from smfs.crypto.envelope import Address, seal_envelope
from smfs.crypto.identity import Identity, is_node_id
from smfs.protocol.requests import GetSecret, SetSecret

BOB = "b0" * 32
CAROL = "c1" * 32


# --- forms ------------------------------------------------------------------------------------


@given(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True))
def test_what_the_design_allows_is_a_petname(text: str) -> None:
    """It comes back from its secret id, and is no node id."""
    assert is_petname(text)
    assert not is_node_id(text)
    assert split_petname_id(petname_id(text)) == text


@given(st.text(max_size=70))
@example("bob\n")
@example("Bob")
@example(".bob")
@example("bob/x")
@example("b" * 64)
@example("٣")
def test_whatever_else_is_none(text: str) -> None:
    """Letters and digits are the ASCII ones; a final newline counts."""
    is_allowed = re.fullmatch(r"[abcdefghijklmnopqrstuvwxyz0123456789._\-]+\Z", text) is not None
    expected = is_allowed and len(text) <= 63 and text[0] not in "._-"
    assert is_petname(text) is expected
    assert (split_petname_id(petname_id(text)) is not None) is expected


@pytest.mark.parametrize("own_id", ["bob", ".smfs", ".smfs/names", ".smfs/names/", ".smfs/sent/x"])
def test_other_own_secrets_are_no_petnames(own_id: str) -> None:
    """Nor is what lies beside the petnames."""
    assert split_petname_id(own_id) is None


@given(st.binary(min_size=32, max_size=32), st.sampled_from([b"", b"\n"]))
def test_a_node_id_is_read(key: bytes, end: bytes) -> None:
    """With a newline or without."""
    assert parse_named(key.hex().encode() + end) == key.hex()


@given(
    st.binary() | st.text("0123456789abcdefABCDEFx \n", min_size=60, max_size=68).map(str.encode)
)
@example(BOB.upper().encode())
@example(f"0x{BOB}".encode())
@example(f"{BOB}\n\n".encode())
@example(f"{BOB}\r\n".encode())
@example(b"")
def test_anything_else_is_malformed(content: bytes) -> None:
    """Only smfs writes it, so there is one form; the error does not show what was there."""
    if re.fullmatch(rb"[0-9a-f]{64}\n?", content):
        assert parse_named(content) == content[:64].decode()
        return
    with pytest.raises(errors.MalformedData):
        parse_named(content)


# --- the petnames of a space ------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_name_is_there_on_every_machine(alices_view: View, twins_view: View) -> None:
    """At once where it was set, and with the next listing elsewhere."""
    await twins_view.petnames.refresh()
    await alices_view.petnames.set("bob", BOB)
    assert alices_view.petnames.names() == {"bob": BOB}
    assert twins_view.petnames.names() == {}
    assert await twins_view.petnames.node_of("bob") == BOB
    await alices_view.petnames.set("carol", CAROL)
    await twins_view.petnames.refresh(0)
    assert twins_view.petnames.names() == {"bob": BOB, "carol": CAROL}


@pytest.mark.anyio
async def test_names_are_no_secrets_of_ones_own(alices_view: View, twins_view: View) -> None:
    """They are listed nowhere else."""
    await alices_view.petnames.set("bob", BOB)
    await twins_view.refresh(0)
    assert dict(twins_view.own()) == {}
    assert dict(twins_view.sent()) == {}


@pytest.mark.anyio
async def test_a_name_changes_and_goes(alices_view: View, twins_view: View) -> None:
    """The view of another machine follows."""
    await alices_view.petnames.set("bob", BOB)
    assert await twins_view.petnames.node_of("bob") == BOB
    await alices_view.petnames.set("bob", CAROL)
    await twins_view.petnames.refresh(0)
    assert twins_view.petnames.names() == {"bob": CAROL}
    await alices_view.petnames.drop("bob")
    assert alices_view.petnames.names() == {}
    await twins_view.petnames.refresh(0)
    assert twins_view.petnames.names() == {}
    with pytest.raises(errors.PetnameNotFound) as caught:
        await twins_view.petnames.drop("bob")
    assert str(caught.value) == "there is no petname 'bob'"


@pytest.mark.anyio
async def test_each_version_is_opened_once(alices_view: View, twins_view: View, wire: Any) -> None:
    """However often names are listed and looked up."""
    await alices_view.petnames.set("bob", BOB)
    await alices_view.petnames.set("carol", CAROL)
    await twins_view.petnames.refresh(0)
    before = wire.count("/getSecret")
    for _ in range(3):
        await twins_view.petnames.refresh(0)
        await twins_view.petnames.node_of("bob")
    assert wire.count("/getSecret") == before


@pytest.mark.anyio
async def test_names_come_by_the_feed(alices_view: View, twins_view: View, wire: Any) -> None:
    """New, changed and deleted ones, and nobody is asked for them."""
    await alices_view.petnames.set("carol", CAROL)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(twins_view.follow)
            await twins_view.wait_for_change(0)
            for change, expected in (
                (alices_view.petnames.set("bob", BOB), BOB),
                (alices_view.petnames.set("bob", CAROL), CAROL),
                (alices_view.petnames.drop("bob"), None),
            ):
                before = twins_view.generation
                await change
                await twins_view.wait_for_change(before)
                assert await twins_view.petnames.node_of("bob") == expected
                changed = twins_view.changes_since(before)
                assert changed is not None
                assert {one.key for one in changed} == {Key("name", "", "bob")}
            await twins_view.petnames.refresh()
            tasks.cancel_scope.cancel()
    assert twins_view.petnames.names() == {"carol": CAROL}
    assert wire.count("/getSecret") == wire.count("/getSecretSpace") == 0


@pytest.mark.anyio
async def test_every_change_is_one_of_the_view(alices_view: View) -> None:
    """Being seen again is none."""
    seen = [alices_view.generation]
    for change in (
        alices_view.petnames.set("bob", BOB),
        alices_view.petnames.set("bob", CAROL),
        alices_view.petnames.drop("bob"),
    ):
        await change
        seen.append(alices_view.generation)
    assert seen == sorted(set(seen))
    await alices_view.petnames.refresh(0)
    assert alices_view.generation == seen[-1]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("petname", "node_id"), [("Bob", BOB), (".x", BOB), ("", BOB), ("bob", "x"), ("bob", "B0" * 32)]
)
async def test_what_can_be_no_name_is_refused(
    alices_view: View, wire: Any, petname: str, node_id: str
) -> None:
    """Before anybody is asked."""
    with pytest.raises(errors.InvalidInput):
        await alices_view.petnames.set(petname, node_id)
    assert wire.seen == []


@pytest.mark.anyio
async def test_what_is_no_petname_stands_for_nobody(alices_view: View, wire: Any) -> None:
    """Nobody is asked for it."""
    assert await alices_view.petnames.node_of("No Name") is None
    with pytest.raises(errors.PetnameNotFound):
        await alices_view.petnames.drop("No Name")
    assert wire.seen == []


@pytest.mark.anyio
async def test_an_away_service_is_told(alices_view: View, wire: Any, faults: Any) -> None:
    """What is known stays known."""
    await alices_view.petnames.set("bob", BOB)
    wire.always("*", faults.never_sent)
    with pytest.raises(errors.ServiceUnavailable):
        await alices_view.petnames.refresh(0)
    with pytest.raises(errors.ServiceUnavailable):
        await alices_view.petnames.set("bob", CAROL)
    assert alices_view.petnames.names() == {"bob": BOB}


# --- a service that lies ----------------------------------------------------------------------


def forged(reader: str, content: bytes) -> str:
    """An envelope as anybody can make it who knows the public key."""
    return json.dumps(seal_box(reader, content).to_json())


def signed_by_another(reader: str, petname: str, content: bytes) -> str:
    """An envelope that somebody else signed for this place."""
    somebody = Identity.generate()
    address = Address("own", somebody.node_id, reader, petname_id(petname))
    return seal_envelope(somebody, address, content, 1_795_500_000_000)


async def kept(view: View, petname: str) -> str:
    """The envelope that lies where a petname does."""
    answer = await view.client.envelopes.session.call(GetSecret, secret_id=petname_id(petname))
    return open_box(view.client.identity, box_of(answer.value)).decode()


async def plant(view: View, petname: str, text: str) -> None:
    """Has an envelope lie where a petname does, as a service that lies can."""
    own_id = petname_id(petname)
    await view.client.envelopes.session.call(SetSecret, secret_id=own_id, secret=text)


@pytest.mark.anyio
@pytest.mark.parametrize("known_before", [False, True])
async def test_a_forged_name_is_passed_over(
    alices_view: View, twins_view: View, caplog: pytest.LogCaptureFixture, *, known_before: bool
) -> None:
    """Else secrets for Bob would go to whomever the service likes; the others stay."""
    await alices_view.petnames.set("carol", CAROL)
    if known_before:
        await alices_view.petnames.set("bob", BOB)
        await twins_view.petnames.refresh(0)
    reader = alices_view.node_id
    for text in (forged(reader, CAROL.encode()), signed_by_another(reader, "bob", CAROL.encode())):
        await plant(alices_view, "bob", text)
        for view in (alices_view, twins_view):
            await view.petnames.refresh(0)
            assert view.petnames.names() == {"carol": CAROL}
            assert await view.petnames.node_of("bob") is None
    assert "the petname bob is passed over" in caplog.text
    assert CAROL not in caplog.text


@pytest.mark.anyio
async def test_a_name_of_another_is_passed_over(alices_view: View, twins_view: View) -> None:
    """A service that swaps two petnames changes nothing but that they are gone."""
    await alices_view.petnames.set("bob", BOB)
    await alices_view.petnames.set("carol", CAROL)
    address = Address("own", alices_view.node_id, alices_view.node_id, petname_id("carol"))
    carols = seal_envelope(alices_view.client.identity, address, CAROL.encode(), 1_795_500_000_000)
    await plant(alices_view, "bob", carols)
    await twins_view.petnames.refresh()
    assert twins_view.petnames.names() == {"carol": CAROL}


@pytest.mark.anyio
async def test_a_name_that_holds_no_node_id_is_passed_over(
    alices_view: View, twins_view: View, caplog: pytest.LogCaptureFixture
) -> None:
    """It can be set anew, and deleted."""
    await alices_view.write_own(petname_id("bob"), b"canary-7731")
    await alices_view.write_own(petname_id("Carol"), CAROL.encode())
    await twins_view.petnames.refresh()
    assert twins_view.petnames.names() == {}
    assert "canary-7731" not in caplog.text
    await twins_view.petnames.set("bob", BOB)
    assert twins_view.petnames.names() == {"bob": BOB}
    await alices_view.write_own(petname_id("bob"), b"nobody")
    await twins_view.petnames.drop("bob")
    await alices_view.refresh(0)
    assert alices_view.petnames.names() == {}


@pytest.mark.anyio
async def test_an_older_name_is_passed_over(alices_view: View) -> None:
    """What was replaced does not come back."""
    await alices_view.petnames.set("bob", CAROL)
    old = await kept(alices_view, "bob")
    await alices_view.petnames.set("bob", BOB)
    await plant(alices_view, "bob", old)
    await alices_view.petnames.refresh(0)
    assert alices_view.petnames.names() == {}
