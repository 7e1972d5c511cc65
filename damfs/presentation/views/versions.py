"""versions/<asset>/: every version of an asset, oldest first, as v0001.mov, v0002.mov …

Only assets that were overwritten are listed; any other is reachable by name.
"""

from __future__ import annotations

import re

from damfs.catalog import assets, predicates, versions
from damfs.catalog.database import Connection
from damfs.catalog.versions import Version
from damfs.core.asset_names import is_text
from damfs.core.rewriting import version_name, versions_facet
from damfs.model import Asset, AssetId, AssetState, Facet
from damfs.presentation.views.names import qualified, qualifiers
from damfs.presentation.views.view import READ_DIRECTORY, READ_FILE, Entry, Place, Thing, ThingKind, View

VISIBLE = frozenset({AssetState.PRESENT, AssetState.RECEIVING})
NUMBER = re.compile(r"v([0-9]{4,18})")


class Versions(View):
    name = "versions"
    place_kind = 12

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if not is_text(name):
            return None
        if place.id is None:
            asset = _meant(connection, name)
            return None if asset is None else self._directory(name, asset.id)
        number = NUMBER.match(name)
        found = None if number is None else versions.numbered(connection, AssetId(place.id), int(number[1]))
        if found is None:
            return None
        entry = version_entry(found, self._name(connection, place))
        return entry if entry.name == name else None

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        if place.id is None:
            rows, later = versions.list_overwritten(connection), versions.overwritten_namesakes(connection)
            later |= {row.id for row in rows if "~" in row.name and not _leads(connection, row.name, row.id)}
            return [
                self._directory(qualified(row.name, row.id) if row.id in later else row.name, row.id) for row in rows
            ]
        name = self._name(connection, place)
        return [version_entry(found, name) for found in versions.of_asset(connection, AssetId(place.id))]

    def lists(self, connection: Connection, place: Place, name: str) -> Entry | None:
        entry = self.lookup(connection, place, name)
        if entry is None or not isinstance(entry.node, Place) or entry.node.id is None:
            return entry
        id_ = AssetId(entry.node.id)
        asset = assets.asset(connection, id_)
        if asset is None or len(versions.of_asset(connection, id_)) < 2:
            return None
        return entry if name == asset.name or not _leads(connection, asset.name, id_) else None

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


def _meant(connection: Connection, name: str) -> Asset | None:
    """As in any place: the qualified form first, then the lowest id. Sidecars have versions as well."""
    for id_ in qualifiers(name):
        asset = assets.asset(connection, id_)
        if asset is not None and asset.state in VISIBLE and qualified(asset.name, id_) == name:
            return asset
    return next(iter(assets.named(connection, name, 1)), None)


def _leads(connection: Connection, name: str, id_: AssetId) -> bool:
    meant = _meant(connection, name)
    return meant is not None and meant.id == id_


def version_entry(version: Version, asset_name: str) -> Entry:
    name = version_name(asset_name, version.number)
    return Entry(name, Thing(ThingKind.VERSION, version.id), version.size, version.mtime_ns, READ_FILE)
