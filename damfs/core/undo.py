"""Takes back what a person did: the last group of changes, as one transaction.

A group is what was done at once or in a burst: by the same actor, of the same sort, with gaps of at most two seconds.
`rm -r by-tag/beach` over a thousand assets is one. Computed from the change feed, which tells of every change enough to
take it back; what was taken back is a change as well, so that the next undo goes further into the past.
Concurrency: looking runs in a reader thread, the undo is one command. Crash rule: all of it or nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from damfs.catalog import change_feed, predicates, proposals, remarks, term_names, vocabulary
from damfs.catalog.change_feed import Told
from damfs.catalog.database import Connection
from damfs.catalog.merging import TAGGED, Carried
from damfs.catalog.proposals import Origin, Proposal
from damfs.catalog.term_names import Label
from damfs.catalog.vocabulary import GivenTag
from damfs.core.bulk_tagging import UNTAGGED_MANY
from damfs.core.commands import (
    AddTag,
    DefineTerm,
    Execution,
    RemoveTag,
    RemoveTerm,
    Rename,
    RenameTerm,
    Trash,
    Triage,
    known,
)
from damfs.core.describing import SetComment, SetRating
from damfs.core.merging_terms import MERGED as MERGED_TERMS
from damfs.core.merging_terms import MOVED, MoveTagsBack, Unmerge
from damfs.core.term_commands import LABELLED, AddLabel, RemoveLabel
from damfs.core.trash_commands import Restore, Untriage
from damfs.errors import DamfsError, NotFound, Refused
from damfs.model import AssetId, Facts, Seq, TagSource, TermId
from damfs.storage.droppings import is_temporary

ACTOR = "undo"
PEOPLE = ("fuse", "cli")
"""Actors that do what a person does."""
RECEPTION = "reception"
UNDONE, MERGED = "undone", "merged"
MERGE = "merge"
"""A merge of terms moves tags and narrower terms as well: all of that is one thing."""
GAP_NS = 2_000_000_000
PAGE = 1000
SORTS = {
    UNTAGGED_MANY: "untag",
    "tagged": "tag", "term-defined": "tag", "untagged": "untag", "term-removed": "untag", "trashed": "trash",
    "restored": "restore", "renamed": "rename", "rated": "rate", "commented": "comment",
    "triaged": "triage", "untriaged": "untriage", "term-renamed": "term",
    "refused": "refuse", MOVED: MERGE, MERGED_TERMS: MERGE, LABELLED: "label",
}  # fmt: skip
"""What can be taken back, and of which sort it is: `rm -r` untags and then removes the term."""
KINDS = (*SORTS, UNDONE, MERGED)
WORDS = {
    "tagged": ("tag given", "tags given"), "term-defined": ("term made", "terms made"),
    "untagged": ("tag taken away", "tags taken away"), "term-removed": ("term removed", "terms removed"),
    "trashed": ("asset trashed", "assets trashed"), "restored": ("asset restored", "assets restored"),
    "renamed": ("asset renamed", "assets renamed"), "triaged": ("asset triaged", "assets triaged"),
    "rated": ("rating", "ratings"), "commented": ("comment", "comments"),
    "untriaged": ("asset back in the inbox", "assets back in the inbox"),
    "term-renamed": ("term renamed or moved", "terms renamed or moved"),
    "refused": ("suggestion refused", "suggestions refused"), MOVED: ("tag moved", "tags moved"),
    MERGED_TERMS: ("term merged", "terms merged"), LABELLED: ("synonym changed", "synonyms changed"),
}  # fmt: skip


@dataclass(slots=True)
class Group:
    """``changes``: latest first."""

    actor: str
    sorts: frozenset[str]
    changes: list[Told] = field(default_factory=list)

    @property
    def at_ns(self) -> int:
        return self.changes[0].at_ns

    def words(self) -> str:
        counts: Counter[str] = Counter()
        for change in reversed(self.changes):
            counts["untagged" if change.kind == UNTAGGED_MANY else change.kind] += _number(change)
        told = [f"{number:,} {WORDS[kind][number > 1]}" for kind, number in counts.items() if number]
        return ", ".join(told) + self._of_what()

    def _of_what(self) -> str:
        terms = {str(change.detail["term"]) for change in self.changes if "term" in change.detail}
        names = {change.names[-1] for change in self.changes if change.names}
        if len(terms) == 1:
            return f" ({terms.pop()})"
        return f" ({names.pop()})" if len(names) == 1 else ""


def list_groups(connection: Connection, limit: int, actors: Sequence[str] = PEOPLE) -> list[Group]:
    """What can be taken back, latest first. Reads the feed backwards: for a reader thread."""
    return list(islice(_groups(_transactions(_left(connection, actors))), limit))


def _left(connection: Connection, actors: Sequence[str]) -> Iterator[Told]:
    """Changes by people that were not taken back, latest first."""
    undone: list[tuple[object, object, object]] = []
    merged: dict[AssetId, Facts] = {}
    for change in _backwards(connection, actors):
        if change.kind == UNDONE:
            undone.append((change.detail.get("actor"), change.detail.get("first"), change.detail.get("last")))
        elif change.kind == MERGED:
            merged[_asset(change)] = change.detail
        elif not _is_among(change, undone) and not (change.kind == "renamed" and _stays_renamed(change)):
            yield from _followed(change, merged)


def _stays_renamed(change: Told) -> bool:
    """A program saved, or a file was renamed in its folder: that is for who renamed it."""
    names = (str(change.detail["before"]), str(change.detail["name"]))
    return any(map(is_temporary, names)) or change.detail["with_file"] is True


def _followed(change: Told, merged: Mapping[AssetId, Facts]) -> Iterator[Told]:
    """A file that was received and became a known asset: what was done to it holds for that one."""
    into = None if change.asset is None else merged.get(change.asset)
    if into is None:
        yield change
        return
    id_, given = into.get("into"), into.get("given", [])
    if isinstance(id_, int) and isinstance(given, list) and change.detail.get("term") in given:
        yield change._replace(asset=AssetId(id_))


def _is_among(change: Told, undone: list[tuple[object, object, object]]) -> bool:
    return any(
        actor == change.actor and isinstance(first, int) and isinstance(last, int) and first <= change.seq <= last
        for actor, first, last in undone
    )


def _backwards(connection: Connection, actors: Sequence[str]) -> Iterator[Told]:
    before = Seq(change_feed.last_seq(connection) + 1)
    while page := change_feed.list_told(connection, before, (*actors, ACTOR, RECEPTION), KINDS, PAGE):
        yield from (change for change in page if change.actor in actors or change.kind in {UNDONE, MERGED})
        before = page[-1].seq


def _transactions(changes: Iterator[Told]) -> Iterator[list[Told]]:
    """Those of one moment and actor were one transaction."""
    current: list[Told] = []
    for change in changes:
        if current and (change.at_ns, change.actor) != (current[0].at_ns, current[0].actor):
            yield current
            current = []
        current.append(change)
    if current:
        yield current


def _groups(transactions: Iterator[list[Told]]) -> Iterator[Group]:
    group: Group | None = None
    for changes in transactions:
        sorts = frozenset(SORTS[change.kind] for change in changes)
        sorts = frozenset({MERGE}) if MERGE in sorts else sorts
        if group is not None and not _goes_on(group, changes, sorts):
            yield group
            group = None
        group = group or Group(changes[0].actor, sorts)
        group.changes += changes
    if group is not None:
        yield group


def _goes_on(group: Group, earlier: list[Told], sorts: frozenset[str]) -> bool:
    gap = group.changes[-1].at_ns - earlier[0].at_ns
    return (group.actor, group.sorts) == (earlier[0].actor, sorts) and gap <= GAP_NS


@dataclass(frozen=True, slots=True)
class Undone:
    done: int
    left_out: list[str]
    """Why a change could not be taken back."""
    moved: list[AssetId]
    """Assets that came into the trash or out of it: their files are still to be moved."""


@dataclass(frozen=True, slots=True)
class Undo:
    """Take back a group, its latest change first. What cannot be taken back any more is left out."""

    group: Group

    def apply(self, x: Execution) -> Undone:
        changes, left_out = self.group.changes, []
        for change in changes:
            try:
                INVERSES[change.kind](x, change)
            except DamfsError as error:
                left_out.append(str(error))
        detail = {"actor": self.group.actor, "first": changes[-1].seq, "last": changes[0].seq}
        x.changes.record(UNDONE, (), detail=detail)
        moved = [each.asset for each in changes if each.asset is not None and each.kind in {"trashed", "restored"}]
        return Undone(len(changes) - len(left_out), left_out, moved)


def give(x: Execution, asset: AssetId, term: TermId, given: GivenTag) -> None:
    """A tag as it was. That a model's was taken away is no judgement any more."""
    if given.source is TagSource.MODEL:
        proposals.forget_judgement(x.tx, asset, term)
    AddTag(asset, term, given.source, given.confidence, Origin(given.processor, given.model)).apply(x)


