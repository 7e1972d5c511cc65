"""What file operations mean in terms of places: entering, leaving, renaming. The table of the design's section 7.

Runs on the loop: point reads and one small transaction each; raises damfs errors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import trio

from damfs.catalog import derived
from damfs.core.commands import Abandon, Command, Receive, ReceiveInto, Rename, Trash
from damfs.core.library import Library
from damfs.core.on_demand import discard
from damfs.core.superseding import check_not_written
from damfs.core.trash_commands import DropNote, MakeNote, RenameNote, Restore
from damfs.core.trashing import settle
from damfs.errors import Conflict, NotFound, ReadOnly, Refused, Unavailable
from damfs.model import Asset, AssetId, AssetState
from damfs.presentation.views.folder_edits import FolderEdits
from damfs.presentation.views.names import qualified
from damfs.presentation.views.renamed_away import RenamedAway
from damfs.presentation.views.tree import Tree
from damfs.presentation.views.view import ROOT_PLACE, Arrival, Commands, Entry, Place, Thing, ThingKind
from damfs.storage.droppings import is_dropping

ACTOR = "fuse"
Supersede = Callable[[AssetId, AssetId, Commands], Awaitable[None]]


class Edits:
    """``settled`` waits until what was closed of an asset is sealed; whether there was anything to wait for.
    ``supersede`` makes what a second asset is, or is going to be, the next version of the first, after some commands.
    """

    def __init__(
        self, library: Library, tree: Tree, settled: Callable[[AssetId], Awaitable[bool]], supersede: Supersede
    ) -> None:
        self._settled = settled
        self._supersede = supersede
        self._library = library
        self._tree = tree
        self._connection = library.db.writer
        self._folders = FolderEdits(library, tree, settled)
        self._away = RenamedAway(library)

    async def receive(self, place: Place, name: str, mode: int) -> AssetId:
        """A new file in a place: an asset from now on."""
        self._refuse_root(place)
        asset = await self._receive(place, name, mode)
        self._away.arrived(asset, place, name)
        return asset

    def arrived(self, asset: AssetId, place: Place, name: str) -> None:
        """A new file was made in a place that only receives."""
        self._away.arrived(asset, place, name)

    async def _receive(self, place: Place, name: str, mode: int) -> AssetId:
        if self._folders.concern(place):
            return await self._folders.receive(place, name, mode)
        view = self._tree.view(place)
        triaged = view.receive(place)
        if is_dropping(name):
            raise Refused(f"{name}: files that only desktops leave behind are not kept")
        if await self._tree.lookup(place, name) is not None:
            raise Conflict(f"{name} is there already")
        enter = None if not triaged else lambda asset: view.enter(self._connection, place, asset)
        return self._library.perform(ReceiveInto(Receive(name, mode, triaged), enter), ACTOR)

    async def link(self, asset_id: AssetId, place: Place, name: str) -> None:
        """`ln by-tag/beach/x by-tag/sea/`: the asset enters the place, under its own name."""
        self._refuse_root(place)
        asset = self._library.known(asset_id)
        if asset.state is AssetState.TRASHED:
            raise Refused(f"{asset.name} is in the trash; move it out to restore it")
        if self._folders.concern(place):
            await self._folders.link(asset, place, name)
            return
        commands = self._tree.view(place).enter(self._connection, place, asset_id)
        if name not in {asset.name, qualified(asset.name, asset_id)}:
            raise Refused(f"an asset has one name: link it as {asset.name}")
        if await self._tree.lookup(place, name) is not None:
            raise Conflict(f"{name} is there already")
        self._library.execute(commands, ACTOR)

    async def remove(self, place: Place, name: str) -> None:
        """The name goes away here; no view deletes bytes."""
        self._refuse_root(place)
        entry = await self._file(place, name)
        view = self._tree.view(place)
        if isinstance(entry.node, Thing) and entry.node.kind is ThingKind.NOTE:
            self._library.perform(DropNote(entry.node.id), ACTOR)
            return
        if await self._discarded(place, entry):
            return
        asset = self._asset_of(entry)
        if await self._settled(asset.id):  # what was written last is sealed first: it is trashed as well
            await self.remove(place, name)
            return
        if await self._take_back(place, entry, asset):
            return
        if self._folders.concern(place) and await self._folders.remove_name(asset, place, name):
            return
        commands = view.leave(self._connection, place, asset.id)
        if asset.state is AssetState.RECEIVING:
            commands = [Abandon(asset.id)]
        await self._execute(commands, self._tree.spelled(place, name))
        if asset.state is AssetState.RECEIVING:  # who has it open keeps its bytes; nobody else would free them
            await trio.to_thread.run_sync(self._library.staging.discard, asset.id)

    async def _discarded(self, place: Place, entry: Entry) -> bool:
        """Whether it was a thing that damfs makes whenever somebody asks for it."""
        is_made = isinstance(entry.node, Thing) and entry.node.kind is ThingKind.RENDITION
        id_ = self._tree.view(place).discards(entry) if is_made else None
        rendition = None if id_ is None else derived.rendition(self._connection, id_)
        if rendition is None:
            return False
        await discard(self._library, rendition, ACTOR)
        return True

    async def move(self, place: Place, name: str, to: Place, new_name: str, *, replace: bool) -> Asset | None:
        """Rename in a place, or from one to another; the asset that moved, None for a directory."""
        self._refuse_root(place)
        self._refuse_root(to)
        moved = await self._move(place, name, to, new_name, replace=replace)
        if moved is not None:
            self._away.moved(moved, place, name, to, new_name)
        return moved

    async def _move(self, place: Place, name: str, to: Place, new_name: str, *, replace: bool) -> Asset | None:
        entry = await self._known_entry(place, name)
        if isinstance(entry.node, Place):
            await self._move_directory(place, name, to, new_name)
            return None
        there = await self._tree.lookup(to, new_name)
        saves = there is not None and there.node != entry.node and replace and is_asset(there) and is_asset(entry)
        if saves and there is not None and not self._folders.has_names(place, entry, to, there):
            for each in (there, entry):
                if await self._settled(self._asset_of(each).id):  # it may be another by now
                    return await self._move(place, name, to, new_name, replace=replace)
            return await self._save_over(place, self._asset_of(entry), to, self._asset_of(there))
        if self._folders.concern(to) and self._folders.takes(entry):
            return await self._folders.move(self._asset_of(entry), place, name, to, new_name, replace=replace)
        await self._refuse_taken(to, new_name, entry, replace=replace)
        if isinstance(entry.node, Thing) and entry.node.kind is ThingKind.NOTE:
            self._move_note(entry, place, to, new_name)
            return None
        asset = self._asset_of(entry)
        if asset.state is AssetState.RECEIVING and self._tree.view(to).takes_whole and await self._settled(asset.id):
            return await self._move(place, name, to, new_name, replace=replace)
        await self._execute(self._moving(asset, place, name, to, new_name))
        return self._library.asset(asset.id)

    def _moving(self, asset: Asset, place: Place, name: str, to: Place, new_name: str) -> list[Command[object]]:
        """Leaving first: it may take away what entering gives (a term and one that is narrower)."""
        view, target = self._tree.view(place), self._tree.view(to)
        if place == to and view.own_names:
            return list(view.rename(place, asset.id, new_name))
        commands: list[Command[object]] = []
        if place == to:
            view.receive(place)
        elif not target.takes_whole:
            commands += view.leave_by_move(self._connection, place, asset.id)
        if new_name not in ({asset.name} if view.own_names else {name, asset.name}) and not target.own_names:
            commands.append(Rename(asset.id, new_name))
        if place != to:
            arrival = Arrival(asset.id, new_name, self._tree.spelled(place, name))
            commands += target.arrive(self._connection, to, arrival)
        return commands

    async def _execute(self, commands: Sequence[Command[object]], origin: str = "") -> None:
        """Together; then the files of what came into the trash, or out of it, are moved."""
        placed = [replace(each, place=origin) if isinstance(each, Trash) and origin else each for each in commands]
        self._library.execute(placed, ACTOR)
        await settle(self._library, [each.asset for each in placed if isinstance(each, Trash | Restore)])

    def make_note(self, place: Place, name: str) -> Thing:
        """A small text of a program. Conflict when the name is taken."""
        owner = self._tree.view(place).owner(place)
        assert owner is not None
        return Thing(ThingKind.NOTE, self._library.perform(MakeNote(owner, name), ACTOR))

    def _move_note(self, entry: Entry, place: Place, to: Place, new_name: str) -> None:
        assert isinstance(entry.node, Thing)
        if place != to:
            raise Refused(f"{entry.name} belongs to the trash of a file manager and stays there")
        self._library.perform(RenameNote(entry.node.id, new_name), ACTOR)

    async def _take_back(self, place: Place, entry: Entry, asset: Asset) -> bool:
        """`rm x~`, after it was renamed away from x and x was made anew: that is its next version, and it is x again.
        False where it is to be removed as any other file."""
        former = self._away.former_name(asset.id, place, entry.name)
        heir = None if former is None else await self._tree.lookup(place, former)
        if former is None or heir is None or not is_asset(heir) or self._folders.has_names(place, heir, place, entry):
            return False
        filed = self._folders.concern(place)
        try:
            also = [] if filed else [Rename(asset.id, former)]
            await self._save_over(place, self._asset_of(heir), place, asset, also)
        except (Conflict, ReadOnly, Refused, Unavailable):  # somebody has it open to write, or its file is not ours
            return False
        if filed:
            await self._move(place, entry.name, place, former, replace=False)
            await self._folders.call_versions_after(self._library.known(asset.id), place, entry.name, former)
        return True

    async def _save_over(
        self, place: Place, source: Asset, to: Place, target: Asset, also: Commands = ()
    ) -> Asset | None:
        """How editors save: a temporary file, renamed over the original, whose next version it is."""
        if target.state is AssetState.RECEIVING and await self._settled(target.id):
            target = self._library.known(target.id)
        if target.state is AssetState.RECEIVING:
            raise Conflict(f"{target.name} is there already, and still being received")
        leaving: Commands = ()
        if self._folders.concern(to):
            leaving = self._folders.left_behind(source, place, to)
        elif place != to:
            self._tree.view(to).enter(self._connection, to, source.id)  # refuses where nothing can be put
            leaving = self._tree.view(place).leave_by_move(self._connection, place, source.id)
        else:
            self._tree.view(place).receive(place)
        if source.state is AssetState.TRASHED:  # what lies in the trash has no bytes to read before it is back
            check_not_written(self._library, target.id)
            await self._execute(leaving)
            leaving = ()
        await self._supersede(target.id, source.id, [*leaving, *also])
        return self._library.asset(target.id)

    async def _refuse_taken(self, to: Place, new_name: str, entry: Entry, *, replace: bool) -> None:
        """The target may be the asset itself (its bare and its qualified name both resolve), never another one."""
        there = await self._tree.lookup(to, new_name)
        is_note = there is not None and isinstance(there.node, Thing) and there.node.kind is ThingKind.NOTE
        if there is not None and not (replace and (is_note or there.node == entry.node)):
            raise Conflict(f"{new_name} is there already")

    async def _move_directory(self, place: Place, name: str, to: Place, new_name: str) -> None:
        if self._folders.concern(place) and self._folders.concern(to):
            await self._folders.move_directory(place, name, to, new_name)
            return
        there = await self._tree.lookup(to, new_name)
        if there is not None and isinstance(there.node, Thing):
            raise Conflict(f"{new_name} is there already")
        self._library.execute(self._tree.view(place).move_dir(self._connection, place, name, to, new_name), ACTOR)

    async def make_directory(self, place: Place, name: str, mode: int) -> None:
        self._refuse_root(place)
        if self._folders.concern(place):
            await self._folders.make_directory(place, name, mode)
            return
        self._library.execute(self._tree.view(place).make_dir(self._connection, place, name), ACTOR)

    def set_directory(self, place: Place, mode: int | None, mtime_ns: int | None) -> None:
        """Permission bits and time of a directory; None: as it is."""
        if not self._folders.concern(place):
            raise Refused("only folders of the writable store keep permission bits and times of their own")
        self._folders.set_directory(place, mode, mtime_ns)

    async def remove_directory(self, place: Place, name: str) -> None:
        self._refuse_root(place)
        if self._folders.concern(place):
            await self._folders.remove_directory(place, name)
            return
        self._library.execute(self._tree.view(place).remove_dir(self._connection, place, name), ACTOR)

    def _refuse_root(self, place: Place) -> None:
        if place == ROOT_PLACE:
            raise Refused("the root of the mount holds views only; write into inbox/ or by-tag/<term>/")

    async def _known_entry(self, place: Place, name: str) -> Entry:
        entry = await self._tree.lookup(place, name)
        if entry is None:
            raise NotFound(f"no {name} here")
        return entry

    async def _file(self, place: Place, name: str) -> Entry:
        entry = await self._known_entry(place, name)
        if isinstance(entry.node, Place):
            raise Refused(f"{name} is a directory")
        return entry

    def _asset_of(self, entry: Entry) -> Asset:
        if not isinstance(entry.node, Thing) or entry.node.kind is not ThingKind.ASSET:
            raise Refused(f"{entry.name} is made by damfs and stays where it is")
        return self._library.known(AssetId(entry.node.id))


def is_asset(entry: Entry) -> bool:
    return isinstance(entry.node, Thing) and entry.node.kind is ThingKind.ASSET
