"""What a run complains of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.replicas.hooks import Heard
from tests.replicas.ledger import Content, Ledger, Slot
from tests.replicas.replicas import Death


@pytest.fixture
def slot() -> Slot:
    """A secret that was acknowledged, and then attempted to be replaced."""
    made = Slot("own a")
    made.acknowledged("first")
    made.attempted("second")
    return made


@pytest.mark.parametrize(
    ("found", "complaints"),
    [("first", 0), ("second", 0), (None, 1), ("third", 1), ("fir", 1)],
)
def test_what_was_acknowledged_or_attempted_may_be_there(
    slot: Slot, found: Content, complaints: int
) -> None:
    """Whole, and nothing else."""
    ledger = Ledger()
    slot.check(found, ledger)
    assert len(ledger.complaints) == complaints


def test_what_is_acknowledged_replaces_what_was_attempted(slot: Slot) -> None:
    """It must not come back."""
    ledger = Ledger()
    slot.acknowledged(None)
    slot.check("second", ledger)
    assert ledger.complaints == ["own a holds 'second', not nothing"]


def told(nonce: int) -> dict[str, Any]:
    """What a hook is told of a write."""
    return {"meta": {"body": {"secret": json.dumps({"n": nonce}), "nonce": nonce}}}


@pytest.mark.parametrize(
    ("died_at", "doubled"), [([], 1), ([0.5], 1), ([1.5], 0), ([2.5], 1), ([0.5, 1.5], 0)]
)
def test_a_hook_is_told_twice_only_around_a_death(
    monkeypatch: pytest.MonkeyPatch, died_at: list[float], doubled: int
) -> None:
    """At 1 and at 2; another event in between is another event."""
    heard = Heard(1)
    for at, nonce in [(1.0, 7), (1.2, 8), (2.0, 7)]:
        monkeypatch.setattr("time.monotonic", lambda at=at: at)
        heard._take("node", told(nonce))
    assert heard.doubled([Death(0, at, at) for at in died_at]) == doubled
    assert len(heard.told("node")) == 2
