"""`smfs serve --print-unit`: a unit of systemd, with as little as a service needs around it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from smfs.cli.databases import NamedDatabase
from smfs.cli.serve_options import ServeSettings

_STATE: Final = Path("/var/lib/smfs")
_ENVIRONMENT: Final = "/etc/smfs/serve.env"
_HOMES: Final = ("/home", "/root", "/run/user")
_MARGIN_S: Final = (
    15  # beyond the grace: the supervisor kills what is late, and the database closes
)
_SAFE: Final = re.compile(r"[A-Za-z0-9_@%+=:,./\[\]-]+")

_UNIT: Final = """\
[Unit]
Description=smfs, secrets as files: the service
Wants=network-online.target
After=network-online.target postgresql.service

[Service]
Type=notify
ExecStart={command}
Restart=on-failure
RestartSec=2
# SIGTERM is for the first process; it drains, and tells its workers.
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec={stop}
LimitNOFILE=65536
LimitCORE=0
UMask=0077
{database}{tls}
# The sandbox (`systemd-analyze security smfs.service` rates it)
DynamicUser=yes
StateDirectory=smfs
StateDirectoryMode=0700
RuntimeDirectory=smfs
RuntimeDirectoryMode=0700
WorkingDirectory=%S/smfs
ProtectSystem=strict
ProtectHome={home}
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
{capabilities}NoNewPrivileges=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def unit_of(settings: ServeSettings, database: NamedDatabase | None, program: Sequence[str]) -> str:
    """The unit that runs `smfs serve` with these settings.

    A URL is never in it: anybody may read a unit.

    Args:
        settings: how it serves.
        database: of the service; None: one in the unit's own directory.
        program: the absolute path of the program, and what comes before `serve`.
    """
    arguments, around = _database(database)
    tls = ""
    if settings.tls_cert is not None and settings.tls_key is not None:
        tls = (
            "# Root's own files; a renewed certificate is taken by `systemctl restart smfs`.\n"
            f"LoadCredential=tls-cert:{_doubled(settings.tls_cert)}\n"
            f"LoadCredential=tls-key:{_doubled(settings.tls_key)}\n"
        )
        arguments += ["--tls-cert=%d/tls-cert", "--tls-key=%d/tls-key"]
        settings = replace(settings, tls_cert=None, tls_key=None)
    words = [_quoted(_doubled(each)) for each in (*program, "serve", *settings.arguments())]
    return _UNIT.format(
        command=" \\\n    ".join(
            [" ".join(words[: len(program) + 1]), *words[len(program) + 1 :]]
            + [_quoted(each) for each in arguments]
        ),
        stop=round(settings.drain_delay + settings.grace) + _MARGIN_S,
        database=around,
        tls=tls,
        home="read-only" if _lives_in_home(program) else "yes",
        capabilities=_capabilities(settings.listen.port),
    )


def program_path() -> list[str]:
    """How this program is started, from anywhere."""
    path = Path(sys.argv[0]).absolute()
    if path.name == "smfs" and os.access(path, os.X_OK):
        return [str(path)]
    return [sys.executable, "-P", "-m", "smfs.cli.main"]


def _database(database: NamedDatabase | None) -> tuple[list[str], str]:
    """Arguments (with specifiers of systemd), and lines of the unit."""
    if database is None:
        return ["--db=%S/smfs/service.db"], ""
    if database.file is not None:
        return ["--db-file=%d/db"], f"LoadCredential=db:{_doubled(database.file)}\n"
    if isinstance(database.where, str):
        line = "# Mode 0600, with one line: SMFS_DB=postgresql://…\n"
        return [], f"{line}EnvironmentFile={_ENVIRONMENT}\n"
    path = database.where.absolute()
    if path.is_relative_to(_STATE):
        return [f"--db={_doubled(path)}"], ""
    return [f"--db={_doubled(path)}"], (
        "# Whose the directory is must be its user, too: name him (User=, DynamicUser=no).\n"
        f"ReadWritePaths={_quoted(_doubled(path.parent))}\n"
    )


def _capabilities(port: int) -> str:
    if 0 < port < 1024:
        one = "CAP_NET_BIND_SERVICE"
        return f"AmbientCapabilities={one}\nCapabilityBoundingSet={one}\n"
    return "PrivateUsers=yes\nCapabilityBoundingSet=\n"


def _lives_in_home(program: Sequence[str]) -> bool:
    places = (program[0], sys.prefix, sys.base_prefix)
    return any(Path(place).is_relative_to(home) for place in places for home in _HOMES)


def _doubled(text: str | Path) -> str:
    """`%` would begin a specifier."""
    return str(text).replace("%", "%%")


def _quoted(text: str) -> str:
    """One word of a command line: `$` and the backslash are special even in quotes."""
    if _SAFE.fullmatch(text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{escaped}"'
