"""What was replaced, deleted or consumed does not come back, whatever the clocks say."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from smfs import errors
from smfs.client.client import Client
from smfs.client.trust import ROLLBACK_MS, History
from smfs.client.versions import UNSIGNED_IS_READ
from smfs.client.view import View
from smfs.crypto.box import seal_box
from smfs.crypto.envelope import Address
from smfs.crypto.identity import Identity
from smfs.protocol import canonical
from smfs.protocol.spaces import StoredSecret, SubSpace
from tests.client.conftest import Make
from tests.client.liar import Liar, listed_problem, receipt, shared_by

pytestmark = pytest.mark.anyio


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
