"""Jobs: rows with leases. A killed daemon costs one lease; `release_leases` at start gives them back at once.

Everything here runs inside a transaction or is a point read, except ``list_…`` and ``counts``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from damfs.catalog.database import Connection
from damfs.model import BlobId, Job, JobId


class Failure(NamedTuple):
    """A job that failed for good, with a name its bytes go by."""

    job: JobId
    processor: str
    asset_name: str
    error: str


def enqueue(tx: Connection, blob: BlobId, processor: str, version: int, priority: int, at_ns: int) -> None:
    """A waiting job, in place of one that is done, or that failed at an older version."""
    tx.run(
        "INSERT INTO job (blob, processor, processor_version, priority, state, due_ns, updated_ns)"
        " VALUES (?1, ?2, ?3, ?4, 'waiting', ?5, ?5) ON CONFLICT (blob, processor) DO UPDATE SET"
        " processor_version = excluded.processor_version, priority = excluded.priority, state = 'waiting',"
        " attempts = 0, due_ns = excluded.due_ns, error = NULL, updated_ns = excluded.updated_ns"
        " WHERE job.processor_version < excluded.processor_version OR job.state = 'done'",
        blob,
        processor,
        version,
        priority,
        at_ns,
    )


def enqueue_new(tx: Connection, jobs: Iterable[tuple[BlobId, str, int, int]], at_ns: int) -> None:
    """Blob, processor, its version and priority: waiting jobs of blobs that have none."""
    tx.run_many(
        "INSERT INTO job (blob, processor, processor_version, priority, state, due_ns, updated_ns)"
        " VALUES (?1, ?2, ?3, ?4, 'waiting', ?5, ?5)",
        ((*job, at_ns) for job in jobs),
    )


def lease(tx: Connection, processors: tuple[str, ...], now_ns: int, until_ns: int) -> Job | None:
    """The most urgent job of the processors, leased; None when nothing is due."""
    marks = ", ".join("?" * len(processors))
    row = tx.row(
        "SELECT id, blob, processor, processor_version, attempts FROM job"  # noqa: S608  # marks only
        f" WHERE state = 'waiting' AND due_ns <= ? AND processor IN ({marks}) ORDER BY priority, id LIMIT 1",
        now_ns,
        *processors,
    )
    if row is None:
        return None
    id_, blob, processor, version, attempts = row
    tx.run(
        "UPDATE job SET state = 'leased', attempts = attempts + 1, due_ns = ?, updated_ns = ? WHERE id = ?",
        until_ns,
        now_ns,
        id_,
    )
    return Job(id_, blob, processor, version, attempts + 1)


def demand(tx: Connection, blob: BlobId, processor: str, version: int, priority: int, at_ns: int) -> None:
    """Somebody waits for it: a job that is due now, also where one has ended; one that waits comes before others."""
    tx.run(
        "INSERT INTO job (blob, processor, processor_version, priority, state, due_ns, updated_ns)"
        " VALUES (?1, ?2, ?3, ?4, 'waiting', ?5, ?5) ON CONFLICT (blob, processor) DO UPDATE SET"
        " processor_version = excluded.processor_version, priority = min(job.priority, excluded.priority),"
        " state = 'waiting', attempts = 0, due_ns = excluded.due_ns, error = NULL, updated_ns = excluded.updated_ns"
        " WHERE job.state <> 'leased'",
        blob,
        processor,
        version,
        priority,
        at_ns,
    )


def withdraw(tx: Connection, blob: BlobId, processor: str) -> int:
    """Nobody waits for it any more: gone, unless it runs or has ended. How many."""
    return tx.run("DELETE FROM job WHERE blob = ? AND processor = ? AND state = 'waiting'", blob, processor)


class Open(NamedTuple):
    """A job that has not ended. ``due_ns``: when it is tried, where it waits."""

    job: JobId
    blob: BlobId
    state: str
    due_ns: int
    error: str


def list_open(connection: Connection, processor: str) -> list[Open]:
    rows = connection.rows(
        "SELECT id, blob, state, due_ns, coalesce(error, '') FROM job"
        " WHERE state IN ('waiting', 'leased') AND processor = ?",
        processor,
    )
    return [Open._make(row) for row in rows]


def finish(tx: Connection, job: JobId, at_ns: int) -> None:
    tx.run("UPDATE job SET state = 'done', error = NULL, updated_ns = ? WHERE id = ?", at_ns, job)


def fail(tx: Connection, job: JobId, error: str, at_ns: int) -> None:
    """For good."""
    tx.run("UPDATE job SET state = 'failed', error = ?, updated_ns = ? WHERE id = ?", error, at_ns, job)


def retry(tx: Connection, job: JobId, error: str | None, due_ns: int, at_ns: int, *, counts: bool = True) -> None:
    """Again, not before ``due_ns``. Without ``counts`` the attempt was not the job's fault."""
    tx.run(
        "UPDATE job SET state = 'waiting', error = ?, due_ns = ?, updated_ns = ?, attempts = attempts - ?"
        " WHERE id = ? AND state = 'leased'",
        error,
        due_ns,
        at_ns,
        0 if counts else 1,
        job,
    )


