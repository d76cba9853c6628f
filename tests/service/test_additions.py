"""What docs/additions.md says is what the service does, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from smfs.crypto.identity import Identity
from smfs.protocol import canonical, discovery, requests, signing
from smfs.protocol.requests import Request, SignedRequest
from smfs.service import Service, create_service
from tests.service.places import Place, give_key

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[Any]]
PAGE = (Path(__file__).parents[2] / "docs" / "additions.md").read_text()
BLOCKS = re.findall(r"```(?:json)?\n(.*?)\n```", PAGE, re.DOTALL)
DESCRIPTION, *_, HEADER, RECEIPT = BLOCKS
CHECK_SHARE, GET_CHANGES, REPEAT = BLOCKS[1:3], BLOCKS[3:5], BLOCKS[6:8]
CHANGES = BLOCKS[5]
[SEED] = re.findall(r"secret key `([0-9a-f]{64})`", PAGE)


async def test_the_description_is_the_page_s(place: Place, ask: Ask, clock: Any) -> None:
    """The example is what a service with that key says at that time."""
    identity = Identity(b"\1" * 32)
    give_key(place, identity)
    async with create_service(place, now=clock, identity=identity) as service:
        answer = await ask(service, discovery.PATH, method="GET")
        head = await ask(service, discovery.PATH, method="HEAD")
    assert answer.text == DESCRIPTION
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert head.headers == answer.headers
    parsed = discovery.Discovery.parse(answer.json)
    assert parsed.to_wire() == answer.json


@pytest.mark.parametrize(
    ("kind", "example"),
    [
        (requests.CheckShare, CHECK_SHARE),
        (requests.GetChanges, GET_CHANGES),
        (requests.RepeatSecretFrom, REPEAT),
    ],
)
def test_the_requests_are_the_page_s(kind: type[SignedRequest], example: list[str]) -> None:
    """The example's signature fits, and is over the text that the page shows."""
    signed_text, body = example
    request = requests.parse(kind, canonical.decode(body))
    signer = Identity.from_secret_key_hex(SEED)
    assert signer.node_id == request.public_key
    assert canonical.encode(signing.sign(signer, request).to_wire()) == body
    assert request.path() + canonical.encode(request.payload()) == signed_text
    assert signing.verify(request)


@pytest.mark.parametrize("kind", requests.ADDITIONS)
def test_the_fields_are_the_page_s(kind: type[Request]) -> None:
    """Every field of the table, in its order."""
    table = PAGE.split(f"## The request `{kind.route()}`")[1].split("Signed with")[0]
    rows = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert rows == [field.name for field in requests.wire_fields(kind)]


async def test_the_changes_are_the_page_s(
    node: Callable[..., Any], clock: Any, follow: Callable[..., Any]
) -> None:
    """The example is what happens to a space that was opened at that time."""
    me = await node(Identity.from_secret_key_hex(SEED)).open_space()
    bob = await node(Identity(bytes(32))).open_space()
    other = Identity(b"\2" * 32).node_id
    follower = follow(me)
    await follower.catch_up()
    await me.set("db-password", "1")
    await me.accept(bob, 1_800_003_600_000)
    await bob.share(me, "door-code", "2", once=True)
    await bob.share(me, "old", "3")
    await bob.do(requests.DeleteSharedSecret, shared_to_id=me.node_id, secret_id="old")
    await bob.accept(me)
    await me.accept(other)
    await me.do(requests.DeleteSubSpace, from_id=other)
    answer = await me.send(follower.request())
    [feed] = re.findall(r'"feed":"(\w+)"', CHANGES)
    assert answer.opened(me.identity).replace(follower.feed, feed) == CHANGES


async def check_and_share(sender: Any, recipient: str, secret_id: str) -> tuple[Any, Any]:
    """What checkShare says, and then what shareSecretTo says to the same."""
    named = {"share_to_id": recipient, "secret_id": secret_id}
    checked = await sender.ask(requests.CheckShare, size=1, **named)
    shared = await sender.ask(requests.ShareSecretTo, secret="x", is_one_time_secret=False, **named)
    return checked, shared


async def test_check_share_says_what_share_secret_to_says(
    alice: Any, bob: Any, node: Callable[..., Any], clock: Any
) -> None:
    """In every state of the recipient, and with the same words."""
    said = []
    for recipient, secret_id in (
        ("02" + 62 * "0", "x"),
        (node().node_id, "x"),
        (alice.node_id, "x"),
        (alice.node_id, ""),
    ):
        checked, shared = await check_and_share(bob, recipient, secret_id)
        assert (checked.status, checked.body) == (shared.status, shared.body)
        said.append(checked.error)
    await alice.accept(bob, clock.now_ms + 1000)
    checked, shared = await check_and_share(bob, alice.node_id, "x")
    assert checked.body == shared.body == b'{"ok":true}'
    clock.now_ms += 1000
    checked, shared = await check_and_share(bob, alice.node_id, "x")
    assert checked.body == shared.body
    assert len({*said, checked.error}) == 4


