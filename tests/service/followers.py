"""Those who follow the feed of a node."""

from __future__ import annotations

from typing import Any

from smfs.protocol import canonical, requests
from smfs.protocol.changes import (
    SENDER,
    Changes,
    NodeChanged,
    NodeGone,
    SecretChanged,
    SecretGone,
)
from smfs.protocol.requests import SignedRequest
from tests.service.nodes import Answer, Node


class Follower:
    """Somebody who follows the feed of a node.

    Attributes:
        node: whose feed it is.
        feed, since: where the last page ended.
        secrets: by sender (empty for own ones) and secret id, all that was told to be there.
        nodes: by role and node id, the closure dates of the others.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.feed, self.since = "", 0
        self.is_listing = False
        self.secrets: dict[tuple[str, str], SecretChanged] = {}
        self.nodes: dict[tuple[str, str], float | None] = {}

    def request(self, **fields: Any) -> SignedRequest:
        """Asks for the next page."""
        asked = {
            "feed": self.feed,
            "since": self.since,
            "listing": self.is_listing,
            "contents": False,
            "wait": 0,
        }
        return self.node.signed(requests.GetChanges, **{**asked, **fields})

    def read(self, answer: Answer) -> Changes:
        """The page in an answer."""
        assert (answer.status, answer.error) == (200, None), answer
        return Changes.parse(canonical.decode(answer.opened(self.node.identity)))

    async def ask(self, **fields: Any) -> Changes:
        """One page, not applied."""
        return self.read(await self.node.send(self.request(**fields)))

    async def step(self, **fields: Any) -> Changes:
        """One page, applied."""
        page = await self.ask(**fields)
        self.apply(page)
        return page

    async def catch_up(self, **fields: Any) -> list[Changes]:
        """All pages until there is no more, each applied."""
        pages = [await self.step(**fields)]
        while pages[-1].more:
            pages.append(await self.step(**fields))
        return pages

    def apply(self, page: Changes) -> None:
        """What a page tells."""
        if page.since == 0:
            self.secrets.clear()
            self.nodes.clear()
            self.is_listing = True
        else:
            assert (page.feed, page.since) == (self.feed, self.since)
        self.is_listing = self.is_listing and page.more
        revisions = [change.revision for change in page.changes]
        assert revisions == sorted(set(revisions))
        assert all(page.since < each <= page.revision for each in revisions)
        self.feed, self.since = page.feed, page.revision
        for change in page.changes:
            self._apply(change)

    def _apply(self, change: object) -> None:
        match change:
            case SecretChanged():
                self.secrets[change.from_id, change.secret_id] = change
            case SecretGone():
                self.secrets.pop((change.from_id, change.secret_id), None)
            case NodeChanged():
                self.nodes[change.role, change.node_id] = change.closure_date
            case NodeGone():
                self.nodes.pop((change.role, change.node_id), None)
                if change.role == SENDER:
                    self._drop_all_of(change.node_id)

    def _drop_all_of(self, sender: str) -> None:
        self.secrets = {key: each for key, each in self.secrets.items() if key[0] != sender}
