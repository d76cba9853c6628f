"""A real listener for what hooks post."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any


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
