"""A backup is complete or not there, and made while others write."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from smfs.crypto.identity import Identity
from smfs.errors import ConfigError
from smfs.service import create_service
from smfs.service.admin.backups import backup
from smfs.service.admin.checking import check
from smfs.service.admin.copying import copy
from smfs.service.admin.migrating import migrate
from smfs.service.admin.progress import Silent
from smfs.service.app import system_now
from tests.service.admin.conftest import Place, contents
from tests.service.nodes import START_MS, Node

ROOT = Path(__file__).parents[3]
WRITER = Identity(b"\7" * 32)

# Sets secrets in the database of argv[1] for ever, and says which were acknowledged.
WRITING = """
import itertools, sys
import anyio
from smfs.service import create_service
from smfs.service.app import system_now
from tests.service.admin.test_backups import WRITER
from tests.service.nodes import Node

async def main():
    async with create_service(sys.argv[1]) as service:
        node = await Node(service, system_now, WRITER).open_space()
        for number in itertools.count(1):
            await node.set(f"s{number}", f"content of {number}")
            print(number, flush=True)

anyio.run(main)
"""

# Makes the backup argv[2] of argv[1], and tells what went wrong.
BACKING_UP = """
import sys
from pathlib import Path
from smfs.errors import SmfsError
from smfs.service.admin.backups import backup
from smfs.service.admin.progress import Silent
try:
    backup(sys.argv[1], Path(sys.argv[2]), Silent(), 0)
except SmfsError as error:
    print(type(error).__name__)
