"""The whole exception tree: every error that smfs raises on purpose is an `SmfsError`."""

from __future__ import annotations

from typing import Final

_SHOWN: Final = 200  # characters of what a service named


class SmfsError(Exception):
    """Anything that smfs refuses or fails at, with a text meant for its user."""


# --- what the caller gave ---------------------------------------------------------------------


class InvalidInput(SmfsError, ValueError):
    """An argument, a setting or a file is not of the form that is asked for."""


class InvalidKey(InvalidInput):
    """A secret or public key is malformed, or the two do not belong together."""


class UnsafeSecretId(InvalidInput):
    """A secret id that would break the original service (PROTOCOL.md section 16)."""


class ConfigError(InvalidInput):
    """The configuration, the profile or the key file cannot be used."""


# --- what was received ------------------------------------------------------------------------


class MalformedData(SmfsError):
    """Bytes from outside are not what the protocol allows at this place."""


class TamperedSecret(SmfsError):
    """A secret cannot be trusted: see the subclasses for why."""


class DecryptionFailed(TamperedSecret):
    """A ciphertext does not decrypt with this key."""


class SignatureMismatch(TamperedSecret):
    """An envelope's signature does not fit what the envelope says or where it lies."""


class UnsignedSecret(TamperedSecret):
    """An envelope has no signature where one is required."""


class RolledBack(TamperedSecret):
    """An envelope is older than one that was already superseded here."""


# --- what a service answers -------------------------------------------------------------------


class ServiceError(SmfsError):
    """A service took the request and refused it."""


class RefusedWith(ServiceError):
    """A refusal that names one thing.

    Args:
        subject: the node id, secret id or hook id that the service named; part of the wire text
            (PROTOCOL.md section 8).
    """

    def __init__(self, subject: str) -> None:
        super().__init__(subject)
        self.subject = subject

    @property
    def shown(self) -> str:
        """The subject for a person: a service may name anything, terminal escapes included."""
        is_plain = self.subject.isascii() and self.subject.isalnum() and len(self.subject) <= _SHOWN
        return self.subject if is_plain else repr(self.subject[:_SHOWN])


class SpaceNotFound(RefusedWith):
    """The node `subject` has no secret space, or it was closed."""

    def __str__(self) -> str:
        return f"the service keeps no secret space for {self.shown}"


class SecretNotFound(RefusedWith):
    """There is no secret with the id `subject`."""

    def __str__(self) -> str:
        return f"there is no secret {self.subject[:_SHOWN]!r}"


class PetnameNotFound(SecretNotFound):
    """There is no petname `subject`, or none that can be trusted."""

    def __str__(self) -> str:
        return f"there is no petname {self.subject[:_SHOWN]!r}"


class NotAccepted(RefusedWith):
    """There is no sub space for the sender `subject`."""

    def __str__(self) -> str:
        return f"secrets from {self.shown} are not accepted"


class HookNotFound(RefusedWith):
    """There is no notification hook with the id `subject`."""

    def __str__(self) -> str:
        return f"there is no notification hook {self.shown}"


class DanglingHook(RefusedWith):
    """The hook `subject` is listed but was removed by somebody else (the original only)."""

    def __str__(self) -> str:
        return f"the notification hook {self.shown} is listed but no longer there"


class InvalidHookTarget(ServiceError):
    """The target of a hook is not of a form in PROTOCOL.md section 14."""


class NoSecretId(ServiceError):
    """The secret id is empty."""


class ClosureDatePassed(ServiceError):
    """A closure date lies in the past."""


class ClosureDateFixed(ServiceError):
    """The closure date of an open space cannot be changed."""


class InvalidPoint(ServiceError):
    """A node id is no point of the curve, so nothing can be encrypted to it."""


class BadRequest(ServiceError):
    """The service found the request malformed (HTTP 400)."""


class UnknownRoute(ServiceError):
    """The service does not know the route (HTTP 404)."""


class UnsupportedMedia(ServiceError):
    """The service cannot read the request's content type or character set (HTTP 415)."""


class TooLarge(ServiceError):
    """The content is larger than the service takes."""


class IdTooLong(TooLarge):
    """The secret id is longer than the service takes."""


class QuotaExceeded(ServiceError):
    """The quota of the service is used up."""


class AuthenticationFailed(ServiceError):
    """The service refused who asks (HTTP 401)."""


class TimestampMissing(AuthenticationFailed):
    """The request has no timestamp."""


class TimestampRefused(AuthenticationFailed):
    """The request's timestamp is in none of the frames that the service accepts."""


class ReplayRefused(AuthenticationFailed):
    """The service has seen this signature before."""


class InvalidAuthCode(AuthenticationFailed):
    """The auth code is unknown, used up or for another action; or no anonymous client is let in."""


class SignatureRefused(AuthenticationFailed):
    """The service says that the request's signature does not fit."""


class UnsupportedByService(ServiceError):
    """This service lacks what was asked for, or would break of it."""


# --- the service's store ---------------------------------------------------------------------


class StoreFailed(SmfsError):
    """The database is broken or cannot be reached; the text is the kind of the error alone."""


class StoreFull(StoreFailed):
    """There is no room left for the database, on the disk or for this user."""


# --- reaching a service -----------------------------------------------------------------------


class ServiceUnavailable(SmfsError):
    """The service cannot be reached, or does not answer as a service does."""


class DeadlineExceeded(ServiceUnavailable):
    """The service did not answer in time."""


class ServiceBusy(ServiceUnavailable):
    """The service asked to come back later (HTTP 429 or 503) until the deadline had passed."""


class StoreUnreachable(ServiceBusy):
    """A service's database cannot be reached (HTTP 503)."""


class OutcomeUnknown(ServiceBusy):
    """A change may have been made, but it is not certain that it will last (HTTP 503)."""


class TooManyRequests(ServiceBusy):
    """Who asks has asked too much (HTTP 429).

    Attributes:
        seconds: after which to come back.
        is_rate: whether it was too often; else it was too much at once.
    """

    def __init__(
        self, text: str = "too many requests", *, seconds: float = 1.0, is_rate: bool = True
    ) -> None:
        super().__init__(text)
        self.seconds = seconds
        self.is_rate = is_rate


class CacheUnusable(SmfsError):
    """The cache on disk cannot be had: another process has it, or its place is taken."""


# --- the tree of files ------------------------------------------------------------------------


class TreeError(SmfsError):
    """A file operation that the tree refuses; its subclasses are the ways of refusing."""


class NoSuchName(TreeError):
    """Nothing has this name."""


class NameTaken(TreeError):
    """Something has this name already."""


class InvalidName(TreeError):
    """The name can name nothing here."""


class NameTooLong(TreeError):
    """The name is longer than 255 bytes."""


class UndecodableName(TreeError):
    """The name is not valid UTF-8."""


class NotADirectory(TreeError):
    """A directory was needed."""


class IsADirectory(TreeError):
    """A file was needed."""


class DirectoryNotEmpty(TreeError):
    """The directory still holds something."""


class AccessRefused(TreeError):
    """Who asks may not do this here."""


class OperationRefused(TreeError):
    """Nobody can do this here."""


class OtherArea(TreeError):
    """A rename would cross the border of an area, or is too large to be one."""


class StaleNode(TreeError):
    """The name has meanwhile got another node: look it up again."""


class NoAttribute(TreeError):
    """The node has no extended attribute of this name."""


class NotSupported(TreeError):
    """The operation exists but is not offered here."""


# --- mounting ---------------------------------------------------------------------------------


class MountError(SmfsError):
    """The filesystem cannot be mounted or unmounted; the text says what to do."""
