"""similar-to/<asset>/: nearest neighbours, best first, as ``01 name``; the bare name resolves as well."""

from __future__ import annotations

from collections.abc import Sequence

from damfs.catalog import assets, predicates
from damfs.catalog.database import Connection
from damfs.catalog.predicates import Everything
from damfs.core.asset_names import is_text
from damfs.core.similar import Neighbour
from damfs.model import AssetId, Facet
from damfs.presentation.views.facet import find
from damfs.presentation.views.names import qualified, ranked, shown_names
from damfs.presentation.views.view import READ_DIRECTORY, WRITE_DIRECTORY, Entry, Place, Thing, ThingKind, View


class SimilarTo(View):
    name = "similar-to"
    place_kind = 11
    slow_lookup = True
    drifts = True
    live = False

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if place.id is None:
            asset = find(connection, Everything(), name) if is_text(name) else None
            return None if asset is None else self._directory(name, asset.id)
        neighbours = self.library.similar.remembered(connection, AssetId(place.id))
        names = resolvable(neighbours)
        return _file(name, names[name]) if name in names else None

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

    def mode(self, place: Place) -> int:
        return READ_DIRECTORY if place.id is None else WRITE_DIRECTORY  # files can be moved into the trash

    def _directory(self, name: str, asset: AssetId) -> Entry:
        return Entry(name, self.place_of(asset), 0, 0, WRITE_DIRECTORY)


def resolvable(neighbours: Sequence[Neighbour]) -> dict[str, Neighbour]:
    """Neighbours by every name that leads to them: bare, before qualified, before listed (later ones win)."""
    total = len(neighbours)
    found = {neighbour.name: neighbour for neighbour in reversed(neighbours)}
    found |= {qualified(neighbour.name, neighbour.asset): neighbour for neighbour in neighbours}
    return found | {
        ranked(position, total, neighbour.name): neighbour for position, neighbour in enumerate(neighbours, start=1)
    }


def _file(name: str, neighbour: Neighbour) -> Entry:
    return Entry(name, Thing(ThingKind.ASSET, neighbour.asset), neighbour.size, neighbour.mtime_ns, neighbour.mode)
