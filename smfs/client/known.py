"""The maps of a view: what is known of each secret, and a journal of how that changes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

import anyio

from smfs.client.petnames import petname_id, split_petname_id
from smfs.client.trust import RESERVED, is_reserved
from smfs.client.versions import Sender, Version
from smfs.crypto.identity import is_node_id

_SENT: Final = f"{RESERVED}/sent/"
_JOURNAL: Final = 50_000
_DROPPED: Final = 10_000  # a feed that is followed settles them with its next page

Area = Literal["own", "sent", "from", "name"]


class Key(NamedTuple):
    """Which secret.

    Attributes:
        area: `own`; `sent`: the copy of what was shared; `from`: what somebody shared with us;
            `name`: whom a petname stands for.
        node_id: of the other side; empty for an own secret and a petname.
        secret_id: its id; the petname.
    """

    area: Area
    node_id: str
    secret_id: str

    @property
    def own_id(self) -> str:
        """The id in the own space of an own secret, a copy or a petname."""
        if self.area == "name":
            return petname_id(self.secret_id)
        return sent_id(self.node_id, self.secret_id) if self.area == "sent" else self.secret_id


class NodeKey(NamedTuple):
    """Which sender or recipient.

    Attributes:
        role: `sender` or `recipient`.
        node_id: who.
    """

    role: str
    node_id: str


class Changed(NamedTuple):
    """One line of the journal.

    Attributes:
        key: of the secret; None when a sender or recipient has changed, not what he shared.
        here: whether this very view has made the change.
        node_id: of the sender or recipient.
    """

    key: Key | None
    here: bool
    node_id: str = ""


def sent_id(node_id: str, secret_id: str) -> str:
    """The own secret id of the copy of what was shared (the design, section 2.2)."""
    return f"{_SENT}{node_id}/{secret_id}"


def own_key(own_id: str) -> Key | None:
    """The key of an id in the own space; None for the software's other ids."""
    if not is_reserved(own_id):
        return Key("own", "", own_id)
    petname = split_petname_id(own_id)
    if petname is not None:
        return Key("name", "", petname)
    if not own_id.startswith(_SENT):
        return None
    node_id, slash, secret_id = own_id[len(_SENT) :].partition("/")
    return Key("sent", node_id, secret_id) if slash and is_node_id(node_id) else None


