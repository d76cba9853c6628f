"""What every node of the tree has: a number, a mode, times, and the operations it refuses."""

from __future__ import annotations

import itertools
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from smfs.errors import AccessRefused, NoAttribute, NoSuchName, OperationRefused

ROOT_INODE: Final = 1
"""The inode number that FUSE gives to the root of a mount."""


@dataclass(frozen=True)
class Times:
    """When a node was read and changed, in nanoseconds since 1970 (utimensat(2))."""

    accessed: int
    modified: int
    changed: int

    @classmethod
    def at(cls, moment: float) -> Times:
        """All three at one moment, in seconds since 1970, to the microsecond."""
        nanoseconds = round(moment * 1_000_000) * 1000
        return cls(nanoseconds, nanoseconds, nanoseconds)


class Attributes(NamedTuple):
    """What `stat` shows of a node.

    Attributes:
        inode: its number, never reused while the mount lives.
        mode: type and permission bits (stat(2)).
        size: in bytes.
        links: 1 for a file, 2 for a directory, 0 for what is gone.
        times: when it was read and changed.
    """

    inode: int
    mode: int
    size: int
    links: int
    times: Times


@dataclass(frozen=True)
class Usage:
    """How much is in a mount, as far as is known without asking.

    Attributes:
        secrets: how many of my own, and of those that I shared.
        content_bytes: the sum of their sizes.
        content_limit: the most bytes that one can have.
    """

    secrets: int
    content_bytes: int
    content_limit: int


@dataclass(frozen=True)
class Intent:
    """What an open is for.

    Attributes:
        read, write: the access that is asked for.
        truncate: the content goes (O_TRUNC).
        exclusive: the file was not there before (O_EXCL).
        no_follow: a symbolic link is not followed (O_NOFOLLOW).
    """

    read: bool = True
    write: bool = False
    truncate: bool = False
    exclusive: bool = False
    no_follow: bool = False


