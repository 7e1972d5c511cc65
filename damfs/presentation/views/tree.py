"""The whole tree as entries: the root, the views below it, and what a node looks like.

Loop's thread, point reads; listings are asked for in a reader thread.
"""

from __future__ import annotations

from collections.abc import Mapping

from damfs.catalog import assets, change_feed, derived, versions
from damfs.catalog.database import Connection
from damfs.core.library import Library
from damfs.errors import NotFound
from damfs.model import AssetId, Facet, RenditionId, VersionId
from damfs.presentation.views.control import Control
from damfs.presentation.views.facet import file_entry, row_entry
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


class Tree:
    def __init__(self, library: Library, views: Mapping[str, View], control: Control) -> None:
        self.library = library
        self.views = views
        self.control = control

    def view(self, place: Place) -> View:
        if place == ROOT_PLACE:
            raise NotFound("the root is no view")
        return self.views[place.view]

    def facets(self, place: Place) -> frozenset[Facet]:
        if place == ROOT_PLACE:
            return frozenset()
        return self.view(place).facets(self.library.db.writer, place)

    async def lookup(self, place: Place, name: str) -> Entry | None:
        """One entry; inline unless the view says that its lookup may scan."""
        if place == ROOT_PLACE:
            return self._root_entry(name)
        view = self.view(place)
        if view.slow_lookup:
            return self.dated(await self.library.db.read(lambda connection: view.lookup(connection, place, name)))
        return self.dated(view.lookup(self.library.db.writer, place, name))

    async def list(self, place: Place) -> list[Entry]:
        files, others = await self.content(place)
        return others + [row_entry(row) for row in files]

    async def content(self, place: Place) -> Content:
        """What the place lists."""
        if place == ROOT_PLACE:
            return Content((), self._root_entries())
        view = self.view(place)
        return await self.library.db.read(lambda connection: self._content(connection, view, place))

    def _content(self, connection: Connection, view: View, place: Place) -> Content:
        times: dict[frozenset[Facet], int] = {}
        files, entries = view.content(connection, place)
        for position, entry in enumerate(entries):
            if isinstance(entry.node, Thing):
                continue
            facets = view.facets(connection, entry.node)
            if facets not in times:
                times[facets] = change_feed.touched_ns(connection, facets) or self.library.made_ns
            entries[position] = entry._replace(mtime_ns=times[facets])
        return Content(files, entries)

    def _root_entry(self, name: str) -> Entry | None:
        if name in self.views:
            return self.directory(self.views[name].root(), name)
        return self.control.root_text(name)

    def _root_entries(self) -> Entries:
        directories = [self.directory(view.root(), name) for name, view in self.views.items() if view.listed]
        return directories + self.control.root_texts()

    def dated(self, entry: Entry | None) -> Entry | None:
        """A directory's mtime is when its content last changed."""
        if entry is None or isinstance(entry.node, Thing):
            return entry
        return self.directory(entry.node, entry.name)

    def directory(self, place: Place, name: str) -> Entry:
        mtime_ns = change_feed.touched_ns(self.library.db.writer, self.facets(place))
        mode = READ_DIRECTORY if place == ROOT_PLACE else self.view(place).mode(place)
        return Entry(name, place, 0, mtime_ns or self.library.made_ns, mode)

    async def text(self, thing: Thing) -> bytes:
        """What a text of the mount says now."""
        return await self.library.db.read(lambda connection: self.control.render(connection, thing))

    def entry(self, node: Thing | Place) -> Entry:
        """What a node looks like without a name. Raises NotFound when it is gone."""
        if isinstance(node, Place):
            return self.directory(node, "")
        if node.kind is ThingKind.TEXT:
            return self.control.entry(node)
        found = self._file(node)
        if found is None:
            raise NotFound(f"{node.kind.name.lower()} {node.id} is gone")
        return found

    def _file(self, node: Thing) -> Entry | None:
        connection = self.library.db.writer
        if node.kind is ThingKind.RENDITION:
            rendition = derived.rendition(connection, RenditionId(node.id))
            made = None if rendition is None else (rendition.size, rendition.made_ns)
            return None if made is None else Entry("", node, *made, READ_FILE)
        if node.kind is ThingKind.VERSION:
            version = versions.version(connection, VersionId(node.id))
            return None if version is None else version_entry(version, "")
        asset = assets.asset(connection, AssetId(node.id))
        return None if asset is None else file_entry("", asset)