def drop(tx: Connection, job: JobId) -> None:
    """There is nothing to do it for."""
    tx.run("DELETE FROM job WHERE id = ?", job)


def forget(tx: Connection, blob: BlobId, processor: str) -> None:
    """As if it had never been done: what it made is gone."""
    tx.run("DELETE FROM job WHERE blob = ? AND processor = ? AND state <> 'leased'", blob, processor)


def release_leases(tx: Connection, now_ns: int) -> int:
    """Give back what a dead daemon had leased: only one daemon runs, so at its start no lease is alive."""
    return tx.run("UPDATE job SET state = 'waiting', due_ns = ?1, updated_ns = ?1 WHERE state = 'leased'", now_ns)


def retry_failed(tx: Connection, processor: str | None, now_ns: int) -> int:
    """Every failed job (of one processor) waits again; how many."""
    return tx.run(
        "UPDATE job SET state = 'waiting', attempts = 0, due_ns = ?1, updated_ns = ?1"
        " WHERE state = 'failed' AND (?2 IS NULL OR processor = ?2)",
        now_ns,
        processor,
    )


def spare_again(tx: Connection, processor: str, now_ns: int) -> int:
    """Jobs of a processor that wait to be done once more count as done: whether they have to be is asked anew."""
    return tx.run(
        "UPDATE job SET state = 'done', updated_ns = ?1 WHERE state = 'waiting' AND processor = ?2"
        " AND EXISTS (SELECT 1 FROM fact AS f WHERE f.blob = job.blob AND f.processor = job.processor)",
        now_ns,
        processor,
    )


def do_again(tx: Connection, processor: str, now_ns: int) -> int:
    """Every job of a processor that is done waits once more; how many."""
    return tx.run(
        "UPDATE job SET state = 'waiting', attempts = 0, due_ns = ?1, updated_ns = ?1"
        " WHERE state = 'done' AND processor = ?2",
        now_ns,
        processor,
    )


def look_again(tx: Connection, job: JobId, now_ns: int) -> None:
    tx.run("UPDATE job SET state = 'waiting', attempts = 0, due_ns = ?1, updated_ns = ?1 WHERE id = ?2", now_ns, job)


def is_due(connection: Connection, processors: tuple[str, ...], now_ns: int) -> bool:
    """Whether `lease` would find a job, without a transaction."""
    marks = ", ".join("?" * len(processors))
    return connection.exists(
        f"SELECT 1 FROM job WHERE state = 'waiting' AND processor IN ({marks}) AND due_ns <= ? LIMIT 1",  # noqa: S608  # marks only
        *processors,
        now_ns,
    )


def next_due_ns(connection: Connection, processors: tuple[str, ...]) -> int | None:
    marks = ", ".join("?" * len(processors))
    return connection.value(
        int,
        f"SELECT min(due_ns) FROM job WHERE state = 'waiting' AND processor IN ({marks})",  # noqa: S608  # as above
        *processors,
    )


