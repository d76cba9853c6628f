"""What a service of ours says of itself at `/.well-known/smfs` (docs/additions.md)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from smfs.crypto.identity import is_node_id
from smfs.errors import MalformedData

PATH: Final = "/.well-known/smfs"
"""Where a client asks, by GET; a service that answers 404 is an original."""

REVISION_HEADER: Final = "smfs-revision"
"""The header of a write's answer that carries the revision which the write was given."""

RECEIPT_HEADER: Final = "smfs-receipt"
"""The header of an answer that tells which request it answers."""

RECEIPT: Final = "receipt"
"""The feature of a service that has this header."""

VERSION: Final = 1
FEATURES: Final = ("checkShare", "revision", "getChanges", "repeatSecretFrom", RECEIPT)


def receipt_of(signature: str) -> str:
    """What the answer to a request is known by: the first half of the request's signature."""
    return signature[: len(signature) // 2]


@dataclass(frozen=True)
class Discovery:
    """What a service says of itself.

    Attributes:
        node_id: the service's node id.
        content_bytes: the most bytes of content that one secret may have.
        body_bytes: the largest body of a request.
        features: the additions that it has, by name.
        time: its clock, ms since 1970.
    """

    node_id: str
    content_bytes: int
    body_bytes: int
    features: tuple[str, ...]
    time: int

    def to_wire(self) -> dict[str, Any]:
        """The JSON object in wire order."""
        return {
            "smfs": VERSION,
            "nodeId": self.node_id,
            "limits": {"contentBytes": self.content_bytes, "bodyBytes": self.body_bytes},
            "features": list(self.features),
            "time": self.time,
        }

    @classmethod
    def parse(cls, value: Any) -> Discovery:
        """The description in a decoded JSON value; unknown further keys are for later versions.

        Raises:
            MalformedData: when it is of another form or version.
        """
        match value:
            case {
                "smfs": version,
                "nodeId": str(node_id),
                "limits": {"contentBytes": int(content), "bodyBytes": int(body)},
                "features": list(features),
                "time": int(time),
            } if (
                _are_counts(version, content, body, time)
                and version == VERSION
                and is_node_id(node_id)
            ):
                names = tuple(name for name in features if isinstance(name, str))
                return cls(node_id, content, body, names, time)
        raise MalformedData("the service's description of itself is not of its form")


def _are_counts(*values: object) -> bool:
    # In Python a bool is an int.
    return all(type(value) is int and value > 0 for value in values)
