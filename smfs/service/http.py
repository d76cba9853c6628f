"""HTTP as the original speaks it: bodies in, answers and pages out (PROTOCOL.md section 2)."""

from __future__ import annotations

import functools
import html
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl

import anyio
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
SMALL_BYTES: Final = 64 * 1024
_PIECE_BYTES: Final = 64 * 1024
_BODY_S: Final = 30.0
_FORM_FIELDS: Final = 16
_MARKS: Final = 64  # requests are flat objects of 8 fields at the most
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
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
        raw = [
            (b"content-type", self.content_type.encode()),
            (b"content-length", b"%d" % len(self.body)),
            *((name.encode(), value.encode("latin-1")) for name, value in self.headers.items()),
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": raw})
        # A server asks for the next piece once the last one is on its way, so that it never has to
        # keep a large answer for who does not read it.
        for start in range(0, len(self.body) or 1, _PIECE_BYTES):
            end = start + _PIECE_BYTES
            piece, more = self.body[start:end], end < len(self.body)
            await send({"type": "http.response.body", "body": piece, "more_body": more})


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


class TooSlow(Exception):
    """Who asks took too long to say what."""


@dataclass(frozen=True)
class Incoming:
    """The head of a request.

    Attributes:
        method: as it was sent.
        path: as it was sent, without the query.
        query: what stands behind the `?`.
        headers: by their names in lower case.
        client: the address that asks; empty where there is none.
    """

    method: str
    path: str
    query: bytes
    headers: Mapping[bytes, bytes]
    client: str

    @classmethod
    def of(cls, scope: Message) -> Incoming:
        """From an ASGI scope; of doubled headers the first one counts."""
        raw = scope.get("raw_path") or scope["path"].encode("utf-8", "surrogateescape")
        client = scope.get("client") or ("", 0)
        return cls(
            scope["method"],
            raw.split(b"?")[0].decode("latin-1"),
            scope.get("query_string", b""),
            dict(reversed(scope["headers"])),
            client[0],
        )

    def header(self, name: bytes) -> str:
        """What one header says; empty where there is none."""
        return self.headers.get(name, b"").decode("latin-1")

    async def body(self, receive: Receive, limit: int, reading: anyio.CapacityLimiter) -> Any:
        """The decoded body: an object or an array.

        Args:
            receive: of the ASGI request.
            limit: the most bytes, before and after inflating.
            reading: how many large ones are decoded at once.

        Raises:
            TooLarge, UnsupportedMedia, MalformedData: each is one status (PROTOCOL.md section 2).
            Disconnected: when it never came.
            TooSlow: when it did not come within 30 s.
        """
        with anyio.move_on_after(_BODY_S) as scope:
            raw = await self._read(receive, limit)
        if scope.cancelled_caught:
            raise TooSlow
        if len(raw) <= SMALL_BYTES and not self._is_compressed:
            return self._value(raw, limit)
        # It takes its time, in which others must be answered.
        try:
            return await anyio.to_thread.run_sync(self._value, raw, limit, limiter=reading)
        except (MalformedData, UnsupportedMedia, TooLarge) as error:
            # The thread's frames hold the error; and it, or what it came of, them and the body.
            error.__context__ = None
            raise error.with_traceback(None) from None

    def body_bytes(self, limit: int) -> int:
        """How many bytes the body may take, as far as the headers say."""
        declared = self.header(b"content-length")
        if self._is_compressed or not declared.isdecimal():
            return limit
        return min(limit, int(declared[:20]))

    @property
    def _coding(self) -> str:
        return self.header(b"content-encoding").strip().lower()

    @property
    def _is_compressed(self) -> bool:
        return b"content-encoding" in self.headers and self._coding != "identity"

    def _value(self, raw: bytes, limit: int) -> Any:
        if self._is_compressed:
            raw = self._inflate(raw, limit)
        kind, charset = _media_type(self.header(b"content-type"))
        if not raw or kind not in ("application/json", "application/x-www-form-urlencoded"):
            return {}
        if not charset.startswith("utf-"):
            raise UnsupportedMedia(charset)
        if kind != "application/json":
            return _form(raw)
        if charset != "utf-8":
            raw = _recode(raw, charset)
        _refuse_structure(raw)
        value = canonical.decode(raw)
        if not isinstance(value, dict | list):
            raise MalformedData("neither an object nor an array")
        return value

    async def _read(self, receive: Receive, limit: int) -> bytes:
        declared = self.header(b"content-length")
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
        if not raw:
            return raw
        if self._coding not in ("gzip", "deflate"):
            raise UnsupportedMedia(self._coding)
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


@functools.lru_cache(maxsize=64)
def _media_type(header: str) -> tuple[str, str]:
    """The type and the character set that a content-type header says."""
    kind, *parameters = header.split(";")
    charset = "utf-8"
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip('"').lower()
    return kind.strip().lower(), charset


def _form(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_FORM_FIELDS
        )
    except ValueError:
        raise MalformedData("a form of too many fields") from None
    return dict(pairs)


def _refuse_structure(raw: bytes) -> None:
    """Refuses a large body of many values before a hundred times its size is built of it."""
    if len(raw) > SMALL_BYTES:
        rest = _STRING.sub(b"", raw)
        if sum(map(rest.count, (b"{", b"[", b","))) > _MARKS:
            raise MalformedData("far more values than a request has")


def _recode(raw: bytes, charset: str) -> bytes:
    try:
        return raw.decode(charset, "replace").encode()
    except (LookupError, ValueError):
        raise UnsupportedMedia(charset) from None
