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
    """

    config_file: Path
    data: Path
    state: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Directories:
        """The directories that an environment means; relative XDG paths do not count."""
        config = _base(environment, "XDG_CONFIG_HOME", ".config") / "smfs" / "config.toml"
        named = environment.get("SMFS_CONFIG")
        return cls(
            config_file=Path(named).absolute() if named else config,
            data=_base(environment, "XDG_DATA_HOME", ".local/share") / "smfs",
            state=_base(environment, "XDG_STATE_HOME", ".local/state") / "smfs",
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


@dataclass(frozen=True)
class Flags:
    """What the command line named; None where it named nothing."""

    profile: str | None = None
    service: str | None = None
    allow_unsigned: bool | None = None
    kernel_cache: bool | None = None


@dataclass(frozen=True)
class Settings:
    """What a command works with.

    Attributes:
        profile: the name of the identity.
        service: the service's URL; None for the embedded one.
        allow_unsigned: whether own secrets may be unsigned (the design, section 3).
        directories: where files are kept.
        kernel_cache: whether the kernel may keep what it read from a mount.
    """

    profile: str
    service: str | None
    allow_unsigned: bool
    directories: Directories = field(repr=False)
    kernel_cache: bool = _KERNEL_CACHE

    @property
    def key_file(self) -> Path:
        """The secret key of the profile."""
        return self.directories.key_file(self.profile)

    @property
    def log_file(self) -> Path:
        """The log of the profile."""
        return self.directories.log_file(self.profile)


@dataclass(frozen=True)
class _Section:
    """The settings that one table of the configuration file may hold."""

    service: str | None = None
    allow_unsigned: bool | None = None
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
            `SMFS_KERNEL_CACHE`, `SMFS_CONFIG`, `XDG_…` and `HOME`; an empty one counts as absent.

    Raises:
        ConfigError: when one of them, or the configuration file, is not of its form.
    """
    directories = Directories.of(environment)
    file = _read_file(directories.config_file)
    profile = _first(
        flags.profile, environment.get("SMFS_PROFILE") or None, file.profile, DEFAULT_PROFILE
    )
    check_profile_name(profile)
    section = file.profiles.get(profile, _Section())
    service = _first(
        flags.service,
        environment.get("SMFS_SERVICE") or None,
        section.service,
        file.common.service,
        EMBEDDED,
    )
    allow_unsigned = _first(
        flags.allow_unsigned,
        _switch(environment, "SMFS_ALLOW_UNSIGNED"),
        section.allow_unsigned,
        file.common.allow_unsigned,
        _ALLOW_UNSIGNED,
    )
    kernel_cache = _first(
        flags.kernel_cache,
        _switch(environment, "SMFS_KERNEL_CACHE"),
        section.kernel_cache,
        file.common.kernel_cache,
        _KERNEL_CACHE,
    )
    return Settings(
        profile, None if service == EMBEDDED else service, allow_unsigned, directories, kernel_cache
    )


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
