"""Stores and several replicas of a service, on either engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeAlias

import pytest

from smfs.service import Service, ServiceOptions, create_service
from smfs.service.store import Store, store_at
from tests.service.nodes import Clock
from tests.service.places import Place

Replicas: TypeAlias = Callable[..., AbstractAsyncContextManager[list[Service]]]


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    """An open store in which nothing is."""
    made = store_at(place)
    try:
        await made.open(None)
        yield made
    finally:
        await made.aclose()


@pytest.fixture
def replicas(place: Place, options: ServiceOptions, clock: Clock) -> Replicas:
    """Runs so many services on one database."""

    @asynccontextmanager
    async def run(
        count: int, options: ServiceOptions = options, at: Place = place
    ) -> AsyncIterator[list[Service]]:
        async with AsyncExitStack() as stack:
            yield [
                await stack.enter_async_context(create_service(at, options=options, now=clock))
                for _ in range(count)
            ]

    return run
