"""smfs: the end-to-end encrypted secrets of a Secret Manager service, as files and as a library.

>>> from smfs import create_client
>>> client = create_client("https://secrets.example")

The client is imported when it is asked for, so that `import smfs` alone costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from smfs.errors import (
    AccessRefused,
    AuthenticationFailed,
    BadRequest,
    ClosureDateFixed,
    ClosureDatePassed,
    ConfigError,
    DanglingHook,
    DeadlineExceeded,
    DecryptionFailed,
    DirectoryNotEmpty,
    HookNotFound,
    IdTooLong,
    InvalidAuthCode,
    InvalidHookTarget,
    InvalidInput,
    InvalidKey,
    InvalidName,
    InvalidPoint,
    IsADirectory,
    MalformedData,
    MountError,
    NameTaken,
    NameTooLong,
    NoAttribute,
    NoSecretId,
    NoSuchName,
    NotAccepted,
    NotADirectory,
    NotSupported,
    OperationRefused,
    OtherArea,
    PetnameNotFound,
    QuotaExceeded,
    RefusedWith,
    ReplayRefused,
    RolledBack,
    SecretNotFound,
    ServiceBusy,
    ServiceError,
    ServiceUnavailable,
    SignatureMismatch,
    SignatureRefused,
    SmfsError,
    SpaceNotFound,
    StaleNode,
    TamperedSecret,
    TimestampMissing,
    TimestampRefused,
    TooLarge,
    TreeError,
    UndecodableName,
    UnknownRoute,
    UnsafeSecretId,
    UnsignedSecret,
    UnsupportedByService,
    UnsupportedMedia,
)

if TYPE_CHECKING:
    from smfs.client.client import Client, create_client
    from smfs.client.embedded import embedded_transport
    from smfs.client.hooks import NotificationHook
    from smfs.client.known import Key
    from smfs.client.versions import Look, Reading, RequireSignatures, Sender, Version
    from smfs.client.view import View
    from smfs.protocol.discovery import Discovery
    from smfs.protocol.spaces import Space, SubSpace

__version__: Final = "0.1.0"

__all__ = [
    "AccessRefused",
    "AuthenticationFailed",
    "BadRequest",
    "Client",
    "ClosureDateFixed",
    "ClosureDatePassed",
    "ConfigError",
    "DanglingHook",
    "DeadlineExceeded",
    "DecryptionFailed",
    "DirectoryNotEmpty",
    "Discovery",
    "HookNotFound",
    "IdTooLong",
    "InvalidAuthCode",
    "InvalidHookTarget",
    "InvalidInput",
    "InvalidKey",
    "InvalidName",
    "InvalidPoint",
    "IsADirectory",
    "Key",
    "Look",
    "MalformedData",
    "MountError",
    "NameTaken",
    "NameTooLong",
    "NoAttribute",
    "NoSecretId",
    "NoSuchName",
    "NotADirectory",
    "NotAccepted",
    "NotSupported",
    "NotificationHook",
    "OperationRefused",
    "OtherArea",
    "PetnameNotFound",
    "QuotaExceeded",
    "Reading",
    "RefusedWith",
    "ReplayRefused",
    "RequireSignatures",
    "RolledBack",
    "SecretNotFound",
    "Sender",
    "ServiceBusy",
    "ServiceError",
    "ServiceUnavailable",
    "SignatureMismatch",
    "SignatureRefused",
    "SmfsError",
    "Space",
    "SpaceNotFound",
    "StaleNode",
    "SubSpace",
    "TamperedSecret",
    "TimestampMissing",
    "TimestampRefused",
    "TooLarge",
    "TreeError",
    "UndecodableName",
    "UnknownRoute",
    "UnsafeSecretId",
    "UnsignedSecret",
    "UnsupportedByService",
    "UnsupportedMedia",
    "Version",
    "View",
    "__version__",
    "create_client",
    "embedded_transport",
]

_LATE: Final = {
    "Client": "smfs.client.client",
    "Discovery": "smfs.protocol.discovery",
    "Key": "smfs.client.known",
    "Look": "smfs.client.versions",
    "NotificationHook": "smfs.client.hooks",
    "Reading": "smfs.client.versions",
    "RequireSignatures": "smfs.client.versions",
    "Sender": "smfs.client.versions",
    "Space": "smfs.protocol.spaces",
    "SubSpace": "smfs.protocol.spaces",
    "Version": "smfs.client.versions",
    "View": "smfs.client.view",
    "create_client": "smfs.client.client",
    "embedded_transport": "smfs.client.embedded",
}


if not TYPE_CHECKING:  # a type checker that saw it would take every misspelt name for `Any`

    def __getattr__(name: str) -> Any:
        try:
            module = importlib.import_module(_LATE[name])
        except KeyError:
            raise AttributeError(f"module 'smfs' has no attribute {name!r}") from None
        return getattr(module, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
