"""Commands by which people arrange the writable store: folders made, removed, renamed; files put in them.

Applied like every command (one transaction, no await, no file). The disk was changed just before, or is just after:
`core.folders` says which, and how a crash between the two is made good.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

from damfs.catalog import folders, predicates, stores
from damfs.catalog.folders import Move
from damfs.catalog.stores import Child, Folder
from damfs.core.commands import Execution, known
from damfs.core.ingest import known_copy, mark_placed, place_copy
from damfs.core.news import seen, seen_folders, tell
from damfs.errors import NotFound
from damfs.model import AssetId, CopyId, Facet, Facts, FolderId, Key, StoreId
from damfs.storage.blob_store import FileFact

FOLDER_MODE = 0o755
MODE_BITS = 0o7777


@dataclass(frozen=True, slots=True)
class SetDestination:
    """A file that is being received is shown in this folder, and will lie there."""

    asset: AssetId
    folder: FolderId
    name: bytes

    def apply(self, x: Execution) -> None:
        known(x, self.asset)
        before = seen(x.tx, self.asset)
        folders.set_destination(x.tx, self.asset, self.folder, self.name)
        tell(x.changes, "destined", self.asset, before, seen(x.tx, self.asset))


@dataclass(frozen=True, slots=True)
class MarkPlaced:
    """A person put a file where it is."""

    store: StoreId
    key: Key

    def apply(self, x: Execution) -> None:
        mark_placed(x, self.store, self.key)


@dataclass(frozen=True, slots=True)
class AddName:
    """A file of the store has one more name."""

    copy: CopyId
    placed: FileFact

    def apply(self, x: Execution) -> None:
        copy = known_copy(x, self.copy)
        before = seen(x.tx, copy.asset)
        grown = place_copy(x, copy.blob, copy.asset, copy.store, self.placed)
        mark_placed(x, copy.store, self.placed.key)
        tell(x.changes, "linked", copy.asset, before, seen(x.tx, copy.asset), grown)


@dataclass(frozen=True, slots=True)
class RemoveName:
    """A file of the store has lost one of its names; others are left."""

    copy: CopyId

    def apply(self, x: Execution) -> None:
        copy = known_copy(x, self.copy)
        before = seen(x.tx, copy.asset)
        stores.remove_copy(x.tx, self.copy)
        tell(x.changes, "unlinked", copy.asset, before)


@dataclass(frozen=True, slots=True)
class LosePlace:
    """A file that is missing was last seen where another is put now."""

    copy: CopyId

    def apply(self, x: Execution) -> None:
        copy = known_copy(x, self.copy)
        folders.lose_place(x.tx, self.copy)
        x.changes.record("unlinked", frozenset(), asset=copy.asset)


@dataclass(frozen=True, slots=True)
class MakeFolder:
    parent: FolderId
    name: bytes
    mode: int

    def apply(self, x: Execution) -> FolderId:
        parent = known_folder(x, self.parent)
        there = stores.folder_named(x.tx, self.parent, self.name)
        if there is not None and not there.live:
            folders.remove_folder(x.tx, there.id)
        path = [*folder_path(x, parent), self.name]
        made, _ = stores.ensure_folder(x.tx, parent.store, path)
        folders.set_attribute(x.tx, made, self.mode & MODE_BITS, None)
        folders.content_changed(x.tx, self.parent)
        _tell_folders(x, "folder-made", (), [Child(self.parent, self.name)], {predicates.folder_facet(made)})
        return made


@dataclass(frozen=True, slots=True)
class RemoveFolder:
    folder: FolderId

    def apply(self, x: Execution) -> None:
        folder = known_folder(x, self.folder)
        if folder.parent is None:
            raise NotFound("the top folder of a store stays")
        folders.remove_folder(x.tx, self.folder)
        folders.content_changed(x.tx, folder.parent)
        _tell_folders(x, "folder-removed", [Child(folder.parent, folder.name)], ())


@dataclass(frozen=True, slots=True)
class BeginMove:
    """A folder is about to be renamed on the disk."""

    move: Move

    def apply(self, x: Execution) -> None:
        folders.begin_move(x.tx, self.move)


@dataclass(frozen=True, slots=True)
class EndMove:
    """``done``: whether the disk has it at its new name."""

    move: Move
    done: bool

    def apply(self, x: Execution) -> None:
        folders.end_move(x.tx, self.move.folder)
        folder = known_folder(x, self.move.folder)
        if not self.done or folder.parent is None:
            return
        folders.move_folder(x.tx, *self.move)
        for parent in {folder.parent, self.move.parent}:
            folders.content_changed(x.tx, parent)
        before, after = Child(folder.parent, folder.name), Child(self.move.parent, self.move.name)
        _tell_folders(x, "folder-moved", [before], [after], about={"folder": self.move.folder})


@dataclass(frozen=True, slots=True)
class SetFolder:
    """What a program sets of a folder; None: as it is."""

    folder: FolderId
    mode: int | None
    mtime_ns: int | None

    def apply(self, x: Execution) -> None:
        known_folder(x, self.folder)
        now = folders.attribute(x.tx, self.folder) or folders.Attribute(FOLDER_MODE, None)
        mode = now.mode if self.mode is None else self.mode & MODE_BITS
        folders.set_attribute(x.tx, self.folder, mode, now.mtime_ns if self.mtime_ns is None else self.mtime_ns)
        x.changes.record("folder-set", frozenset(), detail={"folder": self.folder})


@dataclass(frozen=True, slots=True)
class SetOwner:
    """A file belongs to another user of the mount."""

    asset: AssetId
    uid: int
    gid: int

    def apply(self, x: Execution) -> None:
        known(x, self.asset)
        folders.set_owner(x.tx, self.asset, self.uid, self.gid)
        x.changes.record("owner-set", frozenset(), asset=self.asset)


@dataclass(frozen=True, slots=True)
class SetFolderOwner:
    folder: FolderId
    uid: int
    gid: int

    def apply(self, x: Execution) -> None:
        SetFolder(self.folder, None, None).apply(x)
        folders.set_folder_owner(x.tx, self.folder, self.uid, self.gid)


@dataclass(frozen=True, slots=True)
class ContentChanged:
    """A name came to a folder or left it: the time that a program set of it holds no more."""

    folder: FolderId

    def apply(self, x: Execution) -> None:
        now = folders.attribute(x.tx, self.folder)
        if now is not None and now.mtime_ns is not None:
            folders.content_changed(x.tx, self.folder)
            x.changes.record("folder-set", frozenset(), detail={"folder": self.folder})


@dataclass(frozen=True, slots=True)
class AdoptFolders:
    """Folders that are on the disk: they are listed, though they may be empty."""

    store: StoreId
    keys: tuple[Key, ...]

    def apply(self, x: Execution) -> None:
        for key in self.keys:
            _, grown = stores.ensure_folder(x.tx, self.store, key.split(b"/"))
            if grown:
                tell(x.changes, "folders-found", None, seen_folders(grown))


def known_folder(x: Execution, id_: FolderId) -> Folder:
    found = stores.folder(x.tx, id_)
    if found is None:
        raise NotFound(f"no folder {id_}")
    return found


def folder_path(x: Execution, folder: Folder) -> list[bytes]:
    """The names of a folder and of those above it, outermost first."""
    return [] if folder.parent is None else stores.key_of(x.tx, folder.parent, folder.name).split(b"/")


def _tell_folders(
    x: Execution, kind: str, gone: Iterable[Child], come: Iterable[Child], own: Set[Facet] = frozenset(),
    about: Facts | None = None,
) -> None:  # fmt: skip
    """originals/ has the change already (the program made it there, and may be inside); proxies/ is told of names."""
    gone, come = list(gone), list(come)
    lists = {predicates.folder_facet(child.parent) for child in (*gone, *come)}
    x.changes.record(kind, own | lists, detail=about)
    facets = {predicates.proxies_facet(child.parent) for child in gone}
    keys = {"keys": sorted(child.name.hex() for child in gone)} if gone else {}
    x.changes.record(kind, facets | {predicates.proxies_facet(child.parent) for child in come}, detail=keys)
