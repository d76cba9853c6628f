"""The operator's auth codes, each of which works once (PROTOCOL.md section 6)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from smfs.errors import InvalidInput
from smfs.protocol import canonical
from smfs.protocol.requests import GetNodeId, OpenSecretSpace
from smfs.service.admin.database import Database, reading, writing
from smfs.service.admission_rows import AdmissionRows

ACTIONS: Final = (OpenSecretSpace.route(), GetNodeId.route())
"""What a code can be for."""

LONGEST_NOTE: Final = 200

_CODE_BYTES: Final = 32
_DIGITS: Final = 64
_PREFIX: Final = re.compile(r"[0-9a-f]{4,64}")
_TYPES: Final = ("BLOB", "TEXT", "BLOB", "INTEGER", "TEXT")


@dataclass(frozen=True)
class Code:
    """A code that was not used yet; the code itself is nowhere.

    Attributes:
        digest: its SHA-256, 64 hex digits.
        action: what it is for.
        creator: the node that has made it; empty for the operator.
        made: when, ms since 1970; 0 if nobody knows.
        note: the operator's.
    """

    digest: str
    action: str
    creator: str
    made: int
    note: str


def create(place: Path | str, action: str, count: int, note: str, now: int) -> list[str]:
    """Makes codes; nobody will know them but who gets them now.

    Args:
        place: a file or a URL.
        action: one of `ACTIONS`.
        count: how many.
        note: for the list.
        now: ms since 1970.

    Raises:
        InvalidInput: for a note that is too long, or has characters that are not printed.
        ServiceUnavailable, StoreFailed: as `writing`.
    """
    if len(note) > LONGEST_NOTE or not note.isprintable():
        raise InvalidInput(f"a note is one line of at most {LONGEST_NOTE} characters")
    codes = [secrets.token_hex(_CODE_BYTES) for _ in range(count)]
    with writing(place) as database:
        rows = AdmissionRows(database, now)
        for code in codes:
            rows.add_code(code, action, "", note)
    return codes


def listed(place: Path | str) -> Iterator[Code]:
    """The codes that were not used yet."""
    with reading(place) as database:
        query = "SELECT digest, action, creator, made, note FROM auth_codes ORDER BY made, digest"
        for digest, action, creator, made, note in database.stream(query, _TYPES):
            yield Code(digest.hex(), canonical.decode(action), creator.hex(), made, note)


def revoke(place: Path | str, prefixes: Sequence[str]) -> int:
    """Takes codes back: all that are named, or none.

    Args:
        place: a file or a URL.
        prefixes: what their digests begin with, four digits at least.

    Returns:
        how many.

    Raises:
        InvalidInput: when a prefix is none, or not that of exactly one code.
    """
    with writing(place) as database:
        found = {_named(database, prefix.lower()) for prefix in prefixes}
        for digest in found:
            database.execute("DELETE FROM auth_codes WHERE digest = ?", (digest,))
    return len(found)


def revoke_all(place: Path | str) -> int:
    """Takes all codes back, those of nodes too; returns how many."""
    with writing(place) as database:
        return database.execute("DELETE FROM auth_codes").rowcount


def _named(database: Database, prefix: str) -> Any:
    if not _PREFIX.fullmatch(prefix):
        raise InvalidInput(
            f"{prefix!r} is not what a digest begins with, 4 to {_DIGITS} hex digits"
        )
    first, last = (bytes.fromhex(prefix.ljust(_DIGITS, digit)) for digit in "0f")
    rows = database.execute(
        "SELECT digest FROM auth_codes WHERE digest BETWEEN ? AND ? LIMIT 2", (first, last)
    ).fetchall()
    if len(rows) != 1:
        which = "more than one auth code begins" if rows else "no auth code begins"
        raise InvalidInput(f"{which} with {prefix}")
    return rows[0][0]
