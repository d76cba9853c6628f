"""Programs that watch files (inotify) hear of what was changed elsewhere."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

import pytest

from tests.mount.followed import Followed
from tests.mount.homes import PATIENCE, Home
from tests.mount.watching import Watch, Watcher


def _node_id(home: Home) -> str:
    return home.must("id").decode().strip()


@pytest.fixture
def sender(home: Home) -> str:
    """The node id of somebody who may share with the default identity."""
    home.smfs("init", "--profile", "sender")
    node_id = home.must("id", "--profile", "sender").decode().strip()
    home.smfs("accept", node_id)
    return node_id


def test_a_changed_file_is_written_for_who_watches_it(
    home: Home, followed: Followed, watch: Watch
) -> None:
    """IN_MODIFY and IN_CLOSE_WRITE for file and directory, and the new content is read."""
    home.must("set", "watched", stdin=b"old")
    file = followed.directory / "own" / "watched"
    assert home.do("cat", file) == b"old"
    watcher = watch(file.parent, file)

    home.must("set", "watched", stdin=b"newer")
    followed.tell(("changed", "own/watched"))

    shown = watcher.until(f"{file} CLOSE_WRITE", f"{file} CLOSE_WRITE")
    assert shown.count(f"{file} MODIFY") == 2
    assert home.do("cat", file) == b"newer"


def test_a_name_that_comes_and_goes(home: Home, followed: Followed, watch: Watch) -> None:
    """IN_CREATE and IN_CLOSE_WRITE, then IN_DELETE, and IN_DELETE_SELF for the file."""
    own = followed.directory / "own"
    watcher = watch(own)

    home.must("set", "guest", stdin=b"hello")
    followed.tell(("appeared", "own/guest"))
    watcher.until(f"{own}/guest CREATE", f"{own}/guest MODIFY", f"{own}/guest CLOSE_WRITE")
    assert home.do("cat", own / "guest") == b"hello"

    of_file = watch(own / "guest")
    home.must("rm", "guest")
    followed.tell(("gone", "own/guest"))
    watcher.until(f"{own}/guest DELETE")
    of_file.until(f"{own}/guest DELETE_SELF")
    assert home.run("cat", own / "guest").code == 1
    assert b"guest" not in home.do("ls", own)


def test_a_directory_that_comes(home: Home, followed: Followed, watch: Watch) -> None:
    """IN_CREATE of a directory, and of what is in it once that is watched."""
    own = followed.directory / "own"
    watcher = watch(own)

    home.must("set", "shelf/book", stdin=b"x")
    followed.tell(("appeared", "own/shelf"), ("appeared", "own/shelf/book"))

    watcher.until(f"{own}/shelf CREATE,ISDIR")
    assert home.do("ls", own / "shelf") == b"book\n"
    inside = watch(own / "shelf")
    home.must("set", "shelf/other", stdin=b"x")
    followed.tell(("appeared", "own/shelf/other"))
    inside.until(f"{own}/shelf/other CREATE")


def test_a_file_that_is_open_is_moved_over(home: Home, followed: Followed, watch: Watch) -> None:
    """Who has it open keeps what he reads; who watches hears, by directory and by file."""
    home.must("set", "held", stdin=b"old")
    file = followed.directory / "own" / "held"
    script = "exec 3<held; echo open; read _; cat <&3; echo; exec 3<&-; echo closed; read _"
    with home.talk("bash", "-c", script, cwd=file.parent) as say:
        assert say(b"") == b"open\n"
        watcher, of_file = watch(file.parent), watch(file)

        home.must("set", "held", stdin=b"new")
        followed.tell(("replaced", "own/held"))

        watcher.until(f"{file} MODIFY", f"{file} CLOSE_WRITE", f"{file} MOVED_TO")
        of_file.until(f"{file} CLOSE_WRITE", f"{file} ATTRIB")
        assert home.do("cat", file) == b"new"
        assert say(b"\n") == b"old\n"
        of_file.until(f"{file} DELETE_SELF")
        say(b"\n")


def test_what_others_share_is_heard_of(
    home: Home, followed: Followed, watch: Watch, sender: str
) -> None:
    """Below `from/`, where no program may write; and a one-time secret is not used up."""
    me = _node_id(home)
    directory = followed.directory / "from" / sender
    home.do("ls", directory)
    watcher = watch(directory)
    share = ["share", "--profile", "sender", me]

    home.must(*share, "key", stdin=b"1")
    followed.tell(("appeared", f"from/{sender}/key"))
    watcher.until(f"{directory}/key CREATE", f"{directory}/key CLOSE_WRITE")
    assert home.do("cat", directory / "key") == b"1"

    home.must(*share, "key", stdin=b"22")
    followed.tell(("changed", f"from/{sender}/key"))
    watcher.until(f"{directory}/key MODIFY", f"{directory}/key CLOSE_WRITE")
    assert home.do("cat", directory / "key") == b"22"

    home.must("unshare", "--profile", "sender", me, "key")
    followed.tell(("gone", f"from/{sender}/key"))
    watcher.until(f"{directory}/key DELETE")

    home.must(*share, "once", "--once", stdin=b"3")
    followed.tell(("appeared", f"from/{sender}/once"))
    watcher.until(f"{directory}/once CREATE", f"{directory}/once CLOSE_WRITE")
    assert home.do("cat", directory / "once") == b"3"
    assert home.run("cat", directory / "once").code == 1


def test_own_changes_are_heard_of_once(home: Home, followed: Followed, watch: Watch) -> None:
    """What this mount wrote fires what the kernel says of it, and nothing more."""
    own = followed.directory / "own"
    watcher = watch(own)

    assert home.bash("printf a >mine", cwd=own).code == 0
    home.must("set", "theirs", stdin=b"x")
    followed.tell(("appeared", "own/theirs"))

    shown = watcher.until(f"{own}/theirs CLOSE_WRITE")
    assert shown.count(f"{own}/mine CREATE") == 1
    assert shown.count(f"{own}/mine MODIFY") == 1


def test_an_echo_changes_nothing(home: Home, followed: Followed, watch: Watch) -> None:
    """Two mounts of one identity, both watched, do not answer each other."""
    home.must("set", "quiet", stdin=b"1")
    file = followed.directory / "own" / "quiet"
    other = home.mount()
    home.do("cat", file, other / "own" / "quiet")
    watcher = watch(file.parent)

    home.bash("printf 2 >quiet", cwd=other / "own")
    before = home.must("ls", "--json")
    times = home.do("stat", "-c", "%i %s", file)
    followed.tell(("changed", "own/quiet"))

    watcher.until(f"{file} CLOSE_WRITE")
    assert home.must("ls", "--json") == before
    assert home.do("stat", "-c", "%i %s", file) == times
    assert home.do("cat", file, other / "own" / "quiet") == b"22"
    home.unmount(other)


def test_the_entries_that_the_kernel_keeps_are_dropped(
    home: Home, followed: Followed, watch: Watch
) -> None:
    """Names, attributes and pages that it may keep for an hour are right after a change."""
    followed.order("keep")
    home.must("set", "kept", stdin=b"old")
    home.must("set", "leaving", stdin=b"x")
    own = followed.directory / "own"
    assert home.do("cat", own / "kept", own / "leaving") == b"oldx"
    watcher = watch(own)

    home.must("set", "kept", stdin=b"longer")
    home.must("rm", "leaving")
    home.must("set", "coming", stdin=b"y")
    followed.tell(("changed", "own/kept"), ("gone", "own/leaving"), ("appeared", "own/coming"))

    watcher.until(f"{own}/leaving DELETE", f"{own}/coming CREATE", f"{own}/kept CLOSE_WRITE")
    assert home.do("stat", "-c", "%s", own / "kept") == b"6\n"
    assert home.do("cat", own / "kept", own / "coming") == b"longery"
    assert home.run("stat", own / "leaving").code == 1


def test_entr_runs_its_command(
    home: Home, followed: Followed, started: Callable[..., Watcher]
) -> None:
    """Twice, for a program that watches by a file must be told of each change."""
    home.must("set", "config", stdin=b"one")
    own = followed.directory / "own"
    home.do("cat", own / "config")
    entr = started("entr", "-n", "sh", "-c", "cat config; echo ' read'", cwd=own)
    entr.feed("config\n")
    entr.until("one read")

    for content in ("two", "three"):
        home.must("set", "config", stdin=content.encode())
        followed.tell(("changed", "own/config"))
        entr.until(f"{content} read")


def test_tail_follows_a_name(
    home: Home, followed: Followed, started: Callable[..., Watcher]
) -> None:
    """`tail -F` has the file open; it goes on to the new one."""
    home.must("set", "log", stdin=b"first\n")
    own = followed.directory / "own"
    tail = started("tail", "-F", "log", cwd=own)
    tail.until("first")

    home.must("set", "log", stdin=b"second\n")
    followed.tell(("replaced", "own/log"))

    tail.until("second")


def _address_of(name: str, port: int) -> str | None:
    """Asks a DNS server on this machine for a name (RFC 1035)."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    question = struct.pack(">6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(PATIENCE)
        asking.sendto(question, ("127.0.0.1", port))
        answer = asking.recv(512)
    answers = struct.unpack(">H", answer[6:8])[0]
    return socket.inet_ntoa(answer[-4:]) if answers else None


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_dnsmasq_reloads_its_hosts(
    home: Home, followed: Followed, started: Callable[..., Watcher]
) -> None:
    """A daemon that watches a directory of configuration, in the mount."""
    home.must("set", "hosts/one", stdin=b"192.0.2.1 one.test\n")
    hosts = followed.directory / "own" / "hosts"
    home.do("ls", hosts)
    port = _free_port()
    dnsmasq = started(
        "/usr/sbin/dnsmasq", "--keep-in-foreground", f"--port={port}", f"--hostsdir={hosts}",
        "--no-resolv", "--no-hosts", "--listen-address=127.0.0.1", "--bind-interfaces",
        "--conf-file=/dev/null", "--pid-file=", "--user=root", "--group=root", "--log-facility=-",
    )  # fmt: skip
    dnsmasq.until("read")
    assert _address_of("one.test", port) == "192.0.2.1"

    home.must("set", "hosts/two", stdin=b"192.0.2.2 two.test\n")
    followed.tell(("appeared", "own/hosts/two"))
    dnsmasq.until(f"{hosts}/two")
    assert _address_of("two.test", port) == "192.0.2.2"

    home.must("set", "hosts/one", stdin=b"192.0.2.9 one.test\n")
    followed.tell(("changed", "own/hosts/one"))
    dnsmasq.until(f"{hosts}/one")
    assert _address_of("one.test", port) == "192.0.2.9"
