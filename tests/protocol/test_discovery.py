"""What a service of ours says of itself."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smfs.errors import MalformedData
from smfs.protocol import canonical
from smfs.protocol.discovery import FEATURES, Discovery

OURS = Discovery("ab" * 32, 1024, 4096, FEATURES, 1_800_000_000_000)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def test_it_reads_what_it_wrote() -> None:
    """The description goes through its JSON text unchanged."""
    assert Discovery.parse(canonical.decode(canonical.encode(OURS.to_wire()))) == OURS


def test_what_later_versions_add_is_ignored() -> None:
    """Unknown keys and features do not keep an older client away."""
    wire = {**OURS.to_wire(), "more": 1, "features": [*FEATURES, "later", 5]}
    assert Discovery.parse(wire).features == (*FEATURES, "later")


@pytest.mark.parametrize(
    "change",
    [
        {"smfs": 2},
        {"smfs": True},
        {"smfs": "1"},
        {"nodeId": "AB" * 32},
        {"nodeId": None},
        {"limits": {"contentBytes": 0, "bodyBytes": 1}},
        {"limits": {"contentBytes": True, "bodyBytes": True}},
        {"limits": {"contentBytes": 1}},
        {"features": "checkShare"},
        {"time": None},
        {"time": 1.5},
    ],
)
def test_another_form_is_refused(change: dict[str, Any]) -> None:
    """Each field is checked."""
    with pytest.raises(MalformedData):
        Discovery.parse({**OURS.to_wire(), **change})


@given(JSON | st.fixed_dictionaries(dict.fromkeys(OURS.to_wire(), JSON)))
def test_any_value_is_refused(value: Any) -> None:
    """No value ends in anything but our refusal."""
    with pytest.raises(MalformedData):
        Discovery.parse(value)
