"""A tree over a real service in this process, used as the kernel and programs would."""

from __future__ import annotations

import contextlib
import functools
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import trio
import trio.testing

from smfs.client.client import create_client
from smfs.client.embedded import embedded_transport
from smfs.client.view import View
from smfs.errors import NoSuchName, StaleNode
from smfs.service import Service, create_service
from smfs.tree.node import Attributes, Intent, Node, OpenFile
from smfs.tree.tree import Tree


class Wire(httpx.AsyncBaseTransport):
    """The way to the service: it counts requests, can be cut, and can be slow with listings."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.requests: Counter[str] = Counter()
        self.is_cut = False
        self.cut_routes: set[str] = set()
        self.listings_take = 0.0
        self._answered: dict[str, trio.Event] = {}
        self._asked: dict[str, trio.Event] = {}

    async def asked(self, route: str) -> None:
        """Waits for the next request to a route."""
        event = self._asked.setdefault(route, trio.Event())
        with trio.fail_after(60):
            await event.wait()

    async def answered(self, route: str) -> None:
        """Waits for the next answer to a request, and until whoever asked is done with it."""
        event = self._answered.setdefault(route, trio.Event())
        with trio.fail_after(60):
            await event.wait()
            await trio.testing.wait_all_tasks_blocked()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        route = request.url.path.removeprefix("/")
        self.requests[route] += 1
        self._asked.pop(route, trio.Event()).set()
        if self.is_cut or route in self.cut_routes:
            raise httpx.ConnectError("the wire is cut", request=request)
        if route == "getSecretSpace":
            await trio.sleep(self.listings_take)
        response = await self._inner.handle_async_request(request)
        self._answered.pop(route, trio.Event()).set()
        return response


class Kernel:
    """Walks paths and opens files as the kernel does."""

    def __init__(self, tree: Tree, view: View, wire: Wire) -> None:
        self.tree = tree
        self.view = view
        self.wire = wire
        self.node_id = view.node_id

    async def walk(self, path: str) -> Node:
        """The node of a path from the top of the mount."""
        node = self.tree.inodes.get(1)
        for name in path.split("/"):
            node = await self.tree.lookup(node.inode, name.encode())
            node.attributes()
            self.tree.inodes.remember(node)
        return node

    async def stat(self, path: str) -> Attributes:
        """What `stat` shows."""
        return (await self.walk(path)).attributes()

    async def open(
        self, path: str, *, write: bool = False, truncate: bool = False
    ) -> tuple[int, OpenFile]:
        """Opens a file that is there, once more where the node turns out to be stale."""
        intent = Intent(read=True, write=write, truncate=truncate)
        for _ in range(2):
            node = await self.walk(path)
            try:
                return node.inode, await self.tree.open(node.inode, intent)
            except StaleNode:
                continue
        raise StaleNode(path)

    async def create(
        self,
        path: str,
        *,
        exclusive: bool = False,
        read: bool = False,
        no_follow: bool = False,
    ) -> tuple[Node, OpenFile]:
        """Makes a file and opens it."""
        folder, name = path.rsplit("/", 1)
        parent = await self.walk(folder)
        with contextlib.suppress(NoSuchName):
            await self.tree.lookup(parent.inode, name.encode())
        intent = Intent(read=read, write=True, exclusive=exclusive, no_follow=no_follow)
        return await self.tree.create(parent.inode, name.encode(), intent)

    async def write(self, path: str, content: bytes) -> None:
        """`printf ... > path`."""
        try:
            _, opened = await self.open(path, write=True, truncate=True)
        except NoSuchName:
            _, opened = await self.create(path)
        await opened.flush()  # bash's dup2 closes the descriptor once before it writes
        try:
            await opened.write(0, content)
            await opened.flush()
        finally:
            await opened.release()

    async def append(self, path: str, content: bytes) -> None:
        """`printf ... >> path`."""
        inode, opened = await self.open(path, write=True)
        await opened.write((await self.tree.get_attributes(inode)).size, content)
        await opened.flush()
        await opened.release()

    async def read(self, path: str) -> bytes:
        """`cat path`."""
        _, opened = await self.open(path)
        content = await opened.read(0, 1 << 20)
        await opened.flush()
        await opened.release()
        return content

    async def ls(self, path: str) -> list[str]:
        """`ls -A path`."""
        inode = (await self.walk(path)).inode if path else 1
        return sorted(name.decode() for name, _ in await self.tree.entries(inode))

    async def rm(self, path: str) -> None:
        """Removes a file."""
        folder, name = path.rsplit("/", 1)
        await self.walk(path)
        await self.tree.unlink((await self.walk(folder)).inode, name.encode())

    async def mkdir(self, path: str) -> None:
        """Makes a directory."""
        folder, name = path.rsplit("/", 1)
        await self.tree.make_directory((await self.walk(folder)).inode, name.encode())

    async def rmdir(self, path: str) -> None:
        """Removes an empty directory."""
        folder, name = path.rsplit("/", 1)
        await self.walk(path)
        await self.tree.remove_directory((await self.walk(folder)).inode, name.encode())

    async def mv(self, old: str, new: str, *, no_replace: bool = False) -> None:
        """Renames."""
        old_folder, old_name = old.rsplit("/", 1)
        new_folder, new_name = new.rsplit("/", 1)
        await self.walk(old)
        await self.tree.rename(
            (await self.walk(old_folder)).inode,
            old_name.encode(),
            (await self.walk(new_folder)).inode,
            new_name.encode(),
            no_replace=no_replace,
        )

    def status(self) -> dict[str, object]:
        """What `.status` would show."""
        return self.tree.status()


class World:
    """One service and the mounts of its nodes, each held open by a task of its own."""

    def __init__(self, service: Service, nursery: trio.Nursery) -> None:
        self.service = service
        self._nursery = nursery

    async def mount(
        self, key: str | None = None, *, ttl: float = 5.0, follows: bool = False
    ) -> Kernel:
        """A tree of a new node, or of the one with this secret key."""
        hold = functools.partial(self._hold, key, ttl, follows=follows)
        kernel: Kernel = await self._nursery.start(hold)
        return kernel

    async def _hold(
        self, key: str | None, ttl: float, *, follows: bool, task_status: trio.TaskStatus[Kernel]
    ) -> None:
        wire = Wire(embedded_transport(self.service))
        client = create_client("http://embedded", key, transport=wire, deadline=5.0)
        async with client, Tree(View(client, ttl=ttl), follows=follows) as tree:
            task_status.started(Kernel(tree, tree.view, wire))
            await trio.sleep_forever()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A service that knows nobody yet."""
    async with create_service(tmp_path / "service.db") as service, trio.open_nursery() as nursery:
        yield World(service, nursery)
        nursery.cancel_scope.cancel()


@pytest.fixture
async def own(world: World) -> Kernel:
    """The mount of one node."""
    return await world.mount()
