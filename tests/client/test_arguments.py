"""What callers give in a wrong form is refused with the right words, and nothing is sent."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from smfs import errors
from smfs.client.client import Client, create_client
from smfs.client.view import View

pytestmark = pytest.mark.anyio

NODE = "b0" * 32
NO_TEXT: Any = None
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


# --- options ----------------------------------------------------------------------------------


@pytest.mark.parametrize("require_signatures", [True, False, None, "own"])
def test_what_signatures_are_required_for_is_no_flag(require_signatures: Any) -> None:
    """It is said at once, and not when the first secret is read."""
    with pytest.raises(errors.InvalidInput, match="require_signatures"):
        create_client("http://x", require_signatures=require_signatures)


@pytest.mark.parametrize(
    "deadline",
    [None, "1", True, 0, -1, float("nan"), 10**400, 1j],
    ids=lambda value: str(value)[:8],
)
def test_a_deadline_is_a_positive_number(deadline: Any) -> None:
    """Nothing else is compared with 0."""
    with pytest.raises(errors.InvalidInput, match="a deadline is a positive number"):
        create_client("http://x", deadline=deadline)


@pytest.mark.parametrize("one_time", [1, 0, None, "yes"])
async def test_for_one_time_is_a_flag(alice: Client, wire: Any, one_time: Any) -> None:
    """Whether by a client or by a view; nothing is sent."""
    with pytest.raises(errors.InvalidInput, match="one_time is True or False"):
        await alice.share_secret_to(NODE, "id", "text", one_time=one_time)
    with pytest.raises(errors.InvalidInput, match="one_time is True or False"):
        await View(alice).share(NODE, "id", b"text", one_time=one_time)
    assert wire.seen == []


async def test_what_is_no_text_is_called_by_its_name(alice: Client, wire: Any) -> None:
    """It is not all secret ids."""
    for call, what in (
        (alice.add_notification_hook(NO_TEXT, "this", "http://x"), "the kind of a hook"),
        (alice.add_notification_hook("log", NO_TEXT, "http://x"), "the target of a hook"),
        (alice.add_notification_hook("log", "this", NO_TEXT), "the URL of a hook"),
        (alice.get_notification_hooks(NO_TEXT), "the target of a hook"),
        (alice.generate_auth_code_for(NO_TEXT), "an action"),
        (alice.get_secret(NO_TEXT), "a secret id"),
    ):
        with pytest.raises(errors.InvalidInput, match=f"^{what} is text, not NoneType"):
            await call
    assert wire.seen == []


# --- what docstrings promise ------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"null", b"[]", b'{"serverNodeId":5}', b'"text"'])
async def test_what_answers_without_an_id_is_no_service(
    alice: Client, wire: Any, faults: Any, body: bytes
) -> None:
    """As with every other answer of a wrong form."""
    headers = {"content-type": "application/json"}
    wire.always("/getNodeId", faults.answers(200, body, headers))
    with pytest.raises(errors.ServiceUnavailable, match="answered with nonsense"):
        await alice.get_server_id()


@pytest.mark.parametrize("node_id", ["", "é", "0", "zz" * 32, "00" * 33])
async def test_whom_nobody_can_be_is_refused_by_a_view_that_follows(
    alices_view: View, node_id: str
) -> None:
    """It asks nobody about what is no node id."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(alices_view.follow)
        with anyio.fail_after(60):
            await alices_view.wait_until_live(live=True)
        with pytest.raises(errors.InvalidPoint):
            await alices_view.check_share(node_id, "id")
        tasks.cancel_scope.cancel()


async def test_what_is_no_text_is_no_petname(alices_view: View, wire: Any) -> None:
    """Nor a node id; the service is not asked."""
    petnames = alices_view.petnames
    for call, what in (
        (petnames.set(NO_TEXT, NODE), "a petname"),
        (petnames.set("ok", NO_TEXT), "a node id"),
        (petnames.drop(NO_TEXT), "a petname"),
    ):
        with pytest.raises(errors.InvalidInput, match=f"^{what} is text, not NoneType"):
            await call
    assert wire.seen == []
