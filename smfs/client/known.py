"""The maps of a view: what is known of each secret, handed out as snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from smfs.client.petnames import petname_id, split_petname_id
from smfs.client.trust import RESERVED, is_reserved
from smfs.client.versions import Sender, Version
from smfs.crypto.identity import is_node_id

_SENT: Final = f"{RESERVED}/sent/"


def sent_id(node_id: str, secret_id: str) -> str:
    """The own secret id of the copy of what was shared (the design, section 2.2)."""
    return f"{_SENT}{node_id}/{secret_id}"


def split_sent_id(own_id: str) -> tuple[str, str] | None:
    """The node id and secret id of a copy; None when the own secret `own_id` is none."""
    if not own_id.startswith(_SENT):
        return None
    node_id, slash, secret_id = own_id[len(_SENT) :].partition("/")
    return (node_id, secret_id) if slash and is_node_id(node_id) else None


class Known:
    """Four maps and how often they have changed.

    A snapshot that was handed out never changes: the next change copies the map first.

    Attributes:
        generation: grows with every change of what is known; being seen again is none.
    """

    def __init__(self) -> None:
        self.generation = 0
        self._own: dict[str, Version] = {}
        self._own_is_shared = False
        self._sent: dict[str, Mapping[str, Version]] = {}
        self._senders: dict[str, Sender] = {}
        self._names: Mapping[str, Version] = {}

    def own(self) -> Mapping[str, Version]:
        """The own secrets by id, without the software's."""
        self._own_is_shared = True
        return MappingProxyType(self._own)

    def sent(self) -> Mapping[str, Mapping[str, Version]]:
        """The copies of what was shared, by node id and secret id."""
        return MappingProxyType(self._sent)

    def senders(self) -> Mapping[str, Sender]:
        """The accepted senders by node id."""
        return MappingProxyType(self._senders)

    def names(self) -> Mapping[str, Version]:
        """The secrets that hold what petnames stand for, by petname."""
        return MappingProxyType(self._names)

    def own_version(self, own_id: str) -> Version | None:
        """What is known of one own secret, copy or petname."""
        if petname := split_petname_id(own_id):
            return self._names.get(petname)
        if copy := split_sent_id(own_id):
            node_id, secret_id = copy
            return self._sent.get(node_id, {}).get(secret_id)
        return self._own.get(own_id)

    def put_own(self, own_id: str, version: Version) -> None:
        """Notes one own secret, copy or petname; the software's other ids are passed over."""
        if petname := split_petname_id(own_id):
            self._replace_names({**self._names, petname: version})
        elif copy := split_sent_id(own_id):
            node_id, secret_id = copy
            mine = {**self._sent.get(node_id, {}), secret_id: version}
            self._replace_sent({**self._sent, node_id: mine})
        elif not is_reserved(own_id):
            self._count(self._own.get(own_id), version)
            self._writable_own()[own_id] = version

    def drop_own(self, own_id: str) -> None:
        """Notes that an own secret, copy or petname is gone."""
        if petname := split_petname_id(own_id):
            self._replace_names({k: v for k, v in self._names.items() if k != petname})
        elif copy := split_sent_id(own_id):
            node_id, secret_id = copy
            mine = {k: v for k, v in self._sent.get(node_id, {}).items() if k != secret_id}
            self._replace_sent({**self._sent, node_id: mine})
        elif own_id in self._own:
            self.generation += 1
            del self._writable_own()[own_id]

    def replace_own(self, versions: Mapping[str, Version]) -> None:
        """Takes a whole listing of own secrets, copies and petnames."""
        own: dict[str, Version] = {}
        sent: dict[str, dict[str, Version]] = {}
        names: dict[str, Version] = {}
        for own_id, version in versions.items():
            if petname := split_petname_id(own_id):
                names[petname] = version
            elif copy := split_sent_id(own_id):
                sent.setdefault(copy[0], {})[copy[1]] = version
            elif not is_reserved(own_id):
                own[own_id] = version
        self._replace_sent(sent)
        self._replace_names(names)
        self.generation += _differ(self._own, own)
        self._own, self._own_is_shared = own, False

    def own_ids(self) -> list[str]:
        """The ids of all own secrets, copies and petnames."""
        copies = [sent_id(node, key) for node, mine in self._sent.items() for key in mine]
        return [*self._own, *copies, *map(petname_id, self._names)]

    def put_sender(self, sender: Sender) -> None:
        """Notes one sender with what he shared."""
        self.replace_senders({**self._senders, sender.node_id: sender})

    def drop_sender(self, node_id: str) -> None:
        """Notes that a sender is accepted no more."""
        self.replace_senders({k: v for k, v in self._senders.items() if k != node_id})

    def drop_from(self, node_id: str, secret_id: str) -> None:
        """Notes that one shared secret is gone."""
        sender = self._senders.get(node_id)
        if sender is not None and secret_id in sender.secrets:
            kept = {k: v for k, v in sender.secrets.items() if k != secret_id}
            self.put_sender(replace(sender, secrets=kept))

    def replace_senders(self, senders: Mapping[str, Sender]) -> None:
        """Takes a whole listing of senders."""
        old = self._senders
        same_dates = old.keys() == senders.keys() and all(
            old[key].closure_date == sender.closure_date for key, sender in senders.items()
        )
        same = same_dates and not any(
            _differ(old[key].secrets, sender.secrets) for key, sender in senders.items()
        )
        self.generation += not same
        self._senders = dict(senders)

    def _replace_sent(self, sent: Mapping[str, Mapping[str, Version]]) -> None:
        kept = {node_id: mine for node_id, mine in sent.items() if mine}
        same = self._sent.keys() == kept.keys() and not any(
            _differ(self._sent[node_id], mine) for node_id, mine in kept.items()
        )
        self.generation += not same
        self._sent = kept

    def _replace_names(self, names: Mapping[str, Version]) -> None:
        self.generation += _differ(self._names, names)
        self._names = dict(names)

    def _count(self, old: Version | None, new: Version) -> None:
        self.generation += old is None or not _same(old, new)

    def _writable_own(self) -> dict[str, Version]:
        if self._own_is_shared:
            self._own, self._own_is_shared = dict(self._own), False
        return self._own


def _differ(old: Mapping[str, Version], new: Mapping[str, Version]) -> bool:
    if old.keys() != new.keys():
        return True
    return any(not _same(old[key], version) for key, version in new.items())


def _same(old: Version, new: Version) -> bool:
    return (
        old.token == new.token
        and old.one_time == new.one_time
        and type(old.problem) is type(new.problem)
    )
