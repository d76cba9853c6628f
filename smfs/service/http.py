"""HTTP as the original speaks it: bodies in, answers and pages out (PROTOCOL.md section 2)."""

from __future__ import annotations

import html
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

import anyio.to_thread

from smfs.errors import MalformedData, TooLarge, UnsupportedMedia
from smfs.protocol import canonical

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_PAGE: Final = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n'
    "</head>\n<body>\n<pre>{}</pre>\n</body>\n</html>\n"
)
_SMALL_BYTES: Final = 64 * 1024
_HTML: Final = "text/html; charset=utf-8"
_JSON: Final = "application/json; charset=utf-8"


@dataclass(frozen=True)
class Response:
    """An answer.

    Attributes:
        status: the HTTP status.
        body: as it is sent.
        content_type: of the body.
        headers: further ones.
    """

    status: int
    body: bytes
    content_type: str = _JSON
    headers: dict[str, str] = field(default_factory=dict)

    async def send(self, send: Send) -> None:
        """Sends it."""
        headers = {
            "content-type": self.content_type,
            "content-length": str(len(self.body)),
            **self.headers,
        }
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        await send({"type": "http.response.body", "body": self.body})


def json_response(value: Any, status: int = 200, **headers: str) -> Response:
    """A JSON value as an answer; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(status, canonical.encode(value).encode(), headers=named)


def page(status: int, text: str, **headers: str) -> Response:
    """A small HTML page."""
    return Response(status, _PAGE.format(html.escape(text)).encode(), _HTML, headers)


def allowed_methods() -> Response:
    """The answer to OPTIONS on a route."""
    return Response(200, b"POST", _HTML, {"allow": "POST"})


class Disconnected(Exception):
    """Who asked is gone before he had said what he asks."""


@dataclass(frozen=True)
class Incoming:
    """What the headers of a request say."""

    method: str
    path: str
    query: bytes
    headers: dict[str, str]
    client: str

    @classmethod
    def of(cls, scope: Message) -> Incoming:
        """From an ASGI scope; of doubled headers the first one counts."""
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        raw = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
        client = scope.get("client") or ("", 0)
        return cls(
            scope["method"],
            raw.split(b"?")[0].decode("latin-1"),
            scope.get("query_string", b""),
            headers,
            client[0],
        )

    async def body(self, receive: Receive, limit: int) -> Any:
        """The decoded body: an object or an array.

        Args:
            receive: of the ASGI request.
            limit: the most bytes, before and after inflating.

        Raises:
            TooLarge, UnsupportedMedia, MalformedData: each is one status (PROTOCOL.md section 2).
            Disconnected: when it never came.
        """
        raw = self._inflate(await self._read(receive, limit), limit)
        kind, charset = self._content_type()
        if not raw or kind not in ("application/json", "application/x-www-form-urlencoded"):
            return {}
        if not charset.startswith("utf-"):
            raise UnsupportedMedia(charset)
        if kind != "application/json":
            return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
        if charset != "utf-8":
            raw = _recode(raw, charset)
        value = await _decoded(raw)
        if not isinstance(value, dict | list):
            raise MalformedData("neither an object nor an array")
        return value

    async def _read(self, receive: Receive, limit: int) -> bytes:
        declared = self.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > limit:
            raise TooLarge(declared)
        parts, size = [], 0
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise TooLarge(str(size))
            more = message.get("more_body", False)
        return b"".join(parts)

    def _inflate(self, raw: bytes, limit: int) -> bytes:
        coding = self.headers.get("content-encoding", "identity").strip().lower()
        if coding == "identity" or not raw:
            return raw
        if coding not in ("gzip", "deflate"):
            raise UnsupportedMedia(coding)
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        try:
            inflated = inflater.decompress(raw, limit + 1)
        except zlib.error:
            raise MalformedData("a body that is not compressed as it says") from None
        if len(inflated) > limit:
            raise TooLarge("inflated")
        if not inflater.eof:
            raise MalformedData("a compressed body that is cut short")
        return inflated

    def _content_type(self) -> tuple[str, str]:
        kind, *parameters = self.headers.get("content-type", "").split(";")
        charset = "utf-8"
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "charset":
                charset = value.strip().strip('"').lower()
        return kind.strip().lower(), charset


async def _decoded(raw: bytes) -> Any:
    if len(raw) <= _SMALL_BYTES:
        return canonical.decode(raw)
    # A million keys take their time, in which others must be answered.
    return await anyio.to_thread.run_sync(canonical.decode, raw)


def _recode(raw: bytes, charset: str) -> bytes:
    try:
        return raw.decode(charset, "replace").encode()
    except (LookupError, ValueError):
        raise UnsupportedMedia(charset) from None
