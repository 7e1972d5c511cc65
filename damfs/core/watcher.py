"""Watches read-only stores while mounted: a change below starts a scan of that store, which reads only what differs.

inotify through watchfiles, on the loop; beside it a look every few seconds whether the folder is still the same one.
Crash rule: nothing is kept; a scan at the next start meets what was missed.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio
from watchfiles import awatch

from damfs.core.arriving import NOBODY, QUIET_S, Met, met_again, why_not_yet
from damfs.core.library import Library
from damfs.errors import DamfsError
from damfs.model import Key, Store, StoreKind
from damfs.storage.blob_store import BlobStore
from damfs.storage.droppings import is_dropping

log = logging.getLogger(__name__)

Scan = Callable[[Store, Callable[[object], None]], Awaitable[object]]
QUIET_MS = 800
"""A scan begins when nothing has changed for so long, or after `LIMIT_MS`."""
LIMIT_MS = 5000
LOOK_EVERY_S = 2.0
"""How often to look whether the folder is (still) there."""


async def watch_stores(library: Library, scan: Scan) -> None:
    """Until cancelled; stores that are added meanwhile are watched as well."""
    watched: set[int] = set()
    async with trio.open_nursery() as nursery:
        with library.feed.follow(lambda change: change.kind == "store-added") as batches:
            _watch_new(library, scan, watched, nursery)
            async for _ in batches:
                _watch_new(library, scan, watched, nursery)


def _watch_new(library: Library, scan: Scan, watched: set[int], nursery: trio.Nursery) -> None:
    for store in library.stores():
        if store.kind is StoreKind.READ_ONLY and store.id not in watched:
            watched.add(store.id)
            nursery.start_soon(_watch, library, store, scan)


async def _watch(library: Library, store: Store, scan: Scan) -> None:
    """Until cancelled. A folder that goes away is offline; when it is there again it is scanned and watched again."""
    root = Path(store.root)
    while True:
        try:
            await _watch_folder(library, store, scan, root)
        except Exception as error:  # noqa: BLE001  # watchfiles raises a class of its own, e.g. for names that are no UTF-8
            log.info('watching of the store "%s" was interrupted (%s)', store.name, error)
        await _scan_once(library, store, scan)
        await _until_there(root)


async def _until_there(root: Path) -> None:
    """Nothing tells of a volume that comes: look again and again."""
    while True:
        await trio.sleep(LOOK_EVERY_S)
        if await trio.to_thread.run_sync(_identity, root, abandon_on_cancel=True) is not None:
            return


async def _watch_folder(library: Library, store: Store, scan: Scan, root: Path) -> None:
    """Until another folder, or none, is at the path: its volume came or went."""
    began = await trio.to_thread.run_sync(_identity, root, abandon_on_cancel=True)
    first = True
    if began is None:
        return
    async for changes in awatch(
        root,
        watch_filter=lambda _, path: concerns(path),
        debounce=LIMIT_MS,
        step=QUIET_MS,
        ignore_permission_denied=True,
        rust_timeout=round(LOOK_EVERY_S * 1000),
        yield_on_timeout=True,
    ):
        if await trio.to_thread.run_sync(_identity, root, abandon_on_cancel=True) != began:
            return
        # what changed before the watch began is met at first; what only grows is no news until it is whole
        if first or await trio.to_thread.run_sync(_is_news, library, store, root, {path for _, path in changes}):
            await _scan_once(library, store, scan)
        first = False


def _is_news(library: Library, store: Store, root: Path, changed: set[str]) -> bool:
    """Whether anything changed beside the files that are known to be written, or one of these is whole now. Blocks."""
    waiting = library.arriving.get(store.id, NOBODY)
    if changed - {os.fsdecode(os.path.join(os.fsencode(root), key)) for key in waiting}:
        return True
    files, now = library.blob_store(store.id), library.clock()
    met = {key: _still_waits(files, key, now, before) for key, before in waiting.items()}
    library.arriving[store.id] = {key: now_met or waiting[key] for key, now_met in met.items()}
    return not all(met.values())


def _still_waits(files: BlobStore, key: Key, now_ns: int, before: Met) -> Met | None:
    """How it is met now; None when it is whole, or gone: then a scan says so."""
    try:
        fact = files.stat(key)
    except DamfsError:
        return None
    met = met_again(before, fact, now_ns)
    return None if why_not_yet(files, fact, now_ns, QUIET_S, met) is None else met


def _identity(root: Path) -> tuple[int, int] | None:
    """Which folder is there. Blocks, on a network volume perhaps for long."""
    try:
        status = root.stat()
    except OSError:
        return None
    return (status.st_dev, status.st_ino) if stat.S_ISDIR(status.st_mode) else None


async def _scan_once(library: Library, store: Store, scan: Scan) -> None:
    now = next(each for each in library.stores() if each.id == store.id)
    try:
        await scan(now, lambda _: None)
    except DamfsError as error:
        log.info("%s", error)
    except Exception:  # an error never ends the mount (P8)
        log.exception('the scan of the store "%s" failed unexpectedly', store.name)


def concerns(path: str) -> bool:
    """Whether a change of this path may matter: desktops' droppings do not."""
    return not is_dropping(Path(path).name)
