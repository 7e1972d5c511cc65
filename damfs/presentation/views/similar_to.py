"""similar-to/<asset>/: nearest neighbours, best first, as ``01 name``; the bare name resolves as well."""

from __future__ import annotations

from damfs.catalog import assets, predicates
from damfs.catalog.database import Connection
from damfs.catalog.predicates import Everything
from damfs.core.similar import Neighbour
from damfs.model import AssetId, Facet
from damfs.presentation.views.facet import find
from damfs.presentation.views.names import qualified, ranked, shown_names
from damfs.presentation.views.view import READ_DIRECTORY, Entry, Place, Thing, ThingKind, View


class SimilarTo(View):
    name = "similar-to"
    place_kind = 11
    slow_lookup = True

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if place.id is None:
            asset = find(connection, Everything(), name)
            return None if asset is None else self._directory(name, asset.id)
        neighbours = self.library.similar.remembered(connection, AssetId(place.id))
        for position, neighbour in enumerate(neighbours, start=1):
            names = (ranked(position, len(neighbours), neighbour.name), neighbour.name)
            if name in names or name == qualified(neighbour.name, neighbour.asset):
                return _file(name, neighbour)
        return None

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        if place.id is None:
            rows = assets.list_place(connection, Everything())
            names = shown_names([row.id for row in rows], [row.name for row in rows])
            return [self._directory(name, row.id) for name, row in zip(names, rows, strict=True)]
        neighbours = self.library.similar.nearest(connection, AssetId(place.id))
        total = len(neighbours)
        return [
            _file(ranked(position, total, neighbour.name), neighbour)
            for position, neighbour in enumerate(neighbours, start=1)
        ]

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        return frozenset({predicates.ALL_FACET if place.id is None else predicates.NEIGHBOURS_FACET})

    def _directory(self, name: str, asset: AssetId) -> Entry:
        return Entry(name, self.place_of(asset), 0, 0, READ_DIRECTORY)


def _file(name: str, neighbour: Neighbour) -> Entry:
    return Entry(name, Thing(ThingKind.ASSET, neighbour.asset), neighbour.size, neighbour.mtime_ns, neighbour.mode)
