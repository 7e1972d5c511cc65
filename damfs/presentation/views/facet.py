"""Views whose places are predicates: say which directories there are and where an asset belongs, and it is a view.

Listing is the select; lookup is the select and a name; a change concerns a place when their facets meet.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import repeat
from typing import ClassVar

from damfs.catalog import assets
from damfs.catalog.assets import Listed
from damfs.catalog.database import Connection
from damfs.catalog.predicates import Predicate
from damfs.model import Asset, Facet
from damfs.presentation.views.names import qualified, qualifier, shown_names
from damfs.presentation.views.view import Entry, Place, Thing, ThingKind, View


class FacetView(View):
    """*MUST* implement ``dirs``, ``has_dir`` and ``where``; facets of the directories by ``dir_facets``."""

    @abstractmethod
    def dirs(self, connection: Connection, path: tuple[str, ...]) -> list[str]:
        """Names of the directories that a place lists. May scan."""

    @abstractmethod
    def has_dir(self, connection: Connection, path: tuple[str, ...], name: str) -> bool:
        """Whether a name leads to a directory; also names that are not listed."""

    @abstractmethod
    def where(self, connection: Connection, path: tuple[str, ...]) -> Predicate | None:
        """Which assets are in the place; None: it holds directories only."""

    @abstractmethod
    def dir_facets(self, connection: Connection, path: tuple[str, ...]) -> frozenset[Facet]:
        """What the directories of a place depend on."""

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if self.has_dir(connection, place.path, name):
            return self.directory(connection, Place(self.name, (*place.path, name)))
        predicate = self.where(connection, place.path)
        asset = None if predicate is None else find(connection, predicate, name)
        return None if asset is None else file_entry(name, asset)

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        entries = [
            self.directory(connection, Place(self.name, (*place.path, name)))
            for name in self.dirs(connection, place.path)
        ]
        predicate = self.where(connection, place.path)
        if predicate is not None:
            entries += file_entries(assets.list_place(connection, predicate))
        return entries

    def directory(self, connection: Connection, place: Place) -> Entry:
        return Entry(place.path[-1], place, 0, 0, self.mode(place))

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        predicate = self.where(connection, place.path)
        own = frozenset[Facet]() if predicate is None else predicate.facets()
        return own | self.dir_facets(connection, place.path)


class FlatView(FacetView):
    """A view that is one place without directories. *MUST* set ``predicate``."""

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
    id_ = qualifier(name)
    if id_ is not None:
        asset = assets.in_place(connection, predicate, id_)
        if asset is not None and qualified(asset.name, id_) == name:
            return asset
    return assets.first_of_name(connection, predicate, name)


def file_entry(name: str, asset: Asset) -> Entry:
    return Entry(name, Thing(ThingKind.ASSET, asset.id), asset.size, asset.mtime_ns, asset.mode)


def file_entries(listed: list[Listed]) -> list[Entry]:
    """Column by column: a hundred thousand entries are made by loops in C."""
    if not listed:
        return []
    ids, names, sizes, times, modes = zip(*listed, strict=True)
    things = map(Thing, repeat(ThingKind.ASSET), ids)
    return list(map(Entry, shown_names(ids, names), things, sizes, times, modes))
