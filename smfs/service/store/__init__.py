"""Where the service keeps everything: one interface, one schema, two engines."""

from __future__ import annotations

from pathlib import Path

from smfs.service.store.base import Signature, Store, Transaction, Undone

__all__ = ["Signature", "Store", "Transaction", "Undone", "is_url", "store_at"]

_SCHEMES = ("postgresql://", "postgres://")


def is_url(place: Path | str) -> bool:
    """Whether a place is the URL of a PostgreSQL database, and not the path of a file."""
    return isinstance(place, str) and place.startswith(_SCHEMES)


def store_at(place: Path | str, *, notify: bool = True) -> Store:
    """The store at a place; it is not opened yet.

    Args:
        place: the path of a SQLite file, or a URL that libpq understands.
        notify: PostgreSQL: whether replicas tell each other by LISTEN and NOTIFY; else they poll.
    """
    # Imported only where it is used: a mount needs one of them, and at once.
    if isinstance(place, str) and is_url(place):
        from smfs.service.store.postgres import PostgresStore

        return PostgresStore(place, notify=notify)
    from smfs.service.store.sqlite import SqliteStore

    return SqliteStore(Path(place))
