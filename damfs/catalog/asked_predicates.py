"""Predicates that only people ask for: ratings, sizes, names, spans of days, and what is written in an asset.

Pure, like `predicates`; no view is made of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from damfs.catalog.predicates import (
    ALL_FACET,
    ALONE,
    RATING_FACET,
    TEXTS_FACET,
    Clause,
    Predicate,
    Traits,
    quoted,
    tag_facet,
)
from damfs.catalog.term_clauses import one_of, term_marks
from damfs.catalog.word_breaks import spread
from damfs.model import Facet, TermId


@dataclass(frozen=True, slots=True)
class Span:
    """From ``low`` to ``high``, both included; None: no end there. In the unit of the column."""

    low: int | None
    high: int | None

    def clause(self, value: str) -> Clause:
        """``value``: an SQL expression."""
        ends = [(">=", self.low), ("<=", self.high)]
        told = [(f"{value} {sign} ?", end) for sign, end in ends if end is not None]
        return " AND ".join(sql for sql, _ in told), tuple(end for _, end in told)

    def holds(self, value: int) -> bool:
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@dataclass(frozen=True, slots=True)
class CapturedBetween(Predicate):
    """``low`` and later, before ``end``; both compare as texts with days. ``said``: as the query language has it."""

    low: str
    end: str
    said: str

    def clause(self) -> Clause:
        return f"{ALONE} AND a.day >= ? AND a.day < ?", (self.low, self.end)

    def match(self, asset: Traits) -> bool:
        return asset.stands_alone and self.low <= asset.day < self.end

    def facets(self) -> frozenset[Facet]:
        return frozenset({ALL_FACET})

    def text(self) -> str:
        return f"date:{quoted(self.said)}"


@dataclass(frozen=True, slots=True)
class Rated(Predicate):
    """``span``: in halves of a star, 0 for not rated. ``said``: the same as the query language has it."""

    span: Span
    said: str

    def clause(self) -> Clause:
        clause, values = self.span.clause("rating")
        if self.span.holds(0):
            return f"{ALONE} AND coalesce((SELECT {clause} FROM remark WHERE asset = a.id), 1)", values  # noqa: S608  # marks only
        return f"{ALONE} AND a.id IN (SELECT asset FROM remark WHERE rating > 0 AND {clause})", values  # noqa: S608  # marks only

    def row_clause(self) -> Clause:
        sql, values = self.span.clause("coalesce((SELECT rating FROM remark WHERE asset = a.id), 0)")
        return f"{ALONE} AND {sql}", values

    def match(self, asset: Traits) -> bool:
        return asset.stands_alone and self.span.holds(asset.rating)

    def facets(self) -> frozenset[Facet]:
        return frozenset({RATING_FACET, ALL_FACET})

    def text(self) -> str:
        return f"rating:{quoted(self.said)}"


@dataclass(frozen=True, slots=True)
class OfSize(Predicate):
    """``span``: in bytes."""

    span: Span
    said: str

    def clause(self) -> Clause:
        sql, values = self.span.clause("a.size")
        return f"{ALONE} AND {sql}", values

    def match(self, asset: Traits) -> bool:
        return asset.stands_alone and self.span.holds(asset.size)

    def facets(self) -> frozenset[Facet]:
        return frozenset({ALL_FACET})

    def text(self) -> str:
        return f"size:{quoted(self.said)}"


@dataclass(frozen=True, slots=True)
class Named(Predicate):
    """Whose name is like a pattern: ``*`` stands for any characters. Without regard to the case of a to z."""

    pattern: str

    def clause(self) -> Clause:
        return f"{ALONE} AND a.name LIKE ? ESCAPE '!'", (_like(self.pattern),)

    def match(self, asset: Traits) -> bool:
        pieces = (re.escape(piece) for piece in _lower(self.pattern).split("*"))
        return asset.stands_alone and re.fullmatch(".*".join(pieces), _lower(asset.name), re.DOTALL) is not None

    def facets(self) -> frozenset[Facet]:
        return frozenset({ALL_FACET})

    def text(self) -> str:
        return f"name:{quoted(self.pattern)}"


def _lower(text: str) -> str:
    """As SQLite's LIKE compares."""
    return "".join(char.lower() if char.isascii() else char for char in text)


def _like(pattern: str) -> str:
    for char in "!%_":
        pattern = pattern.replace(char, "!" + char)
    return pattern.replace("*", "%")


@dataclass(frozen=True, slots=True)
class Says(Predicate):
    """Whose texts (name, folders, comment, what was read and heard in it) hold a word or a phrase, or that carries a
    term which does. ``terms``: these, with all that are narrower. Not to be told of one asset without the catalog."""

    words: str
    prefix: bool = False
    terms: tuple[TermId, ...] = ()
    is_phrase: bool = False

    def clause(self) -> Clause:
        found, values = "a.id IN (SELECT rowid FROM asset_text WHERE asset_text MATCH ?)", (self.pattern(),)
        if not self.terms:
            return f"{ALONE} AND {found}", values
        marks, terms = term_marks(self.terms)
        tagged = f"a.id IN (SELECT asset FROM tagging WHERE term IN ({marks}))"  # noqa: S608  # marks only
        return f"{ALONE} AND ({found} OR {tagged})", (*values, *terms)

    def row_clause(self) -> Clause:
        found = "EXISTS (SELECT 1 FROM asset_text WHERE asset_text MATCH ? AND rowid = a.id)"
        if not self.terms:
            return f"{ALONE} AND {found}", (self.pattern(),)
        tagged, terms = one_of(self.terms)
        return f"{ALONE} AND ({found} OR {tagged})", (self.pattern(), *terms)

    def pattern(self) -> str:
        """For the full-text index."""
        return '"' + spread(self.words).replace('"', '""') + '"' + ("*" if self.prefix else "")

    def match(self, asset: Traits) -> bool:
        raise NotImplementedError("only the full-text index knows")

    def facets(self) -> frozenset[Facet]:
        return frozenset({TEXTS_FACET, ALL_FACET, *map(tag_facet, self.terms)})

    def text(self) -> str:
        if self.is_phrase:
            return '"' + self.words.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return self.words + ("*" if self.prefix else "")
