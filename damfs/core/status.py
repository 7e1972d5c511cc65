"""How a library is: what it holds, what is still to do, what failed and why. One answer for mount, CLI and API.

`status_of` scans: call it in a reader thread. The record is plain data, ready for JSON.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from damfs.catalog import assets, job_table, stores
from damfs.catalog.database import Connection
from damfs.core.processor_registry import ProcessorRegistry

FAILURES_SHOWN = 100
STATES = ("waiting", "leased", "done", "failed")


@dataclass(frozen=True, slots=True)
class JobCount:
    processor: str
    waiting: int
    running: int
    done: int
    failed: int


@dataclass(frozen=True, slots=True)
class FailedJob:
    processor: str
    name: str
    error: str


@dataclass(frozen=True, slots=True)
class StoreStatus:
    name: str
    kind: str
    root: str
    online: bool
    copies: int
    missing: int
    damaged: int


@dataclass(frozen=True, slots=True)
class Status:
    library: str
    assets: dict[str, int]
    """Number by state."""
    stores: list[StoreStatus]
    jobs: list[JobCount]
    failures: list[FailedJob]
    processors: dict[str, str]
    model: str
    """What ranks similar-to/ and why."""
    receiving: int
    """Files that were not yet published."""
    mountpoint: str | None = None
    unsettled: int = 0
    """Files that are open for writing or being sealed."""
    scanning: list[str] = field(default_factory=list)
    held_back: dict[str, str] = field(default_factory=dict)

    @property
    def to_do(self) -> int:
        """Steps that are still to be done."""
        return sum(count.waiting + count.running for count in self.jobs)

    @property
    def failed(self) -> int:
        return sum(count.failed for count in self.jobs)


def status_of(connection: Connection, library: str, registry: ProcessorRegistry, model: str) -> Status:
    by_state = assets.list_state_counts(connection)
    counts = job_table.counts(connection)
    return Status(
        library=library,
        assets=by_state,
        stores=_stores(connection),
        jobs=[JobCount(name, *(found.get(state, 0) for state in STATES)) for name, found in sorted(counts.items())],
        failures=[
            FailedJob(failure.processor, failure.asset_name, failure.error)
            for failure in job_table.list_failures(connection, FAILURES_SHOWN)
        ],
        processors=dict(registry.statuses),
        model=model,
        receiving=by_state.get("receiving", 0),
    )


def _stores(connection: Connection) -> list[StoreStatus]:
    counts = stores.list_copy_counts(connection)
    return [
        StoreStatus(
            store.name, store.kind, store.root, store.online,
            *(counts.get((store.id, state), 0) for state in ("present", "missing", "damaged")),
        )
        for store in stores.all_stores(connection)
    ]  # fmt: skip


def as_text(status: Status) -> str:
    """For people: a few aligned lines."""
    lines = [f"library   {status.library}", f"assets    {_listed(status.assets)}", f"model     {status.model}"]
    if status.mountpoint:
        lines.insert(1, f"mounted   {status.mountpoint}")
    for store in status.stores:
        where = f" {store.root}" if store.root else ""
        state = "" if store.online else ", OFFLINE"
        counts = _listed({"files": store.copies, "missing": store.missing, "damaged": store.damaged})
        lines.append(f"store     {store.name} ({store.kind}{state}){where}: {counts}")
    for count in status.jobs:
        numbers = {"waiting": count.waiting, "running": count.running, "done": count.done, "failed": count.failed}
        lines.append(f"jobs      {count.processor}: {_listed(numbers)}")
    lines += [f"processor {name}: {state}" for name, state in status.processors.items() if state != "ready"]
    lines += [f"scanning  {name}" for name in status.scanning]
    lines += [f"held back {name}: {reason}" for name, reason in status.held_back.items()]
    lines += [f"failed    {failure.processor}: {failure.name}: {failure.error}" for failure in status.failures]
    return "\n".join(lines) + "\n"


def _listed(numbers: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in numbers.items() if number) or "none"
