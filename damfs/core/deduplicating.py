"""Keeps one copy of a group of duplicates: what people said of the others is said of it, then these go to the trash.

Nothing is deleted: the trash keeps the bytes, `damfs undo` takes it back. Concurrency: on the loop, reading and hashing
in threads, looking closely in a program of its own; what was true before is looked at again in the step that commits.
Crash rule: a group is one transaction, what is said and the trash; files are settled after it, as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from damfs.catalog import proposals, remarks, stores, versions, vocabulary
from damfs.catalog.database import Connection
from damfs.catalog.duplicates import Member, Pair
from damfs.core import duplicate_groups
from damfs.core.bursts import Recording, are_two
from damfs.core.close_looks import objections
from damfs.core.commands import AddTag, Command, Trash
from damfs.core.copy_coding import doubts
from damfs.core.copy_worth import advantages
from damfs.core.dedupe_report import Copy, DedupeReport, Suggestion
from damfs.core.describing import SetAttribute, SetComment, SetRating
from damfs.core.duplicate_groups import Group, Sort, reason_of
from damfs.core.good_copies import GoodCopy, still
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.suggesting import RefuseAsWell
from damfs.core.trashing import settle
from damfs.errors import DamfsError, Unavailable
from damfs.model import AssetId, AssetState, BlobId, CopyState, Facts, TagSource
from damfs.model import Copy as FileCopy

ACTOR = "cli"
FILM = "the same film"
CERTAIN = {"the same picture": 0.2, FILM: 0.2}
"""Reasons that let a file go, and the largest distance; both are then looked at closely."""
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
    fates = fates_of(connection, group)
    return Suggestion(
        group.sort, _copy(connection, group, best, Fate()),
        [_copy(connection, group, each, fates[each.asset]) for each in others],
    )  # fmt: skip


def _copy(connection: Connection, group: Group, member: Member, fate: Fate) -> Copy:
    distance, reason = reason_of(group, member, fate.beside)
    names = {store.id: store.name for store in stores.all_stores(connection)}
    places = [
        f"originals/{names[copy.store]}/{stores.key_of(connection, copy.folder, copy.name).decode('utf-8', 'replace')}"
        for copy in stores.copies_of_asset(connection, member.asset)
        if copy.blob == member.blob and copy.state is CopyState.PRESENT
    ]
    into = None if fate.into is None else fate.into.asset
    if_equal = fate.into is not None and fate.into.blob != member.blob
    return Copy(
        member.asset, member.name, member.size, reason, distance, into is not None, places, into, if_equal, fate.left
    )


@dataclass(frozen=True, slots=True)
class Fate:
    """What is to become of a member of a group."""

    into: Member | None = None
    """Which one seems to show all that it shows, and is kept in its place; None: it stays."""
    beside: Member | None = None
    """What it was compared with; None: the best one."""
    left: str = ""
    """Why it stays beside that."""


def fates_of(connection: Connection, group: Group) -> dict[AssetId, Fate]:
    """Of all members. The best one stays; so does every other of which none that stays seems to show all: the same
    bytes, the same picture, (a part of) the same film, and nothing in which it is the better one. Crops, turned ones
    and two of one scene are for a person to judge."""
    probes, kept = duplicate_groups.probes_of(connection, group.members), list[Member]()
    fates: dict[AssetId, Fate] = {}
    for member in group.members:
        found = [_fate(connection, group, member, each, probes) for each in kept]
        fates[member.asset] = next(
            (fate for fate in found if fate.into), next((fate for fate in found if fate.left), Fate())
        )
        if fates[member.asset].into is None:
            kept.append(member)
    return fates


def _fate(connection: Connection, group: Group, member: Member, kept: Member, probes: Mapping[BlobId, Facts]) -> Fate:
    is_like = member.blob == kept.blob or _seems_one(group, member, kept, probes)
    if not is_like:
        return Fate()
    better = [] if member.blob == kept.blob else _better(member, kept, probes)
    if len(versions.of_asset(connection, member.asset)) > 1:
        better.append("it has earlier versions, which would go with it")
    if better:
        return Fate(beside=kept, left=", ".join(better))
    return Fate(into=kept, beside=kept)


def _better(member: Member, kept: Member, probes: Mapping[BlobId, Facts]) -> list[str]:
    found = advantages(probes[member.blob], probes[kept.blob])
    return [*found, *doubts(*(duplicate_groups.held(each, probes) for each in (member, kept)))]


def _seems_one(group: Group, member: Member, kept: Member, probes: Mapping[BlobId, Facts]) -> bool:
    pair = group.pair(kept.blob, member.blob)
    recordings = [Recording(each.name, probes[each.blob]) for each in (kept, member)]
    return pair is not None and _is_certain(pair) and not are_two(recordings[0], recordings[1])


def _is_certain(pair: Pair) -> bool:
    reason = FILM if _is_film(pair) else pair.reason
    return reason in CERTAIN and pair.distance <= CERTAIN[reason]


def _is_film(pair: Pair | None) -> bool:
    return pair is not None and pair.reason.startswith(FILM)


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
        others = {copy.asset: copy for copy in suggested.others}
        for kept in group.members:
            wanted = [each for each in group.members if each.asset in others and others[each.asset].into == kept.asset]
            try:
                unlike = await _merge(library, reception, group, kept, wanted)
            except DamfsError as error:
                summary.problems.append(str(error))
                unlike = {each.asset: "see below" for each in wanted}
            summary.moved += len(wanted) - len(unlike)
            others |= {id_: replace(others[id_], moves=False, into=None, left=why) for id_, why in unlike.items()}
        shown.append(replace(suggested, others=[replace(each, if_equal=False) for each in others.values()]))
    report(len(groups), len(groups))
    return shown


async def _merge(
    library: Library, reception: Reception, group: Group, kept: Member, wanted: Sequence[Member]
) -> dict[int, str]:
    """Puts what is wanted into the trash, but for what this answers, with the reasons."""
    pictures, films = _looked_at(group, kept, wanted)
    unlike = await objections(library, kept, pictures, films)
    superfluous = [each for each in wanted if each.asset not in unlike]
    if superfluous:
        proof = await _prove(library, reception, kept)
        async with library.publishing.alone():
            if await still(library, proof) is None:
                raise Unavailable(
                    f"{kept.name}: its file was changed or went away meanwhile; nothing of its group was done"
                )
            _commit(library, kept, proof.copy, superfluous)
        await settle(library, [each.asset for each in superfluous])
    return {int(id_): why for id_, why in unlike.items()}


def _looked_at(group: Group, kept: Member, wanted: Sequence[Member]) -> tuple[list[Member], list[Member]]:
    """Pictures and films that are not the same bytes."""
    others = [each for each in wanted if each.blob != kept.blob]
    films = [each for each in others if _is_film(group.pair(kept.blob, each.blob))]
    return [each for each in others if each not in films], films


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


async def _prove(library: Library, reception: Reception, kept: Member) -> GoodCopy:
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
            if tagging.source is TagSource.MODEL and proposals.is_judged(connection, kept, term.id):
                continue
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
    refused = [RefuseAsWell(kept, other) for other in others]
    return [*commands, *refused, SetRating(kept, rating), SetComment(kept, comment)]
