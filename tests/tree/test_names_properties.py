"""The map of secret ids to names and back is a bijection, over ids and over names."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from smfs.crypto import wtf8
from smfs.errors import InvalidName, SmfsError
from smfs.tree import names

PIECES = st.sampled_from(
    [
        "a",
        "é",
        "😀",
        "%",
        "/",
        ".",
        "..",
        "\0",
        "\ud800",
        "\udc00",
        "%=",
        "%+",
        "%-",
        "%00",
        ".smfs",
    ]
)
LENGTHS = st.sampled_from(
    [1, 2, 28, 29, 30, 61, 63, 64, 83, 84, 85, 126, 127, 252, 253, 254, 255, 256]
)
IDS = st.lists(
    st.builds(lambda piece, count: piece * count, PIECES, LENGTHS | st.integers(1, 3)), max_size=6
).map("".join) | st.text(st.characters(exclude_categories=()))
ESCAPES = st.sampled_from(
    [
        "%00",
        "%25",
        "%ED%A0%80",
        "%ED%B0%80",
        "%ed%a0%80",
        "%41",
        "%C3%A9",
        "%2",
        "%",
        "x",
        "é",
        "😀",
    ]
)
TEXTS = st.lists(
    st.builds(lambda piece, count: piece * count, ESCAPES, LENGTHS | st.just(1)), max_size=4
)
NAMES = st.builds(
    lambda head, text: head + "".join(text), st.sampled_from(["", "%=", "%+", "%-", "."]), TEXTS
)
PATHS = st.lists(NAMES | st.text("ab.%=+-", max_size=4), min_size=1, max_size=4).map(tuple)
VALID_PATHS = IDS.map(names.encode_id)


def changed(path: tuple[str, ...], place: int, put: str) -> tuple[str, ...]:
    """A path with one character replaced."""
    text = "\n".join(path)
    place %= len(text)
    return tuple((text[:place] + put + text[place + 1 :]).split("\n"))


@settings(deadline=None, max_examples=400)
@given(IDS)
@example("")
@example("/")
@example("%" * 300)
@example("x" * 253 + "\ud800")
@example("\ud83d\ude00")
def test_from_an_id_to_names_and_back(secret_id: str) -> None:
    """Every id has names that any filesystem takes, and they lead back to the very id."""
    path = names.encode_id(secret_id)
    assert path
    assert all(names.check_name(name.encode()) == name for name in path)
    assert names.decode_path(path) == wtf8.join_pairs(secret_id)


@settings(deadline=None, max_examples=400)
@given(IDS, IDS)
def test_two_ids_never_share_a_path(one: str, other: str) -> None:
    """Equal paths mean equal ids."""
    is_same = wtf8.join_pairs(one) == wtf8.join_pairs(other)
    assert (names.encode_id(one) == names.encode_id(other)) is is_same


@settings(deadline=None, max_examples=400)
@given(
    PATHS | st.builds(changed, VALID_PATHS, st.integers(0, 999), st.sampled_from("%=+-aA0/\n.\0"))
)
@example(("%=a",))
@example(("%=",))
@example(("%-", "%"))
@example(("%+" + "x" * 253, "%="))
@example(("%=%41",))
@example(("%=%ed%a0%80",))
@example(("%=%ED%A0%BD%ED%B8%80",))
def test_from_names_to_an_id_and_back(path: tuple[str, ...]) -> None:
    """Names lead to an id only if that id has these very names; all others are refused."""
    try:
        secret_id = names.decode_path(path)
    except InvalidName:
        return
    assert names.encode_id(secret_id) == path


@settings(deadline=None, max_examples=300)
@given(VALID_PATHS, st.data())
def test_no_other_name_leads_to_the_same_id(path: tuple[str, ...], data: st.DataObject) -> None:
    """A changed path leads to another id or to none."""
    other = changed(path, data.draw(st.integers(0, 999)), data.draw(st.sampled_from("%=+-aF\n")))
    if other == path:
        return
    try:
        assert names.decode_path(other) != names.decode_path(path)
    except InvalidName:
        return


@settings(deadline=None, max_examples=300)
@given(VALID_PATHS | PATHS)
def test_a_directory_is_what_a_longer_path_can_go_through(path: tuple[str, ...]) -> None:
    """A path is a directory's exactly where some id's path goes on from there."""
    tails = ["x", "%-", "%=.", "%=%ED%A0%80", "%=" + "%ED%A0%80" * 28, "%=" + "%00" * 84]
    tails += ["%=" + "😀" * 63, "%=x" + "😀" * 63]
    reachable = False
    for tail in tails:
        try:
            names.decode_path((*path, tail))
        except InvalidName:
            continue
        reachable = True
    assert names.is_directory_path(path) is reachable


@given(st.binary(max_size=300))
def test_any_bytes_are_a_name_or_refused(name: bytes) -> None:
    """Whatever the kernel hands over is text or one of our errors."""
    try:
        text = names.check_name(name)
    except SmfsError:
        return
    assert text.encode() == name
    assert "/" not in text
