"""RENAME_EXCHANGE: two names change places, and at no moment is a content stored nowhere."""

from __future__ import annotations

from typing import Any

import pytest

from smfs.errors import InvalidName, NoSuchName, OperationRefused, OtherArea, ServiceUnavailable
from smfs.tree.node import Intent

pytestmark = pytest.mark.trio

Kernel = Any
World = Any


async def exchange(own: Kernel, one: str, other: str) -> None:
    """`mv --exchange`: the kernel looks both names up first."""
    one_folder, one_name = one.rsplit("/", 1)
    other_folder, other_name = other.rsplit("/", 1)
    await own.walk(one)
    await own.walk(other)
    await own.tree.exchange(
        (await own.walk(one_folder)).inode,
        one_name.encode(),
        (await own.walk(other_folder)).inode,
        other_name.encode(),
    )


async def scratch(own: Kernel, path: str, content: bytes) -> None:
    """Makes a scratch file as editors do."""
    _, opened = await own.create(path, exclusive=True, read=True)
    await opened.write(0, content)
    await opened.flush()
    await opened.release()


async def stored(world: World, own: Kernel) -> dict[str, bytes]:
    """All secrets as a mount sees them that has never heard of this one."""
    other = await world.mount(own.view.client.secret_key_hex)
    await other.view.refresh(0)
    return {known: (await other.view.read_own(known)).content for known in other.view.own()}


async def test_two_secrets_change_places(world: World, own: Kernel) -> None:
    """Inode numbers and times go with the contents, and nothing else stays behind."""
    await own.write("own/a", b"A")
    await own.mkdir("own/d")
    await own.write("own/d/b", b"BB")
    before = {path: await own.stat(path) for path in ("own/a", "own/d/b")}

    await exchange(own, "own/a", "own/d/b")

    assert await own.read("own/a") == b"BB"
    assert await own.read("own/d/b") == b"A"
    assert await own.stat("own/a") == before["own/d/b"]
    assert await own.stat("own/d/b") == before["own/a"]
    assert await stored(world, own) == {"a": b"BB", "d/b": b"A"}


async def test_a_name_is_exchanged_with_itself(own: Kernel) -> None:
    """Which changes nothing and asks nobody."""
    await own.write("own/a", b"A")
    await exchange(own, "own/a", "own/a")

    assert own.wire.requests["setSecret"] == 1


async def test_what_is_open_goes_with_its_content(world: World, own: Kernel) -> None:
    """What is written afterwards goes to the new name."""
    await own.write("own/a", b"A")
    await own.write("own/b", b"B")
    _, opened = await own.open("own/a", write=True)

    await exchange(own, "own/a", "own/b")
    await opened.write(1, b"+")
    await opened.flush()
    await opened.release()

    assert await stored(world, own) == {"a": b"B", "b": b"A+"}


async def test_what_was_never_uploaded_can_be_exchanged(world: World, own: Kernel) -> None:
    """It stays unsent under its new name; the other one is stored before."""
    await own.write("own/a", b"A")
    _, opened = await own.create("own/new")

    await exchange(own, "own/a", "own/new")
    assert await stored(world, own) == {"a": b"A", "new": b"A"}
    await opened.write(0, b"N")
    await opened.flush()
    await opened.release()

    assert await stored(world, own) == {"a": b"N", "new": b"A"}
    assert await own.ls("own") == ["a", "new"]


async def test_two_files_that_were_never_uploaded(world: World, own: Kernel) -> None:
    """They change places here, and go when they are written."""
    _, one = await own.create("own/a")
    _, other = await own.create("own/b")
    await exchange(own, "own/a", "own/b")
    for opened, content in ((one, b"1"), (other, b"2")):
        await opened.write(0, content)
        await opened.flush()
        await opened.release()

    assert await stored(world, own) == {"a": b"2", "b": b"1"}


class _Stops:
    """A store that fails for good at its n-th change, before or after it is carried out."""

    def __init__(self, inner: Any, at: int, *, carried_out: bool) -> None:
        self._inner = inner
        self._left = at
        self._carried_out = carried_out

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in ("put", "remove"):
            return found

        async def change(*arguments: Any) -> Any:
            self._left -= 1
            if self._left < 0 or (self._left == 0 and not self._carried_out):
                raise ServiceUnavailable("the wire is cut")
            answer = await found(*arguments)
            if self._left == 0:
                raise ServiceUnavailable("the answer is lost")
            return answer

        return change


