"""`smfs serve`: the service for many clients, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from smfs.cli.databases import NamedDatabase, current_database, database_options
from smfs.cli.options import current_settings
from smfs.cli.output import has_output
from smfs.cli.serve_help import Group, GroupedCommand
from smfs.cli.serve_options import (
    LOG_FORMATS,
    LOG_LEVELS,
    Seconds,
    ServeSettings,
    as_address,
    as_limit,
    as_network,
    as_origin,
    as_rate,
)
from smfs.errors import SmfsError
from smfs.protocol.limits import LARGEST_CONTENT_BYTES

if TYPE_CHECKING:
    import socket

    from smfs.cli.serve_worker import Descriptors

_DEFAULT: Final = ServeSettings()
_MOST_WORKERS: Final = 256

_listening = Group("Listening")
_ending = Group("Ending")
_logging = Group("Logs and metrics")
_limiting = Group("Limits (0: none)")
_allowing = Group("Policy")

_FILE: Final = click.Path(path_type=Path)
_LIMIT: Final = click.IntRange(min=0)


def _limit(name: str, metavar: str, default: object, help_text: str) -> Callable[[Any], Any]:
    return _limiting.option(
        name,
        metavar=metavar,
        type=as_rate if metavar.startswith("RATE") else _LIMIT,
        default=default,
        show_default=True,
        callback=None if metavar.startswith("RATE") else as_limit,
        help=help_text,
    )


def _descriptors(argument: str) -> Descriptors:
    from smfs.cli.serve_worker import Descriptors

    return Descriptors.parse(argument)


@click.command("serve", cls=GroupedCommand)
@database_options
@_listening.option(
    "--listen",
    metavar="HOST:PORT",
    type=as_address,
    default=str(_DEFAULT.listen),
    show_default=True,
    help="Where to listen; port 0 takes a free one, and [::] is IPv6 alone.",
)
@_listening.option(
    "--workers",
    metavar="N",
    type=click.IntRange(1, _MOST_WORKERS),
    default=_DEFAULT.workers,
    show_default=True,
    help="How many processes serve.",
)
@_listening.option(
    "--tls-cert", metavar="FILE", type=_FILE, help="Speak TLS: the certificate chain, PEM."
)
@_listening.option(
    "--tls-key", metavar="FILE", type=_FILE, help="Its private key, PEM. SIGHUP reads both again."
)
@_listening.option(
    "--trusted-proxy",
    "trusted_proxies",
    metavar="ADDRESS|NETWORK",
    type=as_network,
    multiple=True,
    help="A proxy whose X-Forwarded-For and X-Forwarded-Proto are believed; may be repeated.",
)
@_ending.option(
    "--drain-delay",
    metavar="SECONDS",
    type=Seconds(),
    default=_DEFAULT.drain_delay,
    show_default=True,
    help="How long to go on after SIGTERM, while /readyz says 503.",
)
@_ending.option(
    "--grace",
    metavar="SECONDS",
    type=Seconds(),
    default=_DEFAULT.grace,
    show_default=True,
    help="How long the requests under way have then.",
)
@_logging.option(
    "--log-format",
    type=click.Choice(LOG_FORMATS),
    default=_DEFAULT.log_format,
    show_default=True,
    help="json: one object on each line.",
)
@_logging.option(
    "--log-level",
    type=click.Choice(LOG_LEVELS),
    default=_DEFAULT.log_level,
    show_default=True,
    help="From what on it is logged.",
)
@_logging.option("--access-log", is_flag=True, help="Log each request.")
@_logging.option("--public-metrics", is_flag=True, help="Let everybody read /metrics.")
@_limiting.option(
    "--max-content",
    metavar="BYTES",
    type=click.IntRange(min=1, max=LARGEST_CONTENT_BYTES),
    default=_DEFAULT.max_content,
    show_default=True,
    help="The largest content of a secret.",
)
@_limiting.option(
    "--max-body",
    metavar="BYTES",
    type=click.IntRange(min=1),
    help="The largest body of a request; without it, what --max-content needs.",
)
@_limit("--max-secrets", "N", _DEFAULT.max_secrets, "Secrets of one space.")
@_limit("--max-space-bytes", "BYTES", _DEFAULT.max_space_bytes, "Bytes of one space.")
@_limit("--node-rate", "RATE[:BURST]", str(_DEFAULT.node_rate), "Requests a second of one node.")
@_limit(
    "--address-rate",
    "RATE[:BURST]",
    str(_DEFAULT.address_rate),
    "Requests a second of one address.",
)
@_limit("--node-open", "N", _DEFAULT.node_open, "Requests of one node at a time.")
@_limit("--address-open", "N", _DEFAULT.address_open, "Requests of one address at a time.")
@_allowing.option(
    "--anonymous/--no-anonymous",
    default=_DEFAULT.anonymous,
    help="Whether new nodes without an auth code get a space.",
)
@_allowing.option(
    "--cors-origin",
    "cors_origins",
    metavar="ORIGIN",
    type=as_origin,
    multiple=True,
    help="A site whose pages may ask, as https://HOST[:PORT]; may be repeated.",
)
@_allowing.option(
    "--allow-private-hooks",
    is_flag=True,
    help="Let notification hooks go to private and loopback addresses.",
)
@_allowing.option(
    "--notify/--no-notify",
    default=_DEFAULT.notify,
    help="Whether PostgreSQL can LISTEN and NOTIFY; without it, waiting requests poll.",
)
@click.option(
    "--print-unit",
    is_flag=True,
    help="Print a unit for systemd, and end.",
)
@click.option("--worker", type=_descriptors, hidden=True)
def serve_command(*, print_unit: bool, worker: Descriptors | None, **named: Any) -> int:
    """Serve many clients over HTTP.

    SIGTERM and SIGINT end it, after what is under way; a second one ends it at once.
    """
    settings = ServeSettings(**named)
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key need each other")
    database = current_database()
    if print_unit:
        from smfs.cli.serve_unit import program_path, unit_of

        click.echo(unit_of(_absolute(settings), database, program_path()), nl=False)
        return 0
    return _serve(settings, database, worker)


serve_command.examples = (
    "smfs serve --listen 127.0.0.1:6999 --db /var/lib/smfs/service.db",
    "SMFS_DB=postgresql://smfs@db1,db2/smfs smfs serve --listen [::1]:6999 --workers 4",
    "smfs serve --listen 0.0.0.0:443 --tls-cert chain.pem --tls-key key.pem",
    "smfs serve --listen 10.0.0.5:6999 --trusted-proxy 10.0.0.0/24 --drain-delay 5",
    "smfs serve --workers 4 --print-unit > /etc/systemd/system/smfs.service",
)


def _absolute(settings: ServeSettings) -> ServeSettings:
    from dataclasses import replace

    cert, key = settings.tls_cert, settings.tls_key
    return replace(
        settings,
        tls_cert=cert.absolute() if cert else None,
        tls_key=key.absolute() if key else None,
    )


def _serve(settings: ServeSettings, named: NamedDatabase | None, worker: Descriptors | None) -> int:
    import logging

    from smfs.cli.exits import exit_code_of, leaf_of, told
    from smfs.cli.logs import log_service
    from smfs.cli.serve_hangup import hold_hangup

    hold_hangup()
    log_service(settings.log_format, settings.log_level)
    log = logging.getLogger(__name__)
    if named is not None and named.shows_password:
        log.warning(
            "the password in --db is seen by all who may list processes: use SMFS_DB or --db-file"
        )
    database = named.where if named else current_settings().directories.database
    try:
        return _serve_all(settings, database, worker)
    except Exception as error:
        leaf = leaf_of(error)
        if settings.log_format != "json" or not isinstance(leaf, SmfsError):
            raise
        log.error("%s", told(leaf))  # noqa: TRY400 - what it says is all that is to be told
        return exit_code_of(leaf)


def _serve_all(settings: ServeSettings, database: Path | str, worker: Descriptors | None) -> int:
    from smfs.cli.serve_listener import listening

    if worker is not None:
        from smfs.cli.serve_worker import serve_as_worker

        return serve_as_worker(settings, database, worker)
    if settings.workers == 1:
        from smfs.cli.serve_process import serve

        with listening(settings.listen) as listener:
            serve(settings, database, listener, on_ready=lambda: _announce(settings, listener))
        return 0
    from smfs.cli.serve_tls import loaded_tls
    from smfs.cli.serve_workers import listeners_of, supervise

    loaded_tls(settings)  # what is wrong with it is told once, not by each worker
    listeners = listeners_of(settings.listen, settings.workers)
    return supervise(
        settings, database, listeners, on_ready=lambda: _announce(settings, listeners[0])
    )


def _announce(settings: ServeSettings, listener: socket.socket) -> None:
    from smfs.cli.serve_listener import tell_systemd, url_of

    if has_output():  # a service goes on without
        click.echo(f"listening on {url_of(listener, has_tls=settings.tls_cert is not None)}")
    tell_systemd("READY=1")
