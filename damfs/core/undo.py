"""Takes back what a person did: the last group of changes (`undo_groups`).

The change feed tells of every change enough to take it back; what was taken back is a change as well, so that the next
undo goes further into the past. Concurrency: a large group is taken back in parts, with the loop free between. Crash
rule: a part is taken back or not; the rest of a group is what the next undo takes back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import trio

from damfs.catalog import change_feed, predicates, proposals, remarks, term_names, vocabulary
from damfs.catalog.change_feed import Told
from damfs.catalog.proposals import Origin, Proposal
from damfs.catalog.vocabulary import GivenTag
from damfs.core import undoing_terms
from damfs.core.bulk_tagging import UNTAGGED_MANY
from damfs.core.commands import (
    AddTag,
    DefineTerm,
    Execution,
    RemoveTag,
    Rename,
    Trash,
    Triage,
    known,
)
from damfs.core.describing import ATTRIBUTE, RemoveAttribute, SetAttribute, SetComment, SetRating
from damfs.core.importing_terms import IMPORTED
from damfs.core.library import Library
from damfs.core.merging_terms import MERGED as MERGED_TERMS
from damfs.core.merging_terms import MOVED
from damfs.core.term_commands import DESCRIBED, LABELLED
from damfs.core.trash_commands import Restore, Untriage
from damfs.core.undo_groups import ACTOR, PEOPLE, RECEPTION, UNDONE, Group, asset_of, given_to_many, parts
from damfs.core.undoing_terms import term_named
from damfs.errors import DamfsError, NotFound, Refused
from damfs.model import AssetId, Seq, TagSource, TermId


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
        said = _said_since(x, [change for change in changes if change.kind == "tagged"])
        for change in changes:
            reason = said.get(change.seq) or _what_stays(x, change)
            left_out += [reason] if reason else []
        seqs = [change.seq for change in changes]
        detail = {"actor": self.group.actor, "first": min(seqs), "last": max(seqs), "name": self.group.name}
        x.changes.record(UNDONE, (), detail=detail)
        moved = [each.asset for each in changes if each.asset is not None and each.kind in {"trashed", "restored"}]
        return Undone(len(changes) - len(left_out), left_out, moved)


async def take_back(library: Library, group: Group) -> Undone:
    """All of a group, part by part."""
    done = Undone(0, [], [])
    for part in parts(group):
        undone = library.perform(Undo(part), ACTOR, durable=True)
        done = Undone(done.done + undone.done, done.left_out + undone.left_out, done.moved + undone.moved)
        await trio.lowlevel.checkpoint()
    return done


def _what_stays(x: Execution, change: Told) -> str:
    """Takes a change back, or nothing of it. Why it, or some of what it was about, stays; '': nothing does."""
    try:
        with x.changes.attempt():
            return INVERSES[change.kind](x, change) or ""
    except DamfsError as error:
        x.planner.forget_vocabulary()
        return str(error)


def _said_since(x: Execution, tagged: Sequence[Told]) -> dict[Seq, str]:
    """Why these changes are left alone: a program has given or taken away the same tag since. What people said since
    is taken back first."""
    if not tagged:
        return {}
    first = min(change.seq for change in tagged)
    said: dict[tuple[AssetId, TermId], Seq] = {}
    for seq, asset, name in change_feed.list_tagged(x.tx, first, (*PEOPLE, RECEPTION, ACTOR)):
        found = term_names.resolve(x.tx, name)
        if found is not None:
            said[asset, found.id] = seq
    reasons: dict[Seq, str] = {}
    for change in tagged if said else ():
        id_, name = asset_of(change), str(change.detail["term"])
        found = term_names.resolve(x.tx, name)
        if found is not None and said.get((id_, found.id), 0) > change.seq:
            reasons[change.seq] = f"{change.names[0]}: {name} was given or taken away by a program since"
    return reasons


Judged = Set[tuple[AssetId, str]]


def give(x: Execution, asset: AssetId, term: TermId, given: GivenTag, judged: Judged | None = None) -> None:
    """A tag as it was. That it was taken away is no judgement any more. ``judged``: what had been judged before that;
    None: an older version did not tell."""
    was_judged = given.source is not TagSource.MODEL if judged is None else (asset, given.term) in judged
    if not was_judged:
        proposals.forget_judgement(x.tx, asset, term)
    AddTag(asset, term, given.source, given.confidence, Origin(given.processor, given.model)).apply(x)


def propose_again(x: Execution, asset: AssetId, term: TermId, proposed: Proposal) -> None:
    origin = Origin(proposed.processor, proposed.model)
    proposals.propose(x.tx, asset, term, origin, proposed.confidence, x.at_ns)
    x.changes.record("proposed", predicates.proposed_facets(term), asset=asset, names=(known(x, asset).name,))


def _untag(x: Execution, change: Told) -> None:
    """From that very term; a model's word that the tag replaced holds again."""
    id_, term = asset_of(change), term_named(x, str(change.detail["term"]))
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
        give(x, asset_of(change), term, each, _judged(change))


