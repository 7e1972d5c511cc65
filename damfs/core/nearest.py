"""Nearest neighbours in the space of a model, folded to assets, also among some assets only.

Blocks; may be called from any number of reader threads. What the index has not taken in yet is compared row by row, so
an answer never misses what was committed before it was asked for. Holds nothing that a crash could lose.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
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
"""Among so many allowed assets each one is compared: exact, and faster than to find them by widening the search."""
OVERFETCH = 4
"""An asset has several vectors (moments of a video), and some vectors belong to no visible asset any more."""
WIDER = 8
WIDEST = 20_000
"""A search that would have to ask the index for more compares the rows instead."""
PAGE = 4_096
SHOWN_AT_ONCE = 512


class Hit(NamedTuple):
    asset: AssetId
    score: float
    """Cosine similarity."""
    at_ns: int | None
    """The moment of a video that is nearest; None: the asset as a whole."""


class Nearest:
    def __init__(self, indexes: VectorIndexes) -> None:
        self.indexes = indexes
        self.searches = 0
        """Of an index."""
        self.scans = 0
        """Of rows, instead of an index."""

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
        if allowed is not None and len(allowed) <= FEW:
            return self._scan(connection, vectors.list_of_assets(connection, space, allowed), vector, count, allowed)
        followed = self.indexes.of(connection, space)
        if followed is None or len(followed.index) == 0:
            return self._scan_all(connection, space, vector, count, allowed)
        return self._search(connection, space, followed, vector, count, allowed)

    def _search(
        self, connection: Connection, space: str, followed: FollowedIndex, vector: Vector, count: int,
        allowed: Set[AssetId] | None,
    ) -> list[Hit]:  # fmt: skip
        """Ask for more and more until enough of the hits may be shown."""
        self.searches += 1
        last = followed.last  # read before the search: what comes in meanwhile is met twice, never missed
        tail = list(_compared(vectors.list_pages(connection, space, last, PAGE), vector))
        size = len(followed.index)
        wanted = count * OVERFETCH if allowed is None else max(count * OVERFETCH, count * size // len(allowed))
        while wanted <= WIDEST or size <= WIDEST:
            found = followed.index.search(vector, wanted)
            hits = _folded(connection, _best_first([*found, *tail]), count, allowed)
            if len(hits) == count or wanted >= size:
                return hits
            wanted *= WIDER
        return self._scan_all(connection, space, vector, count, allowed)

    def _scan_all(
        self, connection: Connection, space: str, vector: Vector, count: int, allowed: Set[AssetId] | None
    ) -> list[Hit]:
        self.scans += 1
        compared = _compared(vectors.list_pages(connection, space, 0, PAGE), vector)
        return _folded(connection, _best_first(compared), count, allowed)

    def _scan(
        self, connection: Connection, rows: list[tuple[int, bytes]], vector: Vector, count: int, allowed: Set[AssetId]
    ) -> list[Hit]:
        self.scans += 1
        return _folded(connection, _best_first(_compared([rows], vector)), count, allowed)


def _compared(pages: Iterable[list[tuple[int, bytes]]], vector: Vector) -> Iterable[tuple[int, float]]:
    """(row id, cosine similarity); a row of another length is left out."""
    import numpy as np

    for page in pages:
        fit = [(id_, blob) for id_, blob in page if len(blob) == 4 * len(vector)]
        rows = np.frombuffer(b"".join(blob for _, blob in fit), dtype="<f4").reshape(-1, len(vector))
        yield from zip((id_ for id_, _ in fit), (rows @ vector).tolist(), strict=True)


def _best_first(pairs: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


def _folded(
    connection: Connection, pairs: Sequence[tuple[int, float]], count: int, allowed: Set[AssetId] | None
) -> list[Hit]:
    """The first ``count`` assets that the vectors belong to."""
    found: dict[AssetId, Hit] = {}
    for start in range(0, len(pairs), SHOWN_AT_ONCE):
        part = pairs[start : start + SHOWN_AT_ONCE]
        owners: dict[int, list[vectors.Owner]] = {}
        for owner in vectors.list_owners(connection, [id_ for id_, _ in part]):
            owners.setdefault(owner.vector, []).append(owner)
        for id_, score in part:
            for owner in owners.get(id_, ()):
                if owner.asset not in found and (allowed is None or owner.asset in allowed):
                    found[owner.asset] = Hit(owner.asset, score, owner.at_ns)
                    if len(found) == count:
                        return list(found.values())
    return list(found.values())
