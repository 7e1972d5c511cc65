"""Files that were published and have no row, because a crash or a failed commit came between: whose they are.

Reads in threads, decisions on the loop; inside the gate of publishing. Crash rule: nothing here is half done: a name is
taken back whole, or found and entered by the caller.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import trio

from damfs.catalog import assets
from damfs.core.keys import TRIES, is_taken
from damfs.core.library import Library
from damfs.errors import DamfsError, NotFound, Unavailable
from damfs.model import Asset, AssetId, Digest, Key
from damfs.storage.blob_store import BlobStore, FileFact, Hashed

log = logging.getLogger(__name__)

Keys = Callable[[Asset], Iterator[Key]]
"""Those that publishing tries for an asset, best first."""


async def take_back(library: Library, asset: AssetId, key: Key) -> None:
    """What was published just now and could not be entered: it is staged only, as before. Never raises DamfsError."""
    files = library.blob_store(library.library_store().id)
    try:
        await trio.to_thread.run_sync(files.withdraw, library.staging.path(asset), key)
    except DamfsError as error:
        log.info("what was published of a file that could not be entered stays there: %s", error)


async def take_back_second_name(library: Library, asset: Asset, keys: Keys) -> None:
    """A name that the staged file got before a crash, and that no row knows."""
    store = library.library_store().id
    files, staged = library.blob_store(store), library.staging.path(asset.id)
    if not await trio.to_thread.run_sync(library.staging.is_shared, asset.id):
        return
    folder = Key(next(keys(asset)).rpartition(b"/")[0])
    key = await trio.to_thread.run_sync(files.second_name, staged, folder)
    if key is not None and not is_taken(library.db.writer, store, key, asset.id):
        await trio.to_thread.run_sync(files.withdraw, staged, key)


def same_bytes_at(files: BlobStore, key: Key, digest: Digest, size: int) -> FileFact | None:
    """The file at a key that has no row, if these are its bytes: a copy that a crash left there. Blocks."""
    try:
        if files.stat(key).size != size:
            return None
        found = files.hash(key)
    except NotFound:
        return None
    return found.fact if found.digest == digest else None


async def published_orphan(library: Library, asset: Asset, keys: Keys) -> tuple[Hashed, FileFact] | None:
    """Where the bytes of an asset went of which nothing is staged any more; None: nowhere. The caller is alone in the
    gate of publishing. Raises Unavailable when it cannot be told which of several files they are."""
    store = library.library_store().id
    files = library.blob_store(store)
    if not files.online():
        raise Unavailable(f"{asset.name}: the folder of the originals is not there; is its volume connected?")
    notes = await trio.to_thread.run_sync(library.staging.placed)
    noted = notes.pop(asset.id, None)
    if noted is not None and (found := await _of_its_size(library, asset, [noted])):
        return await _read(files, found[0])
    others = set(notes.values())
    tried = [key for key in islice(keys(asset), TRIES - 1) if key not in others]
    found = await _of_its_size(library, asset, await trio.to_thread.run_sync(_there, files, tried))
    if found and (len(found) > 1 or await _has_rival(library, asset, keys)):
        raise Unavailable(
            f"{asset.name}: its bytes are in one of the files of that name beside {found[0].decode(errors='replace')},"
            " and nothing says in which; remove it where it is listed when you have found them"
        )
    return await _read(files, found[0]) if found else None


async def _of_its_size(library: Library, asset: Asset, keys: Iterable[Key]) -> list[Key]:
    """Those without a row, of the size that was closed, that are no second name of what is staged of another."""
    store = library.library_store().id
    staged = await trio.to_thread.run_sync(library.staging.inodes)
    found = []
    for key in keys:
        if not is_taken(library.db.writer, store, key, asset.id):
            try:
                fact = await trio.to_thread.run_sync(library.blob_store(store).stat, key)
            except NotFound:
                continue
            if fact.size == asset.size and fact.inode not in staged:
                found.append(key)
    return found


def _there(files: BlobStore, keys: list[Key]) -> list[Key]:
    """Blocks."""
    return [key for key in keys if files.path(key).exists()]


async def _read(files: BlobStore, key: Key) -> tuple[Hashed, FileFact] | None:
    hashed = await trio.to_thread.run_sync(files.hash, key)
    return None if hashed.fact is None else (hashed, hashed.fact)


async def _has_rival(library: Library, asset: Asset, keys: Keys) -> bool:
    """Whether another file that is being received, of that name and size, is as lost."""
    staged = await trio.to_thread.run_sync(library.staging.entries)
    alike = [
        other
        for other in assets.list_receiving(library.db.writer)
        if other.id != asset.id and other.size == asset.size and other.closed and other.id not in staged
    ]
    return any(next(keys(other)) == next(keys(asset)) for other in alike)
