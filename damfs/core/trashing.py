"""Where the files of trashed assets lie: out of the way in `.damfs-trash` of the writable store, and back again.

What the catalog says of an asset is the intent; `settle` moves its files accordingly, and start-up settles what a crash
left. Concurrency: work on files in threads, rows on the loop, one asset at a time. Crash rule: the new name is linked
before the row changes and the old one removed after it, so at every moment the row names a file. An expired asset's
rows go first, with a note of its files (`doomed`); the files go after it. Files of read-only stores are never touched.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import trio

from damfs.catalog import assets, derived, stores, trash
from damfs.core.commands import Trash
from damfs.core.good_copies import GoodCopy, good_copy, still
from damfs.core.keys import aside_keys, is_taken, keys_beside, keys_for, link_or_take
from damfs.core.library import Library
from damfs.core.rendition_files import remove_older
from damfs.core.trash_commands import BringBack, Ended, Expire, FinishAside, PutAside, Restore, Spare
from damfs.errors import Conflict, DamfsError, NotFound
from damfs.model import TRASH_FOLDER, Asset, AssetId, AssetState, Copy, CopyId, CopyState, Key, StoreId, StoreKind
from damfs.storage.blob_store import BlobStore, FileFact
from damfs.storage.disk_errors import disk_errors

log = logging.getLogger(__name__)

ACTOR = "trash"
DAY_NS = 86_400_000_000_000
BATCH = 100
"""Assets that expire in one round of chores at most."""


async def trash_assets(library: Library, ids: Sequence[AssetId], actor: str, place: str = "") -> None:
    """Into the trash. Raises Refused when one of them cannot be trashed; none is then."""
    library.execute([Trash(id_, place) for id_ in ids], actor)
    await settle(library, ids)


async def restore_assets(library: Library, ids: Sequence[AssetId], actor: str) -> None:
    """Out of the trash, each file to where it lay, or beside what lies there now."""
    library.execute([Restore(id_) for id_ in ids], actor)
    await settle(library, ids)


async def settle(library: Library, ids: Iterable[AssetId]) -> None:
    """Move the files of assets where their state wants them. What cannot be moved stays and is tried again later."""
    for id_ in dict.fromkeys(ids):
        async with library.trashing:
            try:
                await _settle(library, id_)
            except DamfsError as error:
                log.warning("files of asset %d stay where they are and are moved later: %s", id_, error)


async def settle_all(library: Library) -> None:
    """Every asset whose files are not where its state wants them."""
    await settle(library, await library.db.read(trash.list_misplaced))


async def _settle(library: Library, id_: AssetId) -> None:
    writable = {store.id for store in library.stores() if store.kind is StoreKind.WRITABLE}
    copies, known = stores.copies_of_asset(library.db.writer, id_), library.asset(id_)
    # earlier versions come last: they may have to lie beside the asset's file
    for copy in sorted(copies, key=lambda each: known is not None and each.blob != known.blob):
        asset = library.asset(id_)
        if asset is None or copy.store not in writable or copy.state is CopyState.MISSING:
            continue
        is_aside = copy.folder == trash.trash_folder(library.db.writer, copy.store)
        if is_aside == (asset.state is AssetState.TRASHED):
            continue
        async with library.publishing.alone():  # nobody may put a next version at the key that is about to be removed
            now = stores.copy(library.db.writer, copy.id)
            if now is not None and now.state is not CopyState.MISSING:
                await (_bring_back if is_aside else _put_aside)(library, asset, now)


async def _put_aside(library: Library, asset: Asset, copy: Copy) -> None:
    files, key = library.blob_store(copy.store), stores.key_of(library.db.writer, copy.folder, copy.name)
    placed = await _linked(library, files, asset, copy, key, aside_keys(copy))
    library.perform(PutAside(copy.id, key, placed), ACTOR, durable=True)
    await trio.to_thread.run_sync(files.remove, key)
    library.perform(FinishAside(copy.id), ACTOR)


async def _bring_back(library: Library, asset: Asset, copy: Copy) -> None:
    connection = library.db.writer
    files, key = library.blob_store(copy.store), stores.key_of(connection, copy.folder, copy.name)
    former = _way_back(library, asset, copy)
    if former is None or await trio.to_thread.run_sync(_is_blocked, files, former):
        wanted = keys_for(asset.name, assets.day_of(connection, asset.id))
    else:
        wanted = keys_beside(former)
    placed = await _linked(library, files, asset, copy, key, wanted)
    library.perform(BringBack(copy.id, key, placed), ACTOR, durable=True)
    await trio.to_thread.run_sync(files.remove, key)


def _way_back(library: Library, asset: Asset, copy: Copy) -> Key | None:
    """Where it lay. An earlier version whose folder was removed meanwhile lies beside the asset's file from now on."""
    connection = library.db.writer
    former = trash.former_key(connection, copy.id)
    if former is None or copy.blob == asset.blob:
        return former
    parts, name = stores.split_key(former)
    folder = stores.folder_at(connection, copy.store, parts)
    there = None if folder is None else stores.folder(connection, folder)
    for other in () if there is not None and there.live else stores.copies_of_asset(connection, asset.id):
        hidden = other.folder == trash.trash_folder(connection, other.store)
        if (other.store, other.blob) == (copy.store, asset.blob) and not hidden:
            return stores.key_of(connection, other.folder, name)
    return former


def _is_blocked(files: BlobStore, key: Key) -> bool:
    """Whether a file lies now where a folder of the key was. Blocks."""
    folders = key.split(b"/")[:-1]
    for depth in range(1, len(folders) + 1):
        with suppress(DamfsError):
            files.stat(Key(b"/".join(folders[:depth])))
            return True
    return False


