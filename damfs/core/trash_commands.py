"""Commands around the trash: out of it again, files moved aside and back, and the end of the retention.

Applied like every command (one transaction, no await, no file). `core.trashing` does the work on files between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from damfs.catalog import assets, desktop_trash, predicates, rewrites, stores, trash
from damfs.core.asset_names import clean_name
from damfs.core.commands import Execution, known
from damfs.core.ingest import known_copy, revive
from damfs.core.news import seen, seen_folders, tell
from damfs.errors import Conflict, Refused
from damfs.model import AssetId, AssetState, Copy, CopyId, CopyState, FolderId, Key, StoreId
from damfs.storage.blob_store import FileFact

NOTE_ENDING = ".trashinfo"


@dataclass(frozen=True, slots=True)
class Restore:
    """Out of the trash, into every place it was in; missing when none of its files is left."""

    asset: AssetId

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        if asset.state is not AssetState.TRASHED or asset.blob is None:
            raise Refused(f"{asset.name} is not in the trash")
        before = seen(x.tx, self.asset)
        there = any(copy.state is not CopyState.MISSING for copy in stores.copies_of_blob(x.tx, asset.blob))
        _hide(x, self.asset, with_note=True)
        trash.take(x.tx, self.asset)
        assets.set_state(x.tx, self.asset, AssetState.PRESENT if there else AssetState.MISSING)
        x.planner.plan_jobs(x.tx, asset.blob, x.at_ns)
        tell(x.changes, "restored", self.asset, before, seen(x.tx, self.asset))


@dataclass(frozen=True, slots=True)
class Untriage:
    """Back into the inbox."""

    asset: AssetId

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        if not asset.triaged:
            return
        assets.set_triaged(x.tx, self.asset, False)
        x.changes.record("untriaged", {predicates.INBOX_FACET}, asset=self.asset, names=(asset.name,))


@dataclass(frozen=True, slots=True)
class ReturnTo:
    """When its file comes back from the trash, it is to lie in this folder, under the asset's own name."""

    asset: AssetId
    folder: FolderId

    def apply(self, x: Execution) -> None:
        asset, folder = known(x, self.asset), stores.folder(x.tx, self.folder)
        copies = [copy for copy in stores.copies_of_asset(x.tx, self.asset) if copy.blob == asset.blob]
        aside = [copy for copy in copies if copy.folder == trash.trash_folder(x.tx, copy.store)]
        if folder is None or not aside or aside[0].store != folder.store:
            raise Refused(f"{asset.name} has no file that could be put there; restore it with: damfs restore")
        key = stores.key_of(x.tx, self.folder, asset.name.encode())
        trash.set_aside(x.tx, aside[0].id, key, unfinished=False)


@dataclass(frozen=True, slots=True)
class PutAside:
    """A file was moved out of the way: linked into the trash folder, its old name is removed after this."""

    copy: CopyId
    former: Key
    placed: FileFact

    def apply(self, x: Execution) -> None:
        _place(x, self.copy, self.former, self.placed)
        trash.set_aside(x.tx, self.copy, self.former, unfinished=True)


@dataclass(frozen=True, slots=True)
class BringBack:
    """A file of the trash folder has its place in the store again; its name there is removed after this."""

    copy: CopyId
    former: Key
    placed: FileFact

    def apply(self, x: Execution) -> None:
        _place(x, self.copy, self.former, self.placed)
        trash.drop_aside(x.tx, self.copy)


def _place(x: Execution, id_: CopyId, former: Key, placed: FileFact) -> None:
    """Raises Conflict when it lies elsewhere than it was found."""
    copy = known_copy(x, id_)
    if stores.key_of(x.tx, copy.folder, copy.name) != former:
        raise Conflict("the file was moved meanwhile")
    before = seen(x.tx, copy.asset)
    parts, name = stores.split_key(placed.key)
    folder, grown = stores.ensure_folder(x.tx, copy.store, parts)
    trash.set_place(x.tx, copy.id, folder, name, placed.mtime_ns, placed.inode)
    tell(x.changes, "filed", copy.asset, before, seen(x.tx, copy.asset), seen_folders(grown))


@dataclass(frozen=True, slots=True)
class FinishAside:
    """The old name of a file that was moved out of the way is gone."""

    copy: CopyId

    def apply(self, x: Execution) -> None:
        trash.finish_aside(x.tx, self.copy)


