"""Watches read-only stores while mounted: a change below starts a scan of that store, which reads only what differs.

inotify through watchfiles, on the loop. A store that cannot be watched is scanned on demand only, and the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio
from watchfiles import awatch

from damfs.core.library import Library
from damfs.errors import DamfsError
from damfs.model import Store, StoreKind
from damfs.storage.droppings import is_dropping

log = logging.getLogger(__name__)

Scan = Callable[[Store, Callable[[object], None]], Awaitable[object]]
QUIET_MS = 800
"""A scan begins when nothing has changed for so long, or after `LIMIT_MS`."""
LIMIT_MS = 5000


async def watch_stores(library: Library, scan: Scan) -> None:
    """Until cancelled; stores that are added meanwhile are watched as well."""
    watched: set[int] = set()
    async with trio.open_nursery() as nursery:
        with library.feed.follow() as batches:
            _watch_new(library, scan, watched, nursery)
            async for batch in batches:
                if any(change.kind == "store-added" for change in batch):
                    _watch_new(library, scan, watched, nursery)


def _watch_new(library: Library, scan: Scan, watched: set[int], nursery: trio.Nursery) -> None:
    for store in library.stores():
        if store.kind is StoreKind.READ_ONLY and store.id not in watched:
            watched.add(store.id)
            nursery.start_soon(_watch, library, store, scan)


async def _watch(library: Library, store: Store, scan: Scan) -> None:
    try:
        async for _ in awatch(
            store.root,
            watch_filter=lambda _, path: concerns(path),
            debounce=LIMIT_MS,
            step=QUIET_MS,
            ignore_permission_denied=True,
            rust_timeout=1000,
        ):
            await _scan_once(library, store, scan)
    except OSError as error:
        log.info('the store "%s" cannot be watched (%s); scan it with: damfs scan', store.name, error)


async def _scan_once(library: Library, store: Store, scan: Scan) -> None:
    now = next(each for each in library.stores() if each.id == store.id)
    try:
        await scan(now, lambda _: None)
    except DamfsError as error:
        log.info("%s", error)


def concerns(path: str) -> bool:
    """Whether a change of this path may matter: desktops' droppings do not."""
    return not is_dropping(Path(path).name)
