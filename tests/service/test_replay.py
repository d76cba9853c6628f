"""The recorded conversation with the original is repeated against our service, step by step."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

import anyio.to_thread
import pytest

from smfs.crypto.box import box_from_json, open_box
from smfs.crypto.identity import Identity
from smfs.errors import MalformedData
from smfs.protocol import canonical, requests, signing
from smfs.service import Service, ServiceOptions, create_service
from tests.service.places import Place, give_key

pytestmark = pytest.mark.anyio

Step = dict[str, Any]
Ask = Callable[..., Awaitable[Any]]
AUTH_CODE = "AuthCode"


class Outcome(NamedTuple):
    """What is compared: the same for what was recorded and for what our service did."""

    status: int
    content_type: str
    body: Any


class Replay:
    """The conversation, its values chosen by a service replaced by those of ours."""

    def __init__(self, recorded: dict[str, Any], listener: Any, ask: Ask) -> None:
        self.recorded = recorded
        self.listener = listener
        self.ask = ask
        self.chosen: dict[int, str] = {}
        keys = {**recorded["nodes"], "service": recorded["service"]}
        self.identities = {
            each["publicKeyHex"]: Identity.from_secret_key_hex(each["secretKeyHex"])
            for each in keys.values()
        }

    @property
    def service_identity(self) -> Identity:
        """The service's key pair."""
        return self.identities[self.recorded["service"]["publicKeyHex"]]

    def moved(self, text: str) -> str:
        """The listener was elsewhere when the conversation was recorded."""
        return text.replace(self.recorded["hookListener"], self.listener.url)

    def body(self, step: Step) -> str:
        """What to send in this step."""
        request = step["request"]
        repeat = request.get("bodyRepeat")
        if repeat:
            return str(repeat["before"] + repeat["text"] * repeat["count"] + repeat["after"])
        text: str = request.get("body") or ""
        if "uses" not in step and self.moved(text) == text:
            return text
        return self._signed_anew(step, json.loads(self.moved(text)))

    def _signed_anew(self, step: Step, wire: dict[str, Any]) -> str:
        for name, source in step.get("uses", {}).items():
            wire[name] = self.chosen[source]
        if "signature" not in wire or step["by"] is None:
            return canonical.encode(wire)
        kind = requests.ROUTES[step["route"].removeprefix("/")]
        try:
            request = requests.parse(kind, wire)
        except Exception:  # noqa: BLE001 - malformed on purpose
            return canonical.encode(wire)
        assert isinstance(request, requests.SignedRequest)
        signed = signing.sign(self.identities[wire["publicKey"]], request)
        return canonical.encode(signed.to_wire())

    async def send(self, app: Service, step: Step) -> Any:
        """Our service's answer."""
        request = step["request"]
        headers = {"host": "127.0.0.1:3333", **(request.get("headers") or {})}
        headers["content-type"] = request.get("contentType") or ""
        return await self.ask(
            app, request["path"], self.body(step), method=request["method"], headers=headers
        )

    def remember(self, step: Step, answer: Any) -> None:
        """Keeps what our service chose, for the steps that use it."""
        if step["compare"] == "hook":
            self.chosen[step["n"]] = answer.json["id"]
        elif step["compare"] == "cipher":
            self.chosen[step["n"]] = answer.opened(self._reader(step))

    def expected(self, step: Step) -> Outcome:
        """What the original did, as far as it is compared."""
        answer = step["response"]
        body = self.moved(answer["body"])
        for name, source in step.get("uses", {}).items():
            body = body.replace(step["fields"][name], self.chosen[source])
        if step["compare"] == "cipher":
            value = {"plaintext": step["plaintext"], "secret": step.get("secret")}
            if step["fields"]["secretId"].endswith(AUTH_CODE):
                value["plaintext"] = "a code"
            return Outcome(answer["status"], answer["contentType"], value)
        if step["compare"] == "space":
            view = _without_codes(step["view"])
            return Outcome(answer["status"], answer["contentType"], json.dumps(view))
        return Outcome(answer["status"], answer["contentType"], _compared(step["compare"], body))

    def found(self, step: Step, answer: Any) -> Outcome:
        """What our service did, in the same form."""
        kind = answer.headers["content-type"]
        if step["compare"] == "cipher":
            text = answer.opened(self._reader(step))
            secret = self._client_layer(self._reader(step), text)
            is_code = step["fields"]["secretId"].endswith(AUTH_CODE)
            value = {"plaintext": "a code" if is_code else text, "secret": secret}
            return Outcome(answer.status, kind, value)
        if step["compare"] == "space":
            view = self._view(self._reader(step), json.loads(answer.opened(self._reader(step))))
            return Outcome(answer.status, kind, json.dumps(_without_codes(view)))
        return Outcome(answer.status, kind, _compared(step["compare"], answer.text))

    def _reader(self, step: Step) -> Identity:
        return self.identities[step["fields"]["publicKey"]]

    def _client_layer(self, reader: Identity, text: str) -> str | None:
        try:
            box = box_from_json(canonical.decode(text))
        except MalformedData:
            return None
        return open_box(reader, box).decode()

    def _view(self, reader: Identity, space: dict[str, Any]) -> dict[str, Any]:
        """A listing as the recording shows it: secrets decrypted, hook ids counted."""
        space["meta"].pop("serverSig", None)
        _count_hooks(space["meta"])
        for secret_id, entry in space["secrets"].items():
            text = open_box(reader, box_from_json(entry["secret"])).decode()
            secret = self._client_layer(reader, text)
            shown = {"serviceLayer": text, "secret": secret, "isOneTime": entry.get("isOneTime")}
            shown = {key: value for key, value in shown.items() if value is not None}
            space["secrets"][secret_id] = _count_hooks({**shown, **_hooks_of(entry)})
        for sub in space.get("subSpaces", {}).values():
            self._view(reader, sub)
        return space

    async def notified(self, step: Step) -> tuple[list[str], list[str]]:
        """What the original posted because of this step, and what ours did."""
        wanted = [(post["path"], json.loads(post["body"])) for post in step["notifications"]]
        came = await anyio.to_thread.run_sync(self.listener.take, len(wanted))
        return sorted(map(self._post, wanted)), sorted(map(self._post, came))

    def _post(self, post: tuple[str, Any]) -> str:
        path, body = post
        meta = body.get("meta", {})
        sent = dict(meta.get("body", {}))
        for name in ("notificationHookId", "authCode"):
            if name in sent:
                sent[name] = "chosen by the service"
        shown = {
            "path": path,
            "check": body.get("check"),
            "type": body.get("type"),
            "event": body.get("event"),
            "source": meta.get("source"),
            "body": sent,
            "error": meta["response"].get("error") if _is_object(meta.get("response")) else None,
        }
        return self.moved(json.dumps(shown, sort_keys=True))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _hooks_of(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in ("notificationHooks",) if key in entry}


