"""Taking a page of the change feed over into the maps of a view."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

import anyio

from smfs.client.envelopes import Envelopes, Stored
from smfs.client.known import Key, Known, own_key
from smfs.client.listing import is_opened_as, version_of
from smfs.client.measuring import Measuring
from smfs.client.versions import Version
from smfs.crypto.box import Box
from smfs.protocol.changes import (
    SENDER,
    Change,
    Changes,
    NodeChanged,
    NodeGone,
    SecretChanged,
    SecretGone,
)
from smfs.protocol.spaces import StoredSecret

_NEVER: Final = 2**53


class Changing:
    """What the pages of a feed do to the maps.

    A revision says which of two versions is the newer one. Where one was learnt without it, by
    asking for a single secret, the history's count of moments does.

    Args:
        envelopes: the secrets of the node.
        known: the maps.

    Attributes:
        measuring: finds out the sizes of what is put unopened.
    """

    def __init__(self, envelopes: Envelopes, known: Known) -> None:
        self._envelopes = envelopes
        self._known = known
        self.measuring = Measuring(envelopes.session.identity, known)
        self._listed: set[Key] | None = None
        self._listed_nodes: set[tuple[str, str]] = set()

    @property
    def is_listing(self) -> bool:
        """Whether a full listing is under way."""
        return self._listed is not None

    def set_followed(self, *, followed: bool) -> None:
        """Says whether pages come."""
        self._known.is_followed = followed

    def abandon(self) -> None:
        """A listing under way is not gone on with."""
        self._listed = None

    async def apply(self, page: Changes, mark: int) -> bool:
        """Takes over one page, its contents included.

        Args:
            page: the page.
            mark: the history's, from before it was asked for.

        Returns:
            False when something was learnt meanwhile of which the page may be older or newer:
            nothing was taken over then, and it is to be asked for again.
        """
        if page.since == 0:
            # What the revisions known so far say of the order counts no more.
            self._known.forget_revisions()
        opened = await self._opened(page)
        if any(self._is_unclear(change, mark) for change in page.changes):
            return False
        if self._ends_listing(page) and self._leaves_out_new_sender(page, mark):
            return False
        # From here on nothing waits: a page is taken over as a whole, or not at all.
        if page.since == 0:
            self._listed, self._listed_nodes = set(), set()
            if self._known.recipients is None:
                self._known.recipients = {}
        self._take_over(page, opened)
        if self._ends_listing(page):
            self._drop_unlisted(page.revision, mark)
        self._known.settle(page.revision)
        return True

    def _take_over(self, page: Changes, opened: dict[Key, Stored]) -> None:
        now = anyio.current_time()
        for change in page.changes:
            match change:
                case SecretChanged():
                    self._put(change, opened, now)
                case SecretGone():
                    self._drop(change)
                case NodeChanged():
                    self._put_node(change)
                case NodeGone():
                    self._drop_node(change)

    def _is_unclear(self, change: Change, mark: int) -> bool:
        if not isinstance(change, SecretChanged):
            return False
        key = _key(change)
        known = None if key is None else self._known.get(key)
        if key is None or known is None or known.revision is not None or not known.is_opened:
            return False
        if is_opened_as(known, StoredSecret(change.box, change.one_time)):
            return False
        return self._envelopes.history.changed_since(self._envelopes.address(key), mark)

    def _ends_listing(self, page: Changes) -> bool:
        return (self.is_listing or page.since == 0) and not page.more

    def _leaves_out_new_sender(self, page: Changes, mark: int) -> bool:
        """Whether a sender of whom we learnt after `mark` is not there by the listing's pages."""
        listed = set() if page.since == 0 else set(self._listed_nodes)
        for change in page.changes:
            if isinstance(change, NodeChanged):
                listed.add((change.role, change.node_id))
            elif isinstance(change, NodeGone):
                listed.discard((change.role, change.node_id))
        changed_since = self._envelopes.history.sender_changed_since
        return any(
            (SENDER, node_id) not in listed and changed_since(node_id, mark)
            for node_id in self._known.senders()
        )

    def announce(self, page: Changes) -> None:
        """Takes over which secrets there are, before their contents come."""
        for change in page.changes:
            if isinstance(change, NodeChanged):
                self._put_node(change)
            elif isinstance(change, SecretChanged):
                key = _key(change)
                if key is None or self._known.is_newer(key, change.revision):
                    continue
                if self._known.get(key) is None:
                    self._announce(key, change)

    # --- secrets ------------------------------------------------------------------------------

    async def _opened(self, page: Changes) -> dict[Key, Stored]:
        """Opens what is compared with an opened version; the rest is opened when it is wanted."""
        wanted, lists = {}, self.is_listing or page.since == 0
        for change in page.changes:
            key = _key(change) if isinstance(change, SecretChanged) else None
            if (
                key is not None
                and isinstance(change, SecretChanged)
                and self._compares(key, change, lists=lists)
            ):
                address = self._envelopes.address(key)
                wanted[address] = key, StoredSecret(change.box, change.one_time)
        found = await self._envelopes.inspect_all(
            (address, secret) for address, (_, secret) in wanted.items()
        )
        return {wanted[address][0]: stored for address, stored in found.items()}

    def _compares(self, key: Key, change: SecretChanged, *, lists: bool) -> bool:
        known = self._known.get(key)
        if known is None:
            # One that is new is looked at soon, and may be our own.
            return not lists
        if self._known.is_newer(key, change.revision):
            return False
        return known.is_opened and not _is_told_again(known, change)

    def _put(self, change: SecretChanged, opened: dict[Key, Stored], now: float) -> None:
        key = _key(change)
        if key is None:
            return
        if self._listed is not None:
            self._listed.add(key)
        if self._known.is_newer(key, change.revision):
            return
        known, stored = self._known.get(key), opened.get(key)
        if known is not None and _is_told_again(known, change):
            self._put_again(key, change, known, now)
        elif stored is not None:
            self._put_opened(key, change, stored, now)
        else:
            # Also what was opened, or written here, while others of this page were being opened.
            self._announce(key, change)

    def _put_opened(self, key: Key, change: SecretChanged, stored: Stored, now: float) -> None:
        address = self._envelopes.address(key)
        is_ours = self._envelopes.under_way.is_ours(address, stored.token)
        if is_ours:
            self._envelopes.history.written(address, stored.token, stored.signed_at or 0)
        else:
            stored = self._envelopes.judged(address, stored)
        version = version_of(stored, self._known.get(key), now, change.revision)
        self._known.put(key, version, here=is_ours)

    def _put_again(self, key: Key, change: SecretChanged, known: Version, now: float) -> None:
        """The echo of a write of ours, or a version that is known already."""
        box, one_time = change.box or known.box, change.one_time
        self._known.put(key, known.confirmed(change.revision, box, now, one_time=one_time))

    def _announce(self, key: Key, change: SecretChanged) -> None:
        self.put_sealed(key, change.box, one_time=change.one_time, revision=change.revision)

    def put_sealed(
        self,
        key: Key,
        box: Box | None,
        *,
        one_time: bool,
        revision: int | None,
        size: int | None = None,
        changed_at: float | None = None,
    ) -> None:
        """Notes a version that is opened when it is wanted, or when there is time.

        Args:
            key: of the secret.
            box: as it is stored; None where it has yet to come.
            one_time: whether it is handed out only once.
            revision: the service's number for it.
            size: in bytes, if it is known all the same.
            changed_at: seconds since 1970; None: it is seen just now.
        """
        version = Version(
            token="",
            box=box,
            size=size,
            one_time=one_time,
            sender=None,
            signed_at=None,
            checked_at=anyio.current_time(),
            changed_at=time.time() if changed_at is None else changed_at,
            problem=None,
            revision=revision,
        )
        self._known.put(key, version)
        if size is None:
            self.measuring.add(key)

    def _drop(self, change: SecretGone) -> None:
        key = _key(change)
        if key is None or self._known.is_newer(key, change.revision):
            return
        address = self._envelopes.address(key)
        self._known.drop(key, here=self._envelopes.under_way.is_ours(address, None))

    # --- senders and recipients ---------------------------------------------------------------

    def _put_node(self, change: NodeChanged) -> None:
        self._listed_nodes.add((change.role, change.node_id))
        if change.role != SENDER:
            self._known.put_recipient(change.node_id, change.closure_date)
        elif not self._known.is_sender_newer(change.node_id, change.revision):
            self._known.put_sender(change.node_id, _whole(change.closure_date))

    def _drop_node(self, change: NodeGone) -> None:
        self._listed_nodes.discard((change.role, change.node_id))
        if change.role != SENDER:
            self._known.drop_recipient(change.node_id)
        elif not self._known.is_refusal_known(change.node_id, change.revision):
            # Else whoever is a sender now was accepted since.
            self._known.drop_sender(change.node_id)

    def _drop_unlisted(self, revision: int, mark: int) -> None:
        """After a full listing: what is in none of its pages is gone."""
        listed, self._listed = self._listed or set(), None
        for node_id in list(self._known.senders()):
            if (SENDER, node_id) not in self._listed_nodes:
                self._known.drop_sender(node_id)
        for node_id in list(self._known.recipients or ()):
            if ("recipient", node_id) not in self._listed_nodes:
                self._known.drop_recipient(node_id)
        for key, version in list(self._known.items()):
            is_newer = version.revision is not None and version.revision > revision
            if key not in listed and not is_newer and not self._is_just_written(key, mark):
                self._known.drop(key)

    def _is_just_written(self, key: Key, mark: int) -> bool:
        """Whether we wrote it after a page was asked for, and the feed has not told of it yet."""
        known = self._known.get(key)
        if known is None or known.envelope is None:
            return False
        return self._envelopes.history.changed_since(self._envelopes.address(key), mark)

    # --- opening what was put sealed ----------------------------------------------------------

    async def open(self, keys: Iterable[Key]) -> None:
        """Opens versions whose boxes are here; what has changed meanwhile is left alone."""
        sealed = {}
        for key in keys:
            version = self._known.get(key)
            if version is not None and not version.is_opened and version.box is not None:
                secret = StoredSecret(version.box, version.one_time)
                sealed[self._envelopes.address(key)] = key, version, secret
        found = await self._envelopes.inspect_all(
            (address, secret) for address, (_, _, secret) in sealed.items()
        )
        for address, stored in found.items():
            key, version, _ = sealed[address]
            if self._known.get(key) is version:
                judged = self._envelopes.judged(address, stored)
                opened = version_of(judged, version, version.checked_at, version.revision)
                self._known.put(key, opened)


def _key(change: SecretChanged | SecretGone) -> Key | None:
    if change.from_id:
        return Key("from", change.from_id, change.secret_id)
    return own_key(change.secret_id)


def _is_told_again(known: Version, change: SecretChanged) -> bool:
    """Whether a change tells of the very version that is known, opened.

    A revision alone says so only where one of the two has no box: a service that gives a second
    box to a revision is lying, and what is in it must be opened and judged.
    """
    if is_opened_as(known, StoredSecret(change.box, change.one_time)):
        return True
    has_both = known.box is not None and change.box is not None
    return known.is_opened and known.revision == change.revision and not has_both


def _whole(date: float | None) -> int | None:
    return None if date is None or not abs(date) < _NEVER else int(date)
