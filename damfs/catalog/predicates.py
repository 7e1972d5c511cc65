"""Which assets are in a place: one object with four uses (SQL, match in Python, facets, text).

Pure. A predicate is a frozen value; listing is its SQL, lookup its SQL and a name, invalidation its facets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from damfs.model import AssetId, Facet, FolderId, Media, TermId

SqlValue = int | str | bytes
Clause = tuple[str, tuple[SqlValue, ...]]
"""A condition over the row ``a`` of the asset table, and its values."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What a predicate may ask of one asset."""

    visible: bool
    triaged: bool
    media: Media
    day: str
    terms: frozenset[TermId]
    """Terms it carries, broader ones included."""
    trashed: bool = False


class Predicate(Protocol):
    def clause(self) -> Clause:
        """What a listing selects by."""

    def row_clause(self) -> Clause:
        """The same, asked of one asset that was found otherwise: its cost does not grow with the place."""
        return self.clause()

    def match(self, asset: Traits) -> bool: ...
    def facets(self) -> frozenset[Facet]: ...
    def text(self) -> str: ...


def tag_facet(term: TermId) -> Facet:
    return Facet(f"tag:{term}")


def narrower_facet(term: TermId | None) -> Facet:
    """Touched when the terms right below this one (None: the top terms) change."""
    return Facet(f"terms:{term or 'top'}")


def day_facets(day: str) -> frozenset[Facet]:
    """Of one day: the day, its month and its year; each is a directory somewhere."""
    return frozenset(Facet(DATE_PREFIX + day[:length]) for length in (0, 4, 7, 10))


def media_facet(media: Media) -> Facet:
    return Facet(f"media:{media}")


def folder_facet(folder: FolderId) -> Facet:
    return Facet(f"folder:{folder}")


def cuts_facet(asset: AssetId) -> Facet:
    """The pieces and frames of one asset."""
    return Facet(f"cuts:{asset}")


def proxies_facet(folder: FolderId) -> Facet:
    return Facet(f"proxies:{folder}")


DATE_PREFIX = "date:"
ALL_FACET = Facet("all")
INBOX_FACET = Facet("inbox")
UNTAGGED_FACET = Facet("untagged")
STORES_FACET = Facet("stores")
TRASH_FACET = Facet("trash")
DESKTOP_TRASH_FACET = Facet("desktop-trash")
NEIGHBOURS_FACET = Facet("neighbours")
CUTS_FACET = Facet("cuts")
"""Of which assets there are pieces and frames."""
HASHES_FACET = Facet("editor-hashes")
"""Proxies that an editor finds by the hash of the original's bytes, in one directory for all."""


@dataclass(frozen=True, slots=True)
class Everything(Predicate):
    def clause(self) -> Clause:
        return "a.visible", ()

    def match(self, asset: Traits) -> bool:
        return asset.visible

    def facets(self) -> frozenset[Facet]:
        return frozenset({ALL_FACET})

    def text(self) -> str:
        return "*"


@dataclass(frozen=True, slots=True)
class HasTag(Predicate):
    """Carries the term or a narrower one. ``narrower``: the ids of all terms below, itself included."""

    term: TermId
    name: str
    narrower: tuple[TermId, ...]

    def clause(self) -> Clause:
        marks = ", ".join("?" * len(self.narrower))
        return f"a.visible AND a.id IN (SELECT asset FROM tagging WHERE term IN ({marks}))", self.narrower  # noqa: S608  # marks only

    def row_clause(self) -> Clause:
        marks = ", ".join("?" * len(self.narrower))
        return (
            f"a.visible AND EXISTS (SELECT 1 FROM tagging WHERE asset = a.id AND term IN ({marks}))",  # noqa: S608  # as above
            self.narrower,
        )

    def match(self, asset: Traits) -> bool:
        return asset.visible and self.term in asset.terms

    def facets(self) -> frozenset[Facet]:
        return frozenset({tag_facet(self.term)})

    def text(self) -> str:
        return f"tag:{self.name}"


@dataclass(frozen=True, slots=True)
class CapturedIn(Predicate):
    """``period``: 'YYYY', 'YYYY-MM' or 'YYYY-MM-DD'."""

    period: str

    def clause(self) -> Clause:
        return "a.visible AND a.day >= ? AND a.day < ?", (self.period, self.period + "~")

    def match(self, asset: Traits) -> bool:
        return asset.visible and asset.day.startswith(self.period)

    def facets(self) -> frozenset[Facet]:
        return frozenset({Facet(DATE_PREFIX + self.period)})

    def text(self) -> str:
        return f"date:{self.period}"


@dataclass(frozen=True, slots=True)
class OfMedia(Predicate):
    media: Media

    def clause(self) -> Clause:
        return "a.visible AND a.media = ?", (str(self.media),)

    def match(self, asset: Traits) -> bool:
        return asset.visible and asset.media is self.media

    def facets(self) -> frozenset[Facet]:
        return frozenset({media_facet(self.media)})

    def text(self) -> str:
        return f"type:{self.media}"


@dataclass(frozen=True, slots=True)
class InInbox(Predicate):
    def clause(self) -> Clause:
        return "a.visible AND a.triaged = 0", ()

    def match(self, asset: Traits) -> bool:
        return asset.visible and not asset.triaged

    def facets(self) -> frozenset[Facet]:
        return frozenset({INBOX_FACET})

    def text(self) -> str:
        return "is:inbox"


@dataclass(frozen=True, slots=True)
class Untagged(Predicate):
    def clause(self) -> Clause:
        return "a.visible AND NOT EXISTS (SELECT 1 FROM tagging WHERE asset = a.id)", ()

    def match(self, asset: Traits) -> bool:
        return asset.visible and not asset.terms

    def facets(self) -> frozenset[Facet]:
        return frozenset({UNTAGGED_FACET})

    def text(self) -> str:
        return "is:untagged"


@dataclass(frozen=True, slots=True)
class InTrash(Predicate):
    def clause(self) -> Clause:
        return "a.id IN (SELECT asset FROM trashed)", ()

    def row_clause(self) -> Clause:
        return "a.state = 'trashed'", ()

    def match(self, asset: Traits) -> bool:
        return asset.trashed

    def facets(self) -> frozenset[Facet]:
        return frozenset({TRASH_FACET})

    def text(self) -> str:
        return "is:trashed"


@dataclass(frozen=True, slots=True)
class And(Predicate):
    parts: tuple[Predicate, ...]

    def clause(self) -> Clause:
        return _joined(part.clause() for part in self.parts)

    def row_clause(self) -> Clause:
        return _joined(part.row_clause() for part in self.parts)

    def match(self, asset: Traits) -> bool:
        return all(part.match(asset) for part in self.parts)

    def facets(self) -> frozenset[Facet]:
        return frozenset().union(*(part.facets() for part in self.parts))

    def text(self) -> str:
        return " ".join(part.text() for part in self.parts)


def _joined(clauses: Iterable[Clause]) -> Clause:
    sqls, values = zip(*clauses, strict=True)
    return " AND ".join(f"({sql})" for sql in sqls), tuple(chain.from_iterable(values))


def all_of(parts: list[Predicate]) -> Predicate:
    """The one part itself, or an And of several."""
    return parts[0] if len(parts) == 1 else And(tuple(parts))
