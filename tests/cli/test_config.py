"""Settings: flags over environment over the file over defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from smfs.config import Directories, Flags, Settings, load_settings
from smfs.errors import ConfigError


def _settings(
    home: Path, text: str = "", *, flags: Flags | None = None, **environment: str
) -> Settings:
    path = home / "config.toml"
    path.write_text(text)
    variables = {"HOME": str(home), "SMFS_CONFIG": str(path), **environment}
    return load_settings(flags or Flags(), variables)


def test_the_defaults(tmp_path: Path) -> None:
    """The profile `default`, the embedded service, no unsigned secrets, and no end of reading."""
    found = load_settings(Flags(), {"HOME": str(tmp_path)})

    assert (found.profile, found.service, found.allow_unsigned) == ("default", None, False)
    assert found.max_stale is None
    assert found.cache_file == tmp_path / ".cache/smfs/default.cache"
    assert found.key_file == tmp_path / ".local/share/smfs/profiles/default/key"
    assert found.log_file == tmp_path / ".local/state/smfs/default.log"
    assert found.directories.database == tmp_path / ".local/share/smfs/service.db"
    assert found.directories.config_file == tmp_path / ".config/smfs/config.toml"


def test_flags_before_environment_before_file(tmp_path: Path) -> None:
    """Each level stands in where the one above it is silent."""
    text = """
        service = "http://common"
        profile = "filed"
        [profiles.filed]
        service = "http://filed"
        [profiles.variable]
        allow_unsigned = true
    """

    assert _settings(tmp_path).service is None
    assert _settings(tmp_path, text).service == "http://filed"
    by_profile = _settings(tmp_path, text, SMFS_PROFILE="variable")
    assert (by_profile.service, by_profile.allow_unsigned) == ("http://common", True)
    by_variable = _settings(tmp_path, text, SMFS_SERVICE="http://variable")
    assert by_variable.service == "http://variable"
    flags = Flags(profile="flag", service="http://flag", allow_unsigned=True)
    by_flag = _settings(
        tmp_path,
        text,
        flags=flags,
        SMFS_SERVICE="http://variable",
        SMFS_PROFILE="variable",
        SMFS_ALLOW_UNSIGNED="0",
    )
    assert (by_flag.profile, by_flag.service) == ("flag", "http://flag")
    assert by_flag.allow_unsigned


def test_the_embedded_service_can_be_named(tmp_path: Path) -> None:
    """So that a flag can overrule a file that names another."""
    found = _settings(tmp_path, 'service = "http://common"', flags=Flags(service="embedded"))

    assert found.service is None


def test_empty_variables_count_as_absent(tmp_path: Path) -> None:
    """As shells leave them behind."""
    found = _settings(
        tmp_path,
        SMFS_SERVICE="",
        SMFS_PROFILE="",
        SMFS_ALLOW_UNSIGNED="",
        SMFS_CACHE="",
        SMFS_MAX_STALE="",
    )

    assert (found.profile, found.service, found.allow_unsigned) == ("default", None, False)


def test_relative_xdg_directories_do_not_count(tmp_path: Path) -> None:
    """As their specification says."""
    found = Directories.of({"HOME": str(tmp_path), "XDG_DATA_HOME": "data"})

    assert found.data == tmp_path / ".local/share/smfs"


def test_xdg_directories(tmp_path: Path) -> None:
    """Configuration, data, state and cache are where the environment says."""
    kinds = {"XDG_CONFIG_HOME": "c", "XDG_DATA_HOME": "d", "XDG_STATE_HOME": "s"}
    kinds["XDG_CACHE_HOME"] = "k"

    found = Directories.of({name: str(tmp_path / part) for name, part in kinds.items()})

    assert found.config_file == tmp_path / "c/smfs/config.toml"
    assert found.data == tmp_path / "d/smfs"
    assert found.state == tmp_path / "s/smfs"
    assert found.cache_file("work") == tmp_path / "k/smfs/work.cache"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("servise = 'http://x'", "there is no setting 'servise'"),
        ("[profiles.a]\nkey = 'x'", "there is no setting 'key'"),
        ("service = 1", "service must be of type str"),
        ("allow_unsigned = 'yes'", "allow_unsigned must be of type bool"),
        ("cache = 1", "cache must be of type bool"),
        ("max_stale = true", "max_stale must be of type str"),
        ("max_stale = nan", "'nan' is no time"),
        ("max_stale = -1", "'-1' is no time"),
        ("deadline = true", "deadline must be a number"),
        ("deadline = 0.5", "the deadline must be 1 to 600 seconds"),
        ("profiles = 1", "profiles must be of type dict"),
        ("profiles.a = 1", "profiles.a must be a table"),
        ("[profiles.'../x']", "is no name of a profile"),
        ("service", "is no TOML"),
    ],
)
def test_a_file_that_is_wrong_is_told(tmp_path: Path, text: str, named: str) -> None:
    """What is wrong is named; nothing is passed over in silence."""
    with pytest.raises(ConfigError, match=named):
        _settings(tmp_path, text)


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "a" * 64, "a\nb", "-x"])
def test_names_of_profiles_cannot_leave_their_directory(tmp_path: Path, name: str) -> None:
    """They become part of paths."""
    with pytest.raises(ConfigError, match="is no name of a profile"):
        _settings(tmp_path, flags=Flags(profile=name))


def test_a_switch_is_1_or_0(tmp_path: Path) -> None:
    """Anything else is told."""
    assert _settings(tmp_path, SMFS_ALLOW_UNSIGNED="1").allow_unsigned
    with pytest.raises(ConfigError, match="SMFS_ALLOW_UNSIGNED must be 1 or 0"):
        _settings(tmp_path, SMFS_ALLOW_UNSIGNED="maybe")


def test_there_is_a_cache_unless_the_service_is_embedded(tmp_path: Path) -> None:
    """That service is on the same disk; an option overrules it, either way."""
    assert not _settings(tmp_path).cache
    assert _settings(tmp_path, SMFS_SERVICE="http://x").cache
    assert _settings(tmp_path, 'service = "http://x"').cache
    assert not _settings(tmp_path, 'service = "http://x"', flags=Flags(service="embedded")).cache
    assert _settings(tmp_path, "cache = true").cache
    assert not _settings(tmp_path, "cache = true", SMFS_CACHE="0").cache
    assert _settings(tmp_path, flags=Flags(cache=True), SMFS_CACHE="0").cache
    assert not _settings(tmp_path, flags=Flags(cache=False), SMFS_CACHE="1").cache
    assert not _settings(tmp_path, "cache = true\n[profiles.default]\ncache = false").cache


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("90", 90), ("1.5", 1.5), ("90s", 90), ("5m", 300), ("2h", 7200), ("7d", 604_800)],
)
def test_times_that_content_may_be_stale(tmp_path: Path, text: str, seconds: float) -> None:
    """In seconds, or in the unit that is named, at every level."""
    assert _settings(tmp_path, flags=Flags(max_stale=text)).max_stale == seconds
    assert _settings(tmp_path, SMFS_MAX_STALE=text).max_stale == seconds
    assert _settings(tmp_path, f'max_stale = "{text}"').max_stale == seconds
    assert _settings(tmp_path, f'max_stale = "{text}"', SMFS_MAX_STALE="none").max_stale is None


def test_seconds_stand_without_quotes_in_the_file(tmp_path: Path) -> None:
    """As numbers do in TOML."""
    assert _settings(tmp_path, "max_stale = 90").max_stale == 90
    assert _settings(tmp_path, "max_stale = 0.5").max_stale == 0.5


@pytest.mark.parametrize("text", ["5 m", "m", "-1", "1e9", "inf", "5w", "1" * 20, "\u0665", "5m\n"])
def test_a_time_that_is_none_is_told(tmp_path: Path, text: str) -> None:
    """Nothing is taken for no limit but what says so."""
    with pytest.raises(ConfigError, match="is no time"):
        _settings(tmp_path, flags=Flags(max_stale=text))


def test_the_deadline_is_a_number_of_seconds(tmp_path: Path) -> None:
    """10 if nothing is given; anything but 1 to 600 is told."""
    assert _settings(tmp_path).deadline == 10
    assert _settings(tmp_path, "deadline = 30").deadline == 30
    assert _settings(tmp_path, "deadline = 30", SMFS_DEADLINE="2.5").deadline == 2.5
    flags = Flags(deadline=4)
    assert _settings(tmp_path, "deadline = 30", flags=flags, SMFS_DEADLINE="2").deadline == 4
    for wrong, named in (("soon", "a number of seconds"), ("0", "1 to 600"), ("nan", "1 to 600")):
        with pytest.raises(ConfigError, match=named):
            _settings(tmp_path, SMFS_DEADLINE=wrong)


def test_the_kernel_keeps_what_it_reads_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    """By flag, variable or file, as for every setting."""
    assert _settings(tmp_path).kernel_cache
    assert not _settings(tmp_path, "kernel_cache = false").kernel_cache
    assert not _settings(tmp_path, SMFS_KERNEL_CACHE="0").kernel_cache
    by_flag = _settings(tmp_path, flags=Flags(kernel_cache=True), SMFS_KERNEL_CACHE="0")
    assert by_flag.kernel_cache


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A directory in its place, or bytes that are no text."""
    with pytest.raises(ConfigError, match="cannot read"):
        load_settings(Flags(), {"HOME": str(tmp_path), "SMFS_CONFIG": str(tmp_path)})
    (tmp_path / "bytes").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"is no UTF-8"):
        load_settings(Flags(), {"HOME": str(tmp_path), "SMFS_CONFIG": str(tmp_path / "bytes")})
