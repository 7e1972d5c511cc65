"""Views whose places are predicates: say which directories there are and where an asset belongs, and it is a view.

Listing is the select; lookup is the select and a name; a change concerns a place when their facets meet.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Set
from typing import ClassVar

from damfs.catalog import assets
from damfs.catalog.assets import ListedRow
from damfs.catalog.database import Connection
from damfs.catalog.predicates import Predicate
from damfs.catalog.stand_ins import StandIn
from damfs.core.asset_names import is_text
from damfs.model import Asset, AssetId, Facet
from damfs.presentation.views.names import qualified, qualifiers, shown_names
from damfs.presentation.views.view import READ_FILE, WRITE_DIRECTORY, Content, Entry, Place, Thing, ThingKind, View


class FacetView(View):
    """*MUST* implement ``dirs``, ``has_dir`` and ``where``; facets of the directories by ``dir_facets``."""

    @abstractmethod
    def dirs(self, connection: Connection, path: tuple[str, ...]) -> list[str]:
        """Names of the directories that a place lists. May scan."""

    @abstractmethod
    def has_dir(self, connection: Connection, path: tuple[str, ...], name: str) -> bool:
        """Whether a name leads to a directory; also names that are not listed."""

    def dir_named(self, connection: Connection, path: tuple[str, ...], name: str) -> str | None:
        """The directory that a name leads to, by its own name; None: it leads to none."""
        return name if self.has_dir(connection, path, name) else None

    def mode(self, place: Place) -> int:
        """Writable for who runs damfs: else the kernel would not even let him move files from here into the trash, or
        to where that tags. What has no meaning is refused when it is tried."""
        return WRITE_DIRECTORY

    def reserved(self, connection: Connection, path: tuple[str, ...], dirs: list[str]) -> Set[str]:
        """Every name that `has_dir`; ``dirs`` are the listed ones. May scan."""
        return frozenset(dirs)

    @abstractmethod
    def where(self, connection: Connection, path: tuple[str, ...]) -> Predicate | None:
        """Which assets are in the place; None: it holds directories only."""

    @abstractmethod
    def dir_facets(self, connection: Connection, path: tuple[str, ...]) -> frozenset[Facet]:
        """What the directories of a place depend on."""

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if not is_text(name):
            return None
        directory = self.dir_named(connection, place.path, name)
        if directory is not None:
            return self.directory(connection, Place(self.name, (*place.path, directory)))._replace(name=name)
        predicate = self.where(connection, place.path)
        asset = None if predicate is None else find(connection, predicate, name)
        return None if asset is None else file_entry(name, asset)

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        files, directories = self.content(connection, place)
        return directories + [row_entry(row) for row in files]

    def content(self, connection: Connection, place: Place) -> Content:
        dirs = self.dirs(connection, place.path)
        directories = [self.directory(connection, Place(self.name, (*place.path, name))) for name in dirs]
        predicate = self.where(connection, place.path)
        if predicate is None:
            return Content((), directories)
        reserved = self.reserved(connection, place.path, dirs)
        return Content(shown_rows(assets.list_rows(connection, predicate), reserved), directories)

    def lists(self, connection: Connection, place: Place, name: str) -> Entry | None:
        entry = self.lookup(connection, place, name)
        if entry is None or not isinstance(entry.node, Thing):
            return entry if entry is None or name in self.dirs(connection, place.path) else None
        asset = assets.asset(connection, AssetId(entry.node.id))
        if asset is None or asset.name == name:
            return entry
        bare = self.lookup(connection, place, asset.name)
        return None if bare is not None and bare.node == entry.node else entry

    def holds_files(self, connection: Connection, place: Place) -> bool:
        return self.where(connection, place.path) is not None

    def directory(self, connection: Connection, place: Place) -> Entry:
        return Entry(place.path[-1], place, 0, 0, self.mode(place))

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        predicate = self.where(connection, place.path)
        own = frozenset[Facet]() if predicate is None else predicate.facets()
        return own | self.dir_facets(connection, place.path)


class FlatView(FacetView):
    """A view that is one place without directories. *MUST* set ``predicate``."""

    tells_absence = True
    predicate: ClassVar[Predicate]

    def dirs(self, connection: Connection, path: tuple[str, ...]) -> list[str]:
        return []

    def has_dir(self, connection: Connection, path: tuple[str, ...], name: str) -> bool:
        return False

    def where(self, connection: Connection, path: tuple[str, ...]) -> Predicate | None:
        return self.predicate

    def dir_facets(self, connection: Connection, path: tuple[str, ...]) -> frozenset[Facet]:
        return frozenset()


def find(connection: Connection, predicate: Predicate, name: str) -> Asset | None:
    """The asset that a name means in a place: the qualified form first, as it is for ever."""
    for id_ in qualifiers(name):
        asset = assets.in_place(connection, predicate, id_)
        if asset is not None and qualified(asset.name, id_) == name:
            return asset
    return assets.first_of_name(connection, predicate, name)


def file_entry(name: str, asset: Asset) -> Entry:
    return Entry(name, Thing(ThingKind.ASSET, asset.id), asset.size, asset.mtime_ns, asset.mode)


def stand_in_entry(name: str, row: StandIn) -> Entry:
    """What stands in for an original: a rendition, or the asset that the camera made of it."""
    kind = ThingKind.ASSET if row.is_asset else ThingKind.RENDITION
    return Entry(name, Thing(kind, row.id), row.size, row.at_ns, READ_FILE if row.mode is None else row.mode)


def row_entry(row: ListedRow) -> Entry:
    id_, name, size, mtime_ns, mode = row
    return Entry(name, Thing(ThingKind.ASSET, id_), size, mtime_ns, mode)


def shown_rows(rows: list[ListedRow], directories: Set[str]) -> list[ListedRow]:
    """By the names that they have beside each other; ``directories``: names that no file may have there."""
    names = [row[1] for row in rows]
    shown = shown_names([row[0] for row in rows], names, directories)
    if shown == names:
        return rows
    return [(id_, name, size, at, mode) for name, (id_, _, size, at, mode) in zip(shown, rows, strict=True)]
