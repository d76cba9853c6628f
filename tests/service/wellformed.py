"""For every route of the table, values of its fields with which it is in order."""

from __future__ import annotations

from typing import Any, Final

from smfs.protocol import requests
from smfs.protocol.requests import Request

SIGNING: Final = ("public_key", "timestamp", "signature", "nonce")
"""The fields that a node fills in when it signs."""

_VALUES: Final[dict[str, Any]] = {
    "action": "openSecretSpace",
    "auth_code": requests.AUTH_CODE_OPEN_SPACE,
    "closure_date": None,
    "contents": False,
    "feed": "",
    "first": "00" * 64,
    "from_id": "ab" * 32,
    "is_one_time_secret": False,
    "listing": False,
    "notification_hook_id": "00" * 16,
    "notify_url": "no URL",
    "secret": "an envelope",
    "secret_id": "x",
    "share_to_id": "ab" * 32,
    "shared_to_id": "ab" * 32,
    "since": 0,
    "size": 1,
    "target_id": "this",
    "type": "log",
    "wait": 0,
}

WELL_FORMED: Final[dict[type[Request], dict[str, Any]]] = {
    kind: {
        field.attribute: _VALUES[field.attribute]
        for field in requests.wire_fields(kind)
        if field.attribute not in SIGNING
    }
    for kind in requests.ROUTES.values()
}
"""A new route is here by itself; a new field wants a value above."""
