"""The bytes of a record and of a header, as a cache seals them.

The small parts are a JSON array with its length in front; the ciphertext follows as it is.
"""

from __future__ import annotations

import json
from operator import contains
from typing import Any, Final, TypeAlias

from smfs.client.records import Header, NodePlace, NodeRecord, Place, Record, SecretRecord, Tally
from smfs.crypto import wtf8
from smfs.crypto.box import Box
from smfs.errors import MalformedData

_NODE: Final = "node"
_OF_SECRET: Final = b"secret"
_LENGTH_BYTES: Final = 4
_POINT_BYTES: Final = 32

_Kinds: TypeAlias = frozenset[type]


def _of(*kinds: type) -> _Kinds:
    return frozenset(kinds)


_NONE: Final = type(None)
_MOMENT: Final = (int, float)
_SECRET_FORM: Final[tuple[_Kinds, ...]] = (
    _of(str),  # from_id
    _of(str),  # secret_id
    _of(int, _NONE),  # revision
    _of(bool),  # one_time
    _of(str, _NONE),  # token
    _of(int, _NONE),  # size
    _of(str, _NONE),  # sender
    _of(int, _NONE),  # signed_at
    _of(*_MOMENT),  # changed_at
)
_NODE_FORM: Final[tuple[_Kinds, ...]] = (
    _of(str),  # what tells it from a secret
    _of(str),  # role
    _of(str),  # node_id
    _of(*_MOMENT, _NONE),  # closure_date
)
_HEADER_FORM: Final[tuple[_Kinds, ...]] = (
    _of(str),  # feed
    _of(int),  # revision
    _of(*_MOMENT),  # confirmed_at
    _of(str),  # service
    _of(dict, _NONE),  # discovery
    _of(int),  # rows
    _of(int),  # box_bytes
    _of(str),  # total
)

_write_json: Final = json.JSONEncoder(separators=(",", ":")).encode
_read_json: Final = json.JSONDecoder().raw_decode


def place_parts(place: Place) -> tuple[bytes, ...]:
    """What names a record: no two places have the same."""
    if isinstance(place, NodePlace):
        return _NODE.encode(), place.role.encode(), place.node_id.encode()
    return _OF_SECRET, place.from_id.encode(), wtf8.encode(place.secret_id)


def encode_record(record: Record) -> bytes:
    """The bytes of a record; the hex of a box is kept without its case."""
    if isinstance(record, NodeRecord):
        return _parts([_NODE, record.role, record.node_id, record.closure_date])
    small = [
        record.from_id,
        record.secret_id,
        record.revision,
        record.one_time,
        record.token,
        record.size,
        record.sender,
        record.signed_at,
        record.changed_at,
    ]
    return _parts(small, b"" if record.box is None else _box_bytes(record.box))


def decode_record(data: bytes) -> Record:
    """The record in these bytes.

    Raises:
        MalformedData: when `encode_record` did not write them.
    """
    small, large = _split(data)
    if _is_of(_SECRET_FORM, small):
        return _secret(small, large)
    if _is_of(_NODE_FORM, small) and small[0] == _NODE:
        return NodeRecord(*small[1:])
    raise MalformedData("a cached record is not of its form")


def encode_header(header: Header, tally: Tally) -> bytes:
    """The bytes of a header, with what the rows that it stands for come to."""
    return _parts(
        [
            header.feed,
            header.revision,
            header.confirmed_at,
            header.service,
            header.discovery,
            tally.rows,
            tally.box_bytes,
            f"{tally.total:x}",
        ]
    )


def decode_header(data: bytes) -> tuple[Header, Tally]:
    """The header in these bytes, and what its rows come to.

    Raises:
        MalformedData: when `encode_header` did not write them.
    """
    small, _ = _split(data)
    if not _is_of(_HEADER_FORM, small):
        raise MalformedData("a cache's header is not of its form")
    *fields, rows, box_bytes, total = small
    try:
        return Header(*fields), Tally(rows, box_bytes, int(total, 16))
    except ValueError:
        raise MalformedData("a cache's sum is no number") from None


def box_size(record: Record) -> int:
    """How many bytes of ciphertext a record holds."""
    if isinstance(record, NodeRecord) or record.box is None:
        return 0
    return _POINT_BYTES + len(record.box.encrypted_content_hex) // 2


def _parts(small: list[Any], large: bytes = b"") -> bytes:
    text = _write_json(small).encode()
    return len(text).to_bytes(_LENGTH_BYTES, "big") + text + large


def _split(data: bytes) -> tuple[Any, bytes]:
    end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
    if len(data) < end:
        raise MalformedData("a cached record is cut off")
    try:
        small, _ = _read_json(data[_LENGTH_BYTES:end].decode("ascii"))
    except (ValueError, RecursionError):
        raise MalformedData("a cached record is no JSON") from None
    return small, data[end:]


def _is_of(form: tuple[_Kinds, ...], small: Any) -> bool:
    if type(small) is not list or len(small) != len(form):
        return False
    return all(map(contains, form, map(type, small)))


def _secret(small: list[Any], large: bytes) -> SecretRecord:
    from_id, secret_id, revision, one_time, *others = small
    box = _box(large) if large else None
    return SecretRecord(from_id, secret_id, revision, one_time, box, *others)


def _box_bytes(box: Box) -> bytes:
    return bytes.fromhex(box.reference_point_hex) + bytes.fromhex(box.encrypted_content_hex)


def _box(data: bytes) -> Box:
    if len(data) < _POINT_BYTES:
        raise MalformedData("a cached box is cut off")
    return Box(data[:_POINT_BYTES].hex(), data[_POINT_BYTES:].hex())
