"""Folders and files of the writable store as people arrange them through the mount: the disk first, then the rows.

Concurrency: one at a time, alone in the gate of `Library.publishing`, so that nothing is published into a folder that
is being renamed and no scan meets a file whose row is on its way. Disk work in threads. Crash rule: a file or folder
that the disk has and the catalog has not is adopted by the scan at start-up; of a folder that was being renamed
`settle_moves` knows which of its names it has, because the intention is committed first.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress

import trio

from damfs.catalog import folders, stores
from damfs.catalog.folders import Move
from damfs.catalog.stores import Folder
from damfs.core.arranging import (
    AddName,
    AdoptFolders,
    BeginMove,
    EndMove,
    LosePlace,
    MakeFolder,
    RemoveFolder,
    RemoveName,
)
from damfs.core.commands import Command
from damfs.core.file_moves import move_placed, settle_file_moves
from damfs.core.further_names import settle_names
from damfs.core.indexing import HideFolders
from damfs.core.ingest import MoveCopy
from damfs.core.keys import is_taken, keys_beside, link_or_take
from damfs.core.library import Library
from damfs.core.trashing import settle
from damfs.errors import Conflict, NotEmpty, NotFound, Refused, Unavailable
from damfs.model import TRASH_FOLDER, AssetId, AssetState, Copy, CopyId, CopyState, FolderId, Key, Store
from damfs.storage.local import LocalStore

log = logging.getLogger(__name__)

ACTOR = "fuse"
BATCH = 100
Also = Sequence[Command[object]]


async def make_folder(library: Library, parent: FolderId, name: bytes, mode: int) -> FolderId:
    """Raises Conflict, NotFound."""
    async with library.publishing.alone():
        files = _files(library, parent)
        await trio.to_thread.run_sync(files.make_folder, _key(library, parent, name))
        return library.perform(MakeFolder(parent, name, mode), ACTOR)


async def remove_folder(library: Library, folder: FolderId) -> None:
    """Raises NotEmpty, also when the disk holds something there that no view shows."""
    await _clear_unlisted(library, folder)
    async with library.publishing.alone():
        if folders.holds_anything(library.db.writer, folder):
            raise NotEmpty("the folder still holds something")
        key = _folder_key(library, folder)
        await trio.to_thread.run_sync(_files(library, folder).remove_folder, key)
        if folders.holds_anything(library.db.writer, folder):
            await trio.to_thread.run_sync(_files(library, folder).make_folder, key)
            raise NotEmpty("a file was just made in the folder")
        library.perform(RemoveFolder(folder), ACTOR)


async def move_folder(library: Library, move: Move) -> None:
    """With all that is below it. Raises NotEmpty, Conflict; Refused when it would come to lie in itself."""
    connection = library.db.writer
    there = stores.folder_named(connection, move.parent, move.name)
    if there is not None and there.id != move.folder:
        await _clear_unlisted(library, there.id)
    async with library.publishing.alone():
        if folders.lies_in(connection, move.parent, move.folder):
            raise Refused("a folder cannot be moved into itself")
        there = stores.folder_named(connection, move.parent, move.name)
        taken = there is not None and there.live and there.id != move.folder
        if there is not None and taken and folders.holds_anything(connection, there.id):
            raise NotEmpty("the folder of that name still holds something")
        await _rename_folder(library, move)


async def _rename_folder(library: Library, move: Move) -> None:
    old, new = _folder_key(library, move.folder), _key(library, move.parent, move.name)
    library.perform(BeginMove(move), ACTOR, durable=True)
    try:
        await trio.to_thread.run_sync(_files(library, move.folder).move_folder, old, new)
    except BaseException:
        library.perform(EndMove(move, done=False), ACTOR)
        raise
    library.perform(EndMove(move, done=True), ACTOR)


async def settle_moves(library: Library) -> None:
    """Folders that were being renamed when damfs was killed take the name that the disk has, files their old one."""
    for move in folders.moves(library.db.writer):
        files, old = _files(library, move.folder), _folder_key(library, move.folder)
        done = not await trio.to_thread.run_sync(files.has_folder, old)
        new = _key(library, move.parent, move.name)
        done = done and await trio.to_thread.run_sync(files.has_folder, new)
        library.perform(EndMove(move, done=done), ACTOR, durable=True)
    await settle_names(library)
    await settle_file_moves(library)


async def move_file(library: Library, copy: CopyId, folder: FolderId, name: bytes, also: Also = ()) -> None:
    """Give a file another key. ``also`` is committed with it. Raises Conflict, NotFound."""
    asked = _copy(library, copy)
    await free_name(library, folder, name)
    async with library.publishing.alone():
        await move_placed(library, _meant(library, asked), _key(library, folder, name), also)


async def link_file(library: Library, copy: CopyId, folder: FolderId, name: bytes, also: Also = ()) -> None:
    """A second name for a file. Raises Conflict, NotFound."""
    asked = _copy(library, copy)
    await free_name(library, folder, name)
    async with library.publishing.alone():
        found = _meant(library, asked)
        key, new_key = _key(library, found.folder, found.name), _key(library, folder, name)
        placed = await trio.to_thread.run_sync(link_or_take, _files(library, folder), key, new_key)
        library.execute([AddName(found.id, placed), *also], ACTOR)


async def remove_name(library: Library, copy: CopyId, also: Also = ()) -> None:
    """Take one of several names of a file away. The bytes are looked at first under a name that is kept: nothing is
    removed before they are known to be good there. Raises Refused when no such name is left."""
    asked = _copy(library, copy)
    async with library.publishing.alone():
        found = _meant(library, asked)
        if not await _kept_elsewhere(library, found):
            raise Refused("the other names of this file cannot be read; this one is kept")
        key = _key(library, found.folder, found.name)
        await trio.to_thread.run_sync(_files(library, found.folder).remove, key)
        library.execute([RemoveName(found.id), *also], ACTOR)


async def _kept_elsewhere(library: Library, copy: Copy) -> bool:
    """Whether another name of the same store leads to the same file, or to one with the same bytes."""
    files = library.blob_store(copy.store)
    for other in other_names(library, copy):
        key = _key(library, other.folder, other.name)
        try:
            if (await trio.to_thread.run_sync(files.stat, key)).inode == copy.inode:
                return True
            hashed = await trio.to_thread.run_sync(files.hash, key)
        except (NotFound, Unavailable):
            continue
        if hashed.digest == stores.digest_of(library.db.writer, copy.blob):
            return True
    return False


def other_names(library: Library, copy: Copy) -> list[Copy]:
    """Other files of the same asset with the same bytes in the same store."""
    return [
        other
        for other in stores.copies_of_asset(library.db.writer, copy.asset)
        if other.id != copy.id and (other.store, other.blob, other.state) == (copy.store, copy.blob, CopyState.PRESENT)
    ]


async def free_name(library: Library, folder: FolderId, name: bytes) -> None:
    """Let go of a name that is not listed: its file is in the trash, missing, or an earlier version. Call it outside
    of the gate."""
    there = stores.copy_at(library.db.writer, folder, name)
    if there is not None and there.state is CopyState.MISSING:
        library.perform(LosePlace(there.id), ACTOR)
    elif there is not None:
        await _make_way(library, there)


async def _clear_unlisted(library: Library, folder: FolderId) -> None:
    for copy in folders.unlisted_files(library.db.writer, folder):
        await _make_way(library, copy)


async def _make_way(library: Library, copy: Copy) -> None:
    """A file in the trash moves there; one of an earlier version to where the current one lies."""
    asset = library.asset(copy.asset)
    if asset is None or asset.state is AssetState.TRASHED:
        await settle(library, [copy.asset])
        return
    async with library.publishing.alone():
        connection = library.db.writer
        if stores.copy(connection, copy.id) != copy:
            return  # it has gone elsewhere meanwhile
        current = [each for each in stores.copies_of_asset(connection, asset.id) if each.blob == asset.blob]
        beside = next((each.folder for each in current if each.store == copy.store), copy.folder)
        key, files = _key(library, copy.folder, copy.name), library.blob_store(copy.store)
        if copy.blob == asset.blob:
            return
        for new_key in keys_beside(_key(library, beside, copy.name)):
            if new_key != key and not is_taken(connection, copy.store, new_key, AssetId(0)):
                with suppress(Conflict):
                    placed = await trio.to_thread.run_sync(files.move, key, new_key)
                    library.perform(MoveCopy(copy.id, placed), ACTOR)
                    return


async def reconcile_folders(library: Library, store: Store) -> None:
    """List the folders that the disk of the writable store has, and no others. Made or removed meanwhile: asked again
    for those that differ, while nobody arranges anything."""
    files = library.blob_store(store.id)
    on_disk = await trio.to_thread.run_sync(lambda: {key for key in files.folders() if not is_own(key)})
    listed = await library.db.read(lambda connection: folders.list_listed(connection, store.id))
    come = sorted(on_disk - listed.keys())
    for start in range(0, len(come), BATCH):
        async with library.publishing.alone():
            keys = await trio.to_thread.run_sync(_there, files, come[start : start + BATCH])
            library.perform(AdoptFolders(store.id, tuple(keys)), "scan")
    gone = {key: row for key, row in listed.items() if key not in on_disk}
    if gone:
        async with library.publishing.alone():
            still = set(await trio.to_thread.run_sync(_there, files, list(gone)))
            left = [row for key, row in gone.items() if _is_at(library, row, key) and (key not in still or is_own(key))]
            library.perform(HideFolders(tuple(_deepest_first(left))), "scan")


def _is_at(library: Library, row: Folder, key: Key) -> bool:
    """Whether it has not been renamed since."""
    now = stores.folder(library.db.writer, row.id)
    return now is not None and now.parent is not None and _key(library, now.parent, now.name) == key


def is_own(key: bytes) -> bool:
    """Whether damfs keeps it for itself."""
    return key.split(b"/", 1)[0] == TRASH_FOLDER


def _there(files: LocalStore, keys: Sequence[Key]) -> list[Key]:
    return [key for key in keys if files.has_folder(key)]


def _deepest_first(rows: Sequence[Folder]) -> list[Folder]:
    parents = {row.id: row.parent for row in rows}

    def depth(row: Folder) -> int:
        steps, current = 0, row.parent
        while current is not None:
            steps, current = steps + 1, parents.get(current)
        return steps

    return sorted(rows, key=depth, reverse=True)


def _copy(library: Library, id_: CopyId) -> Copy:
    found = stores.copy(library.db.writer, id_)
    if found is None:
        raise NotFound(f"no copy {id_}")
    return found


def _meant(library: Library, asked: Copy) -> Copy:
    """What lies there now: where a next version took the name meanwhile, the row is that of the version before."""
    there = stores.copy_at(library.db.writer, asked.folder, asked.name)
    return there if there is not None and there.asset == asked.asset else _copy(library, asked.id)


def _files(library: Library, folder: FolderId) -> LocalStore:
    found = stores.folder(library.db.writer, folder)
    if found is None:
        raise NotFound(f"no folder {folder}")
    return library.blob_store(found.store)


def _key(library: Library, folder: FolderId, name: bytes) -> Key:
    """Raises NotFound when the folder was removed."""
    if stores.folder(library.db.writer, folder) is None:
        raise NotFound(f"no folder {folder}")
    return stores.key_of(library.db.writer, folder, name)


def _folder_key(library: Library, folder: FolderId) -> Key:
    found = stores.folder(library.db.writer, folder)
    if found is None or found.parent is None:
        raise Refused("the top folder of a store stays as it is")
    return _key(library, found.parent, found.name)
