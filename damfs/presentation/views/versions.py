"""versions/<asset>/: every version of an asset, oldest first, as v0001.mov, v0002.mov …

Only assets that were overwritten are listed; any other is reachable by name.
"""

from __future__ import annotations

import re

from damfs.catalog import assets, predicates, versions
from damfs.catalog.database import Connection
from damfs.catalog.predicates import Everything
from damfs.catalog.versions import Version
from damfs.core.asset_names import is_text
from damfs.core.rewriting import version_name, versions_facet
from damfs.model import AssetId, Facet
from damfs.presentation.views.facet import find
from damfs.presentation.views.names import qualified, shown_names
from damfs.presentation.views.view import READ_DIRECTORY, READ_FILE, Entry, Place, Thing, ThingKind, View

NUMBER = re.compile(r"v([0-9]{4,18})")


class Versions(View):
    name = "versions"
    place_kind = 12

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if not is_text(name):
            return None
        if place.id is None:
            asset = find(connection, Everything(), name)
            return None if asset is None else self._directory(name, asset.id)
        number = NUMBER.match(name)
        found = None if number is None else versions.numbered(connection, AssetId(place.id), int(number[1]))
        if found is None:
            return None
        entry = version_entry(found, self._name(connection, place))
        return entry if entry.name == name else None

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        if place.id is None:
            rows = versions.list_overwritten(connection)
            names = shown_names([row.id for row in rows], [row.name for row in rows])
            return [self._directory(name, row.id) for name, row in zip(names, rows, strict=True)]
        name = self._name(connection, place)
        return [version_entry(found, name) for found in versions.of_asset(connection, AssetId(place.id))]

    def lists(self, connection: Connection, place: Place, name: str) -> Entry | None:
        entry = self.lookup(connection, place, name)
        if entry is None or not isinstance(entry.node, Place) or entry.node.id is None:
            return entry
        return entry if len(versions.of_asset(connection, AssetId(entry.node.id))) > 1 else None

    def path(self, connection: Connection, place: Place) -> tuple[str, ...] | None:
        if place.id is None:
            return ()
        asset = assets.asset(connection, AssetId(place.id))
        return None if asset is None else (qualified(asset.name, asset.id),)

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        return frozenset({predicates.ALL_FACET if place.id is None else versions_facet(AssetId(place.id))})

    def _name(self, connection: Connection, place: Place) -> str:
        assert place.id is not None
        asset = assets.asset(connection, AssetId(place.id))
        return "" if asset is None else asset.name

    def _directory(self, name: str, asset: AssetId) -> Entry:
        return Entry(name, self.place_of(asset), 0, 0, READ_DIRECTORY)


def version_entry(version: Version, asset_name: str) -> Entry:
    name = version_name(asset_name, version.number)
    return Entry(name, Thing(ThingKind.VERSION, version.id), version.size, version.mtime_ns, READ_FILE)