def _count_hooks(holder: dict[str, Any]) -> dict[str, Any]:
    holder["notificationHooks"] = len(holder.get("notificationHooks", ()))
    return holder


def _without_codes(view: dict[str, Any]) -> dict[str, Any]:
    for sub in view.get("subSpaces", {}).values():
        _without_codes(sub)
    for secret_id, entry in view["secrets"].items():
        if secret_id.endswith(AUTH_CODE):
            entry["serviceLayer"] = "a code"
    return view


def _compared(rule: str, body: str) -> Any:
    """What of a body is compared by this rule."""
    if rule == "status":
        return None
    if rule == "exact":
        return body
    value = json.loads(body)
    hooks = value["notificationHooks"] if rule == "hooks" else [value]
    for hook in hooks:
        hook["id"] = len(hook["id"])
        if hook["lastNotification"]:
            hook["lastNotification"]["error"] = hook["lastNotification"]["error"] is not None
    return json.dumps(value)


@asynccontextmanager
async def _running(place: Place, replay: Replay, clock: Any) -> AsyncIterator[Service]:
    options = ServiceOptions(allow_private_hooks=True, body_bytes=102_400)
    async with create_service(
        place, options=options, now=clock, identity=replay.service_identity
    ) as service:
        yield service


async def _differences(replay: Replay, service: Service, step: Step) -> list[str]:
    answer = await replay.send(service, step)
    wanted, found = replay.expected(step), replay.found(step, answer)
    replay.remember(step, answer)
    different = []
    if wanted != found:
        different.append(f"step {step['n']} {step['route']}: {wanted} but {found}")
    if step.get("notifications"):
        posted, came = await replay.notified(step)
        if posted != came:
            different.append(f"step {step['n']} {step['route']}: posted {posted} but {came}")
    return different


async def test_the_recorded_conversation_is_answered_as_the_original_did(
    vectors: Callable[[str], Any], listener: Any, ask: Ask, place: Place, clock: Any
) -> None:
    """Every step, by the recording's own rules of comparison, a restart in the middle included."""
    replay = Replay(vectors("replay/recorded"), listener, ask)
    give_key(place, replay.service_identity)
    different: list[str] = []
    opened: AbstractAsyncContextManager[Service] = _running(place, replay, clock)
    service = await opened.__aenter__()
    steps = replay.recorded["steps"]
    assert len(steps) == 259
    try:
        for step in steps:
            clock.now_ms = step["now"]
            if step.get("action") == "restart":
                await opened.__aexit__(None, None, None)
                opened = _running(place, replay, clock)
                service = await opened.__aenter__()
            else:
                different += await _differences(replay, service, step)
    finally:
        await opened.__aexit__(None, None, None)
    assert not different, "\n".join(different)
