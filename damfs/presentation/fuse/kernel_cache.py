"""Tells the kernel what changed, after it was committed, so that it may keep everything else for long.

Concurrency: `follow` runs on the loop and only queues; one thread notifies (a notification may wait for a handler, so
it never happens in one, nor under a lock). Stop that thread before the session is closed. Crash rule: none needed;
the kernel's cache dies with the mount.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import pyfuse3
from pyfuse3 import FileNameT, InodeT

from damfs.core.feed import Batch
from damfs.model import AssetId, Change
from damfs.presentation.fuse.inodes import Inode, Inodes
from damfs.presentation.views.names import qualified
from damfs.presentation.views.view import Place, Thing, ThingKind

log = logging.getLogger(__name__)

BULK = 64
"""More names than this at once: drop the place's own entry instead of each name."""
NEW_CONTENT = frozenset({"version-added", "healed", "merged"})
NEW_ATTRIBUTES = frozenset({"ingested", "times-set", "mode-set"})
FOLDER_FACETS = {"folder": "originals", "proxies": "proxies"}
"""Facets that carry the id of a folder, and the view whose inode is computed from it."""


class Notice(NamedTuple):
    """An entry of a directory to forget; without a name: an inode's attributes, and its content if that moved."""

    inode: Inode
    name: str | None
    content: bool = False


class KernelCache:
    def __init__(self, inodes: Inodes) -> None:
        self._inodes = inodes
        self._queue: queue.SimpleQueue[list[Notice] | None] = queue.SimpleQueue()
        self.noticed = 0
        """Notices the kernel was given so far."""

    async def follow(self, batches: AsyncIterator[Batch]) -> None:
        async for batch in batches:
            notices = self.notices(batch)
            if notices:
                self._queue.put(notices)

    def notices(self, batch: Batch) -> list[Notice]:
        """What the kernel must forget for one transaction's changes. Pure but for the live set it looks at."""
        names: dict[Inode, set[str]] = defaultdict(set)
        contents: dict[Inode, bool] = {}
        for change in batch:
            shown = shown_by(change)
            for inode in self._concerned(change):
                names[inode] |= shown
                contents[inode] = False
            if change.asset is not None and change.kind in NEW_CONTENT | NEW_ATTRIBUTES:
                inode = self._inodes.number(Thing(ThingKind.ASSET, change.asset))
                contents[inode] = contents.get(inode, False) or change.kind in NEW_CONTENT
        notices = [Notice(inode, None, content) for inode, content in contents.items()]
        for inode, touched in names.items():
            notices += self._of_place(inode, touched)
        return notices

    def _concerned(self, change: Change) -> set[Inode]:
        found = set(self._inodes.concerned(change.facets))
        for facet in change.facets:
            kind, _, id_ = facet.partition(":")
            if kind in FOLDER_FACETS:
                found.add(self._inodes.number(Place(FOLDER_FACETS[kind], (), int(id_))))
        return found

    def _of_place(self, inode: Inode, names: set[str]) -> Iterator[Notice]:
        parent = self._inodes.parent_entry(inode) if len(names) > BULK else None
        if parent is not None:
            yield Notice(*parent)
        else:
            yield from (Notice(inode, name) for name in names)

    @contextmanager
    def notifying(self) -> Iterator[None]:
        """The thread that notifies; ended, with what is queued, when the block is left."""
        thread = threading.Thread(target=self._notify_all, name="kernel-cache", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._queue.put(None)
            thread.join()

    def _notify_all(self) -> None:
        while (notices := self._queue.get()) is not None:
            for notice in notices:
                notify(notice)
                self.noticed += 1


def shown_by(change: Change) -> set[str]:
    """Names that listings may show because of the change: bare and qualified."""
    names = set(change.names)
    if change.asset is not None:
        names |= {qualified(name, AssetId(change.asset)) for name in change.names}
    keys = change.detail.get("keys")
    if isinstance(keys, list):
        names |= {os.fsdecode(bytes.fromhex(key)) for key in keys}
    return names


def notify(notice: Notice) -> None:
    """Blocks. The kernel may have forgotten it already, or be gone: neither is an error."""
    try:
        if notice.name is None:
            pyfuse3.invalidate_inode(InodeT(notice.inode), attr_only=not notice.content)
        else:
            pyfuse3.invalidate_entry(InodeT(notice.inode), FileNameT(os.fsencode(notice.name)))
    except FileNotFoundError:
        pass
    except OSError as error:
        log.info("the kernel did not take a notice for inode %d: %s", notice.inode, error)
