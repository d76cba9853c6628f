"""The map of secret ids to file names."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smfs.crypto import wtf8
from smfs.errors import InvalidName, NameTooLong, UndecodableName
from smfs.tree import names

IDS = (
    st.text(st.characters(exclude_categories=()), max_size=20)
    | st.text("a/%.\0\ud800é", max_size=600)
    | st.builds(
        lambda part, count: part * count,
        st.text("a%é/\0\udfff", min_size=1, max_size=3),
        st.integers(1, 200),
    )
).map(wtf8.join_pairs)
PATHS = st.lists(st.text("ab%=+-.02F4D8é", min_size=1, max_size=8), min_size=1, max_size=4)


@settings(deadline=None)
@given(IDS)
def test_every_id_has_one_path_that_leads_back(secret_id: str) -> None:
    """Decoding what an id encodes to gives the id, through names that any filesystem takes."""
    path = names.encode_id(secret_id)
    assert names.decode_path(path) == secret_id
    assert all(names.check_name(name.encode()) == name for name in path)


@settings(deadline=None)
@given(IDS)
def test_what_leads_to_a_file_can_be_a_directory(secret_id: str) -> None:
    """Every beginning of an id's path is a directory path."""
    path = names.encode_id(secret_id)
    assert all(names.is_directory_path(path[:depth]) for depth in range(1, len(path)))


@given(PATHS)
def test_a_path_decodes_to_one_id_or_to_none(path: list[str]) -> None:
    """A path that decodes is the very path that its id encodes to."""
    try:
        secret_id = names.decode_path(path)
    except InvalidName:
        return
    assert names.encode_id(secret_id) == tuple(path)


@pytest.mark.parametrize(
    ("secret_id", "path"),
    [
        ("db-password", ("db-password",)),
        ("50%", ("50%",)),
        ("a%20b", ("a%20b",)),
        ("%a", ("%=%25a",)),
        ("a/b", ("a", "b")),
        ("", ("%-",)),
        ("a//b/", ("a", "%-", "b", "%-")),
        (".", ("%=.",)),
        ("..", ("%=..",)),
        ("a\0%", ("%=a%00%25",)),
        ("\ud800", ("%=%ED%A0%80",)),
        ("x" * 255, ("x" * 255,)),
        ("x" * 256, ("%+" + "x" * 253, "%=xxx")),
        ("é" * 128, ("%+" + "é" * 126, "%=éé")),
    ],
)
def test_the_rules_by_example(secret_id: str, path: tuple[str, ...]) -> None:
    """Each rule of the design's section 2.1 gives the names that it says."""
    assert names.encode_id(secret_id) == path


def test_names_that_no_file_can_have() -> None:
    """Too long, no UTF-8 and reserved names are each refused as what they are."""
    with pytest.raises(NameTooLong):
        names.check_name(b"x" * 256)
    with pytest.raises(UndecodableName):
        names.check_name(b"\xff")
    with pytest.raises(InvalidName):
        names.check_name(b"..")