@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_an_end_at_any_step_loses_nothing(
    world: World, own: Kernel, at: int, *, carried_out: bool
) -> None:
    """Both contents are stored, whichever request was the last."""
    await own.write("own/a", b"A")
    await own.write("own/b", b"B")
    own.tree._own.store = _Stops(own.tree._own.store, at, carried_out=carried_out)

    try:
        await exchange(own, "own/a", "own/b")
    except ServiceUnavailable:
        assert at < 4
    else:
        assert at == 4

    left = await stored(world, own)
    assert {b"A", b"B"} == set(left.values())
    assert {"a", "b"} <= set(left) <= {"a", "b", "a.exchange"}


class _Loses(_Stops):
    """A store that fails once, at its n-th change."""

    def __getattr__(self, name: str) -> Any:
        if self._left <= 0:
            return getattr(self._inner, name)
        return super().__getattr__(name)


@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize("at", [2, 3])
async def test_a_failure_is_undone(
    world: World, own: Kernel, at: int, *, carried_out: bool
) -> None:
    """Where the service can be reached again, all is as it was."""
    await own.write("own/a", b"A")
    await own.write("own/b", b"B")
    own.tree._own.store = _Loses(own.tree._own.store, at, carried_out=carried_out)

    with pytest.raises(ServiceUnavailable):
        await exchange(own, "own/a", "own/b")

    assert await stored(world, own) == {"a": b"A", "b": b"B"}
    assert (await own.read("own/a"), await own.read("own/b")) == (b"A", b"B")


async def test_the_third_secret_takes_no_name_that_is_there(world: World, own: Kernel) -> None:
    """It may be what an earlier end has left."""
    for name in ("a", "a.exchange", "b"):
        await own.write(f"own/{name}", name.encode())
    await exchange(own, "own/a", "own/b")

    assert await stored(world, own) == {"a": b"b", "a.exchange": b"a.exchange", "b": b"a"}


async def test_a_scratch_file_becomes_a_secret(world: World, own: Kernel) -> None:
    """Else the old content would be in memory only, under the scratch name."""
    await own.write("own/a", b"old")
    await scratch(own, "own/.a.swp", b"new")
    await exchange(own, "own/.a.swp", "own/a")

    assert await stored(world, own) == {"a": b"new", ".a.swp": b"old"}
    await own.rm("own/.a.swp")
    assert await stored(world, own) == {"a": b"new"}


async def test_a_hidden_secret_is_exchanged(world: World, own: Kernel) -> None:
    """The backup of an editor becomes a secret of its own name."""
    await own.write("own/a", b"A")
    await own.write("own/b", b"B")
    await own.mv("own/a", "own/a~")
    await exchange(own, "own/a~", "own/b")

    assert await own.ls("own") == ["a~", "b"]
    assert await stored(world, own) == {"a~": b"B", "b": b"A"}


async def test_two_scratch_files_change_places(own: Kernel) -> None:
    """Nothing travels."""
    await scratch(own, "own/.a.swp", b"1")
    await scratch(own, "own/b~", b"2")
    await exchange(own, "own/.a.swp", "own/b~")

    assert (await own.read("own/.a.swp"), await own.read("own/b~")) == (b"2", b"1")
    assert own.wire.requests["setSecret"] == 0


async def test_directories_change_places(world: World, own: Kernel) -> None:
    """With all that is in them, empty directories included."""
    for path in ("a", "a/empty", "a/both", "z", "z/sub"):
        await own.mkdir(f"own/{path}")
    for path in ("a/x", "a/only", "a/both/y", "z/x", "z/sub/w"):
        await own.write(f"own/{path}", path.encode())
    await scratch(own, "own/a/.x.swp", b"s")
    inodes = {path: (await own.walk(path)).inode for path in ("own/a", "own/z", "own/a/x")}

    await exchange(own, "own/a", "own/z")

    assert await own.ls("own") == ["a", "z"]
    assert await own.ls("own/a") == ["sub", "x"]
    assert await own.ls("own/z") == [".x.swp", "both", "empty", "only", "x"]
    assert await own.ls("own/z/both") == ["y"]
    assert await own.read("own/z/x") == b"a/x"
    assert (await own.walk("own/z")).inode == inodes["own/a"]
    assert (await own.walk("own/a")).inode == inodes["own/z"]
    assert (await own.walk("own/z/x")).inode == inodes["own/a/x"]
    assert await stored(world, own) == {
        "z/x": b"a/x",
        "z/only": b"a/only",
        "z/both/y": b"a/both/y",
        "a/x": b"z/x",
        "a/sub/w": b"z/sub/w",
    }


