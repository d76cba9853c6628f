"""What `smfs serve` can be told, and how."""

from __future__ import annotations

import json
import os
import re
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from smfs.cli import serve
from smfs.cli.databases import as_database, shown_database
from smfs.cli.serve_options import (
    Address,
    Rate,
    ServeSettings,
    as_address,
    as_network,
    as_origin,
    as_rate,
)

if TYPE_CHECKING:
    from tests.cli.conftest import Program

ALL = ServeSettings(
    listen=Address("::1", 0),
    workers=3,
    tls_cert=Path("/a b/chain.pem"),
    tls_key=Path("/a b/key.pem"),
    trusted_proxies=(ip_network("10.0.0.0/8"), ip_network("fd00::1")),
    drain_delay=0.25,
    grace=0.125,
    log_format="json",
    log_level="error",
    access_log=True,
    max_body=10_000_000,
    max_content=5,
    max_secrets=7,
    max_space_bytes=None,
    node_rate=Rate(0.5, 3),
    address_rate=None,
    node_open=None,
    address_open=9,
    anonymous=False,
    cors_origins=("https://a.example", "http://[::1]:8080"),
    allow_private_hooks=True,
    public_metrics=True,
    notify=False,
)
URL = "postgresql://smfs:geheim@db1,db2/smfs?sslmode=require"


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Parses a command line, and returns settings and database."""
    found: list[Any] = []

    def keep(settings: ServeSettings, database: Any, worker: Any) -> int:
        found[:] = [settings, database]
        return 0

    monkeypatch.setattr(serve, "_serve", keep)

    def parse(*arguments: str, **environment: str) -> Any:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        serve.serve_command.main(list(arguments), prog_name="serve", standalone_mode=False)
        return found

    return parse


def test_options_and_settings_say_the_same(parsed: Any) -> None:
    """A worker and a unit are told by options what was understood."""
    assert all(getattr(ALL, each.name) != each.default for each in fields(ServeSettings))
    assert parsed(*ALL.arguments())[0] == ALL
    assert parsed()[0] == ServeSettings()
    assert ServeSettings().arguments() == []


def test_every_option_can_come_from_the_environment(parsed: Any) -> None:
    """Several values of one are separated by spaces; switches are 1 and 0."""
    told: dict[str, list[str]] = {}
    for argument in ALL.arguments():
        name, _, value = argument.removeprefix("--").partition("=")
        off = name.startswith("no-")
        variable = "SMFS_SERVE_" + name.removeprefix("no-").upper().replace("-", "_")
        told.setdefault(variable, []).append(value or str(int(not off)))
    environment = {name: " ".join(values) for name, values in told.items()}

    assert parsed(**environment)[0] == ALL
    # An option overrules it.
    assert parsed("--workers=9", "--notify")[0].workers == 9
    assert parsed("--workers=9", "--notify")[0].notify


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SMFS_SERVE_NO_ANONYMOUS", "SMFS_SERVE_ANONYMOUS=0 "),
        ("SMFS_SERVE_NO_NOTIFY", "SMFS_SERVE_NOTIFY=0 "),
        ("SMFS_SERVE_NO_ACCESS_LOG", "SMFS_SERVE_ACCESS_LOG=0 "),
        ("SMFS_SERVE_TRUSTED_PROXIES", "SMFS_SERVE_TRUSTED_PROXY "),
        ("SMFS_SERVE_DB", "SMFS_DB "),
        ("SMFS_SERVE_METRICS_TOKEN", "SMFS_METRICS_TOKEN "),
        ("SMFS_SERVE_PORT_6999_TCP", ""),
        ("SMFS_SERVE_", ""),
    ],
)
def test_a_variable_that_is_no_option_is_refused(parsed: Any, name: str, meant: str) -> None:
    """Whoever has set it would believe that the service keeps to it; its value is not told."""
    with pytest.raises(click.UsageError, match=f"^{name} of the environment stands") as refused:
        parsed(**{name: "geheim"})
    assert meant in refused.value.message
    assert "geheim" not in refused.value.message


def test_the_program_refuses_a_variable_that_is_no_option(program: Program) -> None:
    """As wrong usage; its help comes in any case."""
    program.environment["SMFS_SERVE_NO_ANONYMOUS"] = "1"
    outcome = program("serve", "--print-unit")
    assert (outcome.code, outcome.out) == (2, b"")
    assert "SMFS_SERVE_ANONYMOUS=0" in outcome.err
    program.must("serve", "--help")


@pytest.mark.parametrize("option", ["--grace", "--drain-delay"])
@pytest.mark.parametrize("seconds", ["nan", "-nan", "inf", "-inf", "1e400", "-1", "3601", ""])
def test_seconds_are_a_number(parsed: Any, option: str, seconds: str) -> None:
    """From none to an hour."""
    with pytest.raises(click.BadParameter):
        parsed(f"{option}={seconds}")


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("10", Rate(10, 50)),
        ("0.1", Rate(0.1, 1)),
        ("10:1", Rate(10, 1)),
        ("0", None),
        ("0:0", None),
    ],
)
def test_a_rate_is_read(argument: str, expected: Rate | None) -> None:
    """Without a burst, five seconds of it may come at once."""
    assert as_rate(argument) == expected


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("https://App.Example.org", "https://app.example.org"),
        ("https://app.example.org:443", "https://app.example.org"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_an_origin_is_as_browsers_write_it(argument: str, expected: str) -> None:
    """Else it would be compared in vain."""
    assert as_origin(argument) == expected


@pytest.mark.parametrize(
    ("convert", "argument"),
    [
        *((as_address, each) for each in ("6999", ":6999", "localhost", "x:70000", "x:-1", "x:²")),
        *((as_rate, each) for each in ("", "x", "-1", "nan", "inf", "1:0", "1:x", "1:2:3", "1:")),
        *((as_network, each) for each in ("", "x", "10.0.0.1/8", "10.0.0.0/33", "*", "10.1")),
        *(
            (as_origin, each)
            for each in (
                *("", "*", "null", "x", "https://", "https://a/", "https://a/b", "https://a?b"),
                *("https://a#", "https://u@a", "https://a:x", "https://a:70000", "ftp://a"),
                *("https://a b", "https://*.a", "https://ä.example", "https://a:", "https://:1"),
            )
        ),
    ],
)
def test_what_is_not_of_its_form_is_refused(convert: Any, argument: str) -> None:
    """With a word about what it is to be."""
    with pytest.raises(click.BadParameter):
        convert(argument)


@pytest.mark.parametrize(
    "url", [URL, "postgres://h/d", "postgresql://u:p%40:/@?x@h:1/d?password=y", "postgresql:///d"]
)
def test_a_url_is_shown_without_what_is_secret(url: str) -> None:
    """Whatever its password looks like."""
    where = as_database(url)
    assert where == url
    shown = shown_database(where)
    assert shown in ("postgresql://db1,db2/smfs", "postgres://h/d", "postgresql://h:1/d", shown)
    assert not {"geheim", "p%40", "password"} & set(shown.replace("/", ":").split(":"))
    assert "@" not in shown
    assert "?" not in shown


def test_a_path_is_a_path(tmp_path: Path) -> None:
    """And shown as it is."""
    assert as_database("service.db") == Path("service.db")
    assert shown_database(Path("/a/b@c")) == "/a/b@c"


def test_the_database_may_be_named_in_three_ways(parsed: Any, tmp_path: Path) -> None:
    """The command line overrules the environment."""
    file = tmp_path / "url"
    file.write_text(f"{URL}\nmore\n")
    file.chmod(0o600)

    assert parsed()[1] is None
    by_option = parsed("--db", URL)[1]
    assert (by_option.where, by_option.shows_password) == (URL, True)
    by_file = parsed("--db-file", str(file))[1]
    assert (by_file.where, by_file.file, by_file.shows_password) == (URL, file, False)
    by_environment = parsed(SMFS_DB=URL)[1]
    assert (by_environment.where, by_environment.shows_password) == (URL, False)
    assert parsed("--db", "x.db", SMFS_DB=URL)[1].where == Path("x.db")
    assert parsed("--db-file", str(file), SMFS_DB="x.db")[1].where == URL


def test_two_databases_are_one_too_many(parsed: Any, tmp_path: Path) -> None:
    """When they are named in the same way."""
    with pytest.raises(click.UsageError, match="exclude"):
        parsed("--db", "a", "--db-file", "b")
    with pytest.raises(click.UsageError, match="exclude"):
        parsed(SMFS_DB="a", SMFS_DB_FILE="b")


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o602, 0o644])
def test_a_file_that_others_can_read_names_no_database(program: Program, mode: int) -> None:
    """It may hold a password."""
    file = program.home / "url"
    file.write_text(URL)
    file.chmod(mode)

    outcome = program("serve", "--db-file", file)

    assert outcome.code == 2
    assert "chmod 600" in outcome.err
    assert "geheim" not in outcome.err


def test_a_file_that_names_no_database_is_told(program: Program) -> None:
    """Whether it is empty, missing, a directory or a pipe that nobody writes to."""
    for name, make in (
        ("empty", Path.touch),
        ("missing", lambda path: None),
        ("directory", Path.mkdir),
        ("pipe", os.mkfifo),
    ):
        path = program.home / name
        make(path)
        if path.exists():
            path.chmod(0o600)
        outcome = program("serve", "--db-file", path)
        assert outcome.code == 2
        assert str(path) in outcome.err
        assert len(outcome.err.splitlines()) == 1


def test_a_password_that_everybody_sees_is_told(program: Program) -> None:
    """And not repeated."""
    for url, told in ((URL, True), ("postgresql://smfs@127.0.0.1/smfs", False)):
        outcome = program("serve", "--listen", "127.0.0.1:1", "--db", url)
        assert ("use SMFS_DB or --db-file" in outcome.err) == told
        assert "geheim" not in outcome.err


def test_json_logs_hold_json_only(program: Program) -> None:
    """Why it could not start, too."""
    (program.home / "x.db").write_text("Dear Sir, " * 1000)
    for workers in ("1", "2"):
        options = ("--log-format", "json", "--workers", workers, "--db", "x.db")
        outcome = program("serve", "--listen", "127.0.0.1:0", *options)
        assert outcome.code == 2
        (told,) = map(json.loads, outcome.err.splitlines())
        assert told["level"] == "error"
        assert "x.db" in told["message"]


@pytest.mark.parametrize("option", ["--tls-cert", "--tls-key"])
def test_a_certificate_and_its_key_need_each_other(program: Program, option: str) -> None:
    """One alone is wrong usage."""
    outcome = program("serve", option, "x.pem")
    assert outcome.code == 2
    assert "need each other" in outcome.err


def test_the_help_has_its_options_in_groups(program: Program) -> None:
    """Each once, and examples at the end."""
    text = program.must("serve", "--help")
    for heading in ("Listening:", "Ending:", "Limits (0: none):", "Policy:", "Examples:"):
        assert heading in text
    for each in ALL.arguments():
        name = each.partition("=")[0].replace("--no-", "--")
        assert len(re.findall(rf"^  {name}\b(?!-)", text, re.MULTILINE)) == 1, name
    assert "--worker " not in text
