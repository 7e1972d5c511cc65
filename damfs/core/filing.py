"""Files received originals under the day they were captured, once the probe has found it out: 2024/07/15/clip.mov.

A received file is first published under the day of its mtime. Concurrency: disk work in a thread, the row on the loop.
Crash rule: the new name is linked before the row changes and the old name removed after it, so at every moment the row
names a file; a name that a crash leaves over is adopted by the scan at start-up as a second copy of the same asset.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass

import trio

from damfs.catalog import assets, folders, stores
from damfs.catalog.database import Connection
from damfs.core.ingest import MoveCopy
from damfs.core.keys import is_taken, keys_for, link_or_take
from damfs.core.library import Library
from damfs.errors import Conflict, DamfsError
from damfs.model import Asset, BlobId, Copy, Key
from damfs.storage.blob_store import BlobStore, FileFact

log = logging.getLogger(__name__)

ACTOR = "filing"


@dataclass(frozen=True, slots=True)
class Misfiled:
    copy: Copy
    key: Key
    asset: Asset
    day: str


async def file_by_capture(library: Library, blob: BlobId) -> None:
    """Move the copies of a blob that lie under another day than their asset's. What cannot be moved stays."""
    store = library.blob_store(library.library_store().id)
    for found in misfiled(library.db.writer, library, blob):
        try:
            async with library.publishing.alone():  # a next version may else be put at the key that is to be removed
                if not _is_there(library, found):
                    continue  # somebody has put it elsewhere
                placed = await _linked(library, store, found)
                library.perform(MoveCopy(found.copy.id, placed), ACTOR, durable=True)
                await trio.to_thread.run_sync(store.remove, found.key)
        except DamfsError as error:
            log.info("%s stays where it is: %s", found.asset.name, error)


def misfiled(connection: Connection, library: Library, blob: BlobId) -> list[Misfiled]:
    """Copies in folders that damfs itself named by a day which turned out not to be that of capture."""
    own = library.library_store().id
    found = []
    for copy in stores.copies_of_blob(connection, blob):
        asset = library.asset(copy.asset)
        if copy.store != own or asset is None or asset.blob != blob:  # earlier versions stay where they are
            continue
        if folders.is_placed(connection, copy.id):
            continue
        key, day = stores.key_of(connection, copy.folder, copy.name), assets.day_of(connection, copy.asset)
        filed_under = key.rpartition(b"/")[0].replace(b"/", b"-").decode("ascii", "replace")
        if filed_under == library.day(asset.mtime_ns) != day:
            found.append(Misfiled(copy, key, asset, day))
    return found


def _is_there(library: Library, found: Misfiled) -> bool:
    copy = stores.copy(library.db.writer, found.copy.id)
    return copy is not None and stores.key_of(library.db.writer, copy.folder, copy.name) == found.key


async def _linked(library: Library, store: BlobStore, found: Misfiled) -> FileFact:
    """A second name at the first free key of the right day."""
    for key in keys_for(found.asset.name, found.day):
        if is_taken(library.db.writer, found.copy.store, key, found.asset.id):
            continue
        with suppress(Conflict):
            return await trio.to_thread.run_sync(link_or_take, store, found.key, key)
    raise AssertionError("keys_for raises when it ends")
