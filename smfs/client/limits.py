"""What fits into a service, and which secret ids it survives."""

from __future__ import annotations

from smfs.client.arguments import is_text
from smfs.client.session import Session
from smfs.crypto import wtf8
from smfs.errors import IdTooLong, TooLarge, UnsafeSecretId
from smfs.protocol.limits import (
    DEFAULT_CONTENT_BYTES,
    LONGEST_ID_BYTES,
    ORIGINAL_BINARY_BYTES,
    ORIGINAL_CONTENT_BYTES,
    UNSAFE_IDS,
)


class Limits:
    """The limits of the service that a session talks to; asks it who it is only where it matters.

    Args:
        session: the node at its service.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def content_bytes(self) -> int:
        """The most bytes of content that any secret may have, as far as is known without asking."""
        connection = self._session.connection
        if not connection.is_known:
            return DEFAULT_CONTENT_BYTES
        found = connection.discovered
        return found.content_bytes if found else ORIGINAL_CONTENT_BYTES

    def check_known_size(self, content: bytes) -> None:
        """Raises TooLarge when a content cannot fit, as far as is known without asking."""
        connection = self._session.connection
        limit = self.content_bytes()
        is_original = connection.is_known and connection.discovered is None
        if is_original and not is_text(content):
            limit = ORIGINAL_BINARY_BYTES
        if len(content) > limit:
            raise TooLarge(f"the content has {len(content)} bytes; the service takes {limit}")

    async def check_size(self, content: bytes) -> None:
        """Raises TooLarge when a content does not fit; asks the service only where it may matter.

        Raises:
            ServiceUnavailable: when the service cannot be asked.
        """
        if len(content) > ORIGINAL_BINARY_BYTES:
            await self._session.connection.discover()
        self.check_known_size(content)

    async def check_id(self, secret_id: str) -> None:
        """Refuses a secret id that would break an original, or is longer than ours take.

        Raises:
            UnsafeSecretId, IdTooLong: when it would, or is.
            ServiceUnavailable: when the service cannot be asked what it is.
        """
        if secret_id in UNSAFE_IDS and await self._session.connection.discover() is None:
            raise UnsafeSecretId(
                f"the id {secret_id!r} would break the service, which is an original"
            )
        size = len(wtf8.encode(secret_id))
        if size > LONGEST_ID_BYTES and await self._session.connection.discover() is not None:
            raise IdTooLong(f"the id has {size} bytes; the service takes {LONGEST_ID_BYTES}")
