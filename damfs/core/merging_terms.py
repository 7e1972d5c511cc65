"""Merging one term into another: everything tagged with it, what is narrower, its names and what was judged.

A thousand assets at a time, each thousand one transaction and one change that can be taken back; the term itself goes
last, so that a merge which is interrupted is finished by doing it again. Concurrency: on the loop, which runs on
between the transactions. All of it is one group to undo.
"""

from __future__ import annotations

from dataclasses import dataclass

import trio

from damfs.catalog import merging, predicates, term_names, vocabulary
from damfs.catalog.merging import Carried
from damfs.catalog.term_names import Label
from damfs.core.commands import DefineTerm, Execution, RenameTerm, known, known_term
from damfs.core.library import Library
from damfs.core.term_news import TOLD_SINGLY, name_of, tag_facets, tell_namesakes
from damfs.errors import NotEmpty, NotFound, Refused
from damfs.model import AssetId, Facet, TermId

AT_ONCE = 1000
NARROWER_AT_ONCE = 25
"""Terms that come below the other in one transaction."""
MOVED, MERGED = "tags-moved", "term-merged"


@dataclass(frozen=True, slots=True)
class MoveTags:
    """Some assets carry, are proposed for, or are judged of, the second term instead of the first."""

    assets: tuple[AssetId, ...]
    source: TermId
    target: TermId

    def apply(self, x: Execution) -> None:
        source, target = known_term(x, self.source), known_term(x, self.target)
        before = merging.carried(x.tx, self.assets, self.source)
        there = merging.carried(x.tx, self.assets, self.target)
        merging.move(x.tx, self.assets, self.source, self.target)
        detail = {"term": source.name, "into": target.name, "moved": before, "had": there}
        facets = both_facets(x, self.source, self.target)
        names = vocabulary.names_of_assets(x.tx, self.assets[:TOLD_SINGLY])
        x.changes.record(MOVED, facets, names=tuple(names), detail=detail)


def both_facets(x: Execution, source: TermId, target: TermId) -> frozenset[Facet]:
    facets = tag_facets(x.tx, source) | tag_facets(x.tx, target)
    return facets | predicates.proposed_facets(source) | predicates.proposed_facets(target)


@dataclass(frozen=True, slots=True)
class MergeTerms:
    """A term that no asset carries any more becomes part of another. ``keep_name``: as a synonym of that, once nothing
    is said with it any more; else what was refused or proposed of it goes with it, as when it is removed."""

    source: TermId
    target: TermId
    keep_name: bool = True

    def apply(self, x: Execution) -> None:
        source, target = known_term(x, self.source), known_term(x, self.target)
        check_merge(x, self.source, self.target)
        is_said = merging.some_assets(x.tx, self.source, 1) if self.keep_name else vocabulary.in_use(x.tx, self.source)
        if is_said:
            raise NotEmpty(f'the term "{source.name}" is in use; merge it with: damfs term merge')
        detail = {
            "term": source.name, "into": target.name, "broader": name_of(x.tx, source.broader),
            "labels": term_names.labels(x.tx, self.source),
            "notes": term_names.notes(x.tx, self.source), "detail": term_names.detail(x.tx, self.source),
            "had_labels": term_names.labels(x.tx, self.target), "had_notes": term_names.notes(x.tx, self.target),
            "related": [each.name for each in term_names.related(x.tx, self.source)],
            "had_related": [each.name for each in term_names.related(x.tx, self.target)],
        }  # fmt: skip
        for each in vocabulary.list_narrower(x.tx, self.source):
            RenameTerm(each.id, each.name, self.target).apply(x)
        merging.absorb(x.tx, self.source, self.target)
        if self.keep_name:
            language = term_names.detail(x.tx, self.target).language
            term_names.add_label(x.tx, self.target, Label(language, source.name))
        x.planner.forget_vocabulary()
        lists = {predicates.narrower_facet(source.broader), predicates.narrower_facet(self.target)}
        x.changes.record(MERGED, lists | {predicates.PROPOSED_FACET}, names=(source.name,), detail=detail)
        tell_namesakes(x.tx, x.changes, source.name)


