"""Waiting for what nobody tells of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio

PATIENCE_S: Final = 60.0


async def until(condition: Callable[[], bool]) -> None:
    """Returns once it holds; TimeoutError when it does not for long."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            if condition():
                return
            await anyio.sleep(0.01)
