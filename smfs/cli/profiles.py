"""`smfs init` and `smfs id`: identities."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smfs.cli.commands import command
from smfs.cli.options import (
    connection_options,
    current_settings,
    flags_of,
    json_option,
    profile_option,
)
from smfs.cli.output import check_output, print_json
from smfs.errors import ConfigError

if TYPE_CHECKING:
    from smfs.config import Settings
    from smfs.crypto.identity import Identity


def make_profile(settings: Settings, *, service: str | None) -> Identity:
    """Makes the identity of a profile that has none, and its part of the configuration file.

    Args:
        settings: those of the profile.
        service: what the configuration shall name as its service; None leaves that open.

    Raises:
        ConfigError: when there is one already, or a file cannot be written.
        InvalidInput: when `service` is no address.
    """
    from smfs.crypto.identity import Identity
    from smfs.crypto.keyfile import load_key, save_key

    if settings.key_file.exists():
        node_id = load_key(settings.key_file).node_id
        raise ConfigError(f"the profile {settings.profile} exists already: node {node_id}")
    _check_service(service)
    # The key comes last: a profile that has one is complete.
    _write_section(settings, service)
    identity = Identity.generate()
    save_key(settings.key_file, identity)
    return identity


def _opened(settings: Settings, auth_code: str) -> Identity:
    """Opens the space of a profile; returns its identity."""
    from smfs.cli.session import open_space
    from smfs.crypto.keyfile import load_key

    open_space(settings, auth_code)
    return load_key(settings.key_file)


def _check_service(service: str | None) -> None:
    from smfs.config import EMBEDDED

    if service is not None and service != EMBEDDED:
        from smfs.client.addresses import normalise_url

        normalise_url(service)


def _write_section(settings: Settings, service: str | None) -> None:
    path = Path(os.path.realpath(settings.directories.config_file))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(path.parent):
            _replace(path, _with_section(path, settings.profile, service))
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Lets nobody else in: of two that write at once, the later would undo the earlier."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _with_section(path: Path, profile: str, service: str | None) -> bytes:
    import tomlkit

    document = tomlkit.parse(path.read_text("utf-8")) if path.exists() else tomlkit.document()
    profiles = document.setdefault("profiles", tomlkit.table(is_super_table=True))
    section = profiles.setdefault(profile, tomlkit.table())
    if service is not None:
        section["service"] = service
    section.setdefault("allow_unsigned", False)
    return tomlkit.dumps(document).encode()


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o777)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@command(
    "init",
    examples=(
        "smfs init",
        "smfs init --profile work --service https://secrets.example.org",
        "SMFS_AUTH_CODE=… smfs init --service https://secrets.example.org",
    ),
)
@connection_options
@click.option(
    "--auth-code",
    metavar="CODE",
    envvar="SMFS_AUTH_CODE",
    show_envvar=True,
    help="What the service's operator gave you to open a space; works once.",
)
@json_option
def init_command(*, auth_code: str | None, as_json: bool) -> None:
    """Make an identity and a profile.

    The secret key lies in a file of mode 0600. The node id is printed; others need it to share
    with you. With --service, the profile uses that service from now on. With --auth-code, the
    space is opened there at once; for a profile that is there already, too.
    """
    check_output()
    settings = current_settings()
    service = flags_of(click.get_current_context()).service
    if auth_code is not None and settings.key_file.exists():
        identity = _opened(settings, auth_code)
    else:
        identity = make_profile(settings, service=service)
        if auth_code is not None:
            _opened(current_settings(), auth_code)
    if as_json:
        print_json(_described(settings, identity))
        return
    click.echo(f"made the profile {settings.profile}", err=True)
    click.echo(identity.node_id)


@command(
    "id",
    examples=(
        "smfs id",
        "smfs id --profile work",
        'smfs accept "$(smfs --profile alice id)" --profile bob',
    ),
)
@profile_option
@json_option
def id_command(*, as_json: bool) -> None:
    """Print the node id.

    Others need it to share with you, and to accept what you share.
    """
    from smfs.crypto.keyfile import load_key

    settings = current_settings()
    identity = load_key(settings.key_file)
    if as_json:
        print_json(_described(settings, identity))
    else:
        click.echo(identity.node_id)


def _described(settings: Settings, identity: Identity) -> dict[str, str]:
    return {
        "profile": settings.profile,
        "nodeId": identity.node_id,
        "keyFile": str(settings.key_file),
    }
