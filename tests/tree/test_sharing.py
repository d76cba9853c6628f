"""`from/`, `shared/`, `.accept/` and the root, between two nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing

from smfs.crypto.identity import Identity
from smfs.errors import (
    AccessRefused,
    ClosureDatePassed,
    InvalidInput,
    InvalidName,
    NoSuchName,
    NotAccepted,
    OperationRefused,
    SecretNotFound,
    SpaceNotFound,
    StaleNode,
)
from smfs.tree.happenings import Happening, Kind
from smfs.tree.node import Intent

pytestmark = pytest.mark.trio

Kernel = Any
World = Any
STRANGER = Identity(b"\1" * 32).node_id


@pytest.fixture
async def alice(world: World) -> Kernel:
    """Who shares."""
    kernel = await world.mount()
    await kernel.view.refresh(0)
    return kernel


@pytest.fixture
async def bob(world: World, alice: Kernel) -> Kernel:
    """Who accepts her."""
    kernel = await world.mount()
    await kernel.write(f".accept/{alice.node_id}", b"")
    return kernel


async def test_what_is_shared_is_seen_at_once(alice: Kernel, bob: Kernel) -> None:
    """And read with the sharer's name on it; she keeps a copy for herself."""
    await bob.ls("from")
    await alice.write(f"shared/{bob.node_id}/token", b"t0ken")

    assert await bob.read(f"from/{alice.node_id}/token") == b"t0ken"
    assert await bob.ls("from") == [alice.node_id]
    assert await alice.ls("shared") == [bob.node_id]
    assert await alice.read(f"shared/{bob.node_id}/token") == b"t0ken"
    inode = (await bob.walk(f"from/{alice.node_id}/token")).inode
    assert await bob.tree.extended_attribute(inode, b"user.smfs.node") == alice.node_id.encode()


async def test_un_sharing_takes_it_back(alice: Kernel, bob: Kernel) -> None:
    """On both sides."""
    await alice.write(f"shared/{bob.node_id}/token", b"t0ken")
    await alice.rm(f"shared/{bob.node_id}/token")
    await bob.view.refresh(0)

    assert await bob.ls(f"from/{alice.node_id}") == []
    assert await alice.ls(f"shared/{bob.node_id}") == []


async def test_sharing_with_who_does_not_accept_fails_at_creation(alice: Kernel) -> None:
    """So that `echo x > shared/<stranger>/x` prints an error."""
    stranger = f"shared/{STRANGER}"
    with pytest.raises((NotAccepted, SpaceNotFound)):
        await alice.create(f"{stranger}/x")

    assert await alice.ls(stranger) == []
    assert await alice.ls("shared") == []


async def test_what_others_shared_is_read_only(alice: Kernel, bob: Kernel) -> None:
    """Nothing can be written, made or removed."""
    await alice.write(f"shared/{bob.node_id}/token", b"t0ken")
    path = f"from/{alice.node_id}"
    assert (await bob.stat(f"{path}/token")).mode & 0o777 == 0o400
    assert (await bob.stat(path)).mode & 0o777 == 0o500
    with pytest.raises(AccessRefused):
        await bob.open(f"{path}/token", write=True)
    with pytest.raises(AccessRefused):
        await bob.create(f"{path}/new")
    with pytest.raises(AccessRefused):
        await bob.rm(f"{path}/token")
    with pytest.raises(AccessRefused):
        await bob.mkdir(f"{path}/new")
    with pytest.raises(AccessRefused):
        await bob.mv(f"{path}/token", f"{path}/new")


async def test_a_secret_that_becomes_one_time_is_read_once(alice: Kernel, bob: Kernel) -> None:
    """Also by who looked it up, and had it open, while it could be read again and again."""
    path = f"from/{alice.node_id}/id"
    await alice.view.share(bob.node_id, "id", b"1")
    await bob.view.refresh(0)
    node = await bob.walk(path)
    assert await bob.read(path) == b"1"
    await alice.view.share(bob.node_id, "id", b"2", one_time=True)

    for _ in range(2):
        with pytest.raises(StaleNode):
            await bob.tree.open(node.inode, Intent())
    assert await bob.read(path) == b"2"
    with pytest.raises(NoSuchName):
        await bob.read(path)


