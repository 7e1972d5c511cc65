"""What file operations mean in the folders of the writable store: what they mean in an ordinary file system.

Runs on the loop; the disk is changed in threads, one arrangement at a time (see `core.folders`). Raises damfs errors.
Crash rule: that of `core.folders`.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress

from damfs.catalog import folders as rows
from damfs.catalog import stores, versions
from damfs.core import folders
from damfs.core.arranging import ContentChanged, SetDestination, SetFolder
from damfs.core.commands import Abandon, Command, Receive, ReceiveInto, Rename, Triage
from damfs.core.keys import is_taken, version_keys, versioned_name
from damfs.core.library import Library
from damfs.core.trashing import trash_assets
from damfs.errors import Conflict, NotFound, ReadOnly, Refused
from damfs.model import Asset, AssetId, AssetState, Copy, CopyState, FolderId
from damfs.presentation.views.originals import Originals, folder_of
from damfs.presentation.views.tree import Tree
from damfs.presentation.views.view import Entry, Place, Thing, ThingKind
from damfs.storage.droppings import is_dropping
from damfs.storage.folder_steps import OWN_PREFIX

ACTOR = "fuse"


class FolderEdits:
    """``settled`` waits until what was closed of an asset is sealed; whether there was anything to wait for."""

    def __init__(self, library: Library, tree: Tree, settled: Callable[[AssetId], Awaitable[bool]]) -> None:
        self._library = library
        self._tree = tree
        self._settled = settled
        self._connection = library.db.writer

    def concern(self, place: Place) -> bool:
        """Whether it is a folder of the writable store."""
        view = self._tree.views.get(place.view)
        return isinstance(view, Originals) and view.writable(self._connection, place)

    async def receive(self, place: Place, name: str, mode: int) -> AssetId:
        """A new file: an asset from now on, which will lie here under this name."""
        raw = self._fit(name)
        if await self._tree.lookup(place, name) is not None:
            raise Conflict(f"{name} is there already")
        folder = folder_of(place)
        receive = Receive(name, mode, triaged=True)
        return self._library.perform(
            ReceiveInto(receive, lambda asset: [SetDestination(asset, folder, raw), ContentChanged(folder)]), ACTOR
        )

    async def link(self, asset: Asset, place: Place, name: str) -> None:
        """A second name on the disk for the same bytes, under which the same asset is shown."""
        raw, folder = self._fit(name), folder_of(place)
        if await self._tree.lookup(place, name) is not None:
            raise Conflict(f"{name} is there already")
        if asset.state is AssetState.RECEIVING:
            await self._settled(asset.id)
            asset = self._library.known(asset.id)
        also: list[Command[object]] = [Triage(asset.id), ContentChanged(folder)]
        await folders.link_file(self._library, self._own_copy(asset).id, folder, raw, also)

    async def remove_name(self, asset: Asset, place: Place, name: str) -> bool:
        """Take one of several names of a file away. False when it is the last one: the file goes into the trash."""
        folder = folder_of(place)
        copy = stores.copy_at(self._connection, folder, os.fsencode(name))
        if asset.state is AssetState.RECEIVING or copy is None or not folders.other_names(self._library, copy):
            return False
        await folders.remove_name(self._library, copy.id, [ContentChanged(folder)])
        return True

    def takes(self, entry: Entry) -> bool:
        """Whether what is moved here is a file of the library; what comes out of the trash is restored instead."""
        if not isinstance(entry.node, Thing) or entry.node.kind is not ThingKind.ASSET:
            return False
        return self._library.known(AssetId(entry.node.id)).state is not AssetState.TRASHED

    async def move(self, asset: Asset, place: Place, name: str, to: Place, new_name: str, *, replace: bool) -> Asset:
        """A file renamed here, or brought here from another view: its file on the disk comes along."""
        raw, folder = self._fit(new_name), folder_of(to)
        asset = await self._at_rest(asset, place, name)
        there = await self._tree.lookup(to, new_name)
        also = self.left_behind(asset, place, to)
        if there is not None and there.node == Thing(ThingKind.ASSET, asset.id):
            self._library.execute(also, ACTOR)
            return self._library.known(asset.id)
        copy = None if asset.state is AssetState.RECEIVING else self._own_copy(asset, place, name)
        if there is not None:  # which takes a while: it may have arrived, or got its next version, afterwards
            await self._replace(there, to, replace=replace)
            return await self.move(asset, place, name, to, new_name, replace=replace)
        if new_name not in {name, asset.name}:
            also.append(Rename(asset.id, new_name, with_file=True))
        if copy is None:
            self._library.execute([*also, SetDestination(asset.id, folder, raw)], ACTOR)
        else:
            await folders.move_file(self._library, copy.id, folder, raw, also)
        return self._library.known(asset.id)

    def left_behind(self, asset: Asset, place: Place, to: Place) -> list[Command[object]]:
        """What moving a file into a folder means for the place it comes from."""
        also: list[Command[object]] = [ContentChanged(folder_of(to))]
        if self.concern(place):
            also.append(ContentChanged(folder_of(place)))
        elif isinstance(self._tree.view(place), Originals):
            raise ReadOnly("the file belongs to a read-only store and stays there; copy it")
        else:
            also += self._tree.view(place).leave_by_move(self._connection, place, asset.id)
        return also if asset.triaged else [*also, Triage(asset.id)]

    async def _replace(self, there: Entry, place: Place, *, replace: bool) -> None:
        """The file whose name another is given: it goes into the trash, bytes and all."""
        node = there.node
        if not replace or isinstance(node, Place) or node.kind is not ThingKind.ASSET:
            raise Conflict(f"{there.name} is there already")
        asset = AssetId(node.id)
        if self._library.known(asset).state is AssetState.RECEIVING:
            await self._settled(asset)
        known = self._library.known(asset)
        if known.state is AssetState.RECEIVING:
            self._library.perform(Abandon(asset), ACTOR)
        elif not await self.remove_name(known, place, there.name):
            await trash_assets(self._library, [asset], ACTOR, self._tree.spelled(place, there.name))

    def has_names(self, place: Place, entry: Entry, to: Place, there: Entry) -> bool:
        """Whether one of two files has another name that a rename of the one over the other must leave as it is."""
        return self.concern(to) and (self._has_other_names(place, entry) or self._has_other_names(to, there))

    def _has_other_names(self, place: Place, entry: Entry) -> bool:
        if not self.concern(place):
            return False
        copy = stores.copy_at(self._connection, folder_of(place), os.fsencode(entry.name))
        return copy is not None and bool(folders.other_names(self._library, copy))

    async def call_versions_after(self, asset: Asset, place: Place, backup: str, name: str) -> None:
        """The file is called ``name`` again, and so are its earlier versions beside it: scans know them by that."""
        folder = folder_of(place)
        numbers = {each.blob: each.number for each in versions.of_asset(self._connection, asset.id)}
        for copy in stores.copies_of_asset(self._connection, asset.id):
            earlier = copy.blob != asset.blob and versioned_name(copy.name) == os.fsencode(backup)
            if earlier and copy.folder == folder and copy.blob in numbers:
                await self._call_version(copy, os.fsencode(name), numbers[copy.blob])

    async def _call_version(self, copy: Copy, name: bytes, number: int) -> None:
        for key in version_keys(stores.key_of(self._connection, copy.folder, name), number):
            if not is_taken(self._connection, copy.store, key, copy.asset):
                with suppress(Conflict):
                    await folders.move_file(self._library, copy.id, copy.folder, key.rpartition(b"/")[2])
                    return

    async def make_directory(self, place: Place, name: str, mode: int) -> None:
        raw = self._fit(name)
        if await self._tree.lookup(place, name) is not None:
            raise Conflict(f"{name} is there already")
        await folders.make_folder(self._library, folder_of(place), raw, mode)

    async def remove_directory(self, place: Place, name: str) -> None:
        await folders.remove_folder(self._library, self._folder(place, name))

    async def move_directory(self, place: Place, name: str, to: Place, new_name: str) -> None:
        raw = self._fit(new_name)
        there = await self._tree.lookup(to, new_name)
        if there is not None and isinstance(there.node, Thing):
            raise Conflict(f"{new_name} is there already")
        await folders.move_folder(self._library, rows.Move(self._folder(place, name), folder_of(to), raw))

    def set_directory(self, place: Place, mode: int | None, mtime_ns: int | None) -> None:
        self._library.execute([SetFolder(folder_of(place), mode, mtime_ns)], ACTOR)

    def _fit(self, name: str) -> bytes:
        """The bytes of a name. Raises Refused for names that damfs keeps for itself, or that are never kept."""
        raw = os.fsencode(name)
        if raw.startswith(OWN_PREFIX) or is_dropping(name):
            raise Refused(f"{name}: files of this name are not kept")
        return raw

    def _folder(self, place: Place, name: str) -> FolderId:
        found = stores.folder_named(self._connection, folder_of(place), os.fsencode(name))
        if found is None or not found.live:
            raise NotFound(f"no folder {name} here")
        return found.id

    def _own_copy(self, asset: Asset, place: Place | None = None, name: str = "") -> Copy:
        """The file of the writable store that is meant: the one of this name in this folder, else any of the asset."""
        if place is not None and self.concern(place):
            copy = stores.copy_at(self._connection, folder_of(place), os.fsencode(name))
            if copy is not None:
                return copy
        store = self._library.library_store().id
        for copy in stores.copies_of_asset(self._connection, asset.id):
            if copy.store == store and copy.blob == asset.blob and copy.state is not CopyState.MISSING:
                return copy
        if asset.state is AssetState.RECEIVING:
            raise Refused(f"{asset.name} is still being received")
        raise ReadOnly(f"{asset.name} lies in a read-only store and stays there; copy it")

    async def _at_rest(self, asset: Asset, place: Place, name: str) -> Asset:
        """The asset as it is when nothing is left to wait for; another, where it became one meanwhile."""
        id_ = asset.id
        while await self._settled(id_) or self._library.asset(id_) is None:
            id_ = await self._meant(place, name)
        return self._library.known(id_)

    async def _meant(self, place: Place, name: str) -> AssetId:
        entry = await self._tree.lookup(place, name)
        if entry is None or not isinstance(entry.node, Thing):
            raise NotFound(f"no {name} here")
        return AssetId(entry.node.id)
