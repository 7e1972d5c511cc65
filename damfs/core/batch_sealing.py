"""Small files that are closed one soon after the other are sealed together.

A card of photos is a thousand files: sealed one by one, each waits for several writes of the disk and keeps the loop
busy with threads of its own. Here they share both. Concurrency: on the loop, one batch at a time, in a task of the
nursery given; hashing and publishing in a thread that has a pool of its own. Crash rule: that of `reception`, for each
file by itself: it is published before its row is committed, and start-up finds it from either side.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import trio

from damfs.catalog import stores
from damfs.core.ingest import Seal
from damfs.core.library import Library
from damfs.core.reception import ACTOR, Reception, publish
from damfs.errors import DamfsError
from damfs.model import Asset, AssetId, Digest, Key
from damfs.storage.blob_store import FileFact, Hashed

log = logging.getLogger(__name__)

SMALL = 4 << 20
"""Bytes. What is larger is worth a thread of its own, and nobody is to wait for it."""
BATCH = 64
COMMIT = 16
"""Files of one transaction, so that it is over soon: the loop waits for it."""
QUIET_S = 0.02
PATIENCE_S = 0.25
THREADS = 8
"""Disks write what several threads ask them to in one go."""

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ready:
    """A received file whose bytes no asset has yet, and where it is to go."""

    asset: Asset
    hashed: Hashed
    key: Key


class BatchSealing:
    def __init__(self, library: Library, reception: Reception, nursery: trio.Nursery) -> None:
        self._library = library
        self._reception = reception
        self._nursery = nursery
        self._waiting: dict[AssetId, trio.Event] = {}
        self._working = False

    async def seal(self, id_: AssetId) -> None:
        """Until the received file is an asset, or is held back with the reason."""
        done = self._waiting[id_] = trio.Event()
        if not self._working:
            self._working = True
            self._nursery.start_soon(self._work)
        await done.wait()

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._gather()
                batch = {id_: self._waiting.pop(id_) for id_ in list(islice(self._waiting, BATCH))}
                await self._seal_batch(batch)
        finally:
            self._working = False

    async def _gather(self) -> None:
        """Until nothing more comes for a moment."""
        with trio.move_on_after(PATIENCE_S):
            number = 0
            while number < len(self._waiting) < BATCH:
                number = len(self._waiting)
                await trio.sleep(QUIET_S)

    async def _seal_batch(self, batch: Mapping[AssetId, trio.Event]) -> None:
        small = [id_ for id_ in batch if self._is_small(id_)]
        async with trio.open_nursery() as nursery:
            for id_ in batch.keys() - set(small):
                nursery.start_soon(self._seal_one, id_, batch[id_])
            left = set(await self._left_of(small))
            for id_ in small:
                if id_ in left:
                    nursery.start_soon(self._seal_one, id_, batch[id_])
                else:
                    batch[id_].set()

    async def _seal_one(self, id_: AssetId, done: trio.Event) -> None:
        await self._reception.seal_or_report(id_)
        done.set()

    async def _left_of(self, small: Sequence[AssetId]) -> Sequence[AssetId]:
        """What could not be sealed together: bytes that are known already, and whatever failed. `Reception` knows what
        to do with each, also where this was broken off between publishing and the commit."""
        if len(small) < 2:
            return small
        try:
            return await self._together(small)
        except DamfsError as error:
            log.info("%d received files are sealed one by one: %s", len(small), error)
            return small

    def _is_small(self, id_: AssetId) -> bool:
        asset = self._library.asset(id_)
        return asset is not None and asset.size <= SMALL and self._reception.is_plain(asset)

    async def _together(self, ids: Sequence[AssetId]) -> list[AssetId]:
        """Seal those whose bytes are new; the others."""
        library = self._library
        hashed = await trio.to_thread.run_sync(_each, library.staging.seal, ids)
        async with AsyncExitStack() as stack:
            for digest in sorted({each.digest for each in hashed.values()}):
                await stack.enter_async_context(self._reception.same_bytes(digest))
            await stack.enter_async_context(library.publishing.together())
            ready = {each.asset.id: each for each in self._ready(hashed)}
            placed = await trio.to_thread.run_sync(_each, self._publisher(ready), list(ready))
            self._commit([(ready[id_], fact) for id_, fact in placed.items()])
        return [id_ for id_ in ids if id_ not in placed]

    def _ready(self, hashed: dict[AssetId, Hashed]) -> Iterable[Ready]:
        digests: set[Digest] = set()
        keys: set[Key] = set()
        for id_, each in hashed.items():
            asset = self._library.asset(id_)
            if asset is None or not self._reception.is_plain(asset) or each.digest in digests:
                continue
            if stores.blob_of(self._library.db.writer, each.digest) is None:
                key = next(key for key in self._reception.free_keys(asset) if key not in keys)
                digests.add(each.digest)
                keys.add(key)
                yield Ready(asset, each, key)

    def _publisher(self, ready: dict[AssetId, Ready]) -> Callable[[AssetId], FileFact]:
        library = self._library
        files = library.blob_store(library.library_store().id)

        def publish_one(id_: AssetId) -> FileFact:
            return publish(files, library.staging.path(id_), ready[id_].asset.mtime_ns, ready[id_].key, None)

        return publish_one

    def _commit(self, placed: Sequence[tuple[Ready, FileFact]]) -> None:
        seals: list[Seal] = [self._reception.seal_of(each.asset, each.hashed, fact) for each, fact in placed]
        for start in range(0, len(seals), COMMIT):
            self._library.execute(seals[start : start + COMMIT], ACTOR, durable=True)
        for seal in seals:
            self._reception.held_back.pop(seal.asset, None)


def _each(work: Callable[[S], T], subjects: Sequence[S]) -> dict[S, T]:
    """What was made of each, several at a time; without those that failed. Blocks."""
    with ThreadPoolExecutor(THREADS) as pool:
        answers = [(subject, pool.submit(work, subject)) for subject in subjects]
        return {
            subject: answer.result() for subject, answer in answers if not isinstance(answer.exception(), DamfsError)
        }
