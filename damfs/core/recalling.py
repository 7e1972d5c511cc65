"""Commands that bring back what the notes of a store, or an old catalog, say of assets and folders beside their files.

Applied like every command, after a scan has found the files. A file that turns out to be an earlier version of an asset
ceases to be an asset of its own; nothing is changed on the disk.
"""

from __future__ import annotations

from dataclasses import dataclass

from damfs.catalog import assets, folders, standing, stores, versions
from damfs.catalog.standing import AssetNote, FolderNote, VersionNote
from damfs.core.asset_names import clean_name
from damfs.core.commands import Execution, known
from damfs.core.keys import name_in_trash, versioned_name
from damfs.core.news import seen, tell
from damfs.model import Asset, AssetId, AssetState, BlobId, Copy, Digest, Key, StoreId

MODE_BITS = 0o7777


@dataclass(frozen=True, slots=True)
class Recalled:
    asset: AssetId
    versions: int
    """Earlier ones that are back."""
    lost: int
    """Of these, how many have bytes in no store."""
    was_trashed: bool


@dataclass(frozen=True, slots=True)
class RecallAsset:
    """``asset``: the one it is, where an old catalog told; None: it is recognised by where its bytes lie, or by them.
    ``taken``: those that are known already; grows."""

    note: AssetNote
    asset: AssetId | None
    taken: set[AssetId]
    surely: bool
    """Only if the same bytes lie where they lay."""

    def apply(self, x: Execution) -> Recalled | None:
        store = next(store.id for store in stores.all_stores(x.tx) if not store.root)
        found = self.asset or self._there(x, store) or (None if self.surely else self._alike(x))
        if found is None:
            return None
        self.taken.add(found)
        before = seen(x.tx, found)
        if self.asset is None:
            assets.set_name(x.tx, found, clean_name(self.note.name))
        assets.set_mode(x.tx, found, self.note.mode & MODE_BITS)
        if self.note.owner is not None:
            folders.set_owner(x.tx, found, *self.note.owner)
        standing.restore_versions(x.tx, found, self.note.versions)
        earlier = [each for each in self.note.versions if each.digest != self._digest(x, found)]
        lost = sum(not self._claim(x, found, store, each) for each in earlier)
        is_trashed = self.note.trash is not None and known(x, found).state is AssetState.TRASHED
        if self.note.trash is not None and is_trashed:
            standing.restore_trashed(x.tx, found, self.note.trash, store)
        tell(x.changes, "restored", found, before, seen(x.tx, found))
        return Recalled(found, len(versions.of_asset(x.tx, found)) - 1, lost, is_trashed)

    def _digest(self, x: Execution, id_: AssetId) -> bytes:
        blob = known(x, id_).blob
        return b"" if blob is None else bytes(stores.digest_of(x.tx, blob))

    def _there(self, x: Execution, store: StoreId) -> AssetId | None:
        last = self.note.versions[-1]
        for key in last.keys:
            copy = _copy_at(x, store, key)
            free = copy is not None and copy.asset not in self.taken
            if copy is not None and free and bytes(stores.digest_of(x.tx, copy.blob)) == last.digest:
                return copy.asset
        return None

    def _alike(self, x: Execution) -> AssetId | None:
        """Of the same bytes and name: it was moved. Else what lies where it lay: it was changed."""
        blob, name = stores.blob_of(x.tx, Digest(self.note.versions[-1].digest)), clean_name(self.note.name)
        for each in _of_blob(x, blob):
            if each.id not in self.taken and each.name == name:
                return each.id
        store = next(store.id for store in stores.all_stores(x.tx) if not store.root)
        copies = (_copy_at(x, store, key) for key in self.note.versions[-1].keys)
        return next((copy.asset for copy in copies if copy is not None and copy.asset not in self.taken), None)

    def _claim(self, x: Execution, id_: AssetId, store: StoreId, version: VersionNote) -> bool:
        """Its bytes are the asset's: whether there are any."""
        blob = stores.blob_of(x.tx, Digest(version.digest))
        own = {copy.folder for copy in stores.copies_of_asset(x.tx, id_)}
        for copy in [] if blob is None else stores.copies_of_blob(x.tx, blob):
            key = bytes(stores.key_of(x.tx, copy.folder, copy.name))
            named_so = versioned_name(name_in_trash(copy.name)) is not None and copy.folder in own
            if copy.store == store and copy.asset not in self.taken and (key in version.keys or named_so):
                _give(x, copy, id_)
        return blob is not None and bool(stores.copies_of_blob(x.tx, blob))


@dataclass(frozen=True, slots=True)
class RecallFolder:
    note: FolderNote

    def apply(self, x: Execution) -> bool:
        """Whether it is there."""
        store = next(store.id for store in stores.all_stores(x.tx) if not store.root)
        return standing.restore_folder(x.tx, store, self.note)


def _give(x: Execution, copy: Copy, id_: AssetId) -> None:
    """The scan took the file for an asset of its own."""
    before = seen(x.tx, copy.asset)
    stores.give_copy(x.tx, copy.id, id_)
    if not stores.copies_of_asset(x.tx, copy.asset):
        assets.delete(x.tx, copy.asset)
    tell(x.changes, "merged", copy.asset, before, detail={"into": id_})


def _copy_at(x: Execution, store: StoreId, key: bytes) -> Copy | None:
    parts, name = stores.split_key(Key(key))
    folder = stores.folder_at(x.tx, store, parts)
    return None if folder is None else stores.copy_at(x.tx, folder, name)


def _of_blob(x: Execution, blob: BlobId | None) -> list[Asset]:
    return [] if blob is None else assets.of_blob(x.tx, blob)
