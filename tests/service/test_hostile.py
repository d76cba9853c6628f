"""`smfs serve` as a process among hostile clients: it answers the good ones, and gets all back."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest

from smfs.crypto.identity import Identity
from smfs.protocol import canonical
from smfs.protocol.requests import Request
from smfs.service.app import system_now
from tests.cli.conftest import Program
from tests.service.nodes import Answer, Node

pytestmark = pytest.mark.anyio

PATIENCE_S = 60
BODY = b'{"authCode":"' + b"deadbeefcafebabe" * 4 + b'"}'
LINE = b"POST /getNodeId HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LENGTH = f"Content-Length: {len(BODY)}\r\n".encode()
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LONG = b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"
GOOD = LINE + LENGTH + b"\r\n" + BODY


@dataclass
class Server:
    """A running `smfs serve`."""

    pid: int
    port: int

    def connect(self) -> socket.socket:
        """A connection, of which nothing is known yet."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def sockets(self) -> int:
        """How many the process has open."""
        count = 0
        for each in Path(f"/proc/{self.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                count += str(each.readlink()).startswith("socket:")
        return count

    def resident(self) -> int:
        """Its memory, in bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()


class Remote(Node):
    """A node that asks over HTTP."""

    http: httpx.AsyncClient

    async def send(self, request: Request) -> Answer:
        """The answer to a request; who is told to come back comes back."""
        while True:
            answer = await self.http.post(
                request.path(),
                content=canonical.encode(request.to_wire()).encode(),
                headers={"content-type": "application/json"},
            )
            if answer.status_code not in (429, 503):
                break
            await anyio.sleep(float(answer.headers["retry-after"]))
        return Answer(answer.status_code, dict(answer.headers), answer.content)


@pytest.fixture
def anyio_backend() -> str:
    """It is the clients' one only."""
    return "trio"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for them all, as well in the end as it was in the beginning."""
    home = tmp_path_factory.mktemp("served")
    program = Program(home)
    database = home / "db" / "service.db"
    with program.running("serve", "--listen", "127.0.0.1:0", "--db", database) as process:
        port = int(program.address_of(process).rpartition(":")[2])
        yield Server(process.pid, port)
        assert process.poll() is None
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
        assert b"Traceback" not in err


@pytest.fixture
async def good(server: Server) -> AsyncIterator[Remote]:
    """Somebody who uses the service as it is meant."""
    url = f"http://127.0.0.1:{server.port}"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE_S) as http:
        node = Remote(None, system_now, Identity.generate())  # type: ignore[arg-type]
        node.http = http
        await node.open_space()
        yield node


async def is_well(good: Remote) -> None:
    """The service does what it is for."""
    for number in range(5):
        await good.set(f"{number}", f"text {number}")
        assert await good.get(f"{number}") == f"text {number}"


async def at_rest(server: Server, good: Remote) -> int:
    """How many sockets it has once it has had much to do, when `good` keeps a few connections."""
    async with anyio.create_task_group() as tasks:
        for _ in range(16):
            tasks.start_soon(is_well, good)
    return server.sockets()


async def gets_back(server: Server, sockets: int) -> None:
    """Every connection is let go; blocks until then."""
    with anyio.fail_after(PATIENCE_S):
        while server.sockets() > sockets:  # noqa: ASYNC110 - nobody tells
            await anyio.sleep(0.05)


def said(connection: socket.socket) -> bytes:
    """All that is said until the connection is closed."""
    came = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65_536):
            came += piece
    return came


HALVES: dict[str, list[bytes]] = {
    "silence": [],
    "half a header": [LINE],
    "a header that trickles": [LINE, *(b"X", b"-", b"Y", b":", b" ") * 4],
    "no body": [LINE + LENGTH + b"\r\n"],
    "a body that trickles": [LINE + LENGTH + b"\r\n", *(b"{", b'"', b"a")],
    "half a chunk": [LINE + CHUNKED + b"\r\n", b"f", b"f\r\n", b"{"],
    "a large body that stops": [
        LINE.replace(b"getNodeId", b"setSecret")
        + b"Content-Length: 2000000\r\n\r\n"
        + b"x" * 70_000
    ],
    "one request and a half": [GOOD, LINE],
    "twenty requests at once": [GOOD * 20],
    "answers that nobody reads": [LONG * 60],
    "100 that is expected and not awaited": [LINE + LENGTH + b"Expect: 100-continue\r\n\r\n"],
    "an upgrade": [LINE + LENGTH + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"],
}


@pytest.mark.parametrize("kind", HALVES)
async def test_half_requests(server: Server, good: Remote, kind: str) -> None:
    """Two hundred of each kind keep nobody from being answered, and leave nothing behind."""
    before = await at_rest(server, good)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(200)]
        for piece in HALVES[kind]:
            for connection in connections:
                connection.setblocking(False)  # noqa: FBT003 - it takes no keyword
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    connection.send(piece)
            await is_well(good)
    await gets_back(server, before)
    await is_well(good)


NONSENSE: dict[str, bytes] = {
    "garbage": bytes(range(256)) * 8,
    "zeros": bytes(1000),
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\n\r\n",
    "no method": b" / HTTP/1.1\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a bad chunk": LINE + CHUNKED + b"\r\nxyz\r\n" + BODY,
    "a negative chunk": LINE + CHUNKED + b"\r\n-5\r\n" + BODY,
    "a huge chunk": LINE + CHUNKED + b"\r\n" + b"f" * 17 + b"\r\n" + BODY,
    "a chunk that goes on": LINE + CHUNKED + b"\r\n1\r\n{{{{\r\n0\r\n\r\n",
    "two lengths": LINE + LENGTH + b"Content-Length: 1\r\n\r\n" + BODY,
    "a length and chunks": LINE + LENGTH + CHUNKED + b"\r\n" + BODY + GOOD,
    "chunks and a length": LINE + CHUNKED + LENGTH + b"\r\n0\r\n\r\n" + GOOD,
    "a negative length": LINE + b"Content-Length: -1\r\n\r\n" + BODY,
    "a length that overflows": LINE + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n" + BODY,
    "an unknown coding": LINE + b"Transfer-Encoding: x\r\n\r\n" + BODY,
    "a folded header": LINE + b"X: y\r\n z\r\n" + LENGTH + b"\r\n" + BODY,
    "a space before the colon": LINE + b"Content-Length : 0\r\n\r\n" + BODY,
    "a NUL in a header": LINE + b"X: \0\r\n\r\n",
    "lines without a return": LINE.replace(b"\r", b"") + LENGTH.replace(b"\r", b"") + b"\n" + BODY,
    "a path of no ASCII": b"GET /\xff\xfe HTTP/1.1\r\n\r\n",
    "an authority": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "an asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "a whole URL": b"GET http://[::1 HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("kind", NONSENSE)
async def test_nonsense(server: Server, good: Remote, kind: str) -> None:
    """What is no request is answered by a 4xx or by nothing, and its connection is over."""
    before = await at_rest(server, good)
    for _ in range(20):
        with server.connect() as connection:
            connection.sendall(NONSENSE[kind])
            connection.shutdown(socket.SHUT_WR)
            came = await anyio.to_thread.run_sync(said, connection)
        assert came == b"" or came.startswith(b"HTTP/1.1 4"), came
        assert b"serverNodeId" not in came
        assert b"Traceback" not in came
    await is_well(good)
    await gets_back(server, before)


async def test_pipelined_requests_are_answered_in_order(server: Server, good: Remote) -> None:
    """A thousand in one write; each answer is whole."""
    bad = GOOD.replace(b"/getNodeId", b"/getNothing")
    with server.connect() as connection:
        connection.sendall((GOOD + bad) * 500)
        came = b""
        while came.count(b"\r\n\r\n") < 1000 or not came.endswith(b"</html>\n"):
            came += await anyio.to_thread.run_sync(connection.recv, 65_536)
            await anyio.lowlevel.checkpoint()
    statuses = [each[:3] for each in came.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"404"] * 500
    await is_well(good)


async def test_a_sender_is_told_to_go_on(server: Server, good: Remote) -> None:
    """Who expects 100 sends his body only then."""
    with server.connect() as connection:
        connection.sendall(LINE + LENGTH + b"Expect: 100-continue\r\nConnection: close\r\n\r\n")
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        answer = await anyio.to_thread.run_sync(said, connection)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"serverNodeId" in answer
    await is_well(good)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """As many as the system grants."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_thousands_of_idle_connections(
    server: Server, good: Remote, many_descriptors: None
) -> None:
    """They cost some kilobytes each, and when they end, so does all that they cost."""
    await is_well(good)
    before, at_rest = server.sockets(), server.resident()
    with contextlib.ExitStack() as stack:
        for _ in range(2500):
            connection = stack.enter_context(server.connect())
            connection.sendall(GOOD)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")
        assert server.sockets() >= before + 2500
        assert server.resident() < at_rest + 2500 * 40_000
        await is_well(good)
    await gets_back(server, before)
    await is_well(good)


