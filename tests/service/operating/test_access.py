"""Request ids and the log: what can be followed, and what is never written."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from smfs.protocol import requests
from smfs.service.operating import Operating, RequestIdFilter
from tests.service.operating.backed import Backed, Message

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[Any]]
Operate = Callable[..., Operating]
NODE_ID = json.dumps({"authCode": requests.AUTH_CODE_NODE_ID})


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Callable[[], list[Any]]:
    """The records of requests so far."""
    caplog.set_level(logging.DEBUG)
    return lambda: [each for each in caplog.records if each.name == "smfs.service.access"]


@pytest.mark.parametrize("given", ["a", "2f1c-9.B_x", "0" * 64])
async def test_a_sane_id_is_kept(operate: Operate, ask: Ask, records: Any, given: str) -> None:
    """So that a proxy's log and ours speak of the same."""
    app = operate(access_log=True)
    answer = await ask(app, "/getNodeId", NODE_ID, headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == given
    assert [record.request_id for record in records()] == [given]


@pytest.mark.parametrize("given", ["", "0" * 65, "a b", "a\x0bb", "ä", 'a"b', "a\n"])
async def test_another_id_is_replaced(operate: Operate, ask: Ask, records: Any, given: str) -> None:
    """By one that is sane and used once."""
    app = operate(access_log=True)
    ids = set()
    for _ in range(2):
        answer = await ask(app, "/unknown", headers={"x-request-id": given})
        ids.add(answer.headers["x-request-id"])
        assert answer.headers["x-request-id"].isalnum()
    assert len(ids) == 2
    assert {record.request_id for record in records()} == ids


async def test_a_request_is_logged_with_its_fields(
    operate: Operate, ask: Ask, records: Any, ticks: Any
) -> None:
    """One record, by which a machine can search."""
    answer = await ask(operate(access_log=True), "/getNodeId?x=y", NODE_ID)
    [record] = records()
    assert record.levelno == logging.INFO
    assert (record.route, record.status, record.client) == ("getNodeId", 200, "127.0.0.1")
    assert (record.bytes_in, record.bytes_out) == (len(NODE_ID), len(answer.body))
    assert record.milliseconds == 0
    assert record.getMessage() == "getNodeId 200 in 0.0 ms"


async def test_requests_are_not_logged_unless_asked_for(
    operate: Operate, ask: Ask, records: Any
) -> None:
    """Neither those that went well nor those that a client got wrong."""
    app = operate(address_rate=0.01, address_burst=3)
    statuses = [(await ask(app, "/getNodeId", body)).status for body in (NODE_ID, "", "{", "")]
    assert statuses == [200, 400, 400, 429]
    assert records() == []


async def test_a_failure_of_the_service_is_always_logged(
    operate: Operate, ask: Ask, records: Any, alice: Any, database: Path
) -> None:
    """As a warning, by the id that the client was told."""
    alice.app = operate()
    _drop_all_tables(database)
    answer = await alice.ask(requests.GetSecret, secret_id="x")
    assert answer.status == 500
    [record] = records()
    assert (record.levelno, record.route, record.status) == (logging.WARNING, "getSecret", 500)
    assert record.request_id == answer.headers["x-request-id"]


def _drop_all_tables(database: Path) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (name,) in tables:
        if not name.startswith("sqlite_"):
            connection.execute(f'DROP TABLE "{name}"')
    connection.close()


async def test_an_error_that_nobody_caught_is_counted_as_one(
    ask: Ask, records: Any, operate: Operate, backed: Backed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on to the server, and no place is left taken."""

    async def fail(*_arguments: object) -> None:
        raise LookupError("unforeseen")

    monkeypatch.setattr(backed, "service", fail)
    app = operate(address_open=1)
    for _ in range(2):
        with pytest.raises(LookupError):
            await ask(app, "/getNodeId", NODE_ID)
    assert [record.status for record in records()] == [500, 500]
    assert app.open_requests == 0


async def test_what_else_is_logged_within_a_request_has_its_id(
    ask: Ask, operate: Operate, backed: Backed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In worker threads as well; outside there is none."""
    found: list[str] = []

    def log() -> None:
        record = logging.makeLogRecord({"msg": "x"})
        assert RequestIdFilter().filter(record)
        found.append(record.__dict__["request_id"])

    async def within(scope: Message, receive: Any, send: Any) -> None:
        log()
        await anyio.to_thread.run_sync(log)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})

    monkeypatch.setattr(backed, "service", within)
    app = operate()
    for request_id in ("first", "second"):
        await ask(app, "/x", headers={"x-request-id": request_id})
    log()
    assert found == ["first", "first", "second", "second", ""]


async def test_nothing_of_a_request_is_told(
    operate: Operate, ask: Ask, caplog: pytest.LogCaptureFixture, alice: Any, bob: Any
) -> None:
    """No log record and no figure has a node id, a secret id, a body, a query or a signature."""
    caplog.set_level(logging.DEBUG, "smfs")
    app = alice.app = bob.app = operate(access_log=True)
    canary = "canary-2718281828"
    signed = alice.signed(requests.SetSecret, secret_id=f"id-{canary}", secret=f"body-{canary}")
    await alice.send(signed)
    await alice.send(signed)
    await alice.accept(bob)
    await bob.share(alice, f"id-{canary}", f"body-{canary}")
    await ask(app, f"/{canary}?q={canary}", canary, headers={"authorization": canary})
    await ask(app, f"/getNodeId?{alice.node_id}", f'{{"authCode":"{canary}"}}')
    await ask(app, "/getSecret", "{" * 5)
    secrets = [canary, alice.node_id, bob.node_id, signed.signature, signed.signature[:64]]
    told = [str(vars(record)) + record.getMessage() for record in caplog.records]
    assert len(told) >= 7
    told.append((await ask(app, "/metrics", method="GET")).text)
    assert not [word for word in secrets for text in told if word in text]
    assert [word for word in ("setSecret",) for text in told if word in text]
