"""Brings the catalog into line with the files of a store: what is new, changed, moved or gone.

A scan reads only files whose size, mtime or inode differ; a file that moved is found again by its content and keeps
its asset. Concurrency: walking and hashing in threads, several files at a time; commits on the loop in small batches.
Crash rule: a scan may be killed and run again; what it committed it does not read again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice

import trio

from damfs.catalog import stores
from damfs.core import arriving, volumes
from damfs.core.folders import reconcile_folders
from damfs.core.indexing import HideFolders, IndexFile, MarkMissing
from damfs.core.library import Library
from damfs.core.media_types import guess_media
from damfs.core.scan_report import ScanProgress, ScanReport
from damfs.errors import DamfsError, NotFound, Unavailable
from damfs.model import Copy, CopyId, CopyState, Key, Store, StoreKind
from damfs.storage.blob_store import BlobStore, FileFact, Hashed, WalkProblem
from damfs.storage.disk_errors import disk_errors, shown

log = logging.getLogger(__name__)

ACTOR = "scan"
BATCH = 100
BATCH_S = 0.05
"""A commit holds the loop: at most about so long, then others have their turn."""
TELL_EVERY_S = 0.25
COMMIT = 4
"""Files of one transaction, about 2 ms: a listing, or a question, waits for it."""

Report = Callable[[ScanProgress], None]


@dataclass(frozen=True, slots=True)
class _Difference:
    to_read: list[FileFact]
    gone: dict[CopyId, Key]


async def scan(
    library: Library, store: Store, report: Report = lambda _: None, *, quiet_s: float | None = 0.0
) -> ScanReport:
    """Scan one store. Raises Unavailable when it is offline; its assets then stay as they are (P11).

    In a read-only store files that are still being written wait for a later scan; ``quiet_s``: how long nobody may
    have written to one, None: nothing waits.
    """
    files = library.blob_store(store.id)
    known = await library.db.read(lambda connection: stores.list_copies(connection, store.id))
    facts, problems = await _walked(library, store, files, report)
    summary = ScanReport(store.name, len(facts), problems=[f"{shown(each.key)}: {each.reason}" for each in problems])
    difference = _compare(known, facts, [each.key for each in problems])
    summary.count("unchanged", len(facts) - len(difference.to_read))
    if store.kind is StoreKind.READ_ONLY and quiet_s is not None:
        difference = await _without_arriving(library, store, difference, summary, quiet_s)
    difference = _Difference(difference.to_read, await _really_gone(library, store, difference.gone))
    await _read_all(library, store, difference, summary, report)
    await _mark_missing(library, store, difference.gone, summary)
    if store.kind is StoreKind.WRITABLE:
        await reconcile_folders(library, store)
    elif not summary.problems:
        await _hide_empty_folders(library, store)
    return summary


async def _without_arriving(
    library: Library, store: Store, difference: _Difference, summary: ScanReport, quiet_s: float
) -> _Difference:
    files, now = library.blob_store(store.id), library.clock()
    before = library.arriving.get(store.id, arriving.NOBODY)
    found = await trio.to_thread.run_sync(arriving.split, files, difference.to_read, now, quiet_s, before)
    library.arriving[store.id] = found.met
    summary.waiting = [f"{shown(key)}: {why}" for key, why in found.waiting.items()]
    summary.given_up = [f"{shown(key)}: {why}" for key, why in found.given_up.items()]
    summary.count("waiting", len(found.waiting))
    for line in summary.given_up:
        log.warning("taken as it is, nobody has gone on with it for long: %s", line)
    return _Difference(found.whole, difference.gone)


async def _walked(
    library: Library, store: Store, files: BlobStore, report: Report
) -> tuple[list[FileFact], list[WalkProblem]]:
    root = await volumes.known_of(library, store)
    facts: list[FileFact] = []
    problems: list[WalkProblem] = []
    is_there = await trio.to_thread.run_sync(files.online)
    if is_there:
        await trio.to_thread.run_sync(_walk, files, facts, problems)
        report(ScanProgress(len(facts), 0, 0, 0, 0))
        is_there = bool(facts) or await trio.to_thread.run_sync(_is_emptied, store, root)
    volumes.set_online(library, store, ACTOR, online=is_there)
    if not is_there:
        raise Unavailable(
            f'the store "{store.name}" ({root.root}) is offline; connect its volume and scan again'
            " (if you emptied it yourself: put any file there first)"
        )
    return facts, problems


def _is_emptied(store: Store, root: volumes.Known) -> bool:
    """No file was met: whether that is not the mount point of a volume that is away. Blocks."""
    if store.kind is StoreKind.READ_ONLY:
        return not root.expects_files
    with disk_errors(root.root):
        return not volumes.is_away(root)


def _walk(files: BlobStore, facts: list[FileFact], problems: list[WalkProblem]) -> None:
    for found in files.walk():
        if isinstance(found, FileFact):
            facts.append(found)
        else:
            problems.append(found)


def _compare(known: list[tuple[Key, Copy]], facts: list[FileFact], unreachable: list[Key]) -> _Difference:
    """Pure. What lies below a folder that could not be read is not gone."""
    by_key = dict(known)
    met = {fact.key for fact in facts}
    to_read = [fact for fact in facts if not _unchanged(by_key.get(fact.key), fact)]
    hidden = tuple(key + b"/" for key in unreachable)
    gone = {
        copy.id: key
        for key, copy in known
        if key not in met and copy.state is CopyState.PRESENT and key not in unreachable and not key.startswith(hidden)
    }
    return _Difference(to_read, gone)


def _unchanged(copy: Copy | None, fact: FileFact) -> bool:
    return (
        copy is not None
        and copy.state is not CopyState.MISSING
        and (copy.size, copy.mtime_ns, copy.inode) == (fact.size, fact.mtime_ns, fact.inode)
    )


class _Stopped(Exception):
    """Nobody waits for the scan any more."""


class _Reading:
    """How far the reading threads are. They write the numbers of their own file; the loop adds and removes them."""

    def __init__(self, summary: ScanReport, report: Report) -> None:
        self._summary, self._report = summary, report
        self._stopped = False
        self.under_way: dict[Key, int] = {}
        self.total = self.read = self.size = self.size_read = 0

    def note(self, key: Key, size: int) -> None:
        """In a reading thread. Raises _Stopped: nobody should wait for the rest of a large file."""
        if self._stopped:
            raise _Stopped
        self.under_way[key] = size

    def tell(self) -> None:
        size_read = self.size_read + sum(self.under_way.values())
        self._report(ScanProgress(self._summary.walked, self.total, self.read, self.size, size_read))

    async def keep_telling(self) -> None:
        """Until it is cancelled: then the threads stop as well."""
        try:
            while True:
                await trio.sleep(TELL_EVERY_S)
                self.tell()
        finally:
            self._stopped = True


async def _read_all(
    library: Library, store: Store, difference: _Difference, summary: ScanReport, report: Report
) -> None:
    """Hash in threads, commit in batches as the digests arrive."""
    files = library.blob_store(store.id)
    send, receive = trio.open_memory_channel[Hashed | str](BATCH)
    limiter = trio.CapacityLimiter(library.settings.indexer.scan_threads)
    queue, reading = iter(difference.to_read), _Reading(summary, report)

    async def read(send: trio.MemorySendChannel[Hashed | str]) -> None:
        async with send:
            for fact in queue:
                note = partial(reading.note, fact.key)
                try:
                    hashed = await trio.to_thread.run_sync(files.hash, fact.key, note, limiter=limiter)
                except DamfsError as error:
                    await send.send(str(error))
                except _Stopped:
                    return
                else:
                    await send.send(hashed)
                finally:
                    reading.under_way.pop(fact.key, None)

    async with trio.open_nursery() as nursery, send:
        nursery.start_soon(reading.keep_telling)
        for _ in range(library.settings.indexer.scan_threads):
            nursery.start_soon(read, send.clone())
        send.close()
        await _commit_all(library, store, difference, receive, summary, reading)
        nursery.cancel_scope.cancel()


async def _commit_all(
    library: Library, store: Store, difference: _Difference, receive: trio.MemoryReceiveChannel[Hashed | str],
    summary: ScanReport, reading: _Reading,
) -> None:  # fmt: skip
    reading.total, reading.size = len(difference.to_read), sum(fact.size for fact in difference.to_read)
    batch: list[IndexFile] = []
    deadline = time.monotonic() + BATCH_S
    async for item in receive:
        reading.read += 1
        if isinstance(item, str):
            summary.problems.append(item)
        else:
            reading.size_read += item.size
            batch.append(_index_command(library, store, difference, item))
        if len(batch) >= BATCH or time.monotonic() > deadline:
            await _commit(library, store, batch, summary)
            reading.tell()
            await trio.lowlevel.checkpoint()
            deadline = time.monotonic() + BATCH_S
    await _commit(library, store, batch, summary)
    reading.tell()


def _index_command(library: Library, store: Store, difference: _Difference, hashed: Hashed) -> IndexFile:
    fact = hashed.fact
    assert fact is not None
    name = stores.split_key(fact.key)[1].decode("utf-8", "replace")
    media = guess_media(name, hashed.head)
    return IndexFile(store.id, fact, hashed.digest, media, library.day(fact.mtime_ns), difference.gone)


async def _commit(library: Library, store: Store, batch: list[IndexFile], summary: ScanReport) -> None:
    """In the writable store a file without a row may just be arriving: wait until nobody is between the two."""
    writable = store.kind is StoreKind.WRITABLE
    async with library.publishing.alone() if writable else nullcontext():
        still = await trio.to_thread.run_sync(_still_so, library.blob_store(store.id), batch) if writable else batch
        for start in range(0, len(still), COMMIT):
            for found in library.execute(still[start : start + COMMIT], ACTOR):
                summary.count(str(found))
            await trio.lowlevel.checkpoint()
    batch.clear()


def _still_so(files: BlobStore, batch: Sequence[IndexFile]) -> list[IndexFile]:
    """Without those whose file was replaced since it was read, by the next version of its asset. Blocks."""
    still = []
    for command in batch:
        with suppress(DamfsError):
            if files.stat(command.fact.key) == command.fact:
                still.append(command)
    return still


async def _really_gone(library: Library, store: Store, gone: dict[CopyId, Key]) -> dict[CopyId, Key]:
    """In the writable store a file may have been put elsewhere, or into the trash, just when its folder was walked, and
    be back."""
    if store.kind is not StoreKind.WRITABLE:
        return gone
    really = dict[CopyId, Key]()
    for some in _batches(gone):
        async with library.publishing.alone():
            still = await trio.to_thread.run_sync(_still_gone, library.blob_store(store.id), some)
            really |= {id_: key for id_, key in still if _is_listed(library, id_, key)}
    return really


def _batches(gone: dict[CopyId, Key]) -> Iterator[list[tuple[CopyId, Key]]]:
    left = iter(gone.items())
    while some := list(islice(left, BATCH)):
        yield some


async def _mark_missing(library: Library, store: Store, gone: dict[CopyId, Key], summary: ScanReport) -> None:
    """What no file of the scan took over, and nobody has put back meanwhile."""
    writable = store.kind is StoreKind.WRITABLE
    for some in _batches(gone):
        async with library.publishing.alone() if writable else nullcontext():
            if writable:
                some = await trio.to_thread.run_sync(_still_gone, library.blob_store(store.id), some)
            commands = [MarkMissing(id_) for id_, key in some if _is_listed(library, id_, key)]
            for first in range(0, len(commands), COMMIT):
                library.execute(commands[first : first + COMMIT], ACTOR)
                await trio.lowlevel.checkpoint()
        summary.count("missing", len(commands))


def _is_listed(library: Library, id_: CopyId, key: Key) -> bool:
    copy = stores.copy(library.db.writer, id_)
    present = copy is not None and copy.state is CopyState.PRESENT
    return present and copy is not None and stores.key_of(library.db.writer, copy.folder, copy.name) == key


def _still_gone(files: BlobStore, gone: Sequence[tuple[CopyId, Key]]) -> list[tuple[CopyId, Key]]:
    """Blocks."""
    still = []
    for id_, key in gone:
        try:
            files.stat(key)
        except NotFound:
            still.append((id_, key))
        except DamfsError:
            continue
    return still


async def _hide_empty_folders(library: Library, store: Store) -> None:
    """Folders that the store no longer has, or that hold nothing now."""
    empty = await library.db.read(lambda connection: stores.list_empty_folders(connection, store.id))
    if empty:
        library.perform(HideFolders(tuple(empty)), ACTOR)
