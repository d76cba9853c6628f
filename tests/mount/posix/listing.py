"""Directories that are read while they change."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.mount.posix.harness import LIBC, put, same, true

_MANY = 120
_LONG = "n" * 200  # so that the names need several answers


class _Stream:
    """What opendir(3) gives."""

    def __init__(self, path: str) -> None:
        self._stream = LIBC.opendir(os.fsencode(path))
        true("it opens", holds=bool(self._stream))

    def read(self) -> str | None:
        """The next name, `.` and `..` left out."""
        while True:
            entry = LIBC.readdir(self._stream)
            if not entry:
                return None
            name = os.fsdecode(ctypes.string_at(entry + 19))
            if name not in (".", ".."):
                return name

    def rest(self) -> list[str]:
        """All names that are left."""
        return list(iter(self.read, None))

    def tell(self) -> int:
        """telldir(3)."""
        return int(LIBC.telldir(self._stream))

    def seek(self, position: int) -> None:
        """seekdir(3)."""
        LIBC.seekdir(self._stream, position)

    def rewind(self) -> None:
        """rewinddir(3)."""
        LIBC.rewinddir(self._stream)

    def close(self) -> None:
        """closedir(3)."""
        LIBC.closedir(self._stream)


@contextmanager
def _reading(path: str) -> Iterator[_Stream]:
    stream = _Stream(path)
    try:
        yield stream
    finally:
        stream.close()


def _fill() -> list[str]:
    os.mkdir("d")
    names = [f"{number:03}{_LONG}" for number in range(_MANY)]
    for name in names:
        os.mkdir(f"d/{name}")
    return names


def check_every_name_comes_once() -> None:
    """However many there are, with `.` and `..`, and the types that stat tells."""
    names = _fill()
    put("d/f")
    with _reading("d") as stream:
        same(sorted(stream.rest()), sorted([*names, "f"]))
    with os.scandir("d") as entries:
        types = {entry.name: entry.is_dir(follow_symlinks=False) for entry in entries}
    same(types, dict.fromkeys(names, True) | {"f": False})


def check_changes_while_it_is_read() -> None:
    """What stays comes exactly once; what comes or goes, at most once."""
    names = _fill()
    with _reading("d") as stream:
        seen = [stream.read() for _ in range(10)]
        gone = [name for name in names if name not in seen][:5]
        for name in gone:
            os.rmdir(f"d/{name}")
        os.mkdir("d/new")
        seen += stream.rest()
    true("none twice", holds=len(seen) == len(set(seen)))
    true("all that stayed", holds=set(names) - set(gone) <= set(seen))


def check_removing_what_was_read() -> None:
    """Name by name, until none is left."""
    _fill()
    with _reading("d") as stream:
        while (name := stream.read()) is not None:
            os.rmdir(f"d/{name}")
    same(os.listdir("d"), [])


def check_rewinddir() -> None:
    """Shows what is there now."""
    os.mkdir("d")
    os.mkdir("d/a")
    with _reading("d") as stream:
        same(stream.rest(), ["a"])
        os.mkdir("d/b")
        os.rmdir("d/a")
        stream.rewind()
        same(stream.rest(), ["b"])


def check_telldir() -> None:
    """A position leads back to where it was taken."""
    _fill()
    with _reading("d") as stream:
        for _ in range(_MANY // 2):
            stream.read()
        position = stream.tell()
        first = stream.rest()
        stream.seek(position)
        same(stream.rest(), first)
        same(len(first), _MANY - _MANY // 2)


def check_a_removed_directory_is_empty() -> None:
    """Who reads it while it goes comes to its end."""
    os.mkdir("d")
    os.mkdir("d/a")
    with _reading("d") as stream:
        os.rmdir("d/a")
        os.rmdir("d")
        true("at most what was there", holds=stream.rest() in ([], ["a"]))
        stream.rewind()
        same(stream.rest(), [])
