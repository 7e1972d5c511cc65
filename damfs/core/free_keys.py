"""Where the files of one batch go: each at a key that no other has, with few questions about all of them.

Point reads on the loop. Crash rule: none, nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from damfs.catalog import arrivals, stores
from damfs.catalog.arrivals import Received
from damfs.core.keys import keys_beside, keys_for
from damfs.core.library import Library
from damfs.model import Asset, FolderId, Key
from damfs.storage.blob_store import Hashed

AT_ONCE = 512
"""Keys asked about in one statement."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A received file whose bytes no asset has yet, and where it is to go."""

    asset: Asset
    hashed: Hashed
    key: Key


class FreeKeys:
    """Of one batch, on its way to the writable store."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._connection = library.db.writer
        self._store = library.library_store().id
        self._given: set[Key] = set()
        self._folders: dict[bytes, FolderId | None] = {}
        self._paths: dict[FolderId, Key] = {}
        self._beside: dict[Key, Iterator[Key]] = {}
        """Of each key that several files would have liked: those beside it that are free, each tried once."""

    def of(self, received: Received) -> Key | None:
        """None where a person put it in the place of another file, which has to make way first."""
        key = self._first(received)
        if key in self._given or self._is_taken(key):
            if received.folder is not None and key not in self._given:
                return None
            if key not in self._beside:
                self._beside[key] = self._free_beside(key)
            key = next(each for each in self._beside[key] if each not in self._given)
        self._given.add(key)
        return key

    def _first(self, received: Received) -> Key:
        if received.folder is None or received.name is None:
            return next(keys_for(received.asset.name, self._library.day(received.asset.mtime_ns)))
        if received.folder not in self._paths:
            self._paths[received.folder] = stores.key_of(self._connection, received.folder, b"")
        return Key(self._paths[received.folder] + received.name)

    def _free_beside(self, key: Key) -> Iterator[Key]:
        beside = keys_beside(key)
        while some := list(islice(beside, AT_ONCE)):
            taken = self._taken(key.rpartition(b"/")[0], [each.rpartition(b"/")[2] for each in some])
            yield from (each for each in some if each.rpartition(b"/")[2] not in taken)

    def _is_taken(self, key: Key) -> bool:
        path, _, name = key.rpartition(b"/")
        return name in self._taken(path, [name])

    def _taken(self, path: bytes, names: Sequence[bytes]) -> set[bytes]:
        """Those in a folder of the store that files have, as `keys.is_taken`: also one that is missing now."""
        if path not in self._folders:
            parts = path.split(b"/") if path else []
            self._folders[path] = stores.folder_at(self._connection, self._store, parts)
        folder = self._folders[path]
        return set() if folder is None else arrivals.taken_names(self._connection, folder, names)
