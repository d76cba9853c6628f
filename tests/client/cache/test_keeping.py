"""What a cache keeps over restarts, and what of it can be seen in its file."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smfs.client.records import NodePlace, NodeRecord, Place, Record, SecretPlace
from smfs.crypto.box import Box
from smfs.crypto.identity import Identity
from tests.client.cache.caches import (
    CANARY,
    SEED,
    SENDER,
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


# --- what is kept ---------------------------------------------------------------------------------


async def test_all_comes_back(path: Path) -> None:
    """Every field of every record, and the header."""
    await write(path, SOME, header(42))

    loaded = await read(path)

    assert everything(loaded) == by_place(SOME)
    assert loaded is not None
    assert loaded.header == header(42)
    assert len(loaded.nodes) == 2


async def test_a_new_cache_is_empty(path: Path) -> None:
    """And is there for its owner only, whatever the umask."""
    before = os.umask(0)
    try:
        cache = await opened(path)
        await cache.write(header(), SOME, [])
        modes = {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
        await cache.aclose()
    finally:
        os.umask(before)
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert await read(path.with_name("other.cache")) is None


async def test_changes_come_one_by_one(path: Path) -> None:
    """What is put is put over what was there; what is dropped is gone; what is unknown is none."""
    await write(path, SOME)
    cache = await opened(path)
    newer = secret("one", size=99)
    gone: list[Place] = [SecretPlace(SENDER, "two"), NodePlace("sender", SENDER)]

    await cache.write(header(2), [newer, newer], [*gone, *gone, SecretPlace("", "never")])
    await cache.write(header(3), [], [])
    await cache.aclose()

    loaded = await read(path)
    expected = by_place([*SOME, newer])
    assert everything(loaded) == {at: what for at, what in expected.items() if at not in gone}
    assert loaded is not None
    assert loaded.header.revision == 3


async def test_what_is_put_and_dropped_at_once_is_put(path: Path) -> None:
    """As a secret is that was deleted and made anew."""
    cache = await opened(path)
    await cache.write(header(), SOME, [record.place for record in SOME])
    await cache.aclose()

    assert everything(await read(path)) == by_place(SOME)


STEPS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=6),
        st.lists(st.integers(0, 4), max_size=3),
        st.booleans(),
        st.booleans(),
    ),
    max_size=8,
)


@settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(STEPS)
def test_any_history_comes_back(
    tmp_path: Path,
    steps: list[tuple[list[tuple[int, int]], list[int], bool, bool]],
) -> None:
    """Whatever is put, dropped and replaced, over whatever restarts."""
    path = tmp_path / "history.cache"
    path.unlink(missing_ok=True)
    model: dict[Place, Record] = {}

    async def run() -> None:
        cache = await opened(path)
        for number, (put, drop, is_all, restart) in enumerate(steps, 1):
            records = [secret(f"s{which}", revision=value) for which, value in put]
            gone = [SecretPlace("", f"s{which}") for which in drop]
            await cache.write(header(number), records, gone, replace=is_all)
            kept = {} if is_all else {at: it for at, it in model.items() if at not in gone}
            model.clear()
            model.update(kept | by_place(records))
            assert cache.state() is not None
            assert (cache.state() or {})["entries"] == len(model)
            if restart:
                await cache.aclose()
                cache = await opened(path)
        assert not steps or everything(await cache.load()) == model
        await cache.aclose()

    anyio.run(run)


async def test_the_state_tells_where_and_how_much(path: Path) -> None:
    """Of an open cache; there is none of a closed one."""
    cache = await opened(path)
    await cache.write(header(), SOME, [])

    assert cache.state() == {"path": str(path), "size": size_of(path), "entries": len(SOME)}
    await cache.aclose()
    assert cache.state() is None
    await cache.open()
    assert (cache.state() or {})["entries"] == len(SOME)
    await cache.aclose()


async def test_what_is_forgotten_is_gone(path: Path) -> None:
    """For this process and the next; and there is room for new things."""
    cache = await opened(path)
    await cache.write(header(), SOME, [])

    await cache.wipe()

    assert await cache.load() is None
    await cache.write(header(2), SOME[:1], [])
    await cache.aclose()
    assert everything(await read(path)) == by_place(SOME[:1])


async def test_a_one_time_secret_is_kept_without_its_ciphertext(path: Path) -> None:
    """It is not to be read after it was."""
    await write(path, [secret("once", one_time=True)])

    assert everything(await read(path))[SecretPlace("", "once")] == secret(
        "once", one_time=True, box=None
    )


# --- what is not in the file ----------------------------------------------------------------------


async def test_no_name_is_in_the_file(path: Path) -> None:
    """Neither an id, nor a node, nor the service, nor a ciphertext; while it is open, or later."""
    node, content = Identity(SEED).node_id, CANARY.encode().hex()
    one = secret(CANARY, box=Box("b0" * 32, content * 8), token=node)
    records: list[Record] = [
        one,
        secret(CANARY, from_id=SENDER),
        NodeRecord("sender", SENDER, None),
    ]
    head = header(service=SERVICE, discovery={"nodeId": SENDER, "x": CANARY})
    words = (
        CANARY,
        SENDER,
        node,
        SERVICE,
        "feed",
        "sender",
        "b0" * 8,
        Identity(SEED).secret_key_hex,
    )
    forms = [word.encode() for word in words]
    forms += [bytes.fromhex(word) for word in (SENDER, node, "b0" * 8)]

    cache = await opened(path)
    await cache.write(head, records, [])
    contents = [each.read_bytes() for each in path.parent.iterdir()]
    await cache.write(head, [], [record.place for record in records])
    await cache.aclose()
    contents += [each.read_bytes() for each in path.parent.iterdir()]

    assert sum(map(len, contents)) > 4096
    assert not [form for form in forms for content in contents if form in content]


async def test_the_log_names_nothing(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is lost is told by the kind of its reason."""
    await write(path, [secret(CANARY)])
    with inside(path) as connection:
        connection.execute("UPDATE row SET sealed = x'00'")

    assert await read(path) is None

    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "DecryptionFailed" in caplog.text
    assert CANARY not in caplog.text
