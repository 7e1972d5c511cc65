"""Several names of one file in folders (`ln`): all lead to its current bytes, and a name that is to vanish does.

Concurrency: commands on the loop, disk work in threads, inside the gate of publishing. Crash rule: what is still to be
done with a name is a row of `file_move` that was committed with the version it follows from (`LEADS` behind the key of
the name: it is to lead to the current bytes; `NOWHERE`: it is to be removed), and start-up does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import trio

from damfs.catalog import folders, stores, versions
from damfs.catalog.folders import LEADS, NOWHERE, VANISHES
from damfs.core.arranging import AddName, RemoveName
from damfs.core.commands import Command
from damfs.core.file_moves import BeginFileMove, EndFileMove
from damfs.core.ingest import MoveCopy
from damfs.core.keys import is_taken, link_or_take, version_keys
from damfs.core.library import Library
from damfs.errors import Conflict, DamfsError, NotFound
from damfs.model import Asset, AssetId, AssetState, Copy, CopyId, CopyState, Key
from damfs.storage.blob_store import BlobStore, FileFact

ACTOR = "fuse"


def names_of(library: Library, asset: Asset) -> list[Copy]:
    """The files of the writable store under which the asset is listed there."""
    store = library.library_store().id
    return [
        copy
        for copy in stores.copies_of_asset(library.db.writer, asset.id)
        if (copy.store, copy.blob, copy.state) == (store, asset.blob, CopyState.PRESENT)
    ]


def to_follow(library: Library, names: Sequence[Copy]) -> list[Command[object]]:
    """To be committed with the next version of the asset that has these names; then `follow`."""
    return [BeginFileMove(copy.id, Key(_key_of(library, copy) + LEADS)) for copy in names if len(names) > 1]


async def follow(library: Library, names: Sequence[Copy]) -> None:
    """Of a file with several names one has the bytes of the next version now: so have the others. What they had is kept
    beside them."""
    for old in names if len(names) > 1 else ():
        copy = stores.copy(library.db.writer, old.id)
        if copy is None or copy.name == old.name:
            async with library.publishing.alone():
                await _lead(library, old.id, _key_of(library, old))


async def remove_superfluous(library: Library, copies: Sequence[CopyId]) -> None:
    """Names whose bytes have the name of another file now, and were just read there."""
    async with library.publishing.alone():
        for id_ in copies:
            await _remove(library, id_)


async def settle_names(library: Library) -> None:
    """What a crash cut short."""
    for id_, key in folders.file_moves(library.db.writer):
        with suppress(DamfsError):  # it is an earlier version, or one name more; tried again at the next start
            if key == NOWHERE:
                await _remove(library, id_)
            elif key.endswith(LEADS) and not key.endswith(VANISHES):
                await _lead(library, id_, Key(key.removesuffix(LEADS)))


async def _lead(library: Library, id_: CopyId, key: Key) -> None:
    """The name leads to the current bytes from now on."""
    copy = stores.copy(library.db.writer, id_)
    asset = None if copy is None else library.asset(copy.asset)
    if copy is not None and asset is not None and asset.state is not AssetState.TRASHED and asset.blob != copy.blob:
        current = next(iter(names_of(library, asset)), None)
        if current is not None:
            if _key_of(library, copy) == key:
                await _make_way(library, copy, key)
            files = library.blob_store(copy.store)
            placed = await trio.to_thread.run_sync(link_or_take, files, _key_of(library, current), key)
            library.execute([AddName(current.id, placed), EndFileMove(id_)], ACTOR)
            return
    library.perform(EndFileMove(id_), ACTOR)


async def _make_way(library: Library, copy: Copy, key: Key) -> None:
    files, number = library.blob_store(copy.store), len(versions.of_asset(library.db.writer, copy.asset)) - 1
    for kept in version_keys(key, number):
        if not is_taken(library.db.writer, copy.store, kept, AssetId(0)):
            with suppress(Conflict):
                placed = await trio.to_thread.run_sync(_moved, files, copy, key, kept)
                library.perform(MoveCopy(copy.id, placed), ACTOR)
                break


def _moved(files: BlobStore, copy: Copy, key: Key, kept: Key) -> FileFact:
    """Also where that was done before a crash. Blocks."""
    try:
        return files.move(key, kept)
    except NotFound:
        there = files.stat(kept)
        if (there.size, there.inode) != (copy.size, copy.inode):
            raise Conflict(f"{kept!r} is another file") from None
        return there


async def _remove(library: Library, id_: CopyId) -> None:
    """The file at the name, if another name leads to the same bytes, and its row."""
    copy = stores.copy(library.db.writer, id_)
    asset = None if copy is None else library.asset(copy.asset)
    if copy is None or asset is None:
        return
    files, key = library.blob_store(copy.store), _key_of(library, copy)
    others = [_key_of(library, other) for other in names_of(library, asset) if other.id != id_]
    gone = asset.blob == copy.blob and await trio.to_thread.run_sync(_removed, files, copy, key, others)
    library.execute([*([RemoveName(id_)] if gone else []), EndFileMove(id_)], ACTOR)


def _removed(files: BlobStore, copy: Copy, key: Key, others: Sequence[Key]) -> bool:
    """Whether nothing lies there any more. What lies there now may be another's: that stays. Blocks."""
    if not any(_size(files, other) == copy.size for other in others):
        return False
    with suppress(NotFound):
        if files.stat(key).inode == copy.inode:
            files.remove(key)
    return True


def _size(files: BlobStore, key: Key) -> int | None:
    with suppress(DamfsError):
        return files.stat(key).size
    return None


def _key_of(library: Library, copy: Copy) -> Key:
    return stores.key_of(library.db.writer, copy.folder, copy.name)
