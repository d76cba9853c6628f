"""A database made, or brought up to date."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smfs.service.store import is_url, schema


@dataclass(frozen=True)
class Migrated:
    """From where to where.

    Attributes:
        before: the version that was there; None for none.
        after: the version that is there now.
    """

    before: int | None
    after: int = schema.LATEST


def migrate(place: Path | str, *, is_trial: bool = False) -> Migrated:
    """Makes the tables, or brings them up to date; all of it or nothing.

    Args:
        place: a file or a URL.
        is_trial: whether nothing is to be changed.

    Raises:
        ConfigError: when it cannot be used, or is newer than this program.
        ServiceUnavailable: when it cannot be reached, or somebody keeps it locked.
        StoreFailed: when it is broken, or full.
    """
    if is_url(place):
        from smfs.service.admin import postgres

        before = postgres.migrate(str(place), is_trial=is_trial)
    else:
        from smfs.service.admin import sqlite

        before = sqlite.migrate(Path(place), is_trial=is_trial)
    return Migrated(before)
