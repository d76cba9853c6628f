"""The small parts of the client, each on its own."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smfs import errors
from smfs.client import retries
from smfs.client.addresses import is_loopback, normalise_url
from smfs.client.clock import RequestClock, http_date
from smfs.client.embedded import embedded_transport
from smfs.client.hooks import NotificationHook, parse_hooks
from smfs.client.known import Key, own_key, sent_id
from smfs.client.locks import KeyedLocks
from smfs.client.nonces import Nonces
from smfs.client.retries import Attempts, Delivery, backoff, retry_after
from smfs.protocol.signing import FRAME_MS, NONCE_LIMIT

NODE = "ab" * 32


@pytest.mark.parametrize(
    ("given_url", "wanted"),
    [
        ("http://x", "http://x"),
        ("https://x/", "https://x"),
        (" http://X:3333// ", "http://x:3333"),
        ("http://x/prefix/", "http://x/prefix"),
        ("http://[::1]:80/", "http://[::1]"),
    ],
)
def test_addresses_have_one_form(given_url: str, wanted: str) -> None:
    """Addresses have one form."""
    assert normalise_url(given_url) == wanted
    assert normalise_url(wanted) == wanted


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://localhost:1", True),
        ("http://a.localhost", True),
        ("http://127.3.2.1", True),
        ("http://[::1]", True),
        ("http://192.168.0.1", False),
        ("http://localhost.example", False),
    ],
)
def test_what_stays_on_this_machine(url: str, *, is_here: bool) -> None:
    """What stays on this machine."""
    assert is_loopback(url) is is_here


def test_nonces_rise_from_a_random_place_and_wrap() -> None:
    """Nonces rise from a random place and wrap."""
    nonces = Nonces()
    first = nonces.take()
    assert nonces.take() == (first + 1) % NONCE_LIMIT
    assert 0 <= first < NONCE_LIMIT
    nonces._next = NONCE_LIMIT - 1
    assert [nonces.take(), nonces.take()] == [NONCE_LIMIT - 1, 0]
    assert len({Nonces().take() for _ in range(50)}) > 40


def test_the_clock_of_requests_learns() -> None:
    """The clock of requests learns."""
    clock = RequestClock(lambda: 10 * FRAME_MS + 5)
    assert clock.frame() == 10 * FRAME_MS
    assert clock.learn(10 * FRAME_MS + 7) is False
    assert clock.learn(3 * FRAME_MS + 1) is True
    assert clock.frame() == 3 * FRAME_MS


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Tue, 24 Nov 2026 11:00:00 GMT", 1_795_518_000_000),
        ("", None),
        (None, None),
        ("yesterday", None),
        ("Tue, 99 Nov 2026 11:00:00 GMT", None),
    ],
)
def test_dates_of_http(text: str | None, wanted: int | None) -> None:
    """Dates of HTTP."""
    assert http_date(text) == wanted


@given(st.text(max_size=40))
def test_no_date_header_breaks_the_client(text: str) -> None:
    """No date header breaks the client."""
    http_date(text)
    retry_after(text, lambda: 0)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, None),
        ("3", 3.0),
        (" 0 ", 0.0),
        ("Tue, 24 Nov 2026 11:00:10 GMT", 10.0),
        ("Tue, 24 Nov 2026 10:00:00 GMT", 0.0),
        ("soon", None),
        ("-1", None),
    ],
)
def test_how_long_a_service_asks_to_wait(text: str | None, wanted: float | None) -> None:
    """How long a service asks to wait."""
    assert retry_after(text, lambda: 1_795_518_000_000) == wanted


def test_pauses_grow_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses grow and are bounded."""
    monkeypatch.setattr(retries, "_FIRST_S", 0.1)
    for attempt, longest in ((1, 0.2), (2, 0.4), (3, 0.8), (10, 2.0)):
        pauses = [backoff(attempt) for _ in range(200)]
        assert all(0 <= pause <= longest for pause in pauses)
        assert max(pauses) > longest / 2


