"""A service in this process, asked byte by byte, and a real listener for what its hooks post."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import anyio.to_thread
import pytest

from smfs.crypto.box import box_from_json, open_box
from smfs.crypto.identity import Identity
from smfs.protocol import canonical, requests, signing
from smfs.protocol.changes import (
    SENDER,
    Changes,
    NodeChanged,
    NodeGone,
    SecretChanged,
    SecretGone,
)
from smfs.protocol.requests import Request, SignedRequest
from smfs.service import Service, ServiceOptions, create_service

VECTORS = Path(__file__).parent.parent / "vectors" / "original"
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

    async def set(self, secret_id: str, secret: str) -> Answer:
        """Sets an own secret."""
        return await self.do(requests.SetSecret, secret_id=secret_id, secret=secret)

    async def get(self, secret_id: str) -> str:
        """Reads an own secret."""
        answer = await self.do(requests.GetSecret, secret_id=secret_id)
        return answer.opened(self.identity)

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

    async def space(self) -> Any:
        """The whole space as JSON."""
        return canonical.decode((await self.do(requests.GetSecretSpace)).opened(self.identity))


class Follower:
    """Somebody who follows the feed of a node.

    Attributes:
        node: whose feed it is.
        feed, since: where the last page ended.
        secrets: by sender (empty for own ones) and secret id, all that was told to be there.
        nodes: by role and node id, the closure dates of the others.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.feed, self.since = "", 0
        self.is_listing = False
        self.secrets: dict[tuple[str, str], SecretChanged] = {}
        self.nodes: dict[tuple[str, str], float | None] = {}

    def request(self, **fields: Any) -> SignedRequest:
        """Asks for the next page."""
        asked = {
            "feed": self.feed,
            "since": self.since,
            "listing": self.is_listing,
            "contents": False,
            "wait": 0,
        }
        return self.node.signed(requests.GetChanges, **{**asked, **fields})

    def read(self, answer: Answer) -> Changes:
        """The page in an answer."""
        assert (answer.status, answer.error) == (200, None), answer
        return Changes.parse(canonical.decode(answer.opened(self.node.identity)))

    async def ask(self, **fields: Any) -> Changes:
        """One page, not applied."""
        return self.read(await self.node.send(self.request(**fields)))

    async def step(self, **fields: Any) -> Changes:
        """One page, applied."""
        page = await self.ask(**fields)
        self.apply(page)
        return page

    async def catch_up(self, **fields: Any) -> list[Changes]:
        """All pages until there is no more, each applied."""
        pages = [await self.step(**fields)]
        while pages[-1].more:
            pages.append(await self.step(**fields))
        return pages

    def apply(self, page: Changes) -> None:
        """What a page tells."""
        if page.since == 0:
            self.secrets.clear()
            self.nodes.clear()
            self.is_listing = True
        else:
            assert (page.feed, page.since) == (self.feed, self.since)
        self.is_listing = self.is_listing and page.more
        revisions = [change.revision for change in page.changes]
        assert revisions == sorted(set(revisions))
        assert all(page.since < each <= page.revision for each in revisions)
        self.feed, self.since = page.feed, page.revision
        for change in page.changes:
            self._apply(change)

    def _apply(self, change: object) -> None:
        match change:
            case SecretChanged():
                self.secrets[change.from_id, change.secret_id] = change
            case SecretGone():
                self.secrets.pop((change.from_id, change.secret_id), None)
            case NodeChanged():
                self.nodes[change.role, change.node_id] = change.closure_date
            case NodeGone():
                self.nodes.pop((change.role, change.node_id), None)
                if change.role == SENDER:
                    self._drop_all_of(change.node_id)

    def _drop_all_of(self, sender: str) -> None:
        self.secrets = {key: each for key, each in self.secrets.items() if key[0] != sender}


@pytest.fixture
def follow() -> Callable[[Node], Follower]:
    """Makes followers of nodes."""
    return Follower


