"""What a store promises, on either engine: all of a transaction or nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from smfs.errors import ServiceBusy, SmfsError, StoreFailed
from smfs.service.store import Signature, Store, Transaction, Undone
from tests.service.places import Place, rows

pytestmark = pytest.mark.anyio

Work = Callable[[Transaction], Any]


def putting(key: bytes, outcome: Any = None, error: Exception | None = None) -> Callable[[], Work]:
    """Stores a row; then returns an outcome, or raises an error."""

    def work(transaction: Transaction) -> Any:
        transaction.execute("INSERT INTO locks VALUES (?)", (key,))
        if error is not None:
            raise error
        return outcome

    return lambda: work


def breaking(transaction: Transaction) -> None:
    """Asks for what there is not."""
    transaction.execute("INSERT INTO locks VALUES (?)", (b"broken",))
    transaction.execute("SELECT 1 FROM nowhere")


def kept(place: Place) -> set[bytes]:
    """The rows that are there."""
    return {key for (key,) in rows(place, "SELECT node_id FROM locks")}


async def test_what_is_written_is_there(store: Store, place: Place) -> None:
    """For other connections and for those who read by the store."""
    assert await store.write(putting(b"a", 7)) == 7
    assert kept(place) == {b"a"}
    found = await store.read(
        lambda: lambda transaction: transaction.execute("SELECT node_id FROM locks").fetchall()
    )
    assert found == [(b"a",)]


async def test_a_read_sees_one_moment(store: Store, place: Place) -> None:
    """Whatever is committed in between."""

    def work(transaction: Transaction) -> list[int]:
        counts = []
        for key in (b"a", b"b"):
            counts += transaction.execute("SELECT count(*) FROM locks").fetchone()
            rows(place, "INSERT INTO locks VALUES (?)", key)
        return counts

    assert await store.read(lambda: work) == [0, 0]
    assert kept(place) == {b"a", b"b"}


async def test_undone_work_leaves_its_outcome_only(store: Store, place: Place) -> None:
    """It is no error."""
    assert await store.write(putting(b"a", error=Undone("refused"))) == "refused"
    assert kept(place) == set()

    def refuse(_transaction: Transaction) -> Any:
        raise Undone("refused")

    assert await store.read(lambda: refuse) == "refused"
    await store.write(putting(b"b"))
    assert kept(place) == {b"b"}


@pytest.mark.parametrize("when", ["prepared", "working"])
@pytest.mark.parametrize("how", ["read", "write"])
async def test_an_error_is_raised_where_the_work_was_ordered(
    store: Store, how: str, when: str
) -> None:
    """As it is; the store goes on."""

    def fail(*_arguments: object) -> Any:
        raise LookupError(when)

    run = store.read if how == "read" else store.write
    for _ in range(3):
        with pytest.raises(LookupError, match=when):
            await run(fail if when == "prepared" else lambda: fail)
    await store.check()


async def test_one_s_fault_is_not_the_others(store: Store, place: Place) -> None:
    """Of many at once some fail, are undone, or break the transaction that they share."""
    outcomes: dict[int, Any] = {}

    async def one(number: int) -> None:
        kind = number % 5
        error = {1: LookupError(number), 2: Undone(-number)}.get(kind)
        prepared = (lambda: breaking) if kind == 3 else putting(b"%d" % number, number, error)
        try:
            outcomes[number] = await store.write(prepared)
        except (LookupError, SmfsError) as failure:
            outcomes[number] = type(failure)

    async with anyio.create_task_group() as tasks:
        for number in range(100):
            tasks.start_soon(one, number)
    wanted: dict[int, Any] = {1: LookupError, 3: StoreFailed}
    for number, outcome in outcomes.items():
        expected = -number if number % 5 == 2 else wanted.get(number % 5, number)
        assert outcome == expected, number
    assert kept(place) == {b"%d" % number for number in range(100) if number % 5 in (0, 4)}


async def test_a_failed_statement_is_named_without_what_was_asked(store: Store) -> None:
    """An operator sees the kind of fault, and nobody's data."""
    with pytest.raises(StoreFailed) as raised:
        await store.write(lambda: breaking)
    assert "nowhere" not in str(raised.value)
    assert str(raised.value) in {"SQLITE_ERROR", "UndefinedTable"}


async def test_a_signature_is_used_once(store: Store) -> None:
    """Of a write that is undone it is not; one that is only looked for stays unused."""
    used = Signature(b"n" * 32, 1_800_000_000_000, b"s" * 64)

    def use(transaction: Transaction, *, keep: bool = True) -> bool:
        return transaction.use_signature(used, keep=keep)

    def use_and_undo(transaction: Transaction) -> Any:
        raise Undone(use(transaction))

    for run in (store.write, store.read):
        assert await run(lambda: lambda transaction: use(transaction, keep=False)) is True
        if run == store.write:
            assert await run(lambda: use_and_undo) is True
        assert await run(lambda: use) is True
        assert await run(lambda: use) is False
        assert await run(lambda: lambda transaction: use(transaction, keep=False)) is False


async def test_old_signatures_are_forgotten(store: Store) -> None:
    """Those of writes and those of reads."""
    old, new = (Signature(b"n" * 32, time, b"s" * 64) for time in (1_000, 2_000))

    def use_both(transaction: Transaction) -> list[bool]:
        return [transaction.use_signature(each, keep=True) for each in (old, new)]

    for run in (store.write, store.read):
        assert await run(lambda: use_both) == [True, True]
    await store.write(lambda: lambda transaction: transaction.forget_signatures(2_000))
    for run in (store.write, store.read):
        assert await run(lambda: use_both) == [True, False]


async def test_closing_waits_for_what_was_begun(store: Store, place: Place) -> None:
    """Everything is done and answered; later on nothing is begun."""
    done: list[int] = []

    async def one(number: int) -> None:
        done.append(await store.write(putting(b"%d" % number, number)))

    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(one, number)
        await anyio.wait_all_tasks_blocked()
        await store.aclose()
        with pytest.raises(ServiceBusy):
            await store.write(putting(b"late"))
        with pytest.raises(ServiceBusy):
            await store.check()
    assert sorted(done) == list(range(50))
    assert kept(place) == {b"%d" % number for number in range(50)}


async def test_what_was_closed_can_be_opened_again(store: Store, place: Place) -> None:
    """As a server does that is told to stop and to start."""
    await store.aclose()
    first = await store.open(None)
    await store.aclose()
    again = await store.open(None)
    assert again.node_id == first.node_id
    await store.write(putting(b"a"))
    assert kept(place) == {b"a"}


async def test_who_gives_up_does_not_hold_up_the_others(store: Store, place: Place) -> None:
    """Cancelled writes are done or not done, each as a whole."""
    async with anyio.create_task_group() as tasks:
        for number in range(50):
            tasks.start_soon(store.write, putting(b"%d" % number))
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    await store.write(putting(b"after"))
    assert b"after" in kept(place)
    assert kept(place) <= {b"after", *(b"%d" % number for number in range(50))}
