"""Filling a vector index through its own code, with progress; a long filling can be interrupted and gone on with.

Blocks. What is kept is named by its digest and written all or nothing: an interrupted save leaves the one before.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.ground import Ground

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from damfs.catalog.vector_index import VectorIndex

AT_ONCE = 5_000
SAID_EVERY = 25_000
KEPT_EVERY = 50_000


@dataclass(frozen=True, slots=True)
class KeptGraph:
    """The index as far as it was filled, in a directory that outlives the bench; None: nothing is kept."""

    directory: Path | None
    stem: str

    def opened(self, dimension: int) -> VectorIndex | None:
        from damfs.catalog.vector_index import VectorIndex

        for path in self._files():
            found = VectorIndex.load(path, dimension, bytes.fromhex(path.stem.removeprefix(f"{self.stem}-")))
            if found is not None:
                return found
        return None

    def keep(self, index: VectorIndex) -> None:
        if self.directory is None:
            return
        digest = index.save_as(self.directory, self.stem, lambda made: f"{self.stem}-{made.hex()}.usearch")
        for path in self._files():
            if not path.stem.endswith(digest.hex()):
                path.unlink()

    def _files(self) -> list[Path]:
        return [] if self.directory is None else sorted(self.directory.glob(f"{self.stem}-*.usearch"))


NOTHING_KEPT = KeptGraph(None, "")


def filled(
    ground: Ground, name: str, rows: NDArray[np.float32], kept: KeptGraph = NOTHING_KEPT
) -> tuple[VectorIndex, float]:
    """Rows by their number, added on one thread; and how many were added a second (0: all were there)."""
    from damfs.catalog.vector_index import VectorIndex

    dimension = rows.shape[1]
    index = kept.opened(dimension) or VectorIndex(dimension)
    index.threads = 1
    there = len(index)
    ground.say(f"{name}: adding {len(rows) - there:,} vectors" + (f" to {there:,}" if there else "") + " …")
    began = time.perf_counter()
    for start in range(there, len(rows), AT_ONCE):
        end = min(start + AT_ONCE, len(rows))
        index.add(range(start, end), rows[start:end])
        rate = (end - there) / (time.perf_counter() - began)
        if end % SAID_EVERY == 0:
            ground.say(f"{name}: {end:,} of {len(rows):,}, {rate:.0f}/s, {(len(rows) - end) / rate / 60:.0f} min left")
        if end % KEPT_EVERY == 0:
            kept.keep(index)
    return index, (len(rows) - there) / (time.perf_counter() - began)
