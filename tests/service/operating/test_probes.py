"""What load balancers ask: whether the process lives, and whether to send requests here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from smfs.errors import ServiceBusy
from smfs.service.operating import Operating
from tests.service.operating.backed import Backed

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[Any]]
Operate = Callable[..., Operating]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_a_service_that_works_says_so(
    operate: Operate, ask: Ask, path: str, method: str
) -> None:
    """To both methods that probes use."""
    answer = await ask(operate(), path, method=method)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_other_methods_are_the_service_s(operate: Operate, ask: Ask, path: str) -> None:
    """Which knows no such path."""
    answer = await ask(operate(), path)
    assert (answer.status, f"Cannot POST {path}" in answer.text) == (404, True)


async def test_a_store_that_cannot_be_used_is_told(
    operate: Operate, ask: Ask, backed: Backed, ticks: Any
) -> None:
    """In one line that has no word of the error; the process lives all the same."""
    app = operate()
    backed.error = ServiceBusy("/var/lib/password")
    answer = await ask(app, "/readyz", method="GET")
    assert answer.status == 503
    assert answer.json == {"ready": False, "reason": "the store cannot be used"}
    assert answer.headers["retry-after"] == "1"
    assert (await ask(app, "/healthz", method="GET")).status == 200
    backed.error = None
    ticks.seconds += 1
    assert (await ask(app, "/readyz", method="GET")).json == {"ready": True}


async def _probe(app: Operating, ask: Ask) -> Any:
    return await ask(app, "/readyz", method="GET")


async def test_a_change_of_readiness_is_logged_once(
    operate: Operate, ask: Ask, backed: Backed, ticks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at each probe."""
    app = operate()
    for error in (None, ServiceBusy("x"), ServiceBusy("x"), None, None):
        backed.error = error
        await ask(app, "/readyz", method="GET")
        ticks.seconds += 1
    told = [record.message for record in caplog.records if record.name.endswith("readiness")]
    assert told == ["ready: the store cannot be used", "ready: again"]


async def test_probes_cannot_load_the_store(
    operate: Operate, ask: Ask, backed: Backed, ticks: Any
) -> None:
    """However many come at once: it is asked once a second."""
    app = operate()
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(_probe, app, ask)
    assert backed.checks == 1
    ticks.seconds += 0.9
    await ask(app, "/readyz", method="GET")
    assert backed.checks == 1
    ticks.seconds += 0.1
    await ask(app, "/readyz", method="GET")
    assert backed.checks == 2


async def test_a_store_that_says_nothing_is_not_waited_for(
    operate: Operate, ask: Ask, backed: Backed
) -> None:
    """Nor by those who ask meanwhile."""
    backed.is_silent = True
    app = operate(ready_s=0.01)
    answers: list[Any] = []

    async def one() -> None:
        answers.append(await _probe(app, ask))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(one)
    assert {answer.status for answer in answers} == {503}
    assert answers[0].json["reason"] == "the store does not answer"
    assert backed.checks == 1


async def test_a_probe_that_is_cut_off_holds_up_no_other(
    operate: Operate, ask: Ask, backed: Backed
) -> None:
    """The next one asks anew."""
    app = operate()
    backed.is_silent = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_probe, app, ask)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    backed.is_silent = False
    assert (await ask(app, "/readyz", method="GET")).status == 200


async def test_probes_are_neither_limited_nor_counted(
    operate: Operate, ask: Ask, figures: Callable[..., Any]
) -> None:
    """Else a load balancer would be refused, and would drown all other figures."""
    app = operate(address_rate=0.001, address_burst=1)
    for _ in range(5):
        assert (await ask(app, "/readyz", method="GET")).status == 200
        assert (await ask(app, "/healthz", method="GET")).status == 200
    assert not [name for name, _ in await figures(app) if name == "smfs_requests_total"]
