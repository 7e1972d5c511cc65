"""originals/<store>/…: each store's own folders and file names, bytes and all."""

from __future__ import annotations

import os

from damfs.catalog import predicates, stores
from damfs.catalog.database import Connection
from damfs.catalog.stores import Folder, Shown
from damfs.core.asset_names import is_text
from damfs.core.trash_commands import ReturnTo
from damfs.errors import ReadOnly
from damfs.model import AssetId, AssetState, Facet, FolderId, StoreKind
from damfs.presentation.views.view import READ_DIRECTORY, Commands, Entry, Place, Thing, ThingKind, View


class Originals(View):
    name = "originals"
    place_kind = 9
    raw_names = True
    keys_only = True

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if place.id is None:
            store = stores.store_named(connection, name) if is_text(name) else None
            return None if store is None else self._store_entry(name, stores.root_folder(connection, store.id))
        raw = os.fsencode(name)
        folder = stores.folder_named(connection, FolderId(place.id), raw)
        if folder is not None and folder.live:
            return self._folder_entry(folder)
        found = stores.shown(connection, FolderId(place.id), raw)
        return None if found is None else file_entry(found)

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        if place.id is None:
            return [
                self._store_entry(store.name, stores.root_folder(connection, store.id))
                for store in stores.all_stores(connection)
            ]
        folders = stores.list_folders(connection, FolderId(place.id))
        names = {folder.name for folder in folders}  # a file that became a folder, until a scan has seen all of it
        return [self._folder_entry(folder) for folder in folders] + [
            file_entry(row) for row in stores.list_shown(connection, FolderId(place.id)) if row.name not in names
        ]

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        if place.id is None:
            return frozenset({predicates.STORES_FACET})
        return frozenset({predicates.folder_facet(FolderId(place.id))})

    def path(self, connection: Connection, place: Place) -> tuple[str, ...] | None:
        if place.id is None:
            return ()
        folder = stores.folder(connection, FolderId(place.id))
        if folder is None:
            return None
        store = next(store.name for store in stores.all_stores(connection) if store.id == folder.store)
        below = stores.key_of(connection, folder.id, b"").split(b"/")[:-1]
        return (store, *map(os.fsdecode, below))

    def enter(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        """Out of the trash, into a folder of the writable store."""
        known, folder = self.library.asset(asset), stores.folder(connection, FolderId(place.id or 0))
        if known is None or folder is None or known.state is not AssetState.TRASHED:
            raise self.refusal(place)
        if self.library.blob_store(folder.store).kind is StoreKind.READ_ONLY:
            raise ReadOnly("nothing can be put into a read-only store")
        return [ReturnTo(asset, folder.id)]

    def leave(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        raise ReadOnly("files of a store are not removed through the mount")

    def _store_entry(self, name: str, root: FolderId) -> Entry:
        return Entry(name, self.place_of(root), 0, 0, READ_DIRECTORY)

    def _folder_entry(self, folder: Folder) -> Entry:
        return Entry(os.fsdecode(folder.name), self.place_of(folder.id), 0, 0, READ_DIRECTORY)


def file_entry(row: Shown) -> Entry:
    return Entry(os.fsdecode(row.name), Thing(ThingKind.ASSET, row.asset), row.size, row.mtime_ns, row.mode)
