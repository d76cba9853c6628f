"""Names: at every limit, in every script, and those that cannot be."""

from __future__ import annotations

import os

from tests.mount.posix.harness import get, opened, put, refuses, same

_LEGAL = [
    "a" * 255, "ü" * 127 + "a", "€" * 85, "𝄞" * 63 + "abc", " ", " a", "a ", "...", ".a", "a.",
    "-rf", "*", "?", "\\", '"', "'", "$(x)", "a\nb", "\t", "\x01", "\x7f", "~", "#", "&", "|", ":",
    "CON", "a%", "50%", "a%20b", "é", "e\u0301", "\ufeffbom", "\u202ertl", "\u200b", "👩‍👩‍👧", "A",
    "a", "constructor", "__proto__", "\ue000", "\uffff", "\U0010ffff",
]  # fmt: skip

_TOO_LONG = ["a" * 256, "ü" * 128, "€" * 85 + "a", "𝄞" * 64, "a" * 4095]

_NOT_UTF8 = [b"\xff", b"a\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"ok\xc3"]

_NO_ID = ["%x", "%=", "%-x", "%+a", "%%"]


def check_legal_names_are_kept_byte_by_byte() -> None:
    """Each is made, listed, read and removed; none is taken for another one."""
    for number, name in enumerate(_LEGAL):
        put(name, b"%d" % number)
    same(sorted(os.listdir(".")), sorted(_LEGAL))
    for number, name in enumerate(_LEGAL):
        same(get(name), b"%d" % number)
    for name in _LEGAL:
        os.unlink(name)
    same(os.listdir("."), [])


def check_legal_names_of_directories() -> None:
    """A directory can have the same names."""
    for name in _LEGAL:
        os.mkdir(name)
    put(os.path.join(_LEGAL[0], _LEGAL[3]))
    same(sorted(os.listdir(".")), sorted(_LEGAL))
    same(os.listdir(_LEGAL[0]), [_LEGAL[3]])


def check_names_that_are_too_long() -> None:
    """By a byte or by many, for every operation."""
    put("f")
    for name in _TOO_LONG:
        refuses("ENAMETOOLONG", put, name)
        refuses("ENAMETOOLONG", os.stat, name)
        refuses("ENAMETOOLONG", os.mkdir, name)
        refuses("ENAMETOOLONG", os.unlink, name)
        refuses("ENAMETOOLONG", os.rmdir, name)
        refuses("ENAMETOOLONG", os.rename, "f", name)
        refuses("ENAMETOOLONG", os.rename, name, "f")


def check_names_that_are_no_utf8() -> None:
    """EILSEQ, for every operation."""
    put("f")
    for name in _NOT_UTF8:
        refuses("EILSEQ", put, name)
        refuses("EILSEQ", os.stat, name)
        refuses("EILSEQ", os.mkdir, name)
        refuses("EILSEQ", os.unlink, name)
        refuses("EILSEQ", os.rename, b"f", name)
    same(os.listdir("."), ["f"])


def check_names_that_no_id_has() -> None:
    """A `%` at the beginning is the software's: there is no such name, and none can be made."""
    put("f")
    for name in _NO_ID:
        refuses("ENOENT", os.stat, name)
        refuses("EINVAL", put, name)
        refuses("EINVAL", os.rename, "f", name)
    same(os.listdir("."), ["f"])


def check_the_secret_of_a_directory() -> None:
    """Is the file `%` in it."""
    os.mkdir("d")
    put("d/%", b"own")
    put("d/f")
    same(sorted(os.listdir("d")), ["%", "f"])
    same(get("d/%"), b"own")
    refuses("EINVAL", os.mkdir, "%")
    os.unlink("d/%")
    same(os.listdir("d"), ["f"])


def check_dots() -> None:
    """`.` and `..` are what they are everywhere."""
    os.mkdir("d")
    here, inner = os.stat("."), os.stat("d")
    same(os.stat("d/..").st_ino, here.st_ino)
    same(os.stat("d/.").st_ino, inner.st_ino)
    same(os.stat("d/../d/./").st_ino, inner.st_ino)
    refuses("EEXIST", os.mkdir, ".")
    refuses("EEXIST", os.mkdir, "d/..")
    refuses("EISDIR", os.open, ".", os.O_WRONLY | os.O_CREAT)
    refuses("EINVAL", os.rmdir, "d/.")
    refuses("ENOTEMPTY", os.rmdir, "d/..")
    refuses("EBUSY", os.rename, "d/.", "e")
    refuses("EBUSY", os.rename, "d", ".")


def check_a_path_that_is_too_long() -> None:
    """Past 4095 bytes nothing is named; a deep place is reached step by step."""
    name, top = "d" * 250, os.getcwd()
    for _ in range(17):
        os.mkdir(name)
        os.chdir(name)
    put("f", b"deep")
    same(get("f"), b"deep")
    os.chdir(top)
    refuses("ENAMETOOLONG", os.stat, "/".join([name] * 17))
    directory = os.open(name, os.O_RDONLY)
    for _ in range(16):
        below = os.open(name, os.O_RDONLY, dir_fd=directory)
        os.close(directory)
        directory = below
    same(os.listdir(directory), ["f"])
    os.close(directory)


def check_a_file_is_no_directory() -> None:
    """Nor is there anything below it."""
    put("f")
    refuses("ENOTDIR", os.stat, "f/")
    refuses("ENOTDIR", os.stat, "f/g")
    refuses("ENOTDIR", os.mkdir, "f/d")
    refuses("ENOTDIR", os.listdir, "f")
    with opened("f", os.O_RDONLY) as descriptor:
        refuses("ENOTDIR", os.listdir, descriptor)
