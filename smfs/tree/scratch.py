"""Which names are the scratch files of editors, which never travel (the design, section 2.3)."""

from __future__ import annotations

import re
from typing import Final

from smfs.tree.node import Intent

_MADE_SAFELY: Final = re.compile(r".*\.swpx?|\..*\.sw.|.*~|4913|\.nfs.*", re.DOTALL)
_MADE_BY_MKSTEMP: Final = re.compile(r"\.goutputstream-.*|sed[A-Za-z0-9]{6}", re.DOTALL)
_ALWAYS: Final = re.compile(r"#.+#|\.#.+", re.DOTALL)


def is_made_as_scratch(name: str, intent: Intent) -> bool:
    """Whether a file that is created under this name is an editor's scratch file.

    Editors create theirs with O_EXCL and O_RDWR (mkstemp(3), vim's swap file) or O_NOFOLLOW (vim's
    `4913` and backup). `cp`, `mv` and `tar` create with O_EXCL alone: what they bring must travel,
    else the only copy would be in memory.

    Args:
        name: the last name of its path.
        intent: how it is created.
    """
    if _ALWAYS.fullmatch(name):
        return True
    reads_and_writes = intent.read and intent.write
    if _MADE_BY_MKSTEMP.fullmatch(name):
        return intent.exclusive and reads_and_writes
    is_editors = intent.exclusive and (reads_and_writes or intent.no_follow)
    return is_editors and bool(_MADE_SAFELY.fullmatch(name))


def is_renamed_to_scratch(old: str, new: str) -> bool:
    """Whether a file that is renamed becomes an editor's scratch file.

    Args:
        old: the name that it had. rsync writes `name` as `.name.XXXXXX`; that one must travel.
        new: the name that it gets.
    """
    if old.startswith(f".{new}."):
        return False
    patterns = (_ALWAYS, _MADE_BY_MKSTEMP, _MADE_SAFELY)
    return any(pattern.fullmatch(new) for pattern in patterns)
