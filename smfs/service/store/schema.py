"""The one schema and the steps to it, in the words of each engine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import Final

from smfs.errors import ConfigError

LATEST: Final = 4
"""The version of `schema.sql`."""

_COMMENT: Final = re.compile(r"--.*$", re.MULTILINE)
_POSTGRES: Final = {
    "BLOB": "BYTEA",
    "INTEGER": "BIGINT",
    "REAL": "DOUBLE PRECISION",
    ") STRICT, WITHOUT ROWID": ")",
    ") STRICT": ")",
    "x''": "''",
}
_WORD: Final = re.compile("|".join(map(re.escape, _POSTGRES)))


def statements(name: str, *, postgres: bool = False) -> Iterator[str]:
    """The statements of a script of this package, one after the other."""
    text = resources.files("smfs.service.store").joinpath(name).read_text("utf-8")
    text = _COMMENT.sub("", text)
    if postgres:
        text = _WORD.sub(lambda found: _POSTGRES[found[0]], text)
    return (statement.strip() for statement in text.split(";") if statement.strip())


def steps(version: int) -> list[str]:
    """The scripts from a version to the latest one."""
    return [f"migrations/{number}.sql" for number in range(version + 1, LATEST + 1)]


def check(version: int, name: str) -> None:
    """Raises ConfigError for a database that is newer than this program, or older than it takes."""
    if version > LATEST:
        raise ConfigError(
            f"the database {name} is of version {version}, this program knows {LATEST}: update smfs"
        )


def must_be_current(version: int | None, name: str) -> None:
    """Raises ConfigError unless a schema is of this program's version."""
    if version is None:
        raise ConfigError(f"{name} has no tables of smfs yet: run smfs service migrate")
    check(version, name)
    if version < LATEST:
        raise ConfigError(
            f"the database {name} is of version {version}, this program needs {LATEST}:"
            " run smfs service migrate"
        )
