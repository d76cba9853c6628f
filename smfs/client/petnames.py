"""Petnames: a user's own short names for node ids, kept in his space for all his machines."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import anyio

from smfs.client.arguments import text_of
from smfs.client.deadlines import operation
from smfs.client.shared import SharedTurn
from smfs.client.trust import RESERVED
from smfs.client.versions import Version
from smfs.crypto.identity import is_node_id
from smfs.errors import (
    InvalidInput,
    MalformedData,
    PetnameNotFound,
    SecretNotFound,
    TamperedSecret,
)

if TYPE_CHECKING:
    from smfs.client.connection import Connection
    from smfs.client.view import View

_log: Final = logging.getLogger(__name__)

_NAMES: Final = f"{RESERVED}/names/"
# Shorter than a node id, so that no petname can be taken for one.
_PETNAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_CONTENT: Final = re.compile(rb"([0-9a-f]{64})\n?")


def is_petname(text: str) -> bool:
    """Whether a text can be a petname (the design, section 2)."""
    return _PETNAME.fullmatch(text) is not None


def petname_id(petname: str) -> str:
    """The own secret id that a petname is kept under."""
    return _NAMES + petname


def split_petname_id(own_id: str) -> str | None:
    """The petname that is kept under an own secret id; None when none is."""
    petname = own_id.removeprefix(_NAMES)
    return petname if petname != own_id and is_petname(petname) else None


def parse_named(content: bytes) -> str:
    """The node id that a petname's secret holds; MalformedData when it holds anything else."""
    found = _CONTENT.fullmatch(content)
    if found is None:
        raise MalformedData("what a petname stands for is no node id")
    return found[1].decode()


class Petnames:
    """The petnames of one space, as far as they can be trusted.

    A petname that somebody else wrote, that is unsigned, or that holds no node id is passed over
    and logged: a wrong one would have secrets shared with the wrong node.

    Args:
        view: the space.
        listed: gives the versions that the view knows now, by petname.
    """

    def __init__(self, view: View, listed: Callable[[], Mapping[str, Version]]) -> None:
        self._view = view
        self._listed = listed
        self._opening = SharedTurn()
        self._opened: dict[str, tuple[str, str | None]] = {}

    @property
    def connection(self) -> Connection:
        """The way to the service."""
        return self._view.connection

    def names(self) -> Mapping[str, str]:
        """The node ids by petname, as of the last `refresh`, without asking anybody."""
        found = {petname: self.known(petname) for petname in self._listed()}
        return {petname: node_id for petname, node_id in found.items() if node_id is not None}

    def known(self, petname: str) -> str | None:
        """The node id that a petname stands for, as `names` says."""
        version = self._listed().get(petname)
        if version is None or version.problem is not None or not self._is_opened(petname):
            return None
        return self._opened[petname][1]

    @operation
    async def refresh(self, max_age: float | None = None) -> None:
        """Brings the petnames up to date.

        Args:
            max_age: as for `View.refresh`.

        Raises:
            ServiceError, ServiceUnavailable: as for `View.refresh`.
        """
        await self._view.refresh(max_age)
        if all(self._is_opened(petname) for petname in self._listed()):
            return
        async with self._opening.take():
            for petname in list(self._listed()):
                await self._open(petname)
            self._opened = {key: self._opened[key] for key in self._listed() if key in self._opened}

    @operation
    async def node_of(self, petname: str) -> str | None:
        """The node id that a petname stands for now; None when it stands for none."""
        if not is_petname(petname):
            return None
        since = anyio.current_time()
        await self._view.refresh()
        if petname not in self._listed() and not await self._view.look_again(since):
            await self._view.check_own(petname_id(petname))
        await self._open(petname)
        return self.known(petname)

    @operation
    async def ask(self, petname: str) -> str | None:
        """As `node_of`, but fails when nothing could be written now (`View.check_own`)."""
        if not is_petname(petname):
            return None
        await self._view.check_own(petname_id(petname))
        await self._open(petname)
        return self.known(petname)

    async def set(self, petname: str, node_id: str) -> None:
        """Has a petname stand for a node; when this returns, the service has taken it.

        Raises:
            InvalidInput: when the one is no petname, or the other no node id.
        """
        if not is_petname(text_of(petname, "a petname")):
            raise InvalidInput("a petname is 1 to 63 of a-z 0-9 . _ - and begins with a-z 0-9")
        if not is_node_id(text_of(node_id, "a node id")):
            raise InvalidInput("a node id has 64 hex digits, lower case")
        version = await self._view.write_own(petname_id(petname), node_id.encode())
        self._opened[petname] = version.token, node_id

    async def drop(self, petname: str) -> None:
        """Deletes a petname, trusted or not.

        Raises:
            InvalidInput: when it is no text.
            PetnameNotFound: when there is none.
        """
        if not is_petname(text_of(petname, "a petname")):
            raise PetnameNotFound(petname)
        try:
            await self._view.delete_own(petname_id(petname))
        except SecretNotFound:
            raise PetnameNotFound(petname) from None

    def _is_opened(self, petname: str) -> bool:
        version = self._listed().get(petname)
        token, _ = self._opened.get(petname, (None, None))
        # What nobody has looked at yet has no token at all.
        return version is None or (version.is_opened and version.token == token)

    async def _open(self, petname: str) -> None:
        """Looks at what a petname stands for, unless that was done for this version of it."""
        if self._is_opened(petname):
            return
        node_id = None
        try:
            node_id = parse_named((await self._view.read_own(petname_id(petname))).content)
        except SecretNotFound:
            return
        except (TamperedSecret, MalformedData) as error:
            _log.warning("the petname %s is passed over: %s", petname, type(error).__name__)
        version = self._listed().get(petname)
        if version is not None:
            self._opened[petname] = version.token, node_id
