"""Options and arguments that several commands have."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

import click

from smfs.config import (
    LONGEST_DEADLINE_S,
    SHORTEST_DEADLINE_S,
    Flags,
    Settings,
    load_settings,
)

_Command = TypeVar("_Command", bound=Callable[..., Any])

_KEY: Final = "smfs.flags"


def flags_of(context: click.Context) -> Flags:
    """What the options of this module named, before or behind the command."""
    found: Flags = context.meta.setdefault(_KEY, Flags())
    return found


def current_settings() -> Settings:
    """The settings of the command that runs; ConfigError as `load_settings` raises it."""
    return load_settings(flags_of(click.get_current_context()))


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        name = parameter.name or ""
        context.meta[_KEY] = replace(flags_of(context), **{name: value})


def profile_option(command: _Command) -> _Command:
    """`--profile NAME`."""
    return click.option(
        "--profile",
        metavar="NAME",
        expose_value=False,
        callback=_remember,
        help="The identity to use; 'default' if none is named.",
    )(command)


def service_option(command: _Command) -> _Command:
    """`--service URL`."""
    return click.option(
        "--service",
        metavar="URL",
        expose_value=False,
        callback=_remember,
        help="The service to use; 'embedded', the default, is the one on this machine.",
    )(command)


def connection_options(command: _Command) -> _Command:
    """`--profile NAME` and `--service URL`."""
    return profile_option(service_option(command))


def allow_unsigned_option(command: _Command) -> _Command:
    """`--allow-unsigned`."""
    return click.option(
        "--allow-unsigned/--require-signed",
        default=None,
        expose_value=False,
        callback=_remember,
        help="Whether own secrets that nobody signed are read.",
    )(command)


def staleness_options(command: _Command) -> _Command:
    """`--cache` and `--max-stale TIME`."""
    cache = click.option(
        "--cache/--no-cache",
        default=None,
        expose_value=False,
        callback=_remember,
        help="Whether the mount keeps what it knows on disk, for when the service is away.",
    )
    max_stale = click.option(
        "--max-stale",
        metavar="TIME",
        expose_value=False,
        callback=_remember,
        help="How long without the service secrets may be read: 90, 5m, 2h, 7d; or none (no end).",
    )
    return cache(max_stale(command))


def deadline_option(command: _Command) -> _Command:
    """`--deadline SECONDS`."""
    return click.option(
        "--deadline",
        metavar="SECONDS",
        type=click.FloatRange(SHORTEST_DEADLINE_S, LONGEST_DEADLINE_S),
        expose_value=False,
        callback=_remember,
        help="How long an operation may wait for the service; 10 if nothing is given.",
    )(command)


def kernel_cache_option(command: _Command) -> _Command:
    """`--no-kernel-cache`."""
    return click.option(
        "--kernel-cache/--no-kernel-cache",
        default=None,
        expose_value=False,
        callback=_remember,
        help="Whether the kernel may keep contents and names that it was told.",
    )(command)


def json_option(command: _Command) -> _Command:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def as_secret_id(argument: str) -> str:
    """A secret id as click converts it: WTF-8, for shells pass bytes and ids are kept so."""
    from smfs.crypto import wtf8
    from smfs.errors import MalformedData

    try:
        text = wtf8.decode(os.fsencode(argument))
    except MalformedData:
        raise click.BadParameter("it is no UTF-8") from None
    if not text:
        raise click.BadParameter("it is empty")
    if text == ".smfs" or text.startswith(".smfs/"):
        raise click.BadParameter("`.smfs` and all below are smfs's own")
    return text


def as_node(argument: str) -> str:
    """A node id or a petname as click converts it; `node_of` tells whom the petname stands for."""
    from smfs.client.petnames import is_petname
    from smfs.crypto.identity import is_node_id

    text = argument.lower().removeprefix("0x")
    if is_node_id(text):
        return text
    if not is_petname(argument):
        raise click.BadParameter(
            "it is neither a node id, which has 64 hex digits, nor a petname (`smfs names`)"
        )
    return argument


def as_petname(argument: str) -> str:
    """A petname as click converts it."""
    from smfs.client.petnames import is_petname

    if not is_petname(argument):
        raise click.BadParameter("it is 1 to 63 of a-z 0-9 . _ - and begins with a-z 0-9")
    return argument
