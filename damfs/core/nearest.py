"""Nearest neighbours in the space of a model, folded to assets, also among some assets only.

Blocks; may be called from any number of reader threads. What the index has not taken in yet is compared row by row, so
an answer never misses what was committed before it was asked for. Holds nothing that a crash could lose.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Set
from typing import TYPE_CHECKING, NamedTuple

from damfs.catalog import vectors
from damfs.catalog.database import Connection
from damfs.core.followed_index import FollowedIndex
from damfs.core.vector_indexes import VectorIndexes
from damfs.model import AssetId

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

FEW = 10_000
"""Among more allowed assets than these the index is always asked."""
ALWAYS = 500
"""So few are always compared one by one: exact, within some milliseconds."""
MARGIN = 2
"""A filtered search begins with so many times the neighbours that hold the right number if they are spread evenly."""
OVERFETCH = 4
"""An asset has several vectors (moments of a video), and some vectors belong to no visible asset any more."""
WIDER = 8
WIDEST = 20_000
"""A search that would have to ask the index for more compares the rows instead."""
PAGE = 4_096
SPARE = 32
"""Owners that are looked up beyond those that are wanted, before it is known how many of them are the same."""


class Hit(NamedTuple):
    asset: AssetId
    score: float
    """Cosine similarity."""
    at_ns: int | None
    """The moment of a video that is nearest; None: the asset as a whole."""


class Compared(NamedTuple):
    """Row ids of vectors and how near each is, best first; equal ones: the older vector first."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]


