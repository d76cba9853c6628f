"""What makes the content of an envelope credible: signatures, and that time only moves forward.

The rules are those of the design, section 3; they are kept in memory for as long as the client.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from smfs.client.versions import RequireSignatures
from smfs.crypto.envelope import Address
from smfs.errors import RolledBack, SmfsError, UnsignedSecret

ROLLBACK_MS: Final = 10 * 60 * 1000
"""How much older than the newest one seen an envelope may be: the clocks of writers differ."""

RESERVED: Final = ".smfs"
"""The software's own secret ids: this one and all below."""

_REMEMBERED: Final = 256  # superseded envelopes of one address that carry no time
_UNTIDY: Final = 512  # superseded envelopes of one address that are not worth tidying up


def is_reserved(secret_id: str) -> bool:
    """Whether the software keeps a secret id for itself (the design, 2.1 rule 8)."""
    return secret_id == RESERVED or secret_id.startswith(f"{RESERVED}/")


@dataclass
class _Trail:
    """What was seen under one address.

    Attributes:
        changed: the history's count when the current envelope was first seen.
        current: the token of the newest envelope; None after a deletion.
        signed_at: its signing time, ms since 1970; None when it is unsigned.
        highest: the highest signing time ever seen here.
        given: the highest signing time given to an envelope of ours, which may never have arrived.
        superseded: the tokens that were current before, with their signing times.
        tidy_at: how many of them there may be before the outdated ones are looked for.
    """

    changed: int = 0
    current: str | None = None
    signed_at: int | None = None
    highest: int | None = None
    given: int = 0
    superseded: dict[str, int | None] = field(default_factory=dict)
    tidy_at: int = _UNTIDY


