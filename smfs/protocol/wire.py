"""How a request is written as JSON and read from it (PROTOCOL.md sections 2 and 4)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar, get_type_hints

from smfs.errors import BadRequest
from smfs.protocol.fields import Check, Hex64, Hex128, Number

R = TypeVar("R", bound="Request")


@dataclass(frozen=True)
class WireField:
    """One field of a request: its attribute here, its key on the wire, and its type's check."""

    attribute: str
    name: str
    check: Check


_DECLARED: Final[dict[type[Request], tuple[WireField, ...]]] = {}


class Request:
    """A request; the fields of each subclass are the keys of its body, in wire order."""

    @classmethod
    def route(cls) -> str:
        """The route's name as `getSecret`."""
        return cls.__name__[0].lower() + cls.__name__[1:]

    @classmethod
    def path(cls) -> str:
        """The route as it stands in a URL and in the signed text: `/getSecret`."""
        return f"/{cls.route()}"

    def to_wire(self) -> dict[str, Any]:
        """The body as a JSON object, its keys in wire order."""
        return {f.name: getattr(self, f.attribute) for f in wire_fields(type(self))}

    def __repr__(self) -> str:
        # Bodies carry signatures, auth codes and ciphertexts: none of them belongs into a log.
        return f"<{type(self).__name__}>"


class SignedRequest(Request):
    """A request that is signed by its `public_key`."""

    public_key: Hex64
    timestamp: Number
    signature: Hex128
    nonce: Number

    def payload(self) -> dict[str, Any]:
        """The body without its signature, which is what gets signed (PROTOCOL.md section 4)."""
        wire = self.to_wire()
        del wire["signature"]
        return wire

    def with_signature(self, signature: str) -> Self:
        """The same request under another signature (128 hex digits)."""
        return dataclasses.replace(self, signature=signature)  # type: ignore[type-var]


def wire_fields(request_type: type[Request]) -> tuple[WireField, ...]:
    """The fields of a type of request in wire order."""
    if request_type not in _DECLARED:
        _DECLARED[request_type] = _declared_fields(request_type)
    return _DECLARED[request_type]


def _declared_fields(request_type: type[Request]) -> tuple[WireField, ...]:
    hints = get_type_hints(request_type, include_extras=True)
    return tuple(
        WireField(field.name, _wire_name(field.name), hints[field.name].__metadata__[0])
        for field in dataclasses.fields(request_type)  # type: ignore[arg-type]
    )


def parse(request_type: type[R], body: Any) -> R:
    """The request that a decoded JSON body holds.

    Args:
        request_type: one of the route table.
        body: what `canonical.decode` gave: an object, or an array, which counts as an object whose
            keys are the indices.

    Raises:
        BadRequest: with the original's words, checked in its order: the number of keys, their
            names in wire order, their types (PROTOCOL.md section 2).
    """
    expected = wire_fields(request_type)
    members = _members(body, len(expected))
    _check_names(expected, list(members))
    for field in expected:
        if reason := field.check(members[field.name]):
            raise BadRequest(f"Error: unexpected format of parameter {field.name} - {reason}")
    return request_type(**{field.attribute: members[field.name] for field in expected})


def _members(body: Any, expected: int) -> dict[str, Any]:
    # Counted first: a body of a million elements is refused before it is looked at.
    if not isinstance(body, dict | list):
        raise BadRequest("Bad Request")
    if len(body) != expected:
        raise BadRequest(
            "Error: The Number of parameters in the body, did not match the expected number. "
            f"{expected} vs {len(body)}"
        )
    if isinstance(body, list):
        return {str(index): value for index, value in enumerate(body)}
    return body


def _check_names(expected: tuple[WireField, ...], found: list[str]) -> None:
    for index, (field, name) in enumerate(zip(expected, found, strict=True)):
        if field.name != name:
            raise BadRequest(
                f"Error: parameter @ index: {index} had wrong key! "
                f"expected: '{field.name}'  detected: '{name}'"
            )


def _wire_name(attribute: str) -> str:
    first, *rest = attribute.split("_")
    return first + "".join("URL" if word == "url" else word.capitalize() for word in rest)
