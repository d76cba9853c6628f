"""What is true of every row that the service has written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from smfs.crypto import wtf8
from smfs.errors import MalformedData
from smfs.protocol import canonical
from smfs.service.admin.tables import Table
from smfs.service.store.keys import LONGEST, is_shortened, short_key


@dataclass(frozen=True)
class Rule:
    """A rule that the database can check.

    Attributes:
        table: whose rows.
        what: is said of a row that breaks it.
        broken: the condition for that, of a row `t`.
    """

    table: str
    what: str
    broken: str


@dataclass(frozen=True)
class Reading:
    """A rule for which values must be read.

    Attributes:
        table: whose rows.
        what: is said of a row that breaks it.
        columns: which values.
        holds: whether it holds for them.
    """

    table: str
    what: str
    columns: tuple[str, ...]
    holds: Callable[..., bool]


_NODE: Final = (32,)
_SENDER: Final = (0, 32)
_LENGTHS: Final[Mapping[str, Mapping[str, tuple[int, ...]]]] = MappingProxyType(
    {
        "service": {"id": (16,), "seed": (32,)},
        "spaces": {"node_id": _NODE, "owner": _NODE, "feed": (16,)},
        "sub_spaces": {"node_id": _NODE, "from_id": _NODE},
        "secrets": {"node_id": _NODE, "from_id": _SENDER, "point": (32,)},
        "recipients": {"node_id": _NODE, "recipient_id": _NODE},
        "gone": {"node_id": _NODE, "other_id": _SENDER},
        "handed_out": {"node_id": _NODE, "signature": (64,), "from_id": _NODE, "point": (32,)},
        "hooks": {"node_id": _NODE, "hook_id": (16,), "from_id": _SENDER},
        "deliveries": {"node_id": _NODE, "delivery_id": (16,), "hook_id": (16,)},
        "auth_codes": {"digest": (32,), "creator": _SENDER},
        "used_signatures": {"node_id": _NODE, "signature": (64,)},
    }
)

_SECRETS_OF: Final = "FROM secrets AS o WHERE o.node_id = t.node_id"
_SIZES: Final = (
    "coalesce(sum(length(o.secret_id) + coalesce(length(o.long_id), 0) + length(o.content)), 0)"
)
_THE_SECRET: Final = (
    f"(SELECT 1 {_SECRETS_OF} AND o.from_id = t.from_id AND o.secret_id = t.secret_id"
)
_THE_SUB_SPACE: Final = (
    "(SELECT 1 FROM sub_spaces AS o WHERE o.node_id = t.node_id AND o.from_id = t.from_id"
)
_THE_RECIPIENT: Final = (
    "(SELECT 1 FROM recipients AS o WHERE o.node_id = t.from_id AND o.recipient_id = t.node_id"
)
# Of a sub space `t` and its space `s`.
_EARLIER: Final = (
    "CASE WHEN t.closure_date IS NULL THEN s.closure_date"
    " WHEN s.closure_date < t.closure_date THEN s.closure_date ELSE t.closure_date END"
)
_OTHER_DATE: Final = (
    f"{_THE_RECIPIENT} AND NOT EXISTS (SELECT 1 FROM spaces AS s WHERE s.node_id = t.node_id"
    f" AND (o.closure_date = {_EARLIER} OR (o.closure_date IS NULL AND {_EARLIER} IS NULL))))"
)

RULES: Final = (
    Rule("spaces", "floor is above revision", "t.floor > t.revision"),
    Rule("spaces", "hooked is no flag", "t.hooked NOT IN (0, 1, 2, 3)"),
    Rule(
        "spaces",
        "secrets is not how many there are",
        f"t.secrets <> (SELECT count(*) {_SECRETS_OF})",
    ),
    Rule("spaces", "bytes is not what they take", f"t.bytes <> (SELECT {_SIZES} {_SECRETS_OF})"),
    Rule(
        "spaces",
        "remembered is not how many are gone",
        "t.remembered <> (SELECT count(*) FROM gone AS o WHERE o.node_id = t.node_id)",
    ),
    Rule("sub_spaces", "hooked is no flag", "t.hooked NOT IN (0, 1)"),
    Rule("sub_spaces", "its sender does not know it", f"NOT EXISTS {_THE_RECIPIENT})"),
    Rule("sub_spaces", "its sender knows another closure date", f"EXISTS {_OTHER_DATE}"),
    Rule("secrets", "hooked is no flag", "t.hooked NOT IN (0, 1)"),
    Rule("secrets", "one_time is no flag", "t.one_time NOT IN (0, 1)"),
    Rule(
        "secrets",
        "content is no ciphertext",
        "length(t.content) = 0 OR length(t.content) % 16 <> 0",
    ),
    Rule("secrets", "place is above revision", "t.place > t.revision"),
    Rule(
        "secrets", "nobody accepts it", f"length(t.from_id) <> 0 AND NOT EXISTS {_THE_SUB_SPACE})"
    ),
    Rule(
        "recipients",
        "its recipient does not accept the node",
        "NOT EXISTS (SELECT 1 FROM sub_spaces AS o"
        " WHERE o.node_id = t.recipient_id AND o.from_id = t.node_id)",
    ),
    Rule("gone", "kind is none", "t.kind NOT IN (0, 1, 2)"),
    Rule(
        "gone",
        "kind does not fit the rest",
        "CASE WHEN t.kind = 0 THEN t.secret_id IS NULL"
        " ELSE t.secret_id IS NOT NULL OR length(t.other_id) = 0 END",
    ),
    Rule(
        "gone",
        "it should be forgotten",
        "EXISTS (SELECT 1 FROM spaces AS s WHERE s.node_id = t.node_id AND s.floor >= t.revision)",
    ),
    Rule(
        "handed_out",
        "content is no ciphertext",
        "length(t.content) = 0 OR length(t.content) % 16 <> 0",
    ),
    Rule(
        "hooks", "its secret is missing", f"t.secret_id IS NOT NULL AND NOT EXISTS {_THE_SECRET})"
    ),
    Rule("hooks", "its secret is not marked", f"EXISTS {_THE_SECRET} AND o.hooked = 0)"),
    Rule(
        "hooks",
        "its sub space is missing",
        f"t.secret_id IS NULL AND length(t.from_id) <> 0 AND NOT EXISTS {_THE_SUB_SPACE})",
    ),
    Rule(
        "hooks",
        "its sub space is not marked",
        f"t.secret_id IS NULL AND EXISTS {_THE_SUB_SPACE} AND o.hooked = 0)",
    ),
    Rule(
        "hooks",
        "its space is not marked",
        "EXISTS (SELECT 1 FROM spaces AS s WHERE s.node_id = t.node_id AND s.hooked & CASE"
        " WHEN t.secret_id IS NULL AND length(t.from_id) = 0 THEN 2 ELSE 1 END = 0)",
    ),
    Rule("deliveries", "attempts is no number of them", "t.attempts < 0"),
    Rule("locks", "it should not be there", "1 = 1"),
)

REVISIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"secrets": "revision", "sub_spaces": "place", "recipients": "revision", "gone": "revision"}
)
"""The columns that hold revisions of a space, no two of which are the same."""

TWICE: Final = (
    "SELECT t.node_id, t.revision FROM ("
    + " UNION ALL ".join(
        f"SELECT node_id, {column} AS revision FROM {table}" for table, column in REVISIONS.items()
    )
    + ") AS t GROUP BY t.node_id, t.revision HAVING count(*) > 1"
)
"""The revisions that were given more than once."""


def rules_of(table: Table) -> Iterator[Rule]:
    """All rules of a table that the database can check."""
    for column, lengths in _LENGTHS.get(table.name, {}).items():
        allowed = ", ".join(map(str, lengths))
        yield Rule(
            table.name,
            f"{column} has not the length of one",
            f"t.{column} IS NOT NULL AND length(t.{column}) NOT IN ({allowed})",
        )
    for parent in table.parents:
        yield Rule(
            table.name,
            f"it belongs to no row of {parent}",
            f"NOT EXISTS (SELECT 1 FROM {parent} AS o WHERE o.node_id = t.node_id)",
        )
    if table.name in REVISIONS:
        column = REVISIONS[table.name]
        yield Rule(
            table.name,
            f"{column} is above that of its space",
            "EXISTS (SELECT 1 FROM spaces AS s"
            f" WHERE s.node_id = t.node_id AND s.revision < t.{column})",
        )
    yield from (rule for rule in RULES if rule.table == table.name)


def _is_key(key: bytes | None) -> bool:
    """Whether a secret id's key is one, as far as it can be known without the id."""
    if key is None:
        return True
    return len(key) == len(short_key(bytes(LONGEST + 1))) if is_shortened(key) else _is_id(key)


