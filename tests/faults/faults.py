"""What a network and a service can do to a request, each by its name."""

from __future__ import annotations

import contextlib
import json
import random
import re
import socket
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from tests.faults.proxy import Broken, Exchange

if TYPE_CHECKING:
    from tests.faults.proxy import Fault

_SLOW_BYTES: Final = 1024
_SLOW_S: Final = 0.1  # which makes 10 KB/s
_PARTNER_S: Final = 0.3
_LARGE: Final = b"x" * 65536
_FLAP_S: Final = 0.1

# --- nobody answers ---------------------------------------------------------------------------


def silent(exchange: Exchange) -> None:
    """The request is taken, and nothing is ever said."""
    exchange.hold()
    exchange.reset()


def black_hole(exchange: Exchange) -> None:
    """All packets vanish until the network is back; then what was sent arrives after all."""
    exchange.hold()
    exchange.answer(exchange.deliver())


def late_answer(exchange: Exchange) -> None:
    """The service does it, and its answer comes when nobody waits any more."""
    answer = exchange.deliver()
    exchange.hold()
    exchange.answer(answer)


def half_open(exchange: Exchange) -> None:
    """The service's side ends in the middle; ours stays open."""
    exchange.client.shutdown(socket.SHUT_WR)
    exchange.hold()


# --- cut off ----------------------------------------------------------------------------------


def reset(exchange: Exchange) -> None:
    """The connection is reset; the request never arrives."""
    exchange.reset()


