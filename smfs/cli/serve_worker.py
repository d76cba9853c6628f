"""One of several workers, and the pipe on which it tells its supervisor how its start went."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from smfs.cli.exits import ReportedFailure, exit_code_of, leaf_of, told
from smfs.cli.serve_options import ServeSettings
from smfs.errors import SmfsError


@dataclass(frozen=True)
class Descriptors:
    """What a worker inherits.

    Attributes:
        listener: where it serves.
        answer: on which it says how its start went.
        supervisor: whose other end is closed when the supervisor is gone.
    """

    listener: int
    answer: int
    supervisor: int

    def __str__(self) -> str:
        """As the hidden option has it."""
        return f"{self.listener},{self.answer},{self.supervisor}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """From the hidden option; ValueError when it is not of its form."""
        listener, answer, supervisor = map(int, text.split(","))
        return cls(listener, answer, supervisor)


def serve_as_worker(settings: ServeSettings, database: Path | str, descriptors: Descriptors) -> int:
    """Serves until the supervisor says that it is over, or is gone; returns the exit code."""
    from smfs.cli.serve_process import serve

    for each in (descriptors.listener, descriptors.answer, descriptors.supervisor):
        os.set_inheritable(each, False)  # noqa: FBT003 - it takes no keyword
    answer = _Answer(descriptors.answer)
    listener = socket.socket(fileno=descriptors.listener)
    try:
        serve(
            settings,
            database,
            listener,
            on_ready=lambda: answer.say({"ready": True}),
            supervisor=descriptors.supervisor,
        )
    except Exception as error:
        leaf = leaf_of(error)
        if answer.is_said or not isinstance(leaf, SmfsError):
            raise
        answer.say({"error": told(leaf), "code": exit_code_of(leaf)})
        return exit_code_of(leaf)
    return 0


class _Answer:
    """The way to the supervisor; it is used once."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.is_said = False

    def say(self, answer: dict[str, Any]) -> None:
        self.is_said = True
        try:
            os.write(self._descriptor, json.dumps(answer).encode())
        except BrokenPipeError:
            pass  # the supervisor is gone, and this one will notice
        finally:
            os.close(self._descriptor)


async def has_started(reading: int) -> bool:
    """Waits for what a worker says of its start; False when it ended without a word.

    Args:
        reading: the other end of its answer; it is closed.

    Raises:
        ReportedFailure: why it cannot start.
    """
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb")
    )
    try:
        said = await reader.read()
    finally:
        transport.close()
    answer = json.loads(said or "{}")
    if "error" in answer:
        raise ReportedFailure(answer["error"], answer["code"])
    return bool(answer)
