#!/usr/bin/env python3
"""The cases of `bench`, each with its budgets (the design, section 7)."""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench_meter import Budget, Measure, Turn
from bench_service import ask_service
from bench_subjects import Smfs, Subject
from bench_world import PATIENCE, BrokenError, content_of, file_name

NEAR = ("embedded", "http")
FAR = ("http + 5 ms", "http + 50 ms")
OURS = NEAR + FAR
SPACES = ("N = 10", "N = 10,000")

SEEN = 20
COLD = 10
CHANGES = 5
TREE = (10, 10)
CHUNK = 1 << 16
LISTING_PATIENCE = 300.0


def is_subject(_subject: Subject) -> bool:
    """Every one."""
    return True


def is_local(subject: Subject) -> bool:
    """Those to which nothing is far."""
    return subject.is_local


def is_ours_and_near(subject: Subject) -> bool:
    """The mounts of smfs whose service is on this machine."""
    return isinstance(subject, Smfs) and subject.is_local


@dataclass(frozen=True)
class Case:
    """Something that is done to each subject in turn.

    Attributes:
        name: for the command line.
        run: one turn.
        measures: what it finds out.
        rounds: how many, of the default's.
        warms_up: whether a round that does not count goes before.
        fits: on which subjects it makes sense.
        group: of subjects: `small` mounts, `large` ones with many secrets, or the `service`.
    """

    name: str
    run: Callable[[Turn], None]
    measures: tuple[Measure, ...]
    rounds: float = 1.0
    warms_up: bool = True
    fits: Callable[[Subject], bool] = is_subject
    group: str = "small"


numbers = itertools.count()


def read_file(path: Path) -> bytes:
    """Opens, reads to the end and closes."""
    descriptor = os.open(path, os.O_RDONLY)
    content = b""
    while part := os.read(descriptor, CHUNK):
        content += part
    os.close(descriptor)
    return content


def write_file(path: Path, flags: int = os.O_CREAT | os.O_EXCL) -> None:
    """Opens, writes and closes."""
    descriptor = os.open(path, os.O_WRONLY | flags, 0o600)
    os.write(descriptor, b"something new, number %d\n" % next(numbers))
    os.close(descriptor)


def save_file(path: Path) -> None:
    """Saves as editors do: a temporary file that takes the place of the old one."""
    temporary = path.with_name(f".goutputstream-{next(numbers)}")
    write_file(temporary)
    temporary.rename(path)


def seen_files(turn: Turn) -> Iterator[Path]:
    """The same few files over and over; in the warm-up each of them once."""
    files = [turn.subject.folder / "many" / file_name(number) for number in range(SEEN)]
    return iter(files) if turn.number == 0 else itertools.cycle(files)


def read(turn: Turn) -> None:
    """A secret that was seen already."""
    operations = (functools.partial(read_file, path) for path in seen_files(turn))
    turn.batch("read", operations, whole=turn.number == 0)


def attributes(turn: Turn) -> None:
    """`stat` of a secret that was seen already."""
    operations = (functools.partial(os.stat, path) for path in seen_files(turn))
    turn.batch("stat", operations, whole=turn.number == 0)


def write(turn: Turn) -> None:
    """The life of a secret; all those that were made go through each step."""
    work = turn.subject.work()
    made: list[Path] = []

    def creating() -> Iterator[Callable[[], None]]:
        while True:
            made.append(work / f"new{next(numbers)}")
            yield functools.partial(write_file, made[-1])

    turn.batch("create", creating())
    replacing = [functools.partial(write_file, path, os.O_TRUNC) for path in made]
    turn.batch("replace", replacing)
    turn.batch("save", [functools.partial(save_file, path) for path in made])
    moved = [path.with_name(f"moved-{path.name}") for path in made]
    renames = zip(made, moved, strict=True)
    turn.batch("rename", [functools.partial(os.rename, *pair) for pair in renames], whole=True)
    turn.batch("unlink", [path.unlink for path in moved], whole=True)


def start(turn: Turn) -> None:
    """A mount from nothing, and what it is asked for first."""
    subject = turn.subject
    many = subject.folder / "many"
    subject.stop()

    def mount() -> None:
        subject.start()
        read_file(many / file_name(0))

    turn.time("start", mount)
    files = [many / file_name(number) for number in range(1, COLD + 1)]
    operations = [functools.partial(read_file, path) for path in files]
    turn.batch("cold", operations, whole=True)


def run_ls(directory: Path, *options: str) -> None:
    """`ls`."""
    ended = subprocess.run(
        ["ls", *options, directory],
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
        timeout=LISTING_PATIENCE,
    )
    if ended.returncode:
        raise BrokenError(ended.stderr.decode(errors="replace").splitlines()[0])


def list_names(turn: Turn) -> None:
    """`ls -l` after a fresh mount, and again."""
    subject = turn.subject
    many = subject.folder / "many"
    subject.stop()
    subject.start()
    listing = functools.partial(run_ls, many, "-l")
    turn.time("first", listing)
    turn.batch("second", [listing] * 3)
    note_memory(turn, "memory")


def list_many_names(turn: Turn) -> None:
    """`ls` and `ls -l` of very many."""
    subject = turn.subject
    many = subject.folder / "many"
    subject.stop()
    subject.start()
    turn.time("names", functools.partial(run_ls, many))
    subject.stop()
    subject.start()
    listing = functools.partial(run_ls, many, "-l")
    turn.time("first-of-many", listing)
    turn.batch("second-of-many", [listing] * 3)
    note_memory(turn, "memory-of-many")


