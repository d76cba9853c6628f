"""Listings as they come from a service: opened and parsed, large ones in a worker thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from smfs.client.workers import off_loop
from smfs.crypto.box import Box, box_from_json, open_box
from smfs.crypto.identity import Identity
from smfs.errors import MalformedData, ServiceUnavailable, TamperedSecret
from smfs.protocol import canonical
from smfs.protocol.changes import Changes
from smfs.protocol.spaces import Space, SubSpace, parse_space, parse_sub_space

T = TypeVar("T")


async def read_space(identity: Identity, value: Any) -> Space:
    """The space in an answer to getSecretSpace.

    Raises:
        ServiceUnavailable: when it is none, or not ours.
    """
    return await _read(identity, value, parse_space)


async def read_sub_space(identity: Identity, value: Any) -> SubSpace:
    """The sub space in an answer to getSubSpace; raises as `read_space`."""
    return await _read(identity, value, parse_sub_space)


async def read_changes(identity: Identity, value: Any) -> Changes:
    """The page of the feed in an answer to getChanges; raises as `read_space`."""
    return await _read(identity, value, Changes.parse)


def box_of(value: Any) -> Box:
    """The box in an answer; ServiceUnavailable when there is none."""
    try:
        return box_from_json(value)
    except MalformedData as error:
        raise ServiceUnavailable(f"the service answered with nonsense: {error}") from None


async def _read(identity: Identity, value: Any, parse: Callable[[Any], T]) -> T:
    box = box_of(value)

    def work() -> T:
        return parse(canonical.decode(open_box(identity, box)))

    try:
        return await off_loop(len(box.encrypted_content_hex), work)
    except (MalformedData, TamperedSecret) as error:
        raise ServiceUnavailable(f"the service answered with nonsense: {error}") from None
