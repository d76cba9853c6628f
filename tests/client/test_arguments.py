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


# --- addresses --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://a..b/",
        "http://.a/",
        "http://a../",
        "http://.",
        f"http://{'a' * 64}/",
        f"http://a.{'b' * 64}.c/",
        "http://h:0/",
        "http://h:-1/",
        "http://h:65536/",
        "http://[::1]:65536/",
        "http://xn--a/",
        "http://h/\ud800",
    ],
)
def test_an_address_that_nothing_can_connect_to_is_refused(url: str) -> None:
    """At once, and not by what the sockets would raise."""
    with pytest.raises(errors.InvalidInput, match="the address of the service"):
        create_client(url)


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("http://h:1", "http://h:1"),
        ("http://h.:65535/", "http://h.:65535"),
        (f"http://{'a' * 63}.b", f"http://{'a' * 63}.b"),
        ("http://ü.de/", "http://xn--tda.de"),
        ("http://[2001:db8::1]:8080/x/", "http://[2001:db8::1]:8080/x"),
    ],
)
def test_an_address_at_the_limits_is_taken(url: str, wanted: str) -> None:
    """The final dot is the root of all names, and no empty part."""
    assert create_client(url).server_url == wanted