class History:
    """The envelopes that one client has seen, by their tokens, never their content; and senders."""

    def __init__(self) -> None:
        self._trails: dict[Address, _Trail] = {}
        self._signing: set[str] = set()
        self._senders: dict[str, int] = {}
        self._count = 0

    def forget_versions(self) -> None:
        """Starts anew at another service, which has versions of its own."""
        self._trails.clear()

    def mark(self) -> int:
        """A moment: take it before asking the service, give it to `overtaken` afterwards."""
        return self._count

    def overtaken(self, address: Address, token: str | None, mark: int) -> bool:
        """Whether an answer that was asked for at `mark` may be older than what is known now."""
        trail = self._trails.get(address)
        return trail is not None and trail.changed > mark and trail.current != token

    def changed_since(self, address: Address, mark: int) -> bool:
        """Whether anything new was seen or done at this address after `mark`."""
        trail = self._trails.get(address)
        return trail is not None and trail.changed > mark

    def current(self, address: Address) -> str | None:
        """The token of the newest envelope known here; None when there is none."""
        trail = self._trails.get(address)
        return None if trail is None else trail.current

    def note_sender(self, node_id: str) -> None:
        """We have just seen, or decided, whether this sender is accepted."""
        self._senders[node_id] = self._tick()

    def sender_changed_since(self, node_id: str, mark: int) -> bool:
        """Whether that was after `mark`: an answer asked for at `mark` may not know of it."""
        return self._senders.get(node_id, 0) > mark

    def next_time(self, address: Address, now: int) -> int:
        """The signing time for a new envelope: now, but after every earlier one here."""
        trail = self._trails.setdefault(address, _Trail())
        trail.given = max(now, trail.given + 1, (trail.highest or 0) + 1)
        return trail.given

    def written(
        self, address: Address, token: str, signed_at: int, mark: int | None = None
    ) -> None:
        """The service has taken an envelope of ours.

        Args:
            address: where it lies.
            token: its identity.
            signed_at: ms since 1970.
            mark: when it was asked for: what was first seen since may be newer or older.
        """
        trail = self._trails.get(address)
        if trail is not None and token in trail.superseded:
            return  # the feed was quicker, and told of what replaced it, too
        self._advance(address, token, signed_at, mark)

    def deleted(self, address: Address, mark: int | None = None) -> None:
        """The service has deleted what was here; it must not come back. Fields as `written`."""
        self._advance(address, None, None, mark)

    def judge(
        self,
        require: RequireSignatures,
        address: Address,
        token: str,
        signed_at: int | None,
        mark: int | None = None,
    ) -> SmfsError | None:
        """Why an envelope whose signature fits, or that has none, is refused; None when it is not.

        An envelope that is not refused is the current one from now on.

        Args:
            require: where unsigned content is refused.
            address: where it lies.
            token: its identity.
            signed_at: ms since 1970; None when it is unsigned.
            mark: when it was asked for: what was overtaken since says nothing of the order.
        """
        problem = self._unsigned(require, address) if signed_at is None else None
        if problem is not None or (mark is not None and self.overtaken(address, token, mark)):
            return problem
        older = self._rolled_back(address, token, signed_at)
        if older is None and self.current(address) != token:
            self._advance(address, token, signed_at)
        return older

    def _tick(self) -> int:
        self._count += 1
        return self._count

    def _unsigned(self, require: RequireSignatures, address: Address) -> UnsignedSecret | None:
        if is_reserved(address.secret_id):
            return UnsignedSecret("below .smfs nothing unsigned is read")
        if self._was_signed(address):
            return UnsignedSecret(
                f"{address.secret_id!r} is unsigned, though its writer was seen to sign before"
            )
        if address.kind == "own" and require.own:
            return UnsignedSecret(
                f"{address.secret_id!r} is unsigned, so anybody may have written it; "
                "--allow-unsigned (RequireSignatures(own=False)) reads it all the same"
            )
        if address.kind == "shared" and require.shared:
            return UnsignedSecret(
                f"{address.secret_id!r} is unsigned, so anybody may have written it; "
                "RequireSignatures(shared=False) reads it all the same"
            )
        return None

    def _was_signed(self, address: Address) -> bool:
        # Own secrets may have been written by another program with the same key, so a signature
        # on one says nothing of the others.
        if address.kind == "own":
            trail = self._trails.get(address)
            return trail is not None and trail.highest is not None
        return address.sender in self._signing

    def _rolled_back(
        self, address: Address, token: str, signed_at: int | None
    ) -> RolledBack | None:
        trail = self._trails.get(address)
        if trail is None or token == trail.current:
            return None
        if token in trail.superseded:
            return RolledBack(f"{address.secret_id!r} came back as it was before it was replaced")
        if signed_at is not None and signed_at < (trail.highest or 0) - ROLLBACK_MS:
            return RolledBack(f"{address.secret_id!r} is older than what was seen here before")
        return None

    def _advance(
        self,
        address: Address,
        token: str | None,
        signed_at: int | None,
        mark: int | None = None,
    ) -> None:
        trail = self._trails.setdefault(address, _Trail())
        is_order_known = mark is None or trail.changed <= mark
        if is_order_known and trail.current is not None and trail.current != token:
            trail.superseded[trail.current] = trail.signed_at
        trail.changed, trail.current, trail.signed_at = self._tick(), token, signed_at
        if signed_at is not None:
            trail.highest = max(signed_at, trail.highest or 0)
            self._signing.add(address.sender)
        if len(trail.superseded) >= trail.tidy_at:
            _tidy(trail)


def _tidy(trail: _Trail) -> None:
    """Forgets what is refused for its time anyway, and the eldest of too many without one."""
    oldest = (trail.highest or 0) - ROLLBACK_MS
    unsigned = [token for token, signed_at in trail.superseded.items() if signed_at is None]
    forgotten = set(unsigned[:-_REMEMBERED])
    trail.superseded = {
        token: signed_at
        for token, signed_at in trail.superseded.items()
        if token not in forgotten and (signed_at is None or signed_at >= oldest)
    }
    trail.tidy_at = max(_UNTIDY, 2 * len(trail.superseded))
