"""A file of the writable store gets another name: on the disk and in the catalog, or in neither.

Concurrency: the caller is alone in the gate of publishing; disk work in threads. Crash rule: the intention is committed
first; what a crash leaves between the disk and the rows is taken back at start-up, so that what else the rename means
(triaged, untagged, another name) is never half done. After a power loss the scan takes over what the disk has.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import trio

from damfs.catalog import folders, stores
from damfs.core.arranging import MarkPlaced
from damfs.core.commands import Command, Execution
from damfs.core.ingest import MoveCopy
from damfs.core.library import Library
from damfs.errors import DamfsError, NotFound
from damfs.model import Copy, CopyId, Key
from damfs.storage.blob_store import BlobStore

ACTOR = "fuse"


@dataclass(frozen=True, slots=True)
class BeginFileMove:
    copy: CopyId
    key: Key

    def apply(self, x: Execution) -> None:
        folders.begin_file_move(x.tx, self.copy, self.key)


@dataclass(frozen=True, slots=True)
class EndFileMove:
    copy: CopyId

    def apply(self, x: Execution) -> None:
        folders.end_file_move(x.tx, self.copy)


async def move_placed(library: Library, copy: Copy, new_key: Key, also: Sequence[Command[object]]) -> None:
    """``also`` is committed with it. Raises Conflict, NotFound, and what ``also`` raises: then the file is back."""
    files, key = library.blob_store(copy.store), stores.key_of(library.db.writer, copy.folder, copy.name)
    library.perform(BeginFileMove(copy.id, new_key), ACTOR)
    try:
        placed = await trio.to_thread.run_sync(files.move, key, new_key)
        moved: list[Command[object]] = [MoveCopy(copy.id, placed), MarkPlaced(copy.store, new_key)]
        library.execute([*moved, *also, EndFileMove(copy.id)], ACTOR)
    except DamfsError:
        await _settle(library, copy, new_key)
        raise


async def settle_file_moves(library: Library) -> None:
    """What a crash cut short."""
    for id_, new_key in folders.file_moves(library.db.writer):
        copy = stores.copy(library.db.writer, id_)
        if copy is not None and not folders.is_about_names(new_key):
            await _settle(library, copy, new_key)


async def _settle(library: Library, copy: Copy, new_key: Key) -> None:
    files, key = library.blob_store(copy.store), stores.key_of(library.db.writer, copy.folder, copy.name)
    with suppress(DamfsError):  # then it lies where the next scan finds it
        await trio.to_thread.run_sync(_take_back, files, copy, key, new_key)
    library.perform(EndFileMove(copy.id), ACTOR)


def _take_back(files: BlobStore, copy: Copy, key: Key, new_key: Key) -> None:
    """Only the very file that was moved. Blocks."""
    moved = files.stat(new_key)
    if key == new_key or (moved.size, moved.mtime_ns) != (copy.size, copy.mtime_ns):
        return
    try:
        there = files.stat(key)
    except NotFound:
        files.move(new_key, key)
        return
    if there.inode == moved.inode:  # where renaming takes two steps
        files.remove(new_key)
