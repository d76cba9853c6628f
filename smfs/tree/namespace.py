"""The index of an area's secret ids as a tree of names, kept up to date id by id."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal

from smfs.errors import InvalidName, NoSuchName
from smfs.tree import names

Path = tuple[str, ...]
Kind = Literal["file", "directory"]


class _Folder:
    """One name of the tree: the secret that ends here, and the names below, if it has any."""

    __slots__ = ("children", "is_directory", "is_made", "secret_id")

    def __init__(self) -> None:
        self.children: dict[str, _Folder] = {}
        self.secret_id: str | None = None
        self.is_directory = False
        self.is_made = False


class Namespace:
    """A set of secret ids, seen as files in directories.

    A directory that was once there stays until `remove_directory` (the design, section 2.2), and
    while it is there its own secret is the file `%` in it (section 2.1 rule 5).
    """

    def __init__(self) -> None:
        self._top = _Folder()
        self._top.is_directory = True
        self._ids: set[str] = set()

    def add(self, secret_id: str) -> None:
        """Adds an id."""
        folder = self._top
        for name in names.encode_id(secret_id):
            folder.is_directory, folder.is_made = True, False
            folder = folder.children.setdefault(name, _Folder())
        folder.secret_id = secret_id
        self._ids.add(secret_id)

    def discard(self, secret_id: str) -> None:
        """Takes an id away, if it is there; its directories stay."""
        if secret_id not in self._ids:
            return
        self._ids.remove(secret_id)
        path = names.encode_id(secret_id)
        parent = self._require(path[:-1])
        folder = parent.children[path[-1]]
        folder.secret_id = None
        if not folder.is_directory:
            del parent.children[path[-1]]

    def ids(self) -> AbstractSet[str]:
        """All ids; always the newest state."""
        return self._ids

    def make_directory(self, path: Path) -> None:
        """Makes an empty directory; InvalidName when it could hold no secret."""
        if not names.is_directory_path(path):
            raise InvalidName("no secret id has such a directory")
        folder = self._require(path[:-1]).children.setdefault(path[-1], _Folder())
        folder.is_made = folder.is_made or not folder.is_directory
        folder.is_directory = True

    def remove_directory(self, path: Path) -> None:
        """Takes an empty directory away."""
        del self._require(path[:-1]).children[path[-1]]

    def close_directory(self, path: Path) -> None:
        """Ends a directory in which nothing is; its own secret is then the file of its name."""
        parent = self._require(path[:-1])
        folder = parent.children[path[-1]]
        folder.is_directory = bool(folder.children)
        if not folder.is_directory and folder.secret_id is None:
            del parent.children[path[-1]]

    def is_left_over(self, path: Path) -> bool:
        """Whether nothing is in or below a directory, which was not made but held secrets once."""
        folders = [self._require(path)]
        while folders:
            folder = folders.pop()
            if folder.is_made or folder.secret_id is not None:
                return False
            folders.extend(folder.children.values())
        return True

    def kind(self, path: Path) -> Kind | None:
        """What a path names, if anything."""
        if path and path[-1] == names.DIRECTORY_SELF:
            folder = self._find(path[:-1])
            has_own = folder is not None and folder.is_directory and folder.secret_id is not None
            return "file" if has_own else None
        folder = self._find(path)
        if folder is None:
            return None
        return "directory" if folder.is_directory else "file"

    def secret_id(self, path: Path) -> str:
        """The id of a file; NoSuchName when the path names none."""
        if self.kind(path) != "file":
            raise NoSuchName(path[-1] if path else "/")
        is_own = path[-1] == names.DIRECTORY_SELF
        folder = self._find(path[:-1] if is_own else path)
        if folder is None or folder.secret_id is None:
            raise NoSuchName(path[-1])
        return folder.secret_id

    def path(self, secret_id: str) -> Path:
        """Where an id is shown now, or would be."""
        path = names.encode_id(secret_id)
        folder = self._find(path)
        if folder is not None and folder.is_directory:
            return (*path, names.DIRECTORY_SELF)
        return path

    def children(self, path: Path) -> Mapping[str, Kind]:
        """The names in a directory and what they are."""
        folder = self._require(path)
        listed: dict[str, Kind] = {
            name: "directory" if child.is_directory else "file"
            for name, child in folder.children.items()
        }
        if folder.secret_id is not None:
            listed[names.DIRECTORY_SELF] = "file"
        return listed

    def listing(self, path: Path) -> Iterator[tuple[str, str | None]]:
        """The names in a directory, each with its secret's id; None where it is a directory."""
        folder = self._require(path)
        for name, child in folder.children.items():
            yield name, None if child.is_directory else child.secret_id
        if folder.secret_id is not None:
            yield names.DIRECTORY_SELF, folder.secret_id

    def ids_under(self, path: Path) -> list[str]:
        """The ids of all files below a directory, that of its own file `%` included."""
        found, folders = [], [self._require(path)]
        while folders:
            folder = folders.pop()
            if folder.secret_id is not None:
                found.append(folder.secret_id)
            folders.extend(folder.children.values())
        return found

    def directories_under(self, path: Path) -> list[Path]:
        """A directory and all directories below it, each before what is in it."""
        found = [path]
        for name, kind in self.children(path).items():
            if kind == "directory":
                found += self.directories_under((*path, name))
        return found

    def id_for_new_file(self, path: Path) -> str:
        """The id that a file made under this path has; InvalidName when none can be."""
        if path[-1] == names.DIRECTORY_SELF and len(path) > 1:
            return names.decode_path(path[:-1])
        return names.decode_path(path)

    def _find(self, path: Path) -> _Folder | None:
        folder: _Folder | None = self._top
        for name in path:
            folder = folder.children.get(name) if folder is not None else None
        return folder

    def _require(self, path: Path) -> _Folder:
        folder = self._find(path)
        if folder is None or not folder.is_directory:
            raise NoSuchName(path[-1] if path else "/")
        return folder
