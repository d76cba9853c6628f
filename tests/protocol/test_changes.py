"""Pages of the change feed: written, read, and refused where they are of another form."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smfs.crypto.box import Box
from smfs.errors import MalformedData
from smfs.protocol import canonical
from smfs.protocol.changes import (
    RECIPIENT,
    SENDER,
    Changes,
    NodeChanged,
    NodeGone,
    SecretChanged,
    SecretGone,
)

NODE = "ab" * 32
PAGE = Changes(
    "feed",
    0,
    9,
    more=True,
    changes=(
        SecretChanged(1, "", "x"),
        SecretChanged(2, NODE, "x", one_time=True, box=Box("cd" * 32, "ef" * 16)),
        SecretGone(3, "", "y"),
        SecretGone(4, NODE, "\ud800"),
        NodeChanged(5, SENDER, NODE),
        NodeChanged(6, RECIPIENT, NODE, 1.5),
        NodeGone(7, SENDER, NODE),
        NodeGone(8, RECIPIENT, NODE),
    ),
)
WIRE = PAGE.to_wire()

REVISIONS = st.integers(0, 2**53 - 1)
NODES = st.binary(min_size=32, max_size=32).map(bytes.hex)
TEXTS = st.text(st.characters(exclude_categories=()), max_size=12).map(
    lambda text: text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
)
BOXES = st.builds(
    lambda point, blocks: Box(point, blocks.hex() * 16),
    NODES,
    st.binary(min_size=1, max_size=3),
)
DATES = st.none() | st.integers(0, 2**53) | st.floats(allow_nan=False, allow_infinity=False)
ROLES = st.sampled_from([SENDER, RECIPIENT])
CHANGES = (
    st.builds(
        SecretChanged, REVISIONS, st.just("") | NODES, TEXTS, st.booleans(), st.none() | BOXES
    )
    | st.builds(SecretGone, REVISIONS, st.just("") | NODES, TEXTS)
    | st.builds(NodeChanged, REVISIONS, ROLES, NODES, DATES)
    | st.builds(NodeGone, REVISIONS, ROLES, NODES)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | NODES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
KEYS = ("revision", "from", "secretId", "isOneTime", "secret", "gone", SENDER, RECIPIENT)


@given(TEXTS, REVISIONS, REVISIONS, st.booleans(), st.lists(CHANGES, max_size=5))
def test_a_page_is_read_as_it_was_written(
    feed: str,
    one: int,
    other: int,
    more: bool,  # noqa: FBT001 - hypothesis gives it by place
    changes: list[Any],
) -> None:
    """Through its JSON text, whatever is in it."""
    since, revision = sorted((one, other))
    page = Changes(feed, since, revision, more and since < revision, tuple(changes))
    assert Changes.parse(canonical.decode(canonical.encode(page.to_wire()))) == page


def test_what_is_not_so_is_not_written() -> None:
    """No key stands for what is the rule."""
    assert [list(change) for change in WIRE["changes"]] == [
        ["revision", "secretId"],
        ["revision", "from", "secretId", "isOneTime", "secret"],
        ["revision", "secretId", "gone"],
        ["revision", "from", "secretId", "gone"],
        ["revision", SENDER, "closureDate"],
        ["revision", RECIPIENT, "closureDate"],
        ["revision", SENDER, "gone"],
        ["revision", RECIPIENT, "gone"],
    ]


def test_what_later_versions_add_is_left_alone() -> None:
    """Further keys, and kinds of changes that nobody knows here."""
    later = {"revision": 9, "weather": "fine"}
    changes = [{**change, "later": 1} for change in WIRE["changes"]]
    assert Changes.parse({**WIRE, "later": 1, "changes": [*changes, later]}) == PAGE


def test_a_broken_box_hides_nothing_else() -> None:
    """The secret is there, without its content."""
    broken = {"revision": 1, "secretId": "x", "secret": {"referencePointHex": "no"}}
    [change] = Changes.parse({**WIRE, "changes": [broken]}).changes
    assert change == SecretChanged(1, "", "x")


@pytest.mark.parametrize(
    "part",
    [
        {"feed": None},
        {"since": -1},
        {"since": True},
        {"since": 0.5},
        {"since": 9},
        {"since": 10},
        {"revision": 2**53},
        {"more": 1},
        {"changes": {}},
        {"changes": [None]},
        {"changes": [[]]},
        {"changes": [{}]},
        {"changes": [{"revision": "1", "secretId": "x"}]},
        {"changes": [{"revision": 1, "secretId": "x", "from": "AB" * 32}]},
        {"changes": [{"revision": 1, "secretId": "x", "from": None}]},
        {"changes": [{"revision": 1, SENDER: "x", "gone": True}]},
        {"changes": [{"revision": 1, RECIPIENT: NODE, "closureDate": "now"}]},
        {"changes": [{"revision": 1, RECIPIENT: NODE, "closureDate": True}]},
        {"changes": [{"revision": 1, RECIPIENT: NODE, "closureDate": float("inf")}]},
    ],
)
def test_another_form_is_refused(part: dict[str, Any]) -> None:
    """As a whole: half a page would be a gap that nobody knows of."""
    with pytest.raises(MalformedData):
        Changes.parse({**WIRE, **part})


@given(
    JSON
    | st.fixed_dictionaries(
        {
            **dict.fromkeys(WIRE, JSON),
            "feed": st.text(max_size=4),
            "since": st.just(0),
            "revision": st.just(9),
            "more": st.booleans(),
            "changes": st.lists(
                st.dictionaries(st.sampled_from(KEYS), JSON | st.just(1) | st.just("x")),
                max_size=4,
            ),
        }
    )
)
def test_any_value_is_read_or_refused(value: Any) -> None:
    """No value ends in anything but our refusal."""
    try:
        page = Changes.parse(value)
    except MalformedData:
        return
    assert Changes.parse(page.to_wire()) == page
