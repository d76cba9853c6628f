"""An HTTP answer as a value or as one of our errors: the only place where the two meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import httpx

from smfs.errors import (
    AuthenticationFailed,
    BadRequest,
    MalformedData,
    ServiceError,
    ServiceUnavailable,
    TooLarge,
    UnknownRoute,
    UnsupportedMedia,
)
from smfs.protocol import canonical
from smfs.protocol.discovery import RECEIPT_HEADER, REVISION_HEADER
from smfs.protocol.texts import error_of

_SHOWN: Final = 200  # characters of a service's words that an error repeats


@dataclass(frozen=True)
class Answer:
    """What a service answered.

    Attributes:
        value: the decoded JSON.
        revision: the revision that a write was given, where the service tells it.
    """

    value: Any
    revision: int | None = None


def read_answer(response: httpx.Response, secret_id: str = "", *, is_plain: bool = False) -> Answer:
    """The answer in a response with a status below 500.

    Args:
        response: from the service.
        secret_id: the id that was asked for, as `texts.error_of` wants it.
        is_plain: whether nothing but `{"ok":true}` says that it was done.

    Raises:
        ServiceError: what the service says, as the type that means it (PROTOCOL.md section 8).
        ServiceUnavailable: when that is no answer of a service.
    """
    if response.status_code >= 300:
        raise _refusal(response)
    if not response.is_success:
        raise ServiceUnavailable(f"the service answered with status {response.status_code}")
    try:
        value = canonical.decode(response.content)
    except MalformedData:
        raise ServiceUnavailable("what answers at this address is no service (no JSON)") from None
    if isinstance(value, dict) and "error" in value:
        raise error_of(str(value["error"]), secret_id=secret_id)
    if is_plain and value != {"ok": True}:
        raise ServiceUnavailable("what answers at this address is no service (no `ok`)")
    return Answer(value, _revision(response))


def check_receipt(response: httpx.Response, receipt: str) -> None:
    """Raises ServiceUnavailable for the answer to another request than the one of this receipt."""
    if response.status_code in (200, 401) and response.headers.get(RECEIPT_HEADER) != receipt:
        raise ServiceUnavailable("what came back is the answer to another request")


def _refusal(response: httpx.Response) -> ServiceError | ServiceUnavailable:
    match response.status_code:
        case 400:
            return BadRequest(_reason(response) or "the service found the request malformed")
        case 401:
            return _unauthenticated(_reason(response))
        case 404:
            return UnknownRoute("the service does not know this request")
        case 413:
            return TooLarge("the service takes no request of this size")
        case 415:
            return UnsupportedMedia("the service cannot read this kind of request")
        case status:
            return ServiceUnavailable(f"the service answered with status {status}")


def _unauthenticated(reason: str) -> ServiceError:
    found = error_of(reason)
    if isinstance(found, AuthenticationFailed):
        return found
    return AuthenticationFailed(f"the service refused who asks: {reason!r}")


def _reason(response: httpx.Response) -> str:
    try:
        value = canonical.decode(response.content)
    except MalformedData:
        return ""
    if isinstance(value, dict) and isinstance(value.get("error"), str):
        return str(value["error"])[:_SHOWN]
    return ""


def _revision(response: httpx.Response) -> int | None:
    text = response.headers.get(REVISION_HEADER, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
