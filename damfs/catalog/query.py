"""A query that was understood: conditions, the words that rank what these hold of, and its alternatives. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from damfs.catalog.alternatives import LIKE
from damfs.catalog.asked_predicates import Says
from damfs.catalog.predicates import Everything, Or, Predicate, all_of
from damfs.model import AssetId


@dataclass(frozen=True, slots=True)
class Query:
    """``where`` are conditions that hold of all that is found; ``words`` and ``like`` rank it. Without these it has no
    order. ``sides``: queries in place of all that, of which each has an order of its own, for what words stand beside
    OR in."""

    where: Predicate
    words: tuple[Says, ...] = ()
    like: tuple[AssetId, ...] = ()
    sides: tuple[Query, ...] = ()
    said: str = field(default="", compare=False)
    """The text, where there are sides."""

    @property
    def must(self) -> Predicate:
        """All that has to hold exactly: the conditions, and that phrases are there."""
        return self._with([each for each in self.words if each.is_phrase])

    @property
    def exact(self) -> Predicate:
        """What holds of all in which the words stand; ``like`` is passed over."""
        return Or(tuple(side.exact for side in self.sides)) if self.sides else self._with(self.words)

    def _with(self, words: Sequence[Predicate]) -> Predicate:
        if not words:
            return self.where
        return all_of([*words] if self.where == Everything() else [*words, self.where])

    @property
    def is_ranked(self) -> bool:
        return bool(self.words or self.like or self.sides)

    @property
    def is_like(self) -> bool:
        """Whether an asset is named that ranks."""
        return bool(self.like) or any(side.is_like for side in self.sides)

    @property
    def sentence(self) -> str:
        """The words as one text, for a model."""
        return " ".join(each.words for each in self.words)

    def text(self) -> str:
        if self.sides:
            return self.said
        parts = [each.text() for each in self.words]
        if self.where != Everything() or not self.is_ranked:
            alone = not self.is_ranked or not isinstance(self.where, Or)
            parts.append(self.where.text() if alone else f"({self.where.text()})")
        return " ".join([*parts, *(f"{LIKE}:{id_}" for id_ in self.like)])
