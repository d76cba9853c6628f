"""`smfs service …` as a program, on both engines."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
from typing import TYPE_CHECKING

import psycopg
import pytest
from click.shell_completion import ShellComplete

from smfs.cli.main import smfs
from smfs.cli.service_authcode import ACTIONS
from smfs.service.admin import auth_codes
from tests.cli.conftest import PATIENCE

if TYPE_CHECKING:
    from tests.cli.conftest import Program

SUBCOMMANDS = ("migrate", "copy", "backup", "restore", "check", "authcode", "stats")
LEAVES = (
    "migrate", "copy", "backup", "restore", "check", "authcode create", "authcode list",
    "authcode revoke", "stats",
)  # fmt: skip
HEAVY = {"trio", "httpx", "nacl", "psycopg", "sqlite3", "uvicorn", "pyfuse3"}


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, program: Program) -> str:
    """A database that is made, of either engine."""
    name = str(program.home / "made" / "service.db")
    if request.param == "postgres":
        name = request.getfixturevalue("postgres_url")
    program.must("service", "migrate", "--db", name)
    return name


def use(program: Program, place: str) -> None:
    """Has a profile store two secrets at a service."""
    program.must("init")
    with program.running("serve", "--listen", "127.0.0.1:0", "--db", place) as process:
        address = program.address_of(process)
        for name in ("a", "b"):
            program.must("set", name, "--service", address, stdin=b"kept")


def execute(place: str, statement: str) -> None:
    """Changes a database of PostgreSQL behind everybody's back."""
    with psycopg.connect(place) as server:
        server.execute(statement.encode())


@pytest.mark.parametrize("words", LEAVES)
def test_every_command_has_help_with_examples(program: Program, words: str) -> None:
    """As the others."""
    shown = program.must("service", *words.split(), "--help")
    assert shown.startswith(f"Usage: smfs service {words} ")
    assert f"smfs service {words}" in shown.partition("\nExample")[2]


