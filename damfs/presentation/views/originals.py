"""originals/<store>/…: each store's own folders and file names, bytes and all.

The folders of the writable store can be written: `folder_edits` says what that means.
"""

from __future__ import annotations

import os

from damfs.catalog import folders, predicates, stores
from damfs.catalog.database import Connection
from damfs.catalog.stores import Folder, Shown
from damfs.core.arranging import ContentChanged
from damfs.core.asset_names import is_text
from damfs.core.commands import Abandon, Trash
from damfs.core.folders import is_own
from damfs.core.trash_commands import ReturnTo
from damfs.errors import ReadOnly, Refused
from damfs.model import AssetId, AssetState, Facet, FolderId
from damfs.presentation.views.view import (
    READ_DIRECTORY,
    WRITE_DIRECTORY,
    Commands,
    Entry,
    Place,
    Thing,
    ThingKind,
    View,
)


class Originals(View):
    name = "originals"
    place_kind = 9
    raw_names = True
    keys_only = True

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if place.id is None:
            store = stores.store_named(connection, name) if is_text(name) else None
            return (
                None if store is None else self._store_entry(connection, name, stores.root_folder(connection, store.id))
            )
        raw = os.fsencode(name)
        folder = stores.folder_named(connection, FolderId(place.id), raw)
        if folder is not None and folder.live:
            return None if is_own(raw) else self._folder_entry(connection, folder)
        found = stores.shown(connection, FolderId(place.id), raw)
        if found is None:
            found = folders.destined(connection, FolderId(place.id), raw)
        return None if found is None else file_entry(found)

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        if place.id is None:
            return [
                self._store_entry(connection, store.name, stores.root_folder(connection, store.id))
                for store in stores.all_stores(connection)
            ]
        id_ = FolderId(place.id)
        directories = listed_folders(connection, id_)
        names = {folder.name for folder in directories}  # a file that became a folder, until a scan has seen all of it
        files = [*stores.list_shown(connection, id_), *folders.list_destined(connection, id_)]
        return [self._folder_entry(connection, folder) for folder in directories] + [
            file_entry(row) for row in files if row.name not in names
        ]

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        if place.id is None:
            return frozenset({predicates.STORES_FACET})
        return frozenset({predicates.folder_facet(FolderId(place.id))})

    def mode(self, place: Place) -> int:
        return self._mode(self.library.db.writer, place)

    def _mode(self, connection: Connection, place: Place) -> int:
        if not self.writable(connection, place):
            return READ_DIRECTORY
        known = folders.attribute(connection, folder_of(place))
        return WRITE_DIRECTORY if known is None else known.mode

    def mtime_ns(self, connection: Connection, place: Place) -> int | None:
        known = None if place.id is None else folders.attribute(connection, FolderId(place.id))
        return None if known is None else known.mtime_ns

    def writable(self, connection: Connection, place: Place) -> bool:
        """Whether it is a folder of the writable store."""
        return place.id is not None and folders.is_writable(connection, FolderId(place.id))

    def path(self, connection: Connection, place: Place) -> tuple[str, ...] | None:
        if place.id is None:
            return ()
        folder = stores.folder(connection, FolderId(place.id))
        if folder is None:
            return None
        store = next(store.name for store in stores.all_stores(connection) if store.id == folder.store)
        below = stores.key_of(connection, folder.id, b"").split(b"/")[:-1]
        return (store, *map(os.fsdecode, below))

    def receive(self, place: Place) -> bool:
        if place.id is None:
            raise self.refusal(place)
        self._must_be_writable(place)
        return True

    def enter(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        """Out of the trash, into a folder of the writable store. All else `folder_edits` does."""
        known = self.library.asset(asset)
        if known is None or place.id is None or known.state is not AssetState.TRASHED:
            raise self.refusal(place)
        self._must_be_writable(place)
        return [ReturnTo(asset, FolderId(place.id))]

    def leave(self, connection: Connection, place: Place, asset: AssetId) -> Commands:
        """`rm originals/library/x`: into the trash."""
        self._must_be_writable(place)
        known = self.library.asset(asset)
        changed = ContentChanged(folder_of(place))
        receiving = known is not None and known.state is AssetState.RECEIVING
        return [Abandon(asset) if receiving else Trash(asset), changed]

    def _must_be_writable(self, place: Place) -> None:
        if not self.writable(self.library.db.writer, place):
            raise ReadOnly("files of this store are not changed through the mount")

    def _store_entry(self, connection: Connection, name: str, root: FolderId) -> Entry:
        place = self.place_of(root)
        return Entry(name, place, 0, 0, self._mode(connection, place))

    def _folder_entry(self, connection: Connection, folder: Folder) -> Entry:
        place = self.place_of(folder.id)
        return Entry(os.fsdecode(folder.name), place, 0, 0, self._mode(connection, place))


def folder_of(place: Place) -> FolderId:
    """Raises Refused for the directory that lists the stores."""
    if place.id is None:
        raise Refused("originals/ holds stores only; add one with: damfs add LIBRARY FOLDER")
    return FolderId(place.id)


def listed_folders(connection: Connection, parent: FolderId) -> list[Folder]:
    """What damfs keeps for itself is left out."""
    return [folder for folder in stores.list_folders(connection, parent) if not is_own(folder.name)]


def file_entry(row: Shown) -> Entry:
    return Entry(os.fsdecode(row.name), Thing(ThingKind.ASSET, row.asset), row.size, row.mtime_ns, row.mode)
