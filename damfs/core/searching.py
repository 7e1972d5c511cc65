"""Answers a query: what its conditions hold of, ranked by its words (full text, terms, vectors) where it has some.

Blocks; may be called from any number of reader threads. Answers are remembered for a while: the names of a listing
resolve by them, and what is asked again while nothing changed costs nothing. A crash loses nothing.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from damfs.catalog import assets, change_feed, derived, full_text, spaces
from damfs.catalog.database import Connection
from damfs.catalog.embedder import MINILM
from damfs.catalog.predicates import Everything
from damfs.catalog.query_language import Query, meant
from damfs.core.meanings import CatalogMeanings
from damfs.core.nearest import Hit, Nearest
from damfs.core.query_vectors import Vectors
from damfs.core.rank_fusion import fused
from damfs.core.search_answer import Answer, Reason, Source
from damfs.core.similar import best_model
from damfs.model import AssetId

KEPT = 32
WITHOUT_MODEL_S = 30.0
"""An answer that had to do without a model: there may be one after that."""
LEAST = 0.15
"""Vectors that are less alike than this have nothing to do with each other."""


class Stamp(NamedTuple):
    """How long an answer is what would come out again."""

    state: tuple[int, int]
    until: float


@dataclass(frozen=True, slots=True)
class Asked:
    """``vectors``: of the words; None: there are none (``trouble`` says why)."""

    vectors: Vectors | None = None
    trouble: str = ""
    may_come: bool = False
    """Whether they are on their way: the same search may find more in a moment."""


class Searches:
    def __init__(self, nearest: Nearest, count: int) -> None:
        self._nearest = nearest
        self._count = count
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[Stamp, Answer]] = OrderedDict()
        self.ran = 0

    def parsed(self, connection: Connection, text: str) -> Query:
        """Raises BadQuery."""
        return meant(text, CatalogMeanings(connection))

    def remembered(self, text: str) -> Answer | None:
        with self._lock:
            found = self._kept.get(text)
        return None if found is None else found[1]

    def is_current(self, connection: Connection, text: str) -> bool:
        """Whether the answer that is remembered would come out the same."""
        with self._lock:
            found = self._kept.get(text)
        if found is None or time.monotonic() > found[0].until or full_text.is_due(connection):
            return False
        return found[0].state == _state(connection)

    def answer(self, connection: Connection, text: str, asked: Asked) -> Answer:
        """Raises BadQuery. As it was if nothing changed since."""
        if self.is_current(connection, text) and (known := self.remembered(text)) is not None:
            return known
        found = self._answered(connection, self.parsed(connection, text), asked)
        stamp = Stamp(_state(connection), self._good_until(connection, found, asked))
        with self._lock:
            self._kept[text] = stamp, found
            self._kept.move_to_end(text)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return found

    def _good_until(self, connection: Connection, found: Answer, asked: Asked) -> float:
        if full_text.is_due(connection) or (found.trouble and asked.may_come):
            return -math.inf
        return time.monotonic() + WITHOUT_MODEL_S if found.trouble else math.inf

    def _answered(self, connection: Connection, query: Query, asked: Asked) -> Answer:
        self.ran += 1
        if not query.is_ranked:
            return Answer(query, assets.list_rows(connection, query.where))
        orders = self._by_text(connection, query)
        vectors = asked.vectors or {} if query.words else {}
        filtered = (vectors or query.like) and query.must != Everything()
        allowed = set(assets.list_ids(connection, query.must)) if filtered else None
        orders += [self._by_vector(connection, space, vector, allowed) for space, vector in vectors.items()]
        orders += [self._by_likeness(connection, asset, allowed) for asset in query.like]
        ranked = fused([list(order) for order in orders if order])[: self._count]
        rows = assets.list_rows_of(connection, [asset for asset, _ in ranked])
        reasons = {row[0]: [order[row[0]] for order in orders if row[0] in order] for row in rows}
        trouble = asked.trouble if query.words and not vectors else ""
        compared = [reason.space for order in orders for reason in order.values() if reason.space]
        return Answer(query, rows, dict(ranked), reasons, tuple(dict.fromkeys([*vectors, *compared])), trouble)

    def _by_text(self, connection: Connection, query: Query) -> list[dict[AssetId, Reason]]:
        hits = full_text.find_texts(connection, query.words, query.where, self._count)
        return [
            dict.fromkeys(hits.tagged, Reason(Source.TAG)),
            dict.fromkeys(hits.written, Reason(Source.TEXT)),
        ]

    def _by_vector(
        self, connection: Connection, space: str, vector: bytes, allowed: Set[AssetId] | None
    ) -> dict[AssetId, Reason]:
        source = Source.WORDS if _is_of_words(space) else Source.PICTURE
        return self._near(connection, space, vector, source, allowed, self._count)

    def _by_likeness(
        self, connection: Connection, asset: AssetId, allowed: Set[AssetId] | None
    ) -> dict[AssetId, Reason]:
        known = assets.asset(connection, asset)
        if known is None or known.blob is None:
            return {}
        space = best_model(derived.models_of(connection, known.blob), spaces.answering(connection))
        vector = None if space is None else derived.vector_of(connection, known.blob, space)
        if space is None or vector is None:
            return {}
        near = self._near(connection, space, vector, Source.LIKE, allowed, self._count + 1)
        return {found: reason for found, reason in near.items() if found != asset}

    def _near(
        self,
        connection: Connection,
        space: str,
        vector: bytes,
        source: Source,
        allowed: Set[AssetId] | None,
        count: int,
    ) -> dict[AssetId, Reason]:
        import numpy as np

        hits: Sequence[Hit] = self._nearest.nearest(
            connection, space, np.frombuffer(vector, dtype="<f4"), count, allowed
        )
        return {hit.asset: Reason(source, hit.score, hit.at_ns, space) for hit in hits if hit.score >= LEAST}


def _state(connection: Connection) -> tuple[int, int]:
    """Other numbers after any change that a search could notice."""
    return change_feed.last_seq(connection), full_text.last_due(connection)


def _is_of_words(space: str) -> bool:
    """Whether it holds texts. Their ids never are those of pictures (see `Embedder.text_model`)."""
    return space == MINILM or space.endswith("#text")
