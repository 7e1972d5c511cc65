"""What file operations mean in terms of places: entering, leaving, renaming. The table of the design's section 7.

Runs on the loop: point reads and one small transaction each; raises damfs errors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from damfs.core.commands import Abandon, Command, Receive, ReceiveInto, Rename
from damfs.core.library import Library
from damfs.errors import Conflict, NotFound, Refused
from damfs.model import Asset, AssetId, AssetState
from damfs.presentation.views.names import qualified
from damfs.presentation.views.tree import Tree
from damfs.presentation.views.view import ROOT_PLACE, Commands, Entry, Place, Thing, ThingKind
from damfs.storage.droppings import is_dropping

ACTOR = "fuse"
Supersede = Callable[[AssetId, AssetId, Commands], Awaitable[None]]


class Edits:
    """``settled`` waits while an asset is being sealed; whether there was anything to wait for. ``supersede`` makes
    what a second asset is, or is going to be, the next version of the first, after some commands."""

    def __init__(
        self, library: Library, tree: Tree, settled: Callable[[AssetId], Awaitable[bool]], supersede: Supersede
    ) -> None:
        self._settled = settled
        self._supersede = supersede
        self._library = library
        self._tree = tree
        self._connection = library.db.writer

    async def receive(self, place: Place, name: str, mode: int) -> AssetId:
        """A new file in a place: an asset from now on."""
        self._refuse_root(place)
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
        asset = self._known(asset_id)
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
        asset = self._asset_of(entry)
        view = self._tree.view(place)
        if asset.state is AssetState.RECEIVING and await self._settled(asset.id):
            await self.remove(place, name)
            return
        commands = view.leave(self._connection, place, asset.id)
        if asset.state is AssetState.RECEIVING:
            commands = [Abandon(asset.id)]
        self._library.execute(commands, ACTOR)

    async def move(self, place: Place, name: str, to: Place, new_name: str, *, replace: bool) -> Asset | None:
        """Rename in a place, or from one to another; the asset that moved, None for a directory."""
        self._refuse_root(place)
        self._refuse_root(to)
        entry = await self._known_entry(place, name)
        if isinstance(entry.node, Place):
            await self._move_directory(place, name, to, new_name)
            return None
        asset = self._asset_of(entry)
        there = await self._tree.lookup(to, new_name)
        if there is not None and there.node != entry.node and replace and isinstance(there.node, Thing):
            return await self._save_over(place, asset, to, self._asset_of(there))
        await self._refuse_taken(to, new_name, entry, replace=replace)
        commands: list[Command[object]] = []
        if place != to:
            enter = self._tree.view(to).enter(self._connection, to, asset.id)
            # leaving first: it may take away what entering gives (a term and one that is narrower)
            commands += [*self._tree.view(place).leave_by_move(self._connection, place, asset.id), *enter]
        else:
            self._tree.view(place).receive(place)
        if new_name not in {name, asset.name}:
            commands.append(Rename(asset.id, new_name))
        self._library.execute(commands, ACTOR)
        return self._library.asset(asset.id)

    async def _save_over(self, place: Place, source: Asset, to: Place, target: Asset) -> Asset | None:
        """How editors save: a temporary file, renamed over the original, whose next version it is."""
        if target.state is AssetState.RECEIVING and await self._settled(target.id):
            target = self._known(target.id)
        if target.state is AssetState.RECEIVING:
            raise Conflict(f"{target.name} is there already, and still being received")
        leaving: Commands = ()
        if place != to:
            self._tree.view(to).enter(self._connection, to, source.id)  # refuses where nothing can be put
            leaving = self._tree.view(place).leave_by_move(self._connection, place, source.id)
        else:
            self._tree.view(place).receive(place)
        await self._supersede(target.id, source.id, leaving)
        return self._library.asset(target.id)

    async def _refuse_taken(self, to: Place, new_name: str, entry: Entry, *, replace: bool) -> None:
        """The target may be the asset itself (its bare and its qualified name both resolve), never another one."""
        there = await self._tree.lookup(to, new_name)
        if there is not None and not (replace and there.node == entry.node):
            raise Conflict(f"{new_name} is there already")

    async def _move_directory(self, place: Place, name: str, to: Place, new_name: str) -> None:
        there = await self._tree.lookup(to, new_name)
        if there is not None and isinstance(there.node, Thing):
            raise Conflict(f"{new_name} is there already")
        self._library.execute(self._tree.view(place).move_dir(self._connection, place, name, to, new_name), ACTOR)

    def make_directory(self, place: Place, name: str) -> None:
        self._refuse_root(place)
        self._library.execute(self._tree.view(place).make_dir(self._connection, place, name), ACTOR)

    def remove_directory(self, place: Place, name: str) -> None:
        self._refuse_root(place)
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
        return self._known(AssetId(entry.node.id))

    def _known(self, id_: AssetId) -> Asset:
        asset = self._library.asset(id_)
        if asset is None:
            raise NotFound(f"no asset {id_}")
        return asset
