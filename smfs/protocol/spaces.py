"""The shapes of secret spaces and sub spaces as JSON (PROTOCOL.md section 11), read and built."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smfs.crypto.box import Box, box_from_json
from smfs.crypto.identity import is_node_id
from smfs.errors import MalformedData


@dataclass(frozen=True)
class StoredSecret:
    """One stored secret.

    Attributes:
        box: the service-layer box, or None when what was listed is no box.
        is_one_time: whether getSecretFrom hands it out only once.
        notification_hooks: hook ids (32 hex digits), or None where the key is not there at all.
    """

    box: Box | None
    is_one_time: bool = False
    notification_hooks: tuple[str, ...] | None = None

    def to_wire(self) -> dict[str, Any]:
        """The secret as a JSON object in wire order."""
        wire: dict[str, Any] = {"secret": self.box.to_json() if self.box else {}}
        if self.is_one_time:
            wire["isOneTime"] = True
        return _with_hooks(wire, self.notification_hooks)


@dataclass(frozen=True)
class SubSpace:
    """What one accepted sender shared.

    Attributes:
        closure_date: ms since 1970, or None for no end.
        secrets: by secret id, in the order of the listing.
        notification_hooks: as in `StoredSecret`.
    """

    closure_date: float | None
    secrets: Mapping[str, StoredSecret]
    notification_hooks: tuple[str, ...] | None = None

    def to_wire(self, space_id: str, from_id: str) -> dict[str, Any]:
        """The sub space of the sender `from_id` in the space of `space_id`, in wire order."""
        meta = {"id": f"{space_id}.{from_id}", "closureDate": self.closure_date}
        return {
            "meta": _with_hooks(meta, self.notification_hooks),
            "secrets": {key: secret.to_wire() for key, secret in self.secrets.items()},
        }


@dataclass(frozen=True)
class Space:
    """A node's whole secret space.

    Attributes:
        node_id: whose space it is.
        closure_date: ms since 1970, or None for no end.
        owner: who made the use-once auth code that opened it, if one did.
        server_id: the node id of the service.
        secrets: the own secrets by id, in the order of the listing.
        sub_spaces: by the sender's node id.
        notification_hooks: as in `StoredSecret`.
    """

    node_id: str
    closure_date: float | None
    owner: str | None
    server_id: str
    secrets: Mapping[str, StoredSecret]
    sub_spaces: Mapping[str, SubSpace]
    notification_hooks: tuple[str, ...] | None = None

    def to_wire(self, server_sig: str = "") -> dict[str, Any]:
        """The space as a JSON object in wire order, `server_sig` empty for what is to be signed."""
        meta: dict[str, Any] = {"id": self.node_id, "closureDate": self.closure_date}
        if self.owner is not None:
            meta["owner"] = self.owner
        meta |= {"communication": "", "serverPub": self.server_id, "serverSig": server_sig}
        return {
            "meta": _with_hooks(meta, self.notification_hooks),
            "secrets": {key: secret.to_wire() for key, secret in self.secrets.items()},
            "subSpaces": {
                key: sub.to_wire(self.node_id, key) for key, sub in self.sub_spaces.items()
            },
        }


def parse_space(value: Any) -> Space:
    """The space in a decoded JSON value, as an answer to getSecretSpace holds it.

    Sub spaces under what is no node id are left out: such a name could reach no directory.

    Raises:
        MalformedData: when it is of another form.
    """
    match value:
        case {"meta": dict(meta), "secrets": dict(own), "subSpaces": dict(subs)}:
            return Space(
                node_id=_node_id(meta),
                closure_date=_closure_date(meta),
                owner=_text_or_none(meta.get("owner")),
                server_id=_text_or_none(meta.get("serverPub")) or "",
                secrets=_secrets(own),
                sub_spaces={
                    key: parse_sub_space(sub) for key, sub in subs.items() if is_node_id(key)
                },
                notification_hooks=_hooks(meta),
            )
    raise MalformedData("the listing of the secret space is not of its form")


def parse_sub_space(value: Any) -> SubSpace:
    """The sub space in a decoded JSON value; MalformedData when it is of another form."""
    match value:
        case {"meta": dict(meta), "secrets": dict(secrets)}:
            return SubSpace(_closure_date(meta), _secrets(secrets), _hooks(meta))
    raise MalformedData("the listing of a sub space is not of its form")


def _secrets(listed: dict[str, Any]) -> dict[str, StoredSecret]:
    return {secret_id: _secret(value) for secret_id, value in listed.items()}


def _secret(value: Any) -> StoredSecret:
    # One broken entry must not hide the others, so it is kept as one without a box.
    if not isinstance(value, dict):
        return StoredSecret(box=None)
    try:
        box = box_from_json(value.get("secret"))
    except MalformedData:
        box = None
    return StoredSecret(box, value.get("isOneTime") is True, _hooks(value))


def _hooks(holder: Mapping[str, Any]) -> tuple[str, ...] | None:
    listed = holder.get("notificationHooks")
    if not isinstance(listed, list):
        return None
    return tuple(hook for hook in listed if isinstance(hook, str))


def _with_hooks(wire: dict[str, Any], hooks: tuple[str, ...] | None) -> dict[str, Any]:
    if hooks is not None:
        wire["notificationHooks"] = list(hooks)
    return wire


def _closure_date(meta: Mapping[str, Any]) -> float | None:
    date = meta.get("closureDate")
    if date is None:
        return None
    if isinstance(date, int | float) and not isinstance(date, bool) and math.isfinite(date):
        return date
    raise MalformedData("a closure date is neither a number nor null")


def _node_id(meta: Mapping[str, Any]) -> str:
    node_id = meta.get("id")
    if isinstance(node_id, str) and is_node_id(node_id):
        return node_id
    raise MalformedData("a secret space is not named by a node id")


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None
