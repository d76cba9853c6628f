"""A tree that follows the feed: what changed elsewhere is told, and what is open stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from smfs.errors import NoSuchName, SecretNotFound, ServiceUnavailable
from smfs.tree.happenings import Kind
from tests.tree.ears import Ears

pytestmark = pytest.mark.trio

Kernel = Any
World = Any
KEY = "a1" * 32


@pytest.fixture
async def own(world: World) -> Kernel:
    """A mount that follows, whose kernel has looked at `own`."""
    kernel = await world.mount(KEY, follows=True)
    with trio.fail_after(10):
        await kernel.view.wait_until_told(told=True)
    await kernel.walk("own")
    return kernel


@pytest.fixture
async def twin(world: World, own: Kernel) -> Kernel:
    """Another mount of the same node, which does not follow."""
    return await world.mount(KEY)


@pytest.fixture
async def bob(world: World) -> Kernel:
    """Somebody else."""
    kernel = await world.mount("b0" * 32)
    await kernel.view.refresh(0)
    return kernel


@pytest.fixture
def ears(own: Kernel, twin: Kernel) -> Ears:
    """What is told of."""
    return Ears(own)


# --- what is told ---------------------------------------------------------------------------------


async def test_what_another_client_does_is_told(own: Kernel, twin: Kernel, ears: Ears) -> None:
    """A new name, its new content and its end, with the numbers that the kernel knows."""
    parent = (await own.walk("own")).inode
    await twin.write("own/a", b"one")
    told = await ears.hear(Kind.APPEARED, "own/a")
    assert (told.parent, told.inode, told.is_directory) == (parent, None, False)
    inode = (await own.walk("own/a")).inode
    await twin.write("own/a", b"other")
    told = await ears.hear(Kind.CHANGED, "own/a")
    assert (told.parent, told.inode) == (parent, inode)
    assert (await own.stat("own/a")).size == 5
    assert (await own.walk("own/a")).inode == inode
    await twin.rm("own/a")
    told = await ears.hear(Kind.GONE, "own/a")
    assert (told.parent, told.inode) == (parent, inode)
    with pytest.raises(NoSuchName):
        await own.walk("own/a")


async def test_of_new_directories_the_uppermost_is_told(twin: Kernel, ears: Ears) -> None:
    """What is below a directory that the kernel does not know it will ask for itself."""
    await twin.view.write_own("a/b/c", b"")
    told = await ears.hear(Kind.APPEARED, "own/a")
    assert told.is_directory
    await twin.view.write_own("a/b/d", b"")
    await ears.hears_nothing(twin)


async def test_a_directory_changes_when_its_names_do(own: Kernel, twin: Kernel, ears: Ears) -> None:
    """And not when a content in it does."""
    seen = [(await own.stat("own")).times.modified]
    await twin.write("own/a", b"one")
    await ears.hear(Kind.APPEARED, "own/a")
    seen.append((await own.stat("own")).times.modified)
    await twin.write("own/a", b"other")
    await ears.until(lambda: bool(ears.take()))
    assert (await own.stat("own")).times.modified == seen[-1]
    await twin.rm("own/a")
    await ears.until(lambda: bool(ears.take()))
    seen.append((await own.stat("own")).times.modified)
    assert seen == sorted(set(seen))


async def test_in_a_directory_that_the_kernel_knows_names_are_told(
    own: Kernel, twin: Kernel, ears: Ears
) -> None:
    """Each with the number of that directory."""
    await twin.view.write_own("a/b", b"")
    await ears.hear(Kind.APPEARED, "own/a")
    parent = (await own.walk("own/a")).inode
    await twin.view.write_own("a/c", b"")
    assert (await ears.hear(Kind.APPEARED, "own/a/c")).parent == parent
    await twin.view.delete_own("a/b")
    assert (await ears.hear(Kind.GONE, "own/a/b")).parent == parent


async def test_a_file_that_becomes_a_directory_is_replaced(
    own: Kernel, twin: Kernel, ears: Ears
) -> None:
    """The secret is then the file `%` in it."""
    await twin.view.write_own("a", b"text")
    await ears.hear(Kind.APPEARED, "own/a")
    inode = (await own.walk("own/a")).inode
    await twin.view.write_own("a/b", b"")
    told = await ears.hear(Kind.REPLACED, "own/a")
    assert (told.inode, told.is_directory) == (inode, True)
    assert await own.read("own/a/%") == b"text"
    await twin.view.write_own("a", b"other")
    await ears.hear(Kind.CHANGED, "own/a/%")


async def test_senders_come_and_go(own: Kernel, twin: Kernel, bob: Kernel, ears: Ears) -> None:
    """So do what they share, and the directory that shows it."""
    parent = (await own.walk("from")).inode
    await twin.view.accept(bob.node_id, None)
    told = await ears.hear(Kind.APPEARED, f"from/{bob.node_id}")
    assert (told.parent, told.is_directory) == (parent, True)
    inode = (await own.walk(f"from/{bob.node_id}")).inode
    await bob.view.share(own.node_id, "a", b"text")
    assert (await ears.hear(Kind.APPEARED, f"from/{bob.node_id}/a")).parent == inode
    await bob.view.share(own.node_id, "a", b"other")
    await ears.hear(Kind.CHANGED, f"from/{bob.node_id}/a")
    await bob.view.unshare(own.node_id, "a")
    await ears.hear(Kind.GONE, f"from/{bob.node_id}/a")
    await twin.view.deny(bob.node_id)
    told = await ears.hear(Kind.GONE, f"from/{bob.node_id}")
    assert (told.inode, told.is_directory) == (inode, True)


async def test_what_is_done_here_is_not_told(
    own: Kernel, twin: Kernel, bob: Kernel, ears: Ears
) -> None:
    """Writing, appending, renaming, removing and sharing here tell nobody of anything."""
    await bob.view.accept(own.node_id, None)
    await own.walk(f"shared/{bob.node_id}")
    await own.write("own/a", b"text")
    await own.append("own/a", b" more")
    await own.mkdir("own/d")
    await own.mv("own/a", "own/d/b")
    await own.mv("own/d", "own/e")
    await own.write(f"shared/{bob.node_id}/s", b"text")
    await own.rm("own/e/b")
    await own.rm(f"shared/{bob.node_id}/s")
    await own.write(".names/bob", bob.node_id.encode())
    await ears.hears_nothing(twin)


async def test_what_was_gone_when_it_was_removed_here_is_told(
    own: Kernel, twin: Kernel, ears: Ears
) -> None:
    """The removal fails, and the kernel would go on knowing the name."""
    await own.write("own/a", b"text")
    inode = (await own.walk("own/a")).inode
    own.view._feed._changing.apply = _never  # the feed is late
    await twin.view.delete_own("a")
    with pytest.raises(SecretNotFound):
        await own.rm("own/a")
    told = await ears.hear(Kind.GONE, "own/a")
    assert told.inode == inode


async def _never(*_: object) -> None:
    await trio.sleep_forever()


# --- nobody is asked ------------------------------------------------------------------------------


async def test_looking_and_reading_ask_nobody(own: Kernel, twin: Kernel, ears: Ears) -> None:
    """Nor does opening for writing, nor writing the same bytes again; a change is one request."""
    await twin.view.write_own("d/a", b"text")
    await ears.hear(Kind.APPEARED, "own/d")
    before = own.wire.requests.copy()
    assert await own.ls("own/d") == ["a"]
    assert (await own.stat("own/d/a")).size == 4
    assert await own.read("own/d/a") == b"text"
    await own.write("own/d/a", b"text")
    with pytest.raises(NoSuchName):
        await own.walk("own/none")
    assert own.wire.requests == before
    await own.append("own/d/a", b"s")
    await own.write("own/b", b"new")
    assert (own.wire.requests - before)["setSecret"] == 2
    assert (own.wire.requests - before).keys() <= {"setSecret", "getChanges"}


async def test_the_kernel_may_keep_what_is_told_of(own: Kernel, twin: Kernel, ears: Ears) -> None:
    """Nodes whose size is known, while a feed tells of changes; without one, none."""
    await twin.view.write_own("a", b"text")
    await ears.hear(Kind.APPEARED, "own/a")
    assert own.tree.kernel_may_keep(await own.walk("own/a"))
    assert own.tree.kernel_may_keep(await own.walk("own"))
    assert not own.tree.kernel_may_keep(await own.walk(".status"))
    await twin.view.refresh(0)
    assert not twin.tree.kernel_may_keep(await twin.walk("own/a"))


# --- what is open ---------------------------------------------------------------------------------


async def test_what_is_open_keeps_its_snapshot(own: Kernel, twin: Kernel, ears: Ears) -> None:
    """The name gets a new node, also where nothing was read of the old one yet."""
    await own.write("own/a", b"old")
    inode, opened = await own.open("own/a")
    await twin.write("own/a", b"newer")
    told = await ears.hear(Kind.REPLACED, "own/a")
    assert told.inode == inode
    assert await opened.read(0, 99) == b"old"
    assert (await own.tree.get_attributes(inode)).size == 3
    assert (await own.walk("own/a")).inode != inode
    assert await own.read("own/a") == b"newer"
    await opened.release()
    await ears.hears_nothing(twin)


async def test_what_is_open_is_read_though_it_was_deleted(
    own: Kernel, twin: Kernel, ears: Ears
) -> None:
    """Its content is the one that was there when it was opened."""
    await own.write("own/a", b"old")
    _, opened = await own.open("own/a")
    await twin.view.delete_own("a")
    await ears.hear(Kind.GONE, "own/a")
    assert await opened.read(0, 99) == b"old"
    await opened.release()


async def test_a_change_while_it_is_written_here_is_overwritten(
    own: Kernel, twin: Kernel, ears: Ears
) -> None:
    """The later close wins, whole, and what is shown is that."""
    await own.write("own/a", b"old")
    _, opened = await own.open("own/a", write=True)
    await opened.write(0, b"here!")
    await twin.view.write_own("a", b"elsewhere")
    await ears.until(lambda: own.view.own()["a"].size == 9)
    assert ears.take() == []
    assert (await own.stat("own/a")).size == 5
    await opened.flush()
    await opened.release()
    assert await own.read("own/a") == b"here!"
    assert (await twin.view.read_own("a")).content == b"here!"
    await ears.hears_nothing(twin)


async def test_a_deletion_while_it_is_written_here_is_undone(
    own: Kernel, twin: Kernel, ears: Ears
) -> None:
    """The later close wins."""
    await own.write("own/a", b"old")
    _, opened = await own.open("own/a", write=True)
    await opened.write(0, b"here!")
    await twin.view.delete_own("a")
    await ears.until(lambda: "a" not in own.view.own())
    await opened.flush()
    await opened.release()
    assert await own.read("own/a") == b"here!"
    assert await own.ls("own") == ["a"]


async def test_an_append_goes_to_what_was_changed_elsewhere(
    own: Kernel, twin: Kernel, ears: Ears
) -> None:
    """Not to what was here before."""
    await own.write("own/a", b"old")
    await twin.view.write_own("a", b"new content")
    await ears.hear(Kind.CHANGED, "own/a")
    await own.append("own/a", b"!")
    assert (await twin.view.read_own("a")).content == b"new content!"


async def test_what_was_given_up_is_told(own: Kernel, twin: Kernel, ears: Ears) -> None:
    """The kernel drops what it was to write; what was deleted elsewhere meanwhile is gone then."""
    await own.write("own/a", b"old")
    await own.write("own/b", b"old")
    own.wire.cut_routes.add("setSecret")
    _, one = await own.open("own/a", write=True, truncate=True)
    _, other = await own.open("own/b", write=True, truncate=True)
    for opened in (one, other):
        await opened.write(0, b"lost")
        with pytest.raises(ServiceUnavailable):
            await opened.flush()
    await twin.view.delete_own("b")
    await ears.until(lambda: "b" not in own.view.own())
    assert ears.take() == []
    await one.release()
    assert ears.take() == [("changed", "own/a")]
    await other.release()
    assert ears.take() == [("gone", "own/b")]
    assert await own.read("own/a") == b"old"
    assert await own.ls("own") == ["a"]


async def test_a_hidden_secret_that_was_changed_elsewhere_is_shown_again(
    own: Kernel, twin: Kernel, ears: Ears
) -> None:
    """What an editor's backup hides is the old content: the new one is not deleted with it."""
    await own.write("own/a", b"old")
    await own.mv("own/a", "own/a~")
    await ears.hears_nothing(twin)
    await twin.view.write_own("a", b"new")
    await ears.hear(Kind.APPEARED, "own/a")
    await own.rm("own/a~")
    assert await own.read("own/a") == b"new"
    assert (await twin.view.read_own("a")).content == b"new"


