"""Commands of a scan: what a file that was read turned out to be, and what became of files that are gone.

Applied like every command (one transaction, no await, no file); each may run again after a crash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from damfs.catalog import assets, stores, trash, versions
from damfs.catalog.stores import Child, Folder
from damfs.core.asset_names import clean_name
from damfs.core.commands import Execution, known
from damfs.core.ingest import describe_known, known_copy, mark_lost, move_tags, place_copy, revive
from damfs.core.keys import is_trash, name_in_trash, versioned_name
from damfs.core.news import Seen, seen, seen_folders, tell
from damfs.core.trash_commands import Restore
from damfs.model import (
    Asset,
    AssetId,
    AssetState,
    BlobId,
    Copy,
    CopyId,
    CopyState,
    Digest,
    FolderId,
    Key,
    Media,
    StoreId,
)
from damfs.storage.blob_store import FileFact
from damfs.storage.droppings import is_temporary

FOUND_MODE = 0o644
NOBODY = AssetId(0)


class Found(StrEnum):
    """What a file of a scan turned out to be."""

    NEW = "new"
    CHANGED = "changed"
    MOVED = "moved"
    COPIED = "copied"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A file of a store was read by a scan. ``gone``: copies whose keys the same scan did not meet, with those keys."""

    store: StoreId
    fact: FileFact
    digest: Digest
    media: Media
    day: str
    gone: Mapping[CopyId, Key]

    def apply(self, x: Execution) -> Found:
        parts, name = stores.split_key(self.fact.key)
        folder = stores.folder_at(x.tx, self.store, parts)
        here = None if folder is None else stores.copy_at(x.tx, folder, name)
        blob = stores.ensure_blob(x.tx, self.digest, self.fact.size)
        if here is not None and here.blob == blob:
            return self._same(x, here)
        moved = self._lost_copy(x, blob, name)
        if moved is not None:
            return self._moved(x, moved, here)
        if here is not None and not self._is_shared(x, here) and known(x, here.asset).blob == here.blob:
            return self._changed(x, here, blob)
        if here is None and self._is_earlier(x, folder, name, blob):
            return Found.SAME
        return self._new(x, blob, here)

    def _same(self, x: Execution, here: Copy) -> Found:
        stores.set_copy_stat(x.tx, here.id, self.fact.mtime_ns, self.fact.inode, x.at_ns)
        if here.state is not CopyState.PRESENT:
            _, grown = stores.ensure_folder(x.tx, self.store, stores.split_key(self.fact.key)[0])
            revive(x, here.blob)
            x.planner.plan_jobs(x.tx, here.blob, x.at_ns)
            tell(x.changes, "found", here.asset, seen(x.tx, here.asset), seen_folders(grown))
        return Found.SAME

    def _is_earlier(self, x: Execution, folder: FolderId | None, name: bytes, blob: BlobId) -> bool:
        """Whether it is an earlier version of the file beside it, left without a row: it becomes one of its copies."""
        base = versioned_name(name)
        beside = None if folder is None or base is None else stores.copy_at(x.tx, folder, base)
        if beside is None or not versions.has(x.tx, beside.asset, blob):
            return False
        place_copy(x, blob, beside.asset, self.store, self.fact)
        x.changes.record("copied", frozenset(), asset=beside.asset)
        return True

    def _lost_copy(self, x: Execution, blob: BlobId, name: bytes) -> Copy | None:
        """A copy of the same bytes in this store whose own key is gone: the file was moved here. Best of the same
        name, so that equal files that were moved together keep their assets."""
        lost = [
            copy
            for copy in stores.copies_of_blob(x.tx, blob)
            if copy.store == self.store and (copy.state is CopyState.MISSING or self._is_gone(x, copy))
        ]
        return min(lost, key=lambda copy: copy.name != name, default=None)

    def _is_gone(self, x: Execution, copy: Copy) -> bool:
        """Its key was not met, and no other file of this scan took it over already."""
        return self.gone.get(copy.id) == stores.key_of(x.tx, copy.folder, copy.name)

    def _is_shared(self, x: Execution, here: Copy) -> bool:
        """Whether the asset that is shown at the key has another file with its bytes: then it stays what it is. One
        that keeps them as an earlier version beside the key says the opposite."""
        return any(
            copy.id != here.id
            and copy.blob == here.blob
            and copy.state is CopyState.PRESENT
            and not self._is_gone(x, copy)
            and (copy.folder, versioned_name(copy.name)) != (here.folder, here.name)
            for copy in stores.copies_of_asset(x.tx, here.asset)
        )

    def _moved(self, x: Execution, copy: Copy, here: Copy | None) -> Found:
        before = seen(x.tx, copy.asset)
        if here is not None:
            MarkMissing(here.id).apply(x)  # the file that was moved replaced another
        parts, name = stores.split_key(self.fact.key)
        folder, grown = stores.ensure_folder(x.tx, self.store, parts)
        copy_key = stores.key_of(x.tx, copy.folder, copy.name)
        stores.move_copy(x.tx, copy.id, folder, name, self.fact.mtime_ns, self.fact.inode, x.at_ns)
        if is_trash(copy_key) and not is_trash(self.fact.key):
            trash.drop_aside(x.tx, copy.id)
        if not is_trash(copy_key) and not is_trash(self.fact.key):
            self._rename(x, known(x, copy.asset), copy.name, name)
        revive(x, copy.blob)
        if is_trash(copy_key) and not is_trash(self.fact.key) and known(x, copy.asset).state is AssetState.TRASHED:
            Restore(copy.asset).apply(x)  # a person took the file out of the trash folder
        tell(x.changes, "moved", copy.asset, before, seen(x.tx, copy.asset), seen_folders(grown))
        return Found.MOVED

    def _rename(self, x: Execution, asset: Asset, old: bytes, new: bytes) -> None:
        """An asset goes by its file's name until a person gives it another."""
        if asset.name == clean_name(old) != clean_name(new):
            assets.set_name(x.tx, asset.id, clean_name(new))
            if asset.blob is not None and is_temporary(asset.name):
                x.planner.plan_jobs(x.tx, asset.blob, x.at_ns)

    def _changed(self, x: Execution, here: Copy, blob: BlobId) -> Found:
        """Other bytes at a known key: a new version of the asset that is shown there."""
        before, state = seen(x.tx, here.asset), known(x, here.asset).state
        assets.add_version(x.tx, here.asset, blob, self.fact.size, self.fact.mtime_ns, x.at_ns)
        if state is AssetState.TRASHED:
            assets.set_state(x.tx, here.asset, state)
        assets.set_media(x.tx, here.asset, self.media)
        assets.set_day(x.tx, here.asset, self.day, None)
        describe_known(x, here.asset, blob)
        grown = place_copy(x, blob, here.asset, self.store, self.fact)
        revive(x, blob)
        mark_lost(x, here.blob)
        x.planner.plan_jobs(x.tx, blob, x.at_ns)
        tell(x.changes, "version-added", here.asset, before, seen(x.tx, here.asset), grown)
        return Found.CHANGED

    def _new(self, x: Execution, blob: BlobId, here: Copy | None) -> Found:
        """``here``: the copy whose place the file takes; its asset lives on in another file and shares its tags."""
        if is_trash(self.fact.key):
            return self._trashed(x, blob)
        name = stores.split_key(self.fact.key)[1]
        twin = assets.find_twin(x.tx, blob, clean_name(name), NOBODY) or self._missed(x, blob)
        before = Seen(frozenset()) if here is None else seen(x.tx, here.asset)
        id_ = self._inserted(x, blob, clean_name(name)) if twin is None else twin.id
        if here is not None:
            move_tags(x, here.asset, id_)
            x.changes.record("unlinked", frozenset(), asset=here.asset)
        if twin is not None and twin.state is AssetState.MISSING:
            before = self._follow(x, twin, name)
        grown = place_copy(x, blob, id_, self.store, self.fact)
        revive(x, blob)
        x.planner.plan_jobs(x.tx, blob, x.at_ns)
        tell(x.changes, "ingested" if twin is None else "copied", id_, before, seen(x.tx, id_), grown)
        return Found.NEW if twin is None else Found.COPIED

    def _trashed(self, x: Execution, blob: BlobId) -> Found:
        """A file of the trash folder that no row tells of (the catalog was made anew): an asset in the trash."""
        name = name_in_trash(stores.split_key(self.fact.key)[1])
        id_ = self._inserted(x, blob, clean_name(name))
        place_copy(x, blob, id_, self.store, self.fact)
        assets.set_state(x.tx, id_, AssetState.TRASHED)
        trash.put(x.tx, id_, x.at_ns, "")
        tell(x.changes, "trashed", id_, seen(x.tx, id_))
        return Found.NEW

    def _missed(self, x: Execution, blob: BlobId) -> Asset | None:
        """An asset whose file is gone from every store: this is that file, under another name in another store."""
        return next((asset for asset in assets.of_blob(x.tx, blob) if asset.state is AssetState.MISSING), None)

    def _follow(self, x: Execution, twin: Asset, name: bytes) -> Seen:
        """What listings showed of a missing asset that goes by the name of the file found now."""
        before = seen(x.tx, twin.id)
        for copy in stores.copies_of_asset(x.tx, twin.id):
            self._rename(x, known(x, twin.id), copy.name, name)
        return before

    def _inserted(self, x: Execution, blob: BlobId, name: str) -> AssetId:
        id_ = assets.insert_present(
            x.tx, name, self.media, blob, self.fact.size, self.fact.mtime_ns, FOUND_MODE, self.day, x.at_ns
        )
        describe_known(x, id_, blob)
        return id_


@dataclass(frozen=True, slots=True)
class MarkMissing:
    """The file of a copy is gone from a store that is online. Its assets are missing when no other copy is left."""

    copy: CopyId

    def apply(self, x: Execution) -> None:
        copy = known_copy(x, self.copy)
        before = seen(x.tx, copy.asset)
        stores.set_copy_state(x.tx, copy.id, CopyState.MISSING)
        tell(x.changes, "file-gone", copy.asset, before)
        mark_lost(x, copy.blob)


@dataclass(frozen=True, slots=True)
class HideFolders:
    """A scan found these folders without any file: they are not listed until one appears. Deepest first."""

    folders: tuple[Folder, ...]

    def apply(self, x: Execution) -> None:
        gone = [
            Child(folder.parent, folder.name)
            for folder in self.folders
            if folder.parent is not None and stores.hide_folder(x.tx, folder.id)
        ]
        if gone:
            tell(x.changes, "folders-gone", None, seen_folders(gone))