class Nearest:
    def __init__(self, indexes: VectorIndexes) -> None:
        self.indexes = indexes
        self.searches = 0
        """Of an index."""
        self.scans = 0
        """Of rows, instead of an index."""
        self.compared = 0
        """Rows that were compared one by one."""

    def nearest(
        self,
        connection: Connection,
        space: str,
        vector: Vector,
        count: int,
        allowed: Set[AssetId] | None = None,
    ) -> list[Hit]:
        """The ``count`` visible assets (of ``allowed``, if given) nearest to a unit vector, best first, each once, by
        its best vector. ``space``: an embedding.model. Fewer only if there are no more. Equal ones: older vector first.
        """
        if count < 1 or (allowed is not None and not allowed):
            return []
        if allowed is not None and len(allowed) <= ALWAYS:
            return self._scan_some(connection, space, vector, count, allowed)
        followed = self.indexes.of(connection, space)
        size = 0 if followed is None else len(followed.index)
        if followed is None or size == 0:
            return self._scan(connection, space, vector, count, allowed)
        wanted = count * OVERFETCH
        if allowed is not None:
            wanted = max(wanted, MARGIN * count * size // len(allowed))
            if len(allowed) <= min(FEW, 2 * wanted):  # a neighbour costs more than a row, and distant ones are missed
                return self._scan_some(connection, space, vector, count, allowed)
        return self._search(connection, space, followed, vector, count, allowed, wanted)

    def _search(
        self, connection: Connection, space: str, followed: FollowedIndex, vector: Vector, count: int,
        allowed: Set[AssetId] | None, wanted: int,
    ) -> list[Hit]:  # fmt: skip
        """Ask for more and more until enough of the hits may be shown."""
        self.searches += 1
        last = followed.last  # read before the search: what comes in meanwhile is met twice, never missed
        tail = self._compare(vectors.list_pages(connection, space, last, PAGE), vector)
        size = len(followed.index)
        while wanted <= WIDEST or size <= WIDEST:
            found = _best_first([tail, _of_pairs(followed.index.search(vector, wanted))])
            hits = _folded(connection, found, count, allowed)
            if len(hits) == count or wanted >= size:
                return hits
            wanted *= WIDER
        return self._scan(connection, space, vector, count, allowed)

    def _scan(
        self, connection: Connection, space: str, vector: Vector, count: int, allowed: Set[AssetId] | None
    ) -> list[Hit]:
        """Compare every row: of the allowed assets where they are fewer than the vectors."""
        if allowed is not None and vectors.more_than(connection, space, 2 * len(allowed)):
            return self._scan_some(connection, space, vector, count, allowed)
        self.scans += 1
        compared = self._compare(vectors.list_pages(connection, space, 0, PAGE), vector)
        return _folded(connection, compared, count, allowed)

    def _scan_some(
        self, connection: Connection, space: str, vector: Vector, count: int, allowed: Set[AssetId]
    ) -> list[Hit]:
        self.scans += 1
        owners: dict[int, list[vectors.Owner]] = {}
        compared = self._compare(_noted(vectors.list_of_assets(connection, space, allowed), owners), vector)
        found: dict[AssetId, Hit] = {}
        for id_, score in zip(compared.ids.tolist(), compared.scores.tolist(), strict=True):
            _take(found, owners[id_], score)
            if len(found) >= count:
                break
        return list(found.values())[:count]

    def _compare(self, pages: Iterable[Sequence[tuple[int, bytes]]], vector: Vector) -> Compared:
        """A row of another length is left out."""
        import numpy as np

        made = []
        for page in pages:
            fit = [(id_, blob) for id_, blob in page if len(blob) == 4 * len(vector)]
            rows = np.frombuffer(b"".join([blob for _, blob in fit]), dtype="<f4").reshape(-1, len(vector))
            made.append(Compared(np.array([id_ for id_, _ in fit], dtype=np.int64), np.einsum("ij,j->i", rows, vector)))
            self.compared += len(fit)
        # einsum, not @: the threads of BLAS take ten times as long for so little while other work keeps the cores.
        return _best_first(made)


def _best_first(parts: Sequence[Compared]) -> Compared:
    import numpy as np

    ids = np.concatenate([part.ids for part in parts] or [np.zeros(0, dtype=np.int64)])
    scores = np.concatenate([part.scores for part in parts] or [np.zeros(0, dtype=np.float32)])
    order = np.lexsort((ids, -scores))
    return Compared(ids[order], scores[order])


def _of_pairs(pairs: Sequence[tuple[int, float]]) -> Compared:
    import numpy as np

    ids, scores = zip(*pairs, strict=True) if pairs else ((), ())
    return Compared(np.array(ids, dtype=np.int64), np.array(scores, dtype=np.float32))


def _noted(
    pages: Iterable[Sequence[tuple[vectors.Owner, bytes]]], owners: dict[int, list[vectors.Owner]]
) -> Iterator[list[tuple[int, bytes]]]:
    """Each vector once; whose it is, in ``owners``."""
    for page in pages:
        new = []
        for owner, vector in page:
            if owner.vector not in owners:
                new.append((owner.vector, vector))
            owners.setdefault(owner.vector, []).append(owner)
        yield new


def _folded(connection: Connection, compared: Compared, count: int, allowed: Set[AssetId] | None) -> list[Hit]:
    """The first ``count`` assets that the vectors belong to; looks up no more owners than about that takes."""
    found: dict[AssetId, Hit] = {}
    start, step = 0, count + SPARE
    while start < len(compared.ids) and len(found) < count:
        ids, scores = (side[start : start + step].tolist() for side in compared)
        owners: dict[int, list[vectors.Owner]] = {}
        for owner in vectors.list_owners(connection, ids):
            if allowed is None or owner.asset in allowed:
                owners.setdefault(owner.vector, []).append(owner)
        for id_, score in zip(ids, scores, strict=True):
            _take(found, owners.get(id_, ()), score)
        start, step = start + step, step * 2
    return list(found.values())[:count]


def _take(found: dict[AssetId, Hit], owners: Iterable[vectors.Owner], score: float) -> None:
    for owner in owners:
        if owner.asset not in found:
            found[owner.asset] = Hit(owner.asset, score, owner.at_ns)
