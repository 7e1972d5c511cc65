"""The vector indexes of a library, each loaded when first asked for and kept up with the rows in the background.

Concurrency: `of` may be called from any thread and does not wait for an index that is being loaded or made; one thread
of this module's own follows the rows and ends when there is nothing to do. Crash rule: see `followed_index`; a save is
all or nothing. `close` ends the thread within a second.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from damfs.catalog import vectors
from damfs.catalog.database import Connection
from damfs.core.followed_index import FollowedIndex

log = logging.getLogger(__name__)

SMALL = 2_000
"""Up to so many vectors there is no index: to compare each row takes some milliseconds and misses nothing."""


class VectorIndexes:
    def __init__(self, directory: Path, open_reader: Callable[[], Connection], small: int = SMALL) -> None:
        self._directory = directory
        self._open_reader = open_reader
        self._small = small
        self._lock = threading.Lock()
        """Held for a moment only, never while an index is loaded, filled or saved."""
        self._saving = threading.Lock()
        self._indexes: dict[str, FollowedIndex] = {}
        self._wanted: list[str] = []
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._settled = threading.Event()
        self._settled.set()
        self.loads = 0
        """Indexes that were opened or begun: tests hold by it that none is made twice."""

    def of(self, connection: Connection, model: str) -> FollowedIndex | None:
        """The index of a model as far as it has come; None: there is none (yet), its rows have to be compared."""
        found = self._indexes.get(model)
        if found is None:
            if vectors.more_than(connection, model, self._small):
                self._follow(model)
        elif vectors.last_id(connection, model) > found.last:
            self._follow(model)
        return found

    def follow(self) -> None:
        """Have every loaded index look for what came and went."""
        for model in list(self._indexes):
            self._follow(model)

    def settle(self, timeout_s: float) -> bool:
        """Wait until nothing is being loaded, made or brought up to date; whether that is so."""
        return self._settled.wait(timeout_s)

    def sizes(self) -> dict[str, int]:
        """Loaded indexes and how many vectors each holds."""
        return {model: len(found.index) for model, found in list(self._indexes.items())}

    def save(self, *, all_: bool = True) -> dict[str, bytes]:
        """Save those that changed (much, without ``all_``); digests for the catalog, by model. OSError: disk full."""
        with self._saving:
            changed = [each for each in list(self._indexes.values()) if each.unsaved and (all_ or each.worth_saving())]
            return {each.model: each.save() for each in changed}

    def saved(self, digests: Mapping[str, bytes]) -> None:
        """The catalog knows the digests now: older files are superfluous."""
        for model, digest in digests.items():
            if model in self._indexes:
                self._indexes[model].tidy(digest)

    def heard_of(self) -> int | None:
        """Up to where every loaded index has let go of what was removed; None: none is loaded or on its way."""
        with self._lock:
            if self._wanted or self._thread is not None:
                return 0
            return min((each.dropped for each in self._indexes.values()), default=None)

    def forget(self, model: str) -> None:
        """Its vectors are gone: let go of the index, and of its file."""
        with self._lock:
            found = self._indexes.pop(model, None)
        if found is not None:
            found.tidy(b"")

    def close(self) -> None:
        """Stop following; what was taken in stays in the indexes, to be saved."""
        self._closed.set()
        with self._lock:
            thread, self._wanted = self._thread, []
        if thread is not None:
            thread.join()

    def _follow(self, model: str) -> None:
        with self._lock:
            if self._closed.is_set() or model in self._wanted:
                return
            self._wanted.append(model)
            self._settled.clear()
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="vector indexes", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        with closing(self._open_reader()) as connection:
            while (model := self._next()) is not None:
                try:
                    self._bring_up(connection, model)
                except Exception:  # whatever a file or a model does: searches compare the rows, the mount goes on
                    log.exception("the vector index of %s could not be brought up to date", model)

    def _next(self) -> str | None:
        with self._lock:
            if self._wanted and not self._closed.is_set():
                return self._wanted.pop(0)
            self._thread = None
            self._settled.set()
            return None

    def _bring_up(self, connection: Connection, model: str) -> None:
        dimension = vectors.dimension(connection, model)
        if dimension is None:
            return
        if model not in self._indexes:
            self.loads += 1
            with connection.snapshot():
                opened = FollowedIndex.opened(connection, self._directory, model, dimension)
            self._indexes[model] = opened
        self._indexes[model].follow(connection, self._closed.is_set)
