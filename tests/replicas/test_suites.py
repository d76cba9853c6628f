"""A part of the tests of client and mount, over replicas that die; `scripts/replicas` runs all."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tests.replicas.replicas import ROOT, Killer

if TYPE_CHECKING:
    from tests.replicas.replicas import Replicas

EVERY_S: Final = 2.0


def run(*arguments: str) -> str:
    """Runs pytest, which must succeed; what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout


def test_the_client() -> None:
    """Most tests meet replicas that die in the middle of a request."""
    said = run("tests/client/test_client.py", "--replicas", "sqlite")
    assert "passed over replicas that die in the middle of requests" in said


def test_the_mount(replicas: Replicas) -> None:
    """Two identities share with each other, at replicas in processes of their own."""
    with Killer(replicas, EVERY_S):
        said = run("tests/mount/test_sharing.py", "--service", replicas.url, "-k", "not root")
    assert "passed over replicas that die in the middle of requests" in said
    assert replicas.deaths
