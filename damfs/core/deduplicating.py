"""Keeps one copy of a group of duplicates: what people said of the others is said of it, then these go to the trash.

Nothing is deleted: the trash keeps the bytes, `damfs undo` takes it back. Concurrency: on the loop, reading and hashing
in threads, looking closely in a program of its own; what was true before is looked at again in the step that commits.
Crash rule: a group is one transaction, what is said and the trash; files are settled after it, as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import replace
from functools import partial

from damfs.catalog import derived, remarks, stores, versions, vocabulary
from damfs.catalog.database import Connection
from damfs.catalog.duplicates import Member, Pair
from damfs.core import duplicate_groups
from damfs.core.bursts import Recording, are_two
from damfs.core.close_looks import objections
from damfs.core.commands import AddTag, Command, Trash
from damfs.core.dedupe_report import Copy, DedupeReport, Suggestion
from damfs.core.describing import SetAttribute, SetComment, SetRating
from damfs.core.duplicate_groups import Group, Sort, reason_of
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.trashing import settle
from damfs.errors import DamfsError, Unavailable
from damfs.model import AssetId, AssetState, CopyState
from damfs.model import Copy as FileCopy

ACTOR = "cli"
CERTAIN = {"the same picture": 0.2, "the same film": 0.1}
"""Reasons that let a file go, and the largest distance; pictures are then looked at closely as well."""
Report = Callable[[int, int], None]


async def dedupe(
    library: Library, reception: Reception, sorts: Sequence[Sort], *, apply: bool, report: Report = lambda _, __: None
) -> DedupeReport:
    """Show the groups of these sorts; with ``apply`` also act on them: what looks alike is asked for when the same
    bytes were merged, so that nothing that was said of them is lost on the way."""
    summary = DedupeReport(applied=apply)
    for sort in (each for each in Sort if each in sorts):
        groups = await library.db.read(partial(_groups, sort=sort))
        found = await library.db.read(partial(_suggestions, groups=groups))
        if apply:
            found = await _apply(library, reception, list(zip(groups, found, strict=True)), summary, report)
        summary.groups += found
    return summary


def _groups(connection: Connection, sort: Sort) -> list[Group]:
    listed = duplicate_groups.list_exact if sort is Sort.EXACT else duplicate_groups.list_near
    return [group for group in listed(connection) if len(group.members) > 1]


def _suggestions(connection: Connection, groups: Sequence[Group]) -> list[Suggestion]:
    return [suggestion(connection, group) for group in groups]


def suggestion(connection: Connection, group: Group) -> Suggestion:
    best, *others = group.members
    return Suggestion(group.sort, _copy(connection, group, best), [_copy(connection, group, each) for each in others])


def _copy(connection: Connection, group: Group, member: Member) -> Copy:
    distance, reason = reason_of(group, member)
    names = {store.id: store.name for store in stores.all_stores(connection)}
    places = [
        f"originals/{names[copy.store]}/{stores.key_of(connection, copy.folder, copy.name).decode('utf-8', 'replace')}"
        for copy in stores.copies_of_asset(connection, member.asset)
        if copy.blob == member.blob and copy.state is CopyState.PRESENT
    ]
    return Copy(
        member.asset, member.name, member.size, reason, distance, is_superfluous(connection, group, member), places
    )


def is_superfluous(connection: Connection, group: Group, member: Member) -> bool:
    """Whether the best of the group seems to show all that it shows: the same bytes, the same picture, a part of the
    film. Crops, turned ones and two of one scene are for a person to judge; so is what was recorded apart, and what
    has been something else: its earlier versions would go with it."""
    best = group.members[0]
    if len(versions.of_asset(connection, member.asset)) > 1:
        return False
    if member.asset == best.asset or member.blob == best.blob:
        return member.asset != best.asset
    pair = group.pair(best.blob, member.blob)
    return (
        pair is not None
        and _is_certain(pair)
        and not are_two(*(_recording(connection, each) for each in (best, member)))
    )


def _is_certain(pair: Pair) -> bool:
    film = pair.reason.startswith("the same film")
    return (film or pair.reason == "the same picture") and pair.distance <= CERTAIN[
        "the same film" if film else pair.reason
    ]


def _recording(connection: Connection, member: Member) -> Recording:
    return Recording(member.name, derived.facts_of(connection, member.blob).get("probe", {}))


async def _apply(
    library: Library,
    reception: Reception,
    groups: Sequence[tuple[Group, Suggestion]],
    summary: DedupeReport,
    report: Report,
) -> list[Suggestion]:
    """Group by group, so that what people do meanwhile is seen. The groups as it was done."""
    shown = []
    for done, (group, suggested) in enumerate(groups):
        report(done, len(groups))
        moved: frozenset[AssetId] = frozenset()
        try:
            moved = await _merge(library, reception, group, {copy.asset for copy in suggested.others if copy.moves})
        except DamfsError as error:
            summary.problems.append(str(error))
        summary.moved += len(moved)
        others = [replace(copy, moves=copy.asset in moved) for copy in suggested.others]
        shown.append(replace(suggested, others=others))
    report(len(groups), len(groups))
    return shown


async def _merge(library: Library, reception: Reception, group: Group, wanted: Set[int]) -> frozenset[AssetId]:
    """What went to the trash."""
    kept, *others = group.members
    superfluous = [each for each in others if each.asset in wanted]
    unlike = await objections(library, kept, [each for each in superfluous if _is_looked_at(group, each)])
    superfluous = [each for each in superfluous if each.asset not in unlike]
    if not superfluous:
        return frozenset()
    proof = await _prove(library, reception, kept)
    _commit(library, kept, proof, superfluous)
    moved = [each.asset for each in superfluous]
    await settle(library, moved)
    return frozenset(moved)


def _is_looked_at(group: Group, member: Member) -> bool:
    """Films are not: their marks say more than one picture of each would."""
    pair = group.pair(group.members[0].blob, member.blob)
    return member.blob != group.members[0].blob and pair is not None and pair.reason == "the same picture"


def _commit(library: Library, kept: Member, proof: FileCopy, superfluous: Sequence[Member]) -> None:
    """Must not wait for anything: what it looks at is what is changed. Raises Unavailable."""
    for member in (kept, *superfluous):
        asset = library.asset(member.asset)
        later = versions.of_asset(library.db.writer, member.asset)[1:] if member is not kept else ()
        if asset is None or asset.state is not AssetState.PRESENT or asset.blob != member.blob or later:
            raise Unavailable(
                f"{member.name}: it was moved, removed or changed meanwhile; nothing of its group was done"
            )
    if proof.id not in {copy.id for copy in library.sources(kept.blob, kept.asset)}:
        raise Unavailable(f"{kept.name}: its file went away meanwhile; nothing of its group was done")
    moved = [member.asset for member in superfluous]
    commands = _merged(library.db.writer, kept.asset, moved)
    library.execute([*commands, *(Trash(id_) for id_ in moved)], ACTOR, durable=True)


async def _prove(library: Library, reception: Reception, kept: Member) -> FileCopy:
    """A file of the asset itself, not just of its bytes, was read just now and is good. Raises Unavailable."""
    own = [copy for copy in library.sources(kept.blob, kept.asset) if copy.asset == kept.asset]
    good = await reception.verified(own, stores.digest_of(library.db.writer, kept.blob))
    if good is None:
        raise Unavailable(
            f"{kept.name}: the best copy of its group cannot be read whole; its others stay where they are"
        )
    return good


def _merged(connection: Connection, kept: AssetId, others: Sequence[AssetId]) -> list[Command[object]]:
    """What people said of the others, as far as nothing else was said of the kept one."""
    commands: list[Command[object]] = []
    rating, comment = remarks.remark(connection, kept)
    known = set(remarks.attribute_names(connection, kept))
    for other in others:
        for term in vocabulary.tagged_terms(connection, other):
            tagging = vocabulary.tagging(connection, other, term.id)
            commands.append(AddTag(kept, term.id, tagging.source, tagging.confidence, tagging.origin))
        theirs = remarks.remark(connection, other)
        rating = max(rating, theirs.rating)
        if theirs.comment and theirs.comment not in comment:
            comment = f"{comment}\n{theirs.comment}" if comment else theirs.comment
        for name in remarks.attribute_names(connection, other):
            value = remarks.attribute(connection, other, name)
            if name not in known and value is not None:
                known.add(name)
                commands.append(SetAttribute(kept, name, value))
    return [*commands, SetRating(kept, rating), SetComment(kept, comment)]
