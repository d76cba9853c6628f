"""The extended attributes of secrets (the design, section 2.2): answered, never listed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

import anyio

from smfs.client.view import Version, View
from smfs.errors import NoAttribute

_PREFIX: Final = "user.smfs."


def extended(name: str, version: Version | None, view: View, state: str) -> bytes:
    """The value of `user.smfs.<...>`.

    Args:
        name: of the attribute.
        version: the newest known version; None when there is none on the service.
        view: what it is a version of.
        state: `clean` or `dirty`.

    Raises:
        NoAttribute: when there is none of this name, or it says nothing here.
    """
    short = name.removeprefix(_PREFIX)
    if short == name:
        raise NoAttribute(name)
    if short == "state":
        return state.encode()
    if version is None:
        return _unsaved(short, view.node_id)
    if short == "source":
        return view.source.encode()
    if short == "age":
        return _age(version, view).encode()
    answer = _OF_VERSION.get(short)
    value = answer(version) if answer else None
    if value is None:
        raise NoAttribute(name)
    return value.encode()


def _unsaved(short: str, own_id: str) -> bytes:
    if short == "node":
        return own_id.encode()
    raise NoAttribute(short)


def _verified(version: Version) -> str | None:
    if version.problem is not None:
        return None
    return "yes" if version.sender else "unsigned"


def _signed_at(version: Version) -> str | None:
    if version.signed_at is None:
        return None
    moment = datetime.fromtimestamp(version.signed_at / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _age(version: Version, view: View) -> str:
    age = view.age()
    if age is None:
        age = max(0.0, anyio.current_time() - version.checked_at)
    return str(int(age))


_OF_VERSION: Final[Mapping[str, Callable[[Version], str | None]]] = {
    "node": lambda version: version.sender,
    "verified": _verified,
    "signed-at": _signed_at,
    "one-time": lambda version: "yes" if version.one_time else "no",
}
