"""What a search found, and why each asset is in it.

Plain data; `Answer.why` asks the catalog a few point questions of one asset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from damfs.catalog import assets, full_text, vocabulary
from damfs.catalog.assets import ListedRow
from damfs.catalog.database import Connection
from damfs.catalog.query import Query
from damfs.model import AssetId

SECOND_NS = 1_000_000_000
COLUMN_WORDS = {"folders": "folder", "fields": "metadata"}


class Source(StrEnum):
    """By which way an asset was found."""

    TAG = "tag"
    TEXT = "text"
    WORDS = "words"
    """Its texts mean something like the words."""
    PICTURE = "picture"
    """It shows something like the words."""
    LIKE = "like"
    CONDITION = "condition"
    """Its alternative ranks nothing: the newest come first."""


class Reason(NamedTuple):
    source: Source
    score: float | None = None
    """Cosine similarity; None where there is none."""
    at_ns: int | None = None
    """The moment of a video that is meant."""
    space: str = ""
    """Whose vectors were compared (embedding.model); empty where none were."""
    side: int = 0
    """Of the alternatives of the query the one that it was found by."""


class Told(NamedTuple):
    """What user.damfs.score, user.damfs.why and user.damfs.space say."""

    score: float
    why: str
    space: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """``rows``: best first where there is an order, else by id. ``spaces``: of the vectors that were compared."""

    query: Query
    rows: Sequence[ListedRow]
    scores: Mapping[AssetId, float] = field(default_factory=dict)
    reasons: Mapping[AssetId, Sequence[Reason]] = field(default_factory=dict)
    spaces: tuple[str, ...] = ()
    trouble: str = ""
    """Why words were compared as texts only; '' where they were not."""

    @property
    def is_ranked(self) -> bool:
        return self.query.is_ranked

    def told(self, connection: Connection, asset: AssetId) -> Told | None:
        """None for what is not in it."""
        if asset in self.scores:
            spaces = dict.fromkeys(reason.space for reason in self.reasons.get(asset, ()) if reason.space)
            return Told(self.scores[asset], self.why(connection, asset), ", ".join(spaces))
        return None if self.is_ranked else Told(1.0, self.query.where.text())

    def why(self, connection: Connection, asset: AssetId) -> str:
        """``sunset: clip at 00:01:12, 0.31; text: comment``."""
        reasons, told = self.reasons.get(asset, ()), []
        for number, side in enumerate(self.query.sides or (self.query,)):
            parts = [_said(connection, asset, reason, side) for reason in reasons if reason.side == number]
            if parts:
                told.append(f"{side.sentence}: {'; '.join(parts)}" if side.sentence else "; ".join(parts))
        return "; ".join(told)


def _said(connection: Connection, asset: AssetId, reason: Reason, query: Query) -> str:
    match reason.source:
        case Source.TAG:
            ids = {term for word in query.words for term in word.terms}
            return f"tag: {', '.join(t.name for t in vocabulary.tagged_terms(connection, asset) if t.id in ids)}"
        case Source.TEXT:
            columns = full_text.columns_saying(connection, asset, query.words)
            return f"text: {', '.join(COLUMN_WORDS.get(column, column) for column in columns)}"
        case Source.LIKE:
            liked = filter(None, (assets.asset(connection, id_) for id_ in query.like))
            return f"{nearness(reason, 'picture')}, like {', '.join(each.name for each in liked)}"
        case Source.WORDS:
            return nearness(reason, "words alike")
        case Source.PICTURE:
            return nearness(reason, "picture")
        case Source.CONDITION:
            return query.where.text()


def nearness(reason: Reason, what: str) -> str:
    """``clip at 00:01:12, 0.31``, or ``picture, 0.31``."""
    where = what if reason.at_ns is None else f"clip at {clock(reason.at_ns)}"
    return where if reason.score is None else f"{where}, {reason.score:.2f}"


def clock(at_ns: int) -> str:
    seconds = at_ns // SECOND_NS
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
