"""Opens the bytes of an asset: those that the catalog says, whatever is moved or written anew at that moment.

A file gets another key, or a next version takes its key, a little before or after the row says so. So the file that was
opened is compared with the row; where it is another, or none is there, it is opened once more when nothing of that is
under way. Concurrency: on the loop, opening in threads; whoever calls is not inside the gate of publishing. Crash rule:
none.
"""

from __future__ import annotations

import os

import trio

from damfs.catalog import stores
from damfs.core.library import Library
from damfs.errors import DamfsError, NotFound, Unavailable
from damfs.model import Asset, AssetId, BlobId, Copy


async def open_original(library: Library, id_: AssetId) -> tuple[Asset, int]:
    """The asset as it is now, and a descriptor of its bytes. Raises NotFound, Unavailable."""
    asset = _known(library, id_)
    fd = await _the_first(library, asset, _blob(asset))
    if fd is not None:
        return asset, fd
    async with library.publishing.alone():
        asset = _known(library, id_)
        return asset, await _any(library, asset, _blob(asset))


async def open_bytes(library: Library, asset: Asset, blob: BlobId) -> int:
    """Likewise, of a version. Raises Unavailable."""
    fd = await _the_first(library, asset, blob)
    if fd is not None:
        return fd
    async with library.publishing.alone():
        return await _any(library, asset, blob)


async def _the_first(library: Library, asset: Asset, blob: BlobId) -> int | None:
    """None: it does not open, or is not the file that the catalog means."""
    for copy in library.sources(blob, asset.id)[:1]:
        try:
            fd = await _open(library, copy)
        except DamfsError:
            return None
        if _is_meant(library, copy, fd):
            return fd
        os.close(fd)
    return None


async def _any(library: Library, asset: Asset, blob: BlobId) -> int:
    """The first that opens. Raises Unavailable."""
    problem: DamfsError = Unavailable(f"no copy of {asset.name} can be reached; is its store mounted?")
    for copy in library.sources(blob, asset.id):
        try:
            return await _open(library, copy)
        except DamfsError as error:
            problem = Unavailable(f"{asset.name}: {error}")
    raise problem


async def _open(library: Library, copy: Copy) -> int:
    key = stores.key_of(library.db.writer, copy.folder, copy.name)
    return await trio.to_thread.run_sync(library.blob_store(copy.store).open, key)


def _is_meant(library: Library, copy: Copy, fd: int) -> bool:
    """Files of other stores are changed by others only: what is there is what there is."""
    return copy.store != library.library_store().id or os.fstat(fd).st_ino == copy.inode


def _known(library: Library, id_: AssetId) -> Asset:
    asset = library.asset(id_)
    if asset is None:
        raise NotFound(f"no asset {id_}")
    return asset


def _blob(asset: Asset) -> BlobId:
    """Raises Unavailable."""
    if asset.blob is None:
        raise Unavailable(f"{asset.name} has not arrived")
    return asset.blob
