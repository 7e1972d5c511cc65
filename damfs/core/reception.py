"""From the last close of a received file to an asset, or to the next version of one: hash, publish, commit.

Concurrency: hashing and publishing run in threads, several files at a time; two files with the same bytes take
turns. Crash rule: blob first, row second, and the staged name last: a crash before the commit leaves the staged file,
which may have a name among the originals already (taken back by `orphans`); after it, at most a staged name that
start-up removes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import trio

from damfs.catalog import assets, folders, rewrites, stores
from damfs.core.commands import Abandon, Command
from damfs.core.filing import file_by_capture
from damfs.core.folders import free_name
from damfs.core.further_names import KeepNames, follow
from damfs.core.good_copies import GoodCopy, good_copy, still
from damfs.core.ingest import Heal, Merge, PlanAgain, Seal
from damfs.core.installing import adopt, install
from damfs.core.keys import is_taken, keys_beside, keys_for, link_read
from damfs.core.library import Library
from damfs.core.media_types import guess_media
from damfs.core.orphans import published_orphan, same_bytes_at, take_back, take_back_second_name
from damfs.core.rewriting import CloseRewrite
from damfs.errors import Conflict, DamfsError, NotFound, Unavailable
from damfs.model import Asset, AssetId, AssetState, BlobId, Copy, Digest, Key
from damfs.storage.blob_store import BlobStore, FileFact, Hashed
from damfs.storage.disk_errors import disk_errors
from damfs.storage.droppings import is_temporary
from damfs.storage.staging import PUBLISHED_MODE

log = logging.getLogger(__name__)

ACTOR = "reception"


def _ordered(id_: AssetId) -> bytes:
    """In the order of the numbers, in which everybody takes the locks of several."""
    return b"%020d" % id_


class KeyedLocks:
    """One lock for each key in use."""

    def __init__(self) -> None:
        self._locks: dict[bytes, tuple[trio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, *keys: bytes) -> AsyncIterator[None]:
        """All of them, in one order for everybody."""
        held = []
        try:
            for key in sorted(set(keys)):
                await self._take(key)
                held.append(key)
            yield
        finally:
            for key in held:
                self._let_go(key).release()

    async def _take(self, key: bytes) -> None:
        lock, users = self._locks.get(key, (trio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            if lock.locked():
                await lock.acquire()
            else:
                lock.acquire_nowait()
        except BaseException:
            self._let_go(key)
            raise

    def _let_go(self, key: bytes) -> trio.Lock:
        lock, users = self._locks.pop(key)
        if users > 1:
            self._locks[key] = (lock, users - 1)
        return lock


class Reception:
    """Seals received files of one library."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._by_digest = KeyedLocks()
        self.rewriting = KeyedLocks()
        """Held, by the asset, by whoever stages or seals the next bytes of an asset that has arrived."""
        self.held_back = library.held_back
        self.seal_again: Callable[[AssetId], Awaitable[object]] = self.seal_or_report
        """What was held back. Who lets files be written passes by what is written just now, and lets nobody begin to
        write it meanwhile: what is sealed is an original by then."""

    async def seal(self, id_: AssetId) -> AssetId | None:
        """Make an asset of what was received; the id it has then (another, when it became a known asset).

        None while the name is temporary: the file stays in staging until it gets its final name; or when it is gone,
        and what was staged for it goes as well. Raises NoSpace or Unavailable, and then the staged file stays too.
        """
        library = self._library
        asset = library.asset(id_)
        if asset is not None and asset.state is not AssetState.RECEIVING:
            async with self.rewritten(id_):
                if id_ in self.held_back:
                    await self._close_again(id_)
                kept = KeepNames(id_)
                sealed = await self.seal_version(id_, [kept])
            await follow(library, kept.names)
            return sealed
        if asset is None:
            await trio.to_thread.run_sync(library.staging.discard, id_)
            return None
        if is_temporary(asset.name):
            return None
        try:
            hashed = await trio.to_thread.run_sync(library.staging.seal, id_)
        except NotFound:
            return await self._adopt(asset)
        async with self._by_digest.hold(hashed.digest):
            good = await self._good_copy(hashed)
            await self._free_destination(asset, hashed)
            async with library.publishing.together():
                await take_back_second_name(library, asset, self._keys)
                sealed = await self._settle(id_, hashed, good)
        await self.forget_staged(id_)
        known = None if sealed is None else library.asset(sealed)
        if known is not None and known.blob is not None:  # bytes probed before: their day of capture is known
            await file_by_capture(library, known.blob)
        return sealed

    async def _close_again(self, id_: AssetId) -> None:
        """Its last close could not be entered into the catalog, because that was full."""
        row = rewrites.of(self._library.db.writer, id_)
        staged = await trio.to_thread.run_sync(self._library.staging.entries)
        if row is not None and not row.closed and id_ in staged:
            self._library.perform(CloseRewrite(id_, staged[id_], row.mtime_ns, bool(row.dated)), ACTOR)

    def rewritten(self, id_: AssetId) -> AbstractAsyncContextManager[None]:
        """Nobody else stages or seals bytes of the asset meanwhile."""
        return self.rewriting.hold(_ordered(id_))

    async def seal_version(self, id_: AssetId, also: Sequence[Command[object]] = ()) -> AssetId | None:
        """What is staged for an asset that has arrived becomes its next version; None when nothing is, or it is still
        written. ``also`` happens in the same transaction. The caller holds `rewritten`. Raises as `seal`."""
        library = self._library
        row = rewrites.of(library.db.writer, id_)
        if row is None or not row.closed:
            return None
        try:
            hashed = await trio.to_thread.run_sync(library.staging.seal, id_)
        except NotFound:
            async with library.publishing.together():
                await adopt(library, row, also)
            return id_
        async with self._by_digest.hold(hashed.digest):
            shared = await trio.to_thread.run_sync(library.staging.is_shared, id_)  # with a copy: no need to read that
            good = None if shared else await self._good_copy(hashed, id_)  # first its own
            async with library.publishing.together():
                await install(library, row, hashed, await still(library, good), also)
        return id_

    def same_bytes(self, *digests: Digest) -> AbstractAsyncContextManager[None]:
        """Nobody else comes to rely on bytes of these digests meanwhile."""
        return self._by_digest.hold(*digests)

    async def _adopt(self, asset: Asset) -> AssetId | None:
        """Staging has it no more: a crash came between publishing and the commit. Find it and commit."""
        async with self._library.publishing.alone():
            now = self._library.asset(asset.id)
            if now is None or now.state is not AssetState.RECEIVING:
                return None if now is None else now.id
            placed = await published_orphan(self._library, now, self._keys)
            if placed is None:
                self._library.execute([Abandon(asset.id)], ACTOR, durable=True)
                return None
            self._seal_at(now, *placed)
        await self.forget_staged(asset.id)
        return asset.id

    async def forget_staged(self, *ids: AssetId) -> None:
        """The staged names of what has arrived, unless its next bytes are staged by now. Outside of the gate."""
        async with self.rewriting.hold(*map(_ordered, ids)):
            again = {row.asset for row in rewrites.every(self._library.db.writer)}
            await trio.to_thread.run_sync(self._library.staging.discard_all, [id_ for id_ in ids if id_ not in again])

    async def seal_or_report(self, id_: AssetId) -> None:
        """Seal; what goes wrong is logged and counted, and the bytes stay in staging for the next try."""
        try:
            await self.seal(id_)
            self.held_back.pop(id_, None)
        except DamfsError as error:
            self.held_back[id_] = str(error)
            log.warning("a received file is held back and will be tried again: %s", error)
        except Exception as error:  # a fault of damfs with one file must not end the reception of all others
            self.held_back[id_] = f"an error inside damfs: {error!r}; the log says more"
            log.exception("a received file is held back and will be tried again")

    def _keys(self, asset: Asset) -> Iterator[Key]:
        """Where its file may go, best first: exactly where a person put it, else under its day."""
        there = folders.destination(self._library.db.writer, asset.id)
        if there is None:
            return keys_for(asset.name, self._library.day(asset.mtime_ns))
        return keys_beside(stores.key_of(self._library.db.writer, there.folder, there.name))

    async def _free_destination(self, asset: Asset, hashed: Hashed) -> None:
        """Before it is published: a name that no listing shows is no obstacle to who writes under it."""
        connection = self._library.db.writer
        blob, there = stores.blob_of(connection, hashed.digest), folders.destination(connection, asset.id)
        if there is not None and (blob is None or self._twin(asset, blob) is None):
            await free_name(self._library, there.folder, there.name)

    async def _good_copy(self, hashed: Hashed, prefer: AssetId | None = None) -> GoodCopy | None:
        """A file that has the bytes already, read just now: nobody waits for that who publishes something else."""
        library, blob = self._library, stores.blob_of(self._library.db.writer, hashed.digest)
        return None if blob is None else await good_copy(library, library.sources(blob, prefer), hashed.digest)

    async def _settle(self, id_: AssetId, hashed: Hashed, found: GoodCopy | None) -> AssetId | None:
        library = self._library
        asset = library.asset(id_)
        if asset is None or asset.state is not AssetState.RECEIVING:
            return None
        blob = stores.blob_of(library.db.writer, hashed.digest)
        good = await still(library, found)
        twin = None if blob is None else self._twin(asset, blob)
        if twin is None:
            await self._publish_new(asset, hashed, good)
        elif good is None or twin.state is AssetState.MISSING:
            if not await self._publish_again(asset, hashed, twin, good):
                return await self._settle(id_, hashed, found)
        else:
            library.execute([Merge(id_, twin.id), PlanAgain(self._blob(twin))], ACTOR, durable=True)
        return id_ if twin is None else twin.id

    def _twin(self, asset: Asset, blob: BlobId) -> Asset | None:
        """The asset that it becomes. What is written into a folder is found there, even if the same bytes lie in
        another under the same name; so there it is only the one that is missing at that very place."""
        connection = self._library.db.writer
        there = folders.destination(connection, asset.id)
        if there is None:
            return assets.find_twin(connection, blob, asset.name, asset.id)
        copy = stores.copy_at(connection, there.folder, there.name)
        lost = None if copy is None or copy.blob != blob else self._library.asset(copy.asset)
        return lost if lost is not None and lost.state is AssetState.MISSING else None

    async def verified(self, copies: list[Copy], digest: Digest) -> GoodCopy | None:
        """The first copy whose bytes were read just now and are good. Those found bad on the way are marked. Not to be
        called inside the gate of publishing."""
        return await good_copy(self._library, copies, digest)

    async def _publish_new(self, asset: Asset, hashed: Hashed, good: GoodCopy | None) -> None:
        placed = await self._place(asset, hashed, self._own(good), asset.id)
        try:
            self._seal_at(asset, hashed, placed)
        except DamfsError:
            await take_back(self._library, asset.id, placed.key)
            raise

    def _seal_at(self, asset: Asset, hashed: Hashed, placed: FileFact) -> None:
        now = self._library.asset(asset.id) or asset
        self._library.execute([self.seal_of(now, hashed, placed)], ACTOR, durable=True)

    def seal_of(self, asset: Asset, hashed: Hashed, placed: FileFact) -> Seal:
        """What enters the published file into the catalog, where the asset is as it is said to be."""
        store, day = self._library.library_store().id, self._library.day(asset.mtime_ns)
        media = guess_media(asset.name, hashed.head)
        return Seal(asset.id, hashed.digest, hashed.size, asset.mtime_ns, media, day, store, placed)

    async def _publish_again(self, asset: Asset, hashed: Hashed, twin: Asset, good: GoodCopy | None) -> bool:
        """The known asset has lost its bytes; the new ones heal it. False: it got its next version meanwhile."""
        library = self._library
        placed = await self._place(asset, hashed, self._own(good), twin.id)
        now = library.asset(twin.id)
        if now is None or now.blob != twin.blob:
            await take_back(library, asset.id, placed.key)
            return False
        store = library.library_store().id
        heal = Heal(twin.id, hashed.digest, hashed.size, store, placed)
        library.execute([heal, Merge(asset.id, twin.id), PlanAgain(self._blob(twin))], ACTOR, durable=True)
        return True

    def _own(self, good: GoodCopy | None) -> FileFact | None:
        """A file in the writable store: its bytes get a second name there instead of a second copy.

        Bytes that only a read-only store holds are kept once more: damfs does not manage that store.
        """
        return good.fact if good is not None and good.copy.store == self._library.library_store().id else None

    async def _place(self, asset: Asset, hashed: Hashed, linked: FileFact | None, owner: AssetId) -> FileFact:
        """Publish at the first key that is free, or that a crash left the bytes at."""
        library = self._library
        store = library.library_store().id
        files, staged = library.blob_store(store), library.staging.path(asset.id)
        for key in self._keys(asset):
            if is_taken(library.db.writer, store, key, owner):
                continue
            with suppress(Conflict):
                return await trio.to_thread.run_sync(publish, files, staged, asset.mtime_ns, key, linked)
            there = await trio.to_thread.run_sync(same_bytes_at, files, key, hashed.digest, hashed.size)
            if there is not None:
                return there
        raise AssertionError("the keys never end without an error")

    @staticmethod
    def _blob(asset: Asset) -> BlobId:
        assert asset.blob is not None
        return asset.blob


def publish(files: BlobStore, staged: Path, mtime_ns: int, key: Key, linked: FileFact | None) -> FileFact:
    """The staged file at a key, or a second name of the one that has its bytes. Blocks. Conflict: the key is taken."""
    if linked is not None and (second := link_read(files, linked, key)) is not None:
        return second
    with disk_errors(staged):
        staged.chmod(PUBLISHED_MODE)
        os.utime(staged, ns=(mtime_ns, mtime_ns))
    try:
        return files.place(staged, key)
    except Conflict as error:
        if os.path.lexists(files.path(key)):
            raise
        raise Unavailable(f"{error}; no name below it is free, rename or remove that file") from None
