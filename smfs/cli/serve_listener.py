"""Where `smfs serve` listens, and whom it tells."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import Final

from smfs.cli.serve_options import Address
from smfs.errors import ConfigError

ACCEPTED_AT_ONCE: Final = 128
"""The most connections that the loop takes before it looks at anything else."""


def listening(address: Address, *, is_shared: bool = False) -> socket.socket:
    """A listener.

    Args:
        address: where; port 0 takes a free one.
        is_shared: whether other listeners of this user may have the same port.

    Raises:
        ConfigError: when one cannot listen there.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    # With the protocol named asyncio sets TCP_NODELAY; without, every answer waits for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((address.host, address.port))
        listener.listen(ACCEPTED_AT_ONCE)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {address}: {error.strerror}") from None
    return listener


def url_of(listener: socket.socket, *, has_tls: bool) -> str:
    """The URL at which clients find a listener."""
    host, port = listener.getsockname()[:2]
    return f"{'https' if has_tls else 'http'}://{Address(host, port)}"


def tell_systemd(state: str) -> None:
    """Says `READY=1` or the like to the service manager, where one wants to know (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager,
        contextlib.suppress(OSError),
    ):
        manager.connect(address)
        manager.sendall(state.encode())
