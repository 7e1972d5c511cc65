"""The texts of failed/: for each asset with a job that failed for good, or that is held back, why, and what to do.

Point reads. The id of a text is that of its asset, from `FIRST` on.
"""

from __future__ import annotations

from datetime import UTC, datetime

from damfs.catalog import assets, job_table
from damfs.catalog.database import Connection
from damfs.catalog.job_table import FailedJob
from damfs.core.library import Library
from damfs.errors import NotFound
from damfs.model import Asset, AssetId
from damfs.presentation.views.view import READ_FILE, Entry, Thing, ThingKind

FIRST = 1 << 41
"""Ids of texts from here on are those of assets that failed."""
ENDING = ".txt"
SECOND_NS = 1_000_000_000


def is_failure(thing: Thing) -> bool:
    return thing.kind is ThingKind.TEXT and FIRST <= thing.id < 2 * FIRST


def text_of(name: str, asset: AssetId, at_ns: int) -> Entry:
    """The entry of an asset's text."""
    return Entry(name, Thing(ThingKind.TEXT, FIRST + asset), 0, at_ns, READ_FILE)


def entry(library: Library, connection: Connection, thing: Thing) -> Entry:
    """Raises NotFound when nothing of it has failed, or not any more."""
    asset, _, _ = _found(library, connection, thing)
    return text_of("", asset.id, asset.mtime_ns)


def text(library: Library, connection: Connection, thing: Thing) -> bytes:
    asset, failed, held = _found(library, connection, thing)
    parts = [f"{asset.name}\n", *(_of_job(job, library) for job in failed), *([_of_held(held)] if held else [])]
    return "\n".join(parts).encode("utf-8", "surrogateescape")


def _found(library: Library, connection: Connection, thing: Thing) -> tuple[Asset, list[FailedJob], str]:
    asset = assets.asset(connection, AssetId(thing.id - FIRST))
    if asset is None:
        raise NotFound("the asset is gone")
    failed = [] if asset.blob is None else job_table.failures_of(connection, asset.blob)
    held = library.held_back.get(asset.id, "")
    if not failed and not held:
        raise NotFound("nothing of it has failed any more")
    return asset, failed, held


def _of_job(job: FailedJob, library: Library) -> str:
    when = datetime.fromtimestamp(job.updated_ns // SECOND_NS, UTC).isoformat()
    return (
        f"{job.processor}: failed for good at {when} (attempt {job.attempts})\n"
        f"  reason: {job.error or 'none was given'}\n"
        f"  what to do: write a good file over it, and it is tried by itself; or have these bytes tried again with\n"
        f"    damfs retry {library.path} {job.processor}\n"
    )


def _of_held(reason: str) -> str:
    return (
        "held back: it was received whole and could not be published\n"
        f"  reason: {reason}\n"
        "  what to do: make room, or mend that; it is tried again every half minute, and nothing is lost meanwhile\n"
    )
