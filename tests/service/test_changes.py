"""The change feed: what it tells, in which order, and what it tells to whom has missed something."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smfs.protocol import canonical, requests
from smfs.protocol.changes import (
    RECIPIENT,
    SENDER,
    Changes,
    NodeChanged,
    NodeGone,
    SecretChanged,
    SecretGone,
)
from smfs.service import Service, feed_rows

pytestmark = pytest.mark.anyio


class Follower:
    """Somebody who follows the feed of a node.

    Attributes:
        node: whose feed it is.
        secrets: sender (empty for own ones) and secret id, of all that was told to be there.
        nodes: role and node id of all others, with their closure dates.
    """

    def __init__(self, node: Any) -> None:
        self.node = node
        self.feed, self.since = "", 0
        self.secrets: dict[tuple[str, str], SecretChanged] = {}
        self.nodes: dict[tuple[str, str], float | None] = {}

    async def ask(self, **fields: Any) -> Changes:
        """One page."""
        return await page_of(self.node, **{"feed": self.feed, "since": self.since, **fields})

    async def catch_up(self, *, contents: bool = False) -> list[Changes]:
        """All pages until there is no more, each applied."""
        pages = [await self.ask(contents=contents)]
        self.apply(pages[0])
        listing = pages[0].since == 0
        while pages[-1].more:
            pages.append(await self.ask(contents=contents, listing=listing))
            self.apply(pages[-1])
        return pages

    def apply(self, page: Changes) -> None:
        """What a page tells."""
        if page.since == 0:
            self.secrets.clear()
            self.nodes.clear()
        else:
            assert (page.feed, page.since) == (self.feed, self.since)
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
                    self.secrets = {
                        key: each for key, each in self.secrets.items() if key[0] != change.node_id
                    }


async def page_of(node: Any, **fields: Any) -> Changes:
    """One page of a node's feed."""
    asked = {"feed": "", "since": 0, "listing": False, "contents": False, "wait": 0, **fields}
    answer = await node.do(requests.GetChanges, **asked)
    return Changes.parse(canonical.decode(answer.opened(node.identity)))


async def test_a_listing_has_all_that_stands(alice: Any, bob: Any) -> None:
    """Own secrets, senders, what they shared, and who accepts the asker."""
    await alice.set("x", "1")
    await alice.accept(bob, 4e12)
    await bob.share(alice, "once", "2", once=True)
    await bob.accept(alice)
    follower = Follower(alice)
    [page] = await follower.catch_up()
    assert (page.since, page.more) == (0, False)
    own, sender, shared, recipient = page.changes
    assert own == SecretChanged(own.revision, "", "x")
    assert sender == NodeChanged(sender.revision, SENDER, bob.node_id, 4e12)
    assert shared == SecretChanged(shared.revision, bob.node_id, "once", one_time=True)
    assert recipient == NodeChanged(recipient.revision, RECIPIENT, bob.node_id, None)
    assert page.revision == recipient.revision
