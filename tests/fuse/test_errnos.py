"""The one table from errors to errnos."""

from __future__ import annotations

import errno
import logging

import pytest

from smfs import errors
from smfs.fuse.errnos import errno_of, report

EXPECTED = {
    errors.SmfsError: errno.EIO,
    errors.InvalidInput: errno.EINVAL,
    errors.InvalidKey: errno.EINVAL,
    errors.UnsafeSecretId: errno.EINVAL,
    errors.ConfigError: errno.EINVAL,
    errors.MalformedData: errno.EBADMSG,
    errors.TamperedSecret: errno.EBADMSG,
    errors.DecryptionFailed: errno.EBADMSG,
    errors.SignatureMismatch: errno.EBADMSG,
    errors.UnsignedSecret: errno.EBADMSG,
    errors.RolledBack: errno.EBADMSG,
    errors.ServiceError: errno.EIO,
    errors.RefusedWith: errno.EIO,
    errors.SpaceNotFound: errno.EACCES,
    errors.SecretNotFound: errno.ENOENT,
    errors.NotAccepted: errno.EACCES,
    errors.PetnameNotFound: errno.ENOENT,
    errors.HookNotFound: errno.EIO,
    errors.DanglingHook: errno.EIO,
    errors.InvalidHookTarget: errno.EIO,
    errors.NoSecretId: errno.EINVAL,
    errors.IdTooLong: errno.ENAMETOOLONG,
    errors.StoreUnreachable: errno.ETIMEDOUT,
    errors.ClosureDatePassed: errno.EINVAL,
    errors.ClosureDateFixed: errno.EPERM,
    errors.InvalidPoint: errno.EINVAL,
    errors.BadRequest: errno.EIO,
    errors.UnknownRoute: errno.EIO,
    errors.UnsupportedMedia: errno.EIO,
    errors.TooLarge: errno.EFBIG,
    errors.QuotaExceeded: errno.EDQUOT,
    errors.AuthenticationFailed: errno.EACCES,
    errors.TimestampMissing: errno.EACCES,
    errors.TimestampRefused: errno.EACCES,
    errors.ReplayRefused: errno.EACCES,
    errors.InvalidAuthCode: errno.EACCES,
    errors.SignatureRefused: errno.EACCES,
    errors.UnsupportedByService: errno.EOPNOTSUPP,
    errors.ServiceUnavailable: errno.EHOSTUNREACH,
    errors.DeadlineExceeded: errno.ETIMEDOUT,
    errors.ServiceBusy: errno.ETIMEDOUT,
    errors.TooManyRequests: errno.ETIMEDOUT,
    errors.OutcomeUnknown: errno.ETIMEDOUT,
    errors.StoreFailed: errno.EIO,
    errors.StoreFull: errno.EIO,
    errors.CacheUnusable: errno.EIO,
    errors.TreeError: errno.EIO,
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
    errors.MountError: errno.EIO,
}

EVERY_ERROR = [
    found
    for found in vars(errors).values()
    if isinstance(found, type) and issubclass(found, errors.SmfsError)
]


@pytest.mark.parametrize("error", EVERY_ERROR, ids=lambda error: error.__name__)
def test_every_error_has_the_errno_that_the_design_gives_it(error: type[errors.SmfsError]) -> None:
    """No error class can be added without saying here what a program sees of it."""
    assert errno_of(error("what went wrong")) == EXPECTED[error]


def test_a_new_kind_of_a_known_error_is_what_its_base_is() -> None:
    """The table is walked along the ancestry."""

    class TamperedElsewhere(errors.SignatureMismatch):
        pass

    assert errno_of(TamperedElsewhere()) == errno.EBADMSG


def test_the_unforeseen_is_an_input_output_error() -> None:
    """Whatever is no error of ours is EIO."""
    assert errno_of(KeyError("x")) == errno.EIO


def test_the_unforeseen_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    """One line names the operation and the type; the text could hold content."""
    with caplog.at_level(logging.DEBUG):
        assert report("read", ValueError("hunter2")) == errno.EIO

    (record,) = caplog.records
    assert record.getMessage() == "read failed: ValueError"
    assert record.exc_info is None


def test_what_the_table_knows_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A program that asks for a name that is not there is no event."""
    with caplog.at_level(logging.DEBUG):
        assert report("lookup", errors.NoSuchName("x")) == errno.ENOENT

    assert not caplog.records


def test_a_group_is_its_first_error() -> None:
    """A task group wraps even a single error, however deep."""
    inner = ExceptionGroup("inner", [errors.TooLarge(), KeyError("x")])

    assert report("write", ExceptionGroup("outer", [inner])) == errno.EFBIG
