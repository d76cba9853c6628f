"""A PostgreSQL database: how it is reached, made and brought up to date."""

from __future__ import annotations

import logging
import re
import secrets
from typing import Any, Final

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from smfs.crypto.identity import Identity
from smfs.errors import ConfigError
from smfs.service.store import schema

_log: Final = logging.getLogger(__name__)

_FIRST: Final = 3
ADVISORY: Final = 0x736D6673  # "smfs"
"""The advisory lock that whoever migrates holds."""

_DEFAULTS: Final = {
    "application_name": "smfs",
    "connect_timeout": "3",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "8000",
}
# No statement_timeout: it would also end a commit's wait for the standby, with success.
_SETTINGS: Final = "-c lock_timeout=6s -c idle_in_transaction_session_timeout=15s"


def complete(url: str) -> str:
    """What libpq is given: the URL, and what keeps anything from hanging.

    Raises:
        ConfigError: when it is none.
    """
    if _may_show_password(url):
        raise ConfigError("`@`, `/` and `?` in a password are %40, %2F and %3F in a URL")
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:
        # The words of libpq may quote a password.
        raise ConfigError("the URL of the database is not one that PostgreSQL knows") from None
    options = f"{_SETTINGS} {given.pop('options', '') or ''}".strip()
    if "," in str(given.get("host", "")):
        given.setdefault("target_session_attrs", "read-write")
    settings: dict[str, Any] = {**_DEFAULTS, **given, "options": options}
    return make_conninfo(**settings)


def _may_show_password(url: str) -> bool:
    """Whether libpq would take a part of the password for a host, a port or a name."""
    authority = re.split("[/?]", url.partition("://")[2], maxsplit=1)[0]
    return url.count("@") > authority.count("@") or authority.count("@") > 1


def shown(conninfo: str) -> str:
    """A database as an operator may be told of it: without a password."""
    given = conninfo_to_dict(conninfo)
    hosts = str(given.get("host", "")).split(",")
    ports = str(given.get("port", "")).split(",")
    if len(ports) != len(hosts):
        ports = ports[:1] * len(hosts)
    places = ",".join(f"{host}:{port}".rstrip(":") for host, port in zip(hosts, ports, strict=True))
    return f"postgresql://{places}/{given.get('dbname', '')}"


def version_of(connection: psycopg.Connection[Any]) -> int | None:
    """The schema of a database; None for one that has none of ours."""
    [found] = connection.execute("SELECT to_regclass('service')").fetchone() or [None]
    if found is None:
        return None
    [version] = connection.execute("SELECT schema FROM service").fetchone() or [0]
    return int(version)


def identity_of(connection: psycopg.Connection[Any], name: str) -> Identity:
    """The service's key.

    Raises:
        ConfigError: when the database is not of this program's version.
    """
    version = version_of(connection)
    schema.must_be_current(version, name)
    [seed] = connection.execute("SELECT seed FROM service").fetchone() or [b""]
    return Identity(seed)


def migrate(url: str, wanted: Identity | None = None) -> tuple[int | None, int]:
    """Makes the tables, or brings them up to date; all of it or nothing. Blocks.

    Args:
        url: of the database.
        wanted: the key that a new database gets; None: a random one.

    Returns:
        the version before (None: there was nothing) and now.

    Raises:
        ConfigError: when the database cannot be reached, or is newer than this program.
    """
    conninfo = complete(url)
    try:
        with psycopg.connect(conninfo) as connection:
            connection.execute("SET LOCAL lock_timeout = 0")
            _try(connection, f"SELECT pg_advisory_xact_lock({ADVISORY})")
            return make_or_upgrade(connection, shown(conninfo), wanted)
    except psycopg.Error as error:
        reason = str(error).strip().partition("\n")[0]
        raise ConfigError(f"cannot use the database {shown(conninfo)}: {reason}") from None


def make_or_upgrade(
    connection: psycopg.Connection[Any], name: str, wanted: Identity | None
) -> tuple[int | None, int]:
    """As `migrate`, in a transaction of the caller's, who holds the lock (`ADVISORY`)."""
    before = version_of(connection)
    if before is None:
        for script in ("schema.sql", "postgres.sql"):
            _run(connection, script)
        seed = bytes.fromhex((wanted or Identity.generate()).secret_key_hex)
        connection.execute(
            "INSERT INTO service VALUES (1, %s, %s, %s)",
            (schema.LATEST, secrets.token_bytes(16), seed),
        )
        for statement in schema.statements("postgres_tuning.sql", postgres=True):
            _try(connection, statement)
        return None, schema.LATEST
    schema.check(before, name)
    if before < _FIRST:
        raise ConfigError(f"the database {name} is of version {before}, which never was one")
    for script in schema.steps(before):
        _run(connection, script)
    return before, schema.LATEST


def _try(connection: psycopg.Connection[Any], statement: str) -> None:
    """Carries out what an engine that only speaks as PostgreSQL does may not know."""
    try:
        with connection.transaction():
            connection.execute(statement.encode())
    except (errors.FeatureNotSupported, errors.SyntaxError, errors.UndefinedFunction) as error:
        _log.info("the database cannot do what would be of use: %s", type(error).__name__)


def _run(connection: psycopg.Connection[Any], script: str) -> None:
    for statement in schema.statements(script, postgres=True):
        connection.execute(statement.encode())
