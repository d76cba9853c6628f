"""A cache is for one process, and has so much room: neither a kill nor a full disk breaks it."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from smfs.client.records import SecretRecord
from smfs.crypto.box import Box
from tests.client.cache.caches import (
    SERVICE,
    SOME,
    by_place,
    everything,
    header,
    inside,
    opened,
    read,
    secret,
    size_of,
    write,
)

pytestmark = pytest.mark.anyio

# Writes whole revisions as fast as it can, and says which were taken.
WRITER = """
import sys, pathlib, anyio
from smfs.client.cache import Cache
from smfs.client.records import Header, SecretRecord
from smfs.crypto.identity import Identity

async def main():
    cache = Cache(pathlib.Path(sys.argv[1]), Identity(bytes(range(32))), service=sys.argv[2])
    await cache.open()
    revision = 0
    while True:
        revision += 1
        put = [SecretRecord("", f"s{n}", revision, False, None, "x" * 5000, 1, None, None, 1.0)
               for n in range(20)]
        await cache.write(Header("f", revision, 1.0, sys.argv[2], None), put, [])
        print(revision, cache.is_open, flush=True)

anyio.run(main)
"""


async def test_a_second_one_goes_without(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """So that no header ever claims what another process has not written."""
    first = await opened(path)
    await first.write(header(), SOME, [])

    second = await opened(path)
    await second.write(header(99), [], [], replace=True)

    assert (second.is_open, await second.load()) == (False, None)
    assert "another process has the cache" in caplog.text
    await second.aclose()
    assert everything(await first.load()) == by_place(SOME)
    await first.aclose()
    assert everything(await read(path)) == by_place(SOME)


@contextmanager
def writer(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that writes without end."""
    command = [sys.executable, "-c", WRITER, str(path), SERVICE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("taken", [1, 2, 5, 13])
async def test_a_process_that_is_killed_leaves_all_or_nothing(path: Path, taken: int) -> None:
    """Each write is there whole or not at all, and those that returned are."""
    with writer(path) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(taken)]
        process.send_signal(signal.SIGKILL)
        process.wait()

    loaded = await read(path)

    assert said[-1] == f"{taken} True\n"
    assert loaded is not None
    revision = loaded.header.revision
    assert revision >= taken
    assert {record.revision for record in loaded.secrets} == {revision}
    assert len(loaded.secrets) == 20


async def test_processes_do_not_share_a_file(path: Path) -> None:
    """Of two that are there at once, one has it; with its end it is free."""
    with writer(path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        without = await opened(path)
        assert without.state() is None
    assert await read(path) is not None


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """As on a disk that is full: what would make a file larger than `size` bytes fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_leaves_what_was(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is not written is no error; only what replaces everything is written afterwards."""
    await write(path, SOME)
    cache = await opened(path)
    with no_file_beyond(size_of(path)):
        for number in range(3):
            await cache.write(header(9), [secret(f"{number}", token="x" * 300_000)], [])
    assert cache.needs_all
    assert len(caplog.records) == 1

    await cache.write(header(10), [secret("later")], [])
    assert everything(await cache.load()) == by_place(SOME)
    await cache.aclose()
    loaded = await read(path)
    assert everything(loaded) == by_place(SOME)
    assert loaded is not None
    assert loaded.header.revision == 1

    cache = await opened(path)
    await cache.write(header(11), SOME[:2], [], replace=True)
    assert not cache.needs_all
    await cache.aclose()
    assert everything(await read(path)) == by_place(SOME[:2])


async def test_a_disk_that_is_full_from_the_beginning(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no cache, and no harm."""
    with no_file_beyond(0):
        cache = await opened(path)
        await cache.write(header(), SOME, [])
    assert not cache.is_open
    assert len(caplog.records) == 1

    await write(path, SOME)
    assert everything(await read(path)) == by_place(SOME)


async def test_a_file_that_breaks_while_it_is_open_is_made_anew(path: Path) -> None:
    """What was written since is missing, so that only all of it counts."""
    cache = await opened(path)
    await cache.write(header(), SOME, [])
    await cache.aclose()
    with inside(path) as connection:
        connection.execute("UPDATE row SET sealed = 5")
    await cache.open()

    await cache.write(header(2), SOME[:1], [])

    assert cache.needs_all
    assert await cache.load() is None
    await cache.write(header(3), SOME[:1], [])
    assert await cache.load() is None
    await cache.write(header(4), SOME, [], replace=True)
    assert everything(await cache.load()) == by_place(SOME)
    await cache.aclose()


async def test_the_largest_are_left_out(path: Path) -> None:
    """Beyond the bound, one by one or all at once; their records stay, and the others' boxes."""
    sized: Callable[..., SecretRecord] = partial(secret)
    records = [sized(f"s{size}", box=Box("b0" * 32, "00" * size)) for size in range(160, 1600, 16)]
    bound = 20_000
    for batches in ([records], [[record] for record in records]):
        cache = await opened(path, max_bytes=bound)
        await cache.write(header(), [], [], replace=True)
        for batch in batches:
            await cache.write(header(), batch, [])
        await cache.aclose()

        loaded = await read(path)
        assert loaded is not None
        assert len(loaded.secrets) == len(records)
        boxes = [record.box for record in loaded.secrets if record.box is not None]
        sizes = [32 + len(box.encrypted_content_hex) // 2 for box in boxes]
        assert bound - 1600 < sum(sizes) <= bound
        assert sorted(sizes) == [32 + size for size in range(160, 1600, 16)][: len(sizes)]


async def test_the_file_itself_is_bounded(path: Path) -> None:
    """Names without end do not fill the disk, either."""
    cache = await opened(path, max_bytes=0)
    for number in range(60):
        await cache.write(header(number), [secret("x" * 1_000_000 + str(number))], [])

    assert cache.needs_all
    await cache.aclose()
    assert size_of(path) < 40 * 1024 * 1024
