"""Threads for what blocks: no more than so many, none of which holds up another's call."""

from __future__ import annotations

import threading

import pytest

from smfs.errors import ServiceBusy
from smfs.service.store.threads import Threads

PATIENCE_S = 20.0


def test_calls_that_wait_for_each_other_run_at_once() -> None:
    """Also when there is one idle thread, which takes one of them only."""
    for _ in range(20):
        threads = Threads(2, 10)
        threads.start(lambda: None)
        while not threads._idle:
            pass
        meeting = threading.Barrier(2)
        met: list[int] = []

        def meet(meeting: threading.Barrier = meeting, met: list[int] = met) -> None:
            try:
                met.append(meeting.wait(PATIENCE_S))
            except threading.BrokenBarrierError:
                met.append(-1)

        threads.start(meet)
        threads.start(meet)
        threads.finish()
        assert sorted(met) == [0, 1]


def test_what_waits_is_bounded() -> None:
    """The next one is refused at once; what was taken is done in its order."""
    threads = Threads(1, 3)
    held, began = threading.Event(), threading.Event()
    done: list[int] = []

    def hold() -> None:
        began.set()
        held.wait(PATIENCE_S)

    threads.start(hold)
    assert began.wait(PATIENCE_S)
    for number in range(3):
        threads.start(lambda number=number: done.append(number))  # type: ignore[misc]
    with pytest.raises(ServiceBusy, match="too many"):
        threads.start(lambda: done.append(99))
    held.set()
    threads.finish()
    assert done == [0, 1, 2]


def test_the_end_lets_nothing_begin() -> None:
    """Until there is a new beginning."""
    threads = Threads(3, 3)
    threads.start(lambda: None)
    threads.finish()
    with pytest.raises(ServiceBusy):
        threads.start(lambda: None)
    threads.begin()
    called = threading.Event()
    threads.start(called.set)
    assert called.wait(PATIENCE_S)
    threads.finish()
