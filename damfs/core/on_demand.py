"""Renditions that are made because somebody asks for them by name: pieces and frames of clips.

Concurrency: `Maker.make` may be called from any number of tasks; who asks for the same thing waits for one making, in a
worker of a pool of its own, and that goes on when the one who asked first gives up. Loop's thread; files in threads.
Crash rule: what is not published and committed is nothing; a file without a row is removed by `upkeep`. What is open is
locked (flock, shared), so that making room takes nothing away from a reader; its mtime says when it was last opened.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import trio

from damfs.catalog import assets, derived, predicates, stores
from damfs.core.commands import Execution
from damfs.core.library import Library
from damfs.core.news import Seen, tell
from damfs.core.processor_registry import ProcessorRef
from damfs.core.processors.processor import Worker
from damfs.core.processors.telling import PROGRESS
from damfs.core.rendition_files import publish_renditions
from damfs.core.results import PublishedRendition
from damfs.core.spans import CLIP_ENDING, EXACT, FRAME_ENDING
from damfs.core.worker_pool import JobTimedOut, WorkerPool
from damfs.errors import DamfsError, NoSpace, NotFound, Unavailable
from damfs.model import AssetId, BlobId, Rendition, RenditionKind
from damfs.settings import SETTINGS_FILE
from damfs.storage.spots import Identity, identity

log = logging.getLogger(__name__)

ACTOR = "on-demand"
ENDINGS = {RenditionKind.CLIP: CLIP_ENDING, RenditionKind.FRAME: FRAME_ENDING}
ON_DEMAND = frozenset(ENDINGS)
CUT = "damfs.core.processors.cut:Cut"
FAILED_FOR_NS = 60_000_000_000
"""How long what could not be made is not tried again: programs ask for a name several times."""
FAILURES = 1000
MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """A rendition that somebody asks for."""

    asset: AssetId
    blob: BlobId
    kind: RenditionKind
    profile: str


@dataclass(frozen=True, slots=True)
class KeepMade:
    """The row of a rendition whose file lies at its key."""

    blob: BlobId
    made: PublishedRendition

    def apply(self, x: Execution) -> None:
        made = self.made
        derived.set_rendition(x.tx, self.blob, made.kind, made.profile, made.key, made.size, made.detail, x.at_ns)
        tell_cut(x, "cut-made", self.blob, made.profile + ENDINGS[made.kind])


@dataclass(frozen=True, slots=True)
class DropMade:
    """Its file is gone, or goes to make room: it is made again when somebody asks."""

    rendition: Rendition

    def apply(self, x: Execution) -> None:
        rendition = self.rendition
        derived.drop_rendition(x.tx, rendition.id)
        tell_cut(x, "cut-dropped", rendition.blob, rendition.profile + ENDINGS.get(rendition.kind, ""))


def tell_cut(x: Execution, kind: str, blob: BlobId, name: str) -> None:
    for asset in assets.of_blob(x.tx, blob):
        facets = frozenset({predicates.cuts_facet(asset.id), predicates.CUTS_FACET})
        tell(x.changes, kind, asset.id, Seen(facets, frozenset({asset.name}), frozenset({name.encode()})))


@dataclass(slots=True)
class _Making:
    out: Path
    done: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    waiting: int = 0
    error: DamfsError | None = None


Key = tuple[BlobId, RenditionKind, str]


class Maker:
    """``nursery``: in which makings go on until the daemon ends."""

    def __init__(self, library: Library, pool: WorkerPool, nursery: trio.Nursery) -> None:
        self._library = library
        self._pool = pool
        self._nursery = nursery
        self._making: dict[Key, _Making] = {}
        self._failed: dict[Key, tuple[int, DamfsError]] = {}
        self._numbers = count(1)
        self._trimming = trio.Lock()

    async def make(self, wanted: Wanted) -> Rendition:
        """The rendition, made if it is not there. Raises Unavailable with the reason, NoSpace, NotFound."""
        key = (wanted.blob, wanted.kind, wanted.profile)
        found = self._found(key)
        if found is not None:
            return found
        self._check_failed(key)
        making = self._making.get(key)
        if making is None:
            out = self._library.state / "work" / f"cut-{next(self._numbers)}"
            making = self._making[key] = _Making(out)
            self._nursery.start_soon(self._run, wanted, key, making)
        making.waiting += 1
        try:
            await making.done.wait()
        finally:
            making.waiting -= 1
        if making.error is not None:
            raise type(making.error)(str(making.error))
        found = self._found(key)
        if found is None:
            raise NotFound("what was just made is gone again")
        return found

    def progress_of(self, wanted: Wanted) -> Path | None:
        """The file that tells how far it is, see `telling`; None where it is not being made."""
        making = self._making.get((wanted.blob, wanted.kind, wanted.profile))
        return None if making is None else making.out / PROGRESS

    def withdraw(self, wanted: Wanted) -> bool:
        """Stop making it, for one who waits and does not want it any more; False where others wait as well."""
        making = self._making.get((wanted.blob, wanted.kind, wanted.profile))
        if making is None or making.waiting > 1:
            return False
        making.scope.cancel()
        return True

    def _found(self, key: Key) -> Rendition | None:
        return derived.rendition_of(self._library.db.writer, *key)

    def _check_failed(self, key: Key) -> None:
        at_ns, error = self._failed.get(key, (0, None))
        if error is not None and self._library.clock() - at_ns < FAILED_FOR_NS:
            raise type(error)(str(error))
        self._failed.pop(key, None)

    async def _run(self, wanted: Wanted, key: Key, making: _Making) -> None:
        self._library.counters["cuts_made"] += 1
        try:
            with making.scope:
                making.error = await self._attempt(wanted, making.out)
            if making.scope.cancelled_caught:
                making.error = Unavailable("it was interrupted by who asked for it; ask again to have it made")
        finally:
            if making.error is not None and not making.scope.cancelled_caught:
                self._remember(key, making.error)
            del self._making[key]
            making.done.set()
        await self.trim(spare=key)

    def _remember(self, key: Key, error: DamfsError) -> None:
        self._failed[key] = (self._library.clock(), error)
        self._library.not_made[key] = str(error)
        if len(self._failed) > FAILURES:
            oldest = next(iter(self._failed))
            del self._failed[oldest]
            self._library.not_made.pop(oldest, None)

    async def _attempt(self, wanted: Wanted, out: Path) -> DamfsError | None:
        try:
            await self._made(wanted, out)
        except (NoSpace, NotFound) as error:
            return error
        except JobTimedOut:
            return Unavailable(too_long(library=self._library, exact=wanted.profile.endswith(EXACT)))
        except DamfsError as error:
            log.info("%s of asset %d was not made: %s", wanted.profile, wanted.asset, error)
            return Unavailable(str(error))
        except Exception as error:  # a fault here is the failure of one making, not of the mount
            log.exception("%s of asset %d was not made", wanted.profile, wanted.asset)
            return Unavailable(f"{type(error).__name__}: {error}")
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(shutil.rmtree, out, True)  # ignore_errors
        return None

    async def _made(self, wanted: Wanted, out: Path) -> None:
        library = self._library
        asset = library.known(wanted.asset)
        subject = replace(
            library.planner.subject(library.db.writer, asset, words=False),
            settings={"kind": str(wanted.kind), "profile": wanted.profile},
        )
        source = library.source_paths(wanted.blob, wanted.asset)[0]
        await trio.to_thread.run_sync(_empty_directory, out)
        before = await trio.to_thread.run_sync(_identity, source)
        limit_s = float(library.settings.clips.time_limit_s)
        cut = ProcessorRef("cut", CUT, Worker.PROMPT, limit_s)
        output = await self._pool.run(cut, source, out, subject, limit_s)
        if before is None or before != await trio.to_thread.run_sync(_identity, source):
            raise Unavailable(f"{asset.name}: its file was replaced while it was read; try again")
        digest = stores.digest_of(library.db.writer, wanted.blob)
        (made,) = await trio.to_thread.run_sync(publish_renditions, library.renditions, digest, output.renditions)
        library.perform(KeepMade(wanted.blob, made), ACTOR)
        library.not_made.pop((wanted.blob, wanted.kind, wanted.profile), None)

    async def trim(self, spare: Key | None = None) -> None:
        """Make room: what was not opened for the longest time goes, until all is within the limit of the settings."""
        library = self._library
        limit = library.settings.clips.limit_mb * MEGABYTE
        async with self._trimming:
            used = derived.size_on_demand(library.db.writer)
            if used <= limit:
                return
            rows = await library.db.read(derived.list_on_demand)
            rows = [row for row in rows if (row.blob, row.kind, row.profile) != spare]
            for row in await trio.to_thread.run_sync(longest_unused, library.renditions, rows):
                if used <= limit:
                    break
                used -= await self._dropped(row)

    async def _dropped(self, row: Rendition) -> int:
        """The bytes that this gave; none where it is open."""
        path = self._library.renditions / row.key
        if await trio.to_thread.run_sync(_is_in_use, path):
            return 0
        self._library.perform(DropMade(row), ACTOR)
        await trio.to_thread.run_sync(_removed, path)
        return row.size


def too_long(library: Library, *, exact: bool) -> str:
    limit_s = library.settings.clips.time_limit_s
    other = "; without exactness it is copied, which is quick" if exact else ""
    return f"making it took longer than {limit_s} s (clips.time_limit_s in {SETTINGS_FILE}) and was stopped{other}"


async def discard(library: Library, rendition: Rendition, actor: str) -> None:
    """Somebody does not want it: it is made again when it is asked for. Who has it open can read on."""
    library.perform(DropMade(rendition), actor)
    await trio.to_thread.run_sync(_removed, library.renditions / rendition.key)


def _removed(path: Path) -> None:
    """Blocks. What stays has no row any more: `rendition_upkeep` removes it."""
    with suppress(OSError):
        path.unlink()


def longest_unused(root: Path, rows: Sequence[Rendition]) -> list[Rendition]:
    """In the order in which they were opened last. Blocks: one stat for each."""

    def used_ns(row: Rendition) -> int:
        try:
            return (root / row.key).stat().st_mtime_ns
        except OSError:
            return 0

    return sorted(rows, key=used_ns)


def open_in_use(path: Path) -> int:
    """A descriptor to read from, that keeps the file from being removed to make room; it was used now. Blocks."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with suppress(OSError):  # a file system without locks, or that cannot be written now: it can be read all the same
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.utime(fd)
    return fd


def _is_in_use(path: Path) -> bool:
    """Blocks."""
    for fd in _opened(path):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # somebody has it, or a file system that cannot tell: then it is kept
            return True
    return False


def _opened(path: Path) -> Iterator[int]:
    """Once; not where it is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _identity(path: Path) -> Identity | None:
    """None when it cannot be told. Blocks."""
    try:
        return identity(path.stat())
    except OSError:
        return None


def _empty_directory(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
