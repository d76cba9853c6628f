"""`migrate` makes, upgrades, waits for nobody for long, and changes nothing twice."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from smfs.errors import ConfigError, ServiceBusy, ServiceUnavailable
from smfs.service.admin.database import reading
from smfs.service.admin.migrating import Migrated, migrate
from smfs.service.store import is_url, schema
from smfs.service.store.file import APPLICATION_ID
from smfs.service.store.postgres_database import ADVISORY
from tests.service.admin.conftest import Place, contents, plant

SCHEMA_1 = (Path(__file__).parents[1] / "schema_1.sql").read_text()


def test_it_makes_a_database_once(place: Place) -> None:
    """And leaves it as it is from then on."""
    assert migrate(place, is_trial=True) == Migrated(None)
    assert migrate(place) == Migrated(None, schema.LATEST)
    before = contents(place)
    assert migrate(place) == Migrated(schema.LATEST, schema.LATEST)
    assert contents(place) == before
    assert len(before["service"]) == 1


def test_a_trial_makes_nothing(place: Place) -> None:
    """Neither a file nor a table."""
    migrate(place, is_trial=True)
    with pytest.raises(ConfigError, match=r"no database|no tables"), reading(place):
        pass


def test_an_old_file_is_brought_up_to_date(tmp_path: Path) -> None:
    """From its version, which a trial tells without a change."""
    place = tmp_path / "old.db"
    place.touch(0o600)
    with closing(sqlite3.connect(place)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.executescript(SCHEMA_1)
        connection.execute("INSERT INTO service VALUES (1, 1, ?, ?)", (bytes(16), bytes(32)))
        connection.commit()

    with pytest.raises(ConfigError, match=r"of version 1.*smfs service migrate"), reading(place):
        pass
    for _ in range(2):
        assert migrate(place, is_trial=True) == Migrated(1)
    assert migrate(place) == Migrated(1)
    assert migrate(place) == Migrated(schema.LATEST)
    assert contents(place)["service"] == [(1, schema.LATEST, bytes(16), bytes(32))]


@pytest.mark.parametrize("is_trial", [True, False])
def test_a_newer_one_is_refused(place: Place, *, is_trial: bool) -> None:
    """This program does not know what it is like."""
    migrate(place)
    plant(place, "UPDATE service SET schema = 99")
    with pytest.raises(ConfigError, match="version 99"):
        migrate(place, is_trial=is_trial)


def test_who_cannot_lock_it_gives_up(place: Place) -> None:
    """After a few seconds, with nothing done."""
    if is_url(place):
        with psycopg.connect(str(place)) as other:
            other.execute(f"SELECT pg_advisory_lock({ADVISORY})")
            with pytest.raises(ServiceBusy, match="locked"):
                migrate(place)
        return
    migrate(place)
    with closing(sqlite3.connect(place, isolation_level=None)) as file:
        file.execute("BEGIN IMMEDIATE")
        with pytest.raises(ServiceBusy, match="locked"):
            migrate(place)


def test_a_server_that_is_not_there_is_unreachable() -> None:
    """And its password is not told."""
    with pytest.raises(ServiceUnavailable) as caught:
        migrate("postgresql://smfs:hunter2@127.0.0.1:9/smfs")
    assert "postgresql://127.0.0.1:9/smfs" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("password", ["hun@ter2", "hun/ter2", "hun?ter2", "hun%zzter2"])
def test_a_password_that_breaks_the_url_is_not_told(password: str) -> None:
    """Though its parts would be taken for a host, a port or a name."""
    with pytest.raises((ConfigError, ServiceUnavailable)) as caught:
        migrate(f"postgresql://smfs:{password}@127.0.0.1:9/smfs")
    assert "hun" not in str(caught.value)
    assert "ter2" not in str(caught.value)