class OpenFile(Protocol):
    """One open file description.

    Attributes:
        direct_io: the kernel shall keep no pages of it.
        keep_cache: the pages that the kernel has are still right.
    """

    direct_io: bool
    keep_cache: bool

    async def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`; fewer only at the end."""

    async def write(self, offset: int, data: bytes) -> int:
        """Puts `data` at `offset`; returns how many bytes were taken."""

    async def flush(self) -> None:
        """What a close of a descriptor asks for: what was written is on the service afterwards."""

    async def sync(self) -> None:
        """What fsync asks for: everything is on the service afterwards."""

    async def release(self) -> None:
        """The last descriptor is gone; never raises a `SmfsError`, since nobody would hear it."""


class Inodes:
    """The inode numbers of one mount and the nodes behind them.

    A node stays while the kernel remembers it or while its directory still holds it.
    """

    def __init__(self) -> None:
        self._numbers: Iterator[int] = itertools.count(ROOT_INODE)
        self._nodes: dict[int, Node] = {}

    def register(self, node: Node) -> int:
        """A new number for a new node."""
        number = next(self._numbers)
        self._nodes[number] = node
        return number

    def spare(self) -> int:
        """A number that no node has or will have."""
        return next(self._numbers)

    def is_remembered(self, inode: int | None) -> bool:
        """Whether the kernel was told of a number and has not forgotten it; it never forgets the
        root, nor what somebody has open or watches.
        """
        node = None if inode is None else self._nodes.get(inode)
        return node is not None and (node.lookups > 0 or inode == ROOT_INODE)

    def get(self, inode: int) -> Node:
        """The node of a number; NoSuchName when it is gone."""
        try:
            return self._nodes[inode]
        except KeyError:
            raise NoSuchName(f"inode {inode}") from None

    def is_there(self, node: Node) -> bool:
        """Whether a node still has its number."""
        return self._nodes.get(node.inode) is node

    def remember(self, node: Node) -> None:
        """Counts one lookup by the kernel."""
        node.lookups += 1

    def forget(self, inode: int, count: int) -> None:
        """Takes `count` lookups back; a node that no directory holds goes with the last one."""
        node = self._nodes.get(inode)
        if node is not None:
            node.lookups -= count
            self.drop_if_unused(node)

    def drop_if_unused(self, node: Node) -> None:
        """Lets a node go that neither the kernel, nor a directory, nor an open file holds."""
        if node.lookups <= 0 and not node.held:
            self._nodes.pop(node.inode, None)

    def all(self) -> list[Node]:
        """Every node there is."""
        return list(self._nodes.values())


class Node:
    """A file or directory.

    Attributes:
        inode: its number.
        lookups: how often the kernel was told of it and has not forgotten.
        mode: type and permission bits.
        times: as `stat` shows them.
    """

    def __init__(self, inodes: Inodes, mode: int, times: Times) -> None:
        self.inodes = inodes
        self.lookups = 0
        self.mode = mode
        self.times = times
        self.inode = inodes.register(self)

    @property
    def held(self) -> bool:
        """Whether a directory or an open file still needs it."""
        return True

    @property
    def may_be_kept(self) -> bool:
        """Whether the kernel may keep its name and attributes until it is told to drop them."""
        return False

    async def get_ready(self) -> None:
        """Finds out what `attributes` needs to know and does not yet; never fails."""

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    def size(self) -> int:
        """Its size in bytes, as `stat` shows it."""
        return 0

    def links(self) -> int:
        """How many names it has: 0 once it is gone and only open still (stat(2), st_nlink)."""
        return 2 if self.is_directory else 1

    def current_times(self) -> Times:
        """Its times, as `stat` shows them."""
        return self.times

    def attributes(self) -> Attributes:
        """What `stat` shows, without asking anybody."""
        return Attributes(self.inode, self.mode, self.size(), self.links(), self.current_times())

    async def set_times(self, times: Times) -> None:
        """What utimens asks for; they last until the unmount."""
        self.times = times

    async def extended_attribute(self, name: str) -> bytes:
        """The value of `user.smfs.<...>`; NoAttribute when there is none of this name."""
        raise NoAttribute(name)

    def may(self, *, read: bool = False, write: bool = False, execute: bool = False) -> bool:
        """Whether the owner's permission bits allow it (access(2))."""
        wanted = read * stat.S_IRUSR | write * stat.S_IWUSR | execute * stat.S_IXUSR
        return self.mode & wanted == wanted


class File(Node):
    """A node with content."""

    async def open(self, intent: Intent) -> OpenFile:
        """Opens it; raises what the reading or a later upload would fail with (the design, 2.3)."""
        raise OperationRefused("this file cannot be opened")

    async def truncate(self, size: int, opened: OpenFile | None) -> None:
        """Sets the size in bytes, through an open file or, without one, at once."""
        raise AccessRefused("this file cannot be changed")


class Directory(Node):
    """A node with names in it; what a directory does not offer, it refuses for everybody."""

    async def child(self, name: str) -> Node:
        """The node of a name; NoSuchName when there is none."""
        raise NoSuchName(name)

    def known(self, name: str) -> Node | None:
        """The node of a name as it is known now; asks nobody."""
        return None

    async def entries(self) -> list[tuple[str, Node]]:
        """All names and nodes, in no order."""
        return []

    async def create(self, name: str, intent: Intent) -> tuple[Node, OpenFile]:
        """A new file, opened."""
        raise self._refusal()

    async def make_directory(self, name: str) -> Node:
        """A new directory."""
        raise self._refusal()

    async def unlink(self, name: str) -> None:
        """Removes a file."""
        raise self._refusal()

    async def remove_directory(self, name: str) -> None:
        """Removes an empty directory."""
        raise self._refusal()

    async def rename(self, old: str, target: Directory, new: str, *, no_replace: bool) -> None:
        """Moves a name of this directory to `target`, which may be this directory."""
        raise self._refusal()

    async def exchange(self, old: str, target: Directory, new: str) -> None:
        """Gives a name of this directory and one of `target` what the other one stands for."""
        raise self._refusal()

    def _refusal(self) -> AccessRefused | OperationRefused:
        if self.may(write=True):
            return OperationRefused("names here are not made or removed by hand")
        return AccessRefused("this directory is read only")
