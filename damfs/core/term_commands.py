"""Commands on the vocabulary beside defining, renaming and removing terms: names by use, labels, notes, relations.

Applied like every command: one transaction, no await, no file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from damfs.catalog import predicates, term_names
from damfs.catalog.database import Connection
from damfs.catalog.term_names import Described, Detail, Label
from damfs.core.commands import AddTag, DefineTerm, Execution, fit_name, known_term
from damfs.core.term_news import refuse_taken, tell_namesakes
from damfs.errors import NotFound, Refused
from damfs.model import AssetId, Term, TermId

LABELLED = "term-labelled"
"""``names``: the label that came or went; ``detail``: of which term, and whether it came."""
DESCRIBED = "term-described"
LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
NOTE_LIMIT = 100_000
NEAR = 3
"""Names that are told of when one is not known."""


@dataclass(frozen=True, slots=True)
class CoinTerm:
    """Define a term by using it. Refused, with the nearest names, where the vocabulary is closed."""

    name: str
    broader: TermId | None = None

    def apply(self, x: Execution) -> TermId:
        if not x.open_vocabulary:
            raise Refused(unknown(x.tx, self.name) + "; the vocabulary is closed: damfs term add LIBRARY NAME adds one")
        return DefineTerm(self.name, self.broader).apply(x)


@dataclass(frozen=True, slots=True)
class GiveTerms:
    """Terms by name, to each of the assets; those that are not known are coined. Answers what the terms are called."""

    assets: tuple[AssetId, ...]
    names: tuple[str, ...]

    def apply(self, x: Execution) -> list[str]:
        found = [(name, term_names.resolve(x.tx, name)) for name in dict.fromkeys(self.names)]
        terms = dict.fromkeys(CoinTerm(name).apply(x) if term is None else term.id for name, term in found)
        for asset in self.assets:
            for term in terms:
                AddTag(asset, term).apply(x)
        return [known_term(x, term).name for term in terms]


@dataclass(frozen=True, slots=True)
class IntroduceTerm:
    """A new term with all that is said of it from the start: there as a whole, or not at all."""

    name: str
    broader: TermId | None = None
    synonyms: tuple[str, ...] = ()
    note: str = ""
    prompt: str = ""

    def apply(self, x: Execution) -> TermId:
        term = DefineTerm(self.name, self.broader).apply(x)
        for synonym in self.synonyms:
            AddLabel(term, Label("", synonym)).apply(x)
        SetTermNote(term, "", self.note).apply(x)
        SetTermDetail(term, Detail(prompt=self.prompt)).apply(x)
        return term


def unknown(connection: Connection, name: str) -> str:
    """That there is no such term, and which names are near. Scans the names of terms."""
    return f'there is no term "{name}"{did_you_mean(name, term_names.list_all(connection))}'


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Case and a slip of the finger do not count. Pure."""
    folded: dict[str, str] = {}
    for each in known:
        folded.setdefault(each.casefold(), each)
    near = [folded[each] for each in get_close_matches(name.casefold(), folded, NEAR, 0.6)]
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def checked_language(tag: str) -> str:
    """Raises Refused for what is no language tag. '' is fine: not told."""
    if tag and not LANGUAGE.fullmatch(tag):
        raise Refused(f'"{tag}" is no language; use a tag like fr, pt-BR or zh-Hant')
    return tag


@dataclass(frozen=True, slots=True)
class AddLabel:
    """Another name leads to the term from now on."""

    term: TermId
    label: Label

    def apply(self, x: Execution) -> None:
        term = known_term(x, self.term)
        label = self.label._replace(
            name=fit_name(self.label.name.strip()), language=checked_language(self.label.language)
        )
        if label.name == term.name:
            raise Refused(f'"{term.name}" is the name of the term itself')
        refuse_taken(x.tx, label.name, self.term)
        before = [each for each in term_names.labels(x.tx, self.term) if each.name == label.name]
        if label in before:
            return
        term_names.add_label(x.tx, self.term, label)
        tell_label(x, self.term, label.name, came=True, before=before)


@dataclass(frozen=True, slots=True)
class RemoveLabel:
    term: TermId
    name: str

    def apply(self, x: Execution) -> None:
        term, found = known_term(x, self.term), term_names.labels(x.tx, self.term)
        gone = [label for label in found if label.name == self.name]
        if not gone:
            raise NotFound(f'"{self.name}" is no synonym of "{term.name}"; see: damfs term show LIBRARY "{term.name}"')
        term_names.remove_label(x.tx, self.term, self.name)
        tell_label(x, self.term, self.name, came=False, before=gone)


def tell_label(x: Execution, term: TermId, name: str, *, came: bool, before: Iterable[Label]) -> None:
    detail = {"of": known_term(x, term).name, "came": came, "labels": list(before)}
    x.changes.record(LABELLED, {predicates.labels_facet(term)}, names=(name,), detail=detail)
    tell_namesakes(x.tx, x.changes, name)


@dataclass(frozen=True, slots=True)
class SetTermNote:
    """'' takes it away."""

    term: TermId
    language: str
    note: str

    def apply(self, x: Execution) -> None:
        if len(self.note) > NOTE_LIMIT:
            raise Refused(f"a note has at most {NOTE_LIMIT:,} characters")
        term, language = known_term(x, self.term), checked_language(self.language)
        before = term_names.notes(x.tx, self.term).get(language, "")
        if before != self.note:
            term_names.set_note(x.tx, self.term, language, self.note)
            _tell_described(x, term, Described(notes={language: before}), Described(notes={language: self.note}))


@dataclass(frozen=True, slots=True)
class SetTermDetail:
    term: TermId
    detail: Detail

    def apply(self, x: Execution) -> None:
        term = known_term(x, self.term)
        checked_language(self.detail.language)
        before = term_names.detail(x.tx, self.term)
        if before == self.detail:
            return
        term_names.set_detail(x.tx, self.term, self.detail)
        x.planner.forget_vocabulary()
        _tell_described(x, term, Described(detail=before), Described(detail=self.detail))


@dataclass(frozen=True, slots=True)
class RelateTerms:
    term: TermId
    other: TermId
    related: bool = True

    def apply(self, x: Execution) -> None:
        term, other = known_term(x, self.term), known_term(x, self.other)
        if term.id == other.id:
            raise Refused(f'"{term.name}" cannot be related to itself')
        if (other in term_names.related(x.tx, term.id)) == self.related:
            return
        (term_names.relate if self.related else term_names.unrelate)(x.tx, term.id, other.id)
        before, now = Described(), Described(related=[other.name])
        _tell_described(x, term, *((before, now) if self.related else (now, before)))


def _tell_described(x: Execution, term: Term, before: Described, now: Described) -> None:
    detail = {"term": term.name, "before": before, "now": now}
    x.changes.record(DESCRIBED, {predicates.labels_facet(term.id)}, detail=detail)