def _is_id(encoded: bytes) -> bool:
    try:
        return bool(wtf8.decode(encoded)) and len(encoded) <= LONGEST
    except MalformedData:
        return False


def _fits(key: bytes | None, long: bytes | None) -> bool:
    """Whether an id's key and the id belong together."""
    if long is None:
        return key is None or not is_shortened(key)
    try:
        wtf8.decode(long)
    except MalformedData:
        return False
    return len(long) > LONGEST and key == short_key(long)


def _is_text(*values: str) -> bool:
    return all(_is_json_of(str, value) for value in values)


def _is_text_or_null(value: str | None) -> bool:
    return value is None or _is_json_of((str, type(None)), value)


def _is_message(body: bytes) -> bool:
    return _is_json_of(dict, body)


def _is_json_of(kind: type | tuple[type, ...], value: str | bytes) -> bool:
    try:
        return isinstance(canonical.decode(value), kind)
    except MalformedData:
        return False


READINGS: Final = (
    *(
        Reading(table, "secret_id is no key of one", ("secret_id",), _is_key)
        for table in ("secrets", "gone", "handed_out", "hooks")
    ),
    *(
        Reading(table, "long_id and secret_id do not fit", ("secret_id", "long_id"), _fits)
        for table in ("secrets", "gone")
    ),
    Reading("hooks", "type or url is no text", ("type", "url"), _is_text),
    Reading("hooks", "last_error is no text", ("last_error",), _is_text_or_null),
    Reading("deliveries", "url is no text", ("url",), _is_text),
    Reading("deliveries", "body is no message", ("body",), _is_message),
    Reading("auth_codes", "action is no text", ("action",), _is_text),
)
"""The rules for which values must be read."""
