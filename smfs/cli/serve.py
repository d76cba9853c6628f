"""`smfs serve`: the service for many clients, over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from smfs.cli.commands import command
from smfs.cli.options import current_settings
from smfs.errors import ConfigError
from smfs.protocol.limits import DEFAULT_CONTENT_BYTES, LARGEST_CONTENT_BYTES

if TYPE_CHECKING:
    import socket

    import uvicorn

    from smfs.service import Service

_GRACE: Final = 10  # seconds for the requests that are under way when a signal comes
# Longer than clients keep an idle connection (httpx: 5 s), so that no request meets a closing one.
_KEEP_ALIVE: Final = 60  # seconds


def _address(argument: str) -> tuple[str, int]:
    """`HOST:PORT`; a host of IPv6 in brackets."""
    host, _, port = argument.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter("it is not of the form HOST:PORT")
    return host, int(port)


@command(
    "serve",
    examples=(
        "smfs serve --listen 127.0.0.1:6999 --db /var/lib/smfs/service.db",
        "smfs serve --listen [::1]:6999",
    ),
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    type=_address,
    default="127.0.0.1:6999",
    show_default=True,
    help="Where to listen; port 0 takes a free one.",
)
@click.option(
    "--db",
    "database",
    metavar="PATH",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The database; without it, the one of the embedded service.",
)
@click.option(
    "--allow-private-hooks",
    is_flag=True,
    help="Let notification hooks go to private and loopback addresses.",
)
@click.option(
    "--max-content",
    metavar="BYTES",
    type=click.IntRange(min=1, max=LARGEST_CONTENT_BYTES),
    help="The largest content of a secret; 1 MiB if nothing is given.",
)
def serve_command(
    *,
    listen: tuple[str, int],
    database: Path | None,
    allow_private_hooks: bool,
    max_content: int | None,
) -> None:
    """Serve many clients over HTTP.

    Ends with SIGTERM or SIGINT. Put a server that speaks TLS in front of it where it leaves this
    machine.
    """
    import asyncio

    from smfs.cli.logs import log_to
    from smfs.service import ServiceOptions, create_service

    log_to(None)
    options = ServiceOptions(
        allow_private_hooks=allow_private_hooks,
        max_content_bytes=max_content or DEFAULT_CONTENT_BYTES,
    )
    service = create_service(database or current_settings().directories.database, options=options)
    with _listening(*listen) as listener:
        asyncio.run(_serve(service, listener))


def _listening(host: str, port: int) -> socket.socket:
    import socket

    from smfs.cli.connections import ACCEPTED_AT_ONCE

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named asyncio sets TCP_NODELAY; without, every answer waits for an ACK.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(ACCEPTED_AT_ONCE)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


async def _serve(service: Service, listener: socket.socket) -> None:
    import signal

    async with service:
        server = _server(service)

        def end(_number: int, _frame: object) -> None:
            server.should_exit = True

        # uvicorn listens to these signals too, but only once it has begun; and it raises the one
        # that ended it anew, which is not to end the process by that signal.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        click.echo(f"listening on {_url(listener)}")
        await server.serve([listener])


def _server(service: Service) -> uvicorn.Server:
    import uvicorn

    from smfs.cli.connections import (
        ACCEPTED_AT_ONCE,
        BoundedProtocol,
        DrainingServer,
        most_connections,
    )

    BoundedProtocol.most = most_connections()
    return DrainingServer(
        uvicorn.Config(
            service,
            loop="asyncio",
            http=BoundedProtocol,
            backlog=ACCEPTED_AT_ONCE,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
            timeout_keep_alive=_KEEP_ALIVE,
        ),
        service.end_waiting,
    )


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
