"""Compares each new fingerprint with what is alike, in the background, so that duplicates/near/ is a table to read.

Concurrency: one task on the loop; each comparison in a thread with a connection of its own, one at a time. Crash rule:
what was not compared yet is found at the next start; to compare again changes nothing.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import trio

from damfs.catalog import duplicates
from damfs.catalog.duplicates import Near
from damfs.core.commands import Execution
from damfs.core.duplicate_groups import DUPLICATES_FACET
from damfs.core.feed import Batch
from damfs.core.library import Library
from damfs.core.near_duplicates import MARK, PROCESSOR, clip_marks, find_near, looks_of
from damfs.core.outlasting import outlast
from damfs.model import BlobId

ACTOR = "duplicates"
AFTER = frozenset({PROCESSOR, "embedding"})
"""Processors whose results are compared."""
GATHER_S = 0.3
"""Both of them may be on their way."""
PAUSE_S = 0.2
"""After one that could not be compared: there may be many."""


@dataclass(frozen=True, slots=True)
class NoteNear:
    """A blob was compared with all that could look like it. Whether any does."""

    blob: BlobId
    found: Sequence[Near]
    marks: Sequence[int]

    def apply(self, x: Execution) -> bool:
        before = duplicates.near(x.tx, self.blob)
        duplicates.set_near(x.tx, self.blob, self.found, MARK)
        duplicates.set_clip_marks(x.tx, self.blob, self.marks)
        if before or self.found:
            x.changes.record("compared", {DUPLICATES_FACET}, detail={"blob": self.blob, "alike": len(self.found)})
        return bool(self.found)


class DuplicateFinder:
    def __init__(self, library: Library) -> None:
        self._library = library
        self._due: deque[BlobId] = deque()
        self._news = trio.Event()
        self._comparing = False

    @property
    def is_busy(self) -> bool:
        return self._comparing or bool(self._due)

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            with self._library.feed.follow(lambda change: change.kind == "processed") as batches:
                nursery.start_soon(self._compare_all)
                task_status.started()
                await outlast("bytes that were not compared yet", self._begin, 0)
                await self._listen(batches)

    async def _begin(self) -> None:
        self._add(await self._library.db.read(lambda it: duplicates.list_uncompared(it, PROCESSOR, MARK)))

    async def _listen(self, batches: AsyncIterator[Batch]) -> None:
        async for batch in batches:
            for change in batch:
                blob = change.detail.get("blob")
                if change.kind == "processed" and change.detail.get("processor") in AFTER and isinstance(blob, int):
                    self._add([BlobId(blob)])

    def _add(self, blobs: Sequence[BlobId]) -> None:
        self._due.extend(blobs)
        if blobs:
            self._news.set()

    async def _compare_all(self) -> None:
        while True:
            await self._news.wait()
            await trio.sleep(GATHER_S)
            self._news = trio.Event()
            due, self._due = list(dict.fromkeys(self._due)), deque()
            self._comparing = True
            for blob in due:
                await outlast("comparing bytes", functools.partial(compare, self._library, blob), PAUSE_S)
            self._comparing = False


async def compare(library: Library, blob: BlobId) -> bool:
    """Find what looks like a blob, and note it. Whether anything does."""
    command = await trio.to_thread.run_sync(_compared, library, blob)
    return command is not None and library.perform(command, ACTOR)


def _compared(library: Library, blob: BlobId) -> NoteNear | None:
    """Blocks. None where there is no fingerprint (yet)."""
    with closing(library.db.open_reader()) as connection:
        own = looks_of(connection, blob)
        if own is None:
            return None
        return NoteNear(blob, find_near(connection, library.vectors, own), clip_marks(own))
