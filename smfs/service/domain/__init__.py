"""What the service does: one function for each request."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from smfs.crypto.box import Box
from smfs.protocol import requests
from smfs.protocol.requests import Request
from smfs.service.domain import changes, codes, hooks, own, sharing, spaces
from smfs.service.domain.changes import Page
from smfs.service.domain.operation import Checked, Operation, Sealed, SpaceLimits

__all__ = [
    "EVENTS",
    "FUNCTIONS",
    "READING",
    "SEALING",
    "SHORT",
    "Checked",
    "Operation",
    "Page",
    "Sealed",
    "SpaceLimits",
]

FUNCTIONS: Final[Mapping[type[Request], Callable[..., Any]]] = MappingProxyType(
    {
        requests.GetNodeId: codes.get_node_id,
        requests.CreateAuthCode: codes.create_auth_code,
        requests.OpenSecretSpace: spaces.open_secret_space,
        requests.GetSecretSpace: spaces.get_secret_space,
        requests.DeleteSecretSpace: spaces.delete_secret_space,
        requests.SetSecret: own.set_secret,
        requests.GetSecret: own.get_secret,
        requests.DeleteSecret: own.delete_secret,
        requests.OpenSubSpace: spaces.open_sub_space,
        requests.GetSubSpace: spaces.get_sub_space,
        requests.DeleteSubSpace: spaces.delete_sub_space,
        requests.ShareSecretTo: sharing.share_secret_to,
        requests.CheckShare: sharing.check_share,
        requests.GetChanges: changes.get_changes,
        requests.GetSecretFrom: sharing.get_secret_from,
        requests.RepeatSecretFrom: sharing.repeat_secret_from,
        requests.DeleteSharedSecret: sharing.delete_shared_secret,
        requests.AddNotificationHook: hooks.add_notification_hook,
        requests.GetNotificationHooks: hooks.get_notification_hooks,
        requests.DeleteNotificationHook: hooks.delete_notification_hook,
    }
)
"""The function of each request; it returns a box, a JSON object, `Sealed`, `Checked`, or None."""

SEALING: Final[Mapping[type[Request], Callable[..., Box]]] = MappingProxyType(
    {requests.SetSecret: own.seal_own, requests.ShareSecretTo: sharing.seal_shared}
)
"""What takes its time before the transaction: encrypts what is to be stored.

Raises InvalidPoint when nothing can be encrypted to that node id.
"""

READING: Final = frozenset(
    {
        requests.GetSecretSpace,
        requests.GetSecret,
        requests.GetSubSpace,
        requests.GetNotificationHooks,
        requests.CheckShare,
        requests.GetChanges,
        requests.RepeatSecretFrom,
    }
)
"""The requests that change nothing, so that nothing of them must survive a loss of power."""

SHORT: Final = frozenset(
    {
        requests.GetNodeId,
        requests.SetSecret,
        requests.GetSecret,
        requests.DeleteSecret,
        requests.ShareSecretTo,
        requests.CheckShare,
        requests.GetSecretFrom,
        requests.RepeatSecretFrom,
        requests.DeleteSharedSecret,
    }
)
"""The requests that take as long in a space of many secrets as in an empty one."""

EVENTS: Final[Mapping[type[Request], str]] = MappingProxyType(
    {
        requests.GetSecretSpace: "event onRead",
        requests.GetSecret: "event onRead",
        requests.GetSubSpace: "event onRead",
        requests.GetSecretFrom: "event onRead",
        requests.SetSecret: "event onWrite",
        requests.OpenSubSpace: "event onWrite",
        requests.ShareSecretTo: "event onWrite",
        requests.CreateAuthCode: "event onWrite",
        requests.DeleteSecret: "event onDelete",
        requests.DeleteSubSpace: "event onDelete",
        requests.DeleteSharedSecret: "event onDelete",
        requests.AddNotificationHook: "event onNotificationWrite",
        requests.GetNotificationHooks: "event onNotificationRead",
        requests.DeleteNotificationHook: "event onNotificationDelete",
    }
)
"""What the hooks hear of each request that went well (PROTOCOL.md section 14)."""
