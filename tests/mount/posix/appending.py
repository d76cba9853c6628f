"""Several processes that write one file, or one directory, at once."""

from __future__ import annotations

import os
from functools import partial

from tests.mount.posix.harness import Child, get, opened, put, same

_PROCESSES = 4
_LINES = 25


def _line(process: int, number: int) -> bytes:
    return b"%d-%d-%s\n" % (process, number, b"x" * (process * 97 + number * 31 % 700))


def _all() -> list[bytes]:
    return sorted(
        _line(process, number) for process in range(_PROCESSES) for number in range(_LINES)
    )


def check_each_keeps_it_open() -> None:
    """O_APPEND: no line is lost or torn, and each process's are in order."""

    def append(process: int) -> str:
        with opened("f", os.O_WRONLY | os.O_APPEND | os.O_CREAT) as descriptor:
            for number in range(_LINES):
                os.write(descriptor, _line(process, number))
        return "done"

    children = [Child(partial(append, process)) for process in range(_PROCESSES)]
    same([child.answer() for child in children], ["done"] * _PROCESSES)
    lines = get("f").splitlines(keepends=True)
    same(sorted(lines), _all())
    for process in range(_PROCESSES):
        mine = [line for line in lines if line.startswith(b"%d-" % process)]
        same(mine, [_line(process, number) for number in range(_LINES)])


def check_each_opens_it_for_every_line() -> None:
    """As shells do."""

    def append(process: int) -> str:
        for number in range(_LINES):
            with opened("f", os.O_WRONLY | os.O_APPEND | os.O_CREAT) as descriptor:
                os.write(descriptor, _line(process, number))
        return "done"

    children = [Child(partial(append, process)) for process in range(_PROCESSES)]
    same([child.answer() for child in children], ["done"] * _PROCESSES)
    same(sorted(get("f").splitlines(keepends=True)), _all())


def check_each_writes_its_own_part() -> None:
    """pwrite(2) at offsets of its own."""
    put("f", b"")

    def write(process: int) -> str:
        with opened("f", os.O_WRONLY) as descriptor:
            for number in range(_LINES):
                os.pwrite(descriptor, b"%d" % process * 100, (number * _PROCESSES + process) * 100)
        return "done"

    children = [Child(partial(write, process)) for process in range(_PROCESSES)]
    same([child.answer() for child in children], ["done"] * _PROCESSES)
    block = b"".join(b"%d" % process * 100 for process in range(_PROCESSES))
    same(get("f"), block * _LINES)


def check_each_makes_its_own_files() -> None:
    """In one directory, renaming and removing among them."""

    def make(process: int) -> str:
        for number in range(8):
            name = f"{process}-{number}"
            put(name, name.encode())
            os.rename(name, f"{name}-renamed")
            if number % 2:
                os.unlink(f"{name}-renamed")
        return "done"

    children = [Child(partial(make, process)) for process in range(_PROCESSES)]
    same([child.answer() for child in children], ["done"] * _PROCESSES)
    wanted = [
        f"{process}-{number}-renamed" for process in range(_PROCESSES) for number in range(0, 8, 2)
    ]
    same(sorted(os.listdir(".")), sorted(wanted))
    for name in wanted:
        same(get(name), name.removesuffix("-renamed").encode())


def check_whole_contents_replace_each_other() -> None:
    """By temporary files and renames: a reader sees one of them, never a mixture or nothing."""
    put("f", b"0" * 3000)

    def replace(process: int) -> str:
        for _ in range(6):
            put(f"tmp-{process}", b"%d" % process * 3000)
            os.replace(f"tmp-{process}", "f")
        return "done"

    children = [Child(partial(replace, process)) for process in range(2)]
    for _ in range(40):
        content = get("f")
        same((len(content), len(set(content))), (3000, 1))
    same([child.answer() for child in children], ["done"] * 2)
    same(os.listdir("."), ["f"])
