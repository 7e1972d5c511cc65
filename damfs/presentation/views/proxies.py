"""proxies/…: the folders of originals/, each video replaced by its proxy, or by the small copy that its camera made.

A proxy that is not finished is absent.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from damfs.catalog import predicates, stand_ins, stores
from damfs.catalog.database import Connection
from damfs.catalog.stand_ins import StandIn
from damfs.core.asset_names import ENDING_LIMIT, NAME_LIMIT, proxy_name, size_of, split_ending
from damfs.core.folders import is_own
from damfs.core.processors.profiles import shown_first
from damfs.model import AssetId, Facet, FolderId
from damfs.presentation.views.facet import stand_in_entry
from damfs.presentation.views.names import qualified, qualifiers, shown_names
from damfs.presentation.views.originals import Originals, listed_folders
from damfs.presentation.views.view import Commands, Entry, Place

LONGEST_WHOLE = NAME_LIMIT - ENDING_LIMIT - 1


class Proxies(Originals):
    name = "proxies"
    place_kind = 10
    keys_only = False

    def _profiles(self) -> tuple[str, ...]:
        """Which proxy is shown, first choice first."""
        return shown_first(self.library.settings.proxy.profile)

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if place.id is None:
            return super().lookup(connection, place, name)
        folder = stores.folder_named(connection, FolderId(place.id), os.fsencode(name))
        if folder is not None and folder.live:
            return None if is_own(folder.name) else self._folder_entry(connection, folder)
        return self._proxy(connection, FolderId(place.id), name)

    def lists(self, connection: Connection, place: Place, name: str) -> Entry | None:
        entry = self.lookup(connection, place, name)
        if entry is None or place.id is None or isinstance(entry.node, Place):
            return entry
        for id_ in qualifiers(name):
            for row in stand_ins.of_asset(connection, self._profiles(), FolderId(place.id), id_):
                bare = self.lookup(connection, place, named(row)) if qualified(named(row), id_) == name else None
                if bare is not None and bare.node == entry.node:
                    return None
        return entry

    def _proxy(self, connection: Connection, folder: FolderId, name: str) -> Entry | None:
        """By its qualified name, else the lowest asset of that stem: what `list` shows."""
        for id_ in qualifiers(name):
            for row in stand_ins.of_asset(connection, self._profiles(), folder, id_):
                if qualified(named(row), id_) == name:
                    return stand_in_entry(name, row)
        rows = self._of_stem(connection, folder, name)
        return next((stand_in_entry(name, row) for row in rows if named(row) == name), None)

    def _of_stem(self, connection: Connection, folder: FolderId, name: str) -> Sequence[StandIn]:
        if size_of(name) > LONGEST_WHOLE:  # the stem may have been cut for the proxy's ending
            return stand_ins.list_of_folder(connection, self._profiles(), folder)
        return stand_ins.of_stem(connection, self._profiles(), folder, os.fsencode(split_ending(name)[0]))

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        if place.id is None:
            return super().list(connection, place)
        directories = [
            self._folder_entry(connection, folder) for folder in listed_folders(connection, FolderId(place.id))
        ]
        rows = {
            (row.asset, named(row)): row
            for row in stand_ins.list_of_folder(connection, self._profiles(), FolderId(place.id))
        }
        names = shown_names(*_columns(list(rows)), {entry.name for entry in directories})
        return directories + [stand_in_entry(name, row) for name, row in zip(names, rows.values(), strict=True)]

    def receive(self, place: Place) -> bool:
        raise self.refusal(place)

    def writable(self, connection: Connection, place: Place) -> bool:
        return False

    def mtime_ns(self, connection: Connection, place: Place) -> int | None:
        return None

    def enter(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        raise self.refusal(place)

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        if place.id is None:
            return frozenset({predicates.STORES_FACET})
        return frozenset({predicates.proxies_facet(FolderId(place.id))})


def named(row: StandIn) -> str:
    return proxy_name(row.name, "x" + row.ending)


def _columns(pairs: list[tuple[AssetId, str]]) -> tuple[list[AssetId], list[str]]:
    return [asset for asset, _ in pairs], [name for _, name in pairs]
