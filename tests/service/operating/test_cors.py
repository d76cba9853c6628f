"""Browser clients: only pages of explicit origins may ask and read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from smfs.errors import InvalidInput
from smfs.service.operating import Operating, OperatingOptions

pytestmark = pytest.mark.anyio

Ask = Callable[..., Awaitable[Any]]
Operate = Callable[..., Operating]

OURS = "https://app.example"
STRANGER = {"origin": "https://evil.example", "access-control-request-method": "POST"}


@pytest.fixture
def app(operate: Operate) -> Operating:
    """A service for the pages of two origins."""
    return operate(cors_origins=frozenset({OURS, "http://localhost:8080"}))


def cors_of(answer: Any) -> dict[str, str]:
    """The headers that browsers look at."""
    return {
        name: value
        for name, value in answer.headers.items()
        if name.startswith("access-control") or name == "vary"
    }


@pytest.mark.parametrize("path", ["/setSecret", "/getChanges", "/.well-known/smfs"])
async def test_a_page_of_ours_may_ask(app: Operating, ask: Ask, path: str) -> None:
    """Its browser is told so beforehand."""
    headers = {"origin": OURS, "access-control-request-method": "POST"}
    answer = await ask(app, path, method="OPTIONS", headers=headers)
    assert (answer.status, answer.body) == (204, b"")
    told = cors_of(answer)
    assert told["access-control-allow-origin"] == OURS
    assert told["access-control-allow-methods"] == "GET, POST"
    assert told["access-control-allow-headers"] == "content-type"
    assert int(told["access-control-max-age"]) > 0
    assert told["vary"] == "Origin"
    assert "access-control-allow-credentials" not in told
    assert "content-length" not in answer.headers  # RFC 9110, section 8.6


async def test_a_page_of_ours_may_read(app: Operating, ask: Ask, alice: Any) -> None:
    """The answer and our headers, also of a refusal."""
    alice.app = app
    for path in ("/getSecretSpace", "/unknown"):
        answer = await ask(app, path, "{}", headers={"origin": OURS})
        assert answer.status in (400, 404)
        told = cors_of(answer)
        exposed = set(told.pop("access-control-expose-headers").split(", "))
        assert exposed == {"smfs-revision", "smfs-receipt", "retry-after", "x-request-id"}
        assert told == {"access-control-allow-origin": OURS, "vary": "Origin"}


async def test_a_refusal_by_a_limit_can_be_read(operate: Operate, ask: Ask) -> None:
    """Else a page could not tell that it is to wait."""
    app = operate(cors_origins=frozenset({OURS}), address_rate=0.1, address_burst=1)
    answers = [await ask(app, "/getSecret", "{}", headers={"origin": OURS}) for _ in range(2)]
    assert [answer.status for answer in answers] == [400, 429]
    assert cors_of(answers[1])["access-control-allow-origin"] == OURS


async def test_others_get_what_the_original_answers(app: Operating, ask: Ask) -> None:
    """PROTOCOL.md section 2; a cache learns only that the answer depends on who asks."""
    answer = await ask(app, "/getSecret", method="OPTIONS", headers=STRANGER)
    assert (answer.status, answer.body, answer.headers["allow"]) == (200, b"POST", "POST")
    assert cors_of(answer) == {"vary": "Origin"}
    for headers in (STRANGER, {"origin": "null"}, {}):
        assert cors_of(await ask(app, "/getSecret", "{}", headers=headers)) == {"vary": "Origin"}


async def test_without_origins_there_is_nothing(operate: Operate, ask: Ask) -> None:
    """As the original has it."""
    answer = await ask(operate(), "/getSecret", method="OPTIONS", headers=STRANGER)
    assert (answer.status, cors_of(answer)) == (200, {})


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/unknown", {"origin": OURS, "access-control-request-method": "POST"}, 404),
        ("/metrics", {"origin": OURS, "access-control-request-method": "GET"}, 404),
        ("/getSecret", {"origin": OURS}, 200),
    ],
)
async def test_not_every_options_is_a_preflight(
    app: Operating, ask: Ask, path: str, headers: dict[str, str], status: int
) -> None:
    """What is none is the service's."""
    assert (await ask(app, path, method="OPTIONS", headers=headers)).status == status


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "",
        "https://a.example/",
        "https://A.example",
        "a.example",
        "https://u@a.example",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    """It would be of no use, or for everybody."""
    with pytest.raises(InvalidInput):
        OperatingOptions(cors_origins=frozenset({origin}))


@pytest.mark.parametrize(
    "origin", ["https://a.example", "http://localhost:8080", "http://[::1]:80", "http://10.0.0.1"]
)
def test_an_origin_that_browsers_send_is_taken(origin: str) -> None:
    """As they write it."""
    assert OperatingOptions(cors_origins=frozenset({origin})).cors_origins == {origin}
