"""Where the files of one batch go: each at a key that no other has, with few questions about all of them.

Point reads on the loop. Crash rule: none, nothing is kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from damfs.catalog import arrivals, stores
from damfs.catalog.arrivals import Received
from damfs.core.keys import keys_for
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.model import Asset, FolderId, Key
from damfs.storage.blob_store import Hashed


@dataclass(frozen=True, slots=True)
class Ready:
    """A received file whose bytes no asset has yet, and where it is to go."""

    asset: Asset
    hashed: Hashed
    key: Key


class FreeKeys:
    """Of one batch, on its way to the writable store."""

    def __init__(self, library: Library, reception: Reception) -> None:
        self._library = library
        self._reception = reception
        self._connection = library.db.writer
        self._store = library.library_store().id
        self._given: set[Key] = set()
        self._folders: dict[bytes, FolderId | None] = {}
        self._paths: dict[FolderId, Key] = {}

    def of(self, received: Received) -> Key | None:
        """None where a person put it in the place of another file, which has to make way first."""
        key = self._first(received)
        if key in self._given or self._is_taken(key):
            if received.folder is not None and key not in self._given:
                return None
            free = self._reception.free_keys(received.asset)
            key = next(each for each in free if each not in self._given)
        self._given.add(key)
        return key

    def _first(self, received: Received) -> Key:
        if received.folder is None or received.name is None:
            return next(keys_for(received.asset.name, self._library.day(received.asset.mtime_ns)))
        if received.folder not in self._paths:
            self._paths[received.folder] = stores.key_of(self._connection, received.folder, b"")
        return Key(self._paths[received.folder] + received.name)

    def _is_taken(self, key: Key) -> bool:
        """As `keys.is_taken`: also by a file that is missing now."""
        path, _, name = key.rpartition(b"/")
        if path not in self._folders:
            parts, _ = stores.split_key(key)
            self._folders[path] = stores.folder_at(self._connection, self._store, parts)
        folder = self._folders[path]
        return folder is not None and bool(arrivals.taken_names(self._connection, folder, [name]))
