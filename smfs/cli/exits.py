"""The one table from errors to exit codes, and how an error is told (docs/cli.md)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from smfs import errors
from smfs.cli.output import plain

FAILED: Final = 1
USAGE: Final = 2
UNFORESEEN: Final = 70
INTERRUPTED: Final = 130

EXIT_CODES: Final[Mapping[type[errors.SmfsError], int]] = MappingProxyType(
    {
        errors.SmfsError: FAILED,
        errors.InvalidInput: USAGE,
        errors.SecretNotFound: 3,
        errors.NotAccepted: 4,
        errors.SpaceNotFound: 4,
        errors.AuthenticationFailed: 4,
        errors.AccessRefused: 4,
        errors.ServiceUnavailable: 5,
        errors.TamperedSecret: 6,
        errors.MalformedData: 6,
    }
)
"""What a shell sees of each error; a subclass that is not listed is what its base class is."""

MEANINGS: Final[Mapping[int, str]] = MappingProxyType(
    {
        0: "done",
        FAILED: "failed, or refused by the service",
        USAGE: "wrong usage or configuration",
        3: "no such secret, or no such petname",
        4: "not accepted, or no access",
        5: "the service cannot be reached",
        6: "a secret cannot be trusted: tampered with, unsigned, or rolled back",
        UNFORESEEN: "something unforeseen; the log says where",
        INTERRUPTED: "interrupted",
    }
)


class ReportedFailure(errors.SmfsError):
    """What another process of smfs failed with, as it told it.

    Attributes:
        code: its exit code.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def exit_code_of(error: errors.SmfsError) -> int:
    """The exit code of an error: that of the nearest class of its ancestry in `EXIT_CODES`."""
    if isinstance(error, ReportedFailure):
        return error.code
    return next(EXIT_CODES[each] for each in type(error).__mro__ if each in EXIT_CODES)


def told(error: errors.SmfsError) -> str:
    """The one line that a person gets to read."""
    text = plain(" ".join(str(error).split())) or type(error).__name__
    if isinstance(error, errors.InvalidPoint):
        return f"this is no node id to which anything can be encrypted: {text}"
    if isinstance(error, errors.UnsignedSecret):
        return f"{text} (`--allow-unsigned`, or `allow_unsigned` of the profile, allows it)"
    return text


def leaf_of(error: BaseException) -> BaseException:
    """The first plain error in a group: task groups wrap even a single one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
