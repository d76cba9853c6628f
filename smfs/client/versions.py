"""What a view knows of secrets: never their content, but for the `Reading` asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from smfs.crypto.box import Box
from smfs.errors import SmfsError


@dataclass(frozen=True)
class RequireSignatures:
    """Where unsigned content is refused (the design, section 3).

    Attributes:
        own: for the own secrets; anyone can encrypt to a public key, so the service may have
            forged an unsigned one.
        shared: for what senders shared.
    """

    own: bool = False
    shared: bool = False


UNSIGNED_IS_READ: Final = RequireSignatures()
"""The library's default: what the original client wrote is read, and marked as unsigned."""


@dataclass(frozen=True, slots=True)
class Version:
    """One known version of a secret; never its plaintext.

    Attributes:
        token: its identity within one view: equal tokens mean the same stored envelope; empty
            while nobody has opened it and checked its signature.
        box: the stored service-layer box; None where it is not known, or is no box.
        size: bytes of content; None when it cannot be opened, or was not yet.
        one_time: whether it is handed out only once.
        sender: the node id that signed it; None when it is unsigned.
        signed_at: ms since 1970; None when it is unsigned.
        checked_at: `anyio.current_time()` when it was last known to be current.
        changed_at: seconds since 1970: when it was signed, else when this view first saw it.
        problem: why it cannot be opened or trusted; None when it can.
        revision: the number that the service gave to it, where that is known.
        envelope: what is below the service's layer, where we have sealed it ourselves and do not
            know the box yet.
    """

    token: str
    box: Box | None = field(repr=False)
    size: int | None
    one_time: bool
    sender: str | None
    signed_at: int | None
    checked_at: float
    changed_at: float
    problem: SmfsError | None
    revision: int | None = None
    envelope: bytes | None = field(default=None, repr=False)

    @property
    def is_opened(self) -> bool:
        """Whether its token and signer are known and checked, or why they cannot be."""
        return bool(self.token) or self.problem is not None

    @property
    def mark(self) -> int | str:
        """What stays the same while nothing but what is known of it changes."""
        return self.token if self.revision is None else self.revision

    @property
    def is_measured(self) -> bool:
        """Whether its size is known, or why it cannot be."""
        return self.size is not None or self.problem is not None

    @property
    def is_here(self) -> bool:
        """Whether its content can be had without asking anybody."""
        return self.box is not None or self.envelope is not None

    def confirmed(
        self, revision: int, box: Box | None, checked_at: float, *, one_time: bool
    ) -> Version:
        """The same version under its revision, with its box, as it was told once more."""
        return replace(
            self,
            revision=revision,
            box=box,
            envelope=self.envelope if box is None else None,
            one_time=one_time,
            checked_at=checked_at,
        )


@dataclass(frozen=True)
class Sender:
    """One accepted sender (a sub space).

    Attributes:
        node_id: who it is.
        closure_date: until when he is accepted, ms since 1970; None for no end.
        secrets: what he shared, by secret id.
    """

    node_id: str
    closure_date: int | None
    secrets: Mapping[str, Version]


@dataclass(frozen=True)
class Look:
    """One version, as it was looked at.

    Attributes:
        version: the version.
        content: its content; None where it was not fetched along with it.
    """

    version: Version
    content: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Reading:
    """The content of one version, as it was asked for."""

    version: Version
    content: bytes = field(repr=False)
