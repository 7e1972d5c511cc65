"""Several names of one file in folders (`ln`): all lead to its current bytes, and a name that is to vanish does.

Concurrency: commands on the loop, disk work in threads, inside the gate of publishing. Crash rule: what is still to be
done with a name is a row of `file_move` that was committed with the version it follows from (`LEADS` behind the key of
the name: it is to lead to the current bytes; `NOWHERE`: it is to be removed), and start-up does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import trio

from damfs.catalog import folders, stores, versions
from damfs.catalog.database import Connection
from damfs.catalog.folders import LEADS, NOWHERE, VANISHES
from damfs.core.arranging import AddName, RemoveName
from damfs.core.commands import Execution, known
from damfs.core.file_moves import EndFileMove
from damfs.core.ingest import MoveCopy
from damfs.core.keys import is_taken, link_or_take, version_keys
from damfs.core.library import Library
from damfs.core.rewriting import own_store
from damfs.errors import Conflict, DamfsError, NotFound
from damfs.model import Asset, AssetId, AssetState, Copy, CopyId, CopyState, Key, StoreId
from damfs.storage.blob_store import BlobStore, FileFact

ACTOR = "fuse"


def names_of(library: Library, asset: Asset) -> list[Copy]:
    """The files of the writable store under which the asset is listed there."""
    return _names(library.db.writer, library.library_store().id, asset)


def _names(connection: Connection, store: StoreId, asset: Asset) -> list[Copy]:
    return [
        copy
        for copy in stores.copies_of_asset(connection, asset.id)
        if (copy.store, copy.blob, copy.state) == (store, asset.blob, CopyState.PRESENT)
    ]


@dataclass(frozen=True, slots=True)
class KeepNames:
    """To be committed with the next version of the asset, before it; then `follow` what ``names`` are by then: until
    the commit one may be given, taken away or changed."""

    asset: AssetId
    names: list[Copy] = field(default_factory=list)

    def apply(self, x: Execution) -> None:
        self.names[:] = _names(x.tx, own_store(x), known(x, self.asset))
        for copy in self.names if len(self.names) > 1 else ():
            key = stores.key_of(x.tx, copy.folder, copy.name)
            folders.begin_file_move(x.tx, copy.id, Key(key + LEADS))


async def follow(library: Library, names: Sequence[Copy]) -> None:
    """Of a file with several names one has the bytes of the next version now: so have the others. What they had is kept
    beside them."""
    for old in names if len(names) > 1 else ():
        async with library.publishing.alone():
            await _lead(library, old.id, _key_to_follow(library, old))


def _key_to_follow(library: Library, old: Copy) -> Key:
    """The name it has now, where it was renamed meanwhile; not where it was kept aside, and its name leads already."""
    key, copy = _key_of(library, old), stores.copy(library.db.writer, old.id)
    asset = None if copy is None else library.asset(copy.asset)
    if copy is None or asset is None or key in _leading(library, asset):
        return key
    return _key_of(library, copy)


async def remove_superfluous(library: Library, asset: AssetId) -> None:
    """Names of an asset that are to be removed: another name of it has their bytes, which were just read there."""
    async with library.publishing.alone():
        own = {copy.id for copy in stores.copies_of_asset(library.db.writer, asset)}
        for id_, key in folders.file_moves(library.db.writer):
            if key == NOWHERE and id_ in own:
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
        leading = _leading(library, asset)
        if leading and key not in leading:
            if _key_of(library, copy) == key:
                await _make_way(library, copy, key)
            files, (current, named) = library.blob_store(copy.store), next(iter(leading.items()))
            placed = await trio.to_thread.run_sync(link_or_take, files, current, key)
            library.execute([AddName(named.id, placed), EndFileMove(id_)], ACTOR)
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


def _leading(library: Library, asset: Asset) -> dict[Key, Copy]:
    """The names that lead to its current bytes."""
    return {_key_of(library, copy): copy for copy in names_of(library, asset)}


def _key_of(library: Library, copy: Copy) -> Key:
    return stores.key_of(library.db.writer, copy.folder, copy.name)
