"""What `smfs serve` is told: its settings, the forms of values, and the way back to options."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import click

from smfs.protocol.limits import DEFAULT_CONTENT_BYTES

Network: TypeAlias = IPv4Network | IPv6Network

PREFIX: Final = "SMFS_SERVE"
"""`SMFS_SERVE_MAX_BODY` of the environment is `--max-body`, and so on."""

METRICS_TOKEN: Final = "SMFS_METRICS_TOKEN"  # noqa: S105 - the name of one
"""What who reads /metrics must bring, where that is set."""

LOG_FORMATS: Final = ("text", "json")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")

_LONGEST_S: Final = 3600.0
_BURST_S: Final = 5  # seconds of a rate that may come at once, where no burst is named
_HOST: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?|\[[0-9a-f:.]+\]")
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Address:
    """Where to listen; a host of IPv6 has no brackets here."""

    host: str
    port: int

    def __str__(self) -> str:
        """`HOST:PORT`."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Rate:
    """A token bucket.

    Attributes:
        per_second: how many come in on the average.
        burst: how many may come at once.
    """

    per_second: float
    burst: int

    def __str__(self) -> str:
        """`RATE:BURST`."""
        return f"{self.per_second:.15g}:{self.burst}"


@dataclass(frozen=True)
class ServeSettings:
    """What `smfs serve` was told, but for the database. None for a limit means that there is none.

    Attributes:
        listen: where.
        workers: how many processes serve.
        tls_cert: certificate chain, PEM; with `tls_key`, or neither.
        tls_key: its private key.
        trusted_proxies: whose X-Forwarded-… are believed.
        drain_delay: seconds between `not ready` and closing the listeners.
        grace: seconds that requests under way have in the end.
        log_format: one of `LOG_FORMATS`.
        log_level: one of `LOG_LEVELS`.
        access_log: whether each request is logged.
        max_body: bytes of a request's body; None: what `max_content` needs.
        max_content: bytes of a secret's content.
        max_secrets: secrets of a space.
        max_space_bytes: bytes of a space.
        node_rate: requests of one node.
        address_rate: requests from one address.
        node_open: requests of one node at a time.
        address_open: requests from one address at a time.
        anonymous: whether new nodes without an auth code are let in.
        cors_origins: of the pages that browsers let ask.
        allow_private_hooks: whether hooks may call private and loopback addresses.
        public_metrics: whether everybody may read /metrics.
        notify: whether PostgreSQL's LISTEN and NOTIFY are used.
    """

    listen: Address = Address("127.0.0.1", 6999)
    workers: int = 1
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxies: tuple[Network, ...] = field(default=(), metadata={"option": "trusted-proxy"})
    drain_delay: float = 0.0
    grace: float = 10.0
    log_format: str = "text"
    log_level: str = "info"
    access_log: bool = False
    max_body: int | None = None
    max_content: int = DEFAULT_CONTENT_BYTES
    max_secrets: int | None = 100_000
    max_space_bytes: int | None = 1024**3
    node_rate: Rate | None = Rate(1000, 5000)
    address_rate: Rate | None = Rate(2000, 10_000)
    node_open: int | None = 64
    address_open: int | None = 512
    anonymous: bool = True
    cors_origins: tuple[str, ...] = field(default=(), metadata={"option": "cors-origin"})
    allow_private_hooks: bool = False
    public_metrics: bool = False
    notify: bool = True

    def arguments(self) -> list[str]:
        """The options that say the same; what is so by default is left out."""
        found = []
        for each in fields(self):
            value = getattr(self, each.name)
            if value != each.default:
                name = each.metadata.get("option", each.name.replace("_", "-"))
                found += _as_options(name, value)
        return found


def _as_options(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, tuple):
        return [f"--{name}={each}" for each in value]
    return [f"--{name}={0 if value is None else value}"]


class Seconds(click.FloatRange):
    """Seconds from 0 up to an hour, as click converts them."""

    def __init__(self) -> None:
        super().__init__(0, _LONGEST_S)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """As click calls it; `nan`, which no comparison finds out of range, is refused."""
        found: float = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail(f"{value!r} is no number of seconds", param, ctx)
        return found


def _parsed(convert: Callable[[str], Any]) -> Callable[[Any], Any]:
    """As click calls it: what is converted already (a default) stays as it is."""

    def parse(argument: Any) -> Any:
        return convert(argument) if isinstance(argument, str) else argument

    parse.__name__ = convert.__name__
    return parse


@_parsed
def as_address(argument: str) -> Address:
    """`HOST:PORT`; a host of IPv6 in brackets."""
    host, _, port = argument.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter("it is not of the form HOST:PORT")
    return Address(host, int(port))


@_parsed
def as_rate(argument: str) -> Rate | None:
    """`RATE` or `RATE:BURST`; a rate of 0 is none."""
    text, colon, burst_text = argument.partition(":")
    try:
        per_second = float(text)
        burst = int(burst_text) if colon else max(1, math.ceil(per_second * _BURST_S))
    except (ValueError, OverflowError):
        raise click.BadParameter("it is not of the form RATE or RATE:BURST") from None
    if not (math.isfinite(per_second) and per_second >= 0 and burst >= (1 if per_second else 0)):
        raise click.BadParameter("the rate must be 0 or more, and the burst 1 or more")
    return Rate(per_second, burst) if per_second else None


@_parsed
def as_network(argument: str) -> Network:
    """An address or a network, as `10.0.0.7` or `fd00::/8`."""
    try:
        return ip_network(argument)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@_parsed
def as_origin(argument: str) -> str:
    """`SCHEME://HOST[:PORT]` as browsers write it: in lower case, without the usual port."""
    try:
        parts = urlsplit(argument.lower())
        port = parts.port
    except ValueError:
        raise click.BadParameter("it is not of the form https://HOST[:PORT]") from None
    host = parts.netloc.removesuffix(f":{port}")
    rest = parts.path or parts.query or parts.fragment
    if parts.scheme not in _PORTS or rest or argument[-1:] in "/?#" or not _HOST.fullmatch(host):
        raise click.BadParameter("it is not of the form https://HOST[:PORT], without a path")
    usual = port is None or port == _PORTS[parts.scheme]
    return f"{parts.scheme}://{host}" if usual else f"{parts.scheme}://{host}:{port}"


def as_limit(_context: click.Context, _parameter: click.Parameter, value: int) -> int | None:
    """A callback of click: the limit 0 is none."""
    return value or None
