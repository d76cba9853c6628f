"""Requests: their wire order, the table of routes, and what is refused in which words."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smfs.errors import BadRequest, MalformedData
from smfs.protocol import canonical, requests
from smfs.protocol.requests import Request, SignedRequest

VECTORS = Path(__file__).parents[1] / "vectors" / "original"
EXCHANGES = json.loads((VECTORS / "exchanges.json").read_text())["exchanges"]
STEPS = json.loads((VECTORS / "replay" / "recorded.json").read_text())["steps"]
HEX = {length: "ab" * (length // 2) for length in (32, 64, 128)}
TYPES = list(requests.ROUTES.values())
SHAPES = ("The Number of parameters", "had wrong key!", "unexpected format of parameter")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)

# PROTOCOL.md section 7, with `s` for the three fields that every signed request ends in.
TABLE = {
    "getNodeId": "authCode",
    "createAuthCode": "publicKey action s",
    "openSecretSpace": "authCode publicKey closureDate s",
    "getSecretSpace": "publicKey s",
    "deleteSecretSpace": "publicKey s",
    "setSecret": "publicKey secretId secret s",
    "getSecret": "publicKey secretId s",
    "deleteSecret": "publicKey secretId s",
    "openSubSpace": "publicKey fromId closureDate s",
    "getSubSpace": "publicKey fromId s",
    "deleteSubSpace": "publicKey fromId s",
    "shareSecretTo": "publicKey shareToId secretId secret isOneTimeSecret s",
    "getSecretFrom": "publicKey fromId secretId s",
    "deleteSharedSecret": "publicKey sharedToId secretId s",
    "addNotificationHook": "publicKey type targetId notifyURL s",
    "getNotificationHooks": "publicKey targetId s",
    "deleteNotificationHook": "publicKey notificationHookId s",
}


def fields_of(line: str) -> list[str]:
    """The keys that a line of the table stands for."""
    keys: list[str] = []
    for word in line.split():
        keys += ["timestamp", "signature", "nonce"] if word == "s" else [word]
    return keys


def refusal(request_type: type[Request], body: Any) -> str:
    """The words in which a body is refused; empty when it is taken."""
    try:
        requests.parse(request_type, body)
    except BadRequest as error:
        return str(error)
    return ""


def body_of(request_type: type[Request]) -> dict[str, Any]:
    """A body that is in order."""
    values: dict[str, Any] = {"isOneTimeSecret": True, "closureDate": None, "size": 5}
    values |= {"timestamp": 180000, "signature": HEX[128], "nonce": 1}
    values |= {"notificationHookId": HEX[32], "first": HEX[128]}
    values |= {"since": 7, "listing": False, "contents": True, "wait": 0}
    texts = ("feed", "action", "secretId", "secret", "type", "targetId", "notifyURL")
    names = [field.name for field in requests.wire_fields(request_type)]
    return {name: values.get(name, "" if name in texts else HEX[64]) for name in names}


def original_posts() -> list[tuple[type[Request], str, str]]:
    """Recorded requests: their type, their JSON body, and what the original answered."""
    steps = [step for step in STEPS if "body" in step.get("request", {})]
    recorded = [
        (step["request"]["contentType"], step["request"]["path"], step["request"]["body"], step)
        for step in steps
    ]
    recorded += [
        (each.get("requestContentType"), each["path"], each["requestBody"], each)
        for each in EXCHANGES
        if "requestBody" in each
    ]
    return [
        (requests.ROUTES[path[1:]], body, str(each.get("responseBody") or each.get("response")))
        for kind, path, body, each in recorded
        if kind == "application/json" and path[1:] in requests.ROUTES and body
    ]


def test_the_routes_are_those_of_the_protocol_in_wire_order() -> None:
    """Each route has the fields of PROTOCOL.md section 7, in its order."""
    assert [each.route() for each in requests.ORIGINAL] == list(TABLE)
    for route, line in TABLE.items():
        names = [field.name for field in requests.wire_fields(requests.ROUTES[route])]
        assert names == fields_of(line), route
    assert set(requests.ROUTES.values()) == {*requests.ORIGINAL, *requests.ADDITIONS}
    assert not set(requests.ORIGINAL) & set(requests.ADDITIONS)


@pytest.mark.parametrize("request_type", TYPES)
def test_what_is_written_is_read_as_the_same(request_type: type[Request]) -> None:
    """A request goes through its body unchanged, and the order of the keys with it."""
    body = body_of(request_type)
    request = requests.parse(request_type, body)
    assert list(request.to_wire().items()) == list(body.items())
    assert requests.parse(request_type, canonical.decode(canonical.encode(body))) == request


@pytest.mark.parametrize("request_type", TYPES)
def test_a_request_shows_nothing_of_its_body(request_type: type[Request]) -> None:
    """The representation names the request only, so a log cannot give its content away."""
    body = {
        name: "canary" if value == "" else value for name, value in body_of(request_type).items()
    }
    shown = repr(requests.parse(request_type, body))
    assert "canary" not in shown
    assert HEX[64] not in shown


def test_requests_of_the_original_client_are_read_as_it_sent_them() -> None:
    """Every recorded body is taken where it was, or refused in the very words of the original."""
    taken = refused = 0
    for request_type, body, answer in original_posts():
        value = decoded(body)
        words = refusal(request_type, value) if value is not None else "Bad Request"
        if words:
            assert words in answer.replace("\\'", "'")
            refused += 1
        else:
            assert not any(shape in answer for shape in SHAPES)
            request = requests.parse(request_type, value)
            assert canonical.encode(request.to_wire()) == canonical.encode(value)
            taken += 1
    assert taken > 300
    assert refused > 20


def decoded(body: str) -> Any:
    """A body's value; None when it is no JSON."""
    try:
        return canonical.decode(body)
    except MalformedData:
        return None


