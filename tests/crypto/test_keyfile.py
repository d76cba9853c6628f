"""Key files: what is written, and which ones are refused."""

import os
import stat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smfs.crypto.identity import Identity
from smfs.crypto.keyfile import load_key, save_key
from smfs.errors import ConfigError

KEY = Identity(bytes(range(32)))


def mode(path: Path) -> int:
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_saved_key_loads_and_nobody_else_can_reach_it(tmp_path: Path) -> None:
    """The file is 0600 in directories of 0700, whatever the umask, and holds the key."""
    path = tmp_path / "profiles" / "default" / "key"
    before = os.umask(0)
    try:
        save_key(path, KEY)
    finally:
        os.umask(before)
    assert load_key(path).node_id == KEY.node_id
    assert mode(path) == 0o600
    assert {mode(path.parent), mode(path.parent.parent)} == {0o700}
    assert list(path.parent.iterdir()) == [path]


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    """Saving where a file is already fails, keeps the old key, and leaves nothing behind."""
    path = tmp_path / "key"
    save_key(path, KEY)
    with pytest.raises(ConfigError, match="already"):
        save_key(path, Identity.generate())
    assert load_key(path).node_id == KEY.node_id
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A symbolic link in the key's place is neither read nor written through."""
    save_key(tmp_path / "real", KEY)
    link = tmp_path / "key"
    link.symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError):
        load_key(link)
    dangling = tmp_path / "dangling"
    dangling.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError):
        save_key(dangling, KEY)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("permission", [0o640, 0o604, 0o660, 0o601, 0o644])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, permission: int) -> None:
    """Any right of group or others is refused, with the command that mends it."""
    path = tmp_path / "key"
    save_key(path, KEY)
    path.chmod(permission)
    with pytest.raises(ConfigError, match="chmod 600"):
        load_key(path)


def test_what_is_missing_or_no_file_is_said_so(tmp_path: Path) -> None:
    """A missing file names `smfs init`; a directory and a pipe are refused without waiting."""
    with pytest.raises(ConfigError, match="smfs init"):
        load_key(tmp_path / "key")
    with pytest.raises(ConfigError):
        load_key(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(ConfigError, match="ordinary file"):
        load_key(tmp_path / "pipe")
    with pytest.raises(ConfigError):
        load_key(tmp_path / "pipe" / "key")
    with pytest.raises(ConfigError):
        save_key(tmp_path / "pipe" / "key", KEY)


def test_a_key_of_another_user_is_refused(tmp_path: Path) -> None:
    """Even where root could read it."""
    path = Path("/etc/passwd")
    if os.geteuid() == 0:
        path = tmp_path / "key"
        save_key(path, KEY)
        os.chown(path, 12345, -1)
    with pytest.raises(ConfigError, match="chown"):
        load_key(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.binary(max_size=300)
    | st.text("0123456789abcdefABCDEF \n", max_size=80).map(str.encode)
    | st.binary(min_size=32, max_size=32).map(lambda seed: seed.hex().encode() + b"\n")
)
def test_any_content_is_a_key_or_refused(tmp_path: Path, content: bytes) -> None:
    """A file of any bytes loads or is refused, and the refusal does not repeat it."""
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    refusal = ""
    try:
        assert load_key(path).secret_key_hex.encode() == content.strip()
    except ConfigError as error:
        refusal = str(error)
    text = content.decode("latin-1").strip()
    assert len(text) < 8 or text not in refusal
