"""Which names are the scratch files of editors, which never travel (the design, section 2.3)."""

from __future__ import annotations

import re
from typing import Final

_MADE_SAFELY: Final = re.compile(r".*\.swpx?|\..*\.sw.|.*~|4913|\.nfs.*", re.DOTALL)
_MADE_BY_MKSTEMP: Final = re.compile(r"\.goutputstream-.*|sed[A-Za-z0-9]{6}", re.DOTALL)
_ALWAYS: Final = re.compile(r"#.+#|\.#.+", re.DOTALL)


def is_scratch_name(name: str, *, exclusive: bool, read_write: bool, renamed: bool) -> bool:
    """Whether a file of this name, made in this way, is an editor's scratch file.

    Args:
        name: the last name of its path.
        exclusive: it was created with O_EXCL.
        read_write: it was opened with O_RDWR, as mkstemp(3) does. `cp` creates with O_EXCL too,
            but only for writing: without this, `cp x sedscript` would make no secret.
        renamed: it comes about by a rename.
    """
    if _ALWAYS.fullmatch(name):
        return True
    if _MADE_BY_MKSTEMP.fullmatch(name):
        return renamed or (exclusive and read_write)
    return bool(_MADE_SAFELY.fullmatch(name)) and (renamed or exclusive)
