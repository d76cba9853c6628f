"""One of several processes of a service: does so many requests, then what it is told by its input.

`show` prints the figures and an empty line, `forget PID` forgets an ended worker, `end` ends it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anyio
import anyio.abc
import anyio.to_thread

from smfs.protocol import requests
from smfs.service import create_service
from smfs.service.operating import Operating, OperatingOptions, forget_process
from tests.service.nodes import send
from tests.service.operating.backed import Backed, Message

NODE_ID = json.dumps({"authCode": requests.AUTH_CODE_NODE_ID})


async def _stay_open(app: Operating, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    """A request whose body never comes."""

    async def receive() -> Message:
        task_status.started()
        await anyio.sleep_forever()
        raise AssertionError

    async def ignore(_message: Message) -> None:
        """Nothing comes."""

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/getNodeId", "headers": headers}
    await app(scope, receive, ignore)


async def _obey(app: Operating) -> None:
    while True:
        order, *arguments = (await anyio.to_thread.run_sync(sys.stdin.readline)).split()
        if order == "end":
            return
        if order == "forget":
            forget_process(int(arguments[0]), Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
        else:
            text = (await send(app, "/metrics", method="GET")).text
            print(text, end="\n", flush=True)  # noqa: T201 - it is what was asked for


async def main(database: Path, count: int) -> None:
    """Serves."""
    async with create_service(database) as service, anyio.create_task_group() as tasks:
        app = Operating(Backed(service, queue=5), OperatingOptions())
        for _ in range(count):
            assert (await send(app, "/getNodeId", NODE_ID)).status == 200
        await tasks.start(lambda *, task_status: _stay_open(app, task_status=task_status))
        print("ready", flush=True)  # noqa: T201 - it is waited for
        await _obey(app)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), int(sys.argv[2]), backend="trio")
