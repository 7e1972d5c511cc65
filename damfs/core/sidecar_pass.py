"""All sidecars of a library at once: which there are, and each brought into step with the catalog.

Concurrency: on the loop, one at a time with a checkpoint between; scans of tables in reader threads. Crash rule: may be
killed and run again; what is in step already is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import trio

from damfs.catalog import sidecars
from damfs.core.commands import Command
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.sidecar_dues import Tried, settle
from damfs.core.sidecar_links import LinkSidecar
from damfs.core.sidecar_report import SidecarReport
from damfs.core.sidecar_sync import Outcome, sync_sidecar, write_new
from damfs.core.sidecar_words import remark_of
from damfs.errors import DamfsError
from damfs.model import AssetId, StoreId

BATCH = 100
Report = Callable[[int, int], None]
"""So many of so many are done."""


async def link_all(library: Library, store: StoreId, actor: str) -> int:
    """Let the catalog know which files of a store are sidecars, and of what. How many are called like one."""
    found = await library.db.read(lambda connection: sidecars.list_files(connection, store))
    for start in range(0, len(found), BATCH):
        commands: Sequence[Command[object]] = [LinkSidecar(id_) for id_ in found[start : start + BATCH]]
        library.execute(commands, actor)
        await trio.lowlevel.checkpoint()
    return len(found)


async def sync_all(
    library: Library, reception: Reception, actor: str, *, write: bool, report: Report = lambda _, __: None
) -> SidecarReport:
    """``write``: what is said here goes into the sidecars of writable stores, which are made where there are none."""
    for store in library.stores():
        await link_all(library, store.id, actor)
    found, new = await library.db.read(sidecars.list_all), list[AssetId]()
    if write:
        new = await library.db.read(sidecars.list_spoken_of)
    summary, tried, total = SidecarReport(), Tried(), len(found) + len(new)
    for done, id_ in enumerate(found):
        summary.sidecars += 1
        row, outcome = sidecars.of(library.db.writer, id_), await try_sync(library, reception, id_, actor, write=write)
        if row is not None:
            tried.note(row.original, outcome.problem if outcome.is_due else "")
        count(summary, outcome)
        report(done, total)
        await trio.lowlevel.checkpoint()
    for done, id_ in enumerate(new, start=len(found)):
        if not sidecars.of_original(library.db.writer, id_):
            tried.note(id_, await _make(library, reception, id_, actor, summary))
        report(done, total)
    if write:
        settle(library, tried.reasons)
    report(total, total)
    return summary


async def _make(library: Library, reception: Reception, id_: AssetId, actor: str, summary: SidecarReport) -> str:
    """Why it was not made; '' where none is needed."""
    try:
        made = await write_new(library, reception, id_, actor)
    except DamfsError as error:
        summary.problems.append(str(error))
        return str(error)
    if made is not None:
        summary.sidecars += 1
        summary.made += 1
        summary.written += 1
        remark = remark_of(library.db.writer, id_, library.known(made).name)
        summary.remarks += [remark] if remark else []
    return ""


async def try_sync(library: Library, reception: Reception, id_: AssetId, actor: str, *, write: bool) -> Outcome:
    """What goes wrong with one is told, and is no reason to stop."""
    try:
        return await sync_sidecar(library, reception, id_, actor, write=write)
    except DamfsError as error:
        asset = library.asset(id_)
        return Outcome(problem=f"{'' if asset is None else asset.name}: {error}", is_due=write)


def count(summary: SidecarReport, outcome: Outcome) -> None:
    summary.read += outcome.read
    summary.written += outcome.written
    if outcome.problem:
        summary.problems.append(outcome.problem)
    if outcome.remark:
        summary.remarks.append(outcome.remark)
