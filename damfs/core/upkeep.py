"""Start-up repair and the chores while mounted: leases, interrupted receptions, orphans, retries, saved vectors.

Concurrency: scans in threads, changes through the one door. Crash rule: every step may be killed and run again.
"""

from __future__ import annotations

import functools
import logging
import os
import shutil
from collections.abc import AsyncIterator, Sequence, Set

import trio

from damfs.catalog import assets, derived, folders, job_table, rewrites, stores, versions, vocabulary
from damfs.catalog.rewrites import Rewrite
from damfs.core import volumes
from damfs.core.arranging import SetDestination
from damfs.core.backups import back_up_daily
from damfs.core.batch_sealing import BatchSealing
from damfs.core.camera_proxies import settle_pairs
from damfs.core.commands import Abandon, AddTag, Command, Receive, ReceiveInto, Rename, SetSize
from damfs.core.feed import Batch
from damfs.core.folders import settle_moves
from damfs.core.further_names import names_of
from damfs.core.ingest import PlanAgain
from damfs.core.keys import keys_beside
from damfs.core.library import Library
from damfs.core.making import EnterMade, MadeFile
from damfs.core.model_progress import PLANNED_FOR
from damfs.core.outlasting import outlast
from damfs.core.processors.processor import Worker
from damfs.core.pruning import prune_versions
from damfs.core.reception import Reception
from damfs.core.rendition_upkeep import tidy_renditions
from damfs.core.results import RetryFailed
from damfs.core.rewriting import EndRewrite
from damfs.core.superseding import settle_superseding
from damfs.core.trashing import expire, settle_all, settle_interrupted_trash
from damfs.errors import DamfsError
from damfs.model import Asset, AssetId, AssetState, BlobId, FolderId, Key
from damfs.storage.droppings import is_temporary

log = logging.getLogger(__name__)

ACTOR = "upkeep"
CHORES_EVERY_S = 30.0
BATCH = 5
"""Blobs planned in one transaction: it holds the loop for about a millisecond."""
PLAN_CHANGES = frozenset(
    {"term-defined", "term-removed", "terms-imported", "model-chosen", "model-loaded", "model-dropped"}
)
"""Changes that may change which jobs there are."""
INTERRUPTED = ".part"
"""Ending of the name under which a file comes back whose reception was interrupted."""


async def repair(library: Library, reception: Reception) -> None:
    """What a crash may have left, put right; before the mount answers. Every step says what it did in the log."""
    with library.db.transaction() as tx:
        released = job_table.release_leases(tx, library.clock())
    if released:
        log.info("%d interrupted jobs go on", released)
    await trio.to_thread.run_sync(shutil.rmtree, library.state / "work", True)  # ignore_errors
    await volumes.look(library, ACTOR)
    await settle_moves(library)
    await settle_interrupted_trash(library)
    await settle_interrupted(library, reception)
    for processor in library.registry.processors:
        if processor.worker is Worker.MODEL:
            library.perform(RetryFailed(processor.name), ACTOR)


async def tidy(library: Library, before_ns: int) -> None:
    """The part of the repair that takes long in a large library and disturbs nobody: while the mount serves."""
    await tidy_renditions(library, before_ns)
    await settle_pairs(library)
    await plan_outdated(library)


async def settle_interrupted(library: Library, reception: Reception) -> None:
    """Receptions that a crash cut short.

    A row without bytes is forgotten, staged bytes without a row are superfluous (their asset was sealed). Bytes whose
    last close was seen are sealed; others come back in the inbox as ``name.part``: nothing is half an asset. The same
    holds for the next bytes of an asset that has arrived: they are a version, or a file of their own.
    """
    staged = await trio.to_thread.run_sync(library.staging.entries)
    await _enter_made(library, staged.keys())
    receiving = {asset.id: asset for asset in assets.list_receiving(library.db.writer)}
    await trio.to_thread.run_sync(library.staging.tidy, receiving.keys())
    for id_ in staged.keys() - receiving.keys() - {row.asset for row in rewrites.every(library.db.writer)}:
        await trio.to_thread.run_sync(library.staging.discard, id_)
    await settle_superseding(library, reception)
    for row in rewrites.every(library.db.writer):
        await _settle_rewrite(library, reception, row, staged.get(row.asset))
    whole = [id_ for id_, asset in receiving.items() if _is_whole(asset, staged.get(id_))]
    for id_ in receiving.keys() - set(whole):
        await _settle(library, receiving[id_], staged.get(id_))
    await _seal_all(library, reception, whole, staged.keys())