class Ended(NamedTuple):
    """What is to be removed now that an asset has expired: files of stores, and of renditions."""

    files: Sequence[tuple[StoreId, Key]] = ()
    renditions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Expire:
    """The only way an original is ever deleted: in the trash since before ``before_ns``, which is read again here.
    ``good``: copies of its bytes that were read just now, and are good; no others are relied on."""

    asset: AssetId
    before_ns: int
    good: frozenset[CopyId] = frozenset()

    def apply(self, x: Execution) -> Ended | None:
        """None: it stays."""
        asset, standing = assets.asset(x.tx, self.asset), trash.trashed(x.tx, self.asset)
        if asset is None or asset.state is not AssetState.TRASHED or standing is None:
            return None
        copies = stores.copies_of_asset(x.tx, self.asset)
        if standing.at_ns >= self.before_ns or standing.held or not all(self._is_aside(x, each) for each in copies):
            return None
        if rewrites.of(x.tx, self.asset) is not None:
            return None  # its last bytes are staged, and no version yet
        _hide(x, self.asset, with_note=True)
        before, blobs = seen(x.tx, self.asset), trash.blobs_of(x.tx, self.asset)
        files = [doomed for copy in copies if (doomed := self._end(x, copy)) is not None]
        assets.delete(x.tx, self.asset)
        keys = [key for blob in blobs for key in trash.drop_blob_if_unused(x.tx, blob)]
        tell(x.changes, "expired", self.asset, before, detail={"name": asset.name, "size": asset.size})
        return Ended(files, keys)

    def _is_aside(self, x: Execution, copy: Copy) -> bool:
        return copy.state is CopyState.MISSING or copy.folder == trash.trash_folder(x.tx, copy.store)

    def _end(self, x: Execution, copy: Copy) -> tuple[StoreId, Key] | None:
        """The file of a copy that goes away. One that others have no other file for becomes theirs."""
        if copy.state is CopyState.PRESENT and (heir := self._heir(x, copy)) is not None:
            stores.give_copy(x.tx, copy.id, heir)
            trash.drop_aside(x.tx, copy.id)
            revive(x, copy.blob)
            x.changes.record("copied", frozenset(), asset=heir)
            return None
        key = stores.key_of(x.tx, copy.folder, copy.name)
        is_file = copy.state is not CopyState.MISSING
        stores.remove_copy(x.tx, copy.id)
        if is_file:
            trash.doom(x.tx, copy.store, key)
        return (copy.store, key) if is_file else None

    def _heir(self, x: Execution, copy: Copy) -> AssetId | None:
        """An asset with a version of these bytes, where no other asset's file of them was found good."""
        others = stores.copies_of_blob(x.tx, copy.blob)
        if any(each.asset != self.asset and each.id in self.good for each in others):
            return None
        return next(iter(trash.users_of_blob(x.tx, copy.blob, self.asset)), None)


@dataclass(frozen=True, slots=True)
class Spare:
    """The file of an expired asset is removed."""

    store: StoreId
    key: Key

    def apply(self, x: Execution) -> None:
        trash.spare(x.tx, self.store, self.key)


@dataclass(frozen=True, slots=True)
class NameInTrash:
    """A file manager shows an asset of the trash in its own, under this name."""

    uid: int
    name: str
    asset: AssetId

    def apply(self, x: Execution) -> None:
        name, old = clean_name(self.name), desktop_trash.name_of(x.tx, self.asset)
        desktop_trash.set_name(x.tx, self.uid, name, self.asset)
        _tell_desktop(x, name, *(() if old is None else (old[1],)))


@dataclass(frozen=True, slots=True)
class HideInTrash:
    """A file manager shows it no more: for whom uses it the trash is emptied. It stays until its retention ends.
    ``last``: what the file manager called it in the end, where nothing is by that name."""

    asset: AssetId
    last: str = ""

    def apply(self, x: Execution) -> None:
        _hide(x, self.asset, with_note=False)
        if self.last:
            _tell_desktop(x, self.last)


@dataclass(frozen=True, slots=True)
class MakeNote:
    """A small text that a file manager keeps beside what it trashed."""

    uid: int
    name: str

    def apply(self, x: Execution) -> int:
        name = clean_name(self.name)
        if desktop_trash.note_named(x.tx, self.uid, name) is not None:
            raise Conflict(f"{name} is there already")
        _tell_desktop(x, name)
        return desktop_trash.make_note(x.tx, self.uid, name, x.at_ns)


@dataclass(frozen=True, slots=True)
class WriteNote:
    note: int
    content: bytes

    def apply(self, x: Execution) -> None:
        desktop_trash.write_note(x.tx, self.note, self.content, x.at_ns)


@dataclass(frozen=True, slots=True)
class RenameNote:
    """In place of one that has the name."""

    note: int
    name: str

    def apply(self, x: Execution) -> None:
        found, name = desktop_trash.note(x.tx, self.note), clean_name(self.name)
        if found is not None and found.name != name:
            desktop_trash.rename_note(x.tx, self.note, name)
            _tell_desktop(x, found.name, name)


@dataclass(frozen=True, slots=True)
class DropNote:
    note: int

    def apply(self, x: Execution) -> None:
        found = desktop_trash.note(x.tx, self.note)
        if found is not None:
            desktop_trash.drop_note(x.tx, found.uid, found.name)
            _tell_desktop(x, found.name)


def _hide(x: Execution, asset: AssetId, *, with_note: bool) -> None:
    """``with_note``: also what the file manager wrote about it; it removes that itself where it takes the asset out."""
    found = desktop_trash.name_of(x.tx, asset)
    if found is not None:
        uid, name = found
        desktop_trash.drop_name(x.tx, asset)
        if with_note:
            desktop_trash.drop_note(x.tx, uid, name + NOTE_ENDING)
        _tell_desktop(x, name, name + NOTE_ENDING)


def _tell_desktop(x: Execution, *names: str) -> None:
    x.changes.record("desktop-trash", {predicates.DESKTOP_TRASH_FACET}, names=names)
