"""One store as a tree of files: which node stands for which secret, name and directory."""

from __future__ import annotations

import contextlib

from smfs.client.view import Look, Version
from smfs.errors import InvalidName, NotAccepted, SecretNotFound, SpaceNotFound
from smfs.tree import names
from smfs.tree.announcing import Announcing
from smfs.tree.context import Context
from smfs.tree.leftovers import make_room
from smfs.tree.namespace import Namespace, Path
from smfs.tree.node import Node
from smfs.tree.one_time import OneTimeFile, OneTimeFiles
from smfs.tree.secret_directory import SecretDirectory
from smfs.tree.secret_file import SecretFile
from smfs.tree.staleness import Staleness
from smfs.tree.stores import FromStore, OwnStore, SharedStore

AnyStore = OwnStore | SharedStore | FromStore


class Area:
    """A store's secrets and the scratch files between them, as nodes.

    Attributes:
        context: of the mount.
        store: where the secrets are.
        namespace: the ids that have a name here now: those listed, without the hidden ones, and
            the new files that are not uploaded yet.
        scratch: the files that never travel, by path.
        hidden: the scratch file that hides a secret, by that secret's id. A secret that is set or
            deleted elsewhere meanwhile is hidden no more.
        staleness: which names change too fast for the kernel.
        announcing: makes the happenings.
        top: the directory that shows the area.
        was_used: whether there was ever something in it.
    """

    def __init__(self, context: Context, store: AnyStore, place: Path) -> None:
        self.context = context
        self.store = store
        self.namespace = Namespace()
        self.scratch: dict[Path, SecretFile] = {}
        self.hidden: dict[str, SecretFile] = {}
        self.staleness = Staleness()
        self._place = place
        self._files: dict[str, SecretFile] = {}
        self._one_time = OneTimeFiles(context)
        self._directories: dict[Path, SecretDirectory] = {}
        self.announcing = Announcing(self, place)
        self._generation: int | None = None
        self.was_used = False
        self.top = self.directory(())

    # --- keeping up with the view -------------------------------------------------------------

    async def refresh(self, max_age: float | None = None) -> None:
        """Brings the names up to date, with a request when they are older than `max_age` s."""
        if not self.context.view.is_live:
            await self.context.view.refresh(max_age)
        self.update()

    async def look_again(self, path: Path, since: float) -> None:
        """Asks for a path that nothing is known of; a whole listing only where that is cheap."""
        if self.context.view.is_live:
            return
        if not await self.context.view.look_again(since) and self._could_be_file(path):
            with contextlib.suppress(NotAccepted, SpaceNotFound):
                await self.store.probe(self.namespace.id_for_new_file(path))
        self.update()

    def update(self) -> None:
        """Takes over what the view knows now; asks nobody."""
        view = self.context.view
        generation = view.generation
        if generation == self._generation:
            return
        is_first = self._generation is None
        changes = None if self._generation is None else view.changes_since(self._generation)
        self._generation = generation
        if changes is None:
            for secret_id in {*self.store.listed(), *self.namespace.ids()}:
                self._update(secret_id, here=is_first)
            return
        for changed in changes:
            if changed.key is not None and self.store.owns(changed.key):
                # What is read only never goes by a system call of its own.
                here = changed.here and self.store.writable
                self._update(changed.key.secret_id, here=here)

    def _update(self, secret_id: str, *, here: bool) -> None:
        version = self.store.listed().get(secret_id)
        hiding = self.hidden.get(secret_id)
        if hiding is not None and (version is None or version.token != hiding.token):
            self.unhide(secret_id)
        file = self._files.get(secret_id)
        if (version is not None and secret_id not in self.hidden) or (file and file.unsent):
            self._show(secret_id, here=here)
        elif secret_id in self.namespace.ids():
            self._forget(secret_id, here=here)

    def _show(self, secret_id: str, *, here: bool) -> None:
        self.was_used = True
        if secret_id not in self.namespace.ids():
            room = () if here else make_room(self, secret_id)
            told = () if here else (*room, *self.announcing.appears(secret_id))
            self.namespace.add(secret_id)
            self.context.tell(told)
        elif not here:
            self.reconsider(secret_id)

    def _forget(self, secret_id: str, *, here: bool) -> None:
        node = self._files.pop(secret_id, None) or self._one_time.get(secret_id)
        told = () if here else self.announcing.goes(secret_id, node)
        self.namespace.discard(secret_id)
        self._one_time.drop(secret_id)
        if node is not None:
            self._let_go(node)
        self.context.tell(told)

    def reconsider(self, secret_id: str) -> None:
        """A secret may have another version than the one that its node shows."""
        file = self._files.get(secret_id)
        if file is not None and file.unsent:
            return  # what is written here goes first, and is looked at again then
        version, node = self.store.listed().get(secret_id), self._node_of(secret_id)
        if version is not None and node is not None and self._is_of_other_kind(node, version):
            self._files.pop(secret_id, None)
            self._one_time.drop(secret_id)
            self._let_go(node)
            self.context.tell(self.announcing.is_replaced(secret_id, node))
        elif file is None or version is None or not file.handles:
            self.context.tell(self.announcing.changes(secret_id, node))
        elif file.token != version.token:
            self.supersede(file)

    def _is_of_other_kind(self, node: Node, version: Version) -> bool:
        """Whether a node cannot show a version: what is handed out once has one node each time."""
        if isinstance(node, OneTimeFile):
            return node.is_other(version)
        return version.one_time and isinstance(self.store, FromStore)

    def _node_of(self, secret_id: str) -> Node | None:
        return self._files.get(secret_id) or self._one_time.get(secret_id)

    async def look(self, secret_id: str) -> Look:
        """The current version; a secret that is gone loses its name."""
        try:
            return await self.store.look(secret_id)
        finally:
            self.update()

    async def fetch(self, secret_id: str, look: Look | None = None) -> bytes:
        """The content of a version, of the current one if none is given."""
        found = look or await self.look(secret_id)
        if found.content is not None:
            return found.content
        return await self.store.load(secret_id, found.version)

    # --- nodes --------------------------------------------------------------------------------

    def local(self, path: Path) -> SecretFile | None:
        """The file of a path that is only here yet, so that nobody needs to be asked for it."""
        if path in self.scratch:
            return self.scratch[path]
        if self.namespace.kind(path) == "file":
            file = self._files.get(self.namespace.secret_id(path))
            return file if file is not None and file.unsent else None
        return None

    def node(self, path: Path) -> Node | None:
        """The node of a path as it is known now."""
        if path in self.scratch:
            return self.scratch[path]
        kind = self.namespace.kind(path)
        if kind is None:
            return None
        is_directory = kind == "directory"
        return self.directory(path) if is_directory else self.file(self.namespace.secret_id(path))

    def directory(self, path: Path) -> SecretDirectory:
        """The node of a directory that is there."""
        found = self._directories.get(path)
        if found is None:
            found = self._directories[path] = SecretDirectory(self, path)
        return found

    def file(self, secret_id: str) -> Node:
        """The node of a secret that is there.

        It is a new one when the open one shows an older version: the kernel's pages belong to a
        node, so anything less would mix versions.
        """
        version = self.store.listed().get(secret_id)
        if version is not None and version.one_time and isinstance(self.store, FromStore):
            return self._one_time.file(secret_id, version, self.store)
        known = self._files.get(secret_id)
        if known is None:
            known = self._files[secret_id] = SecretFile(self, secret_id, stored=version is not None)
        elif known.handles and version is not None and known.token not in (None, version.token):
            return self.supersede(known)
        return known

    def children(self, path: Path) -> dict[str, Node]:
        """All names and nodes of a directory that is there."""
        found: dict[str, Node] = {
            name: self.directory((*path, name)) if secret_id is None else self.file(secret_id)
            for name, secret_id in list(self.namespace.listing(path))
        }
        return found | {key[-1]: file for key, file in self.scratch.items() if key[:-1] == path}

    def could_name(self, path: Path) -> bool:
        """Whether some secret id is shown under this path or below it."""
        return self._could_be_file(path) or names.is_directory_path(path)

    def _could_be_file(self, path: Path) -> bool:
        try:
            return not self.store.is_reserved(self.namespace.id_for_new_file(path))
        except InvalidName:
            return False

    def holds(self, node: Node) -> bool:
        """Whether the node still stands for a name."""
        if not isinstance(node, SecretFile):
            return True
        if node.secret_id is None:
            return not node.unlinked
        return self._files.get(node.secret_id) is node

    def path_of(self, file: SecretFile) -> str:
        """Where a file is, from the mount point."""
        if file.secret_id is not None:
            return "/".join((*self._place, *self.namespace.path(file.secret_id)))
        path = next((path for path, found in self.scratch.items() if found is file), ())
        return "/".join((*self._place, *path))

    def unsent(self) -> list[SecretFile]:
        """The files that still have something to upload."""
        return [file for file in self._files.values() if file.unsent]

    # --- what the nodes and directories report ------------------------------------------------

    def supersede(self, file: SecretFile) -> SecretFile:
        """Gives the name of an open file a new node; the old one keeps its snapshot."""
        assert file.secret_id is not None  # noqa: S101  # only secrets have versions
        fresh = self._files[file.secret_id] = SecretFile(self, file.secret_id, stored=True)
        self.context.tell(self.announcing.is_replaced(file.secret_id, file))
        return fresh

    def add_new(self, secret_id: str, *, stored: bool) -> SecretFile:
        """A new and empty file that is not uploaded yet.

        Args:
            secret_id: its id.
            stored: whether the service has a secret of this id, which the file will replace.
        """
        self.unhide(secret_id)
        file = self._files[secret_id] = SecretFile(self, secret_id, stored=stored)
        file.begin()
        self.namespace.add(secret_id)
        self.was_used = True
        return file

    def add_scratch(self, path: Path) -> SecretFile:
        """A new scratch file."""
        file = self.scratch[path] = SecretFile(self, None, stored=False)
        file.begin()
        return file

    def hide(self, file: SecretFile) -> None:
        """A secret is now shown by a scratch file, whose unlinking deletes it."""
        if file.secret_id is None:
            return
        version = file.version
        file.token = version.token if version else file.token
        file.hides = file.secret_id
        self.hidden[file.secret_id] = file

    def unhide(self, secret_id: str) -> None:
        """A secret is shown under its own id again, or there is another one; the scratch file
        that hid it is only that from now on.
        """
        file = self.hidden.pop(secret_id, None)
        if file is not None:
            file.hides = None

    def adopt(self, file: SecretFile, secret_id: str) -> None:
        """Gives a node the name of a secret id; whoever had it before loses it."""
        replaced = self._files.get(secret_id)
        if replaced is not None and replaced is not file:
            self._unlinked(replaced)
        self.unhide(secret_id)
        self._files[secret_id] = file
        file.secret_id = secret_id
        self.namespace.add(secret_id)

    def give_back(self, file: SecretFile, secret_id: str) -> None:
        """Gives a node its former name again; what it was called meanwhile gets another node."""
        self.supersede(file)
        self._files.pop(secret_id, None)
        self.adopt(file, secret_id)

    def saved(self, file: SecretFile, version: Version) -> None:
        """The service has the file now, though perhaps something newer, too."""
        if file.secret_id is None:
            return
        self._files.setdefault(file.secret_id, file)
        self.namespace.add(file.secret_id)
        newest = self.store.listed().get(file.secret_id)
        if newest is not None and newest.token != version.token:
            self.reconsider(file.secret_id)

    def rejected(self, file: SecretFile) -> None:
        """What was written is given up: the kernel must not go on showing it."""
        if file.secret_id is None or self._files.get(file.secret_id) is not file:
            return
        if file.secret_id in self.store.listed():
            self.context.tell(self.announcing.changes(file.secret_id, file))
        else:  # it was deleted elsewhere meanwhile
            self._forget(file.secret_id, here=False)

    def withdraw(self, file: SecretFile) -> None:
        """A new file never came to the service: its name goes, without a system call."""
        told = self.announcing.goes(file.secret_id, file) if file.secret_id is not None else ()
        self.vanish(file)
        self.context.tell(told)

    def vanish(self, file: SecretFile) -> None:
        """A file's name goes: it was unlinked, or never came to the service."""
        if file.secret_id is None:
            for path in [path for path, found in self.scratch.items() if found is file]:
                del self.scratch[path]
        elif self._files.get(file.secret_id) is file:
            del self._files[file.secret_id]
            self.namespace.discard(file.secret_id)
        self._unlinked(file)

    async def remove(self, file: SecretFile) -> None:
        """Unlinks a file; who calls holds its lock."""
        if file.hides is not None:
            await self._recheck_hidden(file, file.hides)
        doomed = file.hides if file.secret_id is None else file.secret_id
        path = self.path_of(file)
        if doomed is not None and (file.stored or file.secret_id is None):
            try:
                await self.store.remove(doomed)
            except SecretNotFound:
                if not file.unsent and file.secret_id is not None:
                    # It failed, so the kernel goes on knowing the name.
                    self.context.tell(self.announcing.goes(doomed, file))
                    self.vanish(file)
                    raise
        if file.hides is not None:
            self.hidden.pop(file.hides, None)
        self.vanish(file)
        self.context.failures.made_good(path)

    async def _recheck_hidden(self, file: SecretFile, secret_id: str) -> None:
        """Somebody else may have set the secret anew since: that one is not ours to delete."""
        version = await self.store.check(secret_id)
        if version is None or version.token != file.token:
            self.unhide(secret_id)
        self.update()

    def move_directory(self, old: Path, new: Path) -> None:
        """Gives the nodes of a directory and of all below it their new paths."""
        for path in [path for path in self._directories if path[: len(old)] == old]:
            node = self._directories.pop(path)
            node.path = (*new, *path[len(old) :])
            self._directories[node.path] = node
        for path in [path for path in self.scratch if path[: len(old)] == old]:
            self.scratch[(*new, *path[len(old) :])] = self.scratch.pop(path)

    def forget_directory(self, path: Path) -> None:
        """A directory is gone."""
        self.namespace.remove_directory(path)
        node = self._directories.pop(path, None)
        if node is not None:
            node.removed = True
            self._let_go(node)

    def forget_name(self, file: SecretFile) -> None:
        """A secret's file is now called otherwise; the secret itself is not touched."""
        if file.secret_id is not None and self._files.get(file.secret_id) is file:
            del self._files[file.secret_id]
            self.namespace.discard(file.secret_id)

    def known_directory(self, path: Path) -> SecretDirectory | None:
        """The node of a directory, if anybody has looked at it."""
        return self._directories.get(path)

    def _unlinked(self, file: SecretFile) -> None:
        file.unlinked = True
        self._let_go(file)

    def _let_go(self, node: Node) -> None:
        self.context.inodes.drop_if_unused(node)
