"""unlink(2), mkdir(2) and rmdir(2), also of what is in use."""

from __future__ import annotations

import os

from tests.mount.posix.harness import get, opened, put, refuses, same, true


def check_unlink() -> None:
    """Takes a file away once."""
    put("f")
    os.mkdir("d")
    os.unlink("f")
    refuses("ENOENT", os.unlink, "f")
    refuses("ENOENT", os.unlink, "missing/f")
    refuses("EISDIR", os.unlink, "d")
    refuses("ENOTDIR", os.unlink, "d/../" + str(put("g")) + "/")
    same(sorted(os.listdir(".")), ["d", "g"])


def check_unlinked_while_open() -> None:
    """It can be read and written by who has it open, and comes back by nothing that he does."""
    put("f", b"content")
    with opened("f", os.O_RDWR) as descriptor:
        os.unlink("f")
        same(os.fstat(descriptor).st_nlink, 0)
        same(os.pread(descriptor, 9, 0), b"content")
        os.pwrite(descriptor, b"X", 0)
        os.ftruncate(descriptor, 3)
        os.fsync(descriptor)
        same(os.pread(descriptor, 9, 0), b"Xon")
        same(os.listdir("."), [])
    same(os.listdir("."), [])


def check_a_name_that_is_used_again() -> None:
    """Is another file: both live side by side."""
    put("f", b"old")
    with opened("f", os.O_RDONLY) as descriptor:
        os.unlink("f")
        put("f", b"new")
        same((os.pread(descriptor, 9, 0), get("f")), (b"old", b"new"))
        true("it is another", holds=os.fstat(descriptor).st_ino != os.stat("f").st_ino)
    same(get("f"), b"new")


def check_created_and_unlinked() -> None:
    """A temporary file that nobody else ever sees."""
    with opened("f", os.O_RDWR | os.O_CREAT | os.O_EXCL) as descriptor:
        os.unlink("f")
        os.write(descriptor, b"private")
        os.fsync(descriptor)
        same(os.pread(descriptor, 9, 0), b"private")
    same(os.listdir("."), [])


def check_mkdir() -> None:
    """Makes a directory once, below what is there."""
    os.mkdir("d")
    put("f")
    refuses("EEXIST", os.mkdir, "d")
    refuses("EEXIST", os.mkdir, "f")
    refuses("ENOENT", os.mkdir, "missing/d")
    same(os.listdir("d"), [])
    same(os.stat("d").st_nlink, 2)


def check_rmdir() -> None:
    """Takes an empty directory away once."""
    os.makedirs("d/sub")
    put("f")
    refuses("ENOTEMPTY", os.rmdir, "d")
    refuses("ENOTDIR", os.rmdir, "f")
    refuses("ENOENT", os.rmdir, "missing")
    os.rmdir("d/sub/")
    os.rmdir("d")
    refuses("ENOENT", os.rmdir, "d")
    os.mkdir("d")
    put("d/f")
    refuses("ENOTEMPTY", os.rmdir, "d")
    os.unlink("d/f")
    os.rmdir("d")
    same(os.listdir("."), ["f"])


def check_rmdir_of_the_working_directory() -> None:
    """Nothing can be made in it any more, and nothing is in it."""
    top = os.getcwd()
    os.mkdir("d")
    os.chdir("d")
    os.rmdir("../d")
    refuses("ENOENT", os.getcwd)
    refuses("ENOENT", put, "f")
    refuses("ENOENT", os.mkdir, "e")
    same(os.listdir("."), [])
    os.chdir(top)
    same(os.listdir("."), [])


def check_rmdir_of_an_open_directory() -> None:
    """Its descriptor stays, and shows nothing; a new one of this name is another."""
    os.mkdir("d")
    with opened("d", os.O_RDONLY) as directory:
        os.rmdir("d")
        same(os.fstat(directory).st_nlink, 0)
        os.mkdir("d")
        put("d/f")
        same(os.listdir(directory), [])
        true("it is another", holds=os.fstat(directory).st_ino != os.stat("d").st_ino)


def check_a_tree_is_removed_while_it_is_read() -> None:
    """As `rm -r` does."""
    for folder in ("t", "t/a", "t/a/b"):
        os.mkdir(folder)
        for number in range(5):
            put(f"{folder}/f{number}")
    for folder, directories, files in os.walk("t", topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        for name in directories:
            os.rmdir(os.path.join(folder, name))
    os.rmdir("t")
    same(os.listdir("."), [])