def propose_again(x: Execution, asset: AssetId, term: TermId, proposed: Proposal) -> None:
    origin = Origin(proposed.processor, proposed.model)
    proposals.propose(x.tx, asset, term, origin, proposed.confidence, x.at_ns)
    x.changes.record("proposed", predicates.proposed_facets(term), asset=asset, names=(known(x, asset).name,))


def _asset(change: Told) -> AssetId:
    assert change.asset is not None
    return change.asset


def _untag(x: Execution, change: Told) -> None:
    """From that very term; a model's word that the tag replaced holds again."""
    id_, term = _asset(change), _term_named(x, str(change.detail["term"]))
    if term not in {each.id for each in vocabulary.tagged_terms(x.tx, id_)}:
        raise NotFound(f"{known(x, id_).name} does not carry {change.detail['term']} any more")
    proposed = change.detail.get("proposed")
    was_judged = proposals.is_judged(x.tx, id_, term) and proposed is None
    RemoveTag(id_, term, alone=True).apply(x)
    if not was_judged:
        proposals.forget_judgement(x.tx, id_, term)
    for given in _given(change):
        give(x, id_, term, given)
    if proposed is not None:
        propose_again(x, id_, term, msgspec.convert(proposed, Proposal))


def _tag_again(x: Execution, change: Told) -> None:
    given = _given(change)
    if not given:
        raise Refused("it was not kept which tags there were")
    for each in given:
        found = term_names.resolve(x.tx, each.term)
        term = DefineTerm(each.term).apply(x) if found is None else found.id
        give(x, _asset(change), term, each)