def cut_request(exchange: Exchange) -> None:
    """Half of the request arrives."""
    with exchange.proxy.connected() as service:
        service.sendall(exchange.request[: len(exchange.request) // 2])
    exchange.reset()


def cut_before_answer(exchange: Exchange) -> None:
    """The request arrives; the connection ends while the service is at it."""
    with exchange.proxy.connected() as service:
        service.sendall(exchange.request)
        exchange.reset()
        with contextlib.suppress(OSError):
            service.recv(1)


def answer_lost(exchange: Exchange) -> None:
    """The service has done it, and its answer is lost."""
    exchange.deliver()


def cut_headers(exchange: Exchange) -> None:
    """The answer ends in its headers."""
    exchange.send(exchange.deliver().split(b"\r\n\r\n")[0][:40])


def cut_body(exchange: Exchange) -> None:
    """The answer is shorter than it says."""
    head, body = exchange.deliver().split(b"\r\n\r\n", 1)
    exchange.send(head + b"\r\n\r\n" + body[: len(body) // 2])


def stale_connection(exchange: Exchange) -> None:
    """A connection is closed just as its second request goes out."""
    if exchange.number == 0:
        exchange.answer(exchange.deliver())


def flapping(exchange: Exchange) -> None:
    """Everything is cut off at every second tenth of a second."""
    if exchange.proxy.ticks(_FLAP_S) % 2:
        exchange.reset()
        return
    answer = exchange.deliver()
    if exchange.proxy.ticks(_FLAP_S) % 2:
        exchange.reset()
        return
    exchange.answer(answer)


# --- slow -------------------------------------------------------------------------------------


def slow_link(exchange: Exchange) -> None:
    """10 KB in a second, both ways."""
    if not exchange.hold(_SLOW_S * len(exchange.request) / _SLOW_BYTES):
        _send_slowly(exchange, exchange.deliver(), _SLOW_BYTES, _SLOW_S)


def jitter(exchange: Exchange) -> None:
    """Up to two seconds, as it comes."""
    exchange.hold(random.uniform(0, 1))
    answer = exchange.deliver()
    exchange.hold(random.uniform(0, 1))
    exchange.answer(answer)


def drip(exchange: Exchange) -> None:
    """The answer comes byte by byte, one in a second."""
    head, body = exchange.deliver().split(b"\r\n\r\n", 1)
    exchange.send(head + b"\r\n\r\n")
    _send_slowly(exchange, body, 1, 1.0)


def _send_slowly(exchange: Exchange, answer: bytes, size: int, pause: float) -> None:
    for start in range(0, len(answer), size):
        exchange.send(answer[start : start + size])
        exchange.hold(pause)
    exchange.keeps = True


# --- the wrong answer -------------------------------------------------------------------------


def twice_first(exchange: Exchange) -> None:
    """The request arrives twice; the first answer is handed back."""
    answer = exchange.deliver()
    exchange.deliver()
    exchange.answer(answer)


def twice_second(exchange: Exchange) -> None:
    """The request arrives twice; the second answer is handed back."""
    exchange.deliver()
    exchange.answer(exchange.deliver())


class _Swap:
    """Two who are under way at the same time get each other's answer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: tuple[list[bytes], threading.Event] | None = None

    def __call__(self, exchange: Exchange) -> None:
        """Waits a moment for a partner; else the answer to an earlier request is handed back."""
        answers, met = [exchange.deliver()], threading.Event()
        with self._lock:
            partner, self._waiting = self._waiting, None
            if partner is None:
                self._waiting = answers, met
        if partner is not None:
            partner[0].append(answers[0])
            partner[1].set()
            exchange.answer(partner[0][0])
        elif met.wait(_PARTNER_S):
            exchange.answer(answers[1])
        else:
            with self._lock:
                self._waiting = None
            exchange.answer(_earlier(exchange, answers[0], of_same_path=False))


def old_answer(exchange: Exchange) -> None:
    """What was answered to an earlier request of the kind; this one never arrives."""
    exchange.answer(_earlier(exchange, None, of_same_path=True))


def other_answer(exchange: Exchange) -> None:
    """What was answered to any earlier request; this one never arrives."""
    exchange.answer(_earlier(exchange, None, of_same_path=False))


def _earlier(exchange: Exchange, instead: bytes | None, *, of_same_path: bool) -> bytes:
    found = [
        each.answer
        for each in list(exchange.proxy.passed)
        if not of_same_path or each.path == exchange.path
    ]
    if found:
        return random.choice(found)
    if instead is None:
        raise Broken
    return instead


def corrupted(exchange: Exchange) -> None:
    """One digit of the ciphertext is another one."""
    head, body = exchange.deliver().split(b"\r\n\r\n", 1)
    places = [each.start() for each in re.finditer(rb"[0-9a-f](?=[0-9a-f]{30})", body)]
    if places:
        at = random.choice(places)
        body = body[:at] + (b"1" if body[at : at + 1] == b"0" else b"0") + body[at + 1 :]
    exchange.answer(head + b"\r\n\r\n" + body)


def corrupted_request(exchange: Exchange) -> None:
    """One digit of what is asked is another one."""
    head, body = exchange.request.split(b"\r\n\r\n", 1)
    at = max(body.rfind(b'"signature":"') - 20, 0)
    body = body[:at] + (b"1" if body[at : at + 1] == b"0" else b"0") + body[at + 1 :]
    exchange.request = head + b"\r\n\r\n" + body
    exchange.answer(exchange.deliver())


# --- no answer of a service -------------------------------------------------------------------


def garbage(exchange: Exchange) -> None:
    """Bytes that are no HTTP."""
    exchange.send(random.randbytes(300))


def garbage_json(exchange: Exchange) -> None:
    """JSON that means nothing; the request never arrives."""
    values: tuple[object, ...] = ({}, [], None, 5, {"ok": False}, {"error": 5}, {"error": "moon"})
    exchange.answer(_made("200 OK", json.dumps(random.choice(values)).encode()))


def yes_to_all(exchange: Exchange) -> None:
    """`{"ok":true}` to everything; nothing is done."""
    exchange.answer(_made("200 OK", b'{"ok":true}'))


def no_such_thing(exchange: Exchange) -> None:
    """A refusal that nobody gave."""
    text = b'{"error":"Error on authenticateRequest! Unknown"}'
    exchange.answer(_made("200 OK", text))


def empty(exchange: Exchange) -> None:
    """200, and nothing in it."""
    exchange.answer(_made("200 OK", b""))


def portal(exchange: Exchange) -> None:
    """The page of a network that wants a password first."""
    exchange.answer(_made("200 OK", b"<html>Welcome to the train</html>", b"text/html"))


def redirect(exchange: Exchange) -> None:
    """302 to somewhere else."""
    exchange.answer(_made("302 Found\r\nLocation: http://127.0.0.1:9/", b""))


def failing(exchange: Exchange) -> None:
    """500."""
    exchange.answer(_made("500 Internal Server Error", b'{"error":"The service failed!"}'))


def unavailable(exchange: Exchange) -> None:
    """503, come back in a second."""
    exchange.answer(_made("503 Service Unavailable\r\nRetry-After: 1", b""))


def too_many(exchange: Exchange) -> None:
    """429, come back in an hour."""
    exchange.answer(_made("429 Too Many Requests\r\nRetry-After: 3600", b""))


def endless_headers(exchange: Exchange) -> None:
    """Headers without end."""
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    while not exchange.era.over.is_set():
        exchange.send(b"x-more: " + _LARGE + b"\r\n")


def endless_body(exchange: Exchange) -> None:
    """A body of terabytes."""
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999\r\n\r\n")
    while not exchange.era.over.is_set():
        exchange.send(_LARGE)


def _made(status: str, body: bytes, kind: bytes = b"application/json") -> bytes:
    length = b"\r\nContent-Length: %d\r\n\r\n" % len(body)
    return b"HTTP/1.1 " + status.encode() + b"\r\nContent-Type: " + kind + length + body


_ALL: Final[tuple[Callable[[Exchange], None], ...]] = (
    silent,
    black_hole,
    late_answer,
    half_open,
    reset,
    cut_request,
    cut_before_answer,
    answer_lost,
    cut_headers,
    cut_body,
    stale_connection,
    flapping,
    slow_link,
    jitter,
    drip,
    twice_first,
    twice_second,
    old_answer,
    other_answer,
    corrupted,
    corrupted_request,
    garbage,
    garbage_json,
    yes_to_all,
    no_such_thing,
    empty,
    portal,
    redirect,
    failing,
    unavailable,
    too_many,
    endless_headers,
    endless_body,
)

REFUSED: Final = "refused"
"""Nobody listens: the one fault that befalls connections rather than requests."""

FAULTS: Final[Mapping[str, Fault]] = {each.__name__: each for each in _ALL} | {
    "swapped": _Swap(),
    REFUSED: reset,
}
"""Every fault by its name."""
