"""From the last close of a received file to an asset: hash, publish, commit.

Concurrency: hashing and publishing run in threads, several files at a time; two files with the same bytes take
turns. Crash rule: blob first, row second. A crash before the commit leaves the staged file, or a published one that
`upkeep` finds; after it, at most a staged name that start-up removes.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import trio

from damfs.catalog import assets, stores
from damfs.core.asset_names import NAME_LIMIT, fit, split_ending
from damfs.core.commands import Abandon
from damfs.core.ingest import Heal, MarkDamaged, Merge, PlanAgain, Seal
from damfs.core.library import Library
from damfs.core.media_types import guess_media
from damfs.errors import Conflict, DamfsError, NotFound
from damfs.model import Asset, AssetId, AssetState, BlobId, Copy, Digest, Key
from damfs.storage.blob_store import BlobStore, FileFact, Hashed
from damfs.storage.droppings import is_temporary

log = logging.getLogger(__name__)

ACTOR = "reception"
PUBLISHED_MODE = 0o644


class KeyedLocks:
    """One lock for each key in use."""

    def __init__(self) -> None:
        self._locks: dict[bytes, tuple[trio.Lock, int]] = {}

    def hold(self, key: bytes) -> AbstractAsyncContextManager[None]:
        return _Held(self._locks, key)


class _Held:
    def __init__(self, locks: dict[bytes, tuple[trio.Lock, int]], key: bytes) -> None:
        self._locks, self._key = locks, key

    async def __aenter__(self) -> None:
        lock, users = self._locks.get(self._key, (trio.Lock(), 0))
        self._locks[self._key] = (lock, users + 1)
        await lock.acquire()

    async def __aexit__(self, *exception: object) -> None:
        lock, users = self._locks[self._key]
        lock.release()
        if users == 1:
            del self._locks[self._key]
        else:
            self._locks[self._key] = (lock, users - 1)


class Reception:
    """Seals received files of one library."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._by_digest = KeyedLocks()
        self.held_back: dict[AssetId, str] = {}
        """Received files that could not be published yet, with the reason."""

    async def seal(self, id_: AssetId) -> AssetId | None:
        """Make an asset of what was received; the id it has then (another, when it became a known asset).

        None while the name is temporary: the file stays in staging until it gets its final name. Raises NoSpace or
        Unavailable, and then the staged file stays too.
        """
        library = self._library
        asset = library.asset(id_)
        if asset is None or asset.state is not AssetState.RECEIVING or is_temporary(asset.name):
            return None
        try:
            hashed = await trio.to_thread.run_sync(library.staging.seal, id_)
        except NotFound:
            return await self._adopt(asset)
        async with self._by_digest.hold(hashed.digest), library.publishing.together():
            return await self._settle(id_, hashed)

    async def _adopt(self, asset: Asset) -> AssetId | None:
        """Staging has it no more: a crash came between publishing and the commit. Find it and commit."""
        placed = await self._published_orphan(asset)
        if placed is None:
            self._library.execute([Abandon(asset.id)], ACTOR, durable=True)
            return None
        self._seal_at(asset, *placed)
        return asset.id

    async def _published_orphan(self, asset: Asset) -> tuple[Hashed, FileFact] | None:
        """The first file, of the keys that publishing tries, that has no row."""
        library = self._library
        store = library.library_store().id
        files = library.blob_store(store)
        for key in keys_for(asset, library.day(asset.mtime_ns)):
            folders, name = stores.split_key(key)
            folder = stores.folder_at(library.db.writer, store, folders)
            if folder is not None and stores.copy_at(library.db.writer, folder, name) is not None:
                continue
            try:
                hashed = await trio.to_thread.run_sync(files.hash, key)
            except NotFound:
                return None
            assert hashed.fact is not None
            return hashed, hashed.fact
        return None

    async def seal_or_report(self, id_: AssetId) -> None:
        """Seal; what goes wrong is logged and counted, and the bytes stay in staging for the next try."""
        try:
            await self.seal(id_)
            self.held_back.pop(id_, None)
        except DamfsError as error:
            self.held_back[id_] = str(error)
            log.warning("a received file is held back and will be tried again: %s", error)

    async def _settle(self, id_: AssetId, hashed: Hashed) -> AssetId | None:
        library = self._library
        asset = library.asset(id_)
        if asset is None or asset.state is not AssetState.RECEIVING:
            return None
        blob = stores.blob_of(library.db.writer, hashed.digest)
        good = None if blob is None else await self._verified(library.sources(blob), hashed.digest)
        twin = None if blob is None else assets.find_twin(library.db.writer, blob, asset.name, id_)
        if twin is None:
            await self._publish_new(asset, hashed, good)
        elif good is None or twin.state is AssetState.MISSING:
            await self._publish_again(asset, hashed, twin)
        else:
            library.execute([Merge(id_, twin.id), PlanAgain(self._blob(twin))], ACTOR, durable=True)
        await trio.to_thread.run_sync(library.staging.discard, id_)
        return id_ if twin is None else twin.id

    async def _verified(self, copies: list[Copy], digest: Digest) -> Copy | None:
        """The first copy whose bytes were read just now and are good. Those found bad on the way are marked."""
        for copy in copies:
            store = self._library.blob_store(copy.store)
            key = stores.key_of(self._library.db.writer, copy.folder, copy.name)
            try:
                hashed = await trio.to_thread.run_sync(store.hash, key)
            except DamfsError:
                continue
            if hashed.digest == digest:
                return copy
            log.warning("a copy is damaged: %s; the bytes just received replace it", key)
            self._library.execute([MarkDamaged(copy.id)], ACTOR)
        return None

    async def _publish_new(self, asset: Asset, hashed: Hashed, good: Copy | None) -> None:
        placed = await self._place(asset, self._key_of(good))
        self._seal_at(asset, hashed, placed)

    def _seal_at(self, asset: Asset, hashed: Hashed, placed: FileFact) -> None:
        library = self._library
        media = guess_media(asset.name, hashed.head)
        asset_now = library.asset(asset.id) or asset
        store = library.library_store().id
        day = library.day(asset_now.mtime_ns)
        seal = Seal(asset.id, hashed.digest, hashed.size, asset_now.mtime_ns, media, day, store, placed)
        library.execute([seal], ACTOR, durable=True)

    async def _publish_again(self, asset: Asset, hashed: Hashed, twin: Asset) -> None:
        """The known asset has lost its bytes; the new ones heal it."""
        library = self._library
        placed = await self._place(asset, None)
        store = library.library_store().id
        heal = Heal(twin.id, hashed.digest, hashed.size, store, placed)
        library.execute([heal, Merge(asset.id, twin.id), PlanAgain(self._blob(twin))], ACTOR, durable=True)

    def _key_of(self, copy: Copy | None) -> Key | None:
        """The key of a copy in the writable store: its bytes get a second name there instead of a second copy.

        Bytes that only a read-only store holds are kept once more: damfs does not manage that store.
        """
        if copy is None or copy.store != self._library.library_store().id:
            return None
        return stores.key_of(self._library.db.writer, copy.folder, copy.name)

    async def _place(self, asset: Asset, linked: Key | None) -> FileFact:
        """Publish at the first free key of the asset's day."""
        library = self._library
        files = library.blob_store(library.library_store().id)
        keys = keys_for(asset, library.day(asset.mtime_ns))
        return await trio.to_thread.run_sync(_publish, files, library.staging.path(asset.id), asset, keys, linked)

    @staticmethod
    def _blob(asset: Asset) -> BlobId:
        assert asset.blob is not None
        return asset.blob


def _publish(files: BlobStore, staged: Path, asset: Asset, keys: Iterator[Key], linked: Key | None) -> FileFact:
    """Blocks."""
    staged.chmod(PUBLISHED_MODE)
    os.utime(staged, ns=(asset.mtime_ns, asset.mtime_ns))
    for key in keys:
        try:
            return files.publish(staged, key) if linked is None else files.link(linked, key)
        except Conflict:
            continue
    raise AssertionError("keys never end")


def keys_for(asset: Asset, day: str) -> Iterator[Key]:
    """Readable keys to try in order: 2026/11/22/clip.mov, then clip~2.mov, clip~3.mov …"""
    folder = day.replace("-", "/")
    stem, ending = split_ending(asset.name)
    yield Key(os.fsencode(f"{folder}/{asset.name}"))
    for number in itertools.count(2):
        mark = f"~{number}{ending}"
        yield Key(os.fsencode(f"{folder}/{fit(stem, NAME_LIMIT - len(mark.encode()))}{mark}"))
