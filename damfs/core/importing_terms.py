"""Takes a vocabulary over into the catalog, a hundred terms at a time.

A concept that was imported before, or whose name leads to a term, is that term: it keeps its name, comes below what the
file says, and gets what it does not have yet. Nothing is taken away. That it can be done at all is found out before
anything is changed. Concurrency: the plan is made in threads, each transaction is some milliseconds on the loop, which
runs on between them. Crash rule: what was committed stays; the same file again goes on with the rest. All of it is one
group to undo: each change tells of what it did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import trio
from msgspec.structs import replace

from damfs.catalog import predicates, term_names, vocabulary
from damfs.catalog.database import Connection
from damfs.catalog.term_names import Detail, Label
from damfs.core.commands import Execution
from damfs.core.concepts import Concept
from damfs.core.library import Library
from damfs.errors import Refused
from damfs.model import Facet, Term, TermId

IMPORTED = "terms-imported"
AT_ONCE = 100
"""Terms defined in one transaction."""
SAID_AT_ONCE = 100
"""Labels, notes and relations written in one transaction."""
Report = Callable[[int, int], None]
"""So many terms of so many are done."""


class Moved(NamedTuple):
    term: TermId
    before: TermId | None
    now: TermId


class Named(NamedTuple):
    """``before``: whether the label was preferred; None: it was not there."""

    term: TermId
    language: str
    name: str
    preferred: bool
    before: bool | None = None


class Noted(NamedTuple):
    term: TermId
    language: str
    note: str
    before: str = ""


class Detailed(NamedTuple):
    term: TermId
    now: Detail
    before: Detail


class Taken(msgspec.Struct, omit_defaults=True):
    """What one transaction did: enough to take it back."""

    defined: list[tuple[TermId, str]] = []
    moved: list[Moved] = []
    named: list[Named] = []
    noted: list[Noted] = []
    detailed: list[Detailed] = []
    related: list[tuple[TermId, TermId]] = []

    @property
    def size(self) -> int:
        terms = len(self.defined) + len(self.moved) + len(self.detailed)
        return terms + len(self.named) + len(self.noted) + len(self.related)


@dataclass(slots=True)
class Imported:
    added: int = 0
    moved: int = 0
    labels: int = 0
    remarks: list[str] = field(default_factory=list)

    def count(self, taken: Taken) -> None:
        self.added += len(taken.defined)
        self.moved += len(taken.moved)
        self.labels += len(taken.named)


async def import_terms(
    library: Library, concepts: Sequence[Concept], actor: str, report: Report = lambda *_: None
) -> Imported:
    """``concepts``: as `concepts.checked` has them, broader ones first. Raises Refused, with nothing changed."""
    snapshot = await library.db.read(_Snapshot.read)
    await trio.to_thread.run_sync(_check, snapshot, concepts)
    imported, group, ids = Imported(), library.new_group(), dict[str, TermId]()
    steps = [*_steps(concepts, ids, imported)]
    for done, step in enumerate(steps):
        report(len(concepts) * done // len(steps), len(concepts))
        library.perform(step, actor, group=group)
        await trio.lowlevel.checkpoint()
    library.perform(EndImport(len(concepts), imported.added), actor, durable=True, group=group)
    report(len(concepts), len(concepts))
    return imported


def _steps(concepts: Sequence[Concept], ids: dict[str, TermId], imported: Imported) -> Iterator[ImportPart]:
    """All terms first: a label that is a term of the file itself is none."""
    for start in range(0, len(concepts), AT_ONCE):
        yield ImportPart(concepts[start : start + AT_ONCE], ids, imported, _define)
    for part in _parts(concepts, _described):
        yield ImportPart(part, ids, imported, _describe)
    for part in _parts(concepts, _related):
        yield ImportPart(part, ids, imported, _relate)


def _described(concept: Concept) -> Iterator[Concept]:
    """Parts with so many labels each: some thesauri have thousands for one."""
    for start in range(0, max(1, len(concept.labels)), SAID_AT_ONCE):
        notes = concept.notes if start == 0 else {}
        yield replace(concept, labels=concept.labels[start : start + SAID_AT_ONCE], notes=notes)


def _related(concept: Concept) -> Iterator[Concept]:
    for start in range(0, len(concept.related), SAID_AT_ONCE):
        yield replace(concept, related=concept.related[start : start + SAID_AT_ONCE])


def _parts(concepts: Sequence[Concept], split: Callable[[Concept], Iterator[Concept]]) -> Iterator[list[Concept]]:
    part: list[Concept] = []
    weight = 0
    for piece in (piece for concept in concepts for piece in split(concept)):
        own = 1 + len(piece.labels) + len(piece.notes) if split is _described else len(piece.related)
        if part and weight + own > SAID_AT_ONCE:
            yield part
            part, weight = [], 0
        part.append(piece)
        weight += own
    if part:
        yield part


class _Snapshot(NamedTuple):
    """The vocabulary before it grows."""

    names: Mapping[str, TermId]
    labels: Mapping[str, TermId]
    uris: Mapping[str, TermId]
    broader: Mapping[TermId, TermId | None]

    @classmethod
    def read(cls, connection: Connection) -> _Snapshot:
        terms = vocabulary.list_terms(connection)
        return cls(
            {term.name: term.id for term in terms},
            {label.name: id_ for id_, label in reversed(term_names.list_labels(connection))},
            {each.uri: id_ for id_, each in term_names.list_details(connection).items() if each.uri},
            {term.id: term.broader for term in terms},
        )

    def find(self, concept: Concept) -> TermId | None:
        by_uri = self.uris.get(concept.uri) if concept.uri else None
        return by_uri or self.names.get(concept.name) or self.labels.get(concept.name)


def _check(known: _Snapshot, concepts: Sequence[Concept]) -> None:
    """Raises Refused where a term would become narrower than itself. Pure: what would be done, on numbers alone."""
    broader = dict(known.broader)
    ids: dict[str, TermId] = {}
    names = {id_: name for name, id_ in known.names.items()}
    for number, concept in enumerate(concepts, start=1):
        above = ids.get(concept.broader) if concept.broader else None
        id_ = known.find(concept) or TermId(-number)
        if id_ not in broader:
            broader[id_], names[id_] = above, concept.name
        elif above is not None and broader[id_] != above:
            if id_ in _chain(broader, above):
                where = f'"{names[id_]}" below "{names[above]}", which is narrower here'
                raise Refused(f"the file has {where}; move one of them first with: damfs term move")
            broader[id_] = above
        ids[concept.key] = id_


def _chain(broader: Mapping[TermId, TermId | None], id_: TermId | None) -> set[TermId]:
    found: set[TermId] = set()
    while id_ is not None and id_ not in found:
        found.add(id_)
        id_ = broader[id_]
    return found


@dataclass(frozen=True, slots=True)
class ImportPart:
    """One part of an import. ``ids``: terms of the concepts so far, by key; it learns those that are defined."""

    concepts: Sequence[Concept]
    ids: dict[str, TermId]
    imported: Imported
    work: Callable[[Execution, Concept, ImportPart, Taken], set[Facet]]

    def apply(self, x: Execution) -> None:
        taken, touched = Taken(), set[Facet]()
        for concept in self.concepts:
            touched |= self.work(x, concept, self, taken)
        if taken.size:
            x.planner.forget_vocabulary()
            x.changes.record(IMPORTED, touched, detail=msgspec.to_builtins(taken))
        self.imported.count(taken)


@dataclass(frozen=True, slots=True)
class EndImport:
    """Everything before it is on disk when this is."""

    terms: int
    added: int

    def apply(self, x: Execution) -> None:
        x.changes.record(IMPORTED, (), detail={"terms": self.terms, "added": self.added})


def _define(x: Execution, concept: Concept, step: ImportPart, taken: Taken) -> set[Facet]:
    above = step.ids.get(concept.broader) if concept.broader else None
    above = above if above is None or vocabulary.term(x.tx, above) is not None else None
    term = _found(x, concept)
    if term is None:
        id_ = step.ids[concept.key] = vocabulary.define(x.tx, concept.name, above, x.at_ns)
        taken.defined.append((id_, concept.name))
        return {predicates.narrower_facet(above)}
    step.ids[concept.key] = term.id
    if above is None or above == term.broader:
        return set()
    before, after = set(vocabulary.with_broader(x.tx, term.id)), set(vocabulary.with_broader(x.tx, above))
    if term.id in after:  # somebody moved it meanwhile
        step.imported.remarks.append(f'"{term.name}" was moved meanwhile: it stays where it is')
        return set()
    vocabulary.move(x.tx, term.id, above)
    taken.moved.append(Moved(term.id, term.broader, above))
    touched = {predicates.narrower_facet(term.broader), predicates.narrower_facet(above)}
    return touched | {predicates.tag_facet(each) for each in (before - {term.id}) ^ after}


def _found(x: Execution, concept: Concept) -> Term | None:
    by_uri = term_names.of_uri(x.tx, concept.uri) if concept.uri else None
    return term_names.resolve(x.tx, concept.name) if by_uri is None else vocabulary.term(x.tx, by_uri)


def _describe(x: Execution, concept: Concept, step: ImportPart, taken: Taken) -> set[Facet]:
    term = vocabulary.term(x.tx, step.ids[concept.key])
    if term is None:  # somebody removed it meanwhile
        return set()
    labels = [Label(each.language, each.name, each.preferred) for each in concept.labels]
    if concept.name != term.name:
        labels.append(Label(concept.language, concept.name, preferred=bool(concept.language)))
    there = {(label.language, label.name): label.preferred for label in term_names.labels(x.tx, term.id)}
    for label in labels:
        if label.name != term.name and there.get((label.language, label.name)) != label.preferred:
            _label(x, term, label, there.get((label.language, label.name)), step, taken)
    notes = term_names.notes(x.tx, term.id) if concept.notes else {}
    for language, note in concept.notes.items():
        if notes.get(language) != note:
            taken.noted.append(Noted(term.id, language, note, notes.get(language, "")))
            term_names.set_note(x.tx, term.id, language, note)
    _detail(x, term, concept, taken)
    return set()


def _label(x: Execution, term: Term, label: Label, before: bool | None, step: ImportPart, taken: Taken) -> None:
    other = term_names.resolve(x.tx, label.name)
    if other is not None and other.id != term.id and other.name == label.name:
        step.imported.remarks.append(f'"{label.name}", a synonym of "{term.name}", is a term itself: left out')
        return
    term_names.add_label(x.tx, term.id, label)
    taken.named.append(Named(term.id, label.language, label.name, label.preferred, before))
    first = term_names.resolve(x.tx, label.name)
    if other is not None and other.id != term.id and first is not None:
        later = term if first.id == other.id else other
        lead = f'"{label.name}" is a synonym of "{first.name}" and of "{later.name}"'
        step.imported.remarks.append(f"{lead}: as a directory it leads to the first")


def _detail(x: Execution, term: Term, concept: Concept, taken: Taken) -> None:
    before = term_names.detail(x.tx, term.id)
    now = Detail(
        before.language or concept.language, concept.prompt or before.prompt, before.uri or concept.uri,
        concept.grouping or before.grouping,
    )  # fmt: skip
    if now != before:
        term_names.set_detail(x.tx, term.id, now)
        taken.detailed.append(Detailed(term.id, now, before))


def _relate(x: Execution, concept: Concept, step: ImportPart, taken: Taken) -> set[Facet]:
    one = step.ids[concept.key]
    others = {step.ids[key] for key in concept.related if key in step.ids} - {one}
    there = {each.id for each in term_names.related(x.tx, one)}
    for other in sorted(others - there):
        if vocabulary.term(x.tx, one) is not None and vocabulary.term(x.tx, other) is not None:
            term_names.relate(x.tx, one, other)
            taken.related.append((one, other))
    return set()
