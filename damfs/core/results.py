"""Commands that end a job: what a processor made becomes rows, and what is now due becomes jobs, in one transaction.

Renditions are published before their rows (blob first, row second); the job runner does that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from damfs.catalog import assets, derived, job_table, predicates, stores, vocabulary
from damfs.core.commands import AddTag, Execution
from damfs.core.processors.processor import MadeEmbedding, Proposal
from damfs.model import Facet, Facts, Job, Media, Rendition, RenditionKind, TagSource

SECOND_NS = 1_000_000_000
NEVER = 1.0


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
    zone: ZoneInfo | None
    """Of capture times that carry none; None: this machine's."""
    accept_above: float = NEVER

    def apply(self, x: Execution) -> None:
        blob = self.job.blob
        derived.set_facts(x.tx, blob, self.job.processor, self.facts)
        for made in self.renditions:
            derived.set_rendition(x.tx, blob, made.kind, made.profile, made.key, made.size, made.detail, x.at_ns)
        for embedding in self.embeddings:
            derived.set_embedding(x.tx, blob, embedding.model, embedding.at_ns, embedding.vector)
        touched = self._describe(x)
        self._propose(x)
        job_table.finish(x.tx, self.job.id, x.at_ns)
        x.planner.plan_jobs(x.tx, blob, x.at_ns)
        x.changes.record("processed", touched, detail={"processor": self.job.processor, "blob": blob})

    def _describe(self, x: Execution) -> frozenset[Facet]:
        """Let the assets know what they are and when they were captured; the facets that are touched."""
        touched: set[Facet] = set()
        if self.embeddings:
            touched.add(predicates.NEIGHBOURS_FACET)
        found = captured(self.facts, self.zone)
        media = self.facts.get("media")
        for asset in assets.of_blob(x.tx, self.job.blob):
            if any(made.kind is RenditionKind.PROXY for made in self.renditions):
                folders = {copy.folder for copy in stores.copies_of_asset(x.tx, asset.id)}
                touched |= {predicates.proxies_facet(folder) for folder in folders}
            before = assets.facets(x.tx, asset.id)
            if isinstance(media, str) and media != asset.media:
                assets.set_media(x.tx, asset.id, Media(media))
            if found is not None:
                assets.set_day(x.tx, asset.id, found[0], found[1])
            after = assets.facets(x.tx, asset.id)
            if before != after:
                x.changes.record("described", before ^ after, asset=asset.id, names=(asset.name,))
        return frozenset(touched)

    def _propose(self, x: Execution) -> None:
        processor = f"{self.job.processor}/{self.job.processor_version}"
        for proposal in self.proposals:
            term = vocabulary.term_named(x.tx, proposal.term)
            if term is None:
                continue
            for asset in assets.of_blob(x.tx, self.job.blob):
                if proposal.confidence > self.accept_above:
                    AddTag(asset.id, term.id, TagSource.MODEL, proposal.confidence).apply(x)
                else:
                    vocabulary.propose(x.tx, asset.id, term.id, processor, proposal.confidence, x.at_ns)


@dataclass(frozen=True, slots=True)
class FailJob:
    """For good: the bytes are at fault, or every attempt failed."""

    job: Job
    error: str

    def apply(self, x: Execution) -> None:
        job_table.fail(x.tx, self.job.id, self.error, x.at_ns)
        x.planner.plan_jobs(x.tx, self.job.blob, x.at_ns)
        detail = {"processor": self.job.processor, "blob": self.job.blob, "error": self.error}
        x.changes.record("failed", frozenset(), detail=detail)


BACKOFF_FIRST_S = 5
BACKOFF_LIMIT_S = 3600


@dataclass(frozen=True, slots=True)
class RetryJob:
    """Later, by a growing delay. Without ``counts`` the attempt was not the job's fault (a store was offline)."""

    job: Job
    error: str
    counts: bool = True

    def apply(self, x: Execution) -> None:
        delay = min(BACKOFF_LIMIT_S, BACKOFF_FIRST_S * 2 ** (self.job.attempts - 1))
        due = x.at_ns + delay * SECOND_NS
        job_table.retry(x.tx, self.job.id, self.error, due, x.at_ns, counts=self.counts)


@dataclass(frozen=True, slots=True)
class ReturnJob:
    """Give a lease back untouched: the daemon stops."""

    job: Job

    def apply(self, x: Execution) -> None:
        job_table.retry(x.tx, self.job.id, None, x.at_ns, x.at_ns, counts=False)


@dataclass(frozen=True, slots=True)
class DropRendition:
    """Its file is gone or its row is superfluous; it is made again."""

    rendition: Rendition
    processor: str

    def apply(self, x: Execution) -> None:
        derived.drop_rendition(x.tx, self.rendition.id)
        job_table.forget(x.tx, self.rendition.blob, self.processor)
        x.planner.plan_jobs(x.tx, self.rendition.blob, x.at_ns)


@dataclass(frozen=True, slots=True)
class RetryFailed:
    processor: str | None

    def apply(self, x: Execution) -> int:
        return job_table.retry_failed(x.tx, self.processor, x.at_ns)


def captured(facts: Facts, zone: ZoneInfo | None) -> tuple[str, int | None] | None:
    """The wall-clock day of capture and the moment in ns, from a probe's facts; None when they do not say.

    A local time stands as it is; a UTC one (QuickTime) is turned into the library's zone.
    """
    local, offset, utc_ns = (facts.get(f"captured_{part}") for part in ("local", "offset_min", "utc_ns"))
    if isinstance(local, str):
        moment = datetime.fromisoformat(local)
        if isinstance(offset, int):
            moment = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
        elif moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone) if zone else moment.astimezone()
        return moment.date().isoformat(), utc_ns if isinstance(utc_ns, int) else math.floor(
            moment.timestamp()
        ) * SECOND_NS
    if isinstance(utc_ns, int):
        return local_day(utc_ns, zone), utc_ns
    return None


def local_day(at_ns: int, zone: ZoneInfo | None) -> str:
    """'YYYY-MM-DD' in the zone; a time that no calendar has becomes the first day of 1970."""
    try:
        return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).astimezone(zone).date().isoformat()
    except (OverflowError, ValueError, OSError):
        return "1970-01-01"