async def _enter_made(library: Library, staged: Set[AssetId]) -> None:
    """What a daemon had noted that was killed before it entered it: whether it is whole nobody knows."""
    noted = await trio.to_thread.run_sync(library.received_notes.read)
    made = [
        MadeFile(AssetId(each.number), each.name, each.mode, each.at_ns, 0, each.at_ns, closed=False)
        for each in noted
        if each.number in staged and library.asset(AssetId(each.number)) is None
    ]
    if made:
        library.perform(EnterMade(made), ACTOR, durable=True)
    await trio.to_thread.run_sync(library.received_notes.forget)


def _is_whole(asset: Asset, size: int | None) -> bool:
    """``size``: of what is staged. After a power loss that may be less than what was closed."""
    whole = asset.closed and size in {None, asset.size}
    return whole and not (size is None and is_temporary(asset.name))  # such a one was renamed over an original


async def _seal_all(library: Library, reception: Reception, whole: Sequence[AssetId], staged: Set[AssetId]) -> None:
    """Together, as thousands may have waited for that; but by itself what may have been published already."""
    there = [id_ for id_ in whole if id_ in staged]
    shared = await trio.to_thread.run_sync(lambda: set(filter(library.staging.is_shared, there)))
    for id_ in whole:
        if id_ in shared or id_ not in staged:
            await reception.seal_or_report(id_)
    async with trio.open_nursery() as nursery:
        batches = BatchSealing(library, reception, nursery)
        for id_ in there:
            if id_ not in shared:
                nursery.start_soon(batches.seal, id_)


async def _settle(library: Library, asset: Asset, size: int | None) -> None:
    """What was not closed. ``size``: of what is staged."""
    if not size:
        await trio.to_thread.run_sync(library.staging.discard, asset.id)
        library.perform(Abandon(asset.id), ACTOR)
    elif is_temporary(asset.name):
        library.perform(SetSize(asset.id, size), ACTOR)
    else:
        name = asset.name + INTERRUPTED
        log.warning("%s was interrupted; what arrived (%d bytes) is in the mount as %s", asset.name, size, name)
        library.execute([Rename(asset.id, name), SetSize(asset.id, size)], ACTOR)


async def _settle_rewrite(library: Library, reception: Reception, row: Rewrite, size: int | None) -> None:
    """``size``: of what is staged."""
    asset = library.asset(row.asset)
    if asset is None or asset.state is AssetState.RECEIVING:
        library.perform(EndRewrite(row.asset), ACTOR)
    elif row.closed and size in {None, row.size}:
        await reception.seal_or_report(asset.id)
    elif not size or await _is_current(library, asset):
        await trio.to_thread.run_sync(library.staging.discard, asset.id)
        library.perform(EndRewrite(asset.id), ACTOR)
    else:
        await _set_apart(library, asset, size)


async def _is_current(library: Library, asset: Asset) -> bool:
    """Whether what is staged are the bytes that the asset has anyway."""
    now = versions.current(library.db.writer, asset.id)
    hashed = await trio.to_thread.run_sync(library.staging.seal, asset.id)
    return now is not None and hashed.digest == now.digest


