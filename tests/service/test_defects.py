"""The defects of the original, request by request, with what is recommended instead."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from smfs.crypto.identity import Identity
from smfs.protocol import requests, signing
from smfs.service import ServiceOptions, create_service
from tests.service.places import Place, give_key

pytestmark = pytest.mark.anyio

OK = "ok"
BOX = "a box"
HOOK = "a hook"
NODE = "the node id"
NOT_FOUND = "page 404"
REPLAY = "401 Error on authenticateRequest! Multiple use of signature detected!"
LATE = "401 Error on authenticateRequest! Invalid Timestamp!"
CAPITALS = "400"


def no_secret(secret_id: str) -> str:
    """The refusal of a secret that is not there."""
    return f'200 Secret with secretId "{secret_id}" did not exist!'


def no_sub_space(name: str) -> str:
    """The refusal of a sender who is not accepted."""
    return f'200 There is no SubSpace for "{name}"'


def no_space(name: str) -> str:
    """The refusal of a node without a space."""
    return f'200 SecretSpace for "{name}" did not exist!'


# Each scenario of the vectors: what our service says to each of its requests.
RECOMMENDED: dict[str, list[str]] = {
    "deleteSharedSecret": [
        *(OK,) * 5,
        no_secret("x"),
        no_secret("missing"),
        no_sub_space("<carol>"),
        no_space("66" * 32),
        "200 No secretId provided!",
    ],
    "paths with a slash at the end or in other letter case": [
        OK,
        NOT_FOUND,
        no_secret("x"),
        NOT_FOUND,
        NOT_FOUND,
        NOT_FOUND,
        no_space("<carol>"),
        NOT_FOUND,
    ],
    "secret ids that name properties of every JavaScript object "
    "(constructor, toString, valueOf, hasOwnProperty, __proto__, ...)": [
        OK,
        OK,
        no_secret("constructor"),
        OK,
        no_secret("constructor"),
        BOX,
        OK,
        no_secret("constructor"),
        no_secret("toString"),
        no_secret("toString"),
        OK,
        no_sub_space("constructor"),
    ],
    "secret id __proto__": [OK, OK, OK, OK, BOX, NODE],
    "replays that get through": [OK, OK, BOX, REPLAY, REPLAY, REPLAY],
    "node ids in capitals": [OK, CAPITALS, no_sub_space("<bob>"), CAPITALS, CAPITALS],
    "a refused openSecretSpace uses up the code": [OK, OK, OK, BOX, LATE, OK],
    "a closure date outlives what it was set on": [*(OK,) * 5, BOX, *(OK,) * 4, BOX],
    "deleteNotificationHook does not look at the owner": [
        OK,
        OK,
        OK,
        HOOK,
        '200 notificationHookIds: "<hook>" did not exist!',
        "1 hook",
        OK,
        no_secret("x"),
    ],
}


def shown(answer: Any, names: dict[str, str]) -> str:
    """An answer in the words of the table above."""
    if answer.headers["content-type"].startswith("text/html"):
        return f"page {answer.status}"
    if answer.status == 400:
        return CAPITALS
    value = answer.json
    if "error" in value:
        text = f"{answer.status} {value['error']}"
        for value, name in names.items():
            text = text.replace(value, f"<{name}>")
        return text
    kinds = {"ok": OK, "referencePointHex": BOX, "serverNodeId": NODE, "id": HOOK}
    hooks = f"{len(value.get('notificationHooks', ()))} hook"
    return next((shown for key, shown in kinds.items() if key in value), hooks)


class Chosen:
    """What our service chose, in the place of what the original chose."""

    def __init__(self, recorded: dict[str, Any]) -> None:
        keys = [*recorded["nodes"].values(), recorded["service"]]
        self.identities = {
            each["publicKeyHex"]: Identity.from_secret_key_hex(each["secretKeyHex"])
            for each in keys
        }
        self.values: dict[str, str] = {}

    def body(self, step: dict[str, Any]) -> str:
        """The recorded body, signed anew where it holds such a value."""
        text: str = step["request"]["body"]
        changed = text
        for theirs, ours in self.values.items():
            changed = changed.replace(theirs, ours)
        if changed == text:
            return text
        kind = requests.ROUTES[step["route"].removeprefix("/")]
        request = requests.parse(kind, json.loads(changed))
        assert isinstance(request, requests.SignedRequest)
        signer = self.identities[request.public_key]
        return json.dumps(signing.sign(signer, request).to_wire())

    def learn(self, step: dict[str, Any], answer: Any) -> None:
        """Notes a hook id or an auth code."""
        recorded = json.loads(step["response"]["body"])
        if step["route"] == "/addNotificationHook" and "id" in recorded:
            self.values[recorded["id"]] = answer.json["id"]
        elif step.get("fields", {}).get("secretId", "").endswith("AuthCode"):
            reader = self.identities[step["fields"]["publicKey"]]
            self.values[step["plaintext"]] = answer.opened(reader)


@pytest.mark.parametrize("name", RECOMMENDED, ids=lambda name: str(name)[:30])
async def test_what_is_recommended_is_done(
    name: str,
    vectors: Callable[[str], Any],
    ask: Callable[..., Awaitable[Any]],
    place: Place,
    clock: Any,
) -> None:
    """Every request of every scenario; the service is started anew before the last one."""
    recorded = vectors("replay/defects")
    scenario = next(each for each in recorded["scenarios"] if each["name"] == name)
    service_key = Identity.from_secret_key_hex(recorded["service"]["secretKeyHex"])
    give_key(place, service_key)
    chosen = Chosen(recorded)
    names = {
        node["publicKeyHex"]: name for name, node in recorded["nodes"].items() if name != "capitals"
    }
    found = []
    for steps in (scenario["steps"][:-1], scenario["steps"][-1:]):
        options = ServiceOptions(allow_private_hooks=True)
        async with create_service(
            place, options=options, now=clock, identity=service_key
        ) as service:
            for step in steps:
                clock.now_ms = step["now"]
                answer = await ask(service, step["request"]["path"], chosen.body(step))
                chosen.learn(step, answer)
                hooks = dict.fromkeys(chosen.values.values(), "hook")
                found.append(shown(answer, names | hooks))
                await service.sweep()
    assert found == RECOMMENDED[name]


def test_every_scenario_is_here(vectors: Callable[[str], Any]) -> None:
    """No defect of the vectors was left out."""
    scenarios = vectors("replay/defects")["scenarios"]
    assert {each["name"]: len(each["steps"]) for each in scenarios} == {
        name: len(expected) for name, expected in RECOMMENDED.items()
    }