def hasten(tx: Connection, now_ns: int) -> int:
    """What waits for a later try waits no longer: a store came back. How many."""
    return tx.run("UPDATE job SET due_ns = ?1, updated_ns = ?1 WHERE state = 'waiting' AND due_ns > ?1", now_ns)


def states_of(connection: Connection, blob: BlobId) -> dict[str, tuple[str, int]]:
    """Processor name to (state, processor version) for the jobs of a blob."""
    return {
        processor: (state, version)
        for processor, state, version in connection.rows(
            "SELECT processor, state, processor_version FROM job WHERE blob = ?", blob
        )
    }


def of_blob(connection: Connection, blob: BlobId) -> list[tuple[str, str, str]]:
    """Processor, state and reason of the last failure ("": none) of each job of a blob."""
    return connection.rows(
        "SELECT processor, state, coalesce(error, '') FROM job WHERE blob = ? ORDER BY priority, processor", blob
    )


def counts(connection: Connection, soon_ns: int) -> dict[str, dict[str, int]]:
    """Processor to state to number of jobs; "delayed" are those waiting that are due after ``soon_ns``. Scans."""
    found: dict[str, dict[str, int]] = {}
    for processor, state, number in connection.rows(
        "SELECT processor, state, count(*) FROM job GROUP BY state, processor"
    ):
        found.setdefault(processor, {})[state] = number
    for processor, number in connection.rows(
        "SELECT processor, count(*) FROM job WHERE state = 'waiting' AND due_ns > ? GROUP BY processor", soon_ns
    ):
        found[processor]["delayed"] = number
        found[processor]["waiting"] -= number
    return found


def list_failures(connection: Connection, limit: int) -> list[Failure]:
    rows = connection.rows(
        "SELECT j.id, j.processor, coalesce((SELECT name FROM asset WHERE blob = j.blob ORDER BY id LIMIT 1), '?'),"
        " coalesce(j.error, '') FROM job AS j WHERE j.state = 'failed' ORDER BY j.id LIMIT ?",
        limit,
    )
    return [Failure._make(row) for row in rows]


class FailedJob(NamedTuple):
    job: JobId
    processor: str
    attempts: int
    updated_ns: int
    error: str


def failures_of(connection: Connection, blob: BlobId) -> list[FailedJob]:
    """The jobs of some bytes that failed for good."""
    rows = connection.rows(
        "SELECT id, processor, attempts, updated_ns, coalesce(error, '') FROM job"
        " WHERE blob = ? AND state = 'failed' ORDER BY id",
        blob,
    )
    return [FailedJob._make(row) for row in rows]


class JobLook(NamedTuple):
    """A job as people are shown it, with a name its bytes go by."""

    job: JobId
    processor: str
    version: int
    state: str
    attempts: int
    due_ns: int
    """Running: when its lease ends, which people are told; none is taken away while the daemon runs. Waiting: when it
    is tried again."""
    updated_ns: int
    error: str
    asset_name: str


LOOK = (
    "SELECT j.id, j.processor, j.processor_version, j.state, j.attempts, j.due_ns, j.updated_ns, coalesce(j.error, ''),"
    " coalesce((SELECT name FROM asset WHERE blob = j.blob ORDER BY id LIMIT 1), '?') FROM job AS j WHERE"
    " (j.state IN ('leased', 'failed') OR (j.state = 'waiting' AND j.error IS NOT NULL))"
)


def look(connection: Connection, id_: JobId) -> JobLook | None:
    """A job that is running, failed, or waits for another try."""
    row = connection.row(f"{LOOK} AND j.id = ?", id_)
    return None if row is None else JobLook._make(row)


def list_looks(connection: Connection) -> list[JobLook]:
    return [JobLook._make(row) for row in connection.rows(f"{LOOK} ORDER BY j.id")]


def list_outdated(connection: Connection, processor: str, version: int) -> list[BlobId]:
    """Blobs that an older version of the processor has done."""
    rows = connection.rows(
        "SELECT blob FROM job WHERE processor = ? AND processor_version < ? AND state IN ('done', 'failed')",
        processor,
        version,
    )
    return [blob for (blob,) in rows]