def check_merge(x: Execution, source: TermId, target: TermId) -> None:
    """Raises Refused where one would become narrower than itself."""
    one, other = known_term(x, source), known_term(x, target)
    if source == target:
        raise Refused(f'"{one.name}" and "{other.name}" are one term')
    if target in vocabulary.with_narrower(x.tx, source):
        raise Refused(f'"{other.name}" is narrower than "{one.name}": merge it the other way round, or move it first')


@dataclass(frozen=True, slots=True)
class CheckMerge:
    source: TermId
    target: TermId

    def apply(self, x: Execution) -> None:
        check_merge(x, self.source, self.target)


async def merge(library: Library, source: TermId, target: TermId, actor: str) -> int:
    """How many assets it concerned. Raises Refused."""
    library.perform(CheckMerge(source, target), actor)
    total, group = 0, library.new_group()
    while found := merging.some_assets(library.db.writer, source, AT_ONCE):
        library.perform(MoveTags(tuple(found), source, target), actor, group=group)
        total += len(found)
        await trio.lowlevel.checkpoint()
    while narrower := vocabulary.some_narrower(library.db.writer, source, NARROWER_AT_ONCE):
        library.execute([RenameTerm(each.id, each.name, target) for each in narrower], actor, group=group)
        await trio.lowlevel.checkpoint()
    library.perform(MergeTerms(source, target), actor, group=group)
    return total


@dataclass(frozen=True, slots=True)
class MoveTagsBack:
    """Takes back a `MoveTags`, told of by its change. Answers with the assets of which something was said since."""

    term: str
    into: str
    moved: list[Carried]
    had: list[Carried]

    def apply(self, x: Execution) -> str:
        source, target = _named(x, self.term), _named(x, self.into)
        kept = merging.put_back(x.tx, self.moved, source, self.had, target)
        assets = tuple({AssetId(each.asset) for each in self.moved[: 2 * TOLD_SINGLY]})
        names = vocabulary.names_of_assets(x.tx, assets)
        x.changes.record(MOVED, both_facets(x, source, target), names=tuple(names))
        more = f" and {len(kept) - 1:,} more" if len(kept) > 1 else ""
        return f'{known(x, kept[0]).name}{more}: "{self.into}" was given or taken away since the merge' if kept else ""


@dataclass(frozen=True, slots=True)
class Unmerge:
    """Takes back a `MergeTerms`, told of by its change. What was narrower is told of by changes of its own."""

    term: str
    into: str
    broader: str | None
    labels: list[Label]
    notes: dict[str, str]
    detail: term_names.Detail
    had_labels: list[Label]
    had_notes: dict[str, str]
    related: list[str]
    had_related: list[str] | None = None
    """None: an older version did not tell."""

    def apply(self, x: Execution) -> None:
        target = _named(x, self.into)
        for name in {self.term, *(label.name for label in self.labels)}:
            term_names.remove_label(x.tx, target, name)
        for label in self.had_labels:
            term_names.add_label(x.tx, target, label)
        for language in self.notes:
            term_names.set_note(x.tx, target, language, self.had_notes.get(language, ""))
        broader = None if self.broader is None else _named(x, self.broader)
        source = DefineTerm(self.term, broader).apply(x)
        for label in self.labels:
            term_names.add_label(x.tx, source, label)
        for language, note in self.notes.items():
            term_names.set_note(x.tx, source, language, note)
        term_names.set_detail(x.tx, source, self.detail)
        for name in self.related:
            other = _named(x, name)
            term_names.relate(x.tx, source, other)
            if name not in (self.related if self.had_related is None else self.had_related):
                term_names.unrelate(x.tx, target, other)


def _named(x: Execution, name: str) -> TermId:
    found = vocabulary.term_named(x.tx, name)
    if found is None:
        raise NotFound(f'there is no term "{name}" any more')
    return found.id