async def test_the_kernel_hears_that_a_one_time_secret_was_read(
    world: World, alice: Kernel
) -> None:
    """Reading it here removes its name without a system call that says so."""
    bob = await world.mount(follows=True)
    await bob.view.accept(alice.node_id, None)
    await alice.view.share(bob.node_id, "once", b"burn after reading", one_time=True)
    while not bob.view.senders()[alice.node_id].secrets:
        await bob.view.wait_for_change(bob.view.generation)
    told: list[Happening] = []
    bob.tree.listen(told.extend)
    _, opened = await bob.open(f"from/{alice.node_id}/once")
    assert told == []
    await opened.read(0, 100)
    with pytest.raises(NoSuchName):
        await bob.walk(f"from/{alice.node_id}/once")

    assert [(one.kind, one.path[-1]) for one in told] == [(Kind.GONE, b"once")]


async def test_a_one_time_secret_that_is_replaced_is_shown_as_it_is(
    world: World, alice: Kernel, bob: Kernel
) -> None:
    """Its size, and who signed it, also where nobody has opened the one before."""
    await alice.view.share(bob.node_id, "once", b"1", one_time=True)
    path = f"from/{alice.node_id}/once"
    later = await world.mount(bob.view.client.secret_key_hex, follows=True)
    await later.view.wait_until_live(live=True)
    await trio.testing.wait_all_tasks_blocked()  # sizes are found out
    before = await later.stat(path)
    assert before.size == 1
    generation = later.view.generation
    await alice.view.share(bob.node_id, "once", b"12345", one_time=True)
    await later.view.wait_for_change(generation)
    await trio.testing.wait_all_tasks_blocked()
    after = await later.stat(path)
    assert after.size == 5
    verified = await later.tree.extended_attribute(after.inode, b"user.smfs.verified")
    assert verified == b"yes"


async def test_a_one_time_secret_is_consumed_by_its_first_read(alice: Kernel, bob: Kernel) -> None:
    """Looking at it and opening it costs nothing; the bytes belong to who read first."""
    await alice.view.share(bob.node_id, "once", b"burn after reading", one_time=True)
    path = f"from/{alice.node_id}/once"
    assert (await bob.stat(path)).size == 18
    inode, first = await bob.open(path)
    _, second = await bob.open(path)
    assert await bob.tree.extended_attribute(inode, b"user.smfs.one-time") == b"yes"
    assert first.direct_io

    assert await first.read(0, 4) == b"burn"
    assert await first.read(4, 100) == b" after reading"
    with pytest.raises(SecretNotFound):
        await second.read(0, 100)
    await first.release()
    await second.release()
    with pytest.raises(NoSuchName):
        await bob.walk(path)


async def test_accepting_and_denying(alice: Kernel, bob: Kernel) -> None:
    """A file in `.accept` is an accepted sender."""
    await alice.write(f"shared/{bob.node_id}/token", b"t0ken")
    assert await bob.ls(".accept") == [alice.node_id]
    await bob.rm(f".accept/{alice.node_id}")

    assert await bob.ls(".accept") == []
    assert await bob.ls("from") == []
    with pytest.raises(NotAccepted):
        await alice.create(f"shared/{bob.node_id}/other")
    with pytest.raises(NoSuchName):
        await bob.rm(f".accept/{alice.node_id}")


async def test_touch_accepts_at_release(bob: Kernel) -> None:
    """Without any content there is no flush that could do it."""
    _, opened = await bob.create(f".accept/{STRANGER}")
    await opened.flush()
    assert STRANGER not in bob.view.senders()
    await opened.release()

    assert bob.view.senders()[STRANGER].closure_date is None


