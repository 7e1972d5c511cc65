"""The whole tree as entries: the root, the views below it, and what a node looks like.

Loop's thread, point reads; listings are asked for in a reader thread.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping

from damfs.catalog import assets, change_feed, derived, desktop_trash, versions
from damfs.catalog.database import Connection
from damfs.core.library import Library
from damfs.core.on_demand import Wanted
from damfs.errors import NotFound
from damfs.model import AssetId, Facet, RenditionId, VersionId
from damfs.presentation.views.control import Control
from damfs.presentation.views.desktop_trash import note_entry
from damfs.presentation.views.facet import file_entry, row_entry
from damfs.presentation.views.previews import cues_of, cues_text, preview_entry
from damfs.presentation.views.thumbnails import REPOSITORY, Thumbnails
from damfs.presentation.views.versions import version_entry
from damfs.presentation.views.view import (
    READ_DIRECTORY,
    READ_FILE,
    ROOT_PLACE,
    Content,
    Entries,
    Entry,
    Place,
    Thing,
    ThingKind,
    View,
)

Make = Callable[[Wanted], Awaitable[object]]


class Tree:
    def __init__(self, library: Library, views: Mapping[str, View], control: Control, make: Make | None = None) -> None:
        """``make``: who makes what a view says is wanted; without one that is not there."""
        self.library = library
        self._make = make
        self.views = views
        self.control = control
        self.thumbnails = Thumbnails(library, views)
        self._absent: tuple[Place, str, int] | None = None
        """Where no entry was found last, and after how many commits: who makes a file asks three times before."""

    def view(self, place: Place) -> View:
        if place == ROOT_PLACE:
            raise NotFound("the root is no view")
        if place.view == REPOSITORY:
            return self.thumbnails
        return self.views[place.view]

    def parent(self, place: Place) -> Place:
        """What ``..`` means in a directory of a view."""
        if place.view == REPOSITORY:
            return self.thumbnails.parent(place)
        return Place(place.view, place.path[:-1]) if place.path else place

    def drifts(self, node: Thing | Place) -> bool:
        """Whether the names in a directory move by news of other things."""
        if not isinstance(node, Place):
            return False
        return node.view == REPOSITORY or (node != ROOT_PLACE and self.view(node).is_drifting(node))

    def facets(self, place: Place) -> frozenset[Facet]:
        if place == ROOT_PLACE:
            return frozenset()
        return self.view(place).facets(self.library.db.writer, place)

    async def lookup(self, place: Place, name: str) -> Entry | None:
        """One entry; inline unless the view says that its lookup may scan."""
        if name == REPOSITORY:
            return self.dated(self.thumbnails.repository(place))
        if place.view == REPOSITORY and (size := self.thumbnails.directory(place, name)) is not None:
            return self.dated(size)
        if place == ROOT_PLACE:
            return self._root_entry(name)
        view = self.view(place)
        if view.looks_long(place):
            async with view.turn(place, listing=False):
                return self.dated(await self.library.db.read(lambda connection: view.lookup(connection, place, name)))
        entry = self._found(view, place, name)
        if entry is None and self._make is not None:
            wanted = view.wanted(self.library.db.writer, place, name)
            if wanted is not None:
                await self._make(wanted)
                entry = view.lookup(self.library.db.writer, place, name)
        return self.dated(entry)

    def _found(self, view: View, place: Place, name: str) -> Entry | None:
        asked = place, name, self.library.db.commits
        if asked == self._absent:
            return None
        entry = view.lookup(self.library.db.writer, place, name)
        if entry is None and view.tells_absence:
            self._absent = asked
        return entry

    async def list(self, place: Place) -> list[Entry]:
        files, others = await self.content(place)
        return others + [row_entry(row) for row in files]

    async def content(self, place: Place) -> Content:
        """What the place lists."""
        if place == ROOT_PLACE:
            return Content((), self._root_entries())
        view = self.view(place)
        async with view.turn(place, listing=True):
            return await self.library.db.read(lambda connection: self._content(connection, view, place))

    def _content(self, connection: Connection, view: View, place: Place) -> Content:
        files, entries = view.content(connection, place)
        facets = {
            position: view.facets(connection, entry.node)
            for position, entry in enumerate(entries)
            if isinstance(entry.node, Place)
        }
        times = change_feed.list_touched(connection, frozenset().union(*facets.values()))
        for position, touching in facets.items():
            node = entries[position].node
            assert isinstance(node, Place)
            touched_ns = max((times.get(facet, 0) for facet in touching), default=0) or self.library.made_ns
            set_ns = view.mtime_ns(connection, node)
            entries[position] = entries[position]._replace(mtime_ns=touched_ns if set_ns is None else set_ns)
        return Content(files, entries)

    def _root_entry(self, name: str) -> Entry | None:
        if name in self.views:
            return self.directory(self.views[name].root(), name)
        place = self.at_root(name)
        return self.control.root_text(name) if place is None else self.directory(place, name)

    def at_root(self, name: str) -> Place | None:
        """A place of some view that the root of the mount answers with by name."""
        return next((place for view in self.views.values() if (place := view.at_root(name)) is not None), None)

    def _root_entries(self) -> Entries:
        directories = [self.directory(view.root(), name) for name, view in self.views.items() if view.listed]
        return directories + self.control.root_texts()

    def dated(self, entry: Entry | None) -> Entry | None:
        """A directory's mtime is when its content last changed."""
        if entry is None or isinstance(entry.node, Thing):
            return entry
        return self.directory(entry.node, entry.name)

    def directory(self, place: Place, name: str) -> Entry:
        connection = self.library.db.writer
        touched_ns = change_feed.touched_ns(connection, self.facets(place)) or self.library.made_ns
        if place == ROOT_PLACE:
            return Entry(name, place, 0, touched_ns, READ_DIRECTORY)
        view = self.view(place)
        set_ns = view.mtime_ns(connection, place)
        return Entry(name, place, 0, touched_ns if set_ns is None else set_ns, view.mode(place))

    def spelled(self, place: Place, name: str) -> str:
        """The path of a name in the mount, for people: text, whatever bytes it has."""
        path = "/".join((place.view, *(self.view(place).path(self.library.db.writer, place) or ()), name))
        return os.fsencode(path).decode("utf-8", "replace")

    async def text(self, thing: Thing) -> bytes:
        """What a text, a thumbnail or cues of the mount hold now."""
        if thing.kind is ThingKind.CUES:
            return await self.library.db.read(lambda connection: cues_text(self.library, connection, thing))
        if thing.kind is ThingKind.THUMBNAIL:
            return await self.library.db.read(lambda connection: self.thumbnails.picture(connection, thing))
        return await self.library.db.read(lambda connection: self.control.render(connection, thing))

    def owner(self, node: Thing | Place) -> int | None:
        """The user a node belongs to; None: who runs damfs."""
        if isinstance(node, Place):
            return None if node == ROOT_PLACE else self.view(node).owner(node)
        note = desktop_trash.note(self.library.db.writer, node.id) if node.kind is ThingKind.NOTE else None
        return None if note is None else note.uid

    def entry(self, node: Thing | Place) -> Entry:
        """What a node looks like without a name. Raises NotFound when it is gone."""
        if isinstance(node, Place):
            return self.directory(node, "")
        if node.kind is ThingKind.TEXT:
            return self.control.entry(node)
        found = self._thing(node)
        if found is None:
            raise NotFound(f"{node.kind.name.lower()} {node.id} is gone")
        return found

    def _thing(self, node: Thing) -> Entry | None:
        connection = self.library.db.writer
        if node.kind is ThingKind.THUMBNAIL:
            return self.thumbnails.entry(connection, node)
        if node.kind is ThingKind.RENDITION:
            rendition = derived.rendition(connection, RenditionId(node.id))
            return None if rendition is None else Entry("", node, rendition.size, rendition.made_ns, READ_FILE)
        if node.kind is ThingKind.CUES:
            cues = cues_of(connection, node)
            return None if cues is None else preview_entry(cues)._replace(name="")
        if node.kind is ThingKind.NOTE:
            note = desktop_trash.note(connection, node.id)
            return None if note is None else note_entry(note)
        if node.kind is ThingKind.VERSION:
            version = versions.version(connection, VersionId(node.id))
            return None if version is None else version_entry(version, "")
        asset = assets.asset(connection, AssetId(node.id)) if node.kind is ThingKind.ASSET else None
        return None if asset is None else file_entry("", asset)