class Listener:
    """A real HTTP server on a free port that keeps what is posted to it."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._posts: list[tuple[str, Any]] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # which keeps connections

            def do_POST(self) -> None:  # the server's naming
                body = self.rfile.read(int(self.headers["Content-Length"]))
                owner._keep(self.path, json.loads(body))
                self._answer()

            def do_GET(self) -> None:  # the server's naming
                owner._keep(self.path, None)
                self._answer()

            def _answer(self) -> None:
                owner.connections.add(self.client_address)
                status, location, text = owner.reply(self.path)
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_args: object) -> None:
                """Stays silent."""

        self.redirects: dict[str, str] = {}
        self.redirect_status = 307
        self.connections: set[tuple[str, int]] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def reply(self, path: str) -> tuple[int, str | None, bytes]:
        """What a path answers: status, location, body."""
        if path in self.redirects:
            return self.redirect_status, self.redirects[path], b""
        if path == "/500":
            return 500, None, b"boom"
        return 200, None, b"hello" if path == "/text" else b'{"ok":true}'

    def _keep(self, path: str, body: Any) -> None:
        with self._changed:
            self._posts.append((path, body))
            self._changed.notify_all()

    def take(self, count: int) -> list[tuple[str, Any]]:
        """Waits until at least so many posts came; returns and forgets all. Blocks."""
        with self._changed:
            came = self._changed.wait_for(lambda: len(self._posts) >= count, timeout=10)
            assert came, f"{len(self._posts)} of {count} notifications came: {self._posts}"
            taken, self._posts = self._posts, []
            return taken

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A listener for notifications."""
    made = Listener()
    yield made
    made.close()


@pytest.fixture
def is_silent(listener: Listener) -> Callable[[Node], Awaitable[bool]]:
    """Whether nobody was told of what came before: what is told to this node's hook comes after."""

    async def ask(witness: Node) -> bool:
        await witness.do(
            requests.AddNotificationHook,
            type="event onRead",
            target_id="this",
            notify_url=f"{listener.url}/witness",
        )
        await witness.space()
        posts = await anyio.to_thread.run_sync(listener.take, 2)
        return {path for path, _ in posts} == {"/witness"}

    return ask


@pytest.fixture
def clock() -> Clock:
    """The clock of the service and of the nodes."""
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where the service's database will be."""
    return tmp_path / "service" / "service.db"


@pytest.fixture
def options() -> ServiceOptions:
    """The options of the service of a test."""
    return ServiceOptions(allow_private_hooks=True)


@pytest.fixture
async def service(database: Path, options: ServiceOptions, clock: Clock) -> AsyncIterator[Service]:
    """A running service that knows nobody."""
    async with create_service(database, options=options, now=clock) as running:
        yield running


@pytest.fixture
def ask() -> Callable[..., Awaitable[Answer]]:
    """The function `send`: one request, exactly as given."""
    return send


@pytest.fixture
def node(service: Service, clock: Clock) -> Callable[..., Node]:
    """Makes nodes of the service."""

    def make(identity: Identity | None = None, app: App = service) -> Node:
        return Node(app, clock, identity or Identity.generate())

    return make


@pytest.fixture
async def alice(node: Callable[..., Node]) -> Node:
    """A node with a space."""
    return await node().open_space()


@pytest.fixture
async def bob(node: Callable[..., Node]) -> Node:
    """Another one."""
    return await node().open_space()


@pytest.fixture
def restarting(database: Path, options: ServiceOptions, clock: Clock) -> Callable[[], Any]:
    """Starts a service on the test's database, as often as it is called."""

    @asynccontextmanager
    async def start() -> AsyncIterator[Service]:
        async with create_service(database, options=options, now=clock) as running:
            yield running

    return start


@pytest.fixture
def vectors() -> Callable[[str], Any]:
    """Reads a file of vectors, by its path without `.json`."""
    return lambda name: json.loads((VECTORS / f"{name}.json").read_text("utf-8"))