def _number(change: Told) -> int:
    if change.kind == MOVED:
        rows = msgspec.convert(change.detail["moved"], list[Carried])
        return sum(row.table == TAGGED for row in rows)
    return len(_given_to_many(change)) if change.kind == UNTAGGED_MANY else 1


def _given_to_many(change: Told) -> list[tuple[AssetId, GivenTag]]:
    rows = msgspec.convert(change.detail.get("before", []), list[list[object]])
    return [(AssetId(int(str(asset))), msgspec.convert(given, GivenTag)) for asset, *given in rows]


def _tag_many_again(x: Execution, change: Told) -> None:
    for asset, given in _given_to_many(change):
        found = term_names.resolve(x.tx, given.term)
        term = DefineTerm(given.term).apply(x) if found is None else found.id
        with suppress(NotFound):  # it expired meanwhile
            give(x, asset, term, given)


def _suggest_again(x: Execution, change: Told) -> None:
    id_, term = _asset(change), _term_named(x, str(change.detail["term"]))
    proposals.forget_judgement(x.tx, id_, term)
    propose_again(x, id_, term, msgspec.convert(change.detail["proposed"], Proposal))


def _label_back(x: Execution, change: Told) -> None:
    term, name = _term_named(x, str(change.detail["of"])), change.names[0]
    if change.detail["came"]:
        RemoveLabel(term, name).apply(x)
    for label in msgspec.convert(change.detail["labels"], list[Label]):
        AddLabel(term, label).apply(x)


def _rename_back(x: Execution, change: Told) -> None:
    asset = known(x, _asset(change))
    old, new = str(change.detail["before"]), change.detail["name"]
    if asset.name != new:
        raise Refused(f"{new} has another name now: {asset.name}")
    Rename(asset.id, old).apply(x)


def _rate_back(x: Execution, change: Told) -> None:
    id_, given, before = _asset(change), change.detail["rating"], change.detail["before"]
    if remarks.remark(x.tx, id_).rating != given:
        raise Refused(f"{known(x, id_).name} is rated otherwise now")
    SetRating(id_, int(str(before))).apply(x)


def _comment_back(x: Execution, change: Told) -> None:
    id_ = _asset(change)
    if remarks.remark(x.tx, id_).comment != change.detail["comment"]:
        raise Refused(f"{known(x, id_).name} has another comment now")
    SetComment(id_, str(change.detail["before"])).apply(x)


def _rename_term_back(x: Execution, change: Told) -> None:
    term = _term_named(x, change.names[-1])
    RenameTerm(term, change.names[0], _broader(x, change)).apply(x)


def _define_again(x: Execution, change: Told) -> None:
    DefineTerm(change.names[0], _broader(x, change)).apply(x)


def _broader(x: Execution, change: Told) -> TermId | None:
    name = change.detail.get("broader")
    return None if name is None else _term_named(x, str(name))


def _term_named(x: Execution, name: str) -> TermId:
    found = term_names.resolve(x.tx, name)
    if found is None:
        raise NotFound(f'there is no term "{name}" any more')
    return found.id


def _given(change: Told) -> list[GivenTag]:
    return msgspec.convert(change.detail.get("before", []), list[GivenTag])


INVERSES: dict[str, Callable[[Execution, Told], None]] = {
    "tagged": _untag,
    "term-defined": lambda x, change: RemoveTerm(_term_named(x, change.names[0])).apply(x),
    "untagged": _tag_again,
    UNTAGGED_MANY: _tag_many_again,
    "term-removed": _define_again,
    "trashed": lambda x, change: Restore(_asset(change)).apply(x),
    "restored": lambda x, change: Trash(_asset(change)).apply(x),
    "renamed": _rename_back,
    "rated": _rate_back,
    "commented": _comment_back,
    "triaged": lambda x, change: Untriage(_asset(change)).apply(x),
    "untriaged": lambda x, change: Triage(_asset(change)).apply(x),
    "term-renamed": _rename_term_back,
    "refused": _suggest_again,
    MOVED: lambda x, change: msgspec.convert(change.detail, MoveTagsBack).apply(x),
    MERGED_TERMS: lambda x, change: msgspec.convert(change.detail, Unmerge).apply(x),
    LABELLED: _label_back,
}
