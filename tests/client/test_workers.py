"""Work in threads: it can be left, and the largest is done one after the other."""

from __future__ import annotations

import threading

import anyio
import anyio.to_thread
import pytest

from smfs.client.workers import off_loop

pytestmark = pytest.mark.anyio

LARGE = 64 * 1024 * 1024


@pytest.mark.parametrize("size", [1024 * 1024, LARGE])
async def test_who_is_cancelled_does_not_wait_for_the_end(size: int) -> None:
    """A deadline holds for what a hostile answer makes us compute, too."""
    goes_on, ended = threading.Event(), threading.Event()

    def work() -> None:
        goes_on.wait(20)
        ended.set()

    with anyio.move_on_after(0.05) as scope:
        await off_loop(size, work)
    assert scope.cancelled_caught
    assert not ended.is_set()
    goes_on.set()
    assert await anyio.to_thread.run_sync(ended.wait, 20)


async def test_the_largest_are_done_one_after_the_other() -> None:
    """Many listings at once would take much memory."""
    running, most = 0, 0
    lock = threading.Lock()
    meeting = threading.Barrier(2)

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with pytest.raises(threading.BrokenBarrierError):
            meeting.wait(0.05)  # nobody else comes
        meeting.reset()
        with lock:
            running -= 1

    async with anyio.create_task_group() as tasks:
        for _ in range(4):
            tasks.start_soon(off_loop, LARGE, work)
    assert most == 1


async def test_others_do_not_wait_for_a_large_one() -> None:
    """A read goes on while a listing is opened."""
    goes_on = threading.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(off_loop, LARGE, lambda: goes_on.wait(20))
        await off_loop(1024 * 1024, goes_on.set)
    assert goes_on.is_set()


async def test_what_is_small_stays_in_its_thread() -> None:
    """A change of threads would take longer."""
    assert await off_loop(1000, threading.get_ident) == threading.get_ident()
    assert await off_loop(LARGE, threading.get_ident) != threading.get_ident()
