"""Nodes of a service in this process, which is asked byte by byte."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from smfs.crypto.box import box_from_json, open_box
from smfs.crypto.identity import Identity
from smfs.protocol import canonical, requests, signing
from smfs.protocol.requests import Request, SignedRequest

START_MS = 1_800_000_123_456

App = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[MutableMapping[str, Any]]],
        Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ],
    Awaitable[None],
]


@dataclass
class Clock:
    """A clock that tests set: ms since 1970."""

    now_ms: int = START_MS

    def __call__(self) -> int:
        """Now."""
        return self.now_ms


@dataclass(frozen=True)
class Answer:
    """What came back for one request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return canonical.decode(self.body)

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def error(self) -> str | None:
        """The words of a refusal."""
        value = self.json
        return value.get("error") if isinstance(value, dict) else None

    def opened(self, reader: Identity) -> str:
        """The text that the service encrypted to `reader`."""
        return open_box(reader, box_from_json(self.json)).decode()


async def send(
    app: App,
    path: str,
    body: bytes | str = b"",
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    pieces: int = 1,
) -> Answer:
    """One request to an ASGI application, exactly as given; the body in `pieces` messages."""
    data = body.encode() if isinstance(body, str) else body
    size = max(1, -(-len(data) // pieces))
    chunks = [data[start : start + size] for start in range(0, len(data), size)] or [b""]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        if not chunks:
            return {"type": "http.disconnect"}
        chunk = chunks.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(chunks)}

    async def take(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app(_scope(method, path, headers), receive, take)
    assert sent, "no answer"
    return Answer(
        sent[0]["status"],
        {name.decode().lower(): value.decode() for name, value in sent[0].get("headers", [])},
        b"".join(message.get("body", b"") for message in sent[1:]),
    )


def _scope(method: str, path: str, headers: dict[str, str] | None) -> MutableMapping[str, Any]:
    given = {"content-type": "application/json", **(headers or {})}
    bare, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": bare,
        "raw_path": bare.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [
            (name.lower().encode(), value.encode()) for name, value in given.items() if value
        ],
        "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 3333),
    }


@dataclass
class Node:
    """Somebody with a key pair, who signs requests to one service.

    Attributes:
        app: the service.
        clock: the clock that requests are signed by.
        identity: the key pair.
    """

    app: App
    clock: Clock
    identity: Identity = field(default_factory=Identity.generate)
    nonce: int = 0

    @property
    def node_id(self) -> str:
        """The public key."""
        return self.identity.node_id

    def signed(self, kind: type[SignedRequest], **fields: Any) -> SignedRequest:
        """A request of this node, signed now, under a nonce that was never used."""
        self.nonce += 1
        request = kind(
            **{
                "public_key": self.node_id,
                "timestamp": signing.frame(self.clock()),
                "signature": signing.UNSIGNED,
                "nonce": self.nonce,
                **fields,
            }
        )
        return signing.sign(self.identity, request)

    async def send(self, request: Request) -> Answer:
        """The answer to a request."""
        return await send(self.app, request.path(), canonical.encode(request.to_wire()))

    async def ask(self, kind: type[SignedRequest], **fields: Any) -> Answer:
        """Signs and sends a request."""
        return await self.send(self.signed(kind, **fields))

    async def do(self, kind: type[SignedRequest], **fields: Any) -> Answer:
        """As `ask`, of what must go well."""
        answer = await self.ask(kind, **fields)
        assert (answer.status, answer.error) == (200, None), answer
        return answer

    async def open_space(self, closure_date: float | None = None) -> Node:
        """Opens this node's space with the public code."""
        code = requests.AUTH_CODE_OPEN_SPACE
        await self.do(requests.OpenSecretSpace, auth_code=code, closure_date=closure_date)
        return self

    async def accept(self, sender: Node | str, closure_date: float | None = None) -> None:
        """Accepts a sender."""
        from_id = sender if isinstance(sender, str) else sender.node_id
        await self.do(requests.OpenSubSpace, from_id=from_id, closure_date=closure_date)

    async def deny(self, sender: Node) -> Answer:
        """Stops accepting a sender."""
        return await self.do(requests.DeleteSubSpace, from_id=sender.node_id)

    async def set(self, secret_id: str, secret: str) -> Answer:
        """Sets an own secret."""
        return await self.do(requests.SetSecret, secret_id=secret_id, secret=secret)

    async def get(self, secret_id: str) -> str:
        """Reads an own secret."""
        answer = await self.do(requests.GetSecret, secret_id=secret_id)
        return answer.opened(self.identity)

    async def delete(self, secret_id: str) -> Answer:
        """Deletes an own secret."""
        return await self.do(requests.DeleteSecret, secret_id=secret_id)

    async def share(
        self, recipient: Node, secret_id: str, secret: str, *, once: bool = False
    ) -> Answer:
        """Shares a secret."""
        return await self.ask(
            requests.ShareSecretTo,
            share_to_id=recipient.node_id,
            secret_id=secret_id,
            secret=secret,
            is_one_time_secret=once,
        )

    async def unshare(self, recipient: Node, secret_id: str) -> Answer:
        """Takes back what was shared."""
        named = {"shared_to_id": recipient.node_id, "secret_id": secret_id}
        return await self.do(requests.DeleteSharedSecret, **named)

    async def take(self, sender: Node, secret_id: str) -> Answer:
        """Gets what was shared."""
        named = {"from_id": sender.node_id, "secret_id": secret_id}
        return await self.do(requests.GetSecretFrom, **named)

    async def space(self) -> Any:
        """The whole space as JSON."""
        return canonical.decode((await self.do(requests.GetSecretSpace)).opened(self.identity))
