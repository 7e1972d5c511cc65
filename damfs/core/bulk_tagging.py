"""Takes a term away from every asset that carries it, a thousand at a time.

Each thousand is one transaction of a few milliseconds and one change that tells of all of them: enough to take it back,
and names enough that whoever caches listings drops the places as a whole. Concurrency: on the loop, which runs on
between the transactions. Crash rule: those that were committed stay untagged; asked again, it goes on with the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

import trio

from damfs.catalog import predicates, proposals, vocabulary
from damfs.core.commands import Execution, RemoveTag, known_term
from damfs.core.library import Library
from damfs.core.term_news import TOLD_SINGLY
from damfs.model import AssetId, Facts, TermId

AT_ONCE = 1000
UNTAGGED_MANY = "untagged-many"


@dataclass(frozen=True, slots=True)
class RemoveTags:
    """As `RemoveTag` for each; how many carried it. Many of them are told of as one change."""

    assets: tuple[AssetId, ...]
    term: TermId

    def apply(self, x: Execution) -> int:
        if len(self.assets) < TOLD_SINGLY:
            for asset in self.assets:
                RemoveTag(asset, self.term).apply(x)
            return len(self.assets)
        term, ids = known_term(x, self.term), vocabulary.with_narrower(x.tx, self.term)
        before = vocabulary.taggings_of_many(x.tx, self.assets, ids)
        judged = proposals.judged_among(x.tx, self.assets, ids)
        proposals.judge_many_taken_away(x.tx, self.assets, ids, x.at_ns)
        vocabulary.detach_many(x.tx, self.assets, ids)
        terms = {known for id_ in ids for known in vocabulary.with_broader(x.tx, id_)}
        touched = {predicates.tag_facet(id_) for id_ in terms} | {predicates.UNTAGGED_FACET}
        names = vocabulary.names_of_assets(x.tx, self.assets[:TOLD_SINGLY])
        detail: Facts = {"term": term.name, "before": before, "judged": judged}
        x.changes.record(UNTAGGED_MANY, touched, names=tuple(names), detail=detail)
        return len(self.assets)


async def untag_all(library: Library, term: TermId, actor: str, group: str = "") -> int:
    """How many assets carried it or a narrower term. ``group``: what is taken back with it, see `Library.new_group`."""
    total = 0
    ids = vocabulary.with_narrower(library.db.writer, term)
    while assets := vocabulary.some_carriers(library.db.writer, ids, AT_ONCE):
        total += library.perform(RemoveTags(tuple(assets), term), actor, group=group)
        await trio.lowlevel.checkpoint()
    return total
