"""How the layer around the service is set up."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from smfs.errors import InvalidInput

_ORIGIN: Final = re.compile(
    r"https?://[a-z0-9.-]+(?::[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](?::[0-9]{1,5})?"
)


@dataclass(frozen=True)
class OperatingOptions:
    """What the operator chose.

    Attributes:
        access_log: whether each request is logged; failures of the service always are.
        cors_origins: the origins whose pages in browsers may ask, as browsers write them.
        metrics_token: what who reads `/metrics` must bring as a bearer token, from anywhere.
        public_metrics: whether anybody may read `/metrics`. Without this and without a token only
            this machine may, and no proxy on it for somebody else, as far as that adds a header
            such as X-Forwarded-For; behind one that adds none a token is needed.
        address_rate: requests a second from one client address; None: any number.
        address_burst: how many may come at once after a pause; None: those of one second.
        address_open: requests of one client address at the same time, waiting ones included; None:
            any number.
        most_addresses: of how many addresses the rate is remembered.
        ready_s: how long the store may take to say that it can be used.

    Raises:
        InvalidInput: for an origin that no browser sends, and for an empty token.
    """

    access_log: bool = False
    cors_origins: frozenset[str] = frozenset()
    metrics_token: str | None = field(default=None, repr=False)
    public_metrics: bool = False
    address_rate: float | None = None
    address_burst: int | None = None
    address_open: int | None = None
    most_addresses: int = 16_384
    ready_s: float = 2.0

    def __post_init__(self) -> None:
        for origin in self.cors_origins:
            if not _ORIGIN.fullmatch(origin):
                raise InvalidInput(f"{origin!r} is no origin of the form https://host[:port]")
        if self.metrics_token is not None and not self.metrics_token:
            raise InvalidInput("the token for metrics is empty")