async def _set_apart(library: Library, asset: Asset, size: int) -> None:
    """What was being written over an asset when the daemon died becomes a file of its own: it may be half of it."""
    name = asset.name + INTERRUPTED
    log.warning("%s was interrupted; what was written over it (%d bytes) is in the mount as %s", asset.name, size, name)
    carried = vocabulary.tagged_terms(library.db.writer, asset.id)
    tags = [(term.id, vocabulary.tagging(library.db.writer, asset.id, term.id)) for term in carried]
    place = _beside(library, asset, os.fsencode(name)) if asset.triaged else None

    def describe(id_: AssetId) -> list[Command[object]]:
        lie = [] if place is None else [SetDestination(id_, *place)]
        return [SetSize(id_, size), *(AddTag(id_, tag, *said) for tag, said in tags), *lie]

    apart = ReceiveInto(Receive(name, asset.mode, asset.triaged), describe)
    id_ = library.perform(apart, ACTOR)
    await trio.to_thread.run_sync(library.staging.hand_over, asset.id, id_)
    library.perform(EndRewrite(asset.id), ACTOR)


def _beside(library: Library, asset: Asset, name: bytes) -> tuple[FolderId, bytes] | None:
    """A free name in the folder of the asset's file, where a person put that there or no other place shows it."""
    connection = library.db.writer
    for copy in names_of(library, asset):
        if folders.is_placed(connection, copy.id) or not vocabulary.terms_of(connection, asset.id):
            for key in keys_beside(Key(name)):
                if stores.copy_at(connection, copy.folder, key) is None and not folders.is_destined(
                    connection, copy.folder, key
                ):
                    return copy.folder, key
    return None


async def plan_outdated(library: Library) -> None:
    """Plan again what an older version of a processor has done; and everything, when what decides on jobs changed."""
    for processor in library.registry.processors:
        blobs = await library.db.read(
            lambda connection, each=processor: job_table.list_outdated(connection, each.name, each.version)  # type: ignore[misc]  # mypy cannot infer a lambda with a default
        )
        await plan_again(library, blobs)
    await plan_changed(library)


async def plan_changed(library: Library) -> None:
    """A processor was installed, a setting changed, or there is a vocabulary now: ask about every blob."""
    situation = library.planner.situation(library.db.writer)
    if derived.property_value(library.db.writer, PLANNED_FOR) == situation:
        return
    await plan_again(library, await library.db.read(assets.list_blobs))
    with library.db.transaction() as tx:
        derived.set_property(tx, PLANNED_FOR, situation)


async def plan_again(library: Library, blobs: list[BlobId]) -> None:
    for start in range(0, len(blobs), BATCH):
        commands: list[Command[object]] = [PlanAgain(blob) for blob in blobs[start : start + BATCH]]
        library.execute(commands, ACTOR)
        await trio.lowlevel.checkpoint()


async def serve_chores(
    library: Library, reception: Reception, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Tidy once; copy the catalog daily, retry what was held back, save vectors and plan for new terms and models,
    until cancelled."""
    library.tidying = True
    async with trio.open_nursery() as nursery:
        with library.feed.follow(lambda change: change.kind in PLAN_CHANGES) as batches:
            nursery.start_soon(_plan_for_news, library, batches)
            task_status.started()
            await outlast("tidying", functools.partial(tidy, library, library.clock()), 0)
            library.tidying = False
            while True:
                await outlast("chores", functools.partial(_do_chores, library, reception), CHORES_EVERY_S)


async def _plan_for_news(library: Library, batches: AsyncIterator[Batch]) -> None:
    async for _ in batches:
        await outlast("planning", functools.partial(plan_changed, library), 0)


async def _do_chores(library: Library, reception: Reception) -> None:
    try:
        await back_up_daily(library)
    except DamfsError as error:
        log.info("the daily copy of the catalog was not made: %s", error)
    await settle_all(library)
    while await expire(library):
        await trio.lowlevel.checkpoint()
    await trio.sleep(CHORES_EVERY_S)
    await plan_changed(library)
    await prune_versions(library, reception)
    for id_ in list(reception.held_back):
        await reception.seal_again(AssetId(id_))
    try:
        library.vectors.indexes.follow()
        library.note_vectors(await trio.to_thread.run_sync(functools.partial(library.vectors.indexes.save, all_=False)))
    except (DamfsError, OSError) as error:
        log.warning("the vector index could not be saved (it is made again when needed): %s", error)
