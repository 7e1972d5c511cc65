"""Copies whose bytes were read just now, for whoever is about to let go of the same bytes elsewhere (P5).

What the catalog says of a copy is what was seen once. Here it is read whole, outside of the gate of publishing, however
long that takes; inside, a look at the file tells whether it is still what was read. Concurrency: reading in threads.
Crash rule: only marks what was found damaged.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import trio

from damfs.catalog import stores
from damfs.core.ingest import MarkDamaged
from damfs.core.library import Library
from damfs.errors import DamfsError
from damfs.model import Copy, CopyState, Digest, Key
from damfs.storage.blob_store import FileFact, Hashed
from damfs.storage.disk_errors import shown

log = logging.getLogger(__name__)

ACTOR = "reception"
LITTLE = 4 << 20
"""Bytes that are read inside the gate."""
TRIES = 5
"""A file that is replaced again and again while it is read is not relied on."""


@dataclass(frozen=True, slots=True)
class GoodCopy:
    """``fact``: the file when it was read."""

    copy: Copy
    fact: FileFact


async def good_copy(library: Library, copies: Sequence[Copy], digest: Digest) -> GoodCopy | None:
    """The first whose bytes are good. Those found bad on the way are marked; those that cannot be read are passed over.
    Not to be called inside the gate of publishing."""
    for copy in copies:
        for _ in range(TRIES):
            hashed = await _read(library, copy)
            if hashed is None or hashed.fact is None:
                break
            if hashed.digest == digest:
                return GoodCopy(copy, hashed.fact)
            if await _is_damaged(library, GoodCopy(copy, hashed.fact)):
                break
    return None


async def still(library: Library, good: GoodCopy | None) -> GoodCopy | None:
    """With the copy as it is now, if its file is the one that was read and can be reached. Inside the gate of
    publishing, where a next version may take its key all the same: see `keys.link_read`."""
    now = None if good is None else stores.copy(library.db.writer, good.copy.id)
    if good is None or now is None or (now.blob, now.state) != (good.copy.blob, CopyState.PRESENT):
        return None
    if not any(store.id == now.store and store.online for store in library.stores()):
        return None
    is_good = await _lies_there(library, now, good.fact) or await _is_good_now(library, now, good.fact)
    return replace(good, copy=now) if is_good else None


async def _is_good_now(library: Library, copy: Copy, fact: FileFact) -> bool:
    """A little file is read once more at once: its ctime also moves when names of it come and go, as they do while
    others store the same bytes."""
    hashed = await _read(library, copy) if fact.size <= LITTLE else None
    return hashed is not None and (hashed.fact, hashed.digest) == (fact, stores.digest_of(library.db.writer, copy.blob))


async def _read(library: Library, copy: Copy) -> Hashed | None:
    """Where it lies now. None: it cannot be read, or is not there any more."""
    now = stores.copy(library.db.writer, copy.id)
    if now is None or now.blob != copy.blob:
        return None
    try:
        files = library.blob_store(now.store)
        return await trio.to_thread.run_sync(files.hash, _key(library, now), _unless_cancelled)
    except DamfsError:
        return None


def _unless_cancelled(_: int) -> None:
    """A large file takes minutes: whoever ends the daemon or the command does not wait for that."""
    trio.from_thread.check_cancelled()


async def _is_damaged(library: Library, bad: GoodCopy) -> bool:
    """Whether what was read is the copy's file: at that key a next version may just have been put."""
    async with library.publishing.alone():
        now = stores.copy(library.db.writer, bad.copy.id)
        if now is None or now.blob != bad.copy.blob or not await _lies_there(library, now, bad.fact):
            return False
        log.warning("a copy is damaged: %s; it is not relied on", shown(_key(library, now)))
        library.perform(MarkDamaged(now.id), ACTOR)
        return True


async def _lies_there(library: Library, copy: Copy, fact: FileFact) -> bool:
    try:
        there = await trio.to_thread.run_sync(library.blob_store(copy.store).stat, _key(library, copy))
    except DamfsError:
        return False
    return there.is_untouched_since(fact)


def _key(library: Library, copy: Copy) -> Key:
    return stores.key_of(library.db.writer, copy.folder, copy.name)