# --- one-time secrets -----------------------------------------------------------------------------


@pytest.fixture
async def box(own: Kernel, twin: Kernel, bob: Kernel, ears: Ears) -> str:
    """Where Bob's secrets are, which the kernel has looked at."""
    await twin.view.accept(bob.node_id, None)
    await ears.until(lambda: bob.node_id in own.view.senders())
    await own.walk(f"from/{bob.node_id}")
    ears.take()
    return f"from/{bob.node_id}"


async def test_a_one_time_secret_that_was_read_is_told_to_be_gone(
    own: Kernel, bob: Kernel, ears: Ears, box: str
) -> None:
    """No call of the kernel took its name away."""
    await bob.view.share(own.node_id, "a", b"once", one_time=True)
    await ears.hear(Kind.APPEARED, f"{box}/a")
    inode = (await own.walk(f"{box}/a")).inode
    assert await own.read(f"{box}/a") == b"once"
    assert (await ears.hear(Kind.GONE, f"{box}/a")).inode == inode
    assert await own.ls(box) == []


async def test_another_one_time_secret_has_a_node_of_its_own(
    own: Kernel, bob: Kernel, ears: Ears, box: str
) -> None:
    """The old node shows the size of the old one."""
    await bob.view.share(own.node_id, "a", b"once", one_time=True)
    await ears.hear(Kind.APPEARED, f"{box}/a")
    inode = (await own.walk(f"{box}/a")).inode
    await bob.view.share(own.node_id, "a", b"again", one_time=True)
    assert (await ears.hear(Kind.REPLACED, f"{box}/a")).inode == inode
    assert (await own.stat(f"{box}/a")).size == 5
    assert await own.read(f"{box}/a") == b"again"


async def test_a_secret_that_becomes_one_for_one_time_is_not_read_as_before(
    own: Kernel, bob: Kernel, ears: Ears, box: str
) -> None:
    """Reading it consumes it, though the kernel knows it as a file that stays."""
    await bob.view.share(own.node_id, "a", b"often")
    await ears.hear(Kind.APPEARED, f"{box}/a")
    assert await own.read(f"{box}/a") == b"often"
    old = await own.walk(f"{box}/a")
    await bob.view.share(own.node_id, "a", b"once!", one_time=True)
    assert (await ears.hear(Kind.REPLACED, f"{box}/a")).inode == old.inode
    assert await own.read(f"{box}/a") == b"once!"
    await ears.hear(Kind.GONE, f"{box}/a")
