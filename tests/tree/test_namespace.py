"""The index of names against a model that computes everything anew."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from smfs.errors import InvalidName, NoSuchName
from smfs.tree import names
from smfs.tree.namespace import Kind, Namespace, Path

IDS = st.lists(st.sampled_from(["a", "b", "", "%", ".", "\0"]), min_size=1, max_size=4).map(
    "/".join
) | st.sampled_from(["a" * 300, "a" * 300 + "/b", "a" * 300 + "c"])


class Model:
    """A set of ids and a set of directories; what is seen follows from these two alone."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.directories: set[Path] = {()}

    def add(self, secret_id: str) -> None:
        """An id makes all the directories that lead to it."""
        path = names.encode_id(secret_id)
        self.ids.add(secret_id)
        self.directories |= {path[:depth] for depth in range(len(path))}

    def files(self) -> dict[Path, str]:
        """Every file with its id."""
        shown = {}
        for secret_id in self.ids:
            path = names.encode_id(secret_id)
            shown[(*path, "%") if path in self.directories else path] = secret_id
        return shown

    def children(self, directory: Path) -> dict[str, Kind]:
        """What is listed in a directory."""
        listed: dict[str, Kind] = {
            path[-1]: "directory" for path in self.directories if path and path[:-1] == directory
        }
        return listed | {path[-1]: "file" for path in self.files() if path[:-1] == directory}


class NamespaceMachine(RuleBasedStateMachine):
    """Changes both in the same way, and compares all that can be asked."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.space = Namespace()

    @rule(secret_id=IDS)
    def add(self, secret_id: str) -> None:
        """Adds an id, there already or not."""
        self.space.add(secret_id)
        self.model.add(secret_id)

    @rule(secret_id=IDS)
    def discard_any(self, secret_id: str) -> None:
        """Takes any id away, there or not."""
        self.space.discard(secret_id)
        self.model.ids.discard(secret_id)

    @precondition(lambda self: self.model.ids)
    @rule(data=st.data())
    def discard_one(self, data: st.DataObject) -> None:
        """Takes an id away that is there."""
        self.discard_any(data.draw(st.sampled_from(sorted(self.model.ids))))

    @rule(data=st.data(), secret_id=IDS)
    def make_directory(self, data: st.DataObject, secret_id: str) -> None:
        """Makes a directory, there already or not, over a file or not."""
        parent = data.draw(st.sampled_from(sorted(self.model.directories)))
        path = (*parent, names.encode_id(secret_id)[0])
        if not names.is_directory_path(path):
            with pytest.raises(InvalidName):
                self.space.make_directory(path)
            return
        self.space.make_directory(path)
        self.model.directories.add(path)

    @rule(data=st.data())
    def remove_directory(self, data: st.DataObject) -> None:
        """Removes an empty directory."""
        empty = [path for path in self.model.directories if path and not self.model.children(path)]
        if empty:
            path = data.draw(st.sampled_from(sorted(empty)))
            self.space.remove_directory(path)
            self.model.directories.remove(path)

    @invariant()
    def every_directory_lists_the_same(self) -> None:
        """The listings are the model's."""
        for directory in self.model.directories:
            assert dict(self.space.children(directory)) == self.model.children(directory)
            assert self.space.kind(directory) == "directory"

    @invariant()
    def every_file_has_the_same_id(self) -> None:
        """Paths and ids lead to each other."""
        for path, secret_id in self.model.files().items():
            assert self.space.kind(path) == "file"
            assert self.space.secret_id(path) == secret_id
            assert self.space.path(secret_id) == path
            assert self.space.id_for_new_file(path) == secret_id

    @invariant()
    def what_is_below_a_directory_is_the_same(self) -> None:
        """So do the ids below each directory."""
        for directory in self.model.directories:
            depth = len(directory)
            below = [each for path, each in self.model.files().items() if path[:depth] == directory]
            assert sorted(self.space.ids_under(directory)) == sorted(below)

    @invariant()
    def nothing_else_is_there(self) -> None:
        """Names that the model does not have are not there."""
        there = self.model.directories | set(self.model.files())
        for path in {(*directory, name) for directory in there for name in ("a", "%", "%-", "zz")}:
            if path not in there:
                assert self.space.kind(path) is None
                with pytest.raises(NoSuchName):
                    self.space.secret_id(path)


NamespaceMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=25, deadline=None
)
TestNamespace = NamespaceMachine.TestCase


def test_a_secret_moves_into_its_directory_and_out_again() -> None:
    """The secret `a` is the file `a/%` while the directory `a` is there (rule 5)."""
    space = Namespace()
    space.add("a")
    assert space.path("a") == ("a",)
    space.add("a/b")
    assert space.path("a") == ("a", "%")
    assert set(space.children(("a",))) == {"%", "b"}
    space.discard("a/b")
    assert space.path("a") == ("a", "%")
    space.discard("a")
    assert space.children(("a",)) == {}
    space.remove_directory(("a",))
    space.add("a")
    assert space.path("a") == ("a",)


def test_nothing_is_looked_up_below_a_file() -> None:
    """A file has nothing below it, not even its own secret."""
    space = Namespace()
    space.add("a")
    assert space.kind(("a", "%")) is None
    with pytest.raises(NoSuchName):
        space.children(("a",))
    with pytest.raises(NoSuchName):
        space.secret_id(())
