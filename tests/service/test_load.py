"""What one sender can cost the others: large bodies, slow ones, and many at once."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from smfs.errors import ServiceBusy
from smfs.protocol import canonical, requests
from smfs.service import Service, http, room
from smfs.service.room import Room

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[Any]]
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(("fields", "status"), [(16, 400), (17, 400), (1_000_000, 400)])
async def test_a_form_has_few_fields(service: Service, ask: Ask, fields: int, status: int) -> None:
    """More than any request has are not even split; up to then, the request is looked at."""
    answer = await ask(service, "/getNodeId", "&".join(["a"] * fields), headers=FORM)
    assert answer.status == status
    assert ("<pre>Bad Request</pre>" in answer.text) == (fields > 16)


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b",".join([b"[]"] * 40_000) + b"]",
        b"[" + b",".join([b'{"":{}}'] * 20_000) + b"]",
        b'{"a\\\\":[' + b",".join([b'"\\",["'] * 20_000) + b"]}",
    ],
)
@pytest.mark.parametrize("coding", ["identity", "gzip"])
async def test_a_large_body_of_many_values_is_never_built(
    service: Service, ask: Ask, monkeypatch: pytest.MonkeyPatch, body: bytes, coding: str
) -> None:
    """However it is quoted and compressed, it is refused by its look."""

    def built(_raw: bytes) -> None:
        raise AssertionError("it was built")

    monkeypatch.setattr(canonical, "decode", built)
    data = gzip.compress(body) if coding == "gzip" else body
    answer = await ask(service, "/getNodeId", data, headers={"content-encoding": coding})
    assert answer.status == 400


async def test_marks_within_strings_are_none(alice: Any) -> None:
    """An envelope may be any text."""
    text = '[{,"\\\\' * 30_000
    await alice.set("x", text)
    assert await alice.get("x") == text


async def test_a_body_that_never_comes_is_given_up(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender hears 408."""
    assert http._BODY_S <= 30
    monkeypatch.setattr(http, "_BODY_S", 0.05)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/setSecret", "headers": []}
    await service(scope, receive, send)
    assert sent[0]["status"] == 408


async def test_bodies_share_a_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds none free waits, and after a while is told to come back; nothing is lost of it."""
    shared = Room(100)
    monkeypatch.setattr(room, "_WAIT_S", 0.05)
    async with shared.taken(60):
        async with shared.taken(40):
            pass
        with pytest.raises(ServiceBusy):
            async with shared.taken(41):
                pass
    async with anyio.create_task_group() as tasks:
        monkeypatch.setattr(room, "_WAIT_S", 10)
        entered = anyio.Event()

        async def wait() -> None:
            async with shared.taken(100):
                entered.set()

        async with shared.taken(100):
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert not entered.is_set()
    assert entered.is_set()


async def test_large_bodies_are_refused_where_there_is_no_room(
    service: Service, alice: Any, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    """503; a small request goes on as ever."""
    monkeypatch.setattr(room, "_WAIT_S", 0.05)
    large = {"content-length": "200000"}
    async with service._room.taken(64 * 1024 * 1024 - 1000):
        refused = await ask(service, "/setSecret", "{}", headers=large)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        sent = alice.signed(requests.SetSecret, secret_id="x", secret="y")
        body = canonical.encode(sent.to_wire())
        headers = {"content-length": str(len(body))}
        assert (await ask(service, "/setSecret", body, headers=headers)).status == 200


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1_000_000])
async def test_an_answer_goes_out_in_pieces(size: int) -> None:
    """So a server holds no more of it than one piece for somebody who does not read."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    await http.Response(200, body).send(send)
    start, *pieces = sent
    assert dict(start["headers"])[b"content-length"] == str(size).encode()
    assert b"".join(each["body"] for each in pieces) == body
    assert max(len(each["body"]) for each in pieces) <= 65_536
    assert [each["more_body"] for each in pieces] == [True] * (len(pieces) - 1) + [False]