class Known:
    """What is known; every mapping that is handed out shows the newest state.

    Attributes:
        generation: grows with every change of what is known; being seen again is none.
        is_followed: whether a feed tells of all that changes.
        recipients: who accepts us, until when (ms since 1970, None for no end); None where the
            service does not tell.
    """

    def __init__(self) -> None:
        self.generation = 0
        self.is_followed = False
        self.recipients: dict[str, float | None] | None = None
        self._maps: dict[tuple[Area, str], dict[str, Version]] = {
            ("own", ""): {},
            ("name", ""): {},
        }
        self._own = MappingProxyType(self._maps["own", ""])
        self._sent: dict[str, Mapping[str, Version]] = {}
        self._senders: dict[str, Sender] = {}
        self._dropped: dict[Key | str, int] = {}
        self._journal: deque[Changed] = deque(maxlen=_JOURNAL)
        self._moved = anyio.Event()
        self._unsaved: dict[Key | NodeKey, None] | None = None
        self._is_unsaved = anyio.Event()

    # --- what there is ------------------------------------------------------------------------

    def own(self) -> Mapping[str, Version]:
        """The own secrets by id, without the software's."""
        return self._own

    def sent(self) -> Mapping[str, Mapping[str, Version]]:
        """The copies of what was shared, by node id and secret id."""
        return MappingProxyType(self._sent)

    def senders(self) -> Mapping[str, Sender]:
        """The accepted senders by node id."""
        return MappingProxyType(self._senders)

    def names(self) -> Mapping[str, Version]:
        """The secrets that hold whom petnames stand for, by petname."""
        return MappingProxyType(self._maps["name", ""])

    def get(self, key: Key) -> Version | None:
        """What is known of one secret."""
        found = self._maps.get((key.area, key.node_id))
        return None if found is None else found.get(key.secret_id)

    def items(self, area: Area | None = None) -> Iterator[tuple[Key, Version]]:
        """Every secret of an area, or of all."""
        for (kind, node_id), versions in list(self._maps.items()):
            if area in (None, kind):
                for secret_id, version in list(versions.items()):
                    yield Key(kind, node_id, secret_id), version

    # --- what has changed ---------------------------------------------------------------------

    def changes_since(self, generation: int) -> list[Changed] | None:
        """The journal's lines after a generation; None when it no longer goes back so far."""
        count = self.generation - generation
        if count > len(self._journal):
            return None
        return [self._journal[index] for index in range(-count, 0)]

    def told_since(self, generation: int) -> AbstractSet[Key | str]:
        """What a feed may have told of since a generation: secrets and node ids.

        An answer that was asked for before says nothing of these: the feed has the last word, and
        says it once.
        """
        if not self.is_followed:
            return set()
        changes = self.changes_since(generation)
        if changes is None:
            return {key for key, _ in self.items()} | self._senders.keys()
        return {each.key or each.node_id for each in changes}

    async def wait_for_change(self, generation: int) -> None:
        """Returns once there was a change after a generation."""
        while self.generation <= generation:
            await self._moved.wait()

    def _note(self, changed: Changed) -> None:
        self.generation += 1
        self._journal.append(changed)
        moved, self._moved = self._moved, anyio.Event()
        moved.set()

    # --- what has to be saved -----------------------------------------------------------------

    def nodes(self) -> list[NodeKey]:
        """All senders and recipients."""
        senders = [NodeKey("sender", node_id) for node_id in self._senders]
        return senders + [NodeKey("recipient", node_id) for node_id in self.recipients or ()]

    def note_unsaved(self) -> None:
        """Begins to note what is put and dropped, for somebody who saves it."""
        self._unsaved = {}

    def take_unsaved(self) -> list[Key | NodeKey]:
        """What was put or dropped since it was last asked for."""
        taken = list(self._unsaved or ())
        if taken:
            self._unsaved, self._is_unsaved = {}, anyio.Event()
        return taken

    def give_back_unsaved(self, taken: Iterable[Key | NodeKey]) -> None:
        """What was taken could not be saved."""
        for key in taken:
            self._save(key)

    async def wait_for_unsaved(self) -> None:
        """Returns once something is to be saved."""
        await self._is_unsaved.wait()

    def _save(self, key: Key | NodeKey) -> None:
        if self._unsaved is not None:
            self._unsaved[key] = None
            self._is_unsaved.set()

    # --- which is newer -----------------------------------------------------------------------

    def is_newer(self, key: Key, revision: int) -> bool:
        """Whether something newer than a revision is known of a secret."""
        known = self.get(key)
        if known is not None and known.revision is not None and known.revision > revision:
            return True
        if key.area == "from" and self.is_sender_newer(key.node_id, revision):
            return True
        return self._dropped.get(key, 0) > revision

    def is_sender_newer(self, node_id: str, revision: int) -> bool:
        """Whether a sender was refused after a revision."""
        return self._dropped.get(node_id, 0) > revision

    def is_refusal_known(self, node_id: str, revision: int) -> bool:
        """Whether a sender was refused by this revision or a later one, and dropped for that."""
        return self._dropped.get(node_id, 0) >= revision

    def settle(self, revision: int) -> None:
        """Nothing older than this revision will be told any more."""
        if self._dropped:
            self._dropped = {k: each for k, each in self._dropped.items() if each > revision}

    def forget_revisions(self) -> None:
        """The revisions known so far mean nothing any more."""
        self._dropped.clear()
        for versions in self._maps.values():
            for secret_id, version in versions.items():
                versions[secret_id] = replace(version, revision=None)

    # --- changing it --------------------------------------------------------------------------

    def put(self, key: Key, version: Version, *, here: bool = False) -> None:
        """Notes the version of one secret; a sender that is not known yet is accepted."""
        if key.area == "from" and key.node_id not in self._senders:
            self.put_sender(key.node_id, None)
        versions = self._map(key.area, key.node_id)
        old = versions.get(key.secret_id)
        versions[key.secret_id] = version
        self._save(key)
        if old is None or not _same(old, version):
            self._note(Changed(key, here))

    def drop(self, key: Key, *, here: bool = False, revision: int | None = None) -> None:
        """Notes that a secret is gone, by a deletion of that revision where it is known."""
        if revision is not None and self.is_newer(key, revision):
            return
        self._note_dropped(key, revision)
        versions = self._maps.get((key.area, key.node_id), {})
        if versions.pop(key.secret_id, None) is None:
            return
        self._save(key)
        if key.area == "sent" and not versions:
            del self._maps[key.area, key.node_id], self._sent[key.node_id]
        self._note(Changed(key, here))

    def _note_dropped(self, what: Key | str, revision: int | None) -> None:
        if revision is not None:
            self._dropped[what] = revision
            if len(self._dropped) > _DROPPED:
                del self._dropped[next(iter(self._dropped))]

    def put_sender(self, node_id: str, closure_date: int | None, *, here: bool = False) -> None:
        """Notes an accepted sender and until when he is."""
        known = self._senders.get(node_id)
        if known is None:
            secrets = MappingProxyType(self._map("from", node_id))
            self._senders[node_id] = Sender(node_id, closure_date, secrets)
        elif known.closure_date == closure_date:
            return
        else:
            self._senders[node_id] = replace(known, closure_date=closure_date)
        self._save(NodeKey("sender", node_id))
        self._note(Changed(None, here, node_id))

    def drop_sender(self, node_id: str, *, here: bool = False, revision: int | None = None) -> None:
        """Notes that a sender is accepted no more; what he shared is gone with him."""
        self._note_dropped(node_id, revision)
        if self._senders.pop(node_id, None) is None:
            return
        self._save(NodeKey("sender", node_id))
        for secret_id in self._maps.pop(("from", node_id)):
            self._save(Key("from", node_id, secret_id))
            self._note(Changed(Key("from", node_id, secret_id), here))
        self._note(Changed(None, here, node_id))

    def put_recipient(self, node_id: str, closure_date: float | None) -> None:
        """Notes that a node accepts us."""
        if self.recipients is None:
            self.recipients = {}
        if node_id not in self.recipients or self.recipients[node_id] != closure_date:
            self.recipients[node_id] = closure_date
            self._save(NodeKey("recipient", node_id))
            self._note(Changed(None, here=False, node_id=node_id))

    def drop_recipient(self, node_id: str) -> None:
        """Notes that a node accepts us no more."""
        if self.recipients is not None and node_id in self.recipients:
            del self.recipients[node_id]
            self._save(NodeKey("recipient", node_id))
            self._note(Changed(None, here=False, node_id=node_id))

    def _map(self, area: Area, node_id: str) -> dict[str, Version]:
        found = self._maps.get((area, node_id))
        if found is None:
            found = self._maps[area, node_id] = {}
            if area == "sent":
                self._sent[node_id] = MappingProxyType(found)
        return found


def _same(old: Version, new: Version) -> bool:
    if not (old.is_opened and new.is_opened):
        # Opening changes nothing; without it only the revision and the box tell versions apart.
        return old.revision == new.revision or (new.box is not None and old.box == new.box)
    return (
        old.token == new.token
        and old.one_time == new.one_time
        and type(old.problem) is type(new.problem)
    )
