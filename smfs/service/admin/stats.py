"""How much there is in a database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from smfs.service.admin.database import Database, reading

_BIGGEST: Final = 10
_ORDERED_BITS: Final = 20  # of a delivery's id below the moment of its making


@dataclass(frozen=True)
class SpaceSize:
    """A space, by its size.

    Attributes:
        node_id: whose.
        secrets: how many it holds.
        content_bytes: what their ids and contents take.
    """

    node_id: str
    secrets: int
    content_bytes: int


@dataclass(frozen=True)
class Stats:
    """How much there is.

    Attributes:
        version: of the schema.
        disk_bytes: what the database takes on disk.
        spaces: how many, those past their closure date included until they are swept.
        secrets: of all spaces.
        content_bytes: what their ids and contents take.
        sub_spaces: how many senders are accepted.
        shares: how many of the secrets are from others.
        hooks: how many.
        deliveries: how many messages to hooks wait.
        oldest_delivery_s: for how long the oldest one does; None when none waits.
        auth_codes: how many were not used yet.
        used_signatures: how many are remembered.
        biggest: the spaces that take the most, the biggest first.
    """

    version: int
    disk_bytes: int
    spaces: int
    secrets: int
    content_bytes: int
    sub_spaces: int
    shares: int
    hooks: int
    deliveries: int
    oldest_delivery_s: float | None
    auth_codes: int
    used_signatures: int
    biggest: list[SpaceSize]


def stats(place: Path | str, now: int) -> Stats:
    """How much there is in a database; it may be in use.

    What secrets there are is read from their spaces, so it costs what the spaces do. Of all else
    the rows are counted, in an index where there is one: `shares` reads that of all secrets.

    Args:
        place: a file or a URL.
        now: ms since 1970.

    Raises:
        ConfigError: when it is missing, none of ours or of another version.
        ServiceUnavailable, StoreFailed: when it cannot be read.
    """
    with reading(place) as database:
        spaces, secrets, content_bytes = database.execute(
            "SELECT count(*), CAST(coalesce(sum(secrets), 0) AS BIGINT),"
            " CAST(coalesce(sum(bytes), 0) AS BIGINT) FROM spaces"
        ).fetchone()
        return Stats(
            version=database.value("SELECT schema FROM service"),
            disk_bytes=database.size(),
            spaces=spaces,
            secrets=secrets,
            content_bytes=content_bytes,
            sub_spaces=_count(database, "sub_spaces"),
            shares=_count(database, "secrets WHERE length(from_id) <> 0"),
            hooks=_count(database, "hooks"),
            deliveries=_count(database, "deliveries"),
            oldest_delivery_s=_oldest_delivery(database, now),
            auth_codes=_count(database, "auth_codes"),
            used_signatures=_count(database, "used_signatures"),
            biggest=_biggest(database),
        )


def _count(database: Database, rows: str) -> int:
    return int(database.value(f"SELECT count(*) FROM {rows}"))


def _oldest_delivery(database: Database, now: int) -> float | None:
    found = database.execute(
        "SELECT delivery_id FROM deliveries ORDER BY delivery_id LIMIT 1"
    ).fetchone()
    if found is None:
        return None
    made = int.from_bytes(found[0][:8], "big") >> _ORDERED_BITS
    return max(0, now - made) / 1000


def _biggest(database: Database) -> list[SpaceSize]:
    rows = database.execute(
        f"SELECT node_id, secrets, bytes FROM spaces ORDER BY bytes DESC, node_id LIMIT {_BIGGEST}"
    ).fetchall()
    return [SpaceSize(node.hex(), secrets, size) for node, secrets, size in rows]