async def test_a_file_and_a_directory_change_places(world: World, own: Kernel) -> None:
    """Also where the directory has a secret of its own name."""
    for known in ("d", "d/x", "f"):
        await own.view.client.set_secret(known, known)
    await own.view.refresh(0)
    await exchange(own, "own/f", "own/d")

    assert await own.ls("own") == ["d", "f"]
    assert await own.ls("own/f") == ["%", "x"]
    assert await own.read("own/d") == b"f"
    assert await stored(world, own) == {"d": b"f", "f": b"d", "f/x": b"d/x"}


async def test_an_empty_directory_and_a_file(own: Kernel) -> None:
    """The directory is only here, the secret is moved."""
    await own.mkdir("own/d")
    await own.write("own/f", b"F")
    await exchange(own, "own/d", "own/f")

    assert await own.read("own/d") == b"F"
    assert await own.ls("own/f") == []
    await own.write("own/f/x", b"X")
    assert await own.ls("own") == ["d", "f"]


async def test_a_directorys_own_secret_and_a_file(world: World, own: Kernel) -> None:
    """The file `%` is exchanged like any other."""
    for known in ("d", "d/x", "f"):
        await own.view.client.set_secret(known, known)
    await own.view.refresh(0)
    await exchange(own, "own/d/%", "own/f")

    assert await own.ls("own/d") == ["%", "x"]
    assert await stored(world, own) == {"d": b"f", "f": b"d", "d/x": b"d/x"}


async def test_what_cannot_be_exchanged_is_refused(own: Kernel) -> None:
    """A missing name, a directory with what is in it, another area, names that no id has."""
    await own.mkdir("own/d")
    await own.mkdir("own/e")
    await own.write("own/d/x", b"X")
    await own.write("own/a", b"A")
    parent = (await own.walk("own")).inode
    with pytest.raises(NoSuchName):
        await own.tree.exchange(parent, b"a", parent, b"missing")
    with pytest.raises(NoSuchName):
        await own.tree.exchange(parent, b"missing", parent, b"a")
    for one, other in (("own/d", "own/d/x"), ("own/d/x", "own/d")):
        with pytest.raises(InvalidName):
            await exchange(own, one, other)
    await own.view.client.set_secret("d", "top")
    await own.view.refresh(0)
    with pytest.raises(InvalidName):
        await exchange(own, "own/d/%", "own/e")
    shared = (await own.walk(f"shared/{own.node_id}")).inode
    with pytest.raises(OtherArea):
        await own.tree.exchange(parent, b"a", shared, b"a")
    with pytest.raises(OperationRefused):
        await own.tree.exchange(1, b"own", 1, b"from")

    assert await own.ls("own") == ["a", "d", "e"]
    assert await own.read("own/d/x") == b"X"


async def test_a_large_directory_is_not_exchanged(own: Kernel) -> None:
    """No more than by a rename."""
    await own.mkdir("own/a")
    await own.mkdir("own/b")
    for number in range(101):
        await own.view.write_own(f"a/{number}", b"x")
    with pytest.raises(OtherArea):
        await exchange(own, "own/b", "own/a")

    assert len(await own.ls("own/a")) == 101


async def test_shares_change_places(world: World, own: Kernel) -> None:
    """The recipient sees them exchanged."""
    bob = await world.mount()
    _, opened = await bob.create(f".accept/{own.node_id}")
    await opened.release()
    for name in ("a", "b"):
        await own.write(f"shared/{bob.node_id}/{name}", name.encode())
    await exchange(own, f"shared/{bob.node_id}/a", f"shared/{bob.node_id}/b")

    await bob.view.refresh(0)
    assert await bob.ls(f"from/{own.node_id}") == ["a", "b"]
    assert await bob.read(f"from/{own.node_id}/a") == b"b"
    assert await own.read(f"shared/{bob.node_id}/b") == b"a"


async def test_files_renamed_with_their_directory_keep_their_times(
    world: World, own: Kernel
) -> None:
    """Also those that nobody has looked at yet."""
    await own.mkdir("own/a")
    await own.write("own/a/x", b"x")
    fresh = await world.mount(own.view.client.secret_key_hex)
    await fresh.view.refresh(0)
    written = fresh.view.own()["a/x"].changed_at
    await fresh.mv("own/a", "own/b")

    assert (await fresh.stat("own/b/x")).times.modified == pytest.approx(written * 1e9, abs=1e4)


async def test_a_looked_up_file_is_opened_after_an_exchange(own: Kernel) -> None:
    """By its number, which went with the content."""
    await own.write("own/a", b"A")
    await own.write("own/b", b"B")
    node = await own.walk("own/a")
    await exchange(own, "own/a", "own/b")
    opened = await own.tree.open(node.inode, Intent())

    assert await opened.read(0, 9) == b"A"
    await opened.release()