def test_help_imports_nothing_heavy(program: Program) -> None:
    """It comes at once."""
    done = subprocess.run(
        [program.path.with_name("python"), "-X", "importtime", "-m", "smfs.cli.main", "service"],
        capture_output=True,
        check=False,
        text=True,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "click" in imported
    assert not imported & HEAVY


@pytest.mark.parametrize(
    ("words", "incomplete", "completed"),
    [
        (["service"], "", set(SUBCOMMANDS)),
        (["service", "authcode"], "re", {"revoke"}),
        (["service", "check"], "--d", {"--db", "--db-file"}),
        (["service", "authcode", "create", "--action"], "", set(ACTIONS)),
    ],
)
def test_they_are_completed(words: list[str], incomplete: str, completed: set[str]) -> None:
    """As every command is."""
    complete = ShellComplete(smfs, {}, "smfs", "_SMFS_COMPLETE")
    assert {each.value for each in complete.get_completions(words, incomplete)} == completed


def test_the_actions_are_those_that_there_are() -> None:
    """They stand in the command line once more, for its help to come at once."""
    assert ACTIONS == auth_codes.ACTIONS


def test_migrate_says_what_it_does(program: Program, postgres_url: str) -> None:
    """What it would do, what it did, and that there is nothing left to do."""
    file = str(program.home / "service.db")
    for place, name in (
        (file, file),
        (postgres_url, postgres_url.replace("smfs@", "", 1)),
    ):

        def say(*options: str, place: str = place) -> str:
            return program.must("service", "migrate", "--db", place, *options)

        assert say("--dry-run") == f"{name} would go from no tables to version 4"
        assert json.loads(say("--json", "--dry-run")) == {
            "before": None, "after": 4, "dryRun": True,
        }  # fmt: skip
        assert say() == f"{name} went from no tables to version 4"
        assert say() == f"{name} is of version 4, which is the latest"


def test_a_backup_brings_everything_back(program: Program, place: str) -> None:
    """What one service stored another one gives, with the same key."""
    use(program, place)
    backup, restored = program.home / "backup", program.home / "restored.db"

    done = json.loads(program.must("service", "backup", "--db", place, backup, "--json"))
    assert done["spaces"] == 1
    assert done["rows"] > 3
    program.must("service", "restore", "--db", restored, backup)

    with program.running("serve", "--listen", "127.0.0.1:0", "--db", restored) as process:
        address = program.address_of(process)
        assert program.must("get", "a", "--service", address) == "kept"
    again = program("service", "restore", "--db", restored, backup)
    assert again.code == 2
    assert "is not empty" in again.err
    assert program("service", "backup", "--db", place, backup).code == 2
    program.must("service", "backup", "--db", place, "--force", backup)


def test_a_copy_goes_there_and_back(program: Program, postgres_url: str) -> None:
    """From a file to PostgreSQL and to another file, in order all the way."""
    first, last = str(program.home / "first.db"), str(program.home / "last.db")
    use(program, first)
    for source, target in ((first, postgres_url), (postgres_url, last)):
        assert program.must("service", "copy", source, target).startswith("1 spaces, ")
        assert program.must("service", "check", "--db", target) == ""
    figures = [
        json.loads(program.must("service", "stats", "--json", "--db", each))
        for each in (first, postgres_url, last)
    ]
    for each in figures:
        del each["diskBytes"]
    assert figures[0] == figures[1] == figures[2]


def test_check_exits_with_1_if_anything_is_wrong(program: Program, postgres_url: str) -> None:
    """And prints it, in lines or as JSON."""
    program.must("service", "migrate", "--db", postgres_url)
    use(program, postgres_url)
    for options in ((), ("--json",)):
        assert program("service", "check", "--db", postgres_url, *options).code == 0
    execute(postgres_url, "UPDATE spaces SET secrets = 7")

    outcome = program("service", "check", "--db", postgres_url)
    assert (outcome.code, outcome.err) == (1, "")
    assert re.fullmatch(r"spaces [0-9a-f]{8}: secrets is not how many there are", outcome.text)
    outcome = program("service", "check", "--db", postgres_url, "--json")
    assert outcome.code == 1
    [found] = json.loads(outcome.text)
    assert found["table"] == "spaces"
    assert found["what"] == "secrets is not how many there are"


def test_stats_name_nodes_only_if_asked(program: Program, place: str) -> None:
    """In lines, and as JSON."""
    use(program, place)
    node = program.must("id")

    lines = program.must("service", "stats", "--db", place)
    assert re.search(r"^secrets +2$", lines, re.MULTILINE)
    assert re.search(r"^biggest 1 +2 secrets, \d+ bytes$", lines, re.MULTILINE)
    assert node not in lines
    assert node not in program.must("service", "stats", "--db", place, "--json")
    assert node in program.must("service", "stats", "--db", place, "--nodes")
    found = json.loads(program.must("service", "stats", "--db", place, "--nodes", "--json"))
    assert [space["node"] for space in found["biggest"]] == [node]


def test_codes_are_made_listed_and_taken_back(program: Program, place: str) -> None:
    """A code is on standard output once, and nowhere else ever."""
    made = program("service", "authcode", "create", "--db", place, "--note", "for Bob")
    assert made.err == ""
    assert re.fullmatch(r"[0-9a-f]{64}", made.text)
    more = json.loads(program.must("service", "authcode", "create", "--db", place, "--json"))
    listing = program.must("service", "authcode", "list", "--db", place)
    assert len(listing.splitlines()) == 2
    assert re.search(
        r"^[0-9a-f]{12}  \S+  openSecretSpace  operator  for Bob$", listing, re.MULTILINE
    )
    assert not [code for code in (made.text, *more) if code in listing]

    objects = json.loads(program.must("service", "authcode", "list", "--db", place, "--json"))
    digests = [each["digest"] for each in objects]
    assert {each["creator"] for each in objects} == {None}
    wrong = program("service", "authcode", "revoke", "--db", place, digests[0][:12], "0" * 64)
    assert wrong.code == 2
    told = program.must("service", "authcode", "revoke", "--db", place, digests[0][:12])
    assert told == "1 taken back"
    assert program.must("service", "authcode", "revoke", "--db", place, "--all") == "1 taken back"
    assert program.must("service", "authcode", "list", "--db", place) == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("authcode", "revoke"),
        ("authcode", "revoke", "--all", "abcd"),
        ("authcode", "create", "--action", "everything"),
        ("authcode", "create", "--count", "0"),
        ("copy", "a"),
        ("backup",),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2(program: Program, arguments: tuple[str, ...]) -> None:
    """Whatever is there."""
    assert program("service", *arguments).code == 2


def test_the_embedded_database_is_the_default(program: Program) -> None:
    """And the environment names another one."""
    other = program.home / "other.db"
    program.must("service", "migrate")
    assert (program.home / "data" / "smfs" / "service.db").exists()
    outcome = program("service", "migrate", SMFS_DB=str(other))
    assert outcome.code == 0
    assert other.exists()


def test_what_cannot_be_used_is_told_in_one_line(program: Program) -> None:
    """A file that is not there is not made; a server that is not there is unreachable."""
    missing = program.home / "missing.db"
    for words in ("check", "stats", "authcode list"):
        outcome = program("service", *words.split(), "--db", missing)
        assert outcome.code == 2
        assert outcome.err == f"smfs: there is no database {missing}\n"
    assert not missing.exists()

    url = "postgresql://smfs:hunter2@127.0.0.1:9/smfs"
    outcome = program("service", "check", SMFS_DB=url)
    assert outcome.code == 5
    assert len(outcome.err.splitlines()) == 1
    assert "hunter2" not in outcome.err


@pytest.mark.parametrize("password", ["hunter2", "hun@ter2", "hun/ter2", "hun ter2"])
def test_a_password_is_never_told(program: Program, password: str) -> None:
    """Wherever the URL stands; that others can see it there is."""
    url = f"postgresql://smfs:{password}@127.0.0.1:9/smfs"
    for arguments in (
        ("migrate", "--db", url),
        ("copy", url, program.home / "a.db"),
        ("copy", program.home / "a.db", url),
    ):
        outcome = program("service", *arguments)
        assert outcome.code in {2, 5}
        assert "seen by all who may list processes" in outcome.err
        assert "hun" not in outcome.err + outcome.text + program.log()


def test_a_bar_is_drawn_on_a_terminal(program: Program, place: str) -> None:
    """And nothing of it elsewhere."""
    use(program, place)
    outcome = program("service", "backup", "--db", place, program.home / "one")
    assert outcome.err == ""
    ours, its = pty.openpty()
    try:
        with subprocess.Popen(
            [program.path, "service", "backup", "--db", place, program.home / "two"],
            stdout=subprocess.PIPE,
            stderr=its,
            env=program.environment,
        ) as process:
            process.communicate(timeout=PATIENCE)
        drawn = os.read(ours, 100_000) if select.select([ours], [], [], 0)[0] else b""
    finally:
        os.close(ours)
        os.close(its)
    assert process.returncode == 0
    assert b"backup" in drawn
    assert b"100%" in drawn
    assert drawn.count(b"\x1b[?25l") >= 1
    assert drawn.rstrip().endswith(b"\x1b[?25h")


def test_output_that_is_closed_loses_no_code(program: Program) -> None:
    """None is made that nobody would ever know."""
    program.must("service", "migrate")
    subprocess.run(
        ["sh", "-c", f"exec {program.path} service authcode create >&-"],
        env=program.environment,
        capture_output=True,
        check=False,
    )
    assert program.must("service", "authcode", "list") == ""
