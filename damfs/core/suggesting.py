"""Commands around what models propose: proposing, refusing, accepting, and looking again at everything.

Applied like every command: one transaction, no await, no file. A person's word always stands: what was judged is not
proposed again, whatever processor, version or model comes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from damfs.catalog import job_table, predicates, proposals, vocabulary
from damfs.catalog.proposals import Origin
from damfs.core.commands import AddTag, Execution, known, known_term
from damfs.core.thresholds import threshold
from damfs.errors import NotFound
from damfs.model import AssetId, TagSource, TermId

NEVER = 1.0
AUTO_TAG = "auto_tag"


@dataclass(frozen=True, slots=True)
class Suggest:
    """What a processor proposes for an asset now; what it proposed before and does not any more is withdrawn."""

    asset: AssetId
    origin: Origin
    found: Sequence[tuple[TermId, float]]
    """Terms and confidences."""
    accept_above: float = NEVER

    def apply(self, x: Execution) -> None:
        asset = known(x, self.asset)
        wanted = [(term, confidence) for term, confidence in self.found if self._is_sure(x, term, confidence)]
        processor = self.origin.processor.partition("/")[0]
        for term in proposals.withdraw(x.tx, self.asset, processor, [term for term, _ in wanted]):
            x.changes.record("withdrawn", predicates.proposed_facets(term), asset=self.asset, names=(asset.name,))
        for term, confidence in wanted:
            self._suggest(x, term, confidence, asset.name)

    def _is_sure(self, x: Execution, term: TermId, confidence: float) -> bool:
        return confidence >= threshold(*proposals.learnt_from(x.tx, term, self.origin))

    def _suggest(self, x: Execution, term: TermId, confidence: float, name: str) -> None:
        if confidence > self.accept_above and not proposals.is_judged(x.tx, self.asset, term):
            AddTag(self.asset, term, TagSource.MODEL, confidence, self.origin).apply(x)
        elif proposals.propose(x.tx, self.asset, term, self.origin, confidence, x.at_ns):
            x.changes.record("proposed", predicates.proposed_facets(term), asset=self.asset, names=(name,))


@dataclass(frozen=True, slots=True)
class AcceptProposal:
    """Raises NotFound when it is not proposed (any more)."""

    asset: AssetId
    term: TermId

    def apply(self, x: Execution) -> None:
        _proposed(x, self.asset, self.term)
        AddTag(self.asset, self.term).apply(x)


@dataclass(frozen=True, slots=True)
class RefuseProposal:
    """It is never proposed for that asset again."""

    asset: AssetId
    term: TermId

    def apply(self, x: Execution) -> None:
        asset, term = known(x, self.asset), known_term(x, self.term)
        _proposed(x, self.asset, self.term)
        proposal = proposals.take(x.tx, self.asset, self.term)
        proposals.judge(x.tx, self.asset, self.term, proposal, x.at_ns)
        detail = {"term": term.name, "proposed": proposal}
        facets = predicates.proposed_facets(self.term)
        x.changes.record("refused", facets, asset=self.asset, names=(asset.name,), detail=detail)


@dataclass(frozen=True, slots=True)
class RefuseAsWell:
    """What was refused of another asset that shows the same is never proposed for this one either. It teaches nothing
    about the term: that was learnt from the other."""

    asset: AssetId
    other: AssetId

    def apply(self, x: Execution) -> None:
        asset, carried = known(x, self.asset), {each.id for each in vocabulary.tagged_terms(x.tx, self.asset)}
        for term in proposals.refused_of(x.tx, self.other):
            if term in carried or proposals.is_judged(x.tx, self.asset, term):
                continue
            proposal = proposals.take(x.tx, self.asset, term)
            proposals.judge(x.tx, self.asset, term, None, x.at_ns)
            detail = {"term": known_term(x, term).name, "proposed": proposal}
            facets = predicates.proposed_facets(term)
            x.changes.record("refused", facets, asset=self.asset, names=(asset.name,), detail=detail)


def _proposed(x: Execution, asset: AssetId, term: TermId) -> None:
    if proposals.proposal(x.tx, asset, term) is None:
        names = known(x, asset).name, known_term(x, term).name
        raise NotFound(f'"{names[1]}" is not suggested for {names[0]}')


@dataclass(frozen=True, slots=True)
class SuggestAgain:
    """Look at every picture again, e.g. with a vocabulary that has grown; how many."""

    def apply(self, x: Execution) -> int:
        number = job_table.do_again(x.tx, AUTO_TAG, x.at_ns)
        if number:
            x.changes.record("jobs-retried", frozenset(), detail={"jobs": number})
        return number
