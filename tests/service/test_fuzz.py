"""The whole application under any request: it answers in the protocol's words, and lives on.

Every case ends with the requests of a node that had nothing to do with it (`Court`).
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from smfs.crypto.identity import Identity
from smfs.protocol import canonical, fields, requests, signing
from smfs.protocol.requests import Request, SignedRequest
from smfs.service import Service
from tests.service.court import CANARY, Court
from tests.service.hostile import NO_POINTS, NON_CANONICAL, NUMBERS, SMALL_ORDER, TEXTS
from tests.service.wellformed import SIGNING, WELL_FORMED

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[Any]]
Members = list[tuple[str, str]]  # of a JSON object: key and value, both as they are spelled
PARTIES = (Identity(b"a" * 32), Identity(b"b" * 32))
SERVICE = "<service>"  # its name is known only when it runs
JSON = {"content-type": "application/json"}


def cases(number: int) -> settings:
    """So many, the same ones each time: what fails here fails everywhere."""
    return settings(
        max_examples=number,
        derandomize=True,
        database=None,
        deadline=None,
        print_blob=True,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture
def anyio_backend() -> str:
    """The domain knows no event loop; the real server is asked in test_hostile.py."""
    return "trio"


@pytest.fixture
async def court(node: Callable[..., Any], caplog: pytest.LogCaptureFixture) -> Court:
    """Two who ask, of known names; the witness does not know them."""
    caplog.set_level("DEBUG")
    return Court([node(each) for each in PARTIES], await node().open_space(), caplog)


# --- values -------------------------------------------------------------------------------------

text = st.sampled_from(TEXTS) | st.text(max_size=20) | st.text(alphabet="\0\ud800\udc00é.%0a")
number = st.sampled_from(NUMBERS) | st.floats(allow_nan=False, allow_infinity=False).map(repr)
node_id = st.sampled_from(
    [*(party.node_id for party in PARTIES * 6), *SMALL_ORDER, *NON_CANONICAL[:6], *NO_POINTS]
)
target = st.lists(
    st.sampled_from(["this", "secrets", "subSpaces", "x", ""]) | node_id | text, max_size=4
).map(".".join)
url = st.sampled_from(["", "nonsense", "http://", "http://[::1", "ftp://x/", "file:///etc/passwd"])


def hex_of(length: int) -> st.SearchStrategy[str]:
    """Hex digits; mostly as many as there must be, and in lower case."""
    right = st.text("0123456789abcdef", min_size=length, max_size=length)
    return right | st.sampled_from(["0" * length, "f" * length])


def spelled(value: Any) -> st.SearchStrategy[str]:
    """The ways in which JSON may spell a value: the signature is over none of them."""
    text = canonical.encode(value)
    if not isinstance(value, str):
        return st.just(text)
    joined = canonical.decode(text)
    units = joined.encode("utf-16-be", "surrogatepass")
    escaped = "".join(f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2))
    return st.sampled_from([text, text.replace("/", "\\/"), f'"{escaped}"'])


BY_CHECK: dict[Any, st.SearchStrategy[str]] = {
    fields.is_string: (text | target).flatmap(spelled),
    fields.is_boolean: st.sampled_from(["true", "false"]),
    fields.is_number: number,
    fields.is_number_or_null: st.just("null") | number,
}
BY_NAME: dict[str, st.SearchStrategy[str]] = {
    "auth_code": (
        st.just(requests.AUTH_CODE_OPEN_SPACE) | st.just(requests.AUTH_CODE_NODE_ID) | hex_of(64)
    ).flatmap(spelled),
    "first": hex_of(128).flatmap(spelled),
    "notification_hook_id": hex_of(32).flatmap(spelled),
    "notify_url": (url | text).flatmap(spelled),
    "secret": text.map(lambda text: CANARY + text).flatmap(spelled),
    "wait": st.sampled_from(["0", "-0", "-1e400", "-5", "1e-300"]),
    **dict.fromkeys(
        ("from_id", "share_to_id", "shared_to_id"),
        node_id.flatmap(spelled) | st.just(f'"{SERVICE}"'),
    ),
}
TIMELY = {
    "timestamp": st.just(f"{signing.frame(1_800_000_123_456)}.0") | number,
    "nonce": number,
}


def hostile_values(kind: type[Request]) -> st.SearchStrategy[dict[str, str]]:
    """A spelling for each field of a request that a signer does not fill in himself."""
    spellings = {
        field.attribute: BY_NAME[field.attribute]
        if field.attribute in BY_NAME
        else BY_CHECK[field.check]
        for field in requests.wire_fields(kind)
        if field.attribute not in SIGNING
    }
    rarely = {name: TIMELY[name] for name in ("timestamp", "nonce")}
    return st.fixed_dictionaries(spellings, optional=rarely if _is_signed(kind) else {})


def of_every_route(
    fitting: Callable[[type[Request]], st.SearchStrategy[Any]],
) -> st.SearchStrategy[tuple[type[Request], Any]]:
    """A route of the table, and something that fits it."""
    kinds = list(requests.ROUTES.values())
    return st.sampled_from(kinds).flatmap(lambda kind: st.tuples(st.just(kind), fitting(kind)))


def _is_signed(kind: type[Request]) -> bool:
    return issubclass(kind, SignedRequest)


def written(signer: Any, kind: type[Request], spellings: dict[str, str]) -> Members:
    """The members of a request that `signer` has signed, spelled as they are given."""
    values = {name: canonical.decode(f"[{text}]")[0] for name, text in spellings.items()}
    if _is_signed(kind):
        request: Request = signer.signed(kind, **values)
    else:
        request = kind(**values)
    wire = request.to_wire()
    return [
        (canonical.encode(f.name), spellings.get(f.attribute) or canonical.encode(wire[f.name]))
        for f in requests.wire_fields(kind)
    ]


def joined(members: Members, space: str = "") -> bytes:
    """A JSON object as it travels."""
    body = f",{space}".join(f"{key}{space}:{value}" for key, value in members)
    return f"{space}{{{body}}}".encode()


@cases(250)
@given(
    by_bob=st.booleans(),
    drawn=of_every_route(hostile_values),
    space=st.sampled_from(["", " ", "\r\n\t "]),
)
async def test_right_requests_of_hostile_values(
    service: Service,
    ask: Ask,
    court: Court,
    by_bob: bool,  # noqa: FBT001 - hypothesis gives it by name
    drawn: tuple[type[Request], dict[str, str]],
    space: str,
) -> None:
    """Rightly signed they are let in, however they are spelled."""
    await court.open()
    kind, spellings = drawn
    spellings = {name: text.replace(SERVICE, service.node_id) for name, text in spellings.items()}
    members = written(court.parties[by_bob], kind, spellings)
    body = joined(members, space)
    answer = await ask(service, kind.path(), body)
    await court.judge(answer, body)
    if not {"timestamp", "nonce", "auth_code"} & set(spellings):
        assert answer.status == 200


# --- structures ---------------------------------------------------------------------------------

JUNK = (
    *("null", "true", "[]", "{}", '""', "0", "1e400", '"\\ud800"', "[[]]", '{"":{"":{}}}', "NaN"),
    *("-", "01", ".5", "1e", "'x'", '"', '"\\x"', '"\t"', "undefined", "Infinity", "[1,]"),
    *('{"__proto__":{"x":1}}', '{"a":1,"a":2}', "/**/1", "1 1", "\x00", "\ufeff1", "9" * 20_000),
    *(
        "[" * 99 + "]" * 99,
        "[" * 5000 + "]" * 5000,
        "[" * 60_000,
        '{"a":' * 9000 + "1" + "}" * 9000,
    ),
)
junk = st.sampled_from(JUNK)
place = st.integers(0, 8)
mutation = st.one_of(
    st.tuples(st.just("drop"), place),
    st.tuples(st.just("swap"), place, place),
    st.tuples(st.just("put"), place, junk),
    st.tuples(st.just("add"), place, st.sampled_from(['"x"', '""', '"0"', '"__proto__"']), junk),
    st.tuples(st.just("twice"), place, junk | st.none()),
    st.tuples(st.just("name"), place, st.sampled_from(['"publickey"', '"\\u0000"', "0", "null"])),
)


def mutated(members: Members, change: tuple[Any, ...]) -> Members:
    """The members after one change."""
    what, at, *more = change
    at %= len(members) or 1
    changed = list(members)
    if what == "add":
        changed.insert(at, (more[0], more[1]))
    elif changed:
        key, value = changed[at]
        if what == "drop":
            del changed[at]
        elif what == "swap":
            other = more[0] % len(changed)
            changed[at], changed[other] = changed[other], changed[at]
        elif what == "put":
            changed[at] = key, more[0]
        elif what == "twice":
            changed.append((key, more[0] or value))
        else:
            changed[at] = more[0], value
    return changed


@cases(250)
@given(
    kind=st.sampled_from(list(requests.ROUTES.values())),
    changes=st.lists(mutation, min_size=1, max_size=3),
    wrap=st.sampled_from(["{}"] * 4 + ["[{}]", '{{"x":{}}}', "{} {}", "{},", "\ufeff{}", "{}\0"]),
)
async def test_mutated_structures(
    service: Service,
    ask: Ask,
    court: Court,
    kind: type[Request],
    changes: list[tuple[Any, ...]],
    wrap: str,
) -> None:
    """Missing, added, doubled, swapped and nested: refused, or what it was before."""
    await court.open()
    members = written(court.parties[0], kind, _plain(kind))
    for change in changes:
        members = mutated(members, change)
    text = joined(members).decode()
    body = wrap.format(*[text] * 2).encode()
    answer = await ask(service, kind.path(), body)
    await court.judge(answer, body)


def _plain(kind: type[Request]) -> dict[str, str]:
    values = WELL_FORMED[kind]
    if "secret" in values:
        values = {**values, "secret": CANARY}
    return {name: canonical.encode(value) for name, value in values.items()}


# --- encodings ----------------------------------------------------------------------------------

BOMB = gzip.compress(b" " * 30_000_000)
CODINGS: dict[str, tuple[dict[str, str], Callable[[bytes], bytes]]] = {
    "plain": ({}, lambda body: body),
    "gzip": ({"content-encoding": "gzip"}, gzip.compress),
    "deflate": ({"content-encoding": "Deflate"}, zlib.compress),
    "raw deflate": ({"content-encoding": "deflate"}, lambda body: zlib.compress(body)[2:-4]),
    "gzip twice": ({"content-encoding": "gzip"}, lambda body: gzip.compress(body) * 2),
    "gzip cut": ({"content-encoding": "gzip"}, lambda body: gzip.compress(body)[:-5]),
    "gzip of nothing": ({"content-encoding": "gzip"}, lambda _body: b""),
    "gzip that is none": ({"content-encoding": "gzip"}, lambda body: body),
    "bomb": ({"content-encoding": "gzip"}, lambda _body: BOMB),
    "bomb in a bomb": ({"content-encoding": "gzip"}, lambda _body: gzip.compress(BOMB)),
    "unknown": ({"content-encoding": "br"}, lambda body: body),
    "two": ({"content-encoding": "gzip, gzip"}, lambda body: gzip.compress(gzip.compress(body))),
    "utf-16": (
        {"content-type": "application/json; charset=utf-16"},
        lambda b: b.decode().encode("utf-16"),
    ),
    "utf-32": (
        {"content-type": "application/json;charset=UTF-32"},
        lambda b: b.decode().encode("utf-32"),
    ),
    "utf-7": (
        {"content-type": "application/json; charset=utf-7"},
        lambda b: b.replace(b"x", b"+2AA-"),
    ),
    "utf-16 that is none": (
        {"content-type": "application/json; charset=utf-16"},
        lambda b: b + b"x",
    ),
    "no utf": ({"content-type": "application/json; charset=latin-1"}, lambda body: body),
    "no charset": ({"content-type": "application/json; charset=utf-\0"}, lambda body: body),
    "text": ({"content-type": "text/plain"}, lambda body: body),
    "no type": ({"content-type": ""}, lambda body: body),
    "form": (
        {"content-type": "application/x-www-form-urlencoded"},
        lambda body: b"publicKey=%ff&=&a=1&a=2&__proto__=x&" + body,
    ),
    "broken UTF-8": ({}, lambda body: body.replace(b"x", b"\xff\xc0\x80\xed\xa0\x80")),
    "overlong": ({}, lambda body: body.replace(b'"', b"\xc0\xa2")),
    "zeros": ({}, lambda body: body + bytes(100)),
    "deep": ({}, lambda _body: b"[" * 3_000_000),
    "large": ({}, lambda body: body[:-1] + b" " * 2_000_000 + body[-1:]),
    "too large": ({}, lambda body: body + b" " * 3_000_000),
    "many": ({}, lambda _body: b"[" + b"0," * 1_000_000 + b"0]"),
}


@pytest.mark.parametrize("coding", CODINGS)
@cases(6)
@given(kind=st.sampled_from(list(requests.ROUTES.values())), pieces=st.integers(1, 9))
async def test_encodings(
    service: Service, ask: Ask, court: Court, coding: str, kind: type[Request], pieces: int
) -> None:
    """Whatever the headers say of a body, and whatever it is."""
    await court.open()
    body = joined(written(court.parties[0], kind, _plain(kind)))
    headers, encoded = CODINGS[coding]
    answer = await ask(service, kind.path(), encoded(body), headers=headers, pieces=pieces)
    await court.judge(answer, body)


# --- HTTP ---------------------------------------------------------------------------------------

PATHS = (
    *("{0}", "/{0}", "{0}/", "{0}//", "{0}?x={0}", "{0}?", "{0}#x", "{0};x", "{0}%00", "{0}%2f"),
    *("/.{0}", "/x/..{0}", "/%2e{0}", "{0}/..", "{0}%20", "{0}\t", "", "*", "http://x{0}", "\\{0}"),
)
odd_path = st.tuples(st.sampled_from(PATHS), st.sampled_from([str, str.upper, str.swapcase]))
header = st.dictionaries(
    st.sampled_from(
        [
            *("content-length", "transfer-encoding", "expect", "host", "cookie", "origin", "te"),
            *("x-forwarded-for", "forwarded", "x-http-method-override", "upgrade", "range", "\xe9"),
        ]
    ),
    st.sampled_from(
        [
            *(
                "0",
                "-1",
                "1",
                "99999999999999999999999",
                "1e3",
                "²",
                "chunked",
                "100-continue",
                "*",
            ),
            *("PUT", "websocket", "bytes=0-1", "127.0.0.1", "\xff", "é" * 9000, "\0", " "),
        ]
    ),
    max_size=4,
)


@cases(200)
@given(
    kind=st.sampled_from(list(requests.ROUTES.values())),
    method=st.sampled_from(
        [*("POST",) * 5, *("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "post")]
    ),
    path=st.just(("{0}", str)) | odd_path,
    headers=header,
)
async def test_http(
    service: Service,
    ask: Ask,
    court: Court,
    kind: type[Request],
    method: str,
    path: tuple[str, Callable[[str], str]],
    headers: dict[str, str],
) -> None:
    """Only a POST of the very path is a request."""
    await court.open()
    form, altered = path
    asked = form.format(altered(kind.path()))
    body = joined(written(court.parties[0], kind, _plain(kind)))
    answer = await ask(service, asked, body, method=method, headers={**JSON, **headers})
    await court.judge(answer, body)
    if asked.partition("?")[0] != kind.path() or method not in {"POST", "OPTIONS"}:
        assert answer.status == 404
