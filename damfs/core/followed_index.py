"""One vector index and how far it has followed the rows: loading, catching up, saving.

Every method blocks. One thread follows (`vector_indexes`), others search meanwhile: `last` is moved only after the rows
up to it are in. Crash rule: a file is named by its digest, and the catalog names the digest: until the catalog has the
new one the old file is there, whole. A file that is missing or damaged is made again from the rows.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from damfs.catalog import derived, vectors
from damfs.catalog.database import Connection

if TYPE_CHECKING:
    from damfs.catalog.vector_index import VectorIndex

log = logging.getLogger(__name__)

PAGE = 512
"""Rows added between two looks at whether to stop: less than a second of work."""
SAVE_SHARE, SAVE_LEAST = 0.02, 500
"""Vectors, of all or at least, that are new before a save is worth writing the whole file."""


class FollowedIndex:
    def __init__(self, directory: Path, model: str, index: VectorIndex, last: int, dropped: int) -> None:
        self._directory = directory
        self.model = model
        self.index = index
        self.last = last
        """Every row with an id up to this one is in."""
        self._dropped = dropped
        self.unsaved = 0

    @classmethod
    def opened(cls, connection: Connection, directory: Path, model: str, dimension: int) -> FollowedIndex:
        """As it was saved, without what was removed since; empty when it has to be made again."""
        from damfs.catalog.vector_index import VectorIndex

        saved = derived.property_value(connection, index_property(model))
        index = None
        if saved is not None:
            index = VectorIndex.load(
                directory / file_name(model, bytes.fromhex(saved)), dimension, bytes.fromhex(saved)
            )
        dropped = vectors.last_dropped(connection)
        if index is None:
            return cls(directory, model, VectorIndex(dimension), 0, dropped)
        missing = index.reconcile(vectors.list_ids(connection, model))
        return cls(directory, model, index, missing[0] - 1 if missing else vectors.last_id(connection, model), dropped)

    @property
    def dropped(self) -> int:
        """What was removed up to this sequence number has left the index."""
        return self._dropped

    def follow(self, connection: Connection, stopped: Callable[[], bool]) -> None:
        """Take in what was added and let go of what was removed, until there is nothing left or it is stopped."""
        self._forget(connection)
        for page in vectors.list_pages(connection, self.model, self.last, PAGE):
            if stopped():
                return
            self.index.add_rows(page)
            self.last = page[-1][0]
            self.unsaved += len(page)
        if self.index.wasteful() and not stopped():
            log.info("vector index of %s is laid out anew: most of it was removed", self.model)
            self.index.rebuild()

    def _forget(self, connection: Connection) -> None:
        for seq, vector in vectors.dropped_since(connection, self.model, self._dropped):
            self.unsaved += self.index.remove([vector])
            self._dropped = seq

    def worth_saving(self) -> bool:
        return self.unsaved >= max(SAVE_LEAST, SAVE_SHARE * len(self.index))

    def save(self) -> bytes:
        """Its digest, which the catalog has to be told before `tidy`. OSError: disk full."""
        self._directory.mkdir(parents=True, exist_ok=True)
        unsaved = self.unsaved
        digest = self.index.save_as(self._directory, file_stem(self.model), lambda made: file_name(self.model, made))
        self.unsaved -= unsaved
        return digest

    def tidy(self, digest: bytes) -> None:
        """Remove files of this model that the catalog does not name."""
        keep = file_name(self.model, digest)
        for file in self._directory.glob(f"{file_stem(self.model)}-*.usearch"):
            if file.name != keep:
                file.unlink(missing_ok=True)


def index_property(model: str) -> str:
    """Name of the catalog's property that holds the digest of a model's index file, in hexadecimal."""
    return f"vectors:{model}"


def file_stem(model: str) -> str:
    return "".join(letter if letter.isalnum() or letter in ".@_" else "_" for letter in model)


def file_name(model: str, digest: bytes) -> str:
    return f"{file_stem(model)}-{digest.hex()[:16]}.usearch"
