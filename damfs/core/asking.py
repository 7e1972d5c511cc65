"""Asking for a proxy of some bytes by a profile, and taking that back: commands, applied in one transaction each.

What was asked for is a fact of the bytes, so that a proxy that gets lost is made again. Whatever names the bytes have,
they are worked on once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from damfs.catalog import derived, job_table
from damfs.catalog.database import Connection
from damfs.core.commands import Execution
from damfs.core.library import Library
from damfs.core.processors.profiles import PROFILES
from damfs.core.processors.proxy import ASKED
from damfs.errors import NotFound, Refused
from damfs.model import BlobId, Facts, RenditionKind

PRIORITY = 40
"""Before what is worked on without anybody waiting for it, after what makes files known."""


class Answer(StrEnum):
    THERE = "there"
    WAITING = "waiting"


@dataclass(frozen=True, slots=True)
class ProxyJob:
    """Which processor makes a profile of some bytes."""

    blob: BlobId
    profile: str
    processor: str
    version: int


def proxy_job(library: Library, blob: BlobId, profile: str) -> ProxyJob:
    """Raises NotFound for a profile that there is not, Refused when its processor cannot be used."""
    if profile not in PROFILES:
        raise NotFound(f'no profile "{profile}"; there are: {", ".join(PROFILES)}')
    facts = derived.facts_of(library.db.writer, blob)
    name = processor_of(facts, profile, library.settings.proxy.profile)
    for processor in library.registry.processors:
        if processor.name == name:
            return ProxyJob(blob, profile, name, processor.version)
    raise Refused(f"{profile} cannot be made here: {library.registry.statuses.get(name, 'it is not installed')}")


def processor_of(facts: Mapping[str, Facts], profile: str, default: str) -> str:
    """`proxy` for the profile of the settings, unless it ran when they said another."""
    own = profile == default and facts.get("proxy", {}).get("wanted", profile) == profile
    return "proxy" if own else f"proxy-{profile}"


def is_made(connection: Connection, job: ProxyJob) -> bool:
    """Whether there is one, or one of the profile that takes its place."""
    instead = derived.facts_by(connection, job.blob, job.processor).get("profile")
    made = {row.profile for row in derived.renditions_of(connection, job.blob) if row.kind is RenditionKind.PROXY}
    return bool(made & {job.profile, instead})


@dataclass(frozen=True, slots=True)
class AskForProxy:
    """Have it made now, also where none is needed or an attempt has failed; nothing where there is one."""

    job: ProxyJob

    def apply(self, x: Execution) -> Answer:
        job = self.job
        if is_made(x.tx, job):
            return Answer.THERE
        wanted = profiles_asked(x.tx, job.blob) | {job.profile}
        derived.set_facts(x.tx, job.blob, ASKED, {"proxies": sorted(wanted)})
        job_table.demand(x.tx, job.blob, job.processor, job.version, PRIORITY, x.at_ns)
        x.changes.record("proxy-asked", frozenset(), detail={"blob": job.blob, "profile": job.profile})
        return Answer.WAITING


@dataclass(frozen=True, slots=True)
class WithdrawProxy:
    """As if nobody had asked; one that is being made is made. Whether it still waited."""

    job: ProxyJob

    def apply(self, x: Execution) -> bool:
        job = self.job
        waited = bool(job_table.withdraw(x.tx, job.blob, job.processor))
        if waited:
            wanted = profiles_asked(x.tx, job.blob) - {job.profile}
            derived.set_facts(x.tx, job.blob, ASKED, {"proxies": sorted(wanted)})
            x.planner.plan_jobs(x.tx, job.blob, x.at_ns)  # the settings may want it all the same
        return waited


def profiles_asked(connection: Connection, blob: BlobId) -> set[str]:
    found = derived.facts_by(connection, blob, ASKED).get("proxies", ())
    return set(found) if isinstance(found, list | tuple) else set()
