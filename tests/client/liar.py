"""A service that lies, and what a view says of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

from smfs.client.view import View
from smfs.crypto.box import Box, seal_box
from smfs.crypto.envelope import Address, seal_envelope
from smfs.crypto.identity import Identity
from smfs.protocol import canonical, discovery
from smfs.protocol.spaces import Space, StoredSecret, SubSpace

if TYPE_CHECKING:
    from tests.client.conftest import Passing


def receipt(request: httpx.Request) -> dict[str, str]:
    """The header that says that an answer belongs to this request: anybody can make it."""
    signature = json.loads(request.content)["signature"]
    return {discovery.RECEIPT_HEADER: discovery.receipt_of(signature)}


class Liar:
    """Answers what it likes, with no key but the public ones: whatever a service can do."""

    def __init__(self, reader: str) -> None:
        self.reader = reader
        self.envelopes: dict[str, str] = {}
        self.own: dict[str, str] = {}
        self.shared: dict[tuple[str, str], str] = {}

    async def __call__(self, request: httpx.Request, pass_on: Passing) -> httpx.Response:
        """One answer; what it takes, it takes note of."""
        body = json.loads(request.content or b"{}")
        route = request.url.path[1:]
        if route == "setSecret":
            self.own[body["secretId"]] = self.envelopes[body["secretId"]] = body["secret"]
        value = self._value(route, body)
        if value is None:
            return await pass_on(request)
        return httpx.Response(200, json=value, headers=receipt(request), request=request)

    def _value(self, route: str, body: dict[str, Any]) -> Any:
        secret_id = body.get("secretId", "")
        if route == "getSecret" and secret_id in self.own:
            return self._box(self.own[secret_id]).to_json()
        if route == "getSecretFrom" and (body["fromId"], secret_id) in self.shared:
            return self._box(self.shared[body["fromId"], secret_id]).to_json()
        if route == "getSubSpace":
            sub = self._sub(body["fromId"])
            return self._sealed(sub.to_wire(self.reader, body["fromId"]))
        if route == "getSecretSpace":
            return self._sealed(self._space().to_wire())
        return None

    def _space(self) -> Space:
        return Space(
            self.reader,
            None,
            None,
            "",
            {key: StoredSecret(self._box(text)) for key, text in self.own.items()},
            {sender: self._sub(sender) for sender, _ in self.shared},
        )

    def _sub(self, sender: str) -> SubSpace:
        texts = {key: text for (who, key), text in self.shared.items() if who == sender}
        return SubSpace(None, {key: StoredSecret(self._box(text)) for key, text in texts.items()})

    def _box(self, text: str) -> Box:
        return seal_box(self.reader, text.encode())

    def _sealed(self, value: Any) -> Any:
        return seal_box(self.reader, canonical.encode(value).encode()).to_json()

    def forged(self, content: bytes) -> str:
        """An envelope as the original client writes it, which anybody can."""
        return json.dumps(seal_box(self.reader, content).to_json())


def shared_by(signer: Identity, reader: str, secret_id: str, content: bytes, at: int) -> str:
    """An honest envelope."""
    address = Address("shared", signer.node_id, reader, secret_id)
    return seal_envelope(signer, address, content, at)


async def listed_problem(view: View, secret_id: str) -> type[Exception] | None:
    """What the listing says is wrong with an own secret."""
    await view.refresh(0)
    problem = view.own()[secret_id].problem
    return None if problem is None else type(problem)
