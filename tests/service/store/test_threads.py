"""Threads for what blocks: no more than so many, none of which holds up another's call."""

from __future__ import annotations

import threading

import pytest

from smfs.errors import ServiceBusy
from smfs.service.store.threads import Threads

PATIENCE_S = 20.0


def test_calls_that_wait_for_each_other_run_at_once() -> None:
    """Also when a thread was idle before, which takes one of them only."""
    threads = Threads(2, 10)
    for _ in range(20):
        meeting = threading.Barrier(2)
        over = threading.Semaphore(0)

        def meet(meeting: threading.Barrier = meeting, over: threading.Semaphore = over) -> None:
            meeting.wait(PATIENCE_S)
            over.release()

        threads.start(meet)
        threads.start(meet)
        for _ in range(2):
            assert over.acquire(timeout=PATIENCE_S)
    threads.finish()


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
