"""Groups of duplicates: which assets belong together, why, and which of them is the best.

The choice (`best_first`, `components`) is pure; the rest reads the catalog: `list_…` in a reader thread, the others are
bounded point reads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from damfs.catalog import derived, duplicates, remarks, stores, vocabulary
from damfs.catalog.database import Connection
from damfs.catalog.duplicates import Member, Pair
from damfs.core import copy_coding, copy_worth
from damfs.core.copy_coding import Held, Kind
from damfs.model import AssetId, BlobId, CopyState, Facet, Facts, StoreId, StoreKind

DUPLICATES_FACET = Facet("duplicates")
LARGEST = 500
"""Blobs of one group of near duplicates; what lies beyond them is a group of its own."""


class Sort(StrEnum):
    EXACT = "exact"
    NEAR = "near"


@dataclass(frozen=True, slots=True)
class Group:
    """``id``: the lowest blob. ``members``: the best one first. ``pairs``: which of its blobs look alike."""

    sort: Sort
    id: BlobId
    members: Sequence[Member]
    pairs: Sequence[Pair] = ()

    def pair(self, one: BlobId, other: BlobId) -> Pair | None:
        wanted = (min(one, other), max(one, other))
        return next((pair for pair in self.pairs if (pair.blob, pair.other) == wanted), None)


class Worth(NamedTuple):
    """What makes one copy better than another, most important first; more is better. ``pixels``, ``length``: places in
    the order of the group, the same where the difference is nothing."""

    is_raw: bool
    pixels: int
    length: int
    is_camera_file: bool
    kind: Kind
    chroma: int
    levels: int
    size: int
    in_library: bool
    """It lies in a writable store."""
    said: int
    """Tags, a rating, a comment: what people took the trouble for."""
    age: int
    """Higher is older."""


def best_first(members: Iterable[Member], worth: dict[AssetId, Worth]) -> list[Member]:
    return sorted(members, key=lambda member: worth[member.asset], reverse=True)


def components(pairs: Iterable[Pair]) -> list[set[BlobId]]:
    """What hangs together, each sorted by its lowest blob."""
    near: dict[BlobId, set[BlobId]] = defaultdict(set)
    for pair in pairs:
        near[pair.blob].add(pair.other)
        near[pair.other].add(pair.blob)
    found, seen = [], set[BlobId]()

    def unseen(blob: BlobId) -> set[BlobId]:
        return near[blob] - seen

    for blob in sorted(near):
        reached = set() if blob in seen else _reached(blob, unseen)
        seen |= reached
        if len(reached) > 1:
            found.append(reached)
    return found


def _reached(start: BlobId, near: Callable[[BlobId], Iterable[BlobId]]) -> set[BlobId]:
    reached, due = {start}, [start]
    while due and len(reached) < LARGEST:
        for other in sorted(near(due.pop(0))):
            if other not in reached and len(reached) < LARGEST:
                reached.add(other)
                due.append(other)
    return reached


def list_exact(connection: Connection, *, ranked: bool = True) -> list[Group]:
    """Assets made of the same bytes, and assets with files in several places. Not ``ranked``: members by their ids,
    which costs less."""
    return [_exact(connection, blob, ranked=ranked) for blob in duplicates.list_repeated_blobs(connection)]


def list_near(connection: Connection, *, ranked: bool = True) -> list[Group]:
    pairs = duplicates.list_pairs(connection)
    by_blob: dict[BlobId, list[Pair]] = defaultdict(list)
    for pair in pairs:
        by_blob[pair.blob].append(pair)
    groups = []
    for blobs in components(pairs):
        own = [pair for blob in sorted(blobs) for pair in by_blob[blob] if pair.other in blobs]
        groups.append(_near(connection, blobs, own, ranked=ranked))
    return groups


def exact(connection: Connection, blob: BlobId, *, ranked: bool = True) -> Group | None:
    """None where the bytes are not repeated."""
    group = _exact(connection, blob, ranked=ranked)
    return group if len(group.members) > 1 or places(connection, blob, group.members) > 1 else None


def near(connection: Connection, blob: BlobId, *, ranked: bool = True) -> Group | None:
    """The group that a blob belongs to."""
    shown: dict[BlobId, bool] = {}
    pairs: dict[tuple[BlobId, BlobId], Pair] = {}

    def like(each: BlobId) -> set[BlobId]:
        found = set()
        for other, distance, reason in duplicates.near(connection, each):
            if other not in shown:
                shown[other] = bool(duplicates.members(connection, other))
            if shown[other]:
                low, high = min(each, other), max(each, other)
                pairs[low, high] = Pair(low, high, distance, reason)
                found.add(other)
        return found

    if not duplicates.members(connection, blob):
        return None
    blobs = _reached(blob, like)
    return None if len(blobs) < 2 else _near(connection, blobs, [pairs[key] for key in sorted(pairs)], ranked=ranked)


def places(connection: Connection, blob: BlobId, members: Sequence[Member]) -> int:
    """How many files of these assets have the bytes."""
    assets = {member.asset for member in members}
    copies = stores.copies_of_blob(connection, blob)
    return sum(copy.asset in assets and copy.state is CopyState.PRESENT for copy in copies)


def _exact(connection: Connection, blob: BlobId, *, ranked: bool = True) -> Group:
    members = duplicates.members(connection, blob)
    return Group(Sort.EXACT, blob, best_first(members, worth_of(connection, members)) if ranked else members)


def _near(connection: Connection, blobs: set[BlobId], pairs: Sequence[Pair], *, ranked: bool = True) -> Group:
    members = [member for blob in sorted(blobs) for member in duplicates.members(connection, blob)]
    best = best_first(members, worth_of(connection, members)) if ranked else members
    return Group(Sort.NEAR, min(blobs), best, pairs)


def worth_of(connection: Connection, members: Sequence[Member]) -> dict[AssetId, Worth]:
    writable = {store.id for store in stores.all_stores(connection) if store.kind is StoreKind.WRITABLE}
    facts = probes_of(connection, members)
    pixels = places_of(map(copy_coding.pixels, facts.values()), lambda most, each: most <= each * copy_worth.MORE)
    lengths = places_of(map(copy_worth.length, facts.values()), lambda most, each: most - each <= copy_worth.LONGER_NS)

    def worth(member: Member) -> Worth:
        probe = facts[member.blob]
        remark = remarks.remark(connection, member.asset)
        return Worth(
            copy_worth.is_raw(probe),
            pixels[copy_coding.pixels(probe)],
            lengths[copy_worth.length(probe)],
            copy_worth.is_camera_file(probe),
            copy_coding.kind(probe),
            copy_coding.chroma(probe),
            copy_coding.levels(probe),
            member.size,
            _lies_in(connection, member, writable),
            len(vocabulary.taggings(connection, member.asset)) + bool(remark.rating) + bool(remark.comment),
            -member.asset,
        )

    return {member.asset: worth(member) for member in members}


def places_of(values: Iterable[int], is_like: Callable[[int, int], bool]) -> dict[int, int]:
    """In an order in which those have one place that are like the largest of it; a higher place is better."""
    found: dict[int, int] = {}
    place, most = 0, None
    for value in sorted(set(values), reverse=True):
        if most is None or not is_like(most, value):
            place, most = place - 1, value
        found[value] = place
    return found


def _lies_in(connection: Connection, member: Member, wanted: Set[StoreId]) -> bool:
    copies = stores.copies_of_asset(connection, member.asset)
    return any(copy.store in wanted and copy.state is CopyState.PRESENT for copy in copies)


def probes_of(connection: Connection, members: Iterable[Member]) -> dict[BlobId, Facts]:
    """What the probe found of their bytes."""
    return {blob: derived.facts_by(connection, blob, "probe") for blob in {each.blob for each in members}}


def held(member: Member, probes: Mapping[BlobId, Facts]) -> Held:
    return Held(probes[member.blob], member.size, member.mtime_ns)


def reason_of(group: Group, member: Member, beside: Member | None = None) -> tuple[float, str]:
    """Distance to the best one of its group (or ``beside``), and why it is in it."""
    best = group.members[0] if beside is None else beside
    if member.asset == best.asset:
        return 0.0, "the best of its group"
    if group.sort is Sort.EXACT or member.blob == best.blob:
        return 0.0, f"the same bytes as {best.name}"
    pair = group.pair(best.blob, member.blob)
    if pair is not None:
        return pair.distance, f"{pair.reason} ({best.name})"
    names = {each.blob: each.name for each in group.members}
    linked = [each for each in group.pairs if member.blob in {each.blob, each.other}]
    closest = min(linked, key=lambda each: each.distance)
    other = closest.blob if closest.other == member.blob else closest.other
    return closest.distance, f"{closest.reason} ({names[other]})"


def explained(connection: Connection, group: Group) -> str:
    """``why.txt`` of a group: each file, why it is in it, and where its bytes lie."""
    names = {store.id: store.name for store in stores.all_stores(connection)}
    lines = []
    for member in group.members:
        distance, reason = reason_of(group, member)
        lines.append(f"{member.name}: {reason}; distance {distance:.3f}")
        for copy in stores.copies_of_asset(connection, member.asset):
            if copy.blob == member.blob and copy.state is CopyState.PRESENT:
                key = stores.key_of(connection, copy.folder, copy.name).decode("utf-8", "replace")
                lines.append(f"  originals/{names[copy.store]}/{key}")
    return "\n".join(lines) + "\n"
