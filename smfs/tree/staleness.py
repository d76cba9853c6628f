"""Names that change so fast that looking them up once more does not help."""

from __future__ import annotations

from typing import Final

import anyio

_AGAIN_S: Final = 1.0


class Staleness:
    """When opening a secret last found the kernel with an older version of it.

    The kernel looks a stale name up only once more: too seldom for what is replaced often.
    """

    def __init__(self) -> None:
        self._found_at: dict[str, float] = {}

    def is_found_again(self, secret_id: str) -> bool:
        """Notes that a secret was found stale; returns whether it was a moment ago, too."""
        now = anyio.current_time()
        recent = {each: at for each, at in self._found_at.items() if now - at < _AGAIN_S}
        self._found_at = recent | {secret_id: now}
        return secret_id in recent
