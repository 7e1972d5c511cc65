"""failed/: assets with a job that failed for good, or that are held back, each beside a text that says why.

Also lists what no row of the catalog tells (who is held back), so nobody remembers its listing for long.
"""

from __future__ import annotations

from damfs.catalog import assets, predicates
from damfs.catalog.database import Connection
from damfs.catalog.predicates import Failed
from damfs.core.asset_names import NAME_LIMIT, fit, is_text, size_of
from damfs.model import AssetId, Facet
from damfs.presentation.views.facet import file_entry, find
from damfs.presentation.views.failures import ENDING, text_of
from damfs.presentation.views.names import decode_id, encode_id, shown_names
from damfs.presentation.views.view import WRITE_DIRECTORY, Entry, Place, Thing, ThingKind, View

ONLY_PLACE = 1


class FailedView(View):
    name = "failed"
    place_kind = 46
    drifts = True
    live = False

    def root(self) -> Place:
        return self.place_of(ONLY_PLACE)

    def mode(self, place: Place) -> int:
        return WRITE_DIRECTORY  # files can be moved into the trash

    def _where(self) -> Failed:
        return Failed(tuple(self.library.held_back))

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if not is_text(name):
            return None
        asset = find(connection, self._where(), name)
        return self._text(connection, name) if asset is None else file_entry(name, asset)

    def _text(self, connection: Connection, name: str) -> Entry | None:
        """By the name of the asset, or by its id, which leads to it in any case."""
        if not name.endswith(ENDING):
            return None
        stem, where = name.removesuffix(ENDING), self._where()
        id_ = decode_id(stem.rpartition("~")[2])
        asset = None if id_ is None else assets.in_place(connection, where, id_)
        if asset is not None and by_id(asset.name, asset.id) == name:
            return text_of(name, asset.id, asset.mtime_ns)
        asset = find(connection, where, stem)
        return None if asset is None else text_of(name, asset.id, asset.mtime_ns)

    def lists(self, connection: Connection, place: Place, name: str) -> Entry | None:
        entry = self.lookup(connection, place, name)
        return entry if entry in self.list(connection, place) else None

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        rows = assets.list_place(connection, self._where())
        names = shown_names([row.id for row in rows], [row.name for row in rows])
        taken = set(names)
        entries = []
        for row, name in zip(rows, names, strict=True):
            entries.append(Entry(name, Thing(ThingKind.ASSET, row.id), row.size, row.mtime_ns, row.mode))
            beside = name + ENDING
            clashes = beside in taken or size_of(beside) > NAME_LIMIT
            entries.append(text_of(by_id(row.name, row.id) if clashes else beside, row.id, row.mtime_ns))
        return entries

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        return frozenset({predicates.FAILED_FACET})


def by_id(name: str, asset: AssetId) -> str:
    """The name of a text that no other can have."""
    mark = f"~{encode_id(asset)}{ENDING}"
    return fit(name, NAME_LIMIT - size_of(mark)) + mark
