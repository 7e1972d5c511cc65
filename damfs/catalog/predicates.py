"""Which assets are in a place: one object with four uses (SQL, match in Python, facets, text).

Pure. A predicate is a frozen value; listing is its SQL, lookup its SQL and a name, invalidation its facets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Protocol

from damfs.catalog.term_clauses import one_of, term_marks
from damfs.model import AssetId, Facet, FolderId, Media, TermId

SqlValue = int | float | str | bytes
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
    proposed: frozenset[TermId] = frozenset()
    """Terms that models propose for it."""
    name: str = ""
    rating: int = 0
    size: int = 0
    values: Mapping[str, tuple[str | float, ...]] = field(default_factory=dict)
    """Of its fields, by name (see `fields`)."""
    failed: bool = False
    """Something of it failed for good, or is held back."""
    is_sidecar: bool = False
    """It only speaks of another asset, beside whose file it stands."""

    @property
    def stands_alone(self) -> bool:
        return self.visible and not self.is_sidecar


ALONE = "a.visible AND a.id NOT IN (SELECT asset FROM sidecar)"


class Predicate(Protocol):
    """``text`` is how the query language says it (see `query_language`)."""

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


def labels_facet(term: TermId) -> Facet:
    """Touched when another name of a term, or what is said of it, changes."""
    return Facet(f"labels:{term}")


def proposed_facets(term: TermId) -> frozenset[Facet]:
    """Touched when a term is proposed for an asset, or is not any more: its directory, and the one that lists it."""
    return frozenset({Facet(f"proposed:{term}"), PROPOSED_FACET})


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
PROPOSED_FACET = Facet("proposed")
UNTAGGED_FACET = Facet("untagged")
STORES_FACET = Facet("stores")
TRASH_FACET = Facet("trash")
DESKTOP_TRASH_FACET = Facet("desktop-trash")
NEIGHBOURS_FACET = Facet("neighbours")
CUTS_FACET = Facet("cuts")
"""Of which assets there are pieces and frames."""
RATING_FACET = Facet("rating")
TEXTS_FACET = Facet("texts")
SEARCHES_FACET = Facet("searches")

_BARE = re.compile(r"[^\s()\"\\]+")


def quoted(value: str) -> str:
    """A value as the query language has it: in quotation marks where it is not one word."""
    return value if _BARE.fullmatch(value) else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


HASHES_FACET = Facet("editor-hashes")
"""Proxies that an editor finds by the hash of the original's bytes, in one directory for all."""
FAILED_FACET = Facet("failed")


@dataclass(frozen=True, slots=True)
class Everything(Predicate):
    def clause(self) -> Clause:
        return ALONE, ()

    def match(self, asset: Traits) -> bool:
        return asset.stands_alone

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
        marks, values = term_marks(self.narrower)
        return f"a.visible AND a.id IN (SELECT asset FROM tagging WHERE term IN ({marks}))", values  # noqa: S608  # marks only

    def row_clause(self) -> Clause:
        carried, values = one_of(self.narrower)
        return f"a.visible AND {carried}", values

    def match(self, asset: Traits) -> bool:
        return asset.visible and self.term in asset.terms

    def facets(self) -> frozenset[Facet]:
        return frozenset({tag_facet(self.term)})

    def text(self) -> str:
        return f"tag:{quoted(self.name)}"


@dataclass(frozen=True, slots=True)
class ProposedFor(Predicate):
    """A model proposes the term, and nobody has judged that."""

    term: TermId
    name: str

    def clause(self) -> Clause:
        return "a.visible AND a.id IN (SELECT asset FROM proposal WHERE term = ?)", (self.term,)

    def row_clause(self) -> Clause:
        return "a.visible AND EXISTS (SELECT 1 FROM proposal WHERE asset = a.id AND term = ?)", (self.term,)

    def match(self, asset: Traits) -> bool:
        return asset.visible and self.term in asset.proposed

    def facets(self) -> frozenset[Facet]:
        return proposed_facets(self.term) - {PROPOSED_FACET}

    def text(self) -> str:
        return f"suggested:{self.name}"


@dataclass(frozen=True, slots=True)
class CapturedIn(Predicate):
    """``period``: 'YYYY', 'YYYY-MM' or 'YYYY-MM-DD'."""

    period: str

    def clause(self) -> Clause:
        return f"{ALONE} AND a.day >= ? AND a.day < ?", (self.period, self.period + "~")

    def match(self, asset: Traits) -> bool:
        return asset.stands_alone and asset.day.startswith(self.period)

    def facets(self) -> frozenset[Facet]:
        return frozenset({Facet(DATE_PREFIX + self.period)})

    def text(self) -> str:
        return f"date:{self.period}"


