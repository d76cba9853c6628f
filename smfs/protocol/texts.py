"""The one table between errors and the words in which services say them (PROTOCOL.md 5, 6, 8)."""

from __future__ import annotations

from typing import Final

from smfs import errors
from smfs.errors import AuthenticationFailed, RefusedWith, ServiceError

AUTHENTICATION_PREFIX: Final = "Error on authenticateRequest! "
"""What stands before the reason in every 401."""

_NAMING: Final[tuple[tuple[type[RefusedWith], str, str], ...]] = (
    (errors.SpaceNotFound, 'SecretSpace for "', '" did not exist!'),
    (errors.SecretNotFound, 'Secret with secretId "', '" did not exist!'),
    (errors.NotAccepted, 'There is no SubSpace for "', '"'),
    (errors.HookNotFound, 'notificationHookIds: "', '" did not exist!'),
    (errors.DanglingHook, 'notificationHookId of "', '" did not exist!'),
)

_PLAIN: Final[tuple[tuple[type[ServiceError], str], ...]] = (
    (errors.NoSecretId, "No secretId provided!"),
    (errors.ClosureDatePassed, "ClosureDate has already passed!"),
    (errors.ClosureDateFixed, "Updating the closureDate is not allowed!"),
    (errors.InvalidHookTarget, "targetId is corrupted!"),
    (errors.InvalidPoint, "Point.fromHex: invalid y coordinate"),
    (errors.TimestampMissing, "No Timestamp!"),
    (errors.ReplayRefused, "Multiple use of signature detected!"),
    (errors.TimestampRefused, "Invalid Timestamp!"),
    (errors.InvalidAuthCode, "Invalid AuthCode!"),
    (errors.InvalidAuthCode, "No new anonymous clients are accepted!"),
    (errors.SignatureRefused, "Invalid Signature!"),
    (errors.SignatureRefused, "Expected valid scalar: 0 < scalar < max"),
    (errors.TooLarge, "The content is too large!"),
    (errors.QuotaExceeded, "The quota is used up!"),
)

_INHERITED_NAME: Final = "Cannot convert undefined or null to object"


def text_of(error: ServiceError) -> str:
    """The words in which a service says `error`.

    Raises:
        KeyError: for an error that no service says.
    """
    for kind, before, after in _NAMING:
        if isinstance(error, kind):
            return f"{before}{error.subject}{after}"
    for plain, text in _PLAIN:
        if isinstance(error, plain):
            return text
    raise KeyError(type(error).__name__)


def error_of(text: str, *, secret_id: str = "") -> ServiceError:
    """The error that a service's words mean; a plain `ServiceError` for words nobody knows.

    Args:
        text: the `error` of an answer, with or without the prefix of a 401.
        secret_id: the id that was asked for: the original answers an inherited JavaScript name
            with words that do not name it (PROTOCOL.md section 16).
    """
    reason = text.removeprefix(AUTHENTICATION_PREFIX)
    if reason != text:
        return _refusal(reason)
    for kind, before, after in _NAMING:
        rest = reason.removeprefix(before)
        if rest != reason and rest.endswith(after):
            return kind(rest.removesuffix(after))
    for plain, words in _PLAIN:
        if reason == words:
            return plain(reason)
    if _INHERITED_NAME in reason:
        return errors.SecretNotFound(secret_id)
    return ServiceError(f"the service refused: {reason[:200]!r}")


def _refusal(reason: str) -> AuthenticationFailed:
    # Words of operations mean something else here: a bad point is a bad key or signature.
    for plain, words in _PLAIN:
        if reason == words and issubclass(plain, AuthenticationFailed):
            return plain(reason)
    if reason == text_of(errors.InvalidPoint()):
        return errors.SignatureRefused(reason)
    return AuthenticationFailed(f"the service refused: {reason[:200]!r}")
