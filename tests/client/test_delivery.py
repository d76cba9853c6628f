"""What becomes of requests and answers that get lost, come late, or are refused on the way."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from smfs import errors
from smfs.client import connection
from smfs.client.client import Client, create_client

pytestmark = pytest.mark.anyio

Passing = Callable[[httpx.Request], Awaitable[httpx.Response]]
Make = Callable[..., Client]


async def test_what_was_never_sent_is_sent_again(alice: Client, wire: Any, faults: Any) -> None:
    """What was never sent is sent again."""
    await alice.set_secret("id", "text")
    wire.next("/getSecret", faults.never_sent, faults.never_sent)
    assert await alice.get_secret("id") == "text"
    assert wire.count("/getSecret") == 3


async def test_a_service_that_is_away_is_told_after_a_few_attempts(
    alice: Client, wire: Any, faults: Any
) -> None:
    """A service that is away is told after a few attempts."""
    wire.always("*", faults.never_sent)
    with pytest.raises(errors.ServiceUnavailable) as caught:
        await alice.get_secret("id")
    assert not isinstance(caught.value, errors.DeadlineExceeded)
    assert wire.count("/getSecret") == 4


async def test_what_may_have_arrived_is_made_again_byte_for_byte(
    alice: Client, wire: Any, faults: Any
) -> None:
    """So that it cannot be carried out once more later; only then it is signed anew."""
    await alice.set_secret("id", "text")
    bodies = []

    async def watch(request: httpx.Request, pass_on: Passing) -> httpx.Response:
        bodies.append(json.loads(request.content))
        if len(bodies) == 1:
            await faults.answer_lost(request, pass_on)
        return await pass_on(request)

    wire.always("/setSecret", watch)
    await alice.set_secret("id", "more")
    assert [bodies[0] == body for body in bodies] == [True, True, False]
    assert bodies[1]["nonce"] != bodies[2]["nonce"]
    assert bodies[1]["secret"] == bodies[2]["secret"]


async def test_every_attempt_to_read_is_signed_anew(alice: Client, wire: Any, faults: Any) -> None:
    """The same bytes would only be refused."""
    await alice.set_secret("id", "text")
    wire.next("/getSecret", faults.answer_lost, faults.answer_lost)
    assert await alice.get_secret("id") == "text"
    assert wire.count("/getSecret") == 3


@pytest.mark.parametrize("change", ["write", "delete", "share", "un-share", "deny"])
async def test_what_arrives_late_undoes_nothing_that_came_after(
    alice: Client, bob: Client, wire: Any, faults: Any, change: str
) -> None:
    """A request that hung on the way and was given up is carried out before the next, or never."""
    await alice.accept_secrets_from(bob)
    await bob.share_secret_to(alice, "id", "shared")
    await alice.set_secret("id", "own")
    calls: dict[str, tuple[str, Callable[[], Awaitable[None]]]] = {
        "write": ("/setSecret", lambda: alice.set_secret("id", "late")),
        "delete": ("/deleteSecret", lambda: alice.delete_secret("id")),
        "share": ("/shareSecretTo", lambda: bob.share_secret_to(alice, "id", "late")),
        "un-share": ("/deleteSharedSecret", lambda: bob.delete_shared_secret(alice, "id")),
        "deny": ("/deleteSubSpace", lambda: alice.stop_accepting_secrets_from(bob)),
    }
    path, late = calls[change]
    on_the_way = []

    async def hold_back(request: httpx.Request, _: Passing) -> httpx.Response:
        on_the_way.append(request)
        raise httpx.ReadError("the connection broke", request=request)

    wire.always(path, hold_back)
    with pytest.raises(errors.ServiceUnavailable):
        await late()
    wire.mend()

    await alice.set_secret("id", "new")
    await alice.accept_secrets_from(bob)
    await bob.share_secret_to(alice, "id", "new")
    assert len({request.content for request in on_the_way}) == 1
    refused = await wire.inner.handle_async_request(on_the_way[0])
    assert refused.status_code == 401
    assert await alice.get_secret("id") == "new"
    assert await alice.get_secret_from(bob, "id") == "new"


async def test_an_answer_to_another_request_is_none(alice: Client, wire: Any) -> None:
    """A service of ours says what it answers; without that, nothing was done."""
    await alice.discover()
    await alice.set_secret("id", "before")
    answers: list[httpx.Response] = []

    async def answer_the_first(request: httpx.Request, pass_on: Passing) -> httpx.Response:
        if not answers:
            answers.append(await pass_on(request))
        kept = answers[0]
        return httpx.Response(200, headers=kept.headers, content=kept.content, request=request)

    wire.always("/setSecret", answer_the_first)
    await alice.set_secret("id", "text")
    with pytest.raises(errors.ServiceUnavailable, match="another request"):
        await alice.set_secret("id", "more")


@pytest.mark.parametrize("body", [b"{}", b"[]", b"null", b'{"ok":false}', b'"ok"'])
async def test_only_a_plain_yes_says_that_something_was_done(
    alice: Client, wire: Any, faults: Any, body: bytes
) -> None:
    """From an original too."""
    wire.is_original = True
    await alice.set_secret("id", "text")
    wire.always("/setSecret", faults.answers(200, body))
    with pytest.raises(errors.ServiceUnavailable):
        await alice.set_secret("id", "more")


async def test_a_service_that_hangs_ends_in_a_deadline(
    make_client: Make, wire: Any, faults: Any
) -> None:
    """A service that hangs ends in a deadline."""
    client = make_client(secret_key_hex="a1" * 32, deadline=0.2)
    wire.always("*", faults.hangs)
    began = anyio.current_time()
    with pytest.raises(errors.DeadlineExceeded):
        await client.get_secret("id")
    assert anyio.current_time() - began < 2


async def test_one_lost_packet_does_not_use_up_the_deadline(
    make_client: Make, wire: Any, faults: Any
) -> None:
    """One lost packet does not use up the deadline."""
    client = make_client(secret_key_hex="a1" * 32, deadline=1)
    await client.set_secret("id", "text")
    wire.next("/getSecret", faults.hangs)
    assert await client.get_secret("id") == "text"


async def test_the_opening_of_the_space_counts_towards_the_deadline(
    make_client: Make, wire: Any, faults: Any
) -> None:
    """The opening of the space counts towards the deadline."""
    client = make_client(secret_key_hex="a1" * 32, deadline=0.2)
    wire.always("/openSecretSpace", faults.hangs)
    began = anyio.current_time()
    with pytest.raises(errors.DeadlineExceeded):
        await client.get_secret("id")
    assert anyio.current_time() - began < 2


async def test_many_who_wait_for_a_hanging_service_wait_one_deadline(
    make_client: Make, wire: Any, faults: Any
) -> None:
    """Many who wait for a hanging service wait one deadline."""
    client = make_client(deadline=0.2)
    wire.always("*", faults.hangs)
    refused = []

    async def call() -> None:
        with pytest.raises(errors.ServiceUnavailable):
            await client.get_secret("id")
        refused.append(anyio.current_time())

    began = anyio.current_time()
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(call)
    assert len(refused) == 20
    assert max(refused) - began < 2


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_service_is_asked_later(
    alice: Client, wire: Any, faults: Any, status: int
) -> None:
    """A busy service is asked later."""
    await alice.set_secret("id", "text")
    busy = faults.answers(status, headers={"retry-after": "0"})
    wire.next("/getSecret", *[busy] * 6)
    assert await alice.get_secret("id") == "text"
    assert wire.count("/getSecret") == 7


async def test_a_service_busy_for_longer_than_the_deadline_is_told_at_once(
    alice: Client, wire: Any, faults: Any
) -> None:
    """A service busy for longer than the deadline is told at once."""
    wire.always("*", faults.answers(429, headers={"retry-after": "3600"}))
    with pytest.raises(errors.ServiceBusy):
        await alice.get_secret("id")
    assert wire.count("/getSecret") == 1


async def test_a_service_that_stays_busy_is_told_at_the_deadline(
    make_client: Make, wire: Any, faults: Any
) -> None:
    """A service that stays busy is told at the deadline."""
    wire.always("*", faults.answers(503))
    with pytest.raises(errors.ServiceBusy):
        await make_client(secret_key_hex="a1" * 32, deadline=0.3).get_secret("id")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, errors.ServiceUnavailable),
        (400, errors.BadRequest),
        (401, errors.AuthenticationFailed),
        (404, errors.UnknownRoute),
        (413, errors.TooLarge),
        (415, errors.UnsupportedMedia),
        (418, errors.ServiceUnavailable),
        (500, errors.ServiceUnavailable),
        (502, errors.ServiceUnavailable),
    ],
)
async def test_every_status_is_an_error_of_ours(
    alice: Client, wire: Any, faults: Any, status: int, kind: type[Exception]
) -> None:
    """Every status is an error of ours."""
    wire.always("*", faults.answers(status, b"<html>", {"location": "http://elsewhere.test"}))
    with pytest.raises(kind):
        await alice.get_secret("id")


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b'"text"', b"[]", b"{}", b"null"])
async def test_an_answer_that_is_none_means_that_no_service_is_there(
    alice: Client, wire: Any, faults: Any, body: bytes
) -> None:
    """An answer that is none means that no service is there."""
    wire.always("*", faults.answers(200, body))
    for call in (alice.get_secret, alice.get_sub_space, alice.get_notification_hooks):
        with pytest.raises(errors.ServiceUnavailable):
            await call("a1" * 32)


async def test_words_that_nobody_knows_are_a_plain_refusal(
    alice: Client, wire: Any, faults: Any
) -> None:
    """Words that nobody knows are a plain refusal."""
    wire.always("*", faults.answers(200, b'{"error":"moon phase"}'))
    with pytest.raises(errors.ServiceError, match="moon phase") as caught:
        await alice.get_secret("id")
    assert type(caught.value) is errors.ServiceError


@pytest.mark.parametrize("words", ["Invalid AuthCode!", "No new anonymous clients are accepted!"])
async def test_both_refusals_of_newcomers_mean_the_same(
    make_client: Make, wire: Any, faults: Any, words: str
) -> None:
    """Both refusals of newcomers mean the same."""
    text = json.dumps({"error": f"Error on authenticateRequest! {words}"})
    wire.always("/openSecretSpace", faults.answers(401, text.encode()))
    with pytest.raises(errors.InvalidAuthCode):
        await make_client().get_secret("id")


# --- lost answers -----------------------------------------------------------------------------


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


# --- replays ----------------------------------------------------------------------------------


async def test_a_request_that_something_sent_twice_is_signed_anew(
    alice: Client, wire: Any, faults: Any
) -> None:
    """A request that something sent twice is signed anew."""
    await alice.set_secret("id", "text")
    wire.next("/deleteSecret", faults.carried_out_twice)
    await alice.delete_secret("id")
    with pytest.raises(errors.SecretNotFound):
        await alice.get_secret("id")


async def test_a_service_that_takes_everything_for_a_replay_is_told(
    alice: Client, wire: Any, faults: Any
) -> None:
    """A service that takes everything for a replay is told."""
    body = b'{"error":"Error on authenticateRequest! Multiple use of signature detected!"}'
    wire.always("*", faults.answers(401, body))
    with pytest.raises(errors.ReplayRefused):
        await alice.get_secret("id")
    assert wire.count("/getSecret") == 3


async def test_a_restarted_client_is_no_replay(make_client: Make) -> None:
    """A restarted client is no replay."""
    for _ in range(20):
        client = make_client(secret_key_hex="a1" * 32)
        await client.set_secret("id", "text")
        assert await client.get_secret("id") == "text"


# --- time -------------------------------------------------------------------------------------

_A_DAY_MS = 86_400_000


@pytest.mark.parametrize("off", [_A_DAY_MS, -_A_DAY_MS])
async def test_a_wrong_clock_is_learnt_from_discovery(
    make_client: Make, wire: Any, clock: Any, off: int
) -> None:
    """A wrong clock is learnt from discovery."""
    client = make_client(secret_key_hex="a1" * 32, now=lambda: clock() + off)
    await client.set_secret("id", "text")
    assert await client.get_secret("id") == "text"
    assert wire.count("/.well-known/smfs") == 1
    assert wire.count("/getSecret") == 1


async def test_a_wrong_clock_is_learnt_from_the_date_of_the_refusal(
    make_client: Make, wire: Any, clock: Any
) -> None:
    """A wrong clock is learnt from the date of the refusal."""
    wire.is_original = True
    client = make_client(secret_key_hex="a1" * 32, now=lambda: clock() + _A_DAY_MS)

    async def dated(request: httpx.Request, pass_on: Passing) -> httpx.Response:
        response = await pass_on(request)
        response.headers["date"] = "Mon, 24 Nov 2025 00:00:00 GMT"
        return response

    clock.now_ms = 1_763_942_400_000
    wire.always("/setSecret", dated)
    await client.set_secret("id", "text")
    assert await client.get_secret("id") == "text"


async def test_a_service_that_tells_no_time_keeps_its_refusal(
    make_client: Make, wire: Any, clock: Any
) -> None:
    """A service that tells no time keeps its refusal."""
    wire.is_original = True
    client = make_client(secret_key_hex="a1" * 32, now=lambda: clock() + _A_DAY_MS)
    with pytest.raises(errors.TimestampRefused):
        await client.get_secret("id")


async def test_what_was_learnt_does_not_change_what_is_signed(
    make_client: Make, clock: Any
) -> None:
    """What was learnt does not change what is signed."""
    client = make_client(secret_key_hex="a1" * 32, now=lambda: clock() + _A_DAY_MS)
    await client.set_secret("id", "text")
    stored = await client.envelopes.own("id")
    assert stored.signed_at == clock() + _A_DAY_MS


# --- originals --------------------------------------------------------------------------------


async def test_who_has_no_discovery_is_an_original(alice: Client, wire: Any) -> None:
    """Who has no discovery is an original."""
    wire.is_original = True
    assert await alice.discover() is None
    assert await alice.discover() is None
    assert wire.count("/.well-known/smfs") == 1


@pytest.mark.parametrize("body", [b"<html>hello", b"{}", b"[]", b'{"smfs":2}'])
async def test_a_page_at_that_address_is_no_discovery(
    alice: Client, wire: Any, faults: Any, body: bytes
) -> None:
    """A page at that address is no discovery."""
    wire.always("/.well-known/smfs", faults.answers(200, body))
    assert await alice.discover() is None


async def test_who_seems_an_original_is_asked_again_after_a_minute(
    alice: Client, wire: Any, faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have been the page of a network that wants a password first."""
    wire.always("/.well-known/smfs", faults.answers(200, b"<html>Welcome"))
    assert await alice.discover() is None
    wire.mend()
    assert await alice.discover() is None
    monkeypatch.setattr(connection, "_ORIGINAL_S", 0)
    assert await alice.discover() is not None


