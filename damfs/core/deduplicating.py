"""Keeps one copy of a group of duplicates: what people said of the others is said of it, then these go to the trash.

Nothing is deleted: the trash keeps the bytes, `damfs undo` takes all of a run back. Concurrency: on the loop, reading
and hashing in threads. Crash rule: what is said and the trash are one transaction; files are settled after it, as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from damfs.catalog import remarks, stores, vocabulary
from damfs.catalog.database import Connection
from damfs.catalog.duplicates import Member
from damfs.core import duplicate_groups
from damfs.core.commands import AddTag, Command, Trash
from damfs.core.dedupe_report import Copy, DedupeReport, Suggestion
from damfs.core.describing import SetAttribute, SetComment, SetRating
from damfs.core.duplicate_groups import WHOLE_REASONS, Group, Sort, reason_of
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.trashing import settle
from damfs.errors import DamfsError, Unavailable
from damfs.model import AssetId, AssetState, CopyState

ACTOR = "cli"
AT_ONCE = 500
"""Files of one transaction, and so of one undo."""
Report = Callable[[int, int], None]


async def dedupe(
    library: Library, reception: Reception, sorts: Sequence[Sort], *, apply: bool, report: Report = lambda _, __: None
) -> DedupeReport:
    """Show the groups of these sorts; with ``apply`` also act on them."""
    groups = await library.db.read(lambda connection: _groups(connection, sorts))
    found = await library.db.read(lambda connection: [suggestion(connection, group) for group in groups])
    summary = DedupeReport(found, applied=apply)
    if apply:
        await _apply(library, reception, groups, summary, report)
    return summary


def _groups(connection: Connection, sorts: Sequence[Sort]) -> list[Group]:
    found: list[Group] = []
    if Sort.EXACT in sorts:
        found += duplicate_groups.list_exact(connection)
    if Sort.NEAR in sorts:
        found += duplicate_groups.list_near(connection)
    return [group for group in found if len(group.members) > 1]


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
    return Copy(member.asset, member.name, member.size, reason, distance, is_superfluous(group, member), places)


def is_superfluous(group: Group, member: Member) -> bool:
    """Whether the best of the group shows all that it shows: the same bytes, the same picture, a part of the film.
    Crops and two of one scene are for a person to judge."""
    best = group.members[0]
    if member.asset == best.asset:
        return False
    pair = None if member.blob == best.blob else group.pair(best.blob, member.blob)
    return member.blob == best.blob or (pair is not None and pair.reason.startswith(WHOLE_REASONS))


async def _apply(
    library: Library, reception: Reception, groups: Sequence[Group], summary: DedupeReport, report: Report
) -> None:
    """Every kept copy is read and hashed first; then all is done at once."""
    commands: list[Command[object]] = []
    moved: list[AssetId] = []
    for done, group in enumerate(groups):
        report(done, len(groups))
        superfluous = [each for each in group.members if each.asset not in moved and is_superfluous(group, each)]
        if not superfluous or group.members[0].asset in moved:
            continue
        try:
            await _prove(library, reception, group.members[0])
        except DamfsError as error:
            summary.problems.append(str(error))
            continue
        commands += _merged(library.db.writer, group.members[0].asset, [member.asset for member in superfluous])
        moved += [member.asset for member in superfluous]
        if len(moved) >= AT_ONCE:
            await _commit(library, commands, moved, summary)
            commands, moved = [], []
    await _commit(library, commands, moved, summary)
    report(len(groups), len(groups))


async def _commit(
    library: Library, commands: Sequence[Command[object]], moved: Sequence[AssetId], summary: DedupeReport
) -> None:
    present = [id_ for id_ in moved if (asset := library.asset(id_)) and asset.state is AssetState.PRESENT]
    if len(present) != len(moved):
        raise Unavailable(
            "a file was moved or removed while copies were read; nothing of this round was done, try again"
        )
    library.execute([*commands, *(Trash(id_) for id_ in moved)], ACTOR, durable=True)
    await settle(library, moved)
    summary.moved += len(moved)
    await trio.lowlevel.checkpoint()


async def _prove(library: Library, reception: Reception, kept: Member) -> None:
    """A file of the asset itself, not just of its bytes, was read just now and is good. Raises Unavailable."""
    own = [copy for copy in library.sources(kept.blob, kept.asset) if copy.asset == kept.asset]
    if await reception.verified(own, stores.digest_of(library.db.writer, kept.blob)) is None:
        raise Unavailable(
            f"{kept.name}: the best copy of its group cannot be read whole; its others stay where they are"
        )


def _merged(connection: Connection, kept: AssetId, others: Sequence[AssetId]) -> list[Command[object]]:
    """What people said of the others, as far as nothing else was said of the kept one."""
    commands: list[Command[object]] = []
    rating, comment = remarks.remark(connection, kept)
    known = set(remarks.attribute_names(connection, kept))
    for other in others:
        for term in vocabulary.tagged_terms(connection, other):
            tagging = vocabulary.tagging(connection, other, term.id)
            commands.append(AddTag(kept, term.id, tagging.source, tagging.confidence))
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
