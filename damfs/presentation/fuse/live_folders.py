"""Live folders: whoever watches a directory of the mount (inotify) hears of changes that damfs itself made there.

The kernel tells watchers only of what programs do. So a helper process re-enacts each change on the mount (`mknod` of
the new name, `unlink` of the old one), which `LiveOperations` answers without touching the catalog. What is told is
what a listing shows at the moment of the answer. Concurrency: loop's thread only; one re-enactment at a time, gathered
for a moment, after the kernel was told to forget the names. Crash rule: nothing is kept; what was not told is lost.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import trio

from damfs.catalog import assets
from damfs.core.feed import Batch
from damfs.core.library import Library
from damfs.errors import NotFound
from damfs.model import AssetId, Change
from damfs.presentation.fuse.inodes import Inode, Inodes
from damfs.presentation.fuse.kernel_cache import BULK, KernelCache, keys_of
from damfs.presentation.fuse.reenacting import Reenactor
from damfs.presentation.views.names import qualified, qualifiers
from damfs.presentation.views.tree import Tree
from damfs.presentation.views.view import ROOT_PLACE, Entry, Place, Thing, ThingKind, View

log = logging.getLogger(__name__)

GATHER_S = 0.05
"""What changes within this time is told together: the last state alone."""
ROUND = 512
"""More names than this in one round: each place is told of one, on which programs list the directory anew."""
ATTEMPTS = 3
"""Somebody may look a name up between the notice and its re-enactment; the kernel then has to forget it once more."""
NAMESAKES = 4
MOST = 2 * BULK
"""Names of a place in one round, each asset having two; of more only the first that has to be told is."""
REMEMBERED = 8192
RESTART_S = 5.0
PROBE = ".damfs-live-"


class Wish(NamedTuple):
    """A name in a place that a change may have shown or hidden."""

    inode: Inode
    name: str
    asset: AssetId | None
    was_directory: bool


@dataclass(slots=True)
class Step:
    """What the helper is about to do, and which answer it is to get."""

    operation: str
    inode: Inode
    name: str
    looked_up: bool = False
    """Whether it was shown something to remove."""

    @property
    def creates(self) -> bool:
        return self.operation in {"create", "mkdir"}

    @property
    def of_directory(self) -> bool:
        return self.operation in {"mkdir", "rmdir"}


Shown = Thing | Place | None
"""What is known to be shown under a name; None: nothing."""


class LiveFolders:
    """``pid`` is that of the helper. ``expected`` is what it is about to do: nothing else is answered as its own.
    ``spare`` is told of the helper, whose questions are to be asked here."""

    def __init__(
        self, library: Library, tree: Tree, inodes: Inodes, kernel_cache: KernelCache, spare: Callable[[int], None]
    ) -> None:
        self._spare = spare
        self._library = library
        self._tree = tree
        self._inodes = inodes
        self._kernel_cache = kernel_cache
        self._pending: dict[Inode, dict[str, Wish]] = {}
        self._wake = trio.Event()
        self._told: OrderedDict[tuple[Inode, int | None, str], Shown] = OrderedDict()
        self._mountpoint = b""
        self._useless = False
        self.pid: int | None = None
        self.expected: Step | None = None
        kernel_cache.before_notices = self.foresee

    def foresee(self, batch: Batch) -> Callable[[], None] | None:
        """What to do when the kernel has forgotten the names of a batch. Called before: it still holds the places."""
        if self._useless or not self._library.settings.mount.live:
            self._told.clear()
            return None
        told = batch if len(batch) <= ROUND else list({change.facets: change for change in batch}.values())
        wishes = [wish for change in told for wish in self._wishes(change)]
        return (lambda: self._add(wishes)) if wishes else None

    def _wishes(self, change: Change) -> Iterator[Wish]:
        found = None
        for inode in self._kernel_cache.concerned(change):
            found_place = self._view(inode) if self._inodes.held_since(inode) is not None else None
            if found_place is None or not found_place[0].live or self._kernel_cache.is_just_made(change, inode):
                continue
            view, place = found_place
            if place.id is not None and view.raw_names:
                names = keys_of(change) | (set() if view.keys_only else set(change.names))
            else:
                names = found = found or self._candidates(change)
            for name in names:
                child = Place(place.view, (*place.path, name))
                gone = place.id is None and self._inodes.held_since(self._inodes.number(child)) is not None
                yield Wish(inode, name, change.asset, gone or (change.asset is None and place.id is not None))

    def _candidates(self, change: Change) -> set[str]:
        """Names that may have come or gone: bare, and qualified, also those of assets that have the same name."""
        names = set(change.names)
        for name in change.names:
            ids = {asset.id for asset in assets.named(self._library.db.writer, name, NAMESAKES)}
            ids |= {change.asset} if change.asset is not None else set()
            names |= {qualified(name, id_) for id_ in ids}
        return names

    def _add(self, wishes: list[Wish]) -> None:
        for wish in wishes:
            names = self._pending.setdefault(wish.inode, {})
            if len(names) < MOST:
                names[wish.name] = wish
        self._wake.set()

    def shown(self, inode: int, name: str) -> None:
        """A program did it, so the kernel itself tells of it."""
        entry = self.listed(Inode(inode), name)
        if entry is not None:
            self._remember(Inode(inode), name, entry.node)

    def made(self, inode: int, name: str, asset: AssetId) -> None:
        """A program made a file under a name that nothing had."""
        self._remember(Inode(inode), name, Thing(ThingKind.ASSET, asset))

    def gone(self, inode: int, name: str) -> None:
        self._remember(Inode(inode), name, None)

    def _remember(self, inode: Inode, name: str, what: Shown) -> None:
        key = self._key(inode, name)
        self._told[key] = what
        self._told.move_to_end(key)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)

    def _key(self, inode: Inode, name: str) -> tuple[Inode, int | None, str]:
        """What happened in a place while the kernel did not hold it was not told."""
        return inode, self._inodes.held_since(inode), name

    def listed(self, inode: Inode, name: str) -> Entry | None:
        """What a listing of the directory shows under the name now."""
        found = self._view(inode)
        return None if found is None else self._tree.dated(found[0].lists(self._library.db.writer, found[1], name))

    def _view(self, inode: Inode) -> tuple[View, Place] | None:
        try:
            place = self._inodes.place(inode)
        except NotFound:
            return None
        return None if place == ROOT_PLACE else (self._tree.view(place), place)

    async def serve(self, mountpoint: Path) -> None:
        """Until cancelled. The helper is started when there is something to tell for the first time."""
        self._mountpoint = os.fsencode(mountpoint)
        while True:
            await self._wake.wait()
            try:
                async with Reenactor() as reenactor:
                    await self._tell_with(reenactor)
                    return
            except (OSError, trio.BrokenResourceError) as error:
                log.info("live folders begin anew: %s", error)
            except Exception:  # an error never ends the mount (P8)
                log.exception("live folders failed unexpectedly; they begin anew")
            finally:
                self.pid = self.expected = None
            await trio.sleep(RESTART_S)

    async def _tell_with(self, reenactor: Reenactor) -> None:
        self.pid, tried = reenactor.pid, False
        self._spare(reenactor.pid)
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            await trio.sleep(GATHER_S)
            pending, self._pending = self._pending, {}
            began = trio.current_time()
            if await reenactor.ask("watched", self._mountpoint):
                self._told.clear()  # who begins to watch now has not heard of it
                continue
            if not tried and not await self._is_recognised(reenactor):
                log.info("folders are not live: the kernel does not say who asks (another process id namespace)")
                self._useless = True
                return
            tried = True
            await self._tell_chosen(reenactor, pending)
            if self._useless:
                log.info("folders are not live: the mount is read-only")
                return
            await trio.sleep(trio.current_time() - began)  # others have half the time

    async def _tell_chosen(self, reenactor: Reenactor, pending: dict[Inode, dict[str, Wish]]) -> None:
        for wishes, all_ in chosen(pending):
            if not all_:
                self._forget_told(wishes[0].inode)
            for wish in wishes:
                told = await self._tell(reenactor, wish)
                if self._useless:
                    return
                if told and not all_:
                    break

    async def _is_recognised(self, reenactor: Reenactor) -> bool:
        """Whether calls of the helper carry its process id: else its `unlink` would count as a person's."""
        step = self.expected = Step("look", self._inodes.number(ROOT_PLACE), PROBE + secrets.token_hex(8))
        await reenactor.ask("look", b"/".join((self._mountpoint, os.fsencode(step.name))))
        self.expected = None
        return step.looked_up

    async def _tell(self, reenactor: Reenactor, wish: Wish) -> bool:
        """Whether there was something to tell, and it was told."""
        for _ in range(ATTEMPTS):
            step, path = self._step(wish), self._path(wish)
            if step is None or path is None:
                return False
            self.expected = step
            async with self._kernel_cache.paused():
                error = await reenactor.ask(step.operation, path)
            self.expected = None
            if not error:
                self._library.counters["live_reenactments"] += 1
                entry = self.listed(wish.inode, wish.name) if step.creates else None
                self._remember(wish.inode, wish.name, None if entry is None else entry.node)
                return True
            if error not in {errno.EEXIST, errno.ENOENT, errno.ESTALE}:
                log.debug("not re-enacted: %s of %r: %s", step.operation, path, os.strerror(error))
                self._useless = error == errno.EROFS
                break
            await self._kernel_cache.forgotten(wish.inode, wish.name)
        self._told.pop(self._key(wish.inode, wish.name), None)
        return False

    def _forget_told(self, inode: Inode) -> None:
        """Not everything that changed there is told."""
        for key in [key for key in self._told if key[0] == inode]:
            del self._told[key]

    def _path(self, wish: Wish) -> bytes | None:
        found = self._view(wish.inode)
        names = None if found is None else found[0].from_top(self._library.db.writer, found[1])
        if names is None:
            return None
        return b"/".join((self._mountpoint, *map(os.fsencode, (*names, wish.name))))

    def _step(self, wish: Wish) -> Step | None:
        """What has to be told; None: nothing, or watchers know."""
        entry = self.listed(wish.inode, wish.name)
        key = self._key(wish.inode, wish.name)
        if key in self._told and self._told[key] == (None if entry is None else entry.node):
            return None
        if entry is not None:
            return Step("mkdir" if isinstance(entry.node, Place) else "create", wish.inode, wish.name)
        if key not in self._told and not self._may_have_been_shown(wish):
            return None
        was_directory = isinstance(self._told[key], Place) if key in self._told else wish.was_directory
        return Step("rmdir" if was_directory else "unlink", wish.inode, wish.name)

    def _may_have_been_shown(self, wish: Wish) -> bool:
        """Of a name that nothing is known of and that is not listed now."""
        if wish.was_directory:
            return True
        found = self._view(wish.inode)
        if found is None or not found[0].holds_files(self._library.db.writer, found[1]):
            return False
        return all(self._was_qualified(wish, found, id_) for id_ in qualifiers(wish.name))

    def _was_qualified(self, wish: Wish, found: tuple[View, Place], id_: AssetId) -> bool:
        """A qualified name was shown where an asset of a lower id has the bare name, or had it."""
        asset = assets.asset(self._library.db.writer, id_)
        if asset is None or qualified(asset.name, id_) != wish.name:
            return wish.asset != id_  # not a qualified form at all, or of an asset that is gone, which goes by its name
        holder = found[0].lists(self._library.db.writer, found[1], asset.name)
        if holder is None or not isinstance(holder.node, Thing):
            return False
        return holder.node.id < id_ or (holder.node.id == id_ and wish.asset is not None and wish.asset < id_)


def chosen(pending: dict[Inode, dict[str, Wish]]) -> list[tuple[list[Wish], bool]]:
    """The wishes of each place, and whether to tell all: of too many in a place, or altogether, the first there is."""
    many = sum(map(len, pending.values())) > ROUND
    return [(list(wishes.values()), not many and len(wishes) < MOST) for wishes in pending.values()]
