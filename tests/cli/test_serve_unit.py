"""The unit that `smfs serve --print-unit` prints, as systemd reads it."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from smfs.cli.databases import NamedDatabase
from smfs.cli.serve_options import Address, ServeSettings
from smfs.cli.serve_unit import unit_of

if TYPE_CHECKING:
    from tests.cli.conftest import Program

PATIENCE = 60.0
PROGRAM = ["/opt/smfs/bin/smfs"]
URL = "postgresql://smfs:geheim@db/smfs"


def settings_of(unit: str) -> dict[str, list[str]]:
    """The settings of a unit, as systemd.syntax(7) has them."""
    found: dict[str, list[str]] = {}
    joined = re.sub(r"\\\n\s*", " ", unit)
    for line in joined.splitlines():
        if not line or line.startswith("#"):
            continue
        if re.fullmatch(r"\[(Unit|Service|Install)\]", line):
            continue
        name, equals, value = line.partition("=")
        assert equals
        assert re.fullmatch(r"[A-Z][A-Za-z]+", name), line
        found.setdefault(name, []).append(value)
    return found


def words_of(unit: str) -> list[str]:
    """The command line, without the quotes and escapes of systemd.service(5)."""
    words = shlex.split(settings_of(unit)["ExecStart"][0])
    return [each.replace("$$", "$").replace("%%", "%") for each in words]


def test_the_command_is_the_one_that_was_given() -> None:
    """Whatever characters a path has; a credential takes the place of what only root can read."""
    settings = ServeSettings(
        listen=Address("::", 8443),
        workers=3,
        tls_cert=Path("/etc/tls 100%/$cert.pem"),
        tls_key=Path("/etc/tls/key.pem"),
        trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("::1")),
        drain_delay=5,
        cors_origins=("https://a.example",),
        anonymous=False,
    )
    database = NamedDatabase(Path('/srv/a "b" $c\\d%e/x.db'))
    unit = unit_of(settings, database, ["/opt/my smfs/bin/smfs"])

    assert words_of(unit) == [
        "/opt/my smfs/bin/smfs",
        "serve",
        "--listen=[::]:8443",
        "--workers=3",
        "--trusted-proxy=10.0.0.0/8",
        "--trusted-proxy=::1/128",
        "--drain-delay=5",
        "--no-anonymous",
        "--cors-origin=https://a.example",
        f"--db={database.where}",
        "--tls-cert=%d/tls-cert",
        "--tls-key=%d/tls-key",
    ]
    found = settings_of(unit)
    assert found["LoadCredential"] == [
        "tls-cert:/etc/tls 100%%/$cert.pem",
        "tls-key:/etc/tls/key.pem",
    ]
    assert int(found["TimeoutStopSec"][0]) > settings.drain_delay + settings.grace


@pytest.mark.parametrize(
    ("database", "argument", "setting"),
    [
        (None, "--db=%S/smfs/service.db", ""),
        (NamedDatabase(Path("/var/lib/smfs/x.db")), "--db=/var/lib/smfs/x.db", ""),
        (NamedDatabase(URL), "", "EnvironmentFile=/etc/smfs/serve.env"),
        (NamedDatabase(URL, file=Path("/etc/u")), "--db-file=%d/db", "LoadCredential=db:/etc/u"),
    ],
)
def test_the_database_is_named_without_its_password(
    database: NamedDatabase | None, argument: str, setting: str
) -> None:
    """Everybody may read a unit."""
    unit = unit_of(ServeSettings(), database, PROGRAM)
    assert words_of(unit) == [*PROGRAM, "serve", *([argument] if argument else [])]
    assert setting in unit
    assert "geheim" not in unit


def test_a_low_port_needs_one_capability() -> None:
    """And a high one none at all."""
    low = settings_of(unit_of(ServeSettings(listen=Address("::", 443)), None, PROGRAM))
    high = settings_of(unit_of(ServeSettings(), None, PROGRAM))
    assert low["AmbientCapabilities"] == low["CapabilityBoundingSet"] == ["CAP_NET_BIND_SERVICE"]
    assert "PrivateUsers" not in low
    assert high["CapabilityBoundingSet"] == [""]
    assert "AmbientCapabilities" not in high


def test_the_program_prints_its_own_path(program: Program) -> None:
    """An absolute one; systemd has no PATH of anybody."""
    unit = program.must("serve", "--print-unit", "--workers", "2")
    assert words_of(unit)[:2] == [str(program.path), "serve"]
    assert "--workers=2" in words_of(unit)
    found = settings_of(unit)
    for name in ("DynamicUser", "NoNewPrivileges", "MemoryDenyWriteExecute", "LockPersonality"):
        assert found[name] == ["yes"]
    assert found["ProtectSystem"] == ["strict"]


def test_systemd_finds_nothing_wrong(program: Program) -> None:
    """Neither with the words nor with the sandbox."""
    path = program.home / "smfs.service"
    path.write_text(
        program.must(
            *("serve", "--print-unit", "--listen=[::]:443", "--tls-cert", "a b%/$c", "--tls-key=k"),
            *("--db", "postgresql://x@y/z", "--cors-origin", "https://a.example"),
        )
    )
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", path],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    ours = [line for line in verified.stderr.splitlines() if "smfs" in line]
    assert (verified.returncode, ours) == (0, [])

    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--threshold=25", path],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert rated.returncode == 0, rated.stdout


def test_nothing_needs_memory_that_is_written_and_executed(program: Program) -> None:
    """MemoryDenyWriteExecute=yes: the kernel, where it can, refuses the like to a whole run."""
    denied = program.home / "denied"
    denied.write_text(
        f"#!{sys.executable}\n"
        "import ctypes, os, sys\n"
        "ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)\n"  # PR_SET_MDWE, of Linux 6.3
        f"os.execv({str(program.path)!r}, [{str(program.path)!r}, *sys.argv[1:]])\n"
    )
    denied.chmod(0o700)
    program.must("init")
    path, program.path = program.path, denied
    database = program.home / "service.db"
    with program.running("serve", "--listen=127.0.0.1:0", "--db", database) as process:
        address = program.address_of(process)
        program.path = path
        program.must("set", "a", "--service", address, stdin=b"kept")
        assert program.must("get", "a", "--service", address) == "kept"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE)[1] == b""
