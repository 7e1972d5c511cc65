"""Reads every file of the stores and compares it with its digest; marks what is damaged, missing or good again.

Concurrency: reading in threads, several files at a time; commits on the loop in small batches; the time limit and a
cancellation stop within a megabyte. Crash rule: what was committed is not read again by the next run, which goes on
where this one stopped.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial

import trio

from damfs.catalog import stores, verification
from damfs.catalog.verification import Unread
from damfs.core import volumes
from damfs.core.commands import Command, Execution
from damfs.core.indexing import MarkMissing
from damfs.core.ingest import MarkDamaged, known_copy, revive
from damfs.core.library import Library
from damfs.core.news import seen, seen_folders, tell
from damfs.core.verify_report import Verdict, VerifyProgress, VerifyReport
from damfs.errors import DamfsError, NotFound, Unavailable
from damfs.model import BlobId, Copy, CopyId, CopyState, Digest, Key, Store, StoreKind
from damfs.storage.blob_store import BlobStore, FileFact, Hashed

ACTOR = "verify"
BATCH = 100
BATCH_S = 0.05
TELL_EVERY_S = 0.25
ALL = "all"
TRIES = 5

Report = Callable[[VerifyProgress], None]


@dataclass(frozen=True, slots=True)
class MarkGood:
    """The bytes of a copy were read and are those of its digest."""

    copy: CopyId
    fact: FileFact

    def apply(self, x: Execution) -> None:
        copy = known_copy(x, self.copy)
        stores.set_copy_stat(x.tx, copy.id, self.fact.mtime_ns, self.fact.inode, x.at_ns)
        if copy.state is CopyState.PRESENT:
            return
        _, grown = stores.ensure_folder(x.tx, copy.store, stores.split_key(self.fact.key)[0])
        revive(x, copy.blob)
        tell(x.changes, "found", copy.asset, seen(x.tx, copy.asset), seen_folders(grown))


@dataclass(frozen=True, slots=True)
class _Subject:
    """A copy as it was when its reading began."""

    unread: Unread
    key: Key
    blob: BlobId
    digest: Digest
    state: CopyState


class _Stopped(Exception):
    """The time is up, or nobody waits any more."""


class _StoreGone(Exception):
    """The volume of the store went away: what is not there is not missing."""


_Outcome = Hashed | DamfsError | _StoreGone


async def verify(
    library: Library, wanted: Sequence[Store], report: Report = lambda _: None, limit_s: float = math.inf
) -> VerifyReport:
    """Verify stores; ``limit_s`` seconds at most. Damage is an answer, not an error."""
    run = _Run(library, report)
    began = time.monotonic()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.keep_limit, limit_s)
        nursery.start_soon(run.tell_progress)
        await run.verify_all(wanted)
        nursery.cancel_scope.cancel()
    run.summary.seconds = time.monotonic() - began
    return run.summary


class _Run:
    def __init__(self, library: Library, report: Report) -> None:
        self._library = library
        self._report = report
        self._limiter = trio.CapacityLimiter(library.settings.indexer.scan_threads)
        self._stopped = False
        """Read by the reading threads."""
        self._under_way: dict[CopyId, int] = {}
        """Bytes read so far of files being read; their threads write the numbers, the loop adds and removes them."""
        self._progress = VerifyProgress("", 0, 0, 0, 0)
        self._queue: deque[Unread] = deque()
        self.summary = VerifyReport()

    async def keep_limit(self, limit_s: float) -> None:
        try:
            await trio.sleep(limit_s)
        finally:
            self._stopped = True

    async def tell_progress(self) -> None:
        while True:
            await trio.sleep(TELL_EVERY_S)
            now = self._progress
            size_read = now.size_read + sum(self._under_way.values())
            self._report(VerifyProgress(now.store, now.files, now.files_read, now.size, size_read))

    async def verify_all(self, wanted: Sequence[Store]) -> None:
        library = self._library
        scope = str(wanted[0].id) if len(wanted) == 1 else ALL
        began_ns = verification.pass_began_ns(library.db.writer, scope)
        self.summary.resumed = began_ns is not None
        if began_ns is None:
            began_ns = library.clock()
            with library.db.transaction() as tx:
                verification.begin_pass(tx, scope, began_ns)
        for store in wanted:
            await self._verify_store(store, began_ns)
        if not self.summary.left:
            with library.db.transaction() as tx:
                verification.end_pass(tx, scope)

    async def _verify_store(self, store: Store, began_ns: int) -> None:
        library = self._library
        files = library.blob_store(store.id)
        unread = await library.db.read(lambda connection: verification.list_unread(connection, store.id, began_ns))
        root = await volumes.known_of(library, store)
        volume = await trio.to_thread.run_sync(_volume, replace(root, expects_files=bool(unread)))
        if volume is None:
            self._went_offline(store)
            return
        if store.kind is StoreKind.WRITABLE and not self._stopped:
            await self._find_unknown(store, files)
        self._progress = VerifyProgress(store.name, len(unread), 0, sum(each.size for each in unread), 0)
        self._queue = deque(unread)
        gone = False
        while self._queue and not self._stopped and not gone:
            gone = await self._read_round(store, files, partial(_volume_is, root, volume))
        if gone:
            self._went_offline(store)
        else:
            self.summary.left += len(self._queue)

    def _went_offline(self, store: Store) -> None:
        self.summary.offline.append(store.name)
        volumes.set_online(self._library, store, ACTOR, online=False)

    async def _read_round(self, store: Store, files: BlobStore, is_there: Callable[[], bool]) -> bool:
        """Read what is queued, several at a time; whether the store went away meanwhile."""
        send, receive = trio.open_memory_channel[tuple[_Subject, _Outcome]](BATCH)
        gone = False
        async with trio.open_nursery() as nursery:
            for _ in range(self._library.settings.indexer.scan_threads):
                nursery.start_soon(self._read_queued, store, files, is_there, send.clone())
            send.close()
            with self._stopping_readers():
                batch: list[tuple[_Subject, _Outcome]] = []
                due = time.monotonic() + BATCH_S
                async for subject, outcome in receive:
                    gone = gone or isinstance(outcome, _StoreGone)
                    batch.append((subject, outcome))
                    if gone or len(batch) >= BATCH or time.monotonic() > due:
                        self._commit(store, batch)
                        await trio.lowlevel.checkpoint()
                        due = time.monotonic() + BATCH_S
                    if gone:
                        nursery.cancel_scope.cancel()
                self._commit(store, batch)
        return gone

    @contextmanager
    def _stopping_readers(self) -> Iterator[None]:
        """What ends the block early, as an interrupt does, ends the reading threads: whoever waits for them would wait
        for the end of a large file."""
        try:
            yield
        except BaseException:
            self._stopped = True
            raise

    async def _read_queued(
        self, store: Store, files: BlobStore, is_there: Callable[[], bool],
        send: trio.MemorySendChannel[tuple[_Subject, _Outcome]],
    ) -> None:  # fmt: skip
        async with send:
            while self._queue and not self._stopped:
                unread = self._queue.popleft()
                subject = self._subject(unread)
                if subject is None:
                    continue
                self._under_way[unread.copy] = 0
                try:
                    found = await self._read_sure(store, files, subject, is_there)
                except _Stopped:
                    self._queue.appendleft(unread)
                    return
                finally:
                    del self._under_way[unread.copy]
                if found is not None:
                    await send.send(found)

    async def _read_sure(
        self, store: Store, files: BlobStore, subject: _Subject, is_there: Callable[[], bool]
    ) -> tuple[_Subject, _Outcome] | None:
        """damfs puts a file where it belongs before it says so in the catalog. So damage, or a loss, is believed, and
        committed (None), when nobody publishes and file and row are still what was read; else it is read again, not
        holding up anybody."""
        for _ in range(TRIES):
            outcome = await trio.to_thread.run_sync(self._read, files, subject, is_there, limiter=self._limiter)
            if not _is_news(subject, outcome):
                return subject, outcome
            async with self._library.publishing.alone():
                now = self._subject(subject.unread)
                if now is None or (
                    now == subject and await trio.to_thread.run_sync(_is_so, files, subject.key, outcome)
                ):
                    self._commit(store, [(subject, outcome)])
                    return None
            subject = now
        return subject, Unavailable(f"{shown(subject.key)}: it is written again and again; it is verified another time")

    def _subject(self, unread: Unread) -> _Subject | None:
        """What to read, as it is now; None when the copy is gone from the catalog."""
        connection = self._library.db.writer
        copy = stores.copy(connection, unread.copy)
        if copy is None:
            return None
        key = stores.key_of(connection, copy.folder, copy.name)
        return _Subject(unread, key, copy.blob, stores.digest_of(connection, copy.blob), copy.state)

    def _read(self, files: BlobStore, subject: _Subject, is_there: Callable[[], bool]) -> _Outcome:
        """Blocks. Raises _Stopped."""
        try:
            return files.hash(subject.key, partial(self._note, subject.unread.copy))
        except DamfsError as error:
            return error if is_there() else _StoreGone()

    def _note(self, copy: CopyId, size: int) -> None:
        if self._stopped:
            raise _Stopped
        self._under_way[copy] = size

    def _commit(self, store: Store, batch: list[tuple[_Subject, _Outcome]]) -> None:
        commands = [command for subject, outcome in batch for command in self._judge(store, subject, outcome)]
        self._library.execute(commands, ACTOR)
        batch.clear()

    def _judge(self, store: Store, subject: _Subject, outcome: _Outcome) -> list[Command[object]]:
        """Count a file, and what is to be done about it."""
        connection = self._library.db.writer
        copy = stores.copy(connection, subject.unread.copy)
        if copy is None or isinstance(outcome, _StoreGone):
            return []
        if copy.blob != subject.blob or stores.key_of(connection, copy.folder, copy.name) != subject.key:
            self._queue.append(subject.unread)  # damfs itself moved it while it was read
            return []
        self._move_on(subject, outcome)
        verdict = _verdict(store, copy, subject, outcome)
        reason = str(outcome) if verdict is Verdict.UNREADABLE else ""
        self.summary.count(verdict, store.name, shown(subject.key), reason)
        return _consequence(verdict, copy, outcome)

    def _move_on(self, subject: _Subject, outcome: _Outcome) -> None:
        now, size = self._progress, outcome.size if isinstance(outcome, Hashed) else 0
        self.summary.size += size
        self._progress = VerifyProgress(
            now.store, now.files, now.files_read + 1, now.size, now.size_read + subject.unread.size
        )

    async def _find_unknown(self, store: Store, files: BlobStore) -> None:
        """Files without a row. One whose row was just on its way is none."""
        library = self._library
        try:
            keys = await trio.to_thread.run_sync(_walk, files)
        except DamfsError as error:
            self.summary.count(Verdict.UNREADABLE, store.name, ".", str(error))
            return
        known = {key for key, _ in await library.db.read(lambda connection: stores.list_copies(connection, store.id))}
        async with library.publishing.alone():
            unknown = [key for key in keys if key not in known and not self._has_row(store, key)]
            for key in await trio.to_thread.run_sync(_still_there, files, unknown):
                self.summary.count(Verdict.UNKNOWN, store.name, shown(key))

    def _has_row(self, store: Store, key: Key) -> bool:
        connection = self._library.db.writer
        folders, name = stores.split_key(key)
        folder = stores.folder_at(connection, store.id, folders)
        return folder is not None and stores.copy_at(connection, folder, name) is not None


def _is_news(subject: _Subject, outcome: _Outcome) -> bool:
    """Whether damage, or a loss, was found that the catalog does not know of. Pure."""
    if isinstance(outcome, NotFound):
        return subject.state is not CopyState.MISSING
    return isinstance(outcome, Hashed) and outcome.digest != subject.digest and subject.state is not CopyState.DAMAGED


def _is_so(files: BlobStore, key: Key, outcome: _Outcome) -> bool:
    """Whether the file is untouched since it was read, or still not there. Blocks."""
    try:
        there = files.stat(key)
    except NotFound:
        return isinstance(outcome, NotFound)
    except DamfsError:
        return False
    return isinstance(outcome, Hashed) and outcome.fact is not None and there.is_untouched_since(outcome.fact)


def _verdict(store: Store, copy: Copy, subject: _Subject, outcome: _Outcome) -> Verdict:
    """Pure."""
    if isinstance(outcome, NotFound):
        return Verdict.MISSING
    if not isinstance(outcome, Hashed):
        return Verdict.UNREADABLE
    if outcome.digest == subject.digest:
        return Verdict.GOOD if copy.state is CopyState.PRESENT else Verdict.HEALED
    fact = outcome.fact
    as_seen = fact is not None and (fact.size, fact.mtime_ns, fact.inode) == (copy.size, copy.mtime_ns, copy.inode)
    # nobody may change what damfs stores, but the owner of a read-only store may; there only silent changes are damage
    return Verdict.DAMAGED if as_seen or store.kind is StoreKind.WRITABLE else Verdict.CHANGED


def _consequence(verdict: Verdict, copy: Copy, outcome: _Outcome) -> list[Command[object]]:
    """Pure."""
    if verdict in {Verdict.GOOD, Verdict.HEALED}:
        assert isinstance(outcome, Hashed)
        assert outcome.fact is not None
        return [MarkGood(copy.id, outcome.fact)]
    if verdict is Verdict.DAMAGED and copy.state is not CopyState.DAMAGED:
        return [MarkDamaged(copy.id)]
    if verdict is Verdict.MISSING and copy.state is not CopyState.MISSING:
        return [MarkMissing(copy.id)]
    return []


def _walk(files: BlobStore) -> list[Key]:
    return [found.key for found in files.walk() if isinstance(found, FileFact)]


def _still_there(files: BlobStore, keys: Sequence[Key]) -> list[Key]:
    """Not those that were moved or removed since. Blocks."""
    found = []
    for key in keys:
        try:
            files.stat(key)
        except NotFound:
            continue
        except DamfsError:
            pass  # whatever it is, it is there
        found.append(key)
    return found


def _volume(known: volumes.Known) -> tuple[int, int] | None:  # blocks, called through to_thread
    """What is at the root of a store; None when it is offline."""
    try:
        status = known.root.stat()
        if volumes.is_away(known):
            return None
    except (OSError, DamfsError):
        return None
    return status.st_dev, status.st_ino


def _volume_is(known: volumes.Known, volume: tuple[int, int]) -> bool:
    return _volume(replace(known, expects_files=True)) == volume


def shown(key: Key) -> str:
    """As text: names may hold bytes that are none."""
    return key.decode("utf-8", "backslashreplace")