def test_the_checks_come_in_the_order_of_the_original() -> None:
    """First the number of the keys, then their names in order, then their types in order."""
    body = {"publicKey": 5, "secretId": 5, "timestamp": "x", "signature": "", "nonce": None}
    number = "Error: The Number of parameters in the body, did not match the expected number. 5 vs "
    swapped = {"secretId": "x", "publicKey": 5, **dict(list(body.items())[2:])}
    name = "Error: parameter @ index: 0 had wrong key! expected: 'publicKey'  detected: 'secretId'"
    kind = "Error: unexpected format of parameter publicKey - Not a string!"
    assert refusal(requests.GetSecret, {**body, "more": 1}) == number + "6"
    assert refusal(requests.GetSecret, [1, 2]) == number + "2"
    assert refusal(requests.GetSecret, swapped) == name
    assert refusal(requests.GetSecret, body) == kind


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("publicKey", None, "Not a string!"),
        ("publicKey", "g" * 64, "Not a HexString!"),
        ("publicKey", "g", "Not a HexString!"),
        ("publicKey", "ab", "HexString length was not 64 characters!"),
        ("publicKey", HEX[64] + "\n", "Not a HexString!"),
        ("publicKey", "\u0660" * 64, "Not a HexString!"),
        ("signature", HEX[64], "HexString length was not 128 characters!"),
        ("shareToId", ["a"], "Not a string!"),
        ("secretId", 5, "Not a string!"),
        ("secret", None, "Not a string!"),
        ("isOneTimeSecret", 1, "Not a boolean!"),
        ("isOneTimeSecret", "true", "Not a boolean!"),
        ("isOneTimeSecret", None, "Not a boolean!"),
        ("timestamp", True, "Not a number!"),
        ("timestamp", "1", "Not a number!"),
        ("nonce", None, "Not a number!"),
    ],
)
def test_types_are_refused_in_the_words_of_the_original(name: str, value: Any, words: str) -> None:
    """Each type has its own words (PROTOCOL.md section 1); a boolean is no number."""
    body = {**body_of(requests.ShareSecretTo), name: value}
    expected = f"Error: unexpected format of parameter {name} - {words}"
    assert refusal(requests.ShareSecretTo, body) == expected


@pytest.mark.parametrize("value", [False, "+4hours", [], {}])
def test_a_closure_date_is_a_number_or_null(value: Any) -> None:
    """What the documentation of the original promises besides is refused, as it refuses it."""
    body = {**body_of(requests.OpenSubSpace), "closureDate": value}
    with pytest.raises(BadRequest, match="closureDate - Neither a number nor null!"):
        requests.parse(requests.OpenSubSpace, body)


@given(st.sampled_from(TYPES), JSON)
def test_any_body_is_a_request_or_refused(request_type: type[Request], body: Any) -> None:
    """No value that JSON can have ends in anything but a refusal."""
    with pytest.raises(BadRequest):
        requests.parse(request_type, body)


@given(st.sampled_from(TYPES), st.data())
def test_any_value_in_any_field_is_taken_or_refused(
    request_type: type[Request], data: st.DataObject
) -> None:
    """A body with one field of any value is read back as it was, or refused for that field."""
    body = body_of(request_type)
    name = data.draw(st.sampled_from(list(body)))
    body[name] = data.draw(JSON)
    words = refusal(request_type, body)
    if words:
        assert f"parameter {name} " in words
    else:
        assert requests.parse(request_type, body).to_wire() == body


def test_the_signature_is_left_out_of_what_is_signed() -> None:
    """The payload is the body in its order without the signature."""
    request = requests.parse(requests.GetSecret, body_of(requests.GetSecret))
    assert isinstance(request, SignedRequest)
    assert list(request.payload()) == ["publicKey", "secretId", "timestamp", "nonce"]
    assert request.with_signature(HEX[128].upper()).to_wire()["signature"] == HEX[128].upper()
