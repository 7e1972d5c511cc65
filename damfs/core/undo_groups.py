"""What a person did last, group by group: what an undo takes back as one.

A group is what was done at once or in a burst: by the same actor, of the same sort, with gaps of at most two seconds.
`rm -r by-tag/beach` over a thousand assets is one; so is all that has the name of one group (`Library.new_group`),
however long it took and whatever was done in between. Computed from the change feed: for reader threads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice

import msgspec

from damfs.catalog import change_feed
from damfs.catalog.change_feed import GROUP, Told
from damfs.catalog.database import Connection
from damfs.catalog.merging import TAGGED, Carried
from damfs.catalog.vocabulary import GivenTag
from damfs.core.bulk_tagging import UNTAGGED_MANY
from damfs.core.describing import ATTRIBUTE
from damfs.core.importing_terms import IMPORTED, Taken
from damfs.core.merging_terms import MERGED as MERGED_TERMS
from damfs.core.merging_terms import MOVED
from damfs.core.term_commands import DESCRIBED, LABELLED
from damfs.model import AssetId, Facts, Seq
from damfs.storage.droppings import is_temporary

ACTOR = "undo"
PEOPLE = ("fuse", "cli")
"""Actors that do what a person does."""
RECEPTION = "reception"
UNDONE, MERGED = "undone", "merged"
MERGE = "merge"
"""A merge of terms moves tags and narrower terms as well: all of that is one thing."""
AT_ONCE = 100
"""So much of a group is taken back in one transaction."""
GAP_NS = 2_000_000_000
PAGE = 1000
SORTS = {
    UNTAGGED_MANY: "untag",
    "tagged": "tag", "term-defined": "tag", "untagged": "untag", "term-removed": "untag", "trashed": "trash",
    "restored": "restore", "renamed": "rename", "rated": "rate", "commented": "comment",
    "triaged": "triage", "untriaged": "untriage", "term-renamed": "term",
    "refused": "refuse", MOVED: MERGE, MERGED_TERMS: MERGE, LABELLED: "label", DESCRIBED: "describe",
    "search-saved": "search", "search-forgotten": "search", IMPORTED: "import", ATTRIBUTE: "mark",
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
    DESCRIBED: ("description of a term", "descriptions of terms"), ATTRIBUTE: ("label", "labels"),
    "search-saved": ("search kept", "searches kept"), "search-forgotten": ("search forgotten", "searches forgotten"),
    IMPORTED: ("thing imported into the vocabulary", "things imported into the vocabulary"),
}  # fmt: skip


@dataclass(slots=True)
class Group:
    """``changes``: latest first."""

    actor: str
    sorts: frozenset[str]
    name: str = ""
    """See `Library.new_group`."""
    changes: list[Told] = field(default_factory=list)

    @property
    def at_ns(self) -> int:
        return self.changes[0].at_ns

    def words(self) -> str:
        counts: Counter[str] = Counter()
        for change in reversed(self.changes):
            counts["untagged" if change.kind == UNTAGGED_MANY else change.kind] += number(change)
        told = [f"{count:,} {WORDS[kind][count > 1]}" for kind, count in counts.items() if count]
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
    undone: list[Facts] = []
    merged: dict[AssetId, Facts] = {}
    for change in _backwards(connection, actors):
        if change.kind == UNDONE:
            undone.append(change.detail)
        elif change.kind == MERGED:
            merged[asset_of(change)] = change.detail
        elif not _is_among(change, undone) and not _stays(change):
            yield from _followed(change, merged)


def _stays(change: Told) -> bool:
    if change.kind == IMPORTED:
        return msgspec.convert(change.detail, Taken).size == 0  # it ends one, or an older version told too little
    if change.kind == ATTRIBUTE:
        return "before" not in change.detail
    return change.kind == "renamed" and _stays_renamed(change)


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


def _is_among(change: Told, undone: list[Facts]) -> bool:
    return any(_is_of(change, each) for each in undone)


def _is_of(change: Told, undone: Facts) -> bool:
    first, last = undone.get("first"), undone.get("last")
    between = isinstance(first, int) and isinstance(last, int) and first <= change.seq <= last
    return between and undone.get("actor") == change.actor and undone.get("name", "") == _name(change)


def _name(change: Told) -> str:
    """Of its group; '' where that goes by time."""
    return str(change.detail.get(GROUP, ""))


def _backwards(connection: Connection, actors: Sequence[str]) -> Iterator[Told]:
    before = Seq(change_feed.last_seq(connection) + 1)
    while page := change_feed.list_told(connection, before, (*actors, ACTOR, RECEPTION), KINDS, PAGE):
        yield from (change for change in page if change.actor in actors or change.kind in {UNDONE, MERGED})
        before = page[-1].seq


def _transactions(changes: Iterator[Told]) -> Iterator[list[Told]]:
    """Those of one moment, actor and group were one transaction."""
    current: list[Told] = []
    for change in changes:
        if current and _moment(change) != _moment(current[0]):
            yield current
            current = []
        current.append(change)
    if current:
        yield current


def _moment(change: Told) -> tuple[int, str, str]:
    return change.at_ns, change.actor, _name(change)


def _together(transactions: Iterator[list[Told]]) -> Iterator[list[Told]]:
    """Those of a named group as one, where its last is."""
    while (changes := next(transactions, None)) is not None:
        name = _name(changes[0])
        if name:
            between: list[list[Told]] = []
            for earlier in transactions:
                if _name(earlier[0]) == name:
                    changes += earlier
                    continue
                between.append(earlier)
                if earlier[0].seq < change_feed.first_of_group(name):
                    break
            transactions = chain(between, transactions)
        yield changes


def _groups(transactions: Iterator[list[Told]]) -> Iterator[Group]:
    group: Group | None = None
    for changes in _together(transactions):
        sorts, name = frozenset(SORTS[change.kind] for change in changes), _name(changes[0])
        sorts = frozenset({MERGE}) if MERGE in sorts else sorts
        if group is not None and not _goes_on(group, changes, sorts):
            yield group
            group = None
        group = group or Group(changes[0].actor, sorts, name)
        group.changes += changes
    if group is not None:
        yield group


def _goes_on(group: Group, earlier: list[Told], sorts: frozenset[str]) -> bool:
    gap = group.changes[-1].at_ns - earlier[0].at_ns
    named = group.name or _name(earlier[0])
    return not named and (group.actor, group.sorts) == (earlier[0].actor, sorts) and gap <= GAP_NS


def asset_of(change: Told) -> AssetId:
    assert change.asset is not None
    return change.asset


def number(change: Told) -> int:
    if change.kind == IMPORTED:
        return msgspec.convert(change.detail, Taken).size
    if change.kind == MOVED:
        rows = msgspec.convert(change.detail["moved"], list[Carried])
        return sum(row.table == TAGGED for row in rows)
    return len(given_to_many(change)) if change.kind == UNTAGGED_MANY else 1


def given_to_many(change: Told) -> list[tuple[AssetId, GivenTag]]:
    rows = msgspec.convert(change.detail.get("before", []), list[list[object]])
    return [(AssetId(int(str(asset))), msgspec.convert(given, GivenTag)) for asset, *given in rows]


def parts(group: Group) -> Iterator[Group]:
    """Whole transactions together, as long as they are small."""
    part, size = Group(group.actor, group.sorts, group.name), 0
    for changes in _transactions(iter(group.changes)):
        own = sum(map(number, changes))
        if part.changes and size + own > AT_ONCE:
            yield part
            part, size = Group(group.actor, group.sorts, group.name), 0
        part.changes += changes
        size += own
    yield part
