"""duplicates/exact/<group>/: the same bytes under several names or in several places; duplicates/near/<group>/: what
looks alike. A group is called after its first file and keeps that name; why.txt in it says what belongs together why.

Read-only: whoever wants to be rid of one asks `damfs dedupe`, or removes it where it lies.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from damfs.catalog import change_feed, predicates
from damfs.catalog.database import Connection
from damfs.catalog.predicates import Everything
from damfs.catalog.query import Query
from damfs.core import duplicate_groups
from damfs.core.asset_names import is_text, split_ending
from damfs.core.duplicate_groups import DUPLICATES_FACET, Group, Sort
from damfs.core.library import Library
from damfs.core.search_answer import Answer, Told
from damfs.model import AssetId, BlobId, Facet, Seq
from damfs.presentation.views.names import qualified, qualifiers, shown_names
from damfs.presentation.views.view import (
    READ_DIRECTORY,
    READ_FILE,
    WRITE_DIRECTORY,
    Entries,
    Entry,
    Place,
    Thing,
    ThingKind,
    View,
)

WHY = "why.txt"
KEPT = 64
SORTS = tuple(Sort)


class Duplicates(View):
    name = "duplicates"
    place_kind = 27
    slow_lookup = True
    live = False

    def __init__(self, library: Library) -> None:
        super().__init__(library)
        self._lock = threading.Lock()
        self._told: dict[int, tuple[Seq, Entry]] = {}
        """why.txt of the groups that were listed last, each with the last change that it knows of."""

    def lookup(self, connection: Connection, place: Place, name: str) -> Entry | None:
        if place.id is not None:
            return self._file(connection, place, name)
        if not place.path:
            return self._sort(name) if name in SORTS else None
        if not is_text(name):
            return None
        for id_ in qualifiers(name):
            group = _group(connection, Sort(place.path[0]), BlobId(id_), ranked=False)
            if group is not None and _name(group) == name:
                return self._directory(group)
        return None

    def list(self, connection: Connection, place: Place) -> list[Entry]:
        if place.id is not None:
            return self._files(connection, place)
        if not place.path:
            return [self._sort(sort) for sort in SORTS]
        listing = duplicate_groups.list_exact if place.path[0] == Sort.EXACT else duplicate_groups.list_near
        return [self._directory(group) for group in listing(connection, ranked=False)]

    def _file(self, connection: Connection, place: Place, name: str) -> Entry | None:
        """Without what costs more the more was said of the files; why.txt says it all."""
        assert place.id is not None
        if name == WHY:
            seq, entry = self._told.get(place.id, (None, None))
            is_current = seq == change_feed.last_seq(connection)
            return entry if is_current else next(iter(self._files(connection, place)), None)
        group = _group(connection, *_meant(place.id), ranked=False)
        return None if group is None else next((each for each in _entries(group) if each.name == name), None)

    def _files(self, connection: Connection, place: Place) -> Entries:
        assert place.id is not None
        sort, blob = _meant(place.id)
        group = _group(connection, sort, blob)
        if group is None:
            return []
        reasons = {member.asset: duplicate_groups.reason_of(group, member) for member in group.members}
        told = {asset: Told(1 - distance, reason) for asset, (distance, reason) in reasons.items()}
        self.library.shown.note(GroupAnswer(Query(Everything()), [], told_of=told), list(told))
        text = duplicate_groups.explained(connection, group)
        thing = Thing(ThingKind.TEXT, self.library.complaints.add(text))
        why = Entry(WHY, thing, len(text.encode("utf-8", "backslashreplace")), self.library.made_ns, READ_FILE)
        with self._lock:
            while len(self._told) >= KEPT:
                self._told.pop(next(iter(self._told)))
            self._told[place.id] = (change_feed.last_seq(connection), why)
        return [why, *_entries(group)]

    def path(self, connection: Connection, place: Place) -> tuple[str, ...] | None:
        if place.id is None:
            return place.path
        sort, blob = _meant(place.id)
        group = _group(connection, sort, blob)
        return None if group is None else (sort, _name(group))

    def facets(self, connection: Connection, place: Place) -> frozenset[Facet]:
        return frozenset({predicates.ALL_FACET, DUPLICATES_FACET})

    def mode(self, place: Place) -> int:
        return READ_DIRECTORY if place.id is None else WRITE_DIRECTORY  # files can be moved into the trash

    def _sort(self, sort: str) -> Entry:
        return Entry(sort, Place(self.name, (sort,)), 0, 0, READ_DIRECTORY)

    def _directory(self, group: Group) -> Entry:
        return Entry(_name(group), self.place_of(group.id * 2 + SORTS.index(group.sort)), 0, 0, WRITE_DIRECTORY)


@dataclass(frozen=True, slots=True)
class GroupAnswer(Answer):
    """What user.damfs.score and user.damfs.why say of the files of a group."""

    told_of: dict[AssetId, Told] = field(default_factory=dict)

    def told(self, connection: Connection, asset: AssetId) -> Told | None:
        return self.told_of.get(asset)


def _meant(id_: int) -> tuple[Sort, BlobId]:
    return SORTS[id_ % 2], BlobId(id_ // 2)


def _group(connection: Connection, sort: Sort, blob: BlobId, *, ranked: bool = True) -> Group | None:
    """Not ``ranked``: members by their ids, which costs less."""
    found = duplicate_groups.exact if sort is Sort.EXACT else duplicate_groups.near
    return found(connection, blob, ranked=ranked)


def _name(group: Group) -> str:
    """After the first of its assets, so that it stays when a better one comes."""
    first = min(group.members, key=lambda member: member.asset)
    return qualified(split_ending(first.name)[0], AssetId(group.id))


def _entries(group: Group) -> list[Entry]:
    rows = sorted(group.members, key=lambda member: member.asset)
    names = shown_names([row.asset for row in rows], [row.name for row in rows], frozenset({WHY}))
    return [
        Entry(name, Thing(ThingKind.ASSET, row.asset), row.size, row.mtime_ns, row.mode)
        for name, row in zip(names, rows, strict=True)
    ]
