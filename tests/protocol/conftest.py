"""JavaScript itself, which canonical JSON is compared with."""

import base64
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("javascript.js")


@pytest.fixture(scope="session")
def javascript() -> Iterator[Callable[[bytes], bytes | None]]:
    """`JSON.stringify(JSON.parse(text))` for a text's bytes; None where JSON.parse refuses it."""
    with subprocess.Popen(["node", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as node:
        assert node.stdin
        assert node.stdout
        questions, answers = node.stdin, node.stdout

        def ask(text: bytes) -> bytes | None:
            questions.write(base64.b64encode(text) + b"\n")
            questions.flush()
            answer = answers.readline()
            assert answer, "node has ended"
            return None if answer == b"error\n" else base64.b64decode(answer)

        yield ask
        questions.close()
    assert node.returncode == 0
