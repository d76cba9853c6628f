"""Which database a command of the service works on: `--db`, `--db-file`, or the environment.

A URL may hold a password. Whoever may list processes sees command lines, so there are two ways
around one: a variable of the environment, and a file that nobody else can read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from click.core import ParameterSource

from smfs.cli.options import current_settings
from smfs.errors import ConfigError

VARIABLE: Final = "SMFS_DB"
"""The variable of the environment that names the database."""

FILE_VARIABLE: Final = "SMFS_DB_FILE"
"""The one that names a file that names the database."""

SHOWN_TO_ALL: Final = (
    "the password in the URL is seen by all who may list processes: use SMFS_DB or --db-file"
)
"""What is said where a command line shows one."""

_URL: Final = re.compile(r"(postgres(?:ql)?://)(.*)", re.IGNORECASE | re.DOTALL)
_PATH: Final = re.compile(r"\.{0,2}/(?!/)")  # whatever comes behind, this is one
# A URL or a connection string that went wrong on its way here. As a path it would be a new, empty
# database, whose name everybody is told, with the password in it.
_NO_PATH: Final = re.compile(
    r"""["'`]|postgres\w*:|.*(://|:.*@|\bSMFS_DB(_FILE)?=|password\s*=)"""
    r"""|(.*\s)?(host|hostaddr|port|dbname|user|service)\s*=""",
    re.IGNORECASE | re.DOTALL,
)
_LONGEST: Final = 4096  # bytes of the first line
_KEY: Final = "smfs.database"
_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class NamedDatabase:
    """A database as somebody named it.

    Attributes:
        where: the path of an SQLite file, or the URL of a PostgreSQL database.
        file: the file that said so.
        is_listed: whether the command line says so, where everybody sees it.
    """

    where: Path | str
    file: Path | None = None
    is_listed: bool = False

    @property
    def shows_password(self) -> bool:
        """Whether everybody who may list processes sees a password."""
        return self.is_listed and isinstance(self.where, str) and _has_password(self.where)


def as_database(text: str, source: str = "--db") -> Path | str:
    """A URL, its scheme as libpq takes it, or a path.

    Args:
        text: what names the database; white space around it does not count.
        source: who says so, for a person.

    Raises:
        ConfigError: when it is neither; what it is instead is not told, for it may be a password.
    """
    name = text.strip()
    if url := _URL.fullmatch(name):
        return url[1].lower() + url[2]
    if not name or (_NO_PATH.match(name) and not _PATH.match(name)):
        raise ConfigError(
            f"{source} names no database: it is to be the path of a file (one with an odd name: "
            "./NAME), or postgresql://USER@HOST/NAME without quotes around it"
        )
    return Path(name)


def shown_database(where: Path | str) -> str:
    """A path or URL for a person: without the user, the password and the parameters of a URL."""
    if isinstance(where, Path):
        return str(where)
    scheme, _, rest = where.partition("://")
    # Behind the last `@`: a password that somebody forgot to quote may hold any character.
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def _has_password(url: str) -> bool:
    rest = url.partition("://")[2]
    user, at, _ = rest.rpartition("@")
    return bool(at and ":" in user) or "password=" in rest


def database_options(command: _Command) -> _Command:
    """`--db PATH|URL` and `--db-file FILE`; `current_database` tells what they name."""
    named = click.option(
        "--db",
        metavar="PATH|URL",
        envvar=VARIABLE,
        expose_value=False,
        callback=_remember,
        help="The database: a file, or postgresql://…; without it, that of the embedded service.",
    )
    from_file = click.option(
        "--db-file",
        metavar="FILE",
        envvar=FILE_VARIABLE,
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_remember,
        help="A file whose first line names the database; nobody else may read it.",
    )
    return named(from_file(command))


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        source = context.get_parameter_source(parameter.name or "")
        context.meta.setdefault(_KEY, {})[parameter.name] = (value, source)


def current_database() -> NamedDatabase | None:
    """What the command that runs names; the command line overrules the environment.

    Raises:
        click.UsageError: when both options are given in the same way.
        ConfigError: when the file cannot be used, or what is named is no database.
    """
    found = click.get_current_context().meta.get(_KEY, {})
    listed = {name: of for name, of in found.items() if of[1] is ParameterSource.COMMANDLINE}
    chosen = listed or found
    if len(chosen) > 1:
        raise click.UsageError("--db and --db-file exclude each other")
    if "db_file" in chosen:
        path: Path = chosen["db_file"][0].absolute()
        return NamedDatabase(as_database(_first_line(path), f"the first line of {path}"), file=path)
    if "db" in chosen:
        source = "--db" if listed else VARIABLE
        return NamedDatabase(as_database(chosen["db"][0], source), is_listed=bool(listed))
    for variable in (VARIABLE, FILE_VARIABLE):
        # Whoever sets it means a database of his own, and not the one that there is without it.
        if variable in os.environ:
            raise ConfigError(f"{variable} is empty; it is to name the database, or not to be set")
    return None


def current_place() -> Path | str:
    """The database of the command that runs: the one that is named, else the embedded service's.

    A password that the command line shows is told on standard error; else as `current_database`.
    """
    named = current_database()
    if named is None:
        return current_settings().directories.database
    if named.shows_password:
        click.echo(f"smfs: {SHOWN_TO_ALL}", err=True)
    return named.where


def existing_place() -> Path | str:
    """As `current_place`, for a command that makes no database.

    Raises:
        ConfigError: also when none is named, and there is no embedded service.
    """
    place = current_place()
    if current_database() is None and not os.path.lexists(place):
        raise ConfigError(
            f"there is no database {place}, where the embedded service would have it; "
            f"--db or {VARIABLE} names another"
        )
    return place


def as_named(text: str) -> NamedDatabase:
    """A database that an argument names, as click converts it."""
    try:
        return NamedDatabase(as_database(text, "it"), is_listed=True)
    except ConfigError as error:
        # click would take it for a ValueError, and show what was given.
        raise click.BadParameter(str(error)) from None


def _first_line(path: Path) -> str:
    try:
        # Not to wait for a writer of a FIFO.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            _check_private(path, os.fstat(descriptor))
            line = file.readline(_LONGEST).decode().strip()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no UTF-8 text") from None
    if not line:
        raise ConfigError(f"the first line of {path} is empty; it is to name the database")
    return line


def _check_private(path: Path, found: os.stat_result) -> None:
    """Refuses (ConfigError) a file that others can read; one of root may be open to a group."""
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path} is no file")
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigError(f"{path} belongs to somebody else")
    if found.st_mode & (0o027 if found.st_uid == 0 else 0o077):
        raise ConfigError(f"others can read or change {path} (`chmod 600` it)")
