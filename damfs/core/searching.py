"""Answers a query: what its conditions hold of, ranked by its words (full text, terms, vectors) where it has some.

Blocks; may be called from any number of reader threads. Answers are remembered for a while: the names of a listing
resolve by them, and what is asked again while nothing changed costs nothing. A crash loses nothing.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import NamedTuple

from damfs.catalog import assets, change_feed, derived, full_text, spaces
from damfs.catalog.database import Connection
from damfs.catalog.embedder import MINILM
from damfs.catalog.predicates import Everything
from damfs.catalog.query import Query
from damfs.catalog.query_language import meant
from damfs.core.meanings import CatalogMeanings
from damfs.core.nearest import Hit, Nearest
from damfs.core.query_vectors import Vectors
from damfs.core.rank_fusion import fused
from damfs.core.search_answer import Answer, Reason, Source
from damfs.core.similar import best_model
from damfs.model import AssetId

Order = dict[AssetId, Reason]
"""Best first."""
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
    """``vectors``: of the words, by these as one text. Without those of some of them, ``trouble`` says why."""

    vectors: Mapping[str, Vectors] = field(default_factory=dict)
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
        sides = query.sides or (query,)
        found = [self._orders(connection, side, asked.vectors.get(side.sentence, {})) for side in sides]
        ranked = _ranked(found)[: self._count]
        rows = assets.list_rows_of(connection, [asset for asset, _ in ranked])
        reasons = {row[0]: _reasons(found, row[0]) for row in rows}
        wanted = {side.sentence for side in sides if side.words}
        trouble = asked.trouble if any(not asked.vectors.get(sentence) for sentence in wanted) else ""
        known = [space for sentence in wanted for space in asked.vectors.get(sentence, ())]
        compared = [reason.space for told in reasons.values() for reason in told if reason.space]
        return Answer(query, rows, dict(ranked), reasons, tuple(dict.fromkeys([*known, *compared])), trouble)

    def _orders(self, connection: Connection, query: Query, vectors: Vectors) -> list[Order]:
        """Best first, each by another way."""
        if not query.is_ranked:
            newest = assets.newest_ids(connection, query.where, self._count)
            return [dict.fromkeys(newest, Reason(Source.CONDITION))]
        filtered = (vectors or query.like) and query.must != Everything()
        allowed = set(assets.list_ids(connection, query.must)) if filtered else None
        orders = self._by_text(connection, query)
        orders += [self._by_vector(connection, space, vector, allowed) for space, vector in vectors.items()]
        return orders + [self._by_likeness(connection, asset, allowed) for asset in query.like]

    def _by_text(self, connection: Connection, query: Query) -> list[Order]:
        hits = full_text.find_texts(connection, query.words, query.where, self._count)
        return [
            dict.fromkeys(hits.tagged, Reason(Source.TAG)),
            dict.fromkeys(hits.written, Reason(Source.TEXT)),
        ]

    def _by_vector(self, connection: Connection, space: str, vector: bytes, allowed: Set[AssetId] | None) -> Order:
        source = Source.WORDS if _is_of_words(space) else Source.PICTURE
        return self._near(connection, space, vector, source, allowed, self._count)

    def _by_likeness(self, connection: Connection, asset: AssetId, allowed: Set[AssetId] | None) -> Order:
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
    ) -> Order:
        import numpy as np

        hits: Sequence[Hit] = self._nearest.nearest(
            connection, space, np.frombuffer(vector, dtype="<f4"), count, allowed
        )
        return {hit.asset: Reason(source, hit.score, hit.at_ns, space) for hit in hits if hit.score >= LEAST}


def _ranked(sides: Sequence[Sequence[Order]]) -> list[tuple[AssetId, float]]:
    """Each side by its own orders, then all sides by their places."""
    each = [ranked for orders in sides if (ranked := fused([list(order) for order in orders if order]))]
    return each[0] if len(sides) == 1 and each else fused([[asset for asset, _ in ranked] for ranked in each])


def _reasons(sides: Sequence[Sequence[Order]], asset: AssetId) -> list[Reason]:
    return [
        order[asset]._replace(side=number) for number, orders in enumerate(sides) for order in orders if asset in order
    ]


def _state(connection: Connection) -> tuple[int, int]:
    """Other numbers after any change that a search could notice."""
    return change_feed.last_seq(connection), full_text.last_due(connection)


def _is_of_words(space: str) -> bool:
    """Whether it holds texts. Their ids never are those of pictures (see `Embedder.text_model`)."""
    return space == MINILM or space.endswith("#text")
