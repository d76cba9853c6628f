"""What the client offers, against a running service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

import smfs
from smfs import errors
from smfs.client.client import Client, create_client
from smfs.protocol.requests import AUTH_CODE_OPEN_SPACE

pytestmark = pytest.mark.anyio

Make = Callable[..., Client]


async def test_a_client_without_keys_makes_some_and_opens_its_space(
    make_client: Make, wire: Any
) -> None:
    """A client without keys makes some and opens its space."""
    client = make_client()
    assert await client.keys_ready is True
    assert wire.seen == []
    assert await client.ready is True
    assert await client.ready is True
    assert wire.seen == ["/openSecretSpace"]
    await client.set_secret("id", "text")
    assert await client.get_secret("id") == "text"


async def test_known_keys_send_nothing_before_the_first_use(make_client: Make, wire: Any) -> None:
    """Known keys send nothing before the first use."""
    client = make_client(secret_key_hex="11" * 32)
    assert await client.ready is True
    assert wire.seen == []


async def test_known_keys_whose_space_is_missing_open_it_and_go_on(
    alice: Client, wire: Any
) -> None:
    """Known keys whose space is missing open it and go on."""
    await alice.set_secret("id", "text")
    assert wire.seen == ["/setSecret", "/openSecretSpace", "/setSecret"]


async def test_calls_at_the_same_time_open_a_missing_space_once(alice: Client, wire: Any) -> None:
    """Calls at the same time open a missing space once."""
    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(alice.set_secret, str(number), "text")
    assert wire.count("/openSecretSpace") == 1
    assert len((await alice.get_secret_space()).secrets) == 10


async def test_keys_with_a_code_open_the_space_first(make_client: Make, wire: Any) -> None:
    """Keys with a code open the space first."""
    client = make_client(secret_key_hex="11" * 32, auth_code=AUTH_CODE_OPEN_SPACE)
    await client.set_secret("id", "text")
    assert wire.seen == ["/openSecretSpace", "/setSecret"]


async def test_a_wrong_code_fails_every_call_with_the_same_error(
    make_client: Make, wire: Any
) -> None:
    """A wrong code fails every call with the same error."""
    client = make_client(secret_key_hex="11" * 32, auth_code="00" * 32)
    for call in (client.ready, client.get_secret("id"), client.set_secret("id", "text")):
        with pytest.raises(errors.InvalidAuthCode):
            await call
    assert wire.count("/openSecretSpace") == 1


def test_a_public_key_that_does_not_fit_is_refused_at_once() -> None:
    """A public key that does not fit is refused at once."""
    with pytest.raises(errors.InvalidKey):
        create_client("http://x", "11" * 32, "22" * 32)


def test_a_public_key_alone_is_refused_at_once() -> None:
    """A public key alone is refused at once."""
    with pytest.raises(errors.InvalidKey):
        create_client("http://x", None, "22" * 32)


@pytest.mark.parametrize("key", ["", "11" * 31, "zz" * 32, b"1" * 31, 5])
def test_a_malformed_key_is_refused_and_not_shown(key: Any) -> None:
    """A malformed key is refused and not shown."""
    with pytest.raises(errors.InvalidKey) as caught:
        create_client("http://x", key)
    assert not key or str(key) not in str(caught.value)


@pytest.mark.parametrize("form", ["hex", "prefixed", "capitals", "bytes"])
def test_keys_are_taken_in_every_form_of_the_original(form: str) -> None:
    """Keys are taken in every form of the original."""
    seed = bytes(range(32))
    given: Any = {
        "hex": seed.hex(),
        "prefixed": "0x" + seed.hex(),
        "capitals": seed.hex().upper(),
        "bytes": seed,
    }[form]
    client = create_client("http://x/", given)
    assert client.secret_key_hex == seed.hex()
    assert client.id == client.node_id == client.public_key_hex
    assert client.server_url == "http://x"


def test_the_repr_shows_no_key_and_nothing_made_from_it() -> None:
    """The repr shows no key and nothing made from it."""
    client = create_client("http://x")
    for shown in (repr(client), str(client)):
        assert client.secret_key_hex not in shown
        assert client.node_id not in shown


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://x", "http://", "http://u:p@x", "http://x/?a", "http://x/#a", None, 5]
)
def test_an_address_that_is_none_is_refused(url: Any) -> None:
    """An address that is none is refused."""
    with pytest.raises(errors.InvalidInput):
        create_client(url)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "x",
        "123\n",
        "true",
        '{"a":1}',
        "null",
        "äöü 你好 🎉",
        "\0 a \0",
        "\ufeffx",
        "a" * 100_000,
    ],
)
async def test_text_comes_back_as_it_was_written(alice: Client, content: str) -> None:
    """Text comes back as it was written."""
    await alice.set_secret("id", content)
    assert await alice.get_secret("id") == content


async def test_content_that_is_no_text_comes_back_as_bytes(alice: Client) -> None:
    """Content that is no text comes back as bytes."""
    await alice.set_secret("id", bytes(range(256)))
    assert await alice.get_secret("id") == bytes(range(256))


async def test_bytes_that_are_text_come_back_as_text(alice: Client) -> None:
    """Bytes that are text come back as text."""
    await alice.set_secret("id", b"text")
    assert await alice.get_secret("id") == "text"


async def test_content_that_looks_like_an_envelope_is_content(alice: Client) -> None:
    """Content that looks like an envelope is content."""
    content = '{"referencePointHex":"00","encryptedContentHex":"00"}'
    await alice.set_secret("id", content)
    assert await alice.get_secret("id") == content


@pytest.mark.parametrize("secret", ["\ud800", 5, None, {"a": 1}])
async def test_what_is_no_content_is_refused(alice: Client, secret: Any) -> None:
    """What is no content is refused."""
    with pytest.raises(errors.InvalidInput):
        await alice.set_secret("id", secret)


@pytest.mark.parametrize(
    "secret_id", ["a/b.c d", "ключ", "\ud800", "a\0b", "0", "constructor", "__proto__", "🎉"]
)
async def test_any_text_is_an_id(alice: Client, secret_id: str) -> None:
    """Any text is an id."""
    await alice.set_secret(secret_id, "text")
    assert await alice.get_secret(secret_id) == "text"
    assert list((await alice.get_secret_space()).secrets) == [secret_id]
    await alice.delete_secret(secret_id)
    with pytest.raises(errors.SecretNotFound):
        await alice.get_secret(secret_id)


async def test_the_empty_id_is_refused(alice: Client) -> None:
    """The empty id is refused."""
    with pytest.raises(errors.NoSecretId):
        await alice.set_secret("", "text")


async def test_what_is_missing_is_not_found(alice: Client) -> None:
    """What is missing is not found."""
    for call in (alice.get_secret("nope"), alice.delete_secret("nope")):
        with pytest.raises(errors.SecretNotFound) as caught:
            await call
        assert caught.value.subject == "nope"


async def test_sharing(alice: Client, bob: Client) -> None:
    """Sharing."""
    await alice.accept_secrets_from(bob)
    await bob.share_secret_to(alice, "id", "for alice")
    assert await alice.get_secret_from(bob.id, "id") == "for alice"
    assert list((await alice.get_sub_space(bob)).secrets) == ["id"]
    await bob.delete_shared_secret(alice, "id")
    with pytest.raises(errors.SecretNotFound):
        await alice.get_secret_from(bob, "id")
    await alice.stop_accepting_secrets_from(bob)
    with pytest.raises(errors.NotAccepted):
        await bob.share_secret_to(alice, "id", "for alice")


async def test_who_is_not_accepted_cannot_share(alice: Client, bob: Client) -> None:
    """Who is not accepted cannot share."""
    await alice.set_secret("id", "text")
    with pytest.raises(errors.NotAccepted) as caught:
        await bob.share_secret_to(alice, "id", "for alice")
    assert caught.value.subject == bob.id


async def test_nobody_shares_with_who_has_no_space(alice: Client, bob: Client, wire: Any) -> None:
    """Nobody shares with who has no space."""
    with pytest.raises(errors.SpaceNotFound) as caught:
        await bob.share_secret_to(alice, "id", "for alice")
    assert caught.value.subject == alice.id
    assert "/openSecretSpace" not in wire.seen


async def test_a_one_time_secret_is_fetched_once(alice: Client, bob: Client) -> None:
    """A one-time secret is fetched once."""
    await alice.accept_secrets_from(bob)
    await bob.share_secret_to(alice, "id", "once", one_time=True)
    assert (await alice.get_sub_space(bob)).secrets["id"].is_one_time
    assert await alice.get_secret_from(bob, "id") == "once"
    with pytest.raises(errors.SecretNotFound):
        await alice.get_secret_from(bob, "id")


async def test_nobody_can_share_to_what_is_no_key(alice: Client) -> None:
    """Nobody can share to what is no key."""
    with pytest.raises(errors.InvalidPoint):
        await alice.share_secret_to("00" * 32, "id", "text")


async def test_closure_dates_close(alice: Client, bob: Client, clock: Any) -> None:
    """Closure dates close."""
    await alice.accept_secrets_from(bob, clock.now_ms + 1000)
    await bob.share_secret_to(alice, "id", "text")
    clock.now_ms += 2000
    with pytest.raises(errors.NotAccepted):
        await bob.share_secret_to(alice, "id", "text")


@pytest.mark.parametrize("date", ["+4hours", True, object()])
def test_a_closure_date_that_is_no_number_is_refused(date: Any) -> None:
    """A closure date that is no number is refused."""
    with pytest.raises(errors.InvalidInput):
        create_client("http://x", closure_date=date)


async def test_a_closure_date_gone_by_is_refused(alice: Client, bob: Client, clock: Any) -> None:
    """A closure date gone by is refused."""
    with pytest.raises(errors.ClosureDatePassed):
        await alice.accept_secrets_from(bob, clock.now_ms - 1)


async def test_an_erased_space_is_not_opened_again_by_itself(alice: Client) -> None:
    """An erased space is not opened again by itself."""
    await alice.set_secret("id", "text")
    await alice.erase_from_server()
    with pytest.raises(errors.SpaceNotFound):
        await alice.get_secret("id")


async def test_the_service_tells_its_id(alice: Client, service: Any) -> None:
    """The service tells its id."""
    assert await alice.get_server_id() == service.node_id
    with pytest.raises(errors.InvalidAuthCode):
        await alice.get_server_id("00" * 32)


async def test_an_auth_code_lets_another_in_once(alice: Client, make_client: Make) -> None:
    """An auth code lets another in once."""
    server = await alice.get_server_id()
    await alice.accept_secrets_from(server)
    await alice.generate_auth_code_for("openSecretSpace")
    code = await alice.get_secret_from(server, "openSecretSpaceAuthCode")
    assert isinstance(code, str)
    await make_client(secret_key_hex="c1" * 32, auth_code=code).ready
    with pytest.raises(errors.InvalidAuthCode):
        await make_client(secret_key_hex="c2" * 32, auth_code=code).ready


async def test_a_restart_with_a_used_code_finds_its_space(alice: Client, make_client: Make) -> None:
    """A restart with a used code finds its space."""
    server = await alice.get_server_id()
    await alice.accept_secrets_from(server)
    await alice.generate_auth_code_for("openSecretSpace")
    code = await alice.get_secret_from(server, "openSecretSpaceAuthCode")
    for _ in range(2):
        await make_client(secret_key_hex="c1" * 32, auth_code=code).ready


async def test_hooks(alice: Client) -> None:
    """Hooks."""
    await alice.set_secret("id", "text")
    hook = await alice.add_notification_hook("log", "secrets.id", "nonsense")
    assert (hook.type, hook.url) == ("log", "nonsense")
    assert hook.error is not None
    assert [one.id for one in await alice.get_notification_hooks("secrets.id")] == [hook.id]
    await alice.delete_notification_hook(hook.id)
    assert await alice.get_notification_hooks("secrets.id") == []
    with pytest.raises(errors.HookNotFound):
        await alice.delete_notification_hook(hook.id)
    with pytest.raises(errors.InvalidHookTarget):
        await alice.add_notification_hook("log", "elsewhere", "nonsense")


async def test_moving_opens_the_space_at_the_new_address(alice: Client, wire: Any) -> None:
    """Moving opens the space at the new address."""
    await alice.update_server_url("http://other.test/")
    assert alice.server_url == "http://other.test"
    assert wire.seen == ["/openSecretSpace"]


async def test_a_move_that_fails_changes_nothing(alice: Client, wire: Any, faults: Any) -> None:
    """A move that fails changes nothing."""
    await alice.set_secret("id", "text")
    wire.always("/openSecretSpace", faults.never_sent)
    with pytest.raises(errors.ServiceUnavailable):
        await alice.update_server_url("http://other.test")
    assert alice.server_url == "http://service.test"
    assert await alice.get_secret("id") == "text"


async def test_content_over_the_limit_is_refused_before_it_is_sent(
    alice: Client, wire: Any
) -> None:
    """Content over the limit is refused before it is sent."""
    found = await alice.discover()
    assert found is not None
    with pytest.raises(errors.TooLarge):
        await alice.set_secret("id", b"x" * (found.content_bytes + 1))
    assert "/setSecret" not in wire.seen
    await alice.set_secret("id", b"\xff" * found.content_bytes)
    assert await alice.get_secret("id") == b"\xff" * found.content_bytes


async def test_leaving_the_block_closes(make_client: Make) -> None:
    """Leaving the block closes."""
    async with make_client() as client:
        await client.set_secret("id", "text")


def test_the_package_hands_out_the_client_late() -> None:
    """The package hands out the client late."""
    assert smfs.create_client is create_client
    assert smfs.Client is Client
    assert issubclass(smfs.SecretNotFound, smfs.SmfsError)
    for name in smfs.__all__:
        assert getattr(smfs, name) is not None
    with pytest.raises(AttributeError):
        _ = smfs.nonsense  # type: ignore[attr-defined]
