"""Which assets a change speaks of that names none: a term was renamed, moved, merged, or taken away from many.

Reads only, of many rows: for a reader thread. Crash rule: nothing is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from damfs.catalog import vocabulary
from damfs.catalog.database import Connection
from damfs.core.bulk_tagging import UNTAGGED_MANY
from damfs.core.importing_terms import IMPORTED, Moved
from damfs.core.merging_terms import MOVED
from damfs.model import AssetId, Change, TermId

RENAMED = "term-renamed"
SAID = frozenset({"tagged", "untagged", "rated", "commented", "attribute-changed", "retagged"})
"""Changes of one asset that may have to be written."""
TOLD_TOGETHER = frozenset({RENAMED, MOVED, UNTAGGED_MANY, IMPORTED})


def spoken_of(changes: Sequence[Change], connection: Connection) -> set[AssetId]:
    """The assets of which other tags, or tags by another name, are said after these changes."""
    ids = {id_ for change in changes for id_ in assets_told(change)}
    terms = {term for change in changes for term in _terms(connection, change)}
    return ids | (set(vocabulary.some_carriers(connection, tuple(terms), -1)) if terms else set())


def assets_told(change: Change) -> Iterable[AssetId]:
    """Assets of the rows that a change of many keeps so that it can be taken back: see `RemoveTags` and `MoveTags`."""
    if change.kind not in {UNTAGGED_MANY, MOVED}:
        return ()
    key, column = ("before", 0) if change.kind == UNTAGGED_MANY else ("moved", 1)
    rows = change.detail.get(key)
    return [AssetId(int(row[column])) for row in rows] if isinstance(rows, list) else []


def _terms(connection: Connection, change: Change) -> Iterable[TermId]:
    """Terms whose carriers are meant, where the change does not tell the assets themselves."""
    if change.kind == RENAMED:  # what is narrower is written with the name of what is above it
        term = vocabulary.term_named(connection, change.names[-1])
        return () if term is None else vocabulary.with_narrower(connection, term.id)
    if change.kind == IMPORTED:
        moved = msgspec.convert(change.detail.get("moved", []), list[Moved])
        return [below for each in moved for below in vocabulary.with_narrower(connection, each.term)]
    return terms_moved_back(change)


def terms_moved_back(change: Change) -> Iterable[TermId]:
    """Of a merge that was taken back."""
    if change.kind != MOVED or "moved" in change.detail:
        return ()
    facets = (facet.partition(":") for facet in change.facets)
    return [TermId(int(number)) for kind, _, number in facets if kind == "tag" and number.isdigit()]
