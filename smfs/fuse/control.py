"""How another process asks a mount for something: by an extended attribute of `.status`."""

from __future__ import annotations

from typing import Final

LOCK: Final = "user.smfs.lock"
"""Setting it to nothing has the kernel drop all that it keeps; it has when the call returns."""

QUIET: Final = b"quiet"
"""Its value before an unmount: the mount does not use itself for `QUIET_S` then."""

QUIET_S: Final = 3.0
"""How long, in seconds, a mount keeps off itself."""