def note_memory(turn: Turn, measure: str) -> None:
    """The resident memory of the mount, where it is one of ours."""
    resident = turn.subject.resident()
    if resident is not None:
        turn.note(measure, resident)


def visible(turn: Turn) -> None:
    """What another mount of the same identity wrote, seen from this one."""
    here, there = turn.subject.folder, turn.subject.twin().folder
    changed = Path("many") / file_name(0)
    for _ in range(CHANGES):
        expected = b"changed elsewhere %d\n" % next(numbers)
        read_file(here / changed)
        (there / changed).write_bytes(expected)
        seen = functools.partial(read_file, here / changed)
        turn.note("content", wait_for(lambda seen=seen, expected=expected: seen() == expected))
    (there / changed).write_bytes(content_of(0))
    (there / "elsewhere").mkdir(exist_ok=True)
    (there / "elsewhere" / "kept").write_bytes(b"so that the directory stays")
    wait_for((here / "elsewhere").is_dir)
    for _ in range(CHANGES):
        name = f"new{next(numbers)}"
        names_in(here / "elsewhere")
        (there / "elsewhere" / name).write_bytes(b"new elsewhere\n")
        turn.note("name", wait_for(lambda name=name: name in names_in(here / "elsewhere")))
        (there / "elsewhere" / name).unlink()


def names_in(directory: Path) -> list[str]:
    """What a listing shows."""
    return [path.name for path in directory.iterdir()]


def wait_for(condition: Callable[[], bool]) -> float:
    """How many seconds it takes until something is so."""
    started = time.perf_counter()
    while not condition():
        if time.perf_counter() - started > PATIENCE:
            raise BrokenError("a change made elsewhere never shows")
        time.sleep(0.001)
    return time.perf_counter() - started


def git_status(turn: Turn) -> None:
    """`git status` of a tree in the mount, whose repository lies elsewhere."""
    tree = turn.subject.work() / "tree"
    repository = turn.subject.mountpoint.with_name(turn.subject.mountpoint.name + ".git")
    git = ["git", f"--git-dir={repository}", f"--work-tree={tree}"]
    run = turn.subject.world.run
    if turn.number == 0:
        for directory in range(TREE[0]):
            (tree / f"d{directory}").mkdir(parents=True)
            for number in range(TREE[1]):
                write_file(tree / f"d{directory}" / f"f{number}")
        run("git", "init", "-q", "--bare", repository)
        run(*git, "add", "-A")
    status = functools.partial(run, *git, "status", "--porcelain", "--untracked-files=all")
    turn.batch("git", [status] * 3)


CASES: tuple[Case, ...] = (
    Case(
        "read",
        read,
        (Measure("read", "open, read, close; seen before", (Budget("ratio", 1.3, OURS),)),),
    ),
    Case("stat", attributes, (Measure("stat", "stat; seen before"),)),
    Case(
        "write",
        write,
        (
            Measure("create", "create, write, close", (Budget("requests", 1, FAR),)),
            Measure("replace", "truncate, write, close"),
            Measure("save", "save by temporary file and rename"),
            Measure("rename", "rename"),
            Measure("unlink", "unlink"),
        ),
    ),
    Case(
        "git",
        git_status,
        (Measure("git", "git status of 100 files"),),
        rounds=0.6,
        fits=is_local,
    ),
    Case(
        "visible",
        visible,
        (
            Measure("content", "content written elsewhere shows", (Budget("p95", 0.1, NEAR),)),
            Measure("name", "name made elsewhere shows", (Budget("p95", 0.1, NEAR),)),
        ),
        rounds=0.6,
        warms_up=False,
        fits=is_ours_and_near,
    ),
    Case(
        "start",
        start,
        (
            Measure("start", "mount until a secret is read", (Budget("p95", 1, NEAR),)),
            Measure(
                "cold",
                "open, read, close; first time",
                (Budget("requests", 1, FAR), Budget("beyond", 0.003, OURS)),
            ),
        ),
        rounds=0.6,
        warms_up=False,
    ),
    Case(
        "list",
        list_names,
        (
            Measure("first", "ls -l of {few:,}, first time"),
            Measure(
                "second",
                "ls -l of {few:,}, second time",
                (Budget("ratio", 1.5, OURS), Budget("requests", 0, FAR)),
            ),
            Measure("memory", "memory with {few:,}", (Budget("bytes", 80e6, OURS),), "bytes"),
        ),
        rounds=0.6,
        warms_up=False,
    ),
    Case(
        "large",
        list_many_names,
        (
            Measure("names", "ls of {many:,}, first time"),
            Measure("first-of-many", "ls -l of {many:,}, first time"),
            Measure("second-of-many", "ls -l of {many:,}, second time"),
            Measure(
                "memory-of-many", "memory with {many:,}", (Budget("bytes", 150e6, OURS),), "bytes"
            ),
        ),
        rounds=0.4,
        warms_up=False,
        group="large",
    ),
    Case(
        "service",
        ask_service,
        (
            Measure(
                "set",
                "set, on one connection",
                (Budget("median", 1 / 1000, SPACES), Budget("flat", 1.2, SPACES[1:])),
            ),
            Measure(
                "get",
                "get, on one connection",
                (Budget("median", 1 / 1500, SPACES), Budget("flat", 1.2, SPACES[1:])),
            ),
            Measure(
                "service-memory",
                "memory of the service",
                (Budget("bytes", 100e6, SPACES),),
                "bytes",
            ),
        ),
        group="service",
    ),
)
