"""Whatever is sent, the service answers with a status of its protocol and lives on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smfs.crypto.identity import Identity
from smfs.protocol import canonical, fields, requests
from smfs.protocol.requests import Request, SignedRequest
from smfs.service import Service

pytestmark = [
    pytest.mark.anyio,
    # The pool of connections throws dice in a thread of its own.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies"),
]

Ask = Callable[..., Awaitable[Any]]

ANSWERS = {200, 400, 401, 404, 413, 415}
PATHS = [f"/{route}" for route in requests.ROUTES]
SIGNED: list[type[Request]] = [
    kind for kind in requests.ROUTES.values() if issubclass(kind, SignedRequest)
]

once_started = settings(
    max_examples=80,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

text = st.text(max_size=30) | st.sampled_from(
    ["", "x", "\0", "\ud800", "a\udfffb", "a.b", "__proto__", "constructor", "0", "é" * 300, "%"]
)
hex_digits = st.text("0123456789abcdef", min_size=64, max_size=64)
number = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0, -1, 1_800_000_123_456, 1_800_000_200_000, 1e308, 2**63, 2**53 + 1, 0.5])
)
json_value = st.recursive(
    st.none() | st.booleans() | number | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
header = st.sampled_from(
    [
        *("application/json", "application/json; charset=utf-16", "application/json;charset=utf-7"),
        *("application/json; charset=utf-8-sig", "application/json; charset=utf-\0", "text/plain"),
        *("application/json; charset=utf-nothing", "application/x-www-form-urlencoded", ";;=;"),
        *("APPLICATION/JSON; CHARSET=UTF-8", 'application/json; charset="utf-32"', ""),
    ]
)
coding = st.sampled_from(["", "identity", "gzip", "deflate", "br", "gzip, gzip", "\0"])


known = st.sampled_from(["<alice>", "<bob>", "<service>", "02" + 62 * "0"])
node_id = known | hex_digits
target = st.lists(
    st.sampled_from(["this", "secrets", "subSpaces", "x", ""]) | known | text, max_size=4
).map(".".join)

BY_CHECK: dict[Any, st.SearchStrategy[Any]] = {
    fields.is_string: text | target,
    fields.is_boolean: st.booleans(),
    fields.is_number: number,
    fields.is_number_or_null: st.none() | number,
}
BY_NAME: dict[str, st.SearchStrategy[Any]] = {
    "auth_code": st.just(requests.AUTH_CODE_OPEN_SPACE) | hex_digits,
    "wait": st.integers(max_value=0),
    "first": st.text("0123456789abcdef", min_size=128, max_size=128),
    "notification_hook_id": st.text("0123456789abcdef", min_size=32, max_size=32),
    **dict.fromkeys(("from_id", "share_to_id", "shared_to_id"), node_id),
}
KEPT = {"public_key", "timestamp", "signature", "nonce"}


def values(kind: type[Request]) -> st.SearchStrategy[dict[str, Any]]:
    """Values of the right types for the fields of a request."""
    return st.fixed_dictionaries(
        {
            field.attribute: BY_NAME[field.attribute]
            if field.attribute in BY_NAME
            else BY_CHECK[field.check]
            for field in requests.wire_fields(kind)
            if field.attribute not in KEPT
        }
    )


def of_any_kind(
    kinds: list[type[Request]], body_of: Callable[[type[Request]], st.SearchStrategy[Any]]
) -> st.SearchStrategy[tuple[type[Request], Any]]:
    """A kind of request with what goes into its body."""
    return st.sampled_from(kinds).flatmap(lambda kind: st.tuples(st.just(kind), body_of(kind)))


def any_body(kind: type[Request]) -> st.SearchStrategy[dict[str, Any]]:
    """The right keys in the right order, and anything as their values."""
    names = [field.name for field in requests.wire_fields(kind)]
    return st.fixed_dictionaries(dict.fromkeys(names, json_value | hex_digits | text))


def check(answer: Any) -> None:
    """The answer is one of the protocol's."""
    assert answer.status in ANSWERS, answer
    if answer.headers["content-type"].startswith("application/json"):
        assert isinstance(canonical.decode(answer.body), dict)
    else:
        assert answer.status in {400, 404, 413, 415}
        assert answer.body.startswith(b"<!DOCTYPE html>")
    assert b"Traceback" not in answer.body


