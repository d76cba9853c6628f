"""The program `smfs`: finds the command, and turns every error into one line and an exit code."""

from __future__ import annotations

import importlib
import io
import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NoReturn

import click

from smfs.cli import exits
from smfs.cli.options import allow_unsigned_option, connection_options
from smfs.cli.output import ClosedOutput
from smfs.errors import SmfsError

_MODULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "init": "profiles",
        "id": "profiles",
        "mount": "mounts",
        "umount": "mounts",
        "lock": "mounts",
        "status": "status",
        "ls": "listing",
        "get": "secrets",
        "set": "secrets",
        "rm": "secrets",
        "share": "sharing",
        "unshare": "sharing",
        "accept": "sharing",
        "deny": "sharing",
        "name": "names",
        "names": "names",
        "serve": "serve",
        "service": "service",
    }
)


_EXAMPLES: Final = (
    ("smfs mount ~/secrets", "mount; the first time this makes an identity"),
    ("cat ~/secrets/own/password", "use secrets as files"),
    ("smfs id", "print what others need to share with me"),
    ("smfs accept NODE", "let NODE share with me"),
    ("smfs share NODE ID < FILE", "share a secret with NODE"),
)


class LazyGroup(click.Group):
    """Imports the module of a command when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order in which one meets them."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name; the module keeps it as `<name>_command`."""
        module = _MODULES.get(cmd_name)
        if module is None:
            return None
        found = getattr(importlib.import_module(f"smfs.cli.{module}"), f"{cmd_name}_command")
        assert isinstance(found, click.Command)  # noqa: S101 - for the type checker
        return found

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples and exit codes."""
        with formatter.section("Examples"):
            formatter.write_dl(_EXAMPLES)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), text) for code, text in exits.MEANINGS.items()])


def _show_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001
    if wanted and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"smfs {version('smfs')}")
        context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@connection_options
@allow_unsigned_option
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Print the version.",
)
def smfs() -> None:
    """Secrets as files: end-to-end encrypted, shared between nodes, mounted as a filesystem.

    `smfs COMMAND --help` tells more of each command.
    """
    from smfs.cli.hardening import harden_process

    harden_process()


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; no error ever leaves.

    Args:
        arguments: what stands behind the name of the program.
    """
    try:
        result = smfs.main(list(arguments), prog_name="smfs", standalone_mode=False)
        sys.stdout.flush()
    except Exception as error:  # noqa: BLE001 - the last place where an error can be told
        return _tell(exits.leaf_of(error))
    except (KeyboardInterrupt, BaseExceptionGroup):
        click.echo(err=True)  # as click does for an interrupt that no task group has wrapped
        return _interrupted()
    return result if isinstance(result, int) else 0


def _tell(error: BaseException) -> int:
    match error:
        case click.Abort() | KeyboardInterrupt():
            return _interrupted()
        case click.ClickException():
            error.show()
            return error.exit_code
        case SmfsError():
            _say(exits.told(error))
            return exits.exit_code_of(error)
        case BrokenPipeError():
            return exits.FAILED
        case OSError():
            _say(": ".join(str(part) for part in (error.filename, error.strerror) if part))
            return exits.FAILED
    return _unforeseen(error)


def _unforeseen(error: BaseException) -> int:
    import logging

    from smfs.cli.logs import describe, log_to
    from smfs.config import DEFAULT_PROFILE, Directories

    if not logging.getLogger().handlers:  # the command had not come so far as to choose a log
        log_to(Directories.of(os.environ).log_file(DEFAULT_PROFILE))
    logging.getLogger(__name__).error("unforeseen %s", describe(error))
    _say(f"something unforeseen happened ({type(error).__name__}); the log says where")
    return exits.UNFORESEEN


def _interrupted() -> int:
    _say("interrupted")
    return exits.INTERRUPTED


def _say(text: str) -> None:
    click.echo(f"smfs: {text}", err=True)


def main() -> NoReturn:
    """The program."""
    _prepare_streams()
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # they are for developers, who switch them on
    code = run(sys.argv[1:])
    _leave_quietly()
    sys.exit(code)


def _prepare_streams() -> None:
    # What is opened next must not get the number of a standard stream that is closed.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - it takes no keyword
    os.close(descriptor)
    if sys.stdout is None:
        # Else click would drop what is printed, and all would seem well.
        sys.stdout = io.TextIOWrapper(ClosedOutput(), encoding="utf-8", write_through=True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _leave_quietly() -> None:
    """Lets what is left of the output go: the interpreter would print a traceback about it."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
