"""The operator's auth codes, as people use them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import anyio
import pytest

from smfs import create_client, embedded_transport
from smfs.errors import InvalidAuthCode, InvalidInput
from smfs.protocol import requests
from smfs.service import ServiceOptions, create_service
from smfs.service.admin.auth_codes import ACTIONS, Code, create, listed, revoke, revoke_all
from smfs.service.admin.migrating import migrate
from tests.service.admin.conftest import ALICE, Place
from tests.service.nodes import START_MS

URL = "http://service.test"


@pytest.fixture
def made(place: Place) -> Place:
    """A database without anything in it."""
    migrate(place)
    return place


def digest(code: str) -> str:
    """What is stored of a code."""
    return hashlib.sha256(code.encode()).hexdigest()


def test_codes_are_listed_without_themselves(made: Place) -> None:
    """By their digests, the oldest first."""
    [first] = create(made, ACTIONS[0], 1, "for Älice", START_MS)
    others = create(made, ACTIONS[1], 2, "", START_MS + 1)
    assert all(len(bytes.fromhex(code)) == 32 for code in (first, *others))
    assert list(listed(made)) == [
        Code(digest(first), "openSecretSpace", "", START_MS, "for Älice"),
        *(Code(each, "getNodeId", "", START_MS + 1, "") for each in sorted(map(digest, others))),
    ]


def test_those_of_nodes_are_listed_as_theirs(filled: Place) -> None:
    """With the node's id."""
    assert sorted(code.creator for code in listed(filled)) == ["", ALICE.node_id]


def test_codes_are_taken_back_by_what_their_digests_begin_with(made: Place) -> None:
    """Whatever the case of the digits, an odd number of them included."""
    codes = create(made, ACTIONS[0], 3, "", START_MS)
    digests = [digest(code) for code in codes]
    assert revoke(made, [digests[0][:13].upper(), digests[1]]) == 2
    assert [code.digest for code in listed(made)] == [digests[2]]
    assert revoke_all(made) == 1
    assert list(listed(made)) == []


def test_no_code_is_taken_back_unless_each_is_named(made: Place) -> None:
    """One that is not there leaves the others as they are."""
    [code] = create(made, ACTIONS[0], 1, "", START_MS)
    absent = f"{int(digest(code)[:8], 16) ^ 1:08x}"
    for wrong in (absent, "abc", "", "xyzw", "%%%%", digest(code) + "0"):
        with pytest.raises(InvalidInput):
            revoke(made, [digest(code)[:8], wrong])
    assert len(list(listed(made))) == 1


def test_a_prefix_of_two_is_refused(made: Place) -> None:
    """Four digits are soon shared."""
    create(made, ACTIONS[0], 1500, "", START_MS)
    prefixes = [code.digest[:4] for code in listed(made)]
    shared = next(each for each in prefixes if prefixes.count(each) > 1)
    with pytest.raises(InvalidInput, match="more than one"):
        revoke(made, [shared])


@pytest.mark.parametrize("note", ["two\nlines", "\0", "x" * 201])
def test_a_note_is_one_line(made: Place, note: str) -> None:
    """Nothing that a terminal or a database could choke on."""
    with pytest.raises(InvalidInput, match="note"):
        create(made, ACTIONS[0], 1, note, START_MS)


def test_a_code_lets_one_client_in_once(made: Place) -> None:
    """Where nobody else is let in; and the space has no owner."""
    codes = create(made, ACTIONS[0], 2, "", START_MS)
    revoke(made, [digest(codes[1])])
    anyio.run(use, made, codes)
    assert list(listed(made)) == []


async def use(place: Place, codes: list[str]) -> None:
    """Real clients at a service that takes no strangers."""
    async with create_service(place, options=ServiceOptions(anonymous=False)) as service:
        transport = embedded_transport(service)
        async with create_client(URL, auth_code=codes[0], transport=transport) as client:
            await client.set_secret("x", "y")
            assert await client.get_secret("x") == "y"
            assert (await client.get_secret_space()).owner is None
        for code in (*codes, requests.AUTH_CODE_OPEN_SPACE):
            async with create_client(URL, auth_code=code, transport=transport) as stranger:
                with pytest.raises(InvalidAuthCode):
                    await stranger.set_secret("x", "y")


def test_a_code_tells_the_node_id_once(tmp_path: Path) -> None:
    """The other action."""
    place = tmp_path / "service.db"
    migrate(place)
    [code] = create(place, "getNodeId", 1, "", START_MS)

    async def ask() -> None:
        async with create_service(place) as service:
            transport = embedded_transport(service)
            async with create_client(URL, ALICE.secret_key_hex, transport=transport) as client:
                assert await client.get_server_id(code) == service.node_id
                with pytest.raises(InvalidAuthCode):
                    await client.get_server_id(code)

    anyio.run(ask)
