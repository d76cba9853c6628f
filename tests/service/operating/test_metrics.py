"""What `/metrics` shows, to whom, and what it never shows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from math import isnan
from pathlib import Path
from typing import Any

import pytest

from smfs.errors import (
    InvalidInput,
    OutcomeUnknown,
    ServiceBusy,
    StoreFailed,
    StoreFull,
    StoreUnreachable,
)
from smfs.protocol import requests
from smfs.service.answers import fault_of
from smfs.service.meters import HookOutcome, Limit, Meters, NoMeters, StoreFault
from smfs.service.operating import Operating, OperatingOptions, PrometheusMeters
from tests.service.operating.backed import Backed, Samples, figure, parsed

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[Any]]
Figures = Callable[[Operating], Awaitable[Samples]]
Operate = Callable[..., Operating]

HERE = Path(__file__).parent


async def test_requests_are_counted_by_route_and_status(
    operate: Operate, ask: Ask, alice: Any, figures: Figures
) -> None:
    """Whatever is no route is one label, however many paths a stranger thinks of."""
    app = alice.app = operate()
    await alice.set("x", "1")
    await alice.set("y", "1")
    await ask(app, "/setSecret", "{}")
    for number in range(20):
        await ask(app, f"/{number}", method="GET")
    samples = await figures(app)
    assert figure(samples, "smfs_requests_total", route="setSecret", status="200") == 2
    assert figure(samples, "smfs_requests_total", route="setSecret", status="400") == 1
    assert figure(samples, "smfs_requests_total", route="other", status="404") == 20
    assert figure(samples, "smfs_request_seconds_count", route="setSecret") == 3
    routes = {dict(labels).get("route") for _, labels in samples} - {None}
    assert routes == {*requests.ROUTES, "other"}


async def test_a_feed_that_waits_does_not_drown_the_rest(
    operate: Operate, figures: Figures, ticks: Any, waiting: Any
) -> None:
    """Its wait is counted apart from its work, which the clock of this test gives no time."""
    app = operate()
    async with waiting(app) as call:
        samples = await figures(app)
        assert figure(samples, "smfs_waiting_feeds") == 1
        assert figure(samples, "smfs_open_requests") == 2  # and the one that shows it
        ticks.seconds += 14
    assert call.status == 200
    samples = await figures(app)
    assert figure(samples, "smfs_waiting_feeds") == 0
    assert figure(samples, "smfs_open_requests") == 1
    assert figure(samples, "smfs_request_seconds_sum", route="getChanges") == 0
    assert figure(samples, "smfs_request_seconds_count", route="getChanges") == 1
    assert figure(samples, "smfs_feed_wait_seconds_sum") == 14
    assert figure(samples, "smfs_feed_wait_seconds_bucket", le="10.0") == 0


async def test_who_goes_away_is_no_answer_of_the_service(
    operate: Operate, figures: Figures, waiting: Any
) -> None:
    """It is counted as proxies count it."""
    app = operate()
    async with waiting(app) as call:
        call.gone.set()
    assert call.status is None
    samples = await figures(app)
    assert figure(samples, "smfs_requests_total", route="getChanges", status="499") == 1
    assert figure(samples, "smfs_waiting_feeds") == 0


async def test_what_the_service_counts_is_shown(
    operate: Operate, figures: Figures, meters: PrometheusMeters
) -> None:
    """Every kind is there from the start, at 0."""
    app = operate()
    samples = await figures(app)
    for kind in StoreFault:
        assert figure(samples, "smfs_store_errors_total", kind=kind) == 0
    for outcome in HookOutcome:
        assert figure(samples, "smfs_hooks_total", outcome=outcome) == 0
    for reason in Limit:
        assert figure(samples, "smfs_limited_total", reason=reason) == 0
    counting: Meters = meters
    counting.store_error(StoreFault.BUSY)
    counting.hook(HookOutcome.DROPPED)
    counting.limited(Limit.CONNECTIONS)
    counting.limited(Limit.CONNECTIONS)
    samples = await figures(app)
    assert figure(samples, "smfs_store_errors_total", kind="busy") == 1
    assert figure(samples, "smfs_hooks_total", outcome="dropped") == 1
    assert figure(samples, "smfs_limited_total", reason="connections") == 2


def test_every_fault_of_the_store_counts_as_what_it_is() -> None:
    """And there is no kind that nothing counts as."""
    kinds: dict[StoreFailed | ServiceBusy, StoreFault | Limit] = {
        ServiceBusy(): StoreFault.BUSY,
        OutcomeUnknown(): StoreFault.BUSY,
        StoreUnreachable(): StoreFault.UNREACHABLE,
        StoreFull(): StoreFault.FULL,
        StoreFailed(): StoreFault.OTHER,
    }
    assert {error: fault_of(error) for error in kinds} == kinds
    assert set(kinds.values()) == set(StoreFault)


def test_without_an_operator_nothing_is_counted() -> None:
    """And nothing needs to be asked for."""
    meters: Meters = NoMeters()
    meters.store_error(StoreFault.FULL)
    meters.hook(HookOutcome.FAILED)
    meters.limited(Limit.NODE_RATE)
    assert vars(meters) == {}


def test_a_service_without_an_operator_loads_nothing_of_it() -> None:
    """The embedded one is to start fast."""
    program = "import sys, smfs.service; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def test_the_queue_of_hooks_is_asked_of_the_store(
    operate: Operate, figures: Figures, backed: Backed
) -> None:
    """Where that cannot be asked, all else is shown nevertheless."""
    app = operate()
    backed.queue = 7
    assert figure(await figures(app), "smfs_hooks_queued") == 7
    backed.error = ServiceBusy("x")
    assert isnan(figure(await figures(app), "smfs_hooks_queued"))


async def test_the_process_is_shown(operate: Operate, figures: Figures) -> None:
    """What it took of CPU and memory, under the names that everybody uses."""
    app = operate()
    samples = await figures(app)
    used = figure(samples, "process_cpu_seconds_total")
    assert used > 0
    assert 10 * 2**20 < figure(samples, "process_resident_memory_bytes") < 2**40
    for _ in range(3):
        before, used = used, figure(await figures(app), "process_cpu_seconds_total")
        assert used >= before


class TestWhoMayRead:
    """This machine only, unless the operator chose otherwise."""

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
    async def test_this_machine_may(
        self, operate: Operate, ask: Ask, coming_from: Any, host: str
    ) -> None:
        """By any of its loopback addresses."""
        app = coming_from(operate(), host)
        assert (await ask(app, "/metrics", method="GET")).status == 200

    @pytest.mark.parametrize("host", ["192.0.2.7", "10.0.0.1", "2001:db8::1", "", "unix", "1" * 99])
    async def test_others_may_not(
        self, operate: Operate, ask: Ask, coming_from: Any, host: str
    ) -> None:
        """Nor who has no address."""
        answer = await ask(coming_from(operate(), host), "/metrics", method="GET")
        assert (answer.status, b"smfs_" in answer.body) == (403, False)

    @pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "x-real-ip", "via"])
    async def test_a_proxy_on_this_machine_asks_for_others(
        self, operate: Operate, ask: Ask, name: str
    ) -> None:
        """However it says so."""
        answer = await ask(operate(), "/metrics", method="GET", headers={name: "127.0.0.1"})
        assert answer.status == 403

    async def test_everybody_may_if_the_operator_says_so(
        self, operate: Operate, ask: Ask, coming_from: Any
    ) -> None:
        """Then nobody is asked who it is."""
        app = coming_from(operate(public_metrics=True), "192.0.2.7")
        assert (await ask(app, "/metrics", method="GET")).status == 200

    async def test_a_token_is_asked_of_everybody(
        self, operate: Operate, ask: Ask, coming_from: Any
    ) -> None:
        """Of this machine too, and whatever else is chosen."""
        app = operate(metrics_token="t0ken", public_metrics=True)
        for given in ("", "Bearer t0ke", "Bearer t0kenn", "Basic t0ken", "t0ken"):
            answer = await ask(app, "/metrics", method="GET", headers={"authorization": given})
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        headers = {"authorization": "Bearer t0ken"}
        far = coming_from(app, "192.0.2.7")
        assert (await ask(far, "/metrics", method="GET", headers=headers)).status == 200

    def test_the_token_is_kept_from_logs(self) -> None:
        """And an empty one is no token."""
        assert "t0ken" not in repr(OperatingOptions(metrics_token="t0ken"))
        with pytest.raises(InvalidInput):
            OperatingOptions(metrics_token="")


def test_the_figures_of_all_workers_are_added_up(tmp_path: Path) -> None:
    """Whichever of them is asked; one that has ended leaves its counters, and nothing open."""
    shared = tmp_path / "metrics"
    shared.mkdir()

    with ExitStack() as stack:
        workers = [_worker(stack, shared, tmp_path / "service.db", n) for n in (3, 4)]
        assert [_told(worker) for worker in workers] == ["ready\n", "ready\n"]
        both = _shown(workers[0])
        assert figure(both, "smfs_requests_total", route="getNodeId", status="200") == 7
        assert figure(both, "smfs_request_seconds_count", route="getNodeId") == 7
        # One that each keeps, and the one that shows it.
        assert figure(both, "smfs_open_requests") == 3
        # The queue is in the store, and the same for all.
        assert figure(_shown(workers[1]), "smfs_hooks_queued") == 5
        assert figure(both, "smfs_hooks_queued") == 5
        _tell(workers[1], "end")
        assert workers[1].wait(20) == 0
        _tell(workers[0], f"forget {workers[1].pid}")
        rest = _shown(workers[0])
        assert figure(rest, "smfs_requests_total", route="getNodeId", status="200") == 7
        assert figure(rest, "smfs_open_requests") == 2
        memory = "process_resident_memory_bytes"
        assert 0 < figure(rest, memory) < figure(both, memory)
        _tell(workers[0], "end")
        assert workers[0].wait(20) == 0


def _worker(stack: ExitStack, shared: Path, database: Path, count: int) -> subprocess.Popen[str]:
    worker = stack.enter_context(
        subprocess.Popen(
            [sys.executable, HERE / "worker.py", database, str(count)],
            cwd=HERE.parents[2],
            env={"PROMETHEUS_MULTIPROC_DIR": str(shared), "PYTHONPATH": "."},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
    )
    stack.callback(worker.kill)
    return worker


def _told(worker: subprocess.Popen[str]) -> str:
    assert worker.stdout
    return worker.stdout.readline()


def _tell(worker: subprocess.Popen[str], order: str) -> None:
    assert worker.stdin
    worker.stdin.write(order + "\n")
    worker.stdin.flush()


def _shown(worker: subprocess.Popen[str]) -> Samples:
    _tell(worker, "show")
    lines = [_told(worker)]
    while lines[-1].strip():
        lines.append(_told(worker))
    return parsed("".join(lines))
