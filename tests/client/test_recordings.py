"""The recordings of the original: its answers are understood, its requests are ours."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from smfs import errors
from smfs.client.client import Client, create_client
from smfs.client.session import Session
from smfs.client.view import View

pytestmark = pytest.mark.anyio

_NAMED = {
    "SecretSpace for": errors.SpaceNotFound,
    "Secret with secretId": errors.SecretNotFound,
    "There is no SubSpace": errors.NotAccepted,
    "No secretId provided": errors.NoSecretId,
    "ClosureDate has already passed": errors.ClosureDatePassed,
    "Updating the closureDate": errors.ClosureDateFixed,
    "targetId is corrupted": errors.InvalidHookTarget,
    "notificationHookIds": errors.HookNotFound,
    "Invalid AuthCode": errors.InvalidAuthCode,
    "Multiple use of signature": errors.ReplayRefused,
    "Cannot convert undefined": errors.SecretNotFound,
    "expected number": errors.BadRequest,
    "Neither a number nor null": errors.BadRequest,
    "Payload Too Large": errors.TooLarge,
}


def answering(status: int, body: str, path: str | None = None) -> httpx.MockTransport:
    """Something that gives one recorded answer to everything."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/.well-known/smfs":
            return httpx.Response(404)
        assert path in (None, request.url.path)
        return httpx.Response(status, content=body.encode())

    return httpx.MockTransport(answer)


def client_of(keys: dict[str, str], transport: httpx.AsyncBaseTransport) -> Client:
    """A client with recorded keys."""
    return create_client(
        "http://original.test", keys["secretKeyHex"], keys["publicKeyHex"], transport=transport
    )


async def test_what_the_original_client_wrote_is_read_as_text(
    vectors: Callable[[str], Any],
) -> None:
    """What the original client wrote is read as text."""
    cases = vectors("ciphertexts")["double"]
    assert cases
    for case in cases:
        body = json.dumps({k: case[k] for k in ("referencePointHex", "encryptedContentHex")})
        client = client_of(case, answering(200, body, "/getSecret"))
        assert await client.get_secret("id") == case["plaintext"], case["name"]


async def test_every_recorded_refusal_is_an_error_with_a_meaning(
    vectors: Callable[[str], Any],
) -> None:
    """Every recorded refusal is an error with a meaning."""
    refused = [one for one in vectors("exchanges")["exchanges"] if "clientError" in one]
    assert len(refused) > 30
    for one in refused:
        wanted = next(kind for words, kind in _NAMED.items() if words in one["responseBody"])
        transport = answering(one["status"], one["responseBody"])
        client = create_client("http://original.test", "a1" * 32, transport=transport)
        with pytest.raises(wanted):
            await client.get_secret("id")


async def test_the_recorded_space_is_read(vectors: Callable[[str], Any]) -> None:
    """The recorded space is read."""
    recorded = vectors("space")
    transport = answering(200, json.dumps(recorded["secretSpace"]["response"]))
    client = client_of(recorded["node"], transport)
    view = View(client)
    await view.refresh()
    shared = recorded["sharedPlaintexts"]
    assert {key: one.size for key, one in view.own().items()} == {
        key: len(text.encode()) for key, text in recorded["plaintexts"].items()
    }
    assert {
        node: {key: one.size for key, one in sender.secrets.items()}
        for node, sender in view.senders().items()
        if node in shared
    } == {node: {k: len(t.encode()) for k, t in texts.items()} for node, texts in shared.items()}


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("update_server_url", "openSecretSpace"),
        ("get_server_id", "getNodeId"),
        ("generate_auth_code_for", "createAuthCode"),
        ("get_secret_space", "getSecretSpace"),
        ("erase_from_server", "deleteSecretSpace"),
        ("set_secret", "setSecret"),
        ("get_secret", "getSecret"),
        ("delete_secret", "deleteSecret"),
        ("accept_secrets_from", "openSubSpace"),
        ("stop_accepting_secrets_from", "deleteSubSpace"),
        ("get_sub_space", "getSubSpace"),
        ("share_secret_to", "shareSecretTo"),
        ("get_secret_from", "getSecretFrom"),
        ("delete_shared_secret", "deleteSharedSecret"),
        ("add_notification_hook", "addNotificationHook"),
        ("get_notification_hooks", "getNotificationHooks"),
        ("delete_notification_hook", "deleteNotificationHook"),
    ],
)
async def test_requests_have_the_recorded_form(
    vectors: Callable[[str], Any], method: str, route: str
) -> None:
    """Requests have the recorded form."""
    recorded = next(
        one
        for one in vectors("exchanges")["exchanges"]
        if one["path"] == f"/{route}" and one["status"] == 200
    )
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(401, json={"error": "stop here"})

    client = create_client("http://original.test", "a1" * 32, transport=httpx.MockTransport(answer))
    with pytest.raises(errors.AuthenticationFailed):
        await _call(client, method)
    request = sent[-1]
    assert request.url.path == f"/{route}"
    assert request.headers["content-type"] == recorded["requestContentType"]
    mine, theirs = json.loads(request.content), json.loads(recorded["requestBody"])
    assert list(mine) == list(theirs)
    assert request.content == json.dumps(mine, separators=(",", ":")).encode()
    for key, value in mine.items():
        assert theirs[key] is None or value is None or type(value) is type(theirs[key])


async def _call(client: Client, method: str) -> None:
    given = {
        "server_url": "http://other.test",
        "from_id": client.node_id,
        "share_to_id": client.node_id,
        "shared_to_id": client.node_id,
        "hook_id": "00" * 16,
    }
    parameters = inspect.signature(getattr(client, method)).parameters.values()
    needed = [one.name for one in parameters if one.default is one.empty]
    options = {"force": True} if method == "delete_shared_secret" else {}
    await getattr(client, method)(*(given.get(name, name) for name in needed), **options)


async def test_the_session_signs_like_the_original(vectors: Callable[[str], Any]) -> None:
    """The session signs like the original."""
    keys = vectors("exchanges")["keys"]
    by_key = {one["publicKeyHex"]: one for one in keys.values()}
    compared = 0
    for one in vectors("exchanges")["exchanges"]:
        if one["path"] != "/getSecret" or one["status"] != 200:
            continue
        body = json.loads(one["requestBody"])
        sent = await _resent(by_key[body["publicKey"]], body)
        assert json.loads(sent.lower()) == json.loads(one["requestBody"].lower())
        compared += 1
    assert compared > 10


async def _resent(keys: dict[str, str], body: dict[str, Any]) -> bytes:
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return httpx.Response(401, json={"error": "stop here"})

    client = create_client(
        "http://original.test",
        keys["secretKeyHex"],
        transport=httpx.MockTransport(answer),
        now=lambda: body["timestamp"],
    )
    session: Session = client.envelopes.session
    session._nonces._next = body["nonce"]
    with pytest.raises(errors.AuthenticationFailed):
        await client.envelopes._ask_own(client.envelopes.own_address(body["secretId"]))
    return sent[0]
