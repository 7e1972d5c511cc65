"""Small files that are closed one soon after the other are sealed together.

A card of photos is a thousand files: sealed one by one, each waits for several writes of the disk and keeps the loop
busy with threads of its own. Here they share both. Concurrency: on the loop, one batch at a time, in a task of the
nursery given; hashing and publishing in a thread that has a pool of its own. Crash rule: that of `reception`, for each
file by itself: it is published before its row is committed, and keeps its staged name until then.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import trio

from damfs.catalog import arrivals
from damfs.catalog.arrivals import Received
from damfs.core.free_keys import FreeKeys, Ready
from damfs.core.gathering_closed import Done, Gathering
from damfs.core.library import Library
from damfs.core.orphans import take_back
from damfs.core.reception import ACTOR, Reception
from damfs.core.sealing_together import SealTogether
from damfs.errors import DamfsError
from damfs.model import AssetId
from damfs.storage.blob_store import FileFact, Hashed
from damfs.storage.droppings import is_temporary

log = logging.getLogger(__name__)

SMALL = 4 << 20
"""Bytes. What is larger is worth a thread of its own, and nobody is to wait for it."""
BATCH = 128
COMMIT = 32
"""Files of one transaction, so that it is over soon: the loop waits for it."""
THREADS = 8
"""Disks write what several threads ask them to in one go."""


class BatchSealing:
    def __init__(self, library: Library, reception: Reception, nursery: trio.Nursery) -> None:
        self._library = library
        self._reception = reception
        self._nursery = nursery
        self._gathering = Gathering()
        self._working = False
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="sealing")

    async def seal(self, id_: AssetId) -> None:
        """Until the received file is an asset, or is held back with the reason."""
        done = trio.Event()
        self.begin(id_, done.set)
        await done.wait()

    def begin(self, id_: AssetId, done: Done, size: int | None = None) -> None:
        """``done`` is called when the received file is an asset, or is held back. No task waits for it. ``size``: of
        one that was just received, and that may wait while more keep coming."""
        self._gathering.add(id_, done, size if size is not None and size <= SMALL else None)
        if not self._working:
            self._working = True
            self._nursery.start_soon(self._work)

    def more_comes(self) -> None:
        """A file begins to be received."""
        self._gathering.stirred += 1

    def hurry(self, id_: AssetId) -> None:
        """Somebody waits until it is sealed."""
        self._gathering.hurry(id_)

    def hurry_all(self) -> None:
        self._gathering.hurry_all()

    async def _work(self) -> None:
        try:
            while self._gathering:
                left = await self._gathering.gathered()
                while left > 0:
                    batch = self._gathering.take(BATCH)
                    left -= len(batch)
                    await self._seal_batch(batch)
        finally:
            self._working = False

    async def _seal_batch(self, batch: Mapping[AssetId, Done]) -> None:
        """The next batch waits for those that are sealed together, for no other."""
        small = self._small(batch)
        for id_ in batch.keys() - small.keys():
            self._nursery.start_soon(self._seal_one, id_, batch[id_])
        left = await self._left_of(small)
        for id_ in small:
            if id_ in left:
                self._nursery.start_soon(self._seal_one, id_, batch[id_])
            else:
                batch[id_]()

    async def _seal_one(self, id_: AssetId, done: Done) -> None:
        await self._reception.seal_or_report(id_)
        done()

    def _small(self, ids: Collection[AssetId]) -> dict[AssetId, Received]:
        """Those that are received, and to be sealed together with others."""
        found = arrivals.received(self._library.db.writer, ids)
        return {id_: each for id_, each in found.items() if each.asset.size <= SMALL and is_whole(each)}

    async def _left_of(self, small: Mapping[AssetId, Received]) -> Collection[AssetId]:
        """What could not be sealed together: bytes that are known already, and whatever failed. `Reception` knows what
        to do with each, also where this was broken off between publishing and the commit."""
        if len(small) < 2:
            return small.keys()
        arrived: Collection[AssetId] = ()
        with reported(len(small)):
            arrived = await self._together(small)
        return small.keys() - set(arrived)

    async def _together(self, small: Mapping[AssetId, Received]) -> Collection[AssetId]:
        """Seal those whose bytes are new; which those were."""
        library = self._library
        hashed = await trio.to_thread.run_sync(self._hash_all, small)
        digests = {each.digest for each in hashed.values()}
        async with self._reception.same_bytes(*digests), library.publishing.together():
            ready = self._ready(small, hashed)
            files = library.blob_store(library.library_store().id)
            staged = [(library.staging.path(each.asset.id), each.key) for each in ready]
            facts = await trio.to_thread.run_sync(files.place_all, staged)
            placed = [(each, fact) for each, fact in zip(ready, facts, strict=True) if isinstance(fact, FileFact)]
            arrived = await self._commit_all(placed)
            for each, fact in placed:
                if each.asset.id not in arrived:
                    await take_back(library, each.asset.id, fact.key)
        await self._reception.forget_staged(*arrived)
        return arrived

    def _hash_all(self, small: Mapping[AssetId, Received]) -> dict[AssetId, Hashed]:
        """Several at a time; without those that failed. Blocks."""
        wanted = [(id_, each.asset.mtime_ns) for id_, each in small.items()]
        shares = [wanted[start::THREADS] for start in range(min(THREADS, len(wanted)))]
        return dict(found for share in self._threads.map(self._hash_share, shares) for found in share)

    def _hash_share(self, wanted: Sequence[tuple[AssetId, int]]) -> list[tuple[AssetId, Hashed]]:
        found = []
        for id_, mtime_ns in wanted:
            with suppress(DamfsError):
                found.append((id_, self._library.staging.seal(id_, mtime_ns)))
        return found

    def _ready(self, small: Mapping[AssetId, Received], hashed: Mapping[AssetId, Hashed]) -> list[Ready]:
        """What is still to be sealed as it was when it was hashed, each with bytes and a key of its own."""
        connection = self._library.db.writer
        now = arrivals.received(connection, hashed.keys())
        digests = arrivals.known_digests(connection, (each.digest for each in hashed.values()))
        ready, keys = list[Ready](), FreeKeys(self._library)
        for id_, each in hashed.items():
            if id_ in now and now[id_] == small[id_] and each.digest not in digests:
                key = keys.of(now[id_])
                if key is not None:
                    digests.add(each.digest)
                    ready.append(Ready(now[id_].asset, each, key))
        return ready

    async def _commit_all(self, placed: Sequence[tuple[Ready, FileFact]]) -> set[AssetId]:
        """Which were entered into the catalog. The loop goes round between two commits: nobody else comes to rely on
        these bytes or keys meanwhile."""
        arrived = set[AssetId]()
        with reported(len(placed)):
            for start in range(0, len(placed), COMMIT):
                arrived |= self._commit(placed[start : start + COMMIT])
                await trio.lowlevel.checkpoint()
        return arrived

    def _commit(self, placed: Sequence[tuple[Ready, FileFact]]) -> set[AssetId]:
        """Those that are still being received, with what is known of them now."""
        now = arrivals.received(self._library.db.writer, [each.asset.id for each, _ in placed])
        seals = tuple(
            self._reception.seal_of(now[each.asset.id].asset, each.hashed, fact)
            for each, fact in placed
            if each.asset.id in now
        )
        if seals:
            self._library.perform(SealTogether(seals), ACTOR, durable=True)
        for seal in seals:
            self._reception.held_back.pop(seal.asset, None)
        return {seal.asset for seal in seals}


@contextmanager
def reported(number: int) -> Iterator[None]:
    """What goes wrong with many files is for each of them to say. It must not end the reception of those to come."""
    try:
        yield
    except DamfsError as error:
        log.info("%d received files are sealed one by one: %s", number, error)
    except Exception:
        log.exception("%d received files are sealed one by one", number)


def is_whole(received: Received) -> bool:
    """Whether its name is final, so that it is to be sealed."""
    return not is_temporary(received.asset.name)