@once_started
@given(
    path=st.sampled_from(PATHS) | st.text(max_size=10).map(lambda rest: f"/{rest}"),
    body=st.binary(max_size=200) | text.map(lambda each: each.encode("utf-8", "surrogatepass")),
    kind=header,
    coding=coding,
    pieces=st.integers(1, 5),
)
async def test_any_bytes(
    service: Service, ask: Ask, path: str, body: bytes, kind: str, coding: str, pieces: int
) -> None:
    """Any bytes as a body, under any headers."""
    headers = {"content-type": kind, "content-encoding": coding}
    check(await ask(service, path, body, headers=headers, pieces=pieces))


@once_started
@given(path=st.sampled_from(PATHS), value=json_value)
async def test_any_json(service: Service, ask: Ask, path: str, value: Any) -> None:
    """Any JSON as a body."""
    check(await ask(service, path, canonical.encode(value)))


@once_started
@given(request_and_body=of_any_kind(list(requests.ROUTES.values()), any_body))
async def test_any_values_in_the_right_places(
    service: Service, ask: Ask, request_and_body: tuple[type[Request], Any]
) -> None:
    """The right keys in the right order, and anything as their values."""
    kind, body = request_and_body
    check(await ask(service, kind.path(), canonical.encode(body)))


@once_started
@given(by_alice=st.booleans(), request_and_values=of_any_kind(SIGNED, values))
async def test_any_request_that_is_let_in(
    service: Service,
    alice: Any,
    bob: Any,
    by_alice: bool,  # noqa: FBT001 - hypothesis gives it by name
    request_and_values: tuple[type[SignedRequest], dict[str, Any]],
) -> None:
    """Signed as it must be, with any values of the right types: the domain has an answer."""
    kind, given_values = request_and_values
    names = {"<alice>": alice.node_id, "<bob>": bob.node_id, "<service>": service.node_id}
    for name, node_id in names.items():
        given_values = {
            key: value.replace(name, node_id) if isinstance(value, str) else value
            for key, value in given_values.items()
        }
    answer = await (alice if by_alice else bob).ask(kind, **given_values)
    check(answer)
    assert answer.status in {200, 401}


@pytest.mark.parametrize("secret_id", ["\0", "\ud800", "a\udc00\ud800", "\ud83d\udd10", "é", "0"])
async def test_any_text_is_a_secret_id(alice: Any, secret_id: str) -> None:
    """NUL and lone surrogates are kept as they are; halves that belong together are one."""
    await alice.set(secret_id, "here")
    assert await alice.get(secret_id) == "here"
    assert list((await alice.space())["secrets"]) == [
        secret_id.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    ]


async def test_a_node_that_is_no_point_gets_no_secret(node: Callable[..., Any], alice: Any) -> None:
    """Nothing can be encrypted to it, so nothing is stored, and the words are the original's."""
    answer = await alice.ask(
        requests.ShareSecretTo,
        share_to_id="02" + 62 * "0",
        secret_id="x",
        secret="y",
        is_one_time_secret=False,
    )
    assert answer.error == "Point.fromHex: invalid y coordinate"


async def test_a_key_of_small_order_opens_nothing(service: Service, ask: Ask, clock: Any) -> None:
    """Anybody could sign for the neutral point, so nobody is it."""
    stranger = Identity.generate()
    request = requests.GetSecretSpace(
        public_key="01" + 62 * "0",
        timestamp=clock.now_ms - clock.now_ms % 180_000,
        signature="01" + 126 * "0",
        nonce=1,
    )
    answer = await ask(service, request.path(), canonical.encode(request.to_wire()))
    assert answer.status == 401
    assert stranger.node_id not in answer.text
