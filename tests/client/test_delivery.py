"""What becomes of requests that get lost, come late, twice, or are refused on the way."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from smfs import errors
from smfs.client.client import Client, create_client
from tests.client.conftest import Make, Passing

pytestmark = pytest.mark.anyio


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


# --- replays --------------------------------------------------------------------------------------


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


# --- cancellation and closing ---------------------------------------------------------------------


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
