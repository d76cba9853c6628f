"""poll(2), select(2) and epoll(7) on files of a mount."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.mount.followed import Followed
    from tests.mount.homes import Home

_WAITERS = {
    "poll": """
p = select.poll()
p.register(f, select.POLLIN | select.POLLPRI)
wait = lambda timeout: bool(p.poll(timeout and timeout * 1000))
""",
    "select": "wait = lambda timeout: bool(select.select([f], [], [], timeout)[0])",
    "epoll": """
p = select.epoll()
p.register(f, select.EPOLLIN | select.EPOLLPRI)
wait = lambda timeout: bool(p.poll(timeout))
""",
}
_SCRIPT = """
import os, select
f = os.open(".status", os.O_RDONLY)
{waiter}
print(wait(0), flush=True)
for _ in range(2):
    input()
    print("waiting", flush=True)
    first = wait(60)
    again = wait(0)
    os.lseek(f, 0, 0)
    text = os.read(f, 100000)
    print(first, again, text.startswith(b"{{"), wait(0), flush=True)
"""


@pytest.mark.parametrize("kind", _WAITERS)
def test_a_change_wakes_who_waits_for_the_status(home: Home, followed: Followed, kind: str) -> None:
    """Nothing has happened when it is opened; a change shows until the status is read anew."""
    script = _SCRIPT.format(waiter=_WAITERS[kind])
    with home.talk("python3", "-c", script, cwd=followed.directory) as say:
        assert say(b"") == b"False\n"
        for number in range(2):
            assert say(b"\n") == b"waiting\n"
            name = f"woken-{kind}-{number}"
            home.must("set", name, stdin=b"x")
            followed.tell(("appeared", f"own/{name}"))
            assert say(b"") == b"True True True False\n"


def test_every_other_file_is_always_ready(home: Home, followed: Followed) -> None:
    """For reading and for writing, as a regular file is."""
    script = """
import os, select
f = os.open("own/ready", os.O_RDWR | os.O_CREAT)
print(select.select([f], [f], [], 0) == ([f], [f], []))
p = select.poll()
p.register(f, 0xffff)
want = select.POLLIN | select.POLLOUT | select.POLLRDNORM | select.POLLWRNORM
print(p.poll(0) == [(f, want)])
"""

    assert home.do("python3", "-c", script, cwd=followed.directory) == b"True\nTrue\n"
