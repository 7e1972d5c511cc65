"""A batch of proxies: asks for each, and waits for all with a report of how far they are.

Concurrency: on the loop; the job table is read in a reader thread, the progress of what runs in a thread. Crash rule:
what was asked for is in the catalog: it goes on when the library is mounted again, or when it is asked for once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from damfs.catalog import job_table
from damfs.catalog.job_table import Open
from damfs.core.asking import Answer, AskForProxy, ProxyJob, WithdrawProxy, is_made, proxy_job
from damfs.core.batch_report import BatchReport
from damfs.core.library import Library
from damfs.core.processors.telling import PROGRESS, share_of
from damfs.model import Asset, AssetId, BlobId, Media

ASKED_AT_ONCE = 100
LOOK_EVERY_S = 0.4
DELAYED_NS = 60_000_000_000
"""A job whose next try is further away than this is not waited for."""

Report = Callable[[int, int, int, int], None]
"""Files done, files, bytes done, bytes."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Some bytes to be worked on, with the names they go by."""

    job: ProxyJob
    names: tuple[str, ...]
    size: int


def gather(library: Library, ids: Iterable[AssetId], profile: str) -> tuple[list[Wanted], BatchReport]:
    """The different bytes among some assets. Raises NotFound, Refused as `proxy_job`."""
    report, by_blob = BatchReport(profile), dict[BlobId, list[Asset]]()
    for id_ in dict.fromkeys(ids):
        asset = library.asset(id_)
        if asset is None or asset.blob is None or asset.media is not Media.VIDEO:
            report.no_video += 1
        else:
            report.files += 1
            by_blob.setdefault(asset.blob, []).append(asset)
    report.same_bytes = report.files - len(by_blob)
    wanted = [
        Wanted(proxy_job(library, blob, profile), tuple(asset.name for asset in found), found[0].size)
        for blob, found in by_blob.items()
    ]
    return wanted, report


async def ask_for(library: Library, wanted: Sequence[Wanted], report: BatchReport, actor: str) -> list[Wanted]:
    """Enter all into the catalog; those that are to be made."""
    left: list[Wanted] = []
    for start in range(0, len(wanted), ASKED_AT_ONCE):
        part = wanted[start : start + ASKED_AT_ONCE]
        answers = library.execute([AskForProxy(each.job) for each in part], actor)
        left += [each for each, answer in zip(part, answers, strict=True) if answer is Answer.WAITING]
        await trio.lowlevel.checkpoint()
    report.there = len(wanted) - len(left)
    return left


async def withdraw(library: Library, wanted: Sequence[Wanted], actor: str) -> int:
    """Take back what still waits; how many."""
    taken = 0
    for start in range(0, len(wanted), ASKED_AT_ONCE):
        part = wanted[start : start + ASKED_AT_ONCE]
        taken += sum(map(bool, library.execute([WithdrawProxy(each.job) for each in part], actor)))
        await trio.lowlevel.checkpoint()
    return taken


async def wait_for(library: Library, left: Sequence[Wanted], batch: BatchReport, report: Report) -> None:
    """Until each is made, has failed, or has to wait for something else."""
    size = sum(each.size for each in left)
    processors = sorted({each.job.processor for each in left})
    while True:
        still = await _open(library, processors)
        shares = await trio.to_thread.run_sync(_shares, library.state / "work", still)
        open_ = [each for each in left if each.job.blob in still]
        begun = sum(round(each.size * shares.get(each.job.blob, 0.0)) for each in open_)
        report(len(left) - len(open_), len(left), size - sum(each.size for each in open_) + begun, size)
        if all(_is_delayed(still[each.job.blob], library.clock()) for each in open_):
            break
        await trio.sleep(LOOK_EVERY_S)
    for each in left:
        _conclude(library, each, still.get(each.job.blob), batch)


async def _open(library: Library, processors: Sequence[str]) -> dict[BlobId, Open]:
    rows = await library.db.read(
        lambda connection: [row for name in processors for row in job_table.list_open(connection, name)]
    )
    return {row.blob: row for row in rows}


def _is_delayed(job: Open, now_ns: int) -> bool:
    return job.state == "waiting" and bool(job.error) and job.due_ns > now_ns + DELAYED_NS


def _shares(work: Path, still: Mapping[BlobId, Open]) -> dict[BlobId, float]:
    """How far those are that run. Blocks."""
    found: dict[BlobId, float] = {}
    for blob, job in still.items():
        for path in work.glob(f"{job.job}-*/{PROGRESS}") if job.state == "leased" else ():
            share = share_of(path)
            if share is not None:
                found[blob] = share
    return found


def _conclude(library: Library, wanted: Wanted, job: Open | None, batch: BatchReport) -> None:
    connection, name = library.db.writer, wanted.names[0]
    failed = job_table.failures_of(connection, wanted.job.blob)
    errors = [each.error for each in failed if each.processor == wanted.job.processor]
    if job is not None:
        batch.delayed[name] = job.error
    elif is_made(connection, wanted.job):
        batch.made += 1
    elif errors:
        batch.failed[name] = errors[0]
    else:
        batch.withdrawn += 1
