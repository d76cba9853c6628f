"""Settings: flags over environment over the configuration file over defaults (docs/cli.md)."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from smfs.errors import ConfigError

EMBEDDED: Final = "embedded"
"""What stands where a service is named and the one inside the process is meant."""

DEFAULT_PROFILE: Final = "default"
_ALLOW_UNSIGNED: Final = False
_KERNEL_CACHE: Final = True

_UNLIMITED: Final = "none"
_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([smhd]?)")
_UNIT_S: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}

DEADLINE_S: Final = 10.0
"""Seconds that one operation may take at the service, unless said otherwise."""

SHORTEST_DEADLINE_S: Final = 1.0
LONGEST_DEADLINE_S: Final = 600.0

_PROFILE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_T = TypeVar("_T")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


@dataclass(frozen=True)
class Directories:
    """Where files are kept (XDG base directories).

    Attributes:
        config_file: the configuration.
        data: keys and the embedded service's database.
        state: logs.
        cache: what may be deleted at any time.
    """

    config_file: Path
    data: Path
    state: Path
    cache: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Directories:
        """The directories that an environment means; relative XDG paths do not count."""
        config = _base(environment, "XDG_CONFIG_HOME", ".config") / "smfs" / "config.toml"
        named = environment.get("SMFS_CONFIG")
        return cls(
            config_file=Path(named).absolute() if named else config,
            data=_base(environment, "XDG_DATA_HOME", ".local/share") / "smfs",
            state=_base(environment, "XDG_STATE_HOME", ".local/state") / "smfs",
            cache=_base(environment, "XDG_CACHE_HOME", ".cache") / "smfs",
        )

    @property
    def database(self) -> Path:
        """The database of the embedded service, common to all profiles."""
        return self.data / "service.db"

    def key_file(self, profile: str) -> Path:
        """The secret key of a profile."""
        return self.data / "profiles" / profile / "key"

    def log_file(self, profile: str) -> Path:
        """The log of a profile."""
        return self.state / f"{profile}.log"

    def cache_file(self, profile: str) -> Path:
        """What a profile knew of its space, sealed."""
        return self.cache / f"{profile}.cache"


@dataclass(frozen=True)
class Flags:
    """What the command line named; None where it named nothing."""

    profile: str | None = None
    service: str | None = None
    allow_unsigned: bool | None = None
    cache: bool | None = None
    max_stale: str | None = None
    deadline: float | None = None
    kernel_cache: bool | None = None


@dataclass(frozen=True)
class Settings:
    """What a command works with.

    Attributes:
        profile: the name of the identity.
        service: the service's URL; None for the embedded one.
        allow_unsigned: whether own secrets may be unsigned (the design, section 3).
        cache: whether a mount keeps what it knows on disk.
        max_stale: how many seconds a secret may be out of touch with the service and still be
            read; None for no limit.
        directories: where files are kept.
        deadline: seconds that one operation may take at the service.
        kernel_cache: whether the kernel may keep what it read from a mount.
    """

    profile: str
    service: str | None
    allow_unsigned: bool
    cache: bool
    max_stale: float | None
    directories: Directories = field(repr=False)
    deadline: float = DEADLINE_S
    kernel_cache: bool = _KERNEL_CACHE

    @property
    def key_file(self) -> Path:
        """The secret key of the profile."""
        return self.directories.key_file(self.profile)

    @property
    def log_file(self) -> Path:
        """The log of the profile."""
        return self.directories.log_file(self.profile)

    @property
    def cache_file(self) -> Path:
        """What the profile knew of its space."""
        return self.directories.cache_file(self.profile)


@dataclass(frozen=True)
class _Section:
    """The settings that one table of the configuration file may hold."""

    service: str | None = None
    allow_unsigned: bool | None = None
    cache: bool | None = None
    max_stale: str | None = None
    deadline: float | None = None
    kernel_cache: bool | None = None


@dataclass(frozen=True)
class _File:
    profile: str | None
    common: _Section
    profiles: Mapping[str, _Section]


def load_settings(flags: Flags, environment: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this run.

    Args:
        flags: what the command line named.
        environment: the variables `SMFS_PROFILE`, `SMFS_SERVICE`, `SMFS_ALLOW_UNSIGNED`,
            `SMFS_CACHE`, `SMFS_MAX_STALE`, `SMFS_DEADLINE`, `SMFS_KERNEL_CACHE`, `SMFS_CONFIG`,
            `XDG_…` and `HOME`; an empty one counts as absent.

    Raises:
        ConfigError: when one of them, or the configuration file, is not of its form.
    """
    directories = Directories.of(environment)
    file = _read_file(directories.config_file)
    profile = _first(
        flags.profile, environment.get("SMFS_PROFILE") or None, file.profile, DEFAULT_PROFILE
    )
    check_profile_name(profile)
    sections = (
        _Section(
            flags.service,
            flags.allow_unsigned,
            flags.cache,
            flags.max_stale,
            flags.deadline,
            flags.kernel_cache,
        ),
        _of_environment(environment),
        file.profiles.get(profile, _Section()),
        file.common,
    )
    named = _first(*(each.service for each in sections), EMBEDDED)
    service = None if named == EMBEDDED else named
    return Settings(
        profile=profile,
        service=service,
        allow_unsigned=_first(*(each.allow_unsigned for each in sections), _ALLOW_UNSIGNED),
        # The embedded service is a file on the same disk, and never away.
        cache=_first(*(each.cache for each in sections), service is not None),
        max_stale=_seconds(_first(*(each.max_stale for each in sections), _UNLIMITED)),
        directories=directories,
        deadline=checked_deadline(_first(*(each.deadline for each in sections), DEADLINE_S)),
        kernel_cache=_first(*(each.kernel_cache for each in sections), _KERNEL_CACHE),
    )