"""


def test_it_is_a_private_file_with_all_of_it(filled: Place, tmp_path: Path) -> None:
    """Mode 0600, alone, and in order; restored, everything is there."""
    directory = tmp_path / "backups"
    directory.mkdir()
    file, restored = directory / "smfs.db", tmp_path / "restored.db"

    backup(filled, file, Silent(), START_MS)

    assert list(directory.iterdir()) == [file]
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(check(file, Silent())) == []
    copy(file, restored, Silent(), START_MS)
    before, after = contents(filled), contents(restored)
    for table in ("service", "secrets", "used_signatures", "auth_codes", "handed_out", "hooks"):
        assert after[table] == before[table]


@pytest.mark.parametrize("may_replace", [False, True])
def test_a_file_that_is_there_is_replaced_only_if_asked(
    filled_file: Path, tmp_path: Path, *, may_replace: bool
) -> None:
    """Otherwise it stays as it is, and so does a link."""
    file = tmp_path / "backup"
    file.write_text("precious")
    if may_replace:
        backup(filled_file, file, Silent(), START_MS, may_replace=True)
        assert list(check(file, Silent())) == []
        return
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nowhere")
    for each in (file, link):
        with pytest.raises(ConfigError, match="is there already"):
            backup(filled_file, each, Silent(), START_MS)
    assert file.read_text() == "precious"
    assert link.is_symlink()


def test_who_comes_first_is_not_overwritten(filled_file: Path, tmp_path: Path) -> None:
    """A file that appears while the backup is made stays, too."""
    file = tmp_path / "backup"

    class Meanwhile(Silent):
        def begin(self, total: int) -> None:
            file.write_text("precious")

    with pytest.raises(ConfigError, match="is there already"):
        backup(filled_file, file, Meanwhile(), START_MS)
    assert file.read_text() == "precious"
    assert not list(tmp_path.glob(".backup*"))


@pytest.mark.parametrize("kind", ["itself", "symbolic link", "hard link"])
def test_the_source_is_not_overwritten(filled_file: Path, tmp_path: Path, kind: str) -> None:
    """Under whatever name; it would be lost to whoever has it open."""
    file = filled_file if kind == "itself" else tmp_path / "backup"
    if kind == "symbolic link":
        file.symlink_to(filled_file)
    if kind == "hard link":
        file.hardlink_to(filled_file)
    before = filled_file.stat().st_ino
    with pytest.raises(ConfigError, match="is the database itself"):
        backup(filled_file, file, Silent(), START_MS, may_replace=True)
    assert filled_file.stat().st_ino == file.stat().st_ino == before


def test_a_database_in_use_is_not_overwritten(filled: Place, tmp_path: Path) -> None:
    """Whoever has it open goes on with it, and what he writes is kept."""
    file = tmp_path / "other.db"
    migrate(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as user:
        user.execute("INSERT INTO locks VALUES (x'00')")
        with pytest.raises(ConfigError, match=r"there is other\.db-wal beside it"):
            backup(filled, file, Silent(), START_MS, may_replace=True)
        user.execute("INSERT INTO locks VALUES (x'01')")
    assert contents(file)["locks"] == [(b"\0",), (b"\1",)]
    backup(filled, file, Silent(), START_MS, may_replace=True)
    assert contents(file)["spaces"]


@pytest.mark.parametrize("may_replace", [False, True])
@pytest.mark.parametrize("end", ["-wal", "-shm", "-journal"])
def test_no_log_of_another_database_is_applied_to_it(
    filled_file: Path, tmp_path: Path, end: str, *, may_replace: bool
) -> None:
    """As one that a killed process has left; nor is such a log replaced."""
    log = tmp_path / f"backup{end}"
    log.write_text("precious")
    for name, words in (("backup", "beside it"), (log.name, "the name of a database's log")):
        with pytest.raises(ConfigError, match=words):
            backup(filled_file, tmp_path / name, Silent(), START_MS, may_replace=may_replace)
    assert log.read_text() == "precious"
    assert not (tmp_path / "backup").exists()


def test_who_begins_to_use_a_database_meanwhile_keeps_it(filled_file: Path, tmp_path: Path) -> None:
    """It is looked at once more before it is replaced."""
    file = tmp_path / "other.db"
    migrate(file)
    with closing(sqlite3.connect(file, isolation_level=None)) as user:

        class Meanwhile(Silent):
            def begin(self, total: int) -> None:
                user.execute("INSERT INTO locks VALUES (x'00')")

        with pytest.raises(ConfigError, match="beside it"):
            backup(filled_file, file, Meanwhile(), START_MS, may_replace=True)
        user.execute("INSERT INTO locks VALUES (x'01')")
    assert len(contents(file)["locks"]) == 2
    assert not list(tmp_path.glob(".other.db*"))


def test_a_directory_that_is_not_there_is_told(filled_file: Path, tmp_path: Path) -> None:
    """It is not made."""
    with pytest.raises(ConfigError, match="No such file"):
        backup(filled_file, tmp_path / "none" / "backup", Silent(), START_MS)


def test_no_room_leaves_no_half_file(filled: Place, tmp_path: Path) -> None:
    """The kernel refuses to let the file grow, as a full disk does."""
    directory = tmp_path / "backups"
    directory.mkdir()

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))

    done = subprocess.run(
        [sys.executable, "-c", BACKING_UP, str(filled), str(directory / "backup")],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout == "StoreFull\n"
    assert list(directory.iterdir()) == []


def test_it_is_made_while_others_write(place: Place, target: Place, tmp_path: Path) -> None:
    """All that was acknowledged before is in it, and what came later whole or not at all."""
    migrate(place)
    with subprocess.Popen(
        [sys.executable, "-c", WRITING, str(place)],
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(30)]
        backup(place, tmp_path / "backup", Silent(), START_MS)
        later = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    assert acknowledged == list(range(1, 31))
    assert later == 31
    assert list(check(tmp_path / "backup", Silent())) == []

    copy(tmp_path / "backup", target, Silent(), START_MS)
    found = anyio.run(stored, target)
    assert len(found) >= 30
    assert found == {f"s{number}": f"content of {number}" for number in range(1, len(found) + 1)}


async def stored(place: Place) -> dict[str, str]:
    """The secrets of the writer, as a service on a database gives them."""
    async with create_service(place) as service:
        node = Node(service, system_now, WRITER, nonce=-1_000_000)  # type: ignore[arg-type]
        space = await node.space()
        return {secret_id: await node.get(secret_id) for secret_id in space["secrets"]}
