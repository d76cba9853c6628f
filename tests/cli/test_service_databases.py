"""How a database is named, and what names none: a URL that went wrong is never a new file."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from smfs.cli.databases import as_database, as_named
from smfs.errors import ConfigError

if TYPE_CHECKING:
    from tests.cli.conftest import Program

URL = "postgresql://smfs:geheim@127.0.0.1:9/smfs"
WRONG = (
    f'"{URL}"',
    f"'{URL}'",
    f" '{URL}'",
    f"SMFS_DB={URL}",
    f"export SMFS_DB={URL}",
    "SMFS_DB_FILE=/geheim",
    URL.replace("postgresql", "postgressql"),
    URL.replace("postgresql", "postgresql+psycopg"),
    URL.replace("postgresql", "jdbc:postgresql"),
    URL.replace("//", "/"),
    URL.replace("//", ""),
    URL.removeprefix("postgresql:"),
    URL.removeprefix("postgresql://"),
    "sqlite:///geheim.db",
    "host=127.0.0.1 password=geheim",
    "dbname = smfs password = geheim",
    "service=geheim",
)


@pytest.mark.parametrize("text", [*WRONG, "", " "])
def test_what_is_neither_url_nor_path_is_refused(text: str) -> None:
    """And not repeated, for it may hold a password."""
    with pytest.raises(ConfigError, match=r"^SMFS_DB names no database: ") as refused:
        as_database(text, "SMFS_DB")
    assert "geheim" not in str(refused.value)
    with pytest.raises(click.BadParameter) as wrong:
        as_named(text)
    assert "geheim" not in wrong.value.format_message()


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgres", "Postgresql", "POSTGRES", " postgres"]
)
def test_a_scheme_is_known_however_it_is_written(scheme: str) -> None:
    """To libpq itself there is the one of small letters only."""
    rest = "://Smfs:Geheim@Db/Smfs?sslmode=require"
    assert as_database(f"{scheme}{rest}\n") == scheme.strip().lower() + rest


@pytest.mark.parametrize(
    "text",
    [
        "service.db",
        "/srv/host=h password=x",
        "./password=x",
        "../a:b@c",
        "a@b/c.db",
        "a=b",
        "/a:b@c",
    ],
)
def test_any_other_name_is_a_path(text: str) -> None:
    """With a directory before it, whatever it is."""
    assert as_database(text) == Path(text)


@pytest.mark.parametrize("words", ["serve", "serve --workers 2", "serve --print-unit"])
def test_nothing_is_served_instead(program: Program, words: str) -> None:
    """Whoever says so: the environment, as `docker --env-file` fills it, or a file."""
    file = program.home / "db"
    file.write_text(f"SMFS_DB={URL}\n")
    file.chmod(0o600)
    arguments = (*words.split(), "--listen", "127.0.0.1:0")

    by_environment = program(*arguments, SMFS_DB=f'"{URL}"')
    by_file = program(*arguments, "--db-file", file)

    for outcome, source in ((by_environment, "SMFS_DB"), (by_file, f"the first line of {file}")):
        assert (outcome.code, outcome.out) == (2, b"")
        assert outcome.err.startswith(f"smfs: {source} names no database: ")
        assert "geheim" not in outcome.err
    assert list(program.home.iterdir()) == [file]


@pytest.mark.parametrize("words", ["migrate --db", "check --db", "copy x.db", "backup x.db --db"])
def test_no_command_takes_it_for_a_path(program: Program, words: str) -> None:
    """An argument neither."""
    outcome = program("service", *words.split(), f'"{URL}"')
    assert (outcome.code, outcome.out) == (2, b"")
    assert "names no database" in outcome.err
    assert "geheim" not in outcome.err
    assert list(program.home.iterdir()) == []


@pytest.mark.parametrize("variable", ["SMFS_DB", "SMFS_DB_FILE"])
def test_a_variable_that_is_empty_is_refused(program: Program, variable: str) -> None:
    """Else the embedded database would be worked on, unless something else is named."""
    program.environment[variable] = ""
    outcome = program("service", "migrate")
    assert (outcome.code, outcome.out) == (2, b"")
    assert outcome.err.startswith(f"smfs: {variable} is empty; ")
    program.must("service", "migrate", "--db", "x.db")


def test_what_was_copied_is_told_with_its_place(program: Program, postgres_url: str) -> None:
    """The embedded database, too, which nobody has named; a URL without what is secret."""
    program.must("service", "migrate")
    embedded = program.home / "data" / "smfs" / "service.db"
    secret = postgres_url.replace("smfs@", "smfs:geheim@", 1)
    shown = postgres_url.replace("smfs@", "", 1)

    told = program.must("service", "backup", "one.db")
    assert re.fullmatch(rf"0 spaces, \d+ rows, \d+ bytes from {embedded} to one.db", told)
    done = program("service", "restore", "one.db", SMFS_DB=secret)
    assert done.text.endswith(f" bytes from one.db to {shown}")
    told = program.must("service", "copy", secret, "two.db", "--json")
    assert json.loads(told).keys() == {"spaces", "rows", "bytes", "source", "target"}
    assert (json.loads(told)["source"], json.loads(told)["target"]) == (shown, "two.db")
    assert "geheim" not in done.text + done.err + told


@pytest.mark.parametrize(
    "words",
    ["check", "stats", "backup x.db", "authcode create", "authcode list", "authcode revoke --all"],
)
def test_where_no_database_is_the_option_is_named(program: Program, words: str) -> None:
    """Whoever forgets it would look for a database that the service has never had."""
    outcome = program("service", *words.split())
    assert outcome.code == 2
    path = program.home / "data" / "smfs" / "service.db"
    assert outcome.err.startswith(f"smfs: there is no database {path}, ")
    assert "--db or SMFS_DB" in outcome.err
    assert len(outcome.err.splitlines()) == 1
