"""similar-to/<asset>/: nearest neighbours, best first, as ``01 name``; the bare name resolves as well.

``similar-to/<asset>@00-01-12/``: those of a moment of a video. Both are reached by name and not listed: who only looks
around (find, an indexer of a desktop) would otherwise ask for the neighbours of everything there is.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from damfs.catalog import predicates
from damfs.catalog.database import Connection
from damfs.catalog.predicates import Everything
from damfs.core.asset_names import is_text
from damfs.core.likeness import answer_of
from damfs.core.moments import Moment
from damfs.core.similar import Neighbour
from damfs.model import AssetId, Facet
from damfs.presentation.views.facet import find
from damfs.presentation.views.names import ranked, resolvable
from damfs.presentation.views.view import READ_DIRECTORY, WRITE_DIRECTORY, Entry, Place, Thing, ThingKind, View

AT = re.compile(r"(?P<name>.+)@(?P<h>\d{1,2})-(?P<m>[0-5]\d)-(?P<s>[0-5]\d(?:\.\d{1,9})?)", re.DOTALL)
SECOND_NS = 1_000_000_000


class SimilarTo(View):
    name = "similar-to"
    place_kind = 11
    slow_lookup = True
    drifts = True
    live = False

    def is_drifting(self, place: Place) -> bool:
        return is_answer(place)

    @asynccontextmanager
    async def turn(self, place: Place, *, listing: bool) -> AsyncIterator[None]:
        if listing and is_answer(place):
            self.library.counters["similar_searches"] += 1
        yield

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if not is_answer(place):
            return self._asset(connection, name) if is_text(name) else None
        neighbours = self._remembered(connection, place)
        found = resolvable([(neighbour.asset, neighbour.name) for neighbour in neighbours]).get(name)
        if found is None:
            return None
        self._note(connection, place, neighbours, neighbours[found : found + 1])
        return _file(name, neighbours[found])

    def _asset(self, connection: Connection, name: str) -> Entry | None:
        asset = find(connection, Everything(), name)
        if asset is not None:
            return Entry(name, self.place_of(asset.id), 0, 0, WRITE_DIRECTORY)
        moment = self._moment(connection, name)
        if moment is None or not self.library.moments.is_known(connection, moment):
            return None
        return Entry(name, Place(self.name, (name,)), 0, 0, WRITE_DIRECTORY)

    def _moment(self, connection: Connection, name: str) -> Moment | None:
        match = AT.fullmatch(name)
        asset = None if match is None else find(connection, Everything(), match["name"])
        if match is None or asset is None:
            return None
        seconds = int(match["h"]) * 3600 + int(match["m"]) * 60
        return Moment(asset.id, seconds * SECOND_NS + round(float(match["s"]) * SECOND_NS))

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        if not is_answer(place):
            return []
        neighbours = self._nearest(connection, place)
        self._note(connection, place, neighbours, neighbours)
        total = len(neighbours)
        return [
            _file(ranked(position, total, neighbour.name), neighbour)
            for position, neighbour in enumerate(neighbours, start=1)
        ]

    def _nearest(self, connection: Connection, place: Place) -> Sequence[Neighbour]:
        if place.id is not None:
            return self.library.similar.nearest(connection, AssetId(place.id))
        moment = self._moment(connection, place.path[0])
        return [] if moment is None else self.library.moments.nearest(connection, moment)

    def _remembered(self, connection: Connection, place: Place) -> Sequence[Neighbour]:
        if place.id is not None:
            return self.library.similar.remembered(connection, AssetId(place.id))
        moment = self._moment(connection, place.path[0])
        return [] if moment is None else self.library.moments.remembered(connection, moment)

    def _note(
        self, connection: Connection, place: Place, neighbours: Sequence[Neighbour], shown: Sequence[Neighbour]
    ) -> None:
        moment = None if place.id is not None else self._moment(connection, place.path[0])
        asset = AssetId(place.id) if place.id is not None else None if moment is None else moment.asset
        if asset is not None:
            self.library.shown.note(answer_of(asset, neighbours), [each.asset for each in shown])

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        return frozenset({predicates.NEIGHBOURS_FACET if is_answer(place) else predicates.ALL_FACET})

    def mode(self, place: Place) -> int:
        return WRITE_DIRECTORY if is_answer(place) else READ_DIRECTORY  # files can be moved into the trash


def is_answer(place: Place) -> bool:
    return place.id is not None or bool(place.path)


def _file(name: str, neighbour: Neighbour) -> Entry:
    return Entry(name, Thing(ThingKind.ASSET, neighbour.asset), neighbour.size, neighbour.mtime_ns, neighbour.mode)