async def _linked(
    library: Library, files: BlobStore, asset: Asset, copy: Copy, key: Key, wanted: Iterator[Key]
) -> FileFact:
    """A second name at the first free key of those that are wanted."""
    for new_key in wanted:
        if is_taken(library.db.writer, copy.store, new_key, asset.id):
            continue
        with suppress(Conflict):
            return await trio.to_thread.run_sync(link_or_take, files, key, new_key)
    raise Conflict(f"{asset.name}: no name is free for its file; rename what is there")


async def settle_interrupted_trash(library: Library) -> None:
    """What a crash left of moving files aside, bringing them back, and expiring them; before anything is scanned."""
    connection = library.db.writer
    for store, key in trash.list_doomed(connection):
        await _remove_doomed(library, store, key)
    for copy, key in trash.list_unfinished(connection):
        await _finish_put_aside(library, copy, key)
    await settle_all(library)
    for each in library.stores():
        if each.kind is StoreKind.WRITABLE:
            await _remove_second_names(library, each.id)


async def _finish_put_aside(library: Library, id_: CopyId, former: Key) -> None:
    """Remove the old name of a file that was moved aside, if it is still that file's."""
    copy = stores.copy(library.db.writer, id_)
    if copy is None or is_taken(library.db.writer, copy.store, former, AssetId(0)):
        library.perform(FinishAside(id_), ACTOR)
        return
    files, key = library.blob_store(copy.store), stores.key_of(library.db.writer, copy.folder, copy.name)
    digest = stores.digest_of(library.db.writer, copy.blob)
    try:
        if await trio.to_thread.run_sync(_is_copy, files, key, former, digest):
            await trio.to_thread.run_sync(files.remove, former)
    except DamfsError as error:
        log.info("the old name of a file in the trash was not looked at: %s", error)
        return
    library.perform(FinishAside(id_), ACTOR)


def _is_copy(files: BlobStore, key: Key, former: Key, digest: bytes) -> bool:
    """Whether the old name is the same file, or (without hard links) a copy of it, both being good. Blocks."""
    try:
        there = files.stat(former)
    except NotFound:
        return False
    if there.inode == files.stat(key).inode:
        return True
    return files.hash(key).digest == digest == files.hash(former).digest


async def _remove_second_names(library: Library, store: StoreId) -> None:
    """Names in the trash folder without a row, of files that have their place in the store: brought back, or not yet
    moved aside when the crash came. Any other file there is left to the scan."""
    connection, files = library.db.writer, library.blob_store(store)
    folder = trash.trash_folder(connection, store)
    for name in await trio.to_thread.run_sync(_names, files):
        if folder is not None and stores.copy_at(connection, folder, name) is not None:
            continue
        number = re.match(rb"\d+", name)
        copy = None if number is None else stores.copy(connection, CopyId(int(number[0])))
        if copy is None or copy.store != store:
            continue
        key, stray = stores.key_of(connection, copy.folder, copy.name), Key(TRASH_FOLDER + b"/" + name)
        with suppress(DamfsError):
            await trio.to_thread.run_sync(_remove_if_same, files, key, stray)


def _names(files: BlobStore) -> list[bytes]:  # blocks, called through to_thread
    with suppress(OSError):
        return os.listdir(os.fsencode(files.path(Key(TRASH_FOLDER))))
    return []


def _remove_if_same(files: BlobStore, key: Key, stray: Key) -> None:
    """Blocks."""
    if files.stat(key).inode == files.stat(stray).inode:
        files.remove(stray)


async def expire(library: Library) -> int:
    """End the retention of what is due, a batch at a time, as the settings say; how many assets went away."""
    days = library.settings.trash.days
    if not days:
        return 0
    before_ns = library.clock() - days * DAY_NS
    due = await library.db.read(lambda connection: trash.list_expired(connection, before_ns, BATCH))
    gone = 0
    for id_ in due:
        found = await _relied_on(library, id_)
        async with library.trashing, library.publishing.together():
            good = frozenset([each.copy.id for each in found if await still(library, each) is not None])
            began_ns = time.time_ns()
            ended = library.perform(Expire(id_, before_ns, good), ACTOR, durable=True)
            if ended is not None:
                gone += 1
                await _remove_ended(library, ended, began_ns)
    if gone:
        log.info("%d assets were in the trash for %d days and are gone", gone, days)
    return gone


async def _relied_on(library: Library, id_: AssetId) -> list[GoodCopy]:
    """Where others have the same bytes, a copy of them that was read just now: theirs is all that will be left (P5)."""
    found = []
    for blob in trash.blobs_of(library.db.writer, id_):
        if trash.users_of_blob(library.db.writer, blob, id_):
            others = [copy for copy in library.sources(blob) if copy.asset != id_]
            good = await good_copy(library, others, stores.digest_of(library.db.writer, blob))
            found += [] if good is None else [good]
    return found


async def _remove_ended(library: Library, ended: Ended, before_ns: int) -> None:
    """The same bytes may be received again meanwhile: what is made of them since has the same name."""
    for store, key in ended.files:
        await _remove_doomed(library, store, key)
    for rendition in ended.renditions:
        path = library.renditions / rendition
        if not derived.is_rendition(library.db.writer, rendition):
            with suppress(DamfsError), disk_errors(path):
                await trio.to_thread.run_sync(remove_older, path, before_ns)


async def _remove_doomed(library: Library, store: StoreId, key: Key) -> None:
    """What cannot be removed now is tried again at the next start."""
    try:
        await trio.to_thread.run_sync(library.blob_store(store).remove, key)
    except NotFound:
        log.debug("%s was gone already", key)
    except DamfsError as error:
        log.warning("the file of an expired asset is removed later: %s", error)
        return
    library.perform(Spare(store, key), ACTOR)
