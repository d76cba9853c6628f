"""The file of a cache: where it is to be, and one with all that it can hold."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from tests.client.cache.caches import SOME, write


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the cache is."""
    return tmp_path / "cache" / "smfs" / "default.cache"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """A cache that is whole."""
    path = tmp_path / "whole.cache"
    anyio.run(write, path, SOME)
    return path