@dataclass(frozen=True, slots=True)
class OfMedia(Predicate):
    media: Media

    def clause(self) -> Clause:
        return f"{ALONE} AND a.media = ?", (str(self.media),)

    def match(self, asset: Traits) -> bool:
        return asset.stands_alone and asset.media is self.media

    def facets(self) -> frozenset[Facet]:
        return frozenset({media_facet(self.media)})

    def text(self) -> str:
        return f"type:{self.media}"


@dataclass(frozen=True, slots=True)
class InInbox(Predicate):
    def clause(self) -> Clause:
        return f"{ALONE} AND a.triaged = 0", ()

    def match(self, asset: Traits) -> bool:
        return asset.stands_alone and not asset.triaged

    def facets(self) -> frozenset[Facet]:
        return frozenset({INBOX_FACET})

    def text(self) -> str:
        return "is:inbox"


@dataclass(frozen=True, slots=True)
class Untagged(Predicate):
    def clause(self) -> Clause:
        return f"{ALONE} AND NOT EXISTS (SELECT 1 FROM tagging WHERE asset = a.id)", ()  # noqa: S608  # constant

    def match(self, asset: Traits) -> bool:
        return asset.stands_alone and not asset.terms

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
class Failed(Predicate):
    """A job of its bytes failed for good, or it is one of those that could not be published (``held_back``)."""

    held_back: tuple[AssetId, ...] = ()

    def clause(self) -> Clause:
        return self._either("a.blob IN (SELECT blob FROM job WHERE state = 'failed')")

    def row_clause(self) -> Clause:
        return self._either("EXISTS (SELECT 1 FROM job WHERE blob = a.blob AND state = 'failed')")

    def _either(self, failed: str) -> Clause:
        marks = ", ".join("?" * len(self.held_back))
        return f"a.visible AND ({failed} OR a.id IN ({marks}))", self.held_back

    def match(self, asset: Traits) -> bool:
        return asset.visible and asset.failed

    def facets(self) -> frozenset[Facet]:
        return frozenset({FAILED_FACET})

    def text(self) -> str:
        return "is:failed"


@dataclass(frozen=True, slots=True)
class And(Predicate):
    parts: tuple[Predicate, ...]

    def clause(self) -> Clause:
        return joined(part.clause() for part in self.parts)

    def row_clause(self) -> Clause:
        return joined(part.row_clause() for part in self.parts)

    def match(self, asset: Traits) -> bool:
        return all(part.match(asset) for part in self.parts)

    def facets(self) -> frozenset[Facet]:
        return frozenset().union(*(part.facets() for part in self.parts))

    def text(self) -> str:
        return " ".join(f"({part.text()})" if isinstance(part, Or) else part.text() for part in self.parts)


@dataclass(frozen=True, slots=True)
class Or(Predicate):
    parts: tuple[Predicate, ...]

    def clause(self) -> Clause:
        return self._either(part.clause() for part in self.parts)

    def row_clause(self) -> Clause:
        return self._either(part.row_clause() for part in self.parts)

    def _either(self, clauses: Iterable[Clause]) -> Clause:
        """In parentheses: whoever takes a clause puts AND beside it."""
        sql, values = joined(clauses, " OR ")
        return f"({sql})", values

    def match(self, asset: Traits) -> bool:
        return any(part.match(asset) for part in self.parts)

    def facets(self) -> frozenset[Facet]:
        return frozenset().union(*(part.facets() for part in self.parts))

    def text(self) -> str:
        return " OR ".join(part.text() for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not(Predicate):
    """What the part does not hold of, of all that is shown anywhere."""

    part: Predicate

    def clause(self) -> Clause:
        return self._without(self.part.clause())

    def row_clause(self) -> Clause:
        return self._without(self.part.row_clause())

    def _without(self, clause: Clause) -> Clause:
        sql, values = clause
        return f"{ALONE} AND NOT ({sql})", values

    def match(self, asset: Traits) -> bool:
        return asset.stands_alone and not self.part.match(asset)

    def facets(self) -> frozenset[Facet]:
        """What comes anywhere may come here."""
        return self.part.facets() | {ALL_FACET}

    def text(self) -> str:
        return f"-({self.part.text()})" if isinstance(self.part, And | Or) else f"-{self.part.text()}"


def joined(clauses: Iterable[Clause], word: str = " AND ") -> Clause:
    sqls, values = zip(*clauses, strict=True)
    return word.join(f"({sql})" for sql in sqls), tuple(chain.from_iterable(values))


def all_of(parts: list[Predicate]) -> Predicate:
    """The one part itself, or an And of several; none of them is an And."""
    flat = tuple(chain.from_iterable(part.parts if isinstance(part, And) else (part,) for part in parts))
    return flat[0] if len(flat) == 1 else And(flat)
