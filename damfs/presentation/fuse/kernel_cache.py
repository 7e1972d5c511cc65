"""Tells the kernel what changed, after it was committed, so that it may keep everything else for long.

Concurrency: `follow` runs on the loop and only queues; one thread notifies (a notification may wait for a handler, so
it never happens in one, nor under a lock). That thread ends while the kernel is still being answered: it may wait for
somebody who waits for a handler. Crash rule: none needed; the kernel's cache dies with the mount.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import pyfuse3
import trio
from pyfuse3 import FileNameT, InodeT

from damfs.core.feed import Batch
from damfs.model import AssetId, Change
from damfs.presentation.fuse.inodes import Inode, Inodes
from damfs.presentation.fuse.listings import Listings
from damfs.presentation.views.names import qualified
from damfs.presentation.views.view import Place

log = logging.getLogger(__name__)

BULK = 64
"""More names than this at once: drop the place's own entry instead of each name."""
END_LIMIT_S = 5.0
"""Where nobody answers the kernel any more, the thread may wait for ever: closing the session frees it."""
TERM_CHANGES = frozenset({"term-defined", "term-renamed", "term-removed", "term-labelled", "term-merged"})
NEW_CONTENT = frozenset({"version-added", "rewrite-ended", "healed", "merged"})
NEW_ATTRIBUTES = frozenset({"rewriting", "times-set", "mode-set"})
AS_IT_WAS = frozenset({"ingested"})
"""Whoever has asked for the attributes was told the same; but a listing may have been made before."""
FOLDER_FACETS = {"folder": ("originals",), "proxies": ("proxies", "previews"), "versions": ("versions",)}
"""Facets that carry the id of a folder or an asset, and the views whose inodes are computed from it."""


class Notice(NamedTuple):
    """An entry of a directory to forget; without a name: an inode's attributes, and its content if that moved."""

    inode: Inode
    name: str | None
    content: bool = False


