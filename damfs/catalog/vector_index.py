"""Nearest neighbours among the embeddings of one model: a usearch index (f16) over row ids of the embedding table.

A cache: the rows are the truth, and an index that is missing, damaged or of another format is rebuilt from them.
Concurrency: every method blocks and may be called from any thread; changes exclude each other, and searches go on
between their short steps and during a save. Crash rule: a save is all or nothing, and a file is given to usearch
only after its digest was checked (flipped bytes make usearch crash the process).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from usearch.index import Index

log = logging.getLogger(__name__)

CONNECTIVITY = 16
EXPANSION_ADD = 128
EXACT_BELOW = 8_000
"""Up to so many vectors every one is compared: about a millisecond, and no neighbour is ever missed (small
graphs miss some: recall@10 0.93 at 3,000)."""
STEP = 32
"""Vectors added while searches wait: about 30 ms at 100,000 vectors on two cores."""
LIVE_SHARE = 0.6
"""usearch keeps the slots of removed vectors; with fewer live ones than this share a rebuild pays."""
READ_SIZE = 1 << 20


class VectorIndex:
    """Vectors of one model by key. Two models, or two number formats, never share an index."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self.threads = 0
        """That add vectors; 0: one a core."""
        self._index = _new_index(dimension)
        self._changing = threading.Lock()
        """Held for the whole of a change or a save: one writer."""
        self._graph = threading.Lock()
        """Held while the graph is touched: usearch may move its memory when it grows under a search."""
        self._next = threading.Lock()
        """Held by who waits for the graph, so that a change of many steps cannot overtake a waiting search."""

    @classmethod
    def load(cls, path: Path, dimension: int, digest: bytes) -> VectorIndex | None:
        """The index saved at ``path``; None, with a line in the log, when it must be rebuilt from the rows."""
        try:
            found = _digest_of(path)
        except OSError as error:
            log.info("vector index %s cannot be read, it will be rebuilt: %s", path.name, error)
            return None
        if found != digest:
            log.warning("vector index %s is damaged or out of date, it will be rebuilt", path.name)
            return None
        return cls._load_checked(path, dimension)

    @classmethod
    def _load_checked(cls, path: Path, dimension: int) -> VectorIndex | None:
        loaded = cls(dimension)
        try:
            loaded._index.load(path)
        except (RuntimeError, ValueError) as error:  # written whole, but by another version of usearch
            log.warning("vector index %s has a format not known here, it will be rebuilt: %s", path.name, error)
            return None
        if loaded._index.ndim != dimension or loaded._index.dtype != _new_index(dimension).dtype:
            log.warning("vector index %s belongs to another model, it will be rebuilt", path.name)
            return None
        loaded._widen()
        return loaded

    def __len__(self) -> int:
        with self._turn():
            return len(self._index)

    def __contains__(self, key: int) -> bool:
        with self._turn():
            present: bool = self._index.contains(key)
        return present

    @property
    def expansion_search(self) -> int:
        """Candidates that a search looks at."""
        return int(self._index.expansion_search)

    def wasteful(self) -> bool:
        """Whether so many vectors were removed that `rebuild` is worth its time (as long as adding them all)."""
        with self._turn():
            slots: int = self._index.stats.nodes
            return len(self._index) < LIVE_SHARE * slots

    def add(self, keys: Sequence[int], vectors: NDArray[np.float32]) -> None:
        """Add vectors (one row a key); those of keys already present are replaced. ValueError when they do not fit."""
        import numpy as np

        numbers = np.asarray(keys, dtype=np.uint64)
        if vectors.shape != (len(numbers), self.dimension):
            raise ValueError(f"{len(numbers)} vectors of {self.dimension} numbers wanted, not {vectors.shape}")
        if not np.isfinite(vectors).all():
            raise ValueError("a vector holds a number that is not finite")
        with self._changing:
            for start in range(0, len(numbers), STEP):
                part = slice(start, start + STEP)
                with self._turn():
                    self._replace(numbers[part], vectors[part])
            self._widen()

    def add_rows(self, rows: Iterable[tuple[int, bytes]]) -> int:
        """Add rows of the embedding table (little-endian float32); how many. One that does not fit is left out: it must
        not keep all later ones out."""
        import numpy as np

        added = 0
        waiting = iter(rows)
        while batch := list(islice(waiting, 32 * STEP)):
            fit = [(key, vector) for key, vector in batch if len(vector) == 4 * self.dimension]
            if len(fit) < len(batch):
                log.warning("%d embedding rows have not %d dimensions", len(batch) - len(fit), self.dimension)
            keys = np.array([key for key, _ in fit], dtype=np.uint64)
            vectors = np.frombuffer(b"".join(vector for _, vector in fit), dtype="<f4").reshape(-1, self.dimension)
            finite = np.isfinite(vectors).all(axis=1)
            if not finite.all():
                log.warning("%d embedding rows hold what is no number", len(fit) - int(finite.sum()))
            self.add(keys[finite].tolist(), vectors[finite])
            added += int(finite.sum())
        return added

    def remove(self, keys: Iterable[int]) -> int:
        """Forget the vectors of these keys; how many there were. Unknown keys are no error."""
        import numpy as np

        numbers = np.fromiter(keys, dtype=np.uint64)
        with self._changing, self._turn():
            return self._remove(numbers)

    def reconcile(self, keys: Iterable[int]) -> list[int]:
        """Forget what is not among ``keys`` (all there should be); the keys still to be added, ascending."""
        import numpy as np

        wanted = np.unique(np.fromiter(keys, dtype=np.uint64))
        with self._changing, self._turn():
            present = self._keys()
            self._remove(np.setdiff1d(present, wanted))
        return [int(key) for key in np.setdiff1d(wanted, present)]

    def search(self, vector: NDArray[np.float32], count: int) -> list[tuple[int, float]]:
        """Up to ``count`` (key, cosine similarity), best first, equal ones by key."""
        with self._turn():
            size = len(self._index)
            if size == 0 or count < 1:
                return []
            found = self._index.search(vector, min(count, size), exact=size <= EXACT_BELOW, threads=1)
        pairs = zip(found.keys.tolist(), found.distances.tolist(), strict=True)
        return sorted(((key, 1.0 - distance) for key, distance in pairs), key=lambda pair: (-pair[1], pair[0]))

    def save(self, path: Path) -> bytes:
        """Write the index to ``path`` durably, all or nothing; the BLAKE3 digest that `load` asks for.

        Raises OSError (disk full); then the file saved before is still there.
        """
        return self.save_as(path.parent, path.name, lambda _: path.name)

    def save_as(self, directory: Path, stem: str, named: Callable[[bytes], str]) -> bytes:
        """As `save`, under a name made of the digest. ``stem``: of the file that is written before it has that name."""
        part = directory / f".{stem}.part"
        with self._changing:
            try:
                digest = self._write(part)
                part.replace(directory / named(digest))
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            _sync_directory(directory)
        return digest

    def rebuild(self) -> None:
        """Lay the live vectors out anew without the slots of removed ones. Searches go on meanwhile."""
        with self._changing:
            fresh = _new_index(self.dimension)
            keys = self._keys()
            for start in range(0, len(keys), STEP):
                part = keys[start : start + STEP]
                fresh.add(part, self._vectors(part))
            with self._turn():
                self._index = fresh
            self._widen()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._next:
            self._graph.acquire()
        try:
            yield
        finally:
            self._graph.release()

    def _replace(self, keys: NDArray[np.uint64], vectors: NDArray[np.float32]) -> None:
        self._remove(keys)
        self._index.add(keys, vectors, threads=self.threads)

    def _remove(self, keys: NDArray[np.uint64]) -> int:
        present = keys[self._index.contains(keys)] if len(keys) else keys
        if len(present):
            self._index.remove(present)
        return len(present)

    def _keys(self) -> NDArray[np.uint64]:
        keys: NDArray[np.uint64] = self._index.keys[0 : len(self._index)]
        return keys

    def _vectors(self, keys: NDArray[np.uint64]) -> NDArray[np.float32]:
        import numpy as np

        return np.vstack(self._index.get(keys)).astype(np.float32)

    def _widen(self) -> None:
        """A wider search as the index grows keeps recall@10 at 0.98 and more (measured up to a million)."""
        size = len(self._index)
        self._index.expansion_search = 64 if size <= 100_000 else 128 if size <= 400_000 else 256

    def _write(self, part: Path) -> bytes:
        try:
            self._index.save(part)
        except RuntimeError as error:  # how usearch tells of any failure to write
            raise OSError(f"the vector index cannot be written to {part.parent}: {error}") from error
        if part.stat().st_size != self._index.serialized_length:
            raise OSError(f"the vector index was written to {part.parent} only in part; is the disk full?")
        _sync(part)
        return _digest_of(part)


def _new_index(dimension: int) -> Index:
    from usearch.index import Index

    return Index(ndim=dimension, metric="cos", dtype="f16", connectivity=CONNECTIVITY, expansion_add=EXPANSION_ADD)


def _digest_of(path: Path) -> bytes:
    """Streamed by reads, never mmap: a file truncated meanwhile would kill the process (SIGBUS)."""
    digest = blake3()
    buffer = bytearray(READ_SIZE)
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            digest.update(memoryview(buffer)[:size])
    return digest.digest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
