"""A network of its own, in which public, private and metadata addresses are all this machine.

Run by test_hook_targets.py in namespaces of its own: it calls hooks, and prints who was reached.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import anyio
import anyio.to_thread

from smfs.protocol import requests
from smfs.service import create_service
from smfs.service.app import system_now
from tests.service.nodes import Node

PUBLIC: Final = "93.184.216.34"
PUBLIC_6: Final = "2606:4700::6810"
_ADDRESSES: Final = (
    *(f"{PUBLIC}/32", f"{PUBLIC_6}/128", "10.0.0.1/32", "192.168.1.1/32", "169.254.169.254/32"),
    *("fd00::1/128", "64:ff9b::7f00:1/128", "2002:7f00:1::1/128", "fe80::1/64"),
)
_NAMES: Final = {
    "public.test": PUBLIC,
    "public6.test": PUBLIC_6,
    "private.test": "10.0.0.1",
    "loop.test": "127.0.0.1",
    "loop6.test": "::1",
    "metadata.test": "169.254.169.254",
    "mapped.test": "::ffff:127.0.0.1",
    "nat64.test": "64:ff9b::7f00:1",
    "local6.test": "fd00::1",
}


class Listener:
    """Answers on port 80 of every address, and keeps at which of them it was asked for what."""

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.is_over = True
        for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            server = socket.socket(family)
            if family == socket.AF_INET6:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            server.bind((host, 80))
            server.listen(100)
            Thread(target=self._accept, args=(server,), daemon=True).start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            connection, _ = server.accept()
            Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head and (piece := connection.recv(65_536)):
                head += piece
            target = head.split(b" ", 2)[1].decode() if head else ""
            self.reached.append(f"{connection.getsockname()[0]} {target.partition('?')[0]}")
            asked = parse_qs(urlsplit(target).query)
            if target.startswith("/endless"):
                self.is_over = False
                with contextlib.suppress(OSError):
                    _endless(connection, asked["of"][0])
                self.is_over = True
            else:
                connection.sendall(_answer(asked))


def _answer(asked: dict[str, list[str]]) -> bytes:
    status = asked.get("status", ["200"])[0]
    location = f"Location: {asked['to'][0]}\r\n" if "to" in asked else ""
    return f"HTTP/1.1 {status} x\r\n{location}Content-Length: 2\r\n\r\n{{}}".encode()


def _endless(connection: socket.socket, what: str) -> None:
    ok = b"HTTP/1.1 200 OK\r\n"
    head, piece = {
        "body": (ok + b"\r\n", b"x" * 65_536),
        "chunks": (ok + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 1000),
        "headers": (ok, b"X: y\r\n" * 1000),
        "status": (b"HTTP/1.1 200 ", b"x" * 65_536),
        "interim": (b"", b"HTTP/1.1 102 x\r\n\r\n" * 100),
        "drip": (ok + b"\r\n", b" "),
    }[what]
    connection.sendall(head)
    while True:
        connection.sendall(piece)
        if what == "drip":
            time.sleep(0.05)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


@contextlib.contextmanager
def _network(home: Path) -> Iterator[None]:
    """Addresses, and a server of names that is the only one that anybody knows."""
    _run("ip", "link", "set", "lo", "up")
    for address in _ADDRESSES:
        _run("ip", "address", "add", address, "dev", "lo", *(["nodad"] if ":" in address else []))
    resolver = home / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\n")
    _run("mount", "--bind", str(resolver), "/etc/resolv.conf")
    (home / "hosts").mkdir()
    (home / "hosts" / "all").write_text("".join(f"{a} {n}\n" for n, a in _NAMES.items()))
    (home / "hosts" / "both").write_text(f"10.0.0.1 both.test\n{PUBLIC} both.test\n")
    (home / "hosts" / "moving").write_text(f"{PUBLIC} moving.test\n")
    with subprocess.Popen(
        [
            *("/usr/sbin/dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts"),
            *("--conf-file=/dev/null", "--pid-file=", "--user=", "--group=", "--bind-interfaces"),
            *("--listen-address=127.0.0.1", f"--hostsdir={home / 'hosts'}", "--local-ttl=0"),
            *("--cname=alias.test,private.test", "--log-queries", f"--log-facility={home}/log"),
        ]
    ) as names:
        try:
            _until(lambda: _resolves("moving.test", PUBLIC))
            yield
        finally:
            names.terminate()


def _resolves(name: str, address: str) -> bool:
    with contextlib.suppress(OSError):
        return socket.gethostbyname(name) == address
    return False


def _until(holds: Any) -> None:
    give_up = time.monotonic() + 30
    while not holds():
        if time.monotonic() > give_up:
            raise TimeoutError
        time.sleep(0.02)


async def _calls(home: Path, urls: list[str]) -> dict[str, Any]:
    """For each URL what its check said, and who was reached."""
    listener = Listener()
    found: dict[str, Any] = {}
    async with create_service(home / "db" / "service.db") as service:
        for url in urls:
            alice = await Node(service, system_now).open_space()  # type: ignore[arg-type]
            found[url] = await _call(alice, listener, url)
            _until(lambda: listener.is_over)
        found["moving"] = await _moving(home, service, listener)
    return found


async def _call(node: Node, listener: Listener, url: str) -> dict[str, Any]:
    listener.reached.clear()
    answer = await node.do(
        requests.AddNotificationHook, type="log", target_id="this", notify_url=url
    )
    return {"error": answer.json["lastNotification"]["error"], "reached": list(listener.reached)}


async def _moving(home: Path, service: Any, listener: Listener) -> dict[str, Any]:
    """A name that is asked for once, and then leads elsewhere."""
    alice = await Node(service, system_now).open_space()  # type: ignore[arg-type]
    log = home / "log"
    before = log.read_text().count("query[A] moving.test")
    first = await _call(alice, listener, "http://moving.test/")
    asked = log.read_text().count("query[A] moving.test") - before
    (home / "hosts" / "moving").write_text("10.0.0.1 moving.test\n")
    await anyio.to_thread.run_sync(_until, lambda: _resolves("moving.test", "10.0.0.1"))
    listener.reached.clear()
    await alice.set("x", "y")
    last: Any = {"time": 0, "error": None}
    while last["error"] is None:
        shown = await alice.do(requests.GetNotificationHooks, target_id="this")
        last = shown.json["notificationHooks"][0]["lastNotification"]
    return {"first": first, "asked": asked, "then": list(listener.reached), "error": last["error"]}


def _main() -> None:
    home = Path(sys.argv[1])
    with _network(home):
        found = anyio.run(_calls, home, json.loads(sys.stdin.read()))
    (home / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    _main()