def test_what_cannot_be_repeated_is_not_repeated() -> None:
    """What cannot be repeated is not repeated."""
    attempts = Attempts(Delivery(repeatable=False), count=1)
    attempts.failure = errors.ServiceUnavailable("away")
    assert attempts.wait(10) is not None
    attempts.delivery.lost = True
    assert attempts.wait(10) is None


def test_copies_have_ids_of_their_own() -> None:
    """Copies have ids of their own."""
    for secret_id in ("id", "a/b", "", "/"):
        assert own_key(sent_id(NODE, secret_id)) == Key("sent", NODE, secret_id)
    for other in ("id", ".smfs", ".smfs/sent/x/id", f".smfs/sent/{NODE}", f"sent/{NODE}/id"):
        assert own_key(other) in (None, Key("own", "", other))


@pytest.mark.parametrize(
    "value",
    [None, [], {}, {"id": 1, "type": "log", "url": "x"}, {"notificationHooks": [1]}, "hook"],
)
def test_what_is_no_hook_is_refused(value: Any) -> None:
    """What is no hook is refused."""
    with pytest.raises(errors.ServiceUnavailable):
        NotificationHook.parse(value)
    with pytest.raises(errors.ServiceUnavailable):
        parse_hooks(value)


@pytest.mark.anyio
async def test_a_keyed_lock_keeps_equal_keys_apart_and_others_not() -> None:
    """A keyed lock keeps equal keys apart and others not."""
    locks = KeyedLocks()
    running: list[str] = []
    seen: list[list[str]] = []

    async def work(key: str) -> None:
        async with locks.hold(key):
            running.append(key)
            await anyio.lowlevel.checkpoint()
            seen.append(sorted(running))
            running.remove(key)

    async with anyio.create_task_group() as tasks:
        for key in ("a", "a", "b"):
            tasks.start_soon(work, key)
    assert ["a", "a"] not in seen
    assert ["a", "b"] in seen
    assert locks._locks == {}


# --- the embedded transport -------------------------------------------------------------------


async def _request(app: Any, patience: float = 5) -> httpx.Response:
    async with httpx.AsyncClient(transport=embedded_transport(app), timeout=patience) as client:
        return await client.post("http://x/a%20b?q=1", content=b"body")


@pytest.mark.anyio
async def test_an_application_gets_what_was_sent_and_answers() -> None:
    """An application gets what was sent and answers."""

    async def echo(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        head = {"type": "http.response.start", "status": 201, "headers": [(b"a", b"b")]}
        await send(head)
        path = scope["path"].encode()
        await send({"type": "http.response.body", "body": path, "more_body": True})
        await send({"type": "http.response.body", "body": message["body"]})
        assert await receive() == {"type": "http.disconnect"}

    response = await _request(echo)
    assert (response.status_code, response.content) == (201, b"/a bbody")
    assert response.headers["a"] == "b"


@pytest.mark.anyio
async def test_an_application_that_fails_is_a_broken_service(caplog: Any) -> None:
    """An application that fails is a broken service."""

    async def fails(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("canary-5521")

    with (
        caplog.at_level(logging.DEBUG, logger="smfs"),
        pytest.raises(httpx.RemoteProtocolError) as caught,
    ):
        await _request(fails)
    assert "canary-5521" not in str(caught.value)
    assert "canary-5521" not in caplog.text


@pytest.mark.anyio
async def test_half_an_answer_is_none() -> None:
    """Half an answer is none."""

    async def stops(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    with pytest.raises(httpx.RemoteProtocolError):
        await _request(stops)


@pytest.mark.anyio
async def test_an_application_that_hangs_runs_into_the_timeout() -> None:
    """An application that hangs runs into the timeout."""

    async def hangs(scope: Any, receive: Any, send: Any) -> None:
        await anyio.sleep_forever()

    with pytest.raises(httpx.ReadTimeout):
        await _request(hangs, patience=0.05)