class KernelCache:
    def __init__(self, inodes: Inodes, listings: Listings) -> None:
        self._inodes = inodes
        self._listings = listings
        self._queue: queue.SimpleQueue[tuple[list[Notice], Callable[[], None] | None] | None] = queue.SimpleQueue()
        self._turn = threading.Lock()
        self._token: trio.lowlevel.TrioToken | None = None
        self.before_notices: Callable[[Batch], Callable[[], None] | None] = lambda _: None
        """Asked for each batch before the kernel is told of it; what it answers is called, on the loop, after."""
        self._made: dict[AssetId, tuple[Inode, str]] = {}
        self.just_made: dict[AssetId, tuple[Inode, str]] = {}
        """Of the batch at hand."""
        self._later: dict[Inode, bool] = {}
        """Directories in which the kernel has made names. It knows that they changed, but for an answer that crossed
        its own call: they are told of with the next other news."""
        self.version_added: Callable[[AssetId], None] = lambda _: None
        """Told first of a new version; see `OpenFiles`."""
        self.noticed = 0
        """Notices the kernel was given so far."""

    async def follow(self, batches: AsyncIterator[Batch]) -> None:
        async for batch in batches:
            try:
                notices = self.notices(batch)
            except Exception:  # an error never ends the mount (P8): what is stale is stale until it is forgotten
                log.exception("the kernel could not be told of a change: %s", batch)
            else:
                after = self._after(batch)
                if notices or after is not None:
                    self._queue.put((notices, after))

    def _after(self, batch: Batch) -> Callable[[], None] | None:
        try:
            return self.before_notices(batch)
        except Exception:  # as above: the notices matter more
            log.exception("watchers are not told of a change: %s", batch)
            return None

    def forget_name(self, inode: int, name: bytes) -> None:
        """The kernel is about to believe in a name that its directory may not list: it is to ask for it."""
        self._queue.put(([Notice(Inode(inode), os.fsdecode(name))], None))

    async def forgotten(self, inode: Inode, name: str) -> None:
        """Returns when the kernel has forgotten the name."""
        done = trio.Event()
        self._queue.put(([Notice(inode, name)], done.set))
        await done.wait()

    def made_by_kernel(self, asset: AssetId, inode: int, name: bytes) -> None:
        """A name that the kernel has just made itself, and knows: forgetting it would have it look again."""
        self._made[asset] = Inode(inode), os.fsdecode(name)

    def forget_listing(self, inode: Inode) -> None:
        """A reader took a listing to its end that is not what the directory holds now."""
        self._queue.put(([Notice(inode, None, content=True)], None))

    def notices(self, batch: Batch) -> list[Notice]:
        """What the kernel must forget for one transaction's changes. Pure but for the live set it looks at."""
        names: dict[Inode, set[str]] = defaultdict(set)
        contents: dict[Inode, bool] = {}
        notices_of_terms: list[Notice] = []
        self.just_made = self._take_made(batch)
        for change in batch:
            notices_of_terms += self._of_terms(change)
            shown = shown_by(change)
            for inode in self._touched(change):
                names[inode] |= shown
                contents[inode] = self._listings.changed(inode)
            if change.asset is not None and self._is_other_file(change):
                inode = self._inodes.handle(change.asset)
                contents[inode] = contents.get(inode, False) or change.kind in NEW_CONTENT
        if self.just_made.keys() < {change.asset for change in batch}:
            contents, self._later = {**self._later, **contents}, {}
        notices = notices_of_terms + [Notice(inode, None, content) for inode, content in contents.items()]
        for inode, touched in names.items():
            notices += self._of_place(inode, touched)
        return notices

    def _touched(self, change: Change) -> Iterator[Inode]:
        """Places of which the kernel has something to forget now."""
        for inode in self.concerned(change):
            if self.is_just_made(change, inode):
                self._later[inode] = self._listings.changed(inode) or self._later.get(inode, False)
            else:
                yield inode

    def _is_other_file(self, change: Change) -> bool:
        """Whether the asset has other attributes now, or other bytes."""
        if change.kind in NEW_CONTENT | NEW_ATTRIBUTES | AS_IT_WAS:
            self._listings.dated()
        if change.kind == "version-added" and change.asset is not None:
            self.version_added(AssetId(change.asset))
        return change.kind in NEW_CONTENT | NEW_ATTRIBUTES

    def _take_made(self, batch: Batch) -> dict[AssetId, tuple[Inode, str]]:
        return {id_: self._made.pop(id_) for change in batch if (id_ := change.asset) is not None and id_ in self._made}

    def is_just_made(self, change: Change, inode: Inode) -> bool:
        """Whether the change is that the kernel itself made a name in that directory. Nobody can have asked there for
        the longer form of the name, and it is the last of those that are called so."""
        return change.asset is not None and self.just_made.get(change.asset, (None, ""))[0] == inode

    def concerned(self, change: Change) -> set[Inode]:
        """Places that may list something else now, and that the kernel may hold."""
        found = set(self._inodes.concerned(change.facets))
        for facet in change.facets:
            kind, _, id_ = facet.partition(":")
            for view in FOLDER_FACETS.get(kind, ()):
                found.add(self._inodes.number(Place(view, (), int(id_))))
        return {inode for inode in found if self._inodes.may_hold(inode)}

    def _of_terms(self, change: Change) -> Iterator[Notice]:
        """A term is a directory wherever it is reachable by name, and depends on no facet of most of those places."""
        if change.kind == "terms-imported":
            yield from self._of_all_terms()
        if change.kind not in TERM_CHANGES:
            return
        for name in change.names:
            self._inodes.refresh(name)
            for inode in self._inodes.named(name):
                entry = self._inodes.parent_entry(inode)
                if entry is not None and name == change.names[0]:
                    yield Notice(*entry)
        for inode in self._inodes.in_views(self._inodes.telling_absence) - self._inodes.concerned(change.facets):
            yield Notice(inode, change.names[-1])  # it may be kept there that no term has this name

    def _of_all_terms(self) -> Iterator[Notice]:
        """Any name may lead to another term now, or to one at last."""
        for inode in self._inodes.in_views(self._inodes.telling_absence):
            self._inodes.refresh_place(inode)
            entry = self._inodes.parent_entry(inode)
            if entry is not None:
                yield Notice(*entry)
            yield Notice(inode, None, self._listings.changed(inode))

    def _of_place(self, inode: Inode, names: set[str]) -> Iterator[Notice]:
        parent = self._inodes.parent_entry(inode) if len(names) > BULK else None
        if parent is not None:
            yield Notice(*parent)
        else:
            yield from (Notice(inode, name) for name in names)

    @asynccontextmanager
    async def notifying(self) -> AsyncIterator[None]:
        """The thread that notifies; ended, with what is queued, when the block is left."""
        self._token = trio.lowlevel.current_trio_token()
        thread = threading.Thread(target=self._notify_all, name="kernel-cache", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._queue.put(None)
            with trio.move_on_after(END_LIMIT_S) as limit:
                limit.shield = True
                await trio.to_thread.run_sync(thread.join, abandon_on_cancel=True)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """No notice is given in the block, which must not wait for one.

        A daemon that is killed while a notice waits for a call of somebody is caught in the kernel: so no notice
        waits for calls of the daemon's own helper.
        """
        if not self._turn.acquire(blocking=False):
            await trio.to_thread.run_sync(self._turn.acquire)
        try:
            yield
        finally:
            self._turn.release()

    def _notify_all(self) -> None:
        while (item := self._queue.get()) is not None:
            notices, after = item
            for notice in notices:
                with self._turn:
                    notify(notice)
                self.noticed += 1
            if after is not None and self._token is not None:
                with suppress(trio.RunFinishedError):
                    self._token.run_sync_soon(after)


def shown_by(change: Change) -> set[str]:
    """Names that listings may show because of the change: bare and qualified."""
    # the kernel itself put the new name of a renamed directory where it is: somebody may be inside
    names = set(change.names[:1] if change.kind == "term-renamed" else change.names)
    if change.asset is not None:
        names |= {qualified(name, AssetId(change.asset)) for name in change.names}
    return names | keys_of(change)


def keys_of(change: Change) -> set[str]:
    """Names that are shown as they are on a store's file system."""
    keys = change.detail.get("keys")
    return {os.fsdecode(bytes.fromhex(key)) for key in keys} if isinstance(keys, list) else set()


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
