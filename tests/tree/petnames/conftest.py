"""Alice, who gives names to nodes, her other machine, and Bob, whom she calls so."""

from __future__ import annotations

from typing import Any

import pytest

from smfs.crypto.identity import Identity

Kernel = Any
World = Any
STRANGER = Identity(b"\1" * 32).node_id
BOB = Identity(b"\2" * 32).node_id
KEY = "a1" * 32


@pytest.fixture
async def alice(world: World) -> Kernel:
    """Who has petnames."""
    return await world.mount(KEY)


@pytest.fixture
async def twin(world: World, alice: Kernel) -> Kernel:
    """Her other machine, where listings are never older than now."""
    return await world.mount(KEY, ttl=0.0)


@pytest.fixture
async def bob(world: World, alice: Kernel) -> Kernel:
    """Who accepts her, and calls her `alice`."""
    kernel = await world.mount()
    await kernel.write(f".accept/{alice.node_id}", b"")
    await kernel.write(".names/alice", alice.node_id.encode() + b"\n")
    await alice.write(".names/bob", kernel.node_id.encode() + b"\n")
    return kernel


async def target(kernel: Kernel, path: str) -> str:
    """Where a symbolic link leads."""
    link: str = kernel.tree.read_link((await kernel.walk(path)).inode)
    return link
