"""Replicas that die one after the other while many clients work: nothing lost, nothing doubled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.replicas.run import Run

if TYPE_CHECKING:
    from tests.replicas.replicas import Replicas

pytestmark = pytest.mark.trio

SECONDS: Final = 12.0
EVERY_S: Final = 1.5
DONE: Final = frozenset(
    {
        *("set", "get", "delete", "share", "get from", "unshare", "accept", "stop", "refused"),
        *("share once", "get once", "code", "open", "replay", "hook"),
    }
)
COUNTED_AT_THE_END: Final = {"hook told", "change followed", "retry"}


async def test_nothing_is_lost_and_nothing_doubled(replicas: Replicas) -> None:
    """Every client is told the truth, and of no error that it could have helped by itself."""
    run = Run(replicas.url, SECONDS, wanted=DONE)

    await run.at(replicas, EVERY_S, deaths=3)

    assert not run.ledger.complaints
    assert not run.ledger.errors
    assert min(run.ledger.done[kind] for kind in DONE | COUNTED_AT_THE_END) > 0
    assert {death.replica for death in replicas.deaths} == {0, 1, 2}
    counts = replicas.proxy.counts()
    assert min(counts["0"], counts["1"], counts["2"]) > 0
    assert "Traceback" not in replicas.logs()