async def test_a_service_that_is_away_is_not_taken_for_an_original(
    alice: Client, wire: Any, faults: Any
) -> None:
    """A service that is away is not taken for an original."""
    wire.always("*", faults.never_sent)
    with pytest.raises(errors.ServiceUnavailable):
        await alice.discover()
    wire.mend()
    assert await alice.discover() is not None


async def test_ids_that_break_an_original_are_not_sent_there(alice: Client, wire: Any) -> None:
    """Ids that break an original are not sent there."""
    wire.is_original = True
    for call in (
        alice.set_secret("constructor", "text"),
        alice.get_secret("__proto__"),
        alice.delete_secret("toString"),
        alice.share_secret_to("b1" * 32, "valueOf", "text"),
    ):
        with pytest.raises(errors.UnsafeSecretId):
            await call
    assert set(wire.seen) == {"/.well-known/smfs"}


async def test_an_original_is_not_asked_to_un_share(alice: Client, bob: Client, wire: Any) -> None:
    """An original is not asked to un-share."""
    wire.is_original = True
    await alice.accept_secrets_from(bob)
    await bob.share_secret_to(alice, "id", "text")
    with pytest.raises(errors.UnsupportedByService):
        await bob.delete_shared_secret(alice, "id")
    assert "/deleteSharedSecret" not in wire.seen
    await bob.delete_shared_secret(alice, "id", force=True)
    assert "/deleteSharedSecret" in wire.seen