def _tag_many_again(x: Execution, change: Told) -> None:
    for asset, given in given_to_many(change):
        found = term_names.resolve(x.tx, given.term)
        term = DefineTerm(given.term).apply(x) if found is None else found.id
        with suppress(NotFound):  # it expired meanwhile
            give(x, asset, term, given, _judged(change))


def _judged(change: Told) -> Judged | None:
    rows = change.detail.get("judged")
    return None if rows is None else frozenset(msgspec.convert(rows, list[tuple[AssetId, str]]))


def _suggest_again(x: Execution, change: Told) -> None:
    id_, term = asset_of(change), term_named(x, str(change.detail["term"]))
    proposals.forget_judgement(x.tx, id_, term)
    proposed = change.detail["proposed"]
    if proposed is not None:
        propose_again(x, id_, term, msgspec.convert(proposed, Proposal))


def _rename_back(x: Execution, change: Told) -> None:
    asset = known(x, asset_of(change))
    old, new = str(change.detail["before"]), change.detail["name"]
    if asset.name != new:
        raise Refused(f"{new} has another name now: {asset.name}")
    Rename(asset.id, old).apply(x)


def _rate_back(x: Execution, change: Told) -> None:
    id_, given, before = asset_of(change), change.detail["rating"], change.detail["before"]
    if remarks.remark(x.tx, id_).rating != given:
        raise Refused(f"{known(x, id_).name} is rated otherwise now")
    SetRating(id_, int(str(before))).apply(x)


def _comment_back(x: Execution, change: Told) -> None:
    id_ = asset_of(change)
    if remarks.remark(x.tx, id_).comment != change.detail["comment"]:
        raise Refused(f"{known(x, id_).name} has another comment now")
    SetComment(id_, str(change.detail["before"])).apply(x)


def _mark_back(x: Execution, change: Told) -> None:
    """A label or the like: an attribute that people see."""
    id_, name, before = asset_of(change), str(change.detail["attribute"]).encode(), change.detail["before"]
    if (remarks.attribute(x.tx, id_, name) or b"").decode() != change.detail["now"]:
        raise Refused(f"{known(x, id_).name} has another {name.decode()} now")
    (SetAttribute(id_, name, str(before).encode()) if before else RemoveAttribute(id_, name)).apply(x)


def _given(change: Told) -> list[GivenTag]:
    return msgspec.convert(change.detail.get("before", []), list[GivenTag])


INVERSES: dict[str, Callable[[Execution, Told], str | None]] = {
    "tagged": _untag,
    "term-defined": undoing_terms.remove_term,
    "untagged": _tag_again,
    UNTAGGED_MANY: _tag_many_again,
    "term-removed": undoing_terms.define_again,
    "trashed": lambda x, change: Restore(asset_of(change)).apply(x),
    "restored": lambda x, change: Trash(asset_of(change)).apply(x),
    "renamed": _rename_back,
    "rated": _rate_back,
    "commented": _comment_back,
    "triaged": lambda x, change: Untriage(asset_of(change)).apply(x),
    "untriaged": lambda x, change: Triage(asset_of(change)).apply(x),
    "term-renamed": undoing_terms.rename_term_back,
    "refused": _suggest_again,
    MOVED: undoing_terms.tags_back,
    MERGED_TERMS: undoing_terms.unmerge,
    LABELLED: undoing_terms.label_back,
    DESCRIBED: undoing_terms.describe_back,
    IMPORTED: undoing_terms.import_back,
    "search-saved": undoing_terms.forget_again,
    "search-forgotten": undoing_terms.save_again,
    ATTRIBUTE: _mark_back,
}
"""Each raises a damfs error where nothing can be taken back, and may answer with why some of it stays."""
