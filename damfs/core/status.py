"""How a library is: what it holds, what is still to do, what failed and why. One answer for mount, CLI and API.

`status_of` scans: call it in a reader thread. The record is plain data, ready for JSON.
"""

from __future__ import annotations

from collections.abc import Mapping

from damfs.catalog import assets, job_table, sidecars, stores
from damfs.catalog.database import Connection
from damfs.core.processor_registry import ProcessorRegistry
from damfs.core.status_report import FailedJob, JobCount, Status, StoreStatus
from damfs.model import AssetId
from damfs.storage.droppings import is_temporary

FAILURES_SHOWN = 100
UNPUBLISHED = "it was received whole; it is published as soon as the library is mounted, or the reason why not is told"
STATES = ("waiting", "leased", "done", "failed", "delayed")
SOON_NS = 60_000_000_000
"""A job that waits longer than this for its next try counts as delayed: its store is offline, most likely."""


def status_of(connection: Connection, library: str, registry: ProcessorRegistry, model: str, now_ns: int) -> Status:
    by_state = assets.list_state_counts(connection)
    counts = job_table.counts(connection, now_ns + SOON_NS)
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
        sidecars=named(
            connection, {**sidecars.due(connection, FAILURES_SHOWN), **sidecars.problems(connection, FAILURES_SHOWN)}
        ),
        held_back=named(connection, dict.fromkeys(_unpublished(connection), UNPUBLISHED)),
    )


def _unpublished(connection: Connection) -> list[AssetId]:
    """Files that were received whole: a daemon publishes them, or knows why it cannot."""
    return [each.id for each in assets.list_receiving(connection) if each.closed and not is_temporary(each.name)]


def named(connection: Connection, reasons: Mapping[AssetId, str]) -> dict[str, str]:
    """By the names of the assets, or by name and number where two have one."""
    found: dict[str, str] = {}
    for id_, reason in reasons.items():
        asset = assets.asset(connection, id_)
        name = str(id_) if asset is None else asset.name
        found[f"{name} ({id_})" if name in found else name] = reason
    return found


def _stores(connection: Connection) -> list[StoreStatus]:
    counts = stores.list_copy_counts(connection)
    return [
        StoreStatus(
            store.name, store.kind, store.root, store.online,
            *(counts.get((store.id, state), 0) for state in ("present", "missing", "damaged")),
        )
        for store in stores.all_stores(connection)
    ]  # fmt: skip
