"""What callers give in a wrong form is refused with the right words, and nothing is sent."""

from __future__ import annotations

from typing import Any

import pytest

from smfs import errors
from smfs.client.client import Client, create_client
from smfs.client.view import View

pytestmark = pytest.mark.anyio

NODE = "b0" * 32
NO_DATES = [float("-inf"), float("inf"), float("nan"), 10**400, -(10**400), True, "1", "+4hours"]


# --- closure dates ----------------------------------------------------------------------------


@pytest.mark.parametrize("closure_date", NO_DATES, ids=lambda date: str(date)[:8])
def test_a_space_is_not_kept_for_ever_because_of_a_wrong_date(closure_date: Any) -> None:
    """What is not finite would be sent as null."""
    with pytest.raises(errors.InvalidInput, match="closure date"):
        create_client("http://x", closure_date=closure_date)


@pytest.mark.parametrize("closure_date", NO_DATES, ids=lambda date: str(date)[:8])
async def test_nobody_is_accepted_for_ever_because_of_a_wrong_date(
    alice: Client, wire: Any, closure_date: Any
) -> None:
    """Neither by a client nor by a view; the service is not asked."""
    with pytest.raises(errors.InvalidInput, match="closure date"):
        await alice.accept_secrets_from(NODE, closure_date)
    with pytest.raises(errors.InvalidInput, match="closure date"):
        await View(alice).accept(NODE, closure_date)
    assert wire.seen == []


@pytest.mark.parametrize("closure_date", [None, 4_000_000_000_000, 4e12, -1, 0.5])
def test_a_closure_date_is_taken_as_it_is(closure_date: float | None) -> None:
    """Whether it is in the future is the service's to say."""
    assert create_client("http://x", closure_date=closure_date).closure_date == closure_date
