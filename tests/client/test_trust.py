"""A service that lies: it forges, swaps, re-addresses, rolls back and withholds."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from smfs import errors
from smfs.client.client import Client
from smfs.client.trust import ROLLBACK_MS, History
from smfs.client.versions import UNSIGNED_IS_READ, RequireSignatures
from smfs.client.view import View
from smfs.crypto.box import Box, seal_box
from smfs.crypto.envelope import Address, seal_envelope
from smfs.crypto.identity import Identity
from smfs.protocol import canonical, discovery
from smfs.protocol.spaces import Space, StoredSecret, SubSpace

pytestmark = pytest.mark.anyio

Passing = Callable[[httpx.Request], Awaitable[httpx.Response]]
Make = Callable[..., Client]


def receipt(request: httpx.Request) -> dict[str, str]:
    """The header that says that an answer belongs to this request: anybody can make it."""
    signature = json.loads(request.content)["signature"]
    return {discovery.RECEIPT_HEADER: discovery.receipt_of(signature)}


class Liar:
    """Answers what it likes, with no key but the public ones: whatever a service can do."""

    def __init__(self, reader: str) -> None:
        self.reader = reader
        self.envelopes: dict[str, str] = {}
        self.own: dict[str, str] = {}
        self.shared: dict[tuple[str, str], str] = {}

    async def __call__(self, request: httpx.Request, pass_on: Passing) -> httpx.Response:
        """One answer; what it takes, it takes note of."""
        body = json.loads(request.content or b"{}")
        route = request.url.path[1:]
        if route == "setSecret":
            self.own[body["secretId"]] = self.envelopes[body["secretId"]] = body["secret"]
        value = self._value(route, body)
        if value is None:
            return await pass_on(request)
        return httpx.Response(200, json=value, headers=receipt(request), request=request)

    def _value(self, route: str, body: dict[str, Any]) -> Any:
        secret_id = body.get("secretId", "")
        if route == "getSecret" and secret_id in self.own:
            return self._box(self.own[secret_id]).to_json()
        if route == "getSecretFrom" and (body["fromId"], secret_id) in self.shared:
            return self._box(self.shared[body["fromId"], secret_id]).to_json()
        if route == "getSubSpace":
            sub = self._sub(body["fromId"])
            return self._sealed(sub.to_wire(self.reader, body["fromId"]))
        if route == "getSecretSpace":
            return self._sealed(self._space().to_wire())
        return None

    def _space(self) -> Space:
        return Space(
            self.reader,
            None,
            None,
            "",
            {key: StoredSecret(self._box(text)) for key, text in self.own.items()},
            {sender: self._sub(sender) for sender, _ in self.shared},
        )

    def _sub(self, sender: str) -> SubSpace:
        texts = {key: text for (who, key), text in self.shared.items() if who == sender}
        return SubSpace(None, {key: StoredSecret(self._box(text)) for key, text in texts.items()})

    def _box(self, text: str) -> Box:
        return seal_box(self.reader, text.encode())

    def _sealed(self, value: Any) -> Any:
        return seal_box(self.reader, canonical.encode(value).encode()).to_json()

    def forged(self, content: bytes) -> str:
        """An envelope as the original client writes it, which anybody can."""
        return json.dumps(seal_box(self.reader, content).to_json())


@pytest.fixture
def liar(alice: Client, wire: Any) -> Liar:
    """The service as Alice meets it."""
    one = Liar(alice.node_id)
    wire.always("*", one)
    return one


@pytest.fixture
def signer() -> Identity:
    """Somebody who shares with Alice."""
    return Identity.generate()


def shared_by(signer: Identity, reader: str, secret_id: str, content: bytes, at: int) -> str:
    """An honest envelope."""
    address = Address("shared", signer.node_id, reader, secret_id)
    return seal_envelope(signer, address, content, at)


async def listed_problem(view: View, secret_id: str) -> type[Exception] | None:
    """What the listing says is wrong with an own secret."""
    await view.refresh(0)
    problem = view.own()[secret_id].problem
    return None if problem is None else type(problem)


# --- signatures -------------------------------------------------------------------------------


async def test_a_swapped_own_secret_is_refused(
    alice: Client, alices_view: View, liar: Liar
) -> None:
    """A swapped own secret is refused."""
    await alice.set_secret("a", "text of a")
    await alice.set_secret("b", "text of b")
    liar.own["a"] = liar.own["b"]
    with pytest.raises(errors.SignatureMismatch):
        await alice.get_secret("a")
    with pytest.raises(errors.SignatureMismatch):
        await alices_view.read_own("a")
    assert await listed_problem(alices_view, "a") is errors.SignatureMismatch
    assert await listed_problem(alices_view, "b") is None


async def test_an_altered_envelope_is_refused(alice: Client, liar: Liar) -> None:
    """An altered envelope is refused."""
    await alice.set_secret("a", "text of a")
    for name in ("signedAt", "encryptedContentHex", "sender"):
        wire = json.loads(liar.envelopes["a"])
        wire[name] = wire[name] + 1 if name == "signedAt" else wire[name][::-1]
        liar.own["a"] = json.dumps(wire)
        with pytest.raises(errors.SignatureMismatch):
            await alice.get_secret("a")


async def test_a_secret_under_another_sender_is_refused(
    alice: Client, alices_view: View, liar: Liar, signer: Identity
) -> None:
    """A secret under another sender is refused."""
    text = shared_by(signer, alice.node_id, "id", b"text", 1)
    other = Identity.generate().node_id
    liar.shared[other, "id"] = text
    with pytest.raises(errors.SignatureMismatch):
        await alice.get_secret_from(other, "id")
    with pytest.raises(errors.SignatureMismatch):
        await alices_view.read_from(other, "id")


async def test_a_secret_shared_with_another_is_refused(
    alice: Client, alices_view: View, liar: Liar, signer: Identity
) -> None:
    """A secret shared with another is refused."""
    liar.shared[signer.node_id, "id"] = shared_by(
        signer, Identity.generate().node_id, "id", b"text", 1
    )
    with pytest.raises(errors.SignatureMismatch):
        await alices_view.read_from(signer.node_id, "id")


async def test_nonsense_is_a_problem_of_its_own(alices_view: View, liar: Liar) -> None:
    """Nonsense is a problem of its own."""
    liar.own["good"] = liar.forged(b"text")
    liar.own["bad"] = '{"referencePointHex":"00","encryptedContentHex":"00"}'
    await alices_view.refresh(0)
    assert alices_view.own()["good"].problem is None
    assert alices_view.own()["good"].size == 4
    assert isinstance(alices_view.own()["bad"].problem, errors.MalformedData)
    assert alices_view.own()["bad"].size is None
    with pytest.raises(errors.MalformedData):
        await alices_view.read_own("bad")


# --- unsigned content -------------------------------------------------------------------------


async def test_unsigned_content_is_read_and_marked(
    alice: Client, alices_view: View, liar: Liar
) -> None:
    """Unsigned content is read and marked."""
    liar.own["id"] = liar.forged(b"of the original")
    assert await alice.get_secret("id") == "of the original"
    reading = await alices_view.read_own("id")
    assert reading.content == b"of the original"
    assert reading.version.sender is None
    assert reading.version.signed_at is None


async def test_unsigned_content_is_refused_where_signatures_are_required(
    alice: Client, liar: Liar
) -> None:
    """Unsigned content is refused where signatures are required."""
    view = View(alice, require_signatures=RequireSignatures(own=True))
    liar.own["id"] = liar.forged(b"forged")
    with pytest.raises(errors.UnsignedSecret, match="--allow-unsigned"):
        await view.read_own("id")
    assert await listed_problem(view, "id") is errors.UnsignedSecret
    assert await alice.get_secret("id") == "forged"


async def test_a_client_can_require_signatures_too(
    make_client: Make, liar: Liar, signer: Identity
) -> None:
    """A client can require signatures too, and its view does as the client does."""
    strict = make_client(
        secret_key_hex="a1" * 32, require_signatures=RequireSignatures(own=True, shared=True)
    )
    liar.own["id"] = liar.forged(b"forged")
    liar.shared[signer.node_id, "id"] = liar.forged(b"forged")
    for call in (
        strict.get_secret,
        View(strict).read_own,
        lambda key: strict.get_secret_from(signer.node_id, key),
    ):
        with pytest.raises(errors.UnsignedSecret):
            await call("id")


async def test_unsigned_shared_content_is_refused_where_signatures_are_required(
    alice: Client, liar: Liar, signer: Identity
) -> None:
    """Unsigned shared content is refused where signatures are required."""
    view = View(alice, require_signatures=RequireSignatures(shared=True))
    liar.shared[signer.node_id, "id"] = liar.forged(b"forged")
    with pytest.raises(errors.UnsignedSecret, match="shared=False"):
        await view.read_from(signer.node_id, "id")


async def test_an_unsigned_copy_of_what_was_shared_is_refused(
    alice: Client, alices_view: View, liar: Liar
) -> None:
    """An unsigned copy of what was shared is refused."""
    node = "b1" * 32
    liar.own[f".smfs/sent/{node}/id"] = liar.forged(b"forged")
    with pytest.raises(errors.UnsignedSecret):
        await alices_view.read_sent(node, "id")


async def test_a_sender_who_was_seen_to_sign_does_not_stop(
    alice: Client, alices_view: View, liar: Liar, signer: Identity
) -> None:
    """A sender who was seen to sign does not stop."""
    liar.shared[signer.node_id, "a"] = shared_by(signer, alice.node_id, "a", b"text", 1)
    assert (await alices_view.read_from(signer.node_id, "a")).version.sender == signer.node_id
    liar.shared[signer.node_id, "b"] = liar.forged(b"forged")
    with pytest.raises(errors.UnsignedSecret):
        await alices_view.read_from(signer.node_id, "b")
    with pytest.raises(errors.UnsignedSecret):
        await alice.get_secret_from(signer.node_id, "b")


async def test_an_own_secret_that_was_signed_does_not_lose_its_signature(
    alice: Client, liar: Liar
) -> None:
    """An own secret that was signed does not lose its signature."""
    await alice.set_secret("id", "text")
    liar.own["id"] = liar.forged(b"forged")
    with pytest.raises(errors.UnsignedSecret):
        await alice.get_secret("id")


# --- time moves forward -----------------------------------------------------------------------


async def test_what_was_replaced_does_not_come_back(
    alice: Client, alices_view: View, liar: Liar
) -> None:
    """What was replaced does not come back."""
    await alice.set_secret("id", "old")
    old = liar.own["id"]
    await alice.set_secret("id", "new")
    new = liar.own["id"]
    liar.own["id"] = old
    with pytest.raises(errors.RolledBack):
        await alice.get_secret("id")
    with pytest.raises(errors.RolledBack):
        await alices_view.read_own("id")
    assert await listed_problem(alices_view, "id") is errors.RolledBack
    liar.own["id"] = new
    assert await alice.get_secret("id") == "new"
    assert await listed_problem(alices_view, "id") is None


async def test_what_is_listed_is_no_way_around(
    alice: Client, alices_view: View, liar: Liar
) -> None:
    """What is listed is no way around."""
    await alice.set_secret("id", "old")
    await alices_view.refresh(0)
    old = liar.own["id"]
    await alice.set_secret("id", "new")
    liar.own["id"] = old
    assert await listed_problem(alices_view, "id") is errors.RolledBack


async def test_what_was_deleted_does_not_come_back(alice: Client, liar: Liar, wire: Any) -> None:
    """What was deleted does not come back."""
    await alice.set_secret("id", "text")
    deleted = liar.own["id"]
    wire.always("/deleteSecret", _ok)
    await alice.delete_secret("id")
    liar.own["id"] = deleted
    with pytest.raises(errors.RolledBack):
        await alice.get_secret("id")


async def _ok(request: httpx.Request, _pass_on: Any) -> httpx.Response:
    return httpx.Response(200, json={"ok": True}, request=request)


async def test_another_service_has_versions_of_its_own(
    alice: Client, liar: Liar, wire: Any
) -> None:
    """What was replaced at one service may be the current version at another."""
    await alice.set_secret("id", "old")
    old = liar.own["id"]
    await alice.set_secret("id", "new")
    await alice.update_server_url("http://other.test")
    liar.own["id"] = old
    assert await alice.get_secret("id") == "old"


def test_the_history_does_not_grow_without_end() -> None:
    """Of very many versions only those are remembered that could pass for the current one."""
    history, address = History(), Address("own", "a", "a", "id")
    for number in range(3000):
        assert history.judge(UNSIGNED_IS_READ, address, f"unsigned {number}", None) is None
    for number in range(3000):
        at = number * ROLLBACK_MS // 100
        assert history.judge(UNSIGNED_IS_READ, address, f"signed {number}", at) is None
    assert len(history._trails[address].superseded) < 1000
    for number in range(2999):
        at = number * ROLLBACK_MS // 100
        found = history.judge(UNSIGNED_IS_READ, address, f"signed {number}", at)
        assert isinstance(found, errors.RolledBack)


async def test_what_is_much_older_than_the_newest_is_refused(
    alice: Client, alices_view: View, liar: Liar, signer: Identity
) -> None:
    """What is much older than the newest is refused."""
    now = 1_795_500_000_000
    for at in (now, now - ROLLBACK_MS):
        text = shared_by(signer, alice.node_id, "id", b"text", at)
        liar.shared[signer.node_id, "id"] = text
        assert (await alices_view.read_from(signer.node_id, "id")).version.signed_at == at
    liar.shared[signer.node_id, "id"] = shared_by(
        signer, alice.node_id, "id", b"text", now - ROLLBACK_MS - 1
    )
    with pytest.raises(errors.RolledBack):
        await alices_view.read_from(signer.node_id, "id")


async def test_signing_times_rise_though_the_clock_stands_still(alice: Client, clock: Any) -> None:
    """Signing times rise though the clock stands still."""
    times = []
    for _ in range(3):
        await alice.set_secret("id", "text")
        times.append((await alice.envelopes.own("id")).signed_at or 0)
    clock.now_ms -= 60_000
    await alice.set_secret("id", "text")
    times.append((await alice.envelopes.own("id")).signed_at or 0)
    assert times == sorted(set(times))


async def test_a_write_that_failed_makes_nothing_older(
    alice: Client, make_client: Make, wire: Any, faults: Any, clock: Any
) -> None:
    """A write that failed makes nothing older."""
    await make_client(secret_key_hex="a1" * 32).set_secret("id", "text")
    clock.now_ms += 10 * ROLLBACK_MS
    wire.always("/setSecret", faults.never_sent)
    with pytest.raises(errors.ServiceUnavailable):
        await alice.set_secret("id", "more")
    assert await alice.get_secret("id") == "text"


async def test_another_writer_with_a_slow_clock_is_no_rollback(
    alice: Client, make_client: Make, clock: Any
) -> None:
    """Another writer with a slow clock is no rollback."""
    twin = make_client(secret_key_hex="a1" * 32, now=lambda: clock() - 60_000)
    await alice.set_secret("id", "first")
    await twin.set_secret("id", "second")
    assert await alice.get_secret("id") == "second"
    await alice.set_secret("id", "third")
    assert await twin.get_secret("id") == "third"


async def test_an_answer_that_a_write_went_past_is_no_rollback(
    alice: Client, wire: Any, faults: Any
) -> None:
    """An answer that a write went past is no rollback."""
    await alice.set_secret("id", "old")
    assert await alice.get_secret("id") == "old"

    async def write() -> None:
        await alice.set_secret("id", "new")

    wire.next("/getSecret", faults.after(write))
    assert await alice.get_secret("id") == "new"
    assert await alice.get_secret("id") == "new"


async def test_an_answer_that_another_read_went_past_hides_nothing(
    alice: Client, make_client: Make, wire: Any, faults: Any
) -> None:
    """An answer that another read went past hides nothing."""
    twin = make_client(secret_key_hex="a1" * 32)
    await twin.set_secret("id", "old")

    async def change_and_read() -> None:
        await twin.set_secret("id", "new")
        assert await alice.get_secret("id") == "new"

    wire.next("/getSecret", faults.after(change_and_read))
    assert await alice.get_secret("id") == "new"
    assert await alice.get_secret("id") == "new"


async def test_a_consumed_secret_does_not_come_back(
    alice: Client, bob: Client, alices_view: View, wire: Any
) -> None:
    """A consumed secret does not come back."""
    await alice.accept_secrets_from(bob)
    await bob.share_secret_to(alice, "id", "once", one_time=True)
    await alices_view.refresh(0)
    box = alices_view.senders()[bob.id].secrets["id"].box
    assert box is not None
    assert (await alices_view.consume(bob.id, "id")).content == b"once"
    listing = SubSpace(None, {"id": StoredSecret(box, is_one_time=True)})
    text = canonical.encode(listing.to_wire(alice.node_id, bob.id))

    async def replay(request: httpx.Request, _pass_on: Any) -> httpx.Response:
        body = seal_box(alice.node_id, text.encode()).to_json()
        return httpx.Response(200, json=body, headers=receipt(request), request=request)

    wire.always("/getSubSpace", replay)
    with pytest.raises(errors.RolledBack):
        await alices_view.consume(bob.id, "id")
    assert wire.count("/getSecretFrom") == 1


async def test_a_listing_of_somebody_else_is_no_listing(
    alice: Client, wire: Any, faults: Any
) -> None:
    """A listing of somebody else is no listing."""
    box = seal_box(Identity.generate().node_id, b"{}")
    wire.always("*", faults.answers(200, json.dumps(box.to_json()).encode()))
    with pytest.raises(errors.ServiceUnavailable):
        await alice.get_secret_space()