async def test_check_share_stores_nothing_and_tells_nobody(
    alice: Any, bob: Any, listener: Any, is_silent: Callable[[Any], Awaitable[bool]]
) -> None:
    """It only asks."""
    await alice.accept(bob)
    await alice.do(
        requests.AddNotificationHook, type="log", target_id="this", notify_url=listener.url
    )
    listener.take(1)
    named = {"share_to_id": alice.node_id, "secret_id": "x"}
    checked = await bob.do(requests.CheckShare, size=1, **named)
    assert discovery.REVISION_HEADER not in checked.headers
    large = await bob.ask(requests.CheckShare, size=2**20 + 1, **named)
    assert large.error == "The content is too large!"
    assert (await bob.do(requests.CheckShare, size=2**20, **named)).status == 200
    assert await is_silent(bob)
    assert list((await alice.space())["subSpaces"][bob.node_id]["secrets"]) == []


async def test_every_change_of_the_asker_s_space_has_a_growing_revision(
    alice: Any, bob: Any, service: Service, clock: Any
) -> None:
    """The header is on the requests that the page names, and on no other."""
    revisions: list[int] = []

    def note(answer: Any) -> None:
        revisions.append(int(answer.headers[discovery.REVISION_HEADER]))

    def check_none(answer: Any) -> None:
        assert discovery.REVISION_HEADER not in answer.headers

    note(await alice.do(requests.SetSecret, secret_id="x", secret="1"))
    note(await alice.do(requests.SetSecret, secret_id="x", secret="1"))
    check_none(await alice.do(requests.GetSecret, secret_id="x"))
    note(await alice.do(requests.OpenSubSpace, from_id=bob.node_id, closure_date=None))
    check_none(await alice.do(requests.OpenSubSpace, from_id=bob.node_id, closure_date=None))
    check_none(await bob.share(alice, "once", "2", once=True))
    note(await alice.do(requests.GetSecretFrom, from_id=bob.node_id, secret_id="once"))
    check_none(await bob.share(alice, "x", "3"))
    check_none(await alice.do(requests.GetSecretFrom, from_id=bob.node_id, secret_id="x"))
    check_none(await bob.do(requests.DeleteSharedSecret, shared_to_id=alice.node_id, secret_id="x"))
    note(await alice.do(requests.DeleteSubSpace, from_id=bob.node_id))
    note(await alice.do(requests.DeleteSecret, secret_id="x"))
    check_none(await alice.ask(requests.DeleteSecret, secret_id="x"))
    note(await alice.do(requests.OpenSubSpace, from_id=service.node_id, closure_date=None))
    note(await alice.do(requests.CreateAuthCode, action="anything"))
    check_none(await alice.do(requests.DeleteSecretSpace))
    clock.now_ms += 1
    opened = requests.AUTH_CODE_OPEN_SPACE
    note(await alice.do(requests.OpenSecretSpace, auth_code=opened, closure_date=None))
    check_none(await alice.do(requests.OpenSecretSpace, auth_code=opened, closure_date=None))
    assert revisions == sorted(set(revisions))


async def test_the_header_is_the_page_s(alice: Any) -> None:
    """The first change of a space that was opened at that time."""
    answer = await alice.set("x", "y")
    revision = answer.headers[discovery.REVISION_HEADER]
    assert f"{discovery.REVISION_HEADER}: {revision}" == HEADER


def test_the_receipt_is_the_page_s() -> None:
    """That of the request above it."""
    receipt = discovery.receipt_of(canonical.decode(CHECK_SHARE[1])["signature"])
    assert f"{discovery.RECEIPT_HEADER}: {receipt}" == RECEIPT


async def test_every_answer_to_a_signed_request_has_its_receipt(
    service: Service, alice: Any, ask: Ask, clock: Any
) -> None:
    """What went well, what was refused, and what was not let in; no other."""
    identity = Identity(b"\7" * 32)
    request = requests.GetSecretSpace(
        public_key=identity.node_id,
        timestamp=signing.frame(clock.now_ms),
        signature=signing.UNSIGNED,
        nonce=1,
    )
    signed = signing.sign(identity, request)
    body = canonical.encode(signed.to_wire())
    for status in (200, 401):
        answer = await ask(service, "/getSecretSpace", body)
        assert answer.status == status
        assert answer.headers[discovery.RECEIPT_HEADER] == signed.signature[:64]
    assert discovery.RECEIPT_HEADER in (await alice.set("x", "y")).headers
    code = canonical.encode({"authCode": requests.AUTH_CODE_NODE_ID})
    unsigned = await ask(service, "/getNodeId", code)
    assert unsigned.status == 200
    assert discovery.RECEIPT_HEADER not in unsigned.headers
