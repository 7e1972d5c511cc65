"""Takes back what was done to the vocabulary: how each kind of change is told, and what undoes it.

Applied inside the transaction of an undo. What people did to a term since stays: a name, a synonym, a note is taken
back only where it is still as the change left it.
"""

from __future__ import annotations

import msgspec

from damfs.catalog import predicates, term_names, vocabulary
from damfs.catalog.change_feed import Told
from damfs.catalog.term_names import PLAIN, Described, Label
from damfs.core.commands import DefineTerm, Execution, RemoveTerm, RenameTerm
from damfs.core.importing_terms import IMPORTED, Detailed, Moved, Named, Noted, Taken
from damfs.core.merging_terms import MoveTagsBack, Unmerge
from damfs.core.search_commands import ForgetSearch, SaveSearch
from damfs.core.term_commands import AddLabel, RelateTerms, RemoveLabel, SetTermDetail, SetTermNote
from damfs.core.term_news import tag_facets
from damfs.errors import NotFound, Refused
from damfs.model import Facet, Term, TermId


def term_named(x: Execution, name: str) -> TermId:
    found = term_names.resolve(x.tx, name)
    if found is None:
        raise NotFound(f'there is no term "{name}" any more')
    return found.id


def label_back(x: Execution, change: Told) -> None:
    term, name = term_named(x, str(change.detail["of"])), change.names[0]
    if change.detail["came"]:
        RemoveLabel(term, name).apply(x)
    for label in msgspec.convert(change.detail["labels"], list[Label]):
        AddLabel(term, label).apply(x)


def rename_term_back(x: Execution, change: Told) -> None:
    term = term_named(x, change.names[-1])
    RenameTerm(term, change.names[0], _broader(x, change)).apply(x)
    for label in msgspec.convert(change.detail.get("labels", []), list[Label]):
        AddLabel(term, label).apply(x)


def remove_term(x: Execution, change: Told) -> None:
    RemoveTerm(term_named(x, change.names[0])).apply(x)


def define_again(x: Execution, change: Told) -> None:
    """With all that was said of it. What it was related to may be gone."""
    said = msgspec.convert(change.detail.get("said", {}), Described)
    term = DefineTerm(change.names[0], _broader(x, change)).apply(x)
    for label in said.labels:
        if term_names.resolve(x.tx, label.name) is None:
            AddLabel(term, label).apply(x)
    for language, note in said.notes.items():
        SetTermNote(term, language, note).apply(x)
    if said.detail != PLAIN:
        SetTermDetail(term, said.detail).apply(x)
    for name in said.related:
        other = term_names.resolve(x.tx, name)
        if other is not None:
            RelateTerms(term, other.id).apply(x)


def describe_back(x: Execution, change: Told) -> None:
    """Of `SetTermNote`, `SetTermDetail` and `RelateTerms`: what was before, where it is still as it was made."""
    term = term_named(x, str(change.detail["term"]))
    before, now = (msgspec.convert(change.detail[key], Described) for key in ("before", "now"))
    notes = term_names.notes(x.tx, term)
    if any(notes.get(language, "") != note for language, note in now.notes.items()):
        raise Refused(f'the note of "{change.detail["term"]}" is another one now')
    for language, note in before.notes.items():
        SetTermNote(term, language, note).apply(x)
    if before.detail != now.detail:
        if term_names.detail(x.tx, term) != now.detail:
            raise Refused(f'"{change.detail["term"]}" is described otherwise now')
        SetTermDetail(term, before.detail).apply(x)
    for name in now.related:
        RelateTerms(term, term_named(x, name), related=False).apply(x)
    for name in before.related:
        RelateTerms(term, term_named(x, name)).apply(x)


def tags_back(x: Execution, change: Told) -> str:
    return msgspec.convert(change.detail, MoveTagsBack).apply(x)


def unmerge(x: Execution, change: Told) -> None:
    msgspec.convert(change.detail, Unmerge).apply(x)


def save_again(x: Execution, change: Told) -> None:
    SaveSearch(change.names[0]).apply(x)


def forget_again(x: Execution, change: Told) -> None:
    ForgetSearch(change.names[0]).apply(x)


def _broader(x: Execution, change: Told) -> TermId | None:
    name = change.detail.get("broader")
    return None if name is None else term_named(x, str(name))


def import_back(x: Execution, change: Told) -> str:
    """What a part of an import did, last things first. Answers with which terms stay."""
    taken = msgspec.convert(change.detail, Taken)
    for one, other in reversed(taken.related):
        term_names.unrelate(x.tx, one, other)
    for detailed in reversed(taken.detailed):
        _detail_back(x, detailed)
    for noted in reversed(taken.noted):
        _note_back(x, noted)
    for named in reversed(taken.named):
        _name_back(x, named)
    touched: set[Facet] = set()
    for moved in reversed(taken.moved):
        touched |= _move_back(x, moved)
    kept = [name for id_, name in reversed(taken.defined) if not _gone(x, id_, name, touched)]
    x.planner.forget_vocabulary()
    x.changes.record(IMPORTED, touched, detail={"moved": taken.moved})
    more = f" and {len(kept) - 1:,} more" if len(kept) > 1 else ""
    return f'"{kept[0]}"{more}: in use, or changed since the import' if kept else ""


def _detail_back(x: Execution, detailed: Detailed) -> None:
    if term_names.detail(x.tx, detailed.term) == detailed.now:
        term_names.set_detail(x.tx, detailed.term, detailed.before)


def _note_back(x: Execution, noted: Noted) -> None:
    if term_names.notes(x.tx, noted.term).get(noted.language) == noted.note:
        term_names.set_note(x.tx, noted.term, noted.language, noted.before)


def _name_back(x: Execution, named: Named) -> None:
    if Label(named.language, named.name, named.preferred) not in term_names.labels(x.tx, named.term):
        return
    if named.before is None:
        term_names.remove_label_in(x.tx, named.term, named.language, named.name)
    else:
        term_names.add_label(x.tx, named.term, Label(named.language, named.name, named.before))


def _move_back(x: Execution, moved: Moved) -> set[Facet]:
    """What it touches; nothing where somebody moved the term since, or what it was below is gone or below it."""
    term = vocabulary.term(x.tx, moved.term)
    if term is None or term.broader != moved.now:
        return set()
    above = () if moved.before is None else vocabulary.with_broader(x.tx, moved.before)
    if term.id in above or (moved.before is not None and not above):
        return set()
    before = tag_facets(x.tx, term.id)
    vocabulary.move(x.tx, term.id, moved.before)
    lists = {predicates.narrower_facet(moved.now), predicates.narrower_facet(moved.before)}
    return lists | set(before ^ tag_facets(x.tx, term.id))


def _gone(x: Execution, id_: TermId, name: str, touched: set[Facet]) -> bool:
    """Whether it is gone now: people who called it otherwise, used it or said something of it want it to stay. A
    model's tags go with it."""
    term = vocabulary.term(x.tx, id_)
    if term is None:
        return True
    if term.name != name or vocabulary.in_use_but_by_models(x.tx, id_) or term_names.is_described(x.tx, id_):
        return False
    facets = tag_facets(x.tx, id_)
    if vocabulary.detach_models(x.tx, id_):
        touched |= facets | {predicates.UNTAGGED_FACET}
    _remove(x, term, touched)
    return True


def _remove(x: Execution, term: Term, touched: set[Facet]) -> None:
    vocabulary.remove(x.tx, term.id)
    touched.add(predicates.narrower_facet(term.broader))
