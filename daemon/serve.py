"""The daemon's life: open, repair, mount, serve in one nursery, end in order.

Order of the end: no new requests, unmount, seal what was closed, give leases back, close. A crash skips all of it:
the next start repairs.
"""

from __future__ import annotations

import faulthandler
import functools
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from daemon import sd_notify
from daemon.compose import Parts, compose
from daemon.control import serve_control
from daemon.guard import Guard, guarding
from daemon.mount import answer_kernel_calls, fuse_options, mounted, prepare_mountpoint, raise_read_ahead
from daemon.signals import watch_signals
from damfs.core import volumes
from damfs.core.library import Library, open_library
from damfs.core.model_switch import serve_models
from damfs.core.outlasting import outlast
from damfs.core.status import named
from damfs.core.status_report import Status
from damfs.core.upkeep import repair, serve_chores
from damfs.core.watcher import LOOK_EVERY_S, watch_stores
from damfs.core.worker_pool import open_worker_pool
from damfs.errors import DamfsError
from damfs.integration.service import Service
from damfs.integration.stale import free
from damfs.model import StoreKind
from damfs.settings import read_settings

log = logging.getLogger(__name__)

SEAL_LIMIT_S = 30.0
STUCK_S = 35.0
HEAR_OUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the daemon was started for."""

    library: Path
    mountpoint: Path
    options: tuple[str, ...]


async def serve(wanted: Wanted, on_ready: Callable[[], None]) -> None:
    """Until a signal, a Stop request, or an unmount from outside. Raises damfs errors when it cannot start."""
    options = fuse_options(wanted.library, wanted.options)
    free(wanted.library)
    with guarding(wanted.library, wanted.mountpoint) as guard, open_library(wanted.library) as library:
        prepare_mountpoint(wanted.mountpoint, library.path)
        library.skip = frozenset({library.path, wanted.mountpoint})
        async with open_worker_pool(library.settings) as pool, trio.open_nursery() as sealing:
            parts = compose(library, pool, sealing)
            await repair(library, parts.reception)
            await _serve_mounted(library, parts, wanted, options, on_ready, guard)
            parts.making.catch_up(again=True)
            with trio.move_on_after(SEAL_LIMIT_S):
                await parts.drafts.settled()
            sealing.cancel_scope.cancel()
        library.save_vectors()
    faulthandler.cancel_dump_traceback_later()


async def _serve_mounted(
    library: Library, parts: Parts, wanted: Wanted, options: set[str], on_ready: Callable[[], None], guard: Guard
) -> None:
    stop = trio.Event()
    service = Service(library, stop.set, parts.reception, parts.maker, parts.models)
    service.catch_up = parts.making.catch_up
    library.extend_status = functools.partial(_extended, library, parts, service, str(wanted.mountpoint))
    guard.await_ready()
    with mounted(parts.operations, wanted.mountpoint, options):
        guard.arm()
        async with _session(stop), parts.kernel_cache.notifying(), trio.open_nursery() as nursery:
            await nursery.start(functools.partial(watch_signals, stop.set, functools.partial(_reload, library)))
            await nursery.start(serve_control, library.state, service)
            await nursery.start(_follow, library, parts)
            await nursery.start(library.texts.follow)
            await nursery.start(parts.job_runner.serve)
            await nursery.start(serve_chores, library, parts.reception)
            await nursery.start(serve_models, library)
            await nursery.start(parts.sidecars.serve)
            await nursery.start(parts.notes.serve)
            await nursery.start(parts.duplicates.serve)
            nursery.start_soon(parts.making.keep_up)
            nursery.start_soon(parts.events.follow)
            nursery.start_soon(outlast, "making room for what was made on demand", parts.maker.trim)
            nursery.start_soon(parts.live.serve, wanted.mountpoint)
            nursery.start_soon(_scan_writable, library, service)
            if library.settings.indexer.watch:
                nursery.start_soon(watch_stores, library, service.watch)
            nursery.start_soon(_stay_alive)
            nursery.start_soon(trio.to_thread.run_sync, raise_read_ahead, wanted.mountpoint)
            on_ready()
            sd_notify.ready(f"{wanted.library} on {wanted.mountpoint}")
            await stop.wait()
            sd_notify.stopping()
            log.info("stopping")
            await _hear_out(wanted.mountpoint)
            faulthandler.dump_traceback_later(STUCK_S)  # one that does not come to its end says where it is
            parts.events.end()
            nursery.cancel_scope.cancel()


async def _hear_out(mountpoint: Path) -> None:
    """Closes that nobody waits for may still be on their way here; what is asked after them comes behind them."""
    with trio.move_on_after(HEAR_OUT_S):
        for _ in range(4):  # the kernel keeps some of them back until others are answered
            with suppress(OSError):
                await trio.to_thread.run_sync(os.statvfs, mountpoint, abandon_on_cancel=True)


@asynccontextmanager
async def _session(stop: trio.Event) -> AsyncIterator[None]:
    """pyfuse3's own loop around the block: handlers answer until the very end, an unmount from outside stops."""
    async with trio.open_nursery() as nursery:

        async def answer_kernel() -> None:
            await answer_kernel_calls()
            stop.set()

        nursery.start_soon(answer_kernel)
        yield
        nursery.cancel_scope.cancel()


async def _follow(
    library: Library, parts: Parts, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with library.feed.follow() as batches:
        task_status.started()
        await parts.kernel_cache.follow(batches)


async def _scan_writable(library: Library, service: Service) -> None:
    """Adopt what a crash, or a person, left in the library's own store; look whether others are there."""
    for store in library.stores():
        if store.kind is StoreKind.WRITABLE or library.settings.indexer.watch:
            await outlast(f'the scan of the store "{store.name}"', functools.partial(service.watch, store, _unheard), 0)
    while True:  # watched are the others
        await trio.sleep(LOOK_EVERY_S)
        own = library.library_store()
        if not own.online and await volumes.look(library, "scan"):
            await outlast("the scan of the originals, which are back", functools.partial(service.watch, own, _unheard))


def _unheard(_: object) -> None:
    """Nobody waits for how far a scan has come."""


def _reload(library: Library) -> None:
    """Take over the settings that can change while mounted. Wrong ones are told and left aside."""
    sd_notify.reloading()
    try:
        library.use_settings(read_settings(library.path))
    except DamfsError as error:
        log.error("settings were not read again: %s", error)
    sd_notify.ready()


def _extended(library: Library, parts: Parts, service: Service, mountpoint: str, status: Status) -> Status:
    return replace(
        status,
        mountpoint=mountpoint,
        scanning=[*service.names_being_scanned(), *_busy(library, parts)],
        unsettled=parts.drafts.unsettled + parts.making.unsettled,
        native=parts.operations.directories.native.describe(),
        held_back=named(library.db.writer, parts.reception.held_back),
    )


def _busy(library: Library, parts: Parts) -> list[str]:
    """What else is under way that changes what the mount shows."""
    under_way = {
        "renditions": library.tidying,
        "sidecars": parts.sidecars.is_busy,
        "duplicates": parts.duplicates.is_busy,
    }
    return [name for name, is_so in under_way.items() if is_so]


async def _stay_alive() -> None:
    interval = sd_notify.watchdog_interval_s()
    while interval is not None:
        sd_notify.alive()
        await trio.sleep(interval)
