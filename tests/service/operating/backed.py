"""A real service within the layer, whose store a test can take away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import anyio
from prometheus_client.parser import text_string_to_metric_families

from smfs.errors import SmfsError
from smfs.service import Service

Message = MutableMapping[str, Any]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@dataclass
class Backed:
    """What the layer is put around.

    Attributes:
        service: answers the requests.
        error: what its store says when it is asked whether it can be used.
        is_silent: whether the store says nothing instead.
        checks: how often it was asked.
        queue: deliveries that wait.
    """

    service: Service
    error: SmfsError | None = None
    is_silent: bool = False
    checks: int = 0
    queue: int = 0

    async def __call__(
        self,
        scope: Message,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        """One ASGI connection."""
        await self.service(scope, receive, send)

    async def check_ready(self) -> None:
        """As the store says."""
        self.checks += 1
        await anyio.lowlevel.checkpoint()
        if self.is_silent:
            await anyio.sleep_forever()
        if self.error is not None:
            raise self.error

    async def queued_hooks(self) -> int:
        """As the store says."""
        await self.check_ready()
        return self.queue


def parsed(text: str) -> Samples:
    """The figures in a text of Prometheus, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def figure(samples: Samples, name: str, **labels: str) -> float:
    """One of them."""
    return samples[name, frozenset(labels.items())]
