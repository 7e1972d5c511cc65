"""The neighbours of an asset as an answer: scored by how alike they are. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from damfs.catalog.predicates import Everything
from damfs.catalog.query import Query
from damfs.core.search_answer import Answer, Reason, Source
from damfs.core.similar import Neighbour
from damfs.model import AssetId


def answer_of(asset: AssetId, neighbours: Sequence[Neighbour]) -> Answer:
    return Answer(
        Query(Everything(), like=(asset,)),
        [(each.asset, each.name, each.size, each.mtime_ns, each.mode) for each in neighbours],
        {each.asset: each.score for each in neighbours},
        {each.asset: [Reason(Source.LIKE, each.score, each.at_ns, each.space)] for each in neighbours},
        tuple({each.space: None for each in neighbours}),
    )
