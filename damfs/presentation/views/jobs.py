"""The files of .damfs/jobs/: one for each job that runs, failed, or waits for another try, with its reason.

Point reads; `entries` scans.
"""

from __future__ import annotations

from datetime import UTC, datetime

from damfs.catalog import job_table
from damfs.catalog.database import Connection
from damfs.catalog.job_table import JobLook
from damfs.core.asset_names import NAME_LIMIT, fit, size_of
from damfs.errors import NotFound
from damfs.model import JobId
from damfs.presentation.views.names import decode_id, encode_id
from damfs.presentation.views.view import READ_FILE, Entry, Thing, ThingKind

FIRST = 1 << 40
"""Ids of texts from here on are those of jobs."""
ENDING = ".txt"
STATES = {
    "leased": "running",
    "failed": "failed for good; `damfs retry` has it tried again",
    "waiting": "is tried again",
}
DUE = {"leased": "has to end before (later if other programs use the processors)", "waiting": "next try"}
SECOND_NS = 1_000_000_000


def is_job(thing: Thing) -> bool:
    return thing.kind is ThingKind.TEXT and FIRST <= thing.id < 2 * FIRST


def entries(connection: Connection) -> list[Entry]:
    return [_entry(look) for look in job_table.list_looks(connection)]


def find(connection: Connection, name: str) -> Entry | None:
    id_ = decode_id(name.removesuffix(ENDING).rpartition("~")[2])
    look = None if id_ is None else job_table.look(connection, JobId(id_))
    return None if look is None or name_of(look) != name else _entry(look)


def entry(connection: Connection, thing: Thing) -> Entry:
    """Raises NotFound when the job is done."""
    return _entry(_look(connection, thing))


def text(connection: Connection, thing: Thing) -> bytes:
    return described(_look(connection, thing)).encode("utf-8", "surrogateescape")


def _look(connection: Connection, thing: Thing) -> JobLook:
    look = job_table.look(connection, JobId(thing.id - FIRST))
    if look is None:
        raise NotFound("the job is done")
    return look


def name_of(look: JobLook) -> str:
    """`probe-clip.mov~5.txt`: the id is that of the job."""
    mark = f"~{encode_id(look.job)}{ENDING}"
    return fit(f"{look.processor}-{look.asset_name}", NAME_LIMIT - size_of(mark)) + mark


def described(look: JobLook) -> str:
    lines = [
        f"job: {look.processor} (version {look.version})",
        f"file: {look.asset_name}",
        f"state: {STATES[look.state]}",
        f"attempts: {look.attempts}",
        f"since: {_time(look.updated_ns)}",
    ]
    if look.state in DUE:
        lines.append(f"{DUE[look.state]}: {_time(look.due_ns)}")
    return "\n".join([*lines, f"reason: {look.error or 'none'}", ""])


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns // SECOND_NS, UTC).isoformat()


def _entry(look: JobLook) -> Entry:
    return Entry(name_of(look), Thing(ThingKind.TEXT, FIRST + look.job), 0, look.updated_ns, READ_FILE)
