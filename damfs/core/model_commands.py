"""Commands about the models whose vectors are kept: one becomes known, one answers, one is let go.

Applied like every command (one transaction, no await, no file).
"""

from __future__ import annotations

from dataclasses import dataclass

from damfs.catalog import derived, job_table, predicates, spaces
from damfs.catalog.database import Connection
from damfs.catalog.spaces import Space
from damfs.core.commands import Execution
from damfs.core.model_progress import EMBEDDERS, PLANNED_FOR
from damfs.errors import NotFound, Refused


@dataclass(frozen=True, slots=True)
class LearnSpace:
    """A model was loaded. The first one answers at once: a few neighbours are better than none."""

    space: Space

    def apply(self, x: Execution) -> bool:
        new = spaces.learn(x.tx, self.space, x.at_ns)
        if new:
            x.changes.record("model-loaded", frozenset(), detail={"model": self.space.name, "space": self.space.id})
        if spaces.answering(x.tx) is None:
            AnswerBy(self.space.id).apply(x)
        return new


@dataclass(frozen=True, slots=True)
class AnswerBy:
    """From now on similar-to/ and searches ask this space."""

    space: str

    def apply(self, x: Execution) -> None:
        found = spaces.space(x.tx, self.space)
        if found is None:
            raise NotFound(f"no vectors of {self.space} are kept")
        spaces.set_answering(x.tx, found.id)
        detail = {"model": found.name, "space": found.id}
        x.changes.record("model-answers", {predicates.NEIGHBOURS_FACET}, detail=detail)


@dataclass(frozen=True, slots=True)
class ChooseModel:
    """The settings name another model now: what it has to do is planned, what the one before had still to do is not
    done, and jobs that failed are tried again."""

    name: str
    processors: tuple[str, ...]

    def apply(self, x: Execution) -> None:
        for processor in self.processors:
            job_table.retry_failed(x.tx, processor, x.at_ns)
        for processor in EMBEDDERS:
            job_table.spare_again(x.tx, processor, x.at_ns)
        derived.forget_property(x.tx, PLANNED_FOR)
        x.changes.record("model-chosen", frozenset(), detail={"model": self.name})


def used_spaces(connection: Connection, wanted: str) -> set[str]:
    """Ids of the space that answers and of the one that the settings ask for. ``wanted``: model.name."""
    found = (spaces.answering(connection), spaces.named(connection, wanted))
    return {each.id for each in found if each is not None}


DROPPED_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class DropVectors:
    """Some of the vectors of a space that neither answers nor is being made; again and again until none is left."""

    space: str
    wanted: str
    """Name of the model that the settings name."""

    def apply(self, x: Execution) -> int:
        """How many went."""
        found = spaces.space(x.tx, self.space)
        if found is None:
            raise NotFound(f"no vectors of {self.space} are kept; see them with: damfs model list LIBRARY")
        if self.space in used_spaces(x.tx, self.wanted):
            raise Refused(f"the vectors of {found.name} are in use; choose another model first: damfs model use")
        shared = {model for each in spaces.list_spaces(x.tx) if each.id != found.id for model in each.models}
        gone = spaces.drop_vectors(x.tx, tuple(set(found.models) - shared), DROPPED_AT_ONCE)
        if not gone:
            spaces.drop(x.tx, found.id)
            for model in found.models:
                derived.forget_property(x.tx, f"vectors:{model}")
            x.changes.record("model-dropped", frozenset(), detail={"model": found.name, "space": found.id})
        return gone
