"""What travels when a program writes: counted between the mount and a service."""

from __future__ import annotations

import http.client
import http.server
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from tests.mount.homes import Home

_END_TO_END: Final = (
    "content-type",
    "smfs-revision",
    "smfs-receipt",
    "date",
    "retry-after",
)


class Recorder:
    """Forwards requests to a service, and keeps their paths.

    Attributes:
        seen: the paths in order.
        after: called with each path once the service has answered, before the mount hears of it.
    """

    def __init__(self, service: str) -> None:
        self._service = urlsplit(service).netloc
        self.seen: list[str] = []
        self.after: Callable[[str], None] = lambda path: None

    def forward(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """One request and its answer."""
        connection = http.client.HTTPConnection(self._service, timeout=30)
        headers = {"Content-Type": "application/json"} if body else {}
        connection.request(method, path, body or None, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        self.seen.append(path)
        self.after(path)
        kept = {name: value for name, value in answer.getheaders() if name.lower() in _END_TO_END}
        return answer.status, kept, content


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    recorder: Recorder

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        status, headers, content = self.recorder.forward(self.command, self.path, body)
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer  # noqa: N815 - as the base class calls them

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as inherited
        """Says nothing."""


@pytest.fixture
def recorder(service: str) -> Iterator[tuple[str, Recorder]]:
    """The address that forwards to the service, and what records there."""
    made = Recorder(service)
    handler = type("Handler", (_Handler,), {"recorder": made})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", made
        server.shutdown()
        serving.join()


def test_one_echo_is_one_request(home: Home, service: str, recorder: tuple[str, Recorder]) -> None:
    """And whoever looks from another mount sees the old content or the new one, never none."""
    address, record = recorder
    here = home.mount("--service", address)
    there = home.mount("--service", service)
    home.bash("echo old >own/f", cwd=here)
    seen_elsewhere: list[bytes] = []
    record.after = lambda path: seen_elsewhere.append(home.do("cat", there / "own" / "f"))
    record.seen.clear()

    assert home.bash("echo new >own/f", cwd=here).code == 0

    assert record.seen.count("/setSecret") == 1
    assert set(seen_elsewhere) <= {b"old\n", b"new\n"}
    record.after = lambda path: None
    home.see(there, "grep new own/f")
    home.unmount(here)
    home.unmount(there)


@pytest.mark.parametrize(
    ("script", "writes"),
    [
        ("echo x >fresh", ["/setSecret"]),
        ("echo x >>fresh", ["/setSecret"]),
        (": >fresh", ["/setSecret"]),
        ("echo other >kept", ["/setSecret"]),
        ("cp kept fresh", ["/setSecret"]),
        ("mv kept fresh", ["/setSecret", "/deleteSecret"]),
        ("rm kept", ["/deleteSecret"]),
        ("sed -i s/same/other/ kept", ["/setSecret"]),
        ("vim -es -c %s/same/other/ -c wq kept", ["/setSecret"]),
        ("cat kept; ls -la; stat kept; touch kept; chmod 644 kept; mkdir d; rmdir d", []),
        ("echo x >4913; rm 4913", ["/setSecret", "/deleteSecret"]),
    ],
)
def test_what_travels(
    home: Home, recorder: tuple[str, Recorder], script: str, writes: list[str]
) -> None:
    """Each change of a secret travels once; what editors do around it does not."""
    address, record = recorder
    directory = home.mount("--service", address)
    folder = home.make_in(directory / "own")
    home.bash("echo same >kept", cwd=folder)
    record.seen.clear()

    assert home.bash(script, cwd=folder).code == 0
    home.unmount(directory)  # nobody is told when a file without content is on the service

    changes = [path for path in record.seen if path in {"/setSecret", "/deleteSecret"}]
    assert changes == writes