@pytest.mark.parametrize("content", [b"a" * 49_001, b"\xff" * 36_001])
async def test_content_too_large_for_an_original_is_not_sent(
    alice: Client, wire: Any, content: bytes
) -> None:
    """Content too large for an original is not sent."""
    wire.is_original = True
    with pytest.raises(errors.TooLarge):
        await alice.set_secret("id", content)
    assert "/setSecret" not in wire.seen


@pytest.mark.parametrize("content", [b"a" * 49_000, b"\xff" * 36_000])
async def test_content_of_the_limit_fits_into_an_original(
    alice: Client, wire: Any, content: bytes
) -> None:
    """Content of the limit fits into an original."""
    wire.is_original = True
    lengths = []

    async def measure(request: httpx.Request, pass_on: Passing) -> httpx.Response:
        lengths.append(len(request.content))
        return await pass_on(request)

    wire.always("/setSecret", measure)
    await alice.set_secret("i" * 250, content)
    assert max(lengths) <= 102_400


# --- cancellation and closing -----------------------------------------------------------------


async def test_a_cancelled_call_leaves_the_client_usable(
    alice: Client, wire: Any, faults: Any
) -> None:
    """A cancelled call leaves the client usable."""
    await alice.set_secret("id", "text")
    wire.next("/getSecret", faults.hangs)
    with anyio.move_on_after(0.05) as scope:
        await alice.get_secret("id")
    assert scope.cancelled_caught
    assert await alice.get_secret("id") == "text"


async def test_nobody_listens_on_a_closed_port() -> None:
    """Nobody listens on a closed port."""
    async with create_client("http://127.0.0.1:1", "a1" * 32) as client:
        with pytest.raises(errors.ServiceUnavailable):
            await client.get_secret("id")


async def test_errors_carry_no_request(alice: Client, wire: Any, faults: Any) -> None:
    """Errors carry no request."""
    await alice.set_secret("id", "text")
    wire.always("/setSecret", faults.answer_lost)
    with pytest.raises(errors.ServiceUnavailable) as caught:
        await alice.set_secret("id", "canary-7351")
    assert caught.value.__cause__ is None
    assert "canary-7351" not in repr(caught.value)
