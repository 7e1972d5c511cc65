"""Takes a vocabulary over into the catalog: one command, one transaction, one change.

A concept that was imported before, or whose name leads to a term, is that term: it keeps its name, comes below what the
file says, and gets what it does not have yet. Nothing is taken away. A few statements for the whole and a few for each
new term: the loop stands still meanwhile, a second for 5,000 terms with 10,000 synonyms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from damfs.catalog import predicates, term_names, vocabulary
from damfs.catalog.database import Connection
from damfs.catalog.term_names import PLAIN, Detail, Label
from damfs.core.commands import Execution
from damfs.core.concepts import Concept
from damfs.errors import Refused
from damfs.model import Facet, TermId

IMPORTED = "terms-imported"


@dataclass(slots=True)
class Imported:
    added: int = 0
    moved: int = 0
    labels: int = 0
    remarks: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Known:
    """The vocabulary before and while it grows."""

    names: dict[str, TermId]
    labels: dict[str, TermId]
    details: dict[TermId, Detail]
    uris: dict[str, TermId]
    broader: dict[TermId, TermId | None]
    own: dict[TermId, str]

    @classmethod
    def read(cls, connection: Connection) -> _Known:
        terms = vocabulary.list_terms(connection)
        details = term_names.list_details(connection)
        return cls(
            {term.name: term.id for term in terms},
            {label.name: id_ for id_, label in reversed(term_names.list_labels(connection))},
            details,
            {detail.uri: id_ for id_, detail in details.items() if detail.uri},
            {term.id: term.broader for term in terms},
            {term.id: term.name for term in terms},
        )

    def find(self, concept: Concept) -> TermId | None:
        by_uri = self.uris.get(concept.uri) if concept.uri else None
        return by_uri or self.names.get(concept.name) or self.labels.get(concept.name)


@dataclass(frozen=True, slots=True)
class ImportTerms:
    """``concepts``: as `concepts.checked` has them, broader ones first."""

    concepts: Sequence[Concept]

    def apply(self, x: Execution) -> Imported:
        known, report = _Known.read(x.tx), Imported()
        ids: dict[str, TermId] = {}
        touched: set[Facet] = set()
        for concept in self.concepts:
            above = ids.get(concept.broader) if concept.broader else None
            id_ = known.find(concept)
            if id_ is None:
                id_ = self._define(x, known, concept, above, report)
                touched.add(predicates.narrower_facet(above))
            elif above is not None and known.broader[id_] != above:
                touched |= self._move(x, known, id_, above, report)
            ids[concept.key] = id_
        for concept in self.concepts:
            self._describe(x, known, ids[concept.key], concept, report)
            for other in concept.related:
                if other in ids and ids[other] != ids[concept.key]:
                    term_names.relate(x.tx, ids[concept.key], ids[other])
        x.planner.forget_vocabulary()
        x.changes.record(IMPORTED, touched, detail={"terms": len(self.concepts), "added": report.added})
        return report

    def _define(self, x: Execution, known: _Known, concept: Concept, above: TermId | None, report: Imported) -> TermId:
        id_ = vocabulary.define(x.tx, concept.name, above, x.at_ns)
        known.names[concept.name], known.broader[id_], known.own[id_] = id_, above, concept.name
        report.added += 1
        return id_

    def _move(self, x: Execution, known: _Known, id_: TermId, above: TermId, report: Imported) -> set[Facet]:
        """What it touches. Raises Refused where the term would become narrower than itself."""
        old, new = self._chain(known, known.broader[id_]), self._chain(known, above)
        if id_ in new:
            names = f'"{known.own[id_]}" below "{known.own[above]}", which is narrower here'
            raise Refused(f"the file has {names}; move one of them first with: damfs term move")
        vocabulary.move(x.tx, id_, above)
        touched = {predicates.narrower_facet(known.broader[id_]), predicates.narrower_facet(above)}
        known.broader[id_] = above
        report.moved += 1
        return touched | {predicates.tag_facet(each) for each in old ^ new}

    def _chain(self, known: _Known, id_: TermId | None) -> set[TermId]:
        found: set[TermId] = set()
        while id_ is not None and id_ not in found:
            found.add(id_)
            id_ = known.broader[id_]
        return found

    def _describe(self, x: Execution, known: _Known, id_: TermId, concept: Concept, report: Imported) -> None:
        labels = [Label(each.language, each.name, each.preferred) for each in concept.labels]
        if concept.name != known.own[id_]:
            labels.append(Label(concept.language, concept.name, preferred=bool(concept.language)))
        for label in labels:
            self._label(x, known, id_, label, report)
        for language, note in concept.notes.items():
            term_names.set_note(x.tx, id_, language, note)
        before = known.details.get(id_, PLAIN)
        detail = Detail(
            before.language or concept.language, concept.prompt or before.prompt, before.uri or concept.uri,
            concept.grouping or before.grouping,
        )  # fmt: skip
        if detail != before:
            term_names.set_detail(x.tx, id_, detail)

    def _label(self, x: Execution, known: _Known, id_: TermId, label: Label, report: Imported) -> None:
        if known.names.get(label.name, id_) != id_:
            report.remarks.append(f'"{label.name}", a synonym of "{known.own[id_]}", is a term itself: left out')
            return
        other = known.labels.setdefault(label.name, id_)
        if other != id_:
            lead = f'"{label.name}" is a synonym of "{known.own[other]}" and of "{known.own[id_]}"'
            report.remarks.append(f"{lead}: as a directory it leads to the first")
        if label.name != known.own[id_]:
            term_names.add_label(x.tx, id_, label)
            report.labels += 1
