"""What an old catalog still says of its terms beside their names and places, and bringing that back.

Read with the other rows of the old catalog (blocks, writes nothing); applied like every command, after the terms are
there. A catalog from before schema 3 says nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from damfs.catalog import term_names, vocabulary
from damfs.catalog.old_rows import OldDetail, OldJudgement, OldLabel, OldNote, OldRelation
from damfs.catalog.salvage import Salvage
from damfs.catalog.term_names import PLAIN, Detail, Label
from damfs.core.asset_names import clean_name
from damfs.core.commands import Execution

T = TypeVar("T")
Judged = dict[int, list[tuple[str, float | None, str, str]]]
"""By asset: term, confidence of what was proposed, processor, model."""


@dataclass(slots=True)
class SaidOfTerm:
    """``related``: names."""

    labels: list[Label] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    detail: Detail = PLAIN
    related: list[str] = field(default_factory=list)


def said_of_terms(old: Salvage, names: dict[int, str]) -> dict[str, SaidOfTerm]:
    """By the names of the terms; ``names``: of those that are known."""
    said = {name: SaidOfTerm() for name in names.values()}
    for label in _each(old, OldLabel, "term_label"):
        if label.term in names:
            said[names[label.term]].labels.append(Label(label.language, clean_name(label.name), bool(label.preferred)))
    _add_notes(old, names, said)
    for pair in _each(old, OldRelation, "term_relation"):
        if pair.term in names and pair.other in names:
            said[names[pair.term]].related.append(names[pair.other])
    return said


def _add_notes(old: Salvage, names: dict[int, str], said: dict[str, SaidOfTerm]) -> None:
    for note in _each(old, OldNote, "term_note"):
        if note.term in names:
            said[names[note.term]].notes[note.language] = note.note
    for detail in _each(old, OldDetail, "term_detail"):
        if detail.term in names:
            said[names[detail.term]].detail = Detail(detail.language, detail.prompt, detail.uri, bool(detail.grouping))


def _each(old: Salvage, kind: type[T], table: str) -> Iterator[T]:
    return old.each(kind) if old.has(table) else iter(())


def judged(old: Salvage, names: dict[int, str]) -> Judged:
    found: Judged = {}
    for row in _each(old, OldJudgement, "judgement"):
        if row.term in names:
            found.setdefault(row.asset, []).append((names[row.term], row.confidence, row.processor, row.model))
    return found


@dataclass(frozen=True, slots=True)
class RestoreSaid:
    """What was said of a term; what is said of it already stays."""

    name: str
    said: SaidOfTerm

    def apply(self, x: Execution) -> None:
        term = vocabulary.term_named(x.tx, self.name)
        if term is None:
            return
        for label in self.said.labels:
            if vocabulary.term_named(x.tx, label.name) is None:
                term_names.add_label(x.tx, term.id, label)
        for language, note in self.said.notes.items():
            term_names.set_note(x.tx, term.id, language, note)
        if self.said.detail != PLAIN:
            term_names.set_detail(x.tx, term.id, self.said.detail)
        for name in self.said.related:
            other = vocabulary.term_named(x.tx, name)
            if other is not None and other.id != term.id:
                term_names.relate(x.tx, term.id, other.id)
        x.planner.forget_vocabulary()
