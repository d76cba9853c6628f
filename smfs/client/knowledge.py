"""What a view can tell without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smfs.client.arguments import requirement_of
from smfs.client.cache import Cache
from smfs.client.changes import Changing
from smfs.client.client import Client
from smfs.client.connection import Connection
from smfs.client.contents import Contents
from smfs.client.feed import Feed, State
from smfs.client.freshness import Freshness
from smfs.client.keeper import Keeper
from smfs.client.known import Changed, Key, Known
from smfs.client.listing import Listing
from smfs.client.versions import RequireSignatures, Sender, Version


class Knowledge:
    """The maps of a view and how far they can be believed; its arguments are those of `View`.

    Attributes:
        client: the node at its service.
        node_id: whose space it is.
    """

    def __init__(
        self,
        client: Client,
        *,
        ttl: float | None = None,
        require_signatures: RequireSignatures | None = None,
        max_stale: float | None = None,
        cache: Cache | None = None,
    ) -> None:
        self.client = client
        self.node_id = client.node_id
        envelopes = client.envelopes
        if require_signatures is not None:
            envelopes = envelopes.requiring(requirement_of(require_signatures))
        self._ttl = ttl
        self._envelopes = envelopes
        self._known = Known()
        self._listing = Listing(envelopes, self._known)
        changing = Changing(envelopes, self._known)
        self._measuring = changing.measuring
        self._contents = Contents(envelopes, self._known, changing)
        self._feed = Feed(envelopes, changing)
        self._freshness = Freshness(self._feed, envelopes.session, max_stale)
        self._keeper: Keeper | None = None
        if cache is not None:
            self._keeper = Keeper(cache, envelopes, self._known, changing, self._feed)

    @property
    def connection(self) -> Connection:
        """The way to the service, with its health."""
        return self.client.connection

    # --- what is known, without asking --------------------------------------------------------

    @property
    def generation(self) -> int:
        """Grows with every change of what is known."""
        return self._known.generation

    @property
    def is_live(self) -> bool:
        """Whether what is known is what the service has, by its feed."""
        return self._freshness.is_live

    @property
    def is_complete(self) -> bool:
        """Whether what is known ever was all that the service had."""
        return self._feed.is_complete

    @property
    def is_told(self) -> bool:
        """Whether a feed tells of changes, or will once the service is back."""
        return self._feed.is_complete and self._feed.state is not State.OFF

    @property
    def source(self) -> str:
        """`live`, or `cache` while the service is away."""
        return self._freshness.source

    def age(self) -> float | None:
        """Seconds since what is known by the feed was known to be current; None without one."""
        return self._feed.age() if self.is_told else None

    async def wait_until_told(self, *, told: bool) -> None:
        """Returns once `is_told` is as given."""
        while self.is_told is not told:
            await self._feed.wait_for_move()

    async def wait_until_live(self, *, live: bool) -> None:
        """Returns once `is_live` is as given."""
        while self.is_live is not live:
            await self._feed.wait_for_move()

    def changes_since(self, generation: int) -> list[Changed] | None:
        """What has changed since a generation; None when that is too long ago."""
        return self._known.changes_since(generation)

    async def wait_for_change(self, generation: int) -> None:
        """Returns once something has changed since a generation."""
        await self._known.wait_for_change(generation)

    def own(self) -> Mapping[str, Version]:
        """The own secrets by id, without `.smfs` and what is below; always the newest state."""
        return self._known.own()

    def sent(self) -> Mapping[str, Mapping[str, Version]]:
        """What was last shared, by recipient and secret id; always the newest state."""
        return self._known.sent()

    def senders(self) -> Mapping[str, Sender]:
        """The accepted senders by node id, with what they shared; always the newest state."""
        return self._known.senders()

    def peek(self, key: Key) -> Version | None:
        """The current version of a secret, where it is known without asking, opened and fine."""
        if self._feed.state is not State.LIVE:
            return None
        version = self._known.get(key)
        is_fine = version is not None and version.problem is None and bool(version.token)
        return version if is_fine and version is not None and version.is_here else None

    async def measured(self) -> None:
        """Returns once all contents have come, and their sizes are known."""
        await self._feed.filled()
        if self._feed.is_running:
            await self._measuring.wait()

    async def measure(self, key: Key) -> bool:
        """Finds out the size of a known secret; returns whether it is known now."""
        return await self._measuring.measure(key)

    def content_limit(self) -> int:
        """The most bytes that any content may have, as far as is known without asking."""
        return self._envelopes.limits.content_bytes()

    def check_size(self, content: bytes) -> None:
        """Raises TooLarge when a content cannot fit, as far as is known without asking."""
        self._envelopes.limits.check_known_size(content)

    def state(self) -> dict[str, Any]:
        """The connection and the counts as JSON values, for `.status`; nothing secret."""
        connection = self.connection
        health = connection.health
        age = self._feed.age()
        return {
            "service": connection.shown_url,
            "connection": health.connection,
            "source": self.source,
            "feed": self._feed.state.value,
            "age": None if age is None else int(age),
            "lastError": health.last_error,
            "counters": {
                "requests": health.requests,
                "retries": health.retries,
                "errors": health.errors,
            },
            "secrets": len(self._known.own()),
            "senders": len(self._known.senders()),
            "contentLimit": self.content_limit(),
            "cache": self._keeper.cache.state() if self._keeper else None,
        }
