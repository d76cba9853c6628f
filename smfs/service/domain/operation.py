"""One request at work: what its function of the domain is given, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from smfs.crypto.box import Box
from smfs.crypto.identity import Identity
from smfs.errors import InvalidPoint, NotAccepted, QuotaExceeded, SecretNotFound, SpaceNotFound
from smfs.protocol.spaces import StoredSecret
from smfs.service.hook_rows import Hook, Target
from smfs.service.rows import Rows, SpaceRow, size_of
from smfs.service.store.keys import OWN


@dataclass(frozen=True)
class Sealed:
    """An answer that is made and encrypted to `node_id` once the transaction is over.

    Attributes:
        node_id: who may read it.
        build: gives the JSON value; it may take its time, for it holds nobody up.
    """

    node_id: str
    build: Callable[[], Any]


@dataclass(frozen=True)
class Checked:
    """The answer of a hook that was just added, and has yet to be called for a check."""

    hook: Hook


@dataclass(frozen=True)
class SpaceLimits:
    """How much a secret and a space may take.

    Attributes:
        content_bytes: of content, in one secret.
        secrets: how many in one space, those from others included.
        space_bytes: of ids and ciphertexts in one space.
    """

    content_bytes: int
    secrets: int
    space_bytes: int


def _nothing_sealed() -> Box:
    raise InvalidPoint


@dataclass
class Operation:
    """One request at work.

    Attributes:
        rows: of its transaction.
        now: ms since 1970.
        service: the service's key.
        limits: of what a space and a secret may take.
        creator: who made the use-once auth code that was presented (empty: the operator), if one
            was.
        sealed: gives what is to be stored, encrypted before the transaction, or raises why not.
        revision: the revision that the request gave to the asker's own space.
        met: the hooks on what the request has come across so far (PROTOCOL.md section 14).
        closed: the hooks on what had closed before the request came across it.
    """

    rows: Rows
    now: int
    service: Identity
    limits: SpaceLimits
    creator: str | None = None
    sealed: Callable[[], Box] = _nothing_sealed
    revision: int | None = None
    met: list[Hook] = field(default_factory=list)
    closed: list[Hook] = field(default_factory=list)
    _hooked: dict[str, bool] = field(default_factory=dict)

    def space(self, node_id: str, *, lock: bool = False) -> SpaceRow:
        """An open space; its hooks are met.

        Args:
            node_id: whose.
            lock: whether nobody else is to change it until the request is done.

        Raises:
            SpaceNotFound: when there is none.
        """
        found = self.rows.space(node_id, lock=lock)
        if found is None:
            raise SpaceNotFound(node_id)
        self._hooked[node_id] = found.hooked
        self.meet(node_id, Target())
        return found

    def accepted(self, node_id: str, from_id: str, *, meet: bool = True) -> None:
        """A sub space must be there; its hooks are met. Raises NotAccepted."""
        if not self.rows.has_sub_space(node_id, from_id):
            raise NotAccepted(from_id)
        if meet:
            self.meet(node_id, Target(from_id))

    def secret(
        self, node_id: str, from_id: str, secret_id: str, *, meet: bool = True
    ) -> StoredSecret:
        """A secret must be there; its hooks are met. Raises SecretNotFound."""
        found = self.rows.secret(node_id, from_id, secret_id)
        if found is None:
            raise SecretNotFound(secret_id)
        if meet:
            self.meet(node_id, Target(from_id, secret_id))
        return found

    def own_secret(self, node_id: str, secret_id: str, *, meet: bool = True) -> StoredSecret:
        """As `secret`, of the own ones."""
        return self.secret(node_id, OWN, secret_id, meet=meet)

    def meet(self, node_id: str, target: Target) -> None:
        """The request came across `target`, so its hooks will be told."""
        if self._hooked.get(node_id):
            self.met.extend(self.rows.hooks.on(node_id, target))

    def unmeet(self, gone: Iterable[Hook]) -> None:
        """Hooks that the request itself removed are told of nothing."""
        ids = {hook.hook_id for hook in gone}
        self.met = [hook for hook in self.met if hook.hook_id not in ids]

    def put(
        self,
        space: SpaceRow,
        node_id: str,
        from_id: str,
        secret_id: str,
        box: Box,
        *,
        one_time: bool = False,
    ) -> int:
        """Sets a secret in a locked space; returns the space's new revision.

        Raises:
            QuotaExceeded: when the space would hold more than it may; to replace something by
                what is no larger is always allowed.
        """
        before = self.rows.secret_size(node_id, from_id, secret_id)
        grown = size_of(secret_id, box) - (before or 0)
        if before is None and space.secrets >= self.limits.secrets:
            raise QuotaExceeded
        if grown > 0 and space.content_bytes + grown > self.limits.space_bytes:
            raise QuotaExceeded
        return self.rows.put_secret(
            node_id, from_id, secret_id, box, is_new=before is None, grown=grown, one_time=one_time
        )

    def changed(self, node_id: str) -> int:
        """A new revision of the asker's own space."""
        self.revision = self.rows.next_revision(node_id)
        return self.revision

    def close(self, node_id: str, from_id: str) -> None:
        """Removes what is past its date; its hooks and the space's are told of that."""
        if not self.rows.is_closed(node_id, from_id):
            return
        self.closed += self.rows.hooks.on(node_id, Target())
        if from_id:
            self.closed += self.rows.hooks.on(node_id, Target(from_id))
            revision = self.rows.delete_sub_space(node_id, from_id)
            if revision is not None:
                self.rows.feed.sender_went(node_id, from_id, revision)
        else:
            self.rows.delete_space(node_id)
