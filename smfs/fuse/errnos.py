"""The one table from errors to errnos (the design, section 2.4)."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from smfs import errors

_log: Final = logging.getLogger(__name__)

ERRNOS: Final[Mapping[type[errors.SmfsError], int]] = MappingProxyType(
    {
        # the tree of files
        errors.NoSuchName: errno.ENOENT,
        errors.NameTaken: errno.EEXIST,
        errors.InvalidName: errno.EINVAL,
        errors.NameTooLong: errno.ENAMETOOLONG,
        errors.UndecodableName: errno.EILSEQ,
        errors.NotADirectory: errno.ENOTDIR,
        errors.IsADirectory: errno.EISDIR,
        errors.DirectoryNotEmpty: errno.ENOTEMPTY,
        errors.AccessRefused: errno.EACCES,
        errors.OperationRefused: errno.EPERM,
        errors.OtherArea: errno.EXDEV,
        errors.StaleNode: errno.ESTALE,
        errors.NoAttribute: errno.ENODATA,
        errors.NotSupported: errno.ENOTSUP,
        # what the caller gave
        errors.InvalidInput: errno.EINVAL,
        # what was received
        errors.MalformedData: errno.EBADMSG,
        errors.TamperedSecret: errno.EBADMSG,
        # what a service answers
        errors.SecretNotFound: errno.ENOENT,
        errors.SpaceNotFound: errno.EACCES,
        errors.NotAccepted: errno.EACCES,
        errors.AuthenticationFailed: errno.EACCES,
        errors.NoSecretId: errno.EINVAL,
        errors.InvalidPoint: errno.EINVAL,
        errors.ClosureDatePassed: errno.EINVAL,
        errors.ClosureDateFixed: errno.EPERM,
        errors.TooLarge: errno.EFBIG,
        errors.IdTooLong: errno.ENAMETOOLONG,
        errors.QuotaExceeded: errno.EDQUOT,
        errors.UnsupportedByService: errno.EOPNOTSUPP,
        # reaching a service
        errors.ServiceUnavailable: errno.EHOSTUNREACH,
        errors.DeadlineExceeded: errno.ETIMEDOUT,
        errors.ServiceBusy: errno.ETIMEDOUT,
    }
)
"""What a program sees of each error; a subclass that is not listed is what its base class is."""


def errno_of(error: BaseException) -> int:
    """The errno of an error: that of the nearest class of its ancestry in `ERRNOS`, else EIO."""
    for ancestor in type(error).__mro__:
        found = ERRNOS.get(ancestor)
        if found is not None:
            return found
    return errno.EIO


def report(operation: str, error: Exception) -> int:
    """The errno of what an operation failed with; logs what nobody foresaw.

    The log line names the operation and the type of the error, never its text, which could hold
    content.
    """
    if isinstance(error, ExceptionGroup):
        error = _first_of(error)
    found = errno_of(error)
    if found == errno.EIO:
        _log.error("%s failed: %s", operation, type(error).__name__)
    return found


def _first_of(group: ExceptionGroup[Exception]) -> Exception:
    """The first plain error in a group: a task group wraps even a single one."""
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, ExceptionGroup) else first
