"""The rows of notification hooks (PROTOCOL.md section 14)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final, TypeAlias

from smfs.crypto import wtf8
from smfs.protocol import canonical
from smfs.service.store.base import Transaction
from smfs.service.store.keys import OWN, node_key, secret_key

HookKey: TypeAlias = tuple[bytes, bytes | None]
"""What a hook is on, as in a row: the sender's key and the secret's."""

HookIds: TypeAlias = dict[HookKey, list[str]]

_HOOK: Final = "node_id, hook_id, from_id, secret_id, type, url, last_time, last_error"


@dataclass(frozen=True)
class Target:
    """What a hook is on.

    Attributes:
        from_id: the sender of the sub space; empty for the space and the own secrets.
        secret_id: None for the space or sub space itself.
    """

    from_id: str = OWN
    secret_id: str | None = None


@dataclass(frozen=True)
class Hook:
    """One notification hook (PROTOCOL.md section 14); times in ms since 1970."""

    node_id: str
    hook_id: str
    target: Target
    type: str
    url: str
    last_time: int | None = None
    last_error: str | None = None

    def to_wire(self) -> dict[str, object]:
        """As answers show it."""
        last = None
        if self.last_time is not None:
            last = {"time": self.last_time, "error": self.last_error}
        return {"id": self.hook_id, "type": self.type, "url": self.url, "lastNotification": last}


class HookRows:
    """The hooks, in one transaction.

    Args:
        transaction: which.
    """

    def __init__(self, transaction: Transaction) -> None:
        self._run = transaction.execute

    def on(self, node_id: str, target: Target) -> list[Hook]:
        """The hooks on one thing, in the order of their adding."""
        key = [node_key(node_id), node_key(target.from_id)]
        which = "secret_id IS NULL"
        if target.secret_id is not None:
            which = "secret_id = ?"
            key.append(secret_key(target.secret_id))
        rows = self._run(
            f"SELECT {_HOOK} FROM hooks"
            f" WHERE node_id = ? AND from_id = ? AND {which} ORDER BY place",
            key,
        ).fetchall()
        return [_hook(row) for row in rows]

    def count(self, node_id: str) -> int:
        """How many hooks a node has."""
        row = self._run("SELECT count(*) FROM hooks WHERE node_id = ?", (node_key(node_id),))
        return int(row.fetchone()[0])

    def find(self, node_id: str, hook_id: str) -> Hook | None:
        """One hook of a node."""
        row = self._run(
            f"SELECT {_HOOK} FROM hooks WHERE node_id = ? AND hook_id = ?",
            (node_key(node_id), bytes.fromhex(hook_id)),
        ).fetchone()
        return _hook(row) if row else None

    def add(self, hook: Hook, place: int) -> None:
        """Adds a hook; what it is on shows from now on that it can have hooks.

        Args:
            hook: the hook.
            place: the revision of its adding: the order of listings.
        """
        node, target = node_key(hook.node_id), hook.target
        self._run(
            "INSERT INTO hooks (node_id, hook_id, from_id, secret_id, type, url, place)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                node,
                bytes.fromhex(hook.hook_id),
                node_key(target.from_id),
                None if target.secret_id is None else secret_key(target.secret_id),
                canonical.encode(hook.type),
                canonical.encode(hook.url),
                place,
            ),
        )
        # 2: the space itself can have hooks, 1: something in it can.
        itself = 2 if target == Target() else 1
        self._run("UPDATE spaces SET hooked = hooked | ? WHERE node_id = ?", (itself, node))
        if target.secret_id is not None:
            self._run(
                "UPDATE secrets SET hooked = 1 WHERE node_id = ? AND from_id = ? AND secret_id = ?",
                (node, node_key(target.from_id), secret_key(target.secret_id)),
            )
        elif target.from_id:
            self._run(
                "UPDATE sub_spaces SET hooked = 1 WHERE node_id = ? AND from_id = ?",
                (node, node_key(target.from_id)),
            )

    def delete(self, hook: Hook) -> None:
        """Removes a hook."""
        self._run(
            "DELETE FROM hooks WHERE node_id = ? AND hook_id = ?",
            (node_key(hook.node_id), bytes.fromhex(hook.hook_id)),
        )

    def note_call(self, node_id: str, hook_id: str, time: int, error: str | None) -> None:
        """How the last call of a hook went; fine when there is no such hook any more."""
        self._run(
            "UPDATE hooks SET last_time = ?, last_error = ? WHERE node_id = ? AND hook_id = ?",
            (time, canonical.encode(error), node_key(node_id), bytes.fromhex(hook_id)),
        )

    def has_space_ever_had(self, node_id: str) -> int:
        """Not 0 when a hook was ever on the space itself: its listing then shows that."""
        row = self._run("SELECT hooked & 2 FROM spaces WHERE node_id = ?", (node_key(node_id),))
        return int(row.fetchone()[0])

    def lists(self, node_id: str) -> HookIds:
        """The ids of all hooks of a node, by what they are on."""
        found: HookIds = {}
        for from_id, secret_id, hook_id in self._run(
            "SELECT from_id, secret_id, hook_id FROM hooks WHERE node_id = ? ORDER BY place",
            (node_key(node_id),),
        ):
            found.setdefault((from_id, secret_id), []).append(hook_id.hex())
        return found


def new_hook_id() -> str:
    """A hook id that nobody can guess, 32 hex digits."""
    return secrets.token_hex(16)


def _hook(row: tuple[bytes, bytes, bytes, bytes | None, str, str, int | None, str | None]) -> Hook:
    node_id, hook_id, from_id, secret_id, kind, url, time, error = row
    target = Target(from_id.hex(), None if secret_id is None else wtf8.decode(secret_id))
    return Hook(
        node_id.hex(),
        hook_id.hex(),
        target,
        canonical.decode(kind),
        canonical.decode(url),
        time,
        canonical.decode(error) if error is not None else None,
    )
