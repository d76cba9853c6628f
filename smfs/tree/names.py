"""Secret ids as paths of file names and back: a bijection (the design, section 2.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from smfs.crypto import wtf8
from smfs.errors import InvalidName, MalformedData, NameTooLong, UndecodableName

LONGEST_NAME: Final = 255
"""The longest name of a file in bytes (NAME_MAX)."""

DIRECTORY_SELF: Final = "%"
"""While the directory `a` is there, the secret `a` is the file `a/%` (rule 5)."""

_EMPTY: Final = "%-"
_WHOLE: Final = "%="
_PIECE: Final = "%+"
_LONGEST_PIECE: Final = LONGEST_NAME - 2
_TO_ESCAPE: Final = re.compile("[\0%\ud800-\udfff]")
_ATOM: Final = re.compile(r"(?:%[0-9A-F]{2})+|[^%]")
_ESCAPED: Final = re.compile(r"((?:%[0-9A-F]{2})+)")


def check_name(name: bytes) -> str:
    """A name as the kernel gives it, as text.

    Raises:
        NameTooLong: past 255 bytes.
        UndecodableName: when it is no UTF-8.
        InvalidName: when no file can be called so.
    """
    if len(name) > LONGEST_NAME:
        raise NameTooLong("a name has at most 255 bytes")
    try:
        text = name.decode()
    except UnicodeDecodeError:
        raise UndecodableName("a name is UTF-8") from None
    if text in ("", ".", "..") or "/" in text or "\0" in text:
        raise InvalidName("no file can have this name")
    return text


def encode_id(secret_id: str) -> tuple[str, ...]:
    """The path of names, from the top of its area, under which a secret id is shown."""
    components = wtf8.join_pairs(secret_id).split("/")
    return tuple(name for component in components for name in _encode_component(component))


def decode_path(names: Sequence[str]) -> str:
    """The secret id of a file's path; InvalidName when no id is shown under that path."""
    secret_id = "/".join(_components(names))
    if encode_id(secret_id) != tuple(names):
        raise InvalidName("no secret id is written like this")
    return secret_id


def is_directory_path(names: Sequence[str]) -> bool:
    """Whether a directory of this path could hold the file of some secret id."""
    # The longest escape comes first: a piece that it would have fitted into was cut too soon.
    tail = _WHOLE + "%ED%A0%80" * 28 if names[-1].startswith(_PIECE) else "x"
    try:
        decode_path([*names, tail])
    except InvalidName:
        return False
    return True


def _encode_component(component: str) -> list[str]:
    if not component:
        return [_EMPTY]
    if _is_literal(component):
        return [component]
    *pieces, last = _cut(component)
    return [_PIECE + piece for piece in pieces] + [_WHOLE + last]


def _is_literal(component: str) -> bool:
    if component.startswith("%") or component in (".", ".."):
        return False
    try:
        return len(component.encode()) <= LONGEST_NAME and "\0" not in component
    except UnicodeEncodeError:
        return False


def _cut(component: str) -> Iterator[str]:
    """The text of rule 3 in the pieces of rule 4, greedily."""
    piece, length = "", 0
    for character in component:
        atom = _escape(character)
        size = len(atom.encode())
        if length + size > _LONGEST_PIECE:
            yield piece
            piece, length = "", 0
        piece += atom
        length += size
    yield piece


def _escape(character: str) -> str:
    if not _TO_ESCAPE.fullmatch(character):
        return character
    return "".join(f"%{byte:02X}" for byte in wtf8.encode(character))


def _unescape(text: str) -> str:
    parts = _ESCAPED.split(text)
    decoded = []
    for index, part in enumerate(parts):
        if index % 2:
            try:
                decoded.append(wtf8.decode(bytes.fromhex(part.replace("%", ""))))
            except MalformedData:
                raise InvalidName("an escape that stands for no character") from None
        elif "%" in part:
            raise InvalidName("a % that begins no escape")
        else:
            decoded.append(part)
    return "".join(decoded)


def _components(names: Sequence[str]) -> Iterator[str]:
    pending = ""
    for name in names:
        if name.startswith(_PIECE):
            pending += name[2:]
            continue
        if pending and not name.startswith(_WHOLE):
            raise InvalidName("a name that is cut into pieces ends in its last one")
        if name.startswith(_WHOLE):
            yield _unescape(pending + name[2:])
        elif name == _EMPTY:
            yield ""
        elif name.startswith("%"):
            raise InvalidName("only smfs makes names that begin with %")
        else:
            yield name
        pending = ""
    if pending:
        raise InvalidName("the last piece of a name is missing")
