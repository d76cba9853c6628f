"""One log record for each request: where it went and how, never what was in it."""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

_log: Final = logging.getLogger("smfs.service.access")

_TEXT: Final = "%s %d in %.1f ms"


class Access(NamedTuple):
    """What is logged of a request, each a field of the record.

    Attributes:
        request_id: of the request.
        route: from the route table, or `other`.
        status: of the answer.
        milliseconds: from its head to its answer; what a feed waited is not in it.
        bytes_in: of the body that came.
        bytes_out: of the body that went.
        client: its address.
    """

    request_id: str
    route: str
    status: int
    milliseconds: float
    bytes_in: int
    bytes_out: int
    client: str


def is_logged(level: int) -> bool:
    """Whether records of a level go anywhere."""
    return _log.isEnabledFor(level)


def log_access(access: Access, level: int) -> None:
    """Logs it."""
    values = access.route, access.status, access.milliseconds
    fields = access._asdict()
    # Not by `log`: to look up where in the code this is costs as much as all the rest.
    _log.handle(_log.makeRecord(_log.name, level, "", 0, _TEXT, values, None, extra=fields))
