""".damfs/events: the change feed as JSON lines. Reading waits for what is new since the file was opened.

The kernel holds a program, even one that is killed, until its read is answered: so a read ends after a moment with one
space, which JSON allows before a value. Concurrency: loop's thread; changes are read from their table in a reader
thread, so that a reader that is slow costs no memory. Crash rule: none, the table is kept by the catalog.
"""

from __future__ import annotations

import errno

import msgspec
import trio
from pyfuse3 import FUSEError

from damfs.catalog import change_feed
from damfs.core.library import Library
from damfs.model import Change, Seq

PATIENCE_S = 1.0
"""So long even a program that is killed waits for the answer to its read."""
KEEP_ALIVE = b" "
AT_ONCE = 256
MOST = 32
"""Readers at a time: each that waits takes one of the calls (99) that the mount answers at once."""


class Events:
    """Wakes the readers of `.damfs/events` at each commit."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self.news = trio.Event()
        """Set, and made anew, when something was committed."""
        self.ended = False
        self.readers = 0

    async def follow(self) -> None:
        """Until cancelled."""
        with self.library.feed.hear(self._tell):
            await trio.sleep_forever()

    def end(self) -> None:
        """Whoever waits comes to the end of the file: the mount goes away."""
        self.ended = True
        self._tell()

    def _tell(self) -> None:
        self.news.set()
        self.news = trio.Event()

    def reader(self, *, waits: bool) -> EventReader:
        if self.readers >= MOST:
            raise FUSEError(errno.EBUSY)
        self.readers += 1
        return EventReader(self, change_feed.last_seq(self.library.db.writer), waits=waits)


class EventReader:
    """One open file. ``waits``: it was not opened with O_NONBLOCK."""

    def __init__(self, events: Events, seq: Seq, *, waits: bool) -> None:
        self._events = events
        self._seq = seq
        self._waits = waits
        self._rest = b""
        self._turn = trio.Lock()

    async def read(self, size: int) -> bytes:
        """The next bytes; none at the end of the mount. Raises FUSEError (EAGAIN) instead of waiting."""
        if self._turn.locked():
            raise FUSEError(errno.EBUSY)
        async with self._turn:
            if not self._rest:
                self._rest = await self._next()
            said, self._rest = self._rest[:size], self._rest[size:]
            return said

    def close(self) -> None:
        self._events.readers -= 1

    async def _next(self) -> bytes:
        with trio.move_on_after(PATIENCE_S):
            while not self._events.ended:
                news = self._events.news
                changes = await self._events.library.db.read(
                    lambda connection: change_feed.list_since(connection, self._seq, AT_ONCE)
                )
                if changes:
                    self._seq = changes[-1].seq
                    return b"".join(map(as_line, changes))
                if not self._waits:
                    raise FUSEError(errno.EAGAIN)
                await news.wait()
        return b"" if self._events.ended else KEEP_ALIVE


def as_line(change: Change) -> bytes:
    return msgspec.json.encode(
        {
            "seq": change.seq, "at_ns": change.at_ns, "actor": change.actor, "kind": change.kind, "asset": change.asset,
            "names": change.names, "facets": sorted(change.facets), "detail": change.detail,
        }
    ) + b"\n"  # fmt: skip
