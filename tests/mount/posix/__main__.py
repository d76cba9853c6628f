"""Does every check in the mount of which the path is given; prints what is wrong, as JSON."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

from tests.mount.posix import absent, harness


def main() -> None:
    """Each check gets a directory of its own below `own/posix`."""
    mount = Path(sys.argv[1])
    top = mount / "own" / "posix"
    top.mkdir()
    os.environ["MOUNT"] = str(mount)
    wrong = {}
    for module in sorted(Path(__file__).parent.glob("*.py")):
        checks = importlib.import_module(f"tests.mount.posix.{module.stem}")
        for name, check in vars(checks).items():
            if name.startswith("check_"):
                key = f"{module.stem}-{name}"
                wrong[key] = harness.run(check, str(top / key))
    os.chdir(top)
    told = {"wrong": wrong, "absent": absent.outcomes(mount)}
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
