"""Alice, who follows her feed, and her other machine and Bob, who do not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from smfs.client import feed
from smfs.service import Service, feed_rows
from tests.client.conftest import Clock
from tests.client.following import ALICE, BOB, Crowd, Party, gathered


@pytest.fixture(autouse=True)
def _short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses after a failure are there, but short."""
    monkeypatch.setattr(feed, "_FIRST_PAUSE_S", 0.005)
    monkeypatch.setattr(feed, "_LONGEST_PAUSE_S", 0.02)


@pytest.fixture
async def crowd(service: Service, clock: Clock) -> AsyncIterator[Crowd]:
    """Whoever comes to the service."""
    async with gathered(service, clock) as crowd:
        yield crowd


@pytest.fixture
async def alice(crowd: Crowd) -> Party:
    """Alice, who follows."""
    party = crowd.join(ALICE)
    await party.follow()
    return party


@pytest.fixture
def twin(crowd: Crowd) -> Party:
    """Alice on another machine, where she does not follow."""
    return crowd.join(ALICE)


@pytest.fixture
def bob(crowd: Crowd) -> Party:
    """Bob, who does not follow."""
    return crowd.join(BOB)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page has two changes with contents, or five without."""
    monkeypatch.setattr(feed_rows, "_PAGE_WITH_CONTENTS", 2)
    monkeypatch.setattr(feed_rows, "_PAGE", 5)
