"""Whatever a service answers, the client returns something or raises an error of ours."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smfs.client.client import Client, create_client
from smfs.client.view import View
from smfs.crypto.box import seal_box
from smfs.errors import SmfsError

NODE: Final = "ab" * 32

_KEYS = st.sampled_from(
    [
        *("error", "ok", "id", "type", "url", "lastNotification", "time", "notificationHooks"),
        *("meta", "secrets", "subSpaces", "secret", "isOneTime", "closureDate", "owner"),
        *("referencePointHex", "encryptedContentHex", "serverNodeId", "timestamp", "signature"),
        *("smfs", "nodeId", "limits", "contentBytes", "bodyBytes", "features", NODE),
    ]
)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["ab" * 16, NODE, "00" * 64, 1e400])
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_KEYS | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=12,
)
_SECRETS = st.dictionaries(st.text(max_size=4), _VALUES, max_size=3)
_SUB_SPACES = st.fixed_dictionaries(
    {"meta": st.fixed_dictionaries({"closureDate": _LEAVES}), "secrets": _SECRETS}
)
_SPACES = st.fixed_dictionaries(
    {
        "meta": st.fixed_dictionaries({"id": st.just(NODE), "closureDate": st.none()}),
        "secrets": _SECRETS,
        "subSpaces": st.dictionaries(st.just(NODE), _SUB_SPACES, max_size=1),
    }
)

Call = Callable[[Client], Awaitable[object]]

_CALLS: Final[dict[str, Call]] = {
    "ready": lambda client: client._ready(),
    "discover": lambda client: client.discover(),
    "get_server_id": lambda client: client.get_server_id(),
    "get_secret": lambda client: client.get_secret("id"),
    "get_secret_from": lambda client: client.get_secret_from(NODE, "id"),
    "get_secret_space": lambda client: client.get_secret_space(),
    "get_sub_space": lambda client: client.get_sub_space(NODE),
    "set_secret": lambda client: client.set_secret("id", "text"),
    "add_hook": lambda client: client.add_notification_hook("log", "this", "x"),
    "get_hooks": lambda client: client.get_notification_hooks("this"),
    "refresh": lambda client: View(client).refresh(0),
    "read_own": lambda client: View(client).read_own("id"),
    "consume": lambda client: View(client).consume(NODE, "id"),
    "accept": lambda client: View(client).accept(NODE, 7),
}


def _client(response: Callable[[], httpx.Response]) -> Client:
    transport = httpx.MockTransport(lambda _request: response())
    return create_client("http://liar.test", "a1" * 32, transport=transport, deadline=1)


def _run(call: Call, client: Client) -> None:
    async def main() -> None:
        try:
            await call(client)
        except SmfsError as error:
            str(error)

    anyio.run(main, backend="trio")


@pytest.mark.parametrize("name", _CALLS)
@settings(max_examples=40, deadline=None)
@given(status=st.sampled_from([200, 200, 200, 201, 302, 400, 401, 404, 413]), value=_VALUES)
def test_any_json_is_survived(name: str, status: int, value: Any) -> None:
    """Any JSON is survived."""
    body = json.dumps(value).replace("Infinity", "1e400").encode()
    _run(_CALLS[name], _client(lambda: httpx.Response(status, content=body)))


@pytest.mark.parametrize("name", _CALLS)
@settings(max_examples=15, deadline=None)
@given(status=st.sampled_from([200, 401]), body=st.binary(max_size=40), date=st.text(max_size=20))
def test_any_bytes_are_survived(name: str, status: int, body: bytes, date: str) -> None:
    """Any bytes are survived, with any date."""
    headers = [(b"date", date.encode("utf-8", "replace"))]
    _run(_CALLS[name], _client(lambda: httpx.Response(status, content=body, headers=headers)))


@pytest.mark.parametrize("name", ["get_secret_space", "get_sub_space", "refresh", "consume"])
@settings(max_examples=80, deadline=None)
@given(value=_SPACES | _SUB_SPACES | _VALUES)
def test_any_listing_is_survived(name: str, value: Any) -> None:
    """Whatever a listing holds below the service's encryption is survived."""
    text = json.dumps(value).replace("Infinity", "1e400").encode()

    def response() -> httpx.Response:
        return httpx.Response(200, json=seal_box(client.node_id, text).to_json())

    client = _client(response)
    _run(_CALLS[name], client)
