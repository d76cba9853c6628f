"""What one transaction reads and writes: every statement of the domain."""

from __future__ import annotations

import secrets
import sqlite3
from dataclasses import dataclass
from typing import Final

from smfs.crypto import wtf8
from smfs.crypto.box import Box
from smfs.protocol import canonical
from smfs.protocol.spaces import Space, StoredSecret, SubSpace

OWN: Final = ""
"""The sender's place in the key of an own secret."""


@dataclass(frozen=True)
class SpaceRow:
    """A space, without what is in it."""

    closure_date: float | None
    owner: str | None
    hooked: bool


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


def _id(node_id: str) -> bytes:
    return bytes.fromhex(node_id)


def _text(secret_id: str | None) -> bytes | None:
    return None if secret_id is None else wtf8.encode(secret_id)


class Rows:
    """The rows of one transaction; closed spaces and sub spaces count as missing.

    Args:
        connection: in a transaction.
        now: ms since 1970.
    """

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self._run = connection.execute
        self._now = now

    # --- spaces -------------------------------------------------------------------------------

    def space(self, node_id: str) -> SpaceRow | None:
        """A space that is open."""
        row = self._run(
            "SELECT closure_date, owner, hooked FROM spaces"
            " WHERE node_id = ? AND (closure_date IS NULL OR closure_date > ?)",
            (_id(node_id), self._now),
        ).fetchone()
        return SpaceRow(row[0], row[1] and row[1].hex(), bool(row[2])) if row else None

    def add_space(self, node_id: str, closure_date: float | None, owner: str | None) -> int:
        """A new space; returns its revision."""
        self.delete_space(node_id)
        self._run(
            "INSERT INTO spaces (node_id, closure_date, owner, revision) VALUES (?, ?, ?, ?)",
            (_id(node_id), closure_date, owner and _id(owner), self._now),
        )
        return self._now

    def set_owner(self, node_id: str, owner: str) -> None:
        """Who made the code that the space was opened with."""
        self._run("UPDATE spaces SET owner = ? WHERE node_id = ?", (_id(owner), _id(node_id)))

    def delete_space(self, node_id: str) -> None:
        """Everything of a node goes."""
        self._run("DELETE FROM spaces WHERE node_id = ?", (_id(node_id),))

    def next_revision(self, node_id: str) -> int:
        """A new revision of a space; it holds the write lock, so none is skipped."""
        row = self._run(
            "UPDATE spaces SET revision = revision + 1 WHERE node_id = ? RETURNING revision",
            (_id(node_id),),
        ).fetchone()
        revision: int = row[0]
        return revision

    # --- sub spaces ---------------------------------------------------------------------------

    def has_sub_space(self, node_id: str, from_id: str) -> bool:
        """Whether a sender is accepted."""
        row = self._run(
            "SELECT 1 FROM sub_spaces WHERE node_id = ? AND from_id = ?"
            " AND (closure_date IS NULL OR closure_date > ?)",
            (_id(node_id), _id(from_id), self._now),
        ).fetchone()
        return row is not None

    def add_sub_space(
        self, node_id: str, from_id: str, closure_date: float | None, place: int
    ) -> None:
        """Accepts a sender."""
        self.delete_sub_space(node_id, from_id)
        self._run(
            "INSERT INTO sub_spaces (node_id, from_id, closure_date, place) VALUES (?, ?, ?, ?)",
            (_id(node_id), _id(from_id), closure_date, place),
        )

    def delete_sub_space(self, node_id: str, from_id: str) -> None:
        """Stops accepting a sender; all that he shared goes, hooks included."""
        key = (_id(node_id), _id(from_id))
        for table in ("hooks", "secrets", "sub_spaces"):
            self._run(f"DELETE FROM {table} WHERE node_id = ? AND from_id = ?", key)  # noqa: S608

    # --- secrets ------------------------------------------------------------------------------

    def secret(self, node_id: str, from_id: str, secret_id: str) -> StoredSecret | None:
        """One secret."""
        row = self._run(
            "SELECT point, content, one_time FROM secrets"
            " WHERE node_id = ? AND from_id = ? AND secret_id = ?",
            (_id(node_id), _id(from_id), _text(secret_id)),
        ).fetchone()
        return StoredSecret(Box(row[0].hex(), row[1].hex()), bool(row[2])) if row else None

    def put_secret(
        self,
        node_id: str,
        from_id: str,
        secret_id: str,
        box: Box,
        revision: int,
        *,
        one_time: bool = False,
    ) -> None:
        """Sets a secret; one that is there keeps its place, its hooks and its one-time flag."""
        self._run(
            "INSERT INTO secrets"
            " (node_id, from_id, secret_id, point, content, one_time, place, revision)"
            " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)"
            " ON CONFLICT DO UPDATE SET point = ?4, content = ?5, one_time = one_time OR ?6,"
            " revision = ?7",
            (
                _id(node_id),
                _id(from_id),
                _text(secret_id),
                bytes.fromhex(box.reference_point_hex),
                bytes.fromhex(box.encrypted_content_hex),
                one_time,
                revision,
            ),
        )

    def delete_secret(self, node_id: str, from_id: str, secret_id: str) -> bool:
        """Removes a secret and its hooks; returns whether there was one."""
        key = (_id(node_id), _id(from_id), _text(secret_id))
        where = "WHERE node_id = ? AND from_id = ? AND secret_id = ?"
        self._run(f"DELETE FROM hooks {where}", key)  # noqa: S608 - a constant
        return self._run(f"DELETE FROM secrets {where}", key).rowcount > 0  # noqa: S608

    # --- whole listings -----------------------------------------------------------------------

    def whole_space(self, node_id: str, space: SpaceRow, server_id: str) -> Space:
        """Everything of a node, in the order of insertion."""
        hooks = self._hook_lists(node_id) if space.hooked else {}
        listed = self._run(
            "SELECT from_id, secret_id, point, content, one_time, hooked FROM secrets"
            " WHERE node_id = ? ORDER BY place",
            (_id(node_id),),
        ).fetchall()
        subs = self._run(
            "SELECT from_id, closure_date, hooked FROM sub_spaces"
            " WHERE node_id = ? AND (closure_date IS NULL OR closure_date > ?) ORDER BY place",
            (_id(node_id), self._now),
        ).fetchall()
        return Space(
            node_id=node_id,
            closure_date=space.closure_date,
            owner=space.owner,
            server_id=server_id,
            secrets=_secrets(listed, b"", hooks),
            sub_spaces={
                sub.hex(): SubSpace(
                    date, _secrets(listed, sub, hooks), _hook_ids(hooks, hooked, Target(sub.hex()))
                )
                for sub, date, hooked in subs
            },
            notification_hooks=_hook_ids(hooks, self._has_hooks_itself(node_id), Target()),
        )

    def sub_space(self, node_id: str, from_id: str) -> SubSpace | None:
        """All that one sender shared; None when he is not accepted."""
        row = self._run(
            "SELECT closure_date, hooked FROM sub_spaces WHERE node_id = ? AND from_id = ?"
            " AND (closure_date IS NULL OR closure_date > ?)",
            (_id(node_id), _id(from_id), self._now),
        ).fetchone()
        if row is None:
            return None
        hooks = self._hook_lists(node_id)
        listed = self._run(
            "SELECT from_id, secret_id, point, content, one_time, hooked FROM secrets"
            " WHERE node_id = ? AND from_id = ? ORDER BY place",
            (_id(node_id), _id(from_id)),
        ).fetchall()
        return SubSpace(
            row[0],
            _secrets(listed, _id(from_id), hooks),
            _hook_ids(hooks, row[1], Target(from_id)),
        )

    # --- hooks --------------------------------------------------------------------------------

    def hooks_on(self, node_id: str, target: Target) -> list[Hook]:
        """The hooks on one thing, in the order of their adding."""
        rows = self._run(
            f"SELECT {_HOOK} FROM hooks"  # noqa: S608 - a constant
            " WHERE node_id = ? AND from_id = ? AND secret_id IS ? ORDER BY place",
            (_id(node_id), _id(target.from_id), _text(target.secret_id)),
        ).fetchall()
        return [_hook(row) for row in rows]

    def hook(self, node_id: str, hook_id: str) -> Hook | None:
        """One hook of a node."""
        row = self._run(
            f"SELECT {_HOOK} FROM hooks WHERE node_id = ? AND hook_id = ?",  # noqa: S608
            (_id(node_id), bytes.fromhex(hook_id)),
        ).fetchone()
        return _hook(row) if row else None

    def add_hook(self, hook: Hook) -> None:
        """Adds a hook; what it is on shows from now on that it can have hooks."""
        node, target = _id(hook.node_id), hook.target
        place = self.next_revision(hook.node_id)
        self._run(
            "INSERT INTO hooks (node_id, hook_id, from_id, secret_id, type, url, place)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                node,
                bytes.fromhex(hook.hook_id),
                _id(target.from_id),
                _text(target.secret_id),
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
                (node, _id(target.from_id), _text(target.secret_id)),
            )
        elif target.from_id:
            self._run(
                "UPDATE sub_spaces SET hooked = 1 WHERE node_id = ? AND from_id = ?",
                (node, _id(target.from_id)),
            )

    def delete_hook(self, hook: Hook) -> None:
        """Removes a hook."""
        self._run(
            "DELETE FROM hooks WHERE node_id = ? AND hook_id = ?",
            (_id(hook.node_id), bytes.fromhex(hook.hook_id)),
        )

    def note_call(self, hook: Hook, time: int, error: str | None) -> None:
        """How the last call of a hook went."""
        self._run(
            "UPDATE hooks SET last_time = ?, last_error = ? WHERE node_id = ? AND hook_id = ?",
            (time, error, _id(hook.node_id), bytes.fromhex(hook.hook_id)),
        )

    def _has_hooks_itself(self, node_id: str) -> int:
        row = self._run("SELECT hooked & 2 FROM spaces WHERE node_id = ?", (_id(node_id),))
        return int(row.fetchone()[0])

    def _hook_lists(self, node_id: str) -> dict[Target, list[str]]:
        found: dict[Target, list[str]] = {}
        for from_id, secret_id, hook_id in self._run(
            "SELECT from_id, secret_id, hook_id FROM hooks WHERE node_id = ? ORDER BY place",
            (_id(node_id),),
        ):
            target = Target(from_id.hex(), None if secret_id is None else wtf8.decode(secret_id))
            found.setdefault(target, []).append(hook_id.hex())
        return found

    # --- codes and signatures -----------------------------------------------------------------

    def add_code(self, code: str, action: str, creator: str) -> None:
        """A code that works once."""
        self._run(
            "INSERT INTO auth_codes VALUES (?, ?, ?)",
            (code, canonical.encode(action), _id(creator)),
        )

    def code_creator(self, code: str, action: str) -> str | None:
        """Who made a code for this action that was not used yet."""
        row = self._run(
            "SELECT creator FROM auth_codes WHERE code = ? AND action = ?",
            (code, canonical.encode(action)),
        ).fetchone()
        return row[0].hex() if row else None

    def use_code(self, code: str) -> None:
        """A code was used."""
        self._run("DELETE FROM auth_codes WHERE code = ?", (code,))

    def use_signature(self, signature: bytes, until: int) -> bool:
        """Remembers a signature; False when it was used before."""
        return (
            self._run(
                "INSERT INTO used_signatures VALUES (?, ?) ON CONFLICT DO NOTHING",
                (signature, until),
            ).rowcount
            > 0
        )

    def forget_signatures(self) -> None:
        """Those whose timestamps are refused by now."""
        self._run("DELETE FROM used_signatures WHERE until <= ?", (self._now,))

    # --- closures -----------------------------------------------------------------------------

    def closed(self) -> list[tuple[str, str]]:
        """What is past its closure date: node id, and sender or nothing for the space itself."""
        subs = self._run(
            "SELECT node_id, from_id FROM sub_spaces WHERE closure_date <= ?", (self._now,)
        ).fetchall()
        spaces = self._run(
            "SELECT node_id, x'' FROM spaces WHERE closure_date <= ?", (self._now,)
        ).fetchall()
        return [(node.hex(), sub.hex()) for node, sub in subs + spaces]

    def is_closed(self, node_id: str, from_id: str) -> bool:
        """Whether a sub space (or with an empty `from_id` the space) is past its date."""
        table = "sub_spaces" if from_id else "spaces"
        key = " AND from_id = ?" if from_id else ""
        arguments = [_id(node_id), self._now, *([_id(from_id)] if from_id else [])]
        row = self._run(
            f"SELECT 1 FROM {table} WHERE node_id = ? AND closure_date <= ?{key}",  # noqa: S608
            arguments,
        ).fetchone()
        return row is not None


_HOOK: Final = "node_id, hook_id, from_id, secret_id, type, url, last_time, last_error"


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
        error,
    )


def _secrets(
    listed: list[tuple[bytes, bytes, bytes, bytes, int, int]],
    from_id: bytes,
    hooks: dict[Target, list[str]],
) -> dict[str, StoredSecret]:
    found = {}
    for sender, key, point, content, one_time, hooked in listed:
        if sender == from_id:
            secret_id = wtf8.decode(key)
            hook_ids = _hook_ids(hooks, hooked, Target(from_id.hex(), secret_id))
            found[secret_id] = StoredSecret(
                Box(point.hex(), content.hex()), bool(one_time), hook_ids
            )
    return found


def _hook_ids(
    hooks: dict[Target, list[str]], hooked: int, target: Target
) -> tuple[str, ...] | None:
    return tuple(hooks.get(target, ())) if hooked else None
