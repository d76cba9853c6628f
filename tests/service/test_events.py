"""What the original posted to hooks, and what our table of events says of the same requests."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from smfs.protocol import requests, texts
from smfs.service.domain import EVENTS, FUNCTIONS
from smfs.service.events import closure_messages, request_messages
from smfs.service.hook_rows import Hook, Target
from smfs.service.http import Incoming
from smfs.service.transaction import Done

HOOK = Hook("aa" * 32, "bb" * 16, Target(), "log", "http://listener.test/")


def recorded_events(vectors: Callable[[str], Any]) -> list[dict[str, Any]]:
    """Every post of the vectors that tells of an event."""
    posts = [json.loads(each["body"]) for each in vectors("notifications")["notifications"]]
    return [post for post in posts if "event" in post]


def test_every_recorded_event_is_in_the_table(vectors: Callable[[str], Any]) -> None:
    """Each request that went well has the event that the original gave it."""
    told = {
        (post["meta"]["source"].removeprefix("request "), post["event"])
        for post in recorded_events(vectors)
        if post["event"] != "event onError" and post["meta"]["source"].startswith("request ")
    }
    assert len(told) > 8
    ours = {(kind.route(), event) for kind, event in EVENTS.items()}
    assert told <= ours


def test_every_recorded_event_has_our_form(vectors: Callable[[str], Any]) -> None:
    """The same request, told by us, has the same keys in the same order, and the same values."""
    compared = 0
    for post in recorded_events(vectors):
        meta = post["meta"]
        if meta["source"] == "closuredatemodule.close":
            [(_, message)] = closure_messages([HOOK])
            ours = json.loads(message)
            assert (list(ours), ours["meta"]) == (list(post), meta)
            continue
        kind = requests.ROUTES[meta["source"].removeprefix("request ")]
        request = requests.parse(kind, with_signature(kind, meta["body"]))
        incoming = Incoming(
            "POST", meta["originalUrl"], b"", {b"host": b"127.0.0.1:6990"}, "1.2.3.4"
        )
        error = post["event"] == "event onError"
        outcome = Done(error_of(meta) if error else None, None, [HOOK], [])
        [(_, message)] = request_messages(incoming, request, outcome, meta["response"])
        ours = json.loads(message)
        ours["type"], ours["meta"]["ip"] = post["type"], meta["ip"]
        assert json.dumps(ours) == json.dumps(post)
        compared += 1
    assert compared > 15


def with_signature(kind: type[requests.Request], body: dict[str, Any]) -> dict[str, Any]:
    """The request's body as it was sent: events leave the signature out."""
    names = [field.name for field in requests.wire_fields(kind)]
    return {name: body.get(name, "00" * 64) for name in names}


def error_of(meta: dict[str, Any]) -> Exception:
    """The error that the words mean."""
    return texts.error_of(meta["response"]["error"])


def test_every_request_has_its_function() -> None:
    """The table of routes and the domain know the same requests."""
    assert set(FUNCTIONS) == set(requests.ROUTES.values())
    assert set(EVENTS) <= set(FUNCTIONS)
