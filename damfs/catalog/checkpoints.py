"""Brings what was committed from the write-ahead log into the database file, beside the loop.

SQLite would do it inside the commit that makes the log a thousand pages long: tens of milliseconds, in which nobody is
answered. Concurrency: `committed` runs in the writer's thread and only starts a thread, one at a time, with a
connection of its own. Crash rule: none; the log holds what the file does not have yet.
"""

from __future__ import annotations

import logging
import threading
from contextlib import closing
from pathlib import Path

import apsw

log = logging.getLogger(__name__)

PAGES = 1_000
"""Of new log, until the next checkpoint: SQLite's own number."""
LIMIT_PAGES = 32_000
"""A log of this length (128 MiB) is brought over by whoever commits: the thread does not come to it."""


class Checkpoints:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._due = PAGES
        self._thread: threading.Thread | None = None
        self.begun = 0

    def committed(self, writer: apsw.Connection, name: str, pages: int) -> int:
        """SQLite's hook: the log has so many pages after a commit, which is done: nothing may leave here."""
        try:
            self._consider(writer, name, pages)
        except (apsw.Error, RuntimeError) as error:  # the thread is at it, or there can be no more threads
            log.info("the catalog's log is brought over later: %s", error)
        return int(apsw.SQLITE_OK)

    def _consider(self, writer: apsw.Connection, name: str, pages: int) -> None:
        if pages < self._due - PAGES:  # it began anew
            self._due = PAGES
        if pages >= LIMIT_PAGES:
            writer.wal_checkpoint(name)
        elif pages >= self._due and (self._thread is None or not self._thread.is_alive()):
            self._due = pages + PAGES
            self.begun += 1
            self._thread = threading.Thread(target=self._bring_over, name="checkpoint")
            self._thread.start()

    def _bring_over(self) -> None:
        try:
            with closing(apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
                connection.execute("SELECT 1 FROM sqlite_schema").fetchone()  # before that it knows of no log
                connection.wal_checkpoint()
        except apsw.Error as error:  # it stays in the log, and the next one tries again
            log.info("the catalog's log could not be brought over: %s", error)

    def end(self) -> None:
        """Waits for one that is running. Blocks."""
        if self._thread is not None:
            self._thread.join()