def flood(server: Server, request: bytes) -> None:
    """Asks on forty connections at once, and reads nothing."""
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(40)]
        for connection in connections:
            connection.setblocking(False)  # noqa: FBT003 - it takes no keyword
            with contextlib.suppress(BlockingIOError, ConnectionError):
                connection.send(request)
        # Who is answered later tells that they have reached what they are to reach.
        later = stack.enter_context(server.connect())
        later.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert later.recv(1)


FLOODS = {
    "bodies of half the limit": LINE.replace(b"getNodeId", b"setSecret")
    + b"Content-Length: 1400000\r\n\r\n"
    + b'{"'
    + b"x" * 1_399_000,
    "answers that nobody reads": LONG * 500,
    "one long path": LONG,
}


@pytest.mark.parametrize("kind", FLOODS)
async def test_memory_comes_back(server: Server, good: Remote, kind: str) -> None:
    """The second flood, and the sixth, leave no more behind than the first one."""
    before = await at_rest(server, good)
    levels: list[int] = []
    for _ in range(6):
        await anyio.to_thread.run_sync(flood, server, FLOODS[kind])
        await gets_back(server, before)
        await is_well(good)
        levels.append(server.resident())
    assert levels[-1] < 1.25 * levels[1], levels


async def test_a_large_body_from_many_is_bounded(server: Server, good: Remote) -> None:
    """What comes in at once has so much room, and no more, however many bring it."""
    at_rest = server.resident()
    head = LINE.replace(b"getNodeId", b"setSecret") + b"Content-Length: 2800000\r\n\r\n"
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(server.connect())
            connection.setblocking(False)  # noqa: FBT003 - it takes no keyword
            connection.send(head)
            for _ in range(40):
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    connection.send(b"x" * 65_536)
        await is_well(good)
        assert server.resident() < at_rest + 200_000_000
    await is_well(good)
