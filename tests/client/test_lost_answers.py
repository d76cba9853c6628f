"""What was asked for is done once, though its answer is lost on the way."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from smfs import errors
from smfs.client.client import Client
from tests.client.conftest import Make

pytestmark = pytest.mark.anyio


async def test_a_write_whose_answer_is_lost_is_there_once(
    alice: Client, wire: Any, faults: Any
) -> None:
    """A write whose answer is lost is there once."""
    wire.next("/setSecret", faults.answer_lost)
    await alice.set_secret("id", "text")
    assert await alice.get_secret("id") == "text"


async def test_a_delete_whose_answer_is_lost_is_done(alice: Client, wire: Any, faults: Any) -> None:
    """A delete whose answer is lost is done."""
    await alice.set_secret("id", "text")
    wire.next("/deleteSecret", faults.answer_lost)
    await alice.delete_secret("id")
    with pytest.raises(errors.SecretNotFound):
        await alice.get_secret("id")


async def test_a_delete_that_finds_nothing_at_first_is_not_done(
    alice: Client, wire: Any, faults: Any
) -> None:
    """A delete that finds nothing at first is not done."""
    wire.next("/deleteSecret", faults.never_sent)
    with pytest.raises(errors.SecretNotFound):
        await alice.delete_secret("id")


async def test_a_denial_whose_answer_is_lost_is_done(
    alice: Client, bob: Client, wire: Any, faults: Any
) -> None:
    """A denial whose answer is lost is done."""
    await alice.accept_secrets_from(bob)
    wire.next("/deleteSubSpace", faults.answer_lost)
    await alice.stop_accepting_secrets_from(bob)
    with pytest.raises(errors.NotAccepted):
        await alice.stop_accepting_secrets_from(bob)


async def test_an_un_sharing_whose_answer_is_lost_is_done(
    alice: Client, bob: Client, wire: Any, faults: Any
) -> None:
    """An un-sharing whose answer is lost is done."""
    await alice.accept_secrets_from(bob)
    await bob.share_secret_to(alice, "id", "text")
    wire.next("/deleteSharedSecret", faults.answer_lost)
    await bob.delete_shared_secret(alice, "id")
    assert (await alice.get_sub_space(bob)).secrets == {}


async def test_an_opening_whose_answer_is_lost_is_done(
    make_client: Make, wire: Any, faults: Any
) -> None:
    """An opening whose answer is lost is done."""
    wire.next("/openSecretSpace", faults.answer_lost)
    await make_client().ready


async def test_an_opening_by_a_code_for_one_use_survives_a_lost_answer(
    alice: Client, make_client: Make, wire: Any, faults: Any
) -> None:
    """An opening by a code for one use survives a lost answer."""
    server = await alice.get_server_id()
    await alice.accept_secrets_from(server)
    await alice.generate_auth_code_for("openSecretSpace")
    code = await alice.get_secret_from(server, "openSecretSpaceAuthCode")
    wire.next("/openSecretSpace", faults.answer_lost)
    newcomer = make_client(secret_key_hex="c1" * 32, auth_code=code)
    await newcomer.set_secret("id", "text")
    assert await newcomer.get_secret("id") == "text"


async def test_a_one_time_secret_lost_on_the_way_is_no_missing_one(
    alice: Client, bob: Client, wire: Any, faults: Any
) -> None:
    """An original has no second answer, and the secret is gone."""
    wire.is_original = True
    await alice.accept_secrets_from(bob)
    await bob.share_secret_to(alice, "id", "once", one_time=True)
    wire.next("/getSecretFrom", faults.answer_lost)
    with pytest.raises(errors.ServiceUnavailable, match="lost"):
        await alice.get_secret_from(bob, "id")


@pytest.mark.parametrize("lost", [1, 2])
async def test_a_one_time_secret_whose_answer_is_lost_is_answered_again(
    alice: Client, bob: Client, wire: Any, faults: Any, lost: int
) -> None:
    """Our service keeps the answer for a while, for whoever asked for it."""
    await alice.accept_secrets_from(bob)
    await bob.share_secret_to(alice, "id", "once", one_time=True)
    wire.next("/getSecretFrom", faults.answer_lost, *[faults.request_lost] * (lost - 1))
    wire.next("/repeatSecretFrom", faults.answer_lost)
    assert await alice.get_secret_from(bob, "id") == "once"
    with pytest.raises(errors.SecretNotFound):
        await alice.get_secret_from(bob, "id")
    assert wire.count("/repeatSecretFrom") == 2


async def test_a_one_time_secret_whose_service_is_not_certain_is_answered_again(
    alice: Client, bob: Client, wire: Any
) -> None:
    """A 503 that does not say when to come back may have consumed it."""
    await alice.accept_secrets_from(bob)
    await bob.share_secret_to(alice, "id", "once", one_time=True)

    async def doubt(request: httpx.Request, pass_on: Any) -> httpx.Response:
        await pass_on(request)
        return httpx.Response(503, request=request)

    wire.next("/getSecretFrom", doubt)
    assert await alice.get_secret_from(bob, "id") == "once"
    assert wire.count("/repeatSecretFrom") == 1


async def test_what_somebody_else_consumed_is_gone(
    alice: Client, bob: Client, make_client: Make, wire: Any, faults: Any
) -> None:
    """An attempt that never arrived has consumed nothing, and the service knows it."""
    twin = make_client(secret_key_hex="a1" * 32)
    await alice.accept_secrets_from(bob)
    await bob.share_secret_to(alice, "id", "once", one_time=True)

    async def steal(request: httpx.Request, _pass_on: object) -> httpx.Response:
        assert await twin.get_secret_from(bob, "id") == "once"
        raise httpx.ReadError("the connection broke", request=request)

    wire.next("/getSecretFrom", steal)
    with pytest.raises(errors.SecretNotFound):
        await alice.get_secret_from(bob, "id")
    assert wire.count("/repeatSecretFrom") > 0


async def test_a_hook_whose_answer_is_lost_is_added_once(
    alice: Client, wire: Any, faults: Any
) -> None:
    """A hook whose answer is lost is added once."""
    await alice.set_secret("id", "text")
    wire.next("/addNotificationHook", faults.answer_lost)
    hook = await alice.add_notification_hook("log", "this", "nonsense")
    assert [one.id for one in await alice.get_notification_hooks("this")] == [hook.id]


async def test_a_hook_that_never_arrived_is_no_success(
    alice: Client, wire: Any, faults: Any
) -> None:
    """A hook that never arrived is no success."""
    await alice.set_secret("id", "text")
    wire.next("/addNotificationHook", faults.request_lost)
    with pytest.raises(errors.ServiceUnavailable):
        await alice.add_notification_hook("log", "this", "nonsense")
    assert await alice.get_notification_hooks("this") == []


async def test_a_hook_whose_removal_is_answered_in_vain_is_removed(
    alice: Client, wire: Any, faults: Any
) -> None:
    """A hook whose removal is answered in vain is removed."""
    await alice.set_secret("id", "text")
    hook = await alice.add_notification_hook("log", "this", "nonsense")
    wire.next("/deleteNotificationHook", faults.answer_lost)
    await alice.delete_notification_hook(hook.id)
    assert await alice.get_notification_hooks("this") == []
