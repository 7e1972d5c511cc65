"""proxies/…: the folders of originals/, each video replaced by its proxy; a proxy that is not finished is absent."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

from damfs.catalog import derived, predicates, stores
from damfs.catalog.database import Connection
from damfs.catalog.derived import ShownProxy
from damfs.core.asset_names import split_ending
from damfs.model import Facet, FolderId
from damfs.presentation.views.names import qualified, qualifier, shown_names
from damfs.presentation.views.originals import Originals
from damfs.presentation.views.view import READ_FILE, Entry, Place, Thing, ThingKind


class Proxies(Originals):
    name = "proxies"
    place_kind = 10

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if place.id is None:
            return super().lookup(connection, place, name)
        folder = stores.folder_named(connection, FolderId(place.id), os.fsencode(name))
        if folder is not None:
            return self._folder_entry(folder)
        return self._proxy(connection, FolderId(place.id), name)

    def _proxy(self, connection: Connection, folder: FolderId, name: str) -> Entry | None:
        """By its qualified name, else the lowest asset of that stem: what `list` shows."""
        id_ = qualifier(name)
        if id_ is not None:
            for row in derived.proxies_of_asset(connection, folder, id_):
                if qualified(proxy_name(row), id_) == name:
                    return proxy_entry(name, row)
        rows = derived.proxies_of_stem(connection, folder, os.fsencode(split_ending(name)[0]))
        return next((proxy_entry(name, row) for row in rows if proxy_name(row) == name), None)

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        if place.id is None:
            return super().list(connection, place)
        folders = stores.list_folders(connection, FolderId(place.id))
        rows = derived.list_proxies(connection, FolderId(place.id))
        names = shown_names([row.asset for row in rows], [proxy_name(row) for row in rows])
        return [self._folder_entry(folder) for folder in folders] + [
            proxy_entry(name, row) for name, row in zip(names, rows, strict=True)
        ]

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        if place.id is None:
            return frozenset({predicates.STORES_FACET})
        return frozenset({predicates.proxies_facet(FolderId(place.id))})


def proxy_name(row: ShownProxy) -> str:
    """The original's name with the proxy's ending."""
    return split_ending(os.fsdecode(row.name))[0] + PurePosixPath(row.key).suffix


def proxy_entry(name: str, row: ShownProxy) -> Entry:
    return Entry(name, Thing(ThingKind.RENDITION, row.rendition), row.size, row.made_ns, READ_FILE)
