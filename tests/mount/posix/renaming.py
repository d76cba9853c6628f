"""rename(2) and renameat2(2)."""

from __future__ import annotations

import os
from pathlib import Path

from tests.mount.posix.harness import (
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    RENAME_WHITEOUT,
    get,
    opened,
    outcome,
    put,
    refuses,
    rename2,
    same,
    true,
)


def check_a_file_moves() -> None:
    """To a free name, over another file, into a directory; its inode number goes along."""
    put("a", b"A")
    inode = os.stat("a").st_ino
    os.rename("a", "b")
    put("c", b"C")
    os.rename("b", "c")
    os.mkdir("d")
    os.rename("c", "d/e")

    same(os.listdir("."), ["d"])
    same(get("d/e"), b"A")
    same(os.stat("d/e").st_ino, inode)


def check_a_directory_moves() -> None:
    """With what is in it, over an empty one too."""
    os.makedirs("a/b")
    put("a/b/f", b"F")
    inode = os.stat("a").st_ino
    os.mkdir("empty")
    os.rename("a", "empty")

    same(os.listdir("."), ["empty"])
    same(get("empty/b/f"), b"F")
    same(os.stat("empty").st_ino, inode)


def check_what_does_not_fit() -> None:
    """A file over a directory, a directory over a file or a full one, one into itself."""
    put("f")
    os.makedirs("d/sub")
    os.mkdir("e")
    refuses("EISDIR", os.rename, "f", "d")
    refuses("ENOTDIR", os.rename, "d", "f")
    refuses("ENOTEMPTY", os.rename, "e", "d")
    refuses("EINVAL", os.rename, "d", "d/sub/x")
    refuses("ENOTEMPTY", os.rename, "d/sub", "d")
    refuses("ENOENT", os.rename, "missing", "x")
    refuses("ENOENT", os.rename, "f", "missing/x")
    refuses("ENOTDIR", os.rename, "f", "f/x")
    refuses("ENOTDIR", os.rename, "f", "g/")
    same(sorted(os.listdir(".")), ["d", "e", "f"])


def check_onto_itself() -> None:
    """Nothing happens."""
    put("f")
    os.mkdir("d")
    os.rename("f", "f")
    os.rename("d", "d")
    same(sorted(os.listdir(".")), ["d", "f"])


def check_across_areas() -> None:
    """EXDEV, so that `mv` copies."""
    put("f")
    shared = Path(os.environ["MOUNT"]) / "shared" / ("0" * 64)
    refuses("EXDEV", os.rename, "f", shared / "f")
    os.mkdir("d")
    refuses("EXDEV", os.rename, "d", shared / "d")
    same(get("f"), b"content")


def check_while_it_is_open() -> None:
    """Descriptors go with the file: what is written goes to the new name."""
    put("a", b"A")
    with opened("a", os.O_RDWR) as descriptor:
        os.rename("a", "b")
        os.pwrite(descriptor, b"B", 1)
    same(get("b"), b"AB")
    same(os.listdir("."), ["b"])


def check_over_what_is_open() -> None:
    """Who has the replaced file open still reads it, and it has no name any more."""
    put("a", b"new")
    put("b", b"old")
    with opened("b", os.O_RDWR) as descriptor:
        os.rename("a", "b")
        same(os.pread(descriptor, 9, 0), b"old")
        same(os.fstat(descriptor).st_nlink, 0)
        os.pwrite(descriptor, b"gone", 0)
    same(get("b"), b"new")


def check_noreplace() -> None:
    """RENAME_NOREPLACE: EEXIST where the name is taken, by a directory too."""
    put("a", b"A")
    put("b", b"B")
    os.mkdir("d")
    refuses("EEXIST", rename2, "a", "b", RENAME_NOREPLACE)
    refuses("EEXIST", rename2, "a", "d", RENAME_NOREPLACE)
    refuses("EEXIST", rename2, "a", "a", RENAME_NOREPLACE)
    rename2("a", "c", RENAME_NOREPLACE)
    same((get("b"), get("c")), (b"B", b"A"))


def check_exchange() -> None:
    """RENAME_EXCHANGE: contents, inode numbers and times change places."""
    put("a", b"A")
    os.mkdir("d")
    put("d/b", b"BB")
    before = os.stat("a"), os.stat("d/b")
    rename2("a", "d/b", RENAME_EXCHANGE)
    after = os.stat("d/b"), os.stat("a")
    same([each.st_ino for each in after], [each.st_ino for each in before])
    same([each.st_mtime_ns for each in after], [each.st_mtime_ns for each in before])
    same((get("a"), get("d/b")), (b"BB", b"A"))
    same((os.listdir("d"), sorted(os.listdir("."))), (["b"], ["a", "d"]))


def check_exchange_of_what_is_open() -> None:
    """Each descriptor goes on with its content, to the other name."""
    put("a", b"A")
    put("b", b"B")
    with opened("a", os.O_RDWR) as one, opened("b", os.O_RDWR) as other:
        rename2("a", "b", RENAME_EXCHANGE)
        same((os.pread(one, 9, 0), os.pread(other, 9, 0)), (b"A", b"B"))
        os.pwrite(one, b"+", 1)
        os.pwrite(other, b"-", 1)
    same((get("a"), get("b")), (b"B-", b"A+"))


def check_exchange_of_directories() -> None:
    """Two directories, and a directory with a file."""
    os.makedirs("d/empty")
    put("d/x", b"dx")
    os.mkdir("e")
    put("e/x", b"ex")
    put("f", b"F")
    rename2("d", "e", RENAME_EXCHANGE)
    same((sorted(os.listdir("d")), sorted(os.listdir("e"))), (["x"], ["empty", "x"]))
    same((get("d/x"), get("e/x")), (b"ex", b"dx"))
    rename2("f", "e", RENAME_EXCHANGE)
    same((get("e"), get("f/x")), (b"F", b"dx"))
    same(sorted(os.listdir("f")), ["empty", "x"])


def check_exchange_is_refused() -> None:
    """A missing name, one in the other, another area, flags that make no sense together."""
    put("a")
    os.mkdir("d")
    put("d/f")
    refuses("ENOENT", rename2, "a", "missing", RENAME_EXCHANGE)
    refuses("ENOENT", rename2, "missing", "a", RENAME_EXCHANGE)
    refuses("EINVAL", rename2, "d", "d/f", RENAME_EXCHANGE)
    refuses("EINVAL", rename2, "d/f", "d", RENAME_EXCHANGE)
    refuses("EINVAL", rename2, "a", "d", RENAME_EXCHANGE | RENAME_NOREPLACE)
    refuses("EINVAL", rename2, "a", "d", RENAME_EXCHANGE | RENAME_WHITEOUT)
    refuses("EINVAL", rename2, "a", "d", 64)
    mount = os.environ["MOUNT"]
    refuses("EXDEV", rename2, "a", f"{mount}/shared/{'0' * 64}", RENAME_EXCHANGE)
    whiteout = outcome(rename2, "a", "b", RENAME_WHITEOUT)
    true("RENAME_WHITEOUT is refused", holds=whiteout in ("EINVAL", "EPERM"))
    same(sorted(os.listdir(".")), ["a", "d"])


def check_at_the_top() -> None:
    """Nothing is renamed there."""
    mount = Path(os.environ["MOUNT"])
    refuses("EPERM", os.rename, mount / "own", mount / "mine")
    refuses("EPERM", rename2, str(mount / "own"), str(mount / "from"), RENAME_EXCHANGE)