def _of_environment(environment: Mapping[str, str]) -> _Section:
    return _Section(
        service=environment.get("SMFS_SERVICE") or None,
        allow_unsigned=_switch(environment, "SMFS_ALLOW_UNSIGNED"),
        cache=_switch(environment, "SMFS_CACHE"),
        max_stale=environment.get("SMFS_MAX_STALE") or None,
        deadline=_number(environment, "SMFS_DEADLINE"),
        kernel_cache=_switch(environment, "SMFS_KERNEL_CACHE"),
    )


def checked_deadline(seconds: float) -> float:
    """A deadline as it was given; ConfigError when it is none that one can work with."""
    if not SHORTEST_DEADLINE_S <= seconds <= LONGEST_DEADLINE_S:
        raise ConfigError(
            f"the deadline must be {SHORTEST_DEADLINE_S:g} to {LONGEST_DEADLINE_S:g} seconds"
        )
    return seconds


def check_profile_name(name: str) -> None:
    """Refuses (ConfigError) what cannot name a profile: the name is part of paths."""
    if not _PROFILE_NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name of a profile: 1 to 63 of A-Z a-z 0-9 . _ -, "
            "the first a letter or digit"
        )


def _first(*candidates: _T | None) -> _T:
    return next(each for each in candidates if each is not None)


def _base(environment: Mapping[str, str], variable: str, default: str) -> Path:
    named = Path(environment.get(variable, ""))
    if named.is_absolute():
        return named
    home = environment.get("HOME")
    return (Path(home) if home else Path("~").expanduser()) / default


def _switch(environment: Mapping[str, str], variable: str) -> bool | None:
    text = environment.get(variable, "").lower()
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text:
        raise ConfigError(f"{variable} must be 1 or 0")
    return None


def _seconds(text: str) -> float | None:
    if text == _UNLIMITED:
        return None
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"{text!r} is no time that content may be stale: seconds, or a number with s, m, h or "
            f"d, or {_UNLIMITED!r}"
        )
    return float(found[1]) * _UNIT_S[found[2]]


def _number(environment: Mapping[str, str], variable: str) -> float | None:
    text = environment.get(variable, "")
    try:
        return float(text) if text else None
    except ValueError:
        raise ConfigError(f"{variable} must be a number of seconds") from None


def _read_file(path: Path) -> _File:
    try:
        content = tomllib.loads(path.read_bytes().decode())
    except FileNotFoundError:
        content = {}
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no TOML: {error}") from None
    return _parse_file(path, content)


def _parse_file(path: Path, content: dict[str, Any]) -> _File:
    profile = _taken(path, content, "profile", str)
    profiles = _taken(path, content, "profiles", dict) or {}
    sections = {}
    for name, section in profiles.items():
        check_profile_name(name)
        if not isinstance(section, dict):
            raise ConfigError(f"{path}: profiles.{name} must be a table")
        sections[name] = _parse_section(path, section)
    return _File(profile, _parse_section(path, content), sections)


def _parse_section(path: Path, content: dict[str, Any]) -> _Section:
    section = _Section(
        service=_taken(path, content, "service", str),
        allow_unsigned=_taken(path, content, "allow_unsigned", bool),
        cache=_taken(path, content, "cache", bool),
        max_stale=_taken_time(path, content, "max_stale"),
        deadline=_taken_number(path, content, "deadline"),
        kernel_cache=_taken(path, content, "kernel_cache", bool),
    )
    if content:
        # A misspelt setting that is passed over in silence would leave its default in force.
        raise ConfigError(f"{path}: there is no setting {next(iter(content))!r}")
    return section


def _taken(path: Path, content: dict[str, Any], key: str, kind: type[_T]) -> _T | None:
    value = content.pop(key, None)
    if value is not None and not isinstance(value, kind):
        raise ConfigError(f"{path}: {key} must be of type {kind.__name__}")
    return value


def _taken_time(path: Path, content: dict[str, Any], key: str) -> str | None:
    """A time as text, for seconds are written without quotes."""
    if type(content.get(key)) in (int, float):
        return str(content.pop(key))
    return _taken(path, content, key, str)


def _taken_number(path: Path, content: dict[str, Any], key: str) -> float | None:
    value = content.pop(key, None)
    # In Python a bool is an int.
    if value is not None and type(value) not in (int, float):
        raise ConfigError(f"{path}: {key} must be a number")
    return None if value is None else float(value)
