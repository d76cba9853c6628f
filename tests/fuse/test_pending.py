"""Many changes of one name become few, and none is lost that matters."""

from __future__ import annotations

import pytest

from smfs.fuse.pending import Pending
from smfs.tree.happenings import Happening, Kind

LETTERS = {"c": Kind.CHANGED, "r": Kind.REPLACED, "a": Kind.APPEARED, "g": Kind.GONE}


def _happenings(kinds: str, name: bytes = b"x") -> list[Happening]:
    return [Happening(LETTERS[letter], 1, (name,), inode) for inode, letter in enumerate(kinds, 10)]


def _letters(happenings: list[Happening]) -> str:
    back = {kind: letter for letter, kind in LETTERS.items()}
    return "".join(back[each.kind] for each in happenings)


@pytest.mark.parametrize(
    ("came", "left"),
    [
        ("c", "c"), ("cccc", "c"), ("cr", "r"), ("cg", "g"),
        ("rc", "r"), ("rr", "r"), ("rg", "rg"),
        ("ac", "a"), ("ar", "a"), ("ag", "g"), ("aga", "ga"),
        ("gg", "g"), ("ga", "ga"), ("gac", "ga"), ("gag", "g"), ("gagaga", "ga"),
    ],
)  # fmt: skip
def test_what_is_left_of_changes_of_one_name(came: str, left: str) -> None:
    """Whoever watches learns of the state in the end, by the shortest way."""
    pending = Pending()
    for happening in _happenings(came):
        pending.add(happening)

    assert _letters(pending.take(10)) == left


def test_the_node_that_the_kernel_knew_first_is_told_of() -> None:
    """Of two replacements, the one whose watchers were not told yet counts."""
    pending = Pending()
    for happening in _happenings("rr"):
        pending.add(happening)

    assert [each.inode for each in pending.take(1)] == [10]


def test_names_keep_their_order() -> None:
    """A directory comes before what is in it; and so many names are taken at a time."""
    pending = Pending()
    for name in (b"a", b"b", b"a", b"c"):
        pending.add(_happenings("c", name)[0])

    assert [each.path for each in pending.take(2)] == [(b"a",), (b"b",)]
    assert len(pending) == 1


def test_what_was_not_told_is_put_back_in_front() -> None:
    """And meets what has come since."""
    pending = Pending()
    pending.add(_happenings("g", b"later")[0])
    pending.add(_happenings("g")[0])

    pending.put_back(_happenings("c"))

    assert [(each.path, each.kind) for each in pending.take(10)] == [
        ((b"x",), Kind.GONE),
        ((b"later",), Kind.GONE),
    ]
