"""Commands that end a job: what a processor made becomes rows, and what is now due becomes jobs, in one transaction.

Renditions are published before their rows (blob first, row second); the job runner does that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from damfs.catalog import assets, derived, field_values, job_table, predicates, spaces, term_names, vectors
from damfs.catalog.proposals import Origin
from damfs.core.commands import Execution
from damfs.core.description import describe, describes
from damfs.core.makers import signed
from damfs.core.model_commands import LearnSpace
from damfs.core.news import (
    SHOWN_KINDS,
    Seen,
    seen_beside,
    seen_copies,
    seen_itself,
    seen_made,
    seen_proxies,
    tell,
    together,
)
from damfs.core.processors.camera_proxy import JUDGED
from damfs.core.processors.processor import SPACE_FACT, MadeEmbedding, Proposal
from damfs.core.suggesting import AUTO_TAG, NEVER, Suggest
from damfs.model import Asset, BlobId, Facet, Facts, Job, Rendition, RenditionKind

SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class PublishedRendition:
    """A rendition whose file lies durably at its key."""

    kind: RenditionKind
    profile: str
    key: str
    size: int
    detail: Facts


@dataclass(frozen=True, slots=True)
class FinishJob:
    job: Job
    facts: Facts
    renditions: tuple[PublishedRendition, ...]
    embeddings: tuple[MadeEmbedding, ...]
    proposals: tuple[Proposal, ...]
    accept_above: float = NEVER
    replaces: tuple[str, ...] = ()

    def apply(self, x: Execution) -> None:
        blob = self.job.blob
        before = self._seen_copies(x)
        values = derived.set_facts(x.tx, blob, self.job.processor, self.facts)
        for made in self.renditions:
            detail = signed(made.detail, made.kind, made.profile, self.job.processor)
            derived.set_rendition(x.tx, blob, made.kind, made.profile, made.key, made.size, detail, x.at_ns)
        self._learn_space(x)
        for model in self.replaces:
            vectors.drop_of_blob(x.tx, blob, model)
        for embedding in self.embeddings:
            derived.set_embedding(x.tx, blob, embedding.model, embedding.at_ns, embedding.vector)
        self._describe(x, field_values.changed_facets(values))
        self._tell_made(x)
        for asset, seen_before in before:
            tell(x.changes, "rendition-made", asset.id, seen_before, seen_proxies(x.tx, asset))
        job_table.finish(x.tx, self.job.id, x.at_ns)
        self._propose(x)
        x.planner.plan_jobs(x.tx, blob, x.at_ns)
        touched = {predicates.NEIGHBOURS_FACET} if self.embeddings else set[Facet]()
        if self.job.processor == "editor_hash":
            touched.add(predicates.HASHES_FACET)
        x.changes.record("processed", touched, detail={"processor": self.job.processor, "blob": blob})

    def _seen_copies(self, x: Execution) -> list[tuple[Asset, Seen]]:
        """What stands in for the assets, where the job says whether a camera's copy does."""
        found = assets.of_blob(x.tx, self.job.blob) if self.job.processor == JUDGED else []
        files = seen_copies(x.tx, self.job.blob) if found else Seen(frozenset())
        return [(asset, together([files, seen_proxies(x.tx, asset)])) for asset in found]

    def _learn_space(self, x: Execution) -> None:
        """A processor that asked a model says which space its vectors are of."""
        told = self.facts.get(SPACE_FACT)
        if isinstance(told, Mapping):
            LearnSpace(msgspec.convert(told, spaces.Space)).apply(x)

    def _describe(self, x: Execution, values: frozenset[Facet]) -> None:
        """Let the assets know what they are and when they were captured. ``values``: facets of fields that changed."""
        if not values and not describes(self.facts):
            return
        for asset in assets.of_blob(x.tx, self.job.blob):
            before = seen_itself(x.tx, asset)
            describe(x.tx, asset.id, self.facts, x.zone)
            after = seen_itself(x.tx, asset)
            if before != after or values:
                files = seen_beside(x.tx, asset)._replace(facets=values)  # they stay in their places
                tell(x.changes, "described", asset.id, _moved(before, after), files)

    def _tell_made(self, x: Execution) -> None:
        kinds = SHOWN_KINDS & {made.kind for made in self.renditions}
        if kinds:
            for asset in assets.of_blob(x.tx, self.job.blob):
                tell(x.changes, "rendition-made", asset.id, seen_made(x.tx, asset, kinds))

    def _propose(self, x: Execution) -> None:
        if not self.proposals and self.job.processor != AUTO_TAG:
            return
        origin = Origin(f"{self.job.processor}/{self.job.processor_version}", str(self.facts.get("model", "")))
        named = [(term_names.resolve(x.tx, each.term), each.confidence) for each in self.proposals]
        if self.job.processor == AUTO_TAG and any(term is None for term, _ in named):
            job_table.look_again(x.tx, self.job.id, x.at_ns)  # with the vocabulary of now; what was said before stays
            return
        found = [(term.id, confidence) for term, confidence in named if term is not None]
        for asset in assets.of_blob(x.tx, self.job.blob):
            Suggest(asset.id, origin, found, self.accept_above).apply(x)