async def test_what_was_not_sent_yet_is_withdrawn(bob: Kernel) -> None:
    """The kernel may remove a name before it says that the last descriptor is closed."""
    _, opened = await bob.create(f".accept/{STRANGER}")
    await bob.rm(f".accept/{STRANGER}")
    await opened.release()
    assert STRANGER not in await bob.ls(".accept")

    _, opened = await bob.create(f".accept/{STRANGER}")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(opened.release)
        await bob.wire.asked("openSubSpace")
        nursery.start_soon(bob.rm, f".accept/{STRANGER}")
    await bob.view.refresh(0)
    assert STRANGER not in bob.view.senders()


async def test_a_closing_date_is_shown_and_stays(bob: Kernel) -> None:
    """Changing it would destroy what was shared."""
    path = f".accept/{STRANGER}"
    await bob.write(path, b"2999-12-31T23:59:59Z\n")
    assert await bob.read(path) == b"2999-12-31T23:59:59Z\n"
    assert (await bob.stat(path)).size == 21
    with pytest.raises(OperationRefused):
        await bob.write(path, b"+4days\n")

    _, opened = await bob.open(path, write=True)
    await opened.write(0, b"2998")
    with pytest.raises(OperationRefused):
        await opened.flush()
    await opened.release()
    assert await bob.read(path) == b"2999-12-31T23:59:59Z\n"


async def test_touch_accepts_before_it_ends(bob: Kernel) -> None:
    """It sets the times of the file that it has open."""
    node, opened = await bob.create(f".accept/{STRANGER}")
    await bob.tree.set_attributes(node.inode, accessed=1, modified=1)
    assert STRANGER in bob.view.senders()
    await opened.flush()
    await opened.release()


async def test_a_line_of_nonsense_fails_while_it_is_written(bob: Kernel) -> None:
    """Shells tell of that, and drop what a close says; nobody is accepted by it."""
    _, opened = await bob.create(f".accept/{STRANGER}")
    with pytest.raises(InvalidInput):
        await opened.write(0, b"garbage\n")
    await opened.flush()
    await opened.release()

    await bob.view.refresh(0)
    assert STRANGER not in bob.view.senders()
    assert STRANGER not in await bob.ls(".accept")
    assert bob.status()["failures"][0]["path"] == f".accept/{STRANGER}"


async def test_nonsense_is_no_closing_date(bob: Kernel) -> None:
    """Nor is a time gone by, nor a name that is no node id."""
    with pytest.raises(InvalidInput):
        await bob.write(f".accept/{STRANGER}", b"soon")
    with pytest.raises(ClosureDatePassed):
        await bob.write(f".accept/{STRANGER}", b"2001-01-01")
    with pytest.raises(InvalidName):
        await bob.create(".accept/somebody")
    with pytest.raises(InvalidName):
        await bob.mkdir("shared/somebody")
    with pytest.raises(InvalidName):
        await bob.create("shared/somebody")

    assert STRANGER not in await bob.ls(".accept")


async def test_the_root_asks_nobody(own: Kernel) -> None:
    """`ls ~` cannot hang on us."""
    own.wire.is_cut = True

    assert await own.ls("") == [".accept", ".names", ".status", "from", "own", "shared"]
    for name in await own.ls(""):
        await own.stat(name)
    assert sum(own.wire.requests.values()) == 0
    with pytest.raises(OperationRefused):
        await own.tree.create(1, b"x", Intent(write=True))
    with pytest.raises(OperationRefused):
        await own.tree.make_directory(1, b"x")
    with pytest.raises(OperationRefused):
        await own.tree.unlink(1, b".status")


async def test_the_status_is_json(own: Kernel) -> None:
    """Without any secret."""
    await own.write("own/a", b"hunter2")
    told = json.loads(await own.read(".status"))

    assert told["nodeId"] == own.node_id
    assert told["failures"] == []
    assert isinstance(told["pid"], int)
    assert "service" in told
    assert "hunter2" not in json.dumps(told)
    with pytest.raises(AccessRefused):
        await own.open(".status", write=True)


async def test_names_that_are_no_node_ids_lead_nowhere(own: Kernel) -> None:
    """Capitals neither: they would name another space."""
    for path in ("shared/somebody", f"shared/{STRANGER.upper()}", "from/x", ".accept/x"):
        with pytest.raises(NoSuchName):
            await own.walk(path)