def _moved(before: Seen, after: Seen) -> Seen:
    """What differs. Days share the directories of their year and month, which list them: those are touched as well."""
    facets = before.facets ^ after.facets
    if any(facet.startswith(predicates.DATE_PREFIX) for facet in facets):
        facets |= {facet for facet in after.facets if facet.startswith(predicates.DATE_PREFIX)}
    return Seen(facets, before.names | after.names, before.keys | after.keys)


@dataclass(frozen=True, slots=True)
class FailJob:
    """For good: the bytes are at fault, or every attempt failed."""

    job: Job
    error: str

    def apply(self, x: Execution) -> None:
        job_table.fail(x.tx, self.job.id, self.error, x.at_ns)
        x.planner.plan_jobs(x.tx, self.job.blob, x.at_ns)
        detail = {"processor": self.job.processor, "blob": self.job.blob, "error": self.error}
        x.changes.record("failed", {predicates.FAILED_FACET}, detail=detail)


BACKOFF_FIRST_S = 5
BACKOFF_LIMIT_S = 3600
UNREACHABLE_S = 300
"""Bytes that cannot be reached now are not asked for again and again; a store that comes back ends the wait."""


@dataclass(frozen=True, slots=True)
class RetryJob:
    """Later, by a growing delay. Without ``counts`` the attempt was not the job's fault (a store was offline)."""

    job: Job
    error: str
    counts: bool = True
    wait_s: int = UNREACHABLE_S
    """Without ``counts``."""

    def apply(self, x: Execution) -> None:
        backoff = min(BACKOFF_LIMIT_S, BACKOFF_FIRST_S * 2 ** (self.job.attempts - 1))
        due = x.at_ns + (backoff if self.counts else self.wait_s) * SECOND_NS
        job_table.retry(x.tx, self.job.id, self.error, due, x.at_ns, counts=self.counts)


@dataclass(frozen=True, slots=True)
class DropJob:
    """No asset has these bytes now (it was trashed, or is missing): planned again when one has."""

    job: Job

    def apply(self, x: Execution) -> None:
        job_table.drop(x.tx, self.job.id)


@dataclass(frozen=True, slots=True)
class ReturnJob:
    """Give a lease back untouched: the daemon stops."""

    job: Job

    def apply(self, x: Execution) -> None:
        job_table.retry(x.tx, self.job.id, None, x.at_ns, x.at_ns, counts=False)


@dataclass(frozen=True, slots=True)
class DropRendition:
    """Its file is gone or its row is superfluous; it is made again. ``processor``: who made it, if anybody knows."""

    rendition: Rendition
    processor: str | None

    def apply(self, x: Execution) -> None:
        blob = self.rendition.blob
        before = [(asset, seen_made(x.tx, asset, {self.rendition.kind})) for asset in self._shown_by(x, blob)]
        derived.drop_rendition(x.tx, self.rendition.id)
        if self.processor is not None:
            job_table.forget(x.tx, blob, self.processor)
        x.planner.plan_jobs(x.tx, blob, x.at_ns)
        for asset, made in before:
            tell(x.changes, "rendition-dropped", asset.id, made)

    def _shown_by(self, x: Execution, blob: BlobId) -> list[Asset]:
        return assets.of_blob(x.tx, blob) if self.rendition.kind in SHOWN_KINDS else []


@dataclass(frozen=True, slots=True)
class RetryFailed:
    processor: str | None

    def apply(self, x: Execution) -> int:
        number = job_table.retry_failed(x.tx, self.processor, x.at_ns)
        if number:
            x.changes.record("jobs-retried", {predicates.FAILED_FACET}, detail={"jobs": number})
        return number
