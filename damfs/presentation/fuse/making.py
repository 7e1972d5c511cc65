"""Files that the native module makes by itself: which it may make, and how they come to be assets.

It makes those like one that was made here a moment ago, in a place that only receives, by names that it knows not to be
there. Concurrency: on the loop; the module works in its thread as well, so that nothing happens between what is asked
here. Crash rule: what is not in the catalog yet is noted, see `received_notes`; start-up enters it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import trio

from damfs.catalog import assets
from damfs.catalog.predicates import InInbox
from damfs.core.feed import Batch
from damfs.core.library import Library
from damfs.core.making import EnterMade, MadeFile, ReserveNumbers
from damfs.errors import DamfsError, Unavailable
from damfs.model import AssetId, Facet
from damfs.presentation.fuse.draft_files import ACTOR, Draft
from damfs.presentation.fuse.inodes import ASSET_MARK, ASSET_MASK, Inode
from damfs.presentation.fuse.native import Made, Received
from damfs.presentation.fuse.open_files import OpenFiles
from damfs.presentation.fuse.unfinished import may_lack_an_end
from damfs.presentation.views.edits import Edits
from damfs.presentation.views.tree import Tree
from damfs.presentation.views.view import Place
from damfs.storage.droppings import droppings

log = logging.getLogger(__name__)

NUMBERS = 1024
"""Ids of assets that are reserved at once; fewer than a quarter of them are renewed."""
SEVERAL = 4
"""After so many files it is worth knowing every name of their directory."""
MOST_NAMES = 200_000
AGAIN_S = 1.0
"""After which what the catalog did not take is tried again."""


class Directory(NamedTuple):
    place: Place
    inode: Inode
    facets: frozenset[Facet]


class Making:
    """``made_by_kernel``: see `KernelCache`; ``listing_changed``: see `Listings`; ``shown``: see `LiveFolders.made`.
    ``nursery`` owns what reads names."""

    def __init__(
        self, library: Library, tree: Tree, edits: Edits, files: OpenFiles, nursery: trio.Nursery,
        made_by_kernel: Callable[[AssetId, int, bytes], None], listing_changed: Callable[[Inode], object],
        shown: Callable[[int, str, AssetId], None],
    ) -> None:  # fmt: skip
        self._library, self._tree, self._edits, self._files = library, tree, edits, files
        self._native = files.native
        self._nursery = nursery
        self._made_by_kernel, self._listing_changed, self._shown = made_by_kernel, listing_changed, shown
        self._descriptors: tuple[int, int] | None = None
        """Of the staging directory and of the notes, for as long as the process lives."""
        self._directory: Directory | None = None
        self._number = 0
        """Of files that were made without asking since names are told."""
        self._begun = 0
        """How often it was begun to tell names."""
        self._end = 0
        """Behind the numbers that the module may give; 0: it may give none."""
        self._late: dict[int, Received] = {}
        """By handle, what the catalog has not taken."""
        self._error: DamfsError = Unavailable("it is not open")
        self._trying = False
        self._native.reserve_names(droppings())

    # ---- which files may be made

    def like(self, place: Place, inode: int, name: bytes, handle: int) -> None:
        """More files like the one that is just being made, and opened under the handle, may be made without asking."""
        if not self._library.staging.is_local or self._late or self._native.waker is None:
            return
        if name.startswith(b"."):  # as programs call what they rename afterwards: the next one will be called so too
            return
        if self._directory is None or self._directory.inode != inode:
            self._directory = Directory(place, Inode(inode), self._tree.facets(place))
            self._begin_names(inode)
        try:
            if self._descriptors is None:
                self._descriptors = self._library.staging.open_directory(), self._library.received_notes.open()
            if not self._native.numbers_left:
                self._give_numbers()
        except DamfsError as error:
            log.info("files are not made without asking: %s", error)
            return
        self._native.may_make(handle, *self._descriptors, ASSET_MARK)

    def _give_numbers(self) -> None:
        first = self._library.perform(ReserveNumbers(NUMBERS), ACTOR, quiet=True)
        self._native.give_numbers(first, NUMBERS)
        self._end = first + NUMBERS

    def _begin_names(self, inode: int) -> None:
        self._native.begin_names(inode)
        self._begun, self._number = self._begun + 1, 0

    def heard(self, batch: Batch) -> None:
        """Of a commit, before anything else is answered: names may have come into the directory."""
        if self._directory is None:
            return
        for change in batch:
            if self._end and change.asset is not None and change.asset >= self._end:
                self._native.give_numbers(0, 0)  # of namesakes the older one keeps its name: it has the lower number
                self._end = 0
            if self._directory.facets.isdisjoint(change.facets):
                continue
            if change.names:
                self._native.add_names(change.names)
            else:  # too many to tell
                self._begin_names(self._directory.inode)

    async def _learn_names(self, begun: int) -> None:
        """Of names that come meanwhile the module is told as well."""
        try:
            names = await self._library.db.read(
                lambda connection: assets.names_of(connection, InInbox(), MOST_NAMES + 1)
            )
        except Exception:  # an error never ends the mount (P8): Python is asked for each name
            log.exception("the names of the inbox could not be read")
            return
        if begun == self._begun and len(names) <= MOST_NAMES:
            self._native.add_names(names, whole=True)

    # ---- what was made

    def catch_up(self, *, again: bool = False) -> None:
        """With what was done without asking. Before anything else is answered. Raises nothing. ``again``: also with
        what the catalog has refused, which may keep everybody waiting."""
        with self._faults_noted():
            self._catch_up(again=again)

    @contextmanager
    def _faults_noted(self) -> Iterator[None]:
        """They are neither those of who asks for something else now nor of the next file, which nobody tells twice."""
        try:
            yield
        except Exception:
            self._library.counters["fuse_unexpected_errors"] += 1
            log.exception("what was done to new files could not be noted")

    def _catch_up(self, *, again: bool) -> None:
        others = []
        for each in self._native.received():
            if each.made is not None:
                self._late[each.handle] = each
            elif each.handle in self._late:
                self._late[each.handle] = _later(self._late[each.handle], each)
            else:
                others.append(each)
        self._files.catch_up(others)
        if self._late and (again or not self._trying):
            self._enter(self._late)

    def _enter(self, late: dict[int, Received]) -> None:
        made = sorted(late.values())
        files, directory = [_made_file(each) for each in made], self._directory
        assert directory is not None
        for file in files:
            self._made_by_kernel(file.asset, directory.inode, os.fsencode(file.name))
        undisturbed = all(each.made is not None and each.made.undisturbed for each in made)
        try:
            self._library.perform(EnterMade(files), ACTOR, at_ns=files[-1].at_ns if undisturbed else None)
        except Exception as error:  # noqa: BLE001  # whatever it is, who asks next is not to meet it again
            self._refused(error)
            return
        self._late = {}
        self._native.entered()
        with self._faults_noted():
            self._tell_directory(directory)
        for each, file in zip(made, files, strict=True):
            with self._faults_noted():
                self._shown(directory.inode, file.name, file.asset)
                self._edits.arrived(file.asset, directory.place, file.name)
            with self._faults_noted():
                self._take_over(each, file)
        self._count(len(files))

    def _tell_directory(self, directory: Directory) -> None:
        self._listing_changed(directory.inode)
        if self._native.knows_directory(directory.inode):
            self._native.made_in(directory.inode, self._tree.directory(directory.place, "").mtime_ns)

    def _refused(self, error: Exception) -> None:
        """The catalog has not taken what was made. Python tells whoever makes more what is wrong."""
        self._error = error if isinstance(error, DamfsError) else Unavailable("the catalog does not take it")
        self._native.make_no_more()
        self._late = {handle: _disturbed(each) for handle, each in self._late.items()}
        if not self._trying:
            unforeseen = None if isinstance(error, DamfsError) else error
            log.warning(
                "received files could not be entered into the catalog and will be tried again: %s", error,
                exc_info=unforeseen,
            )  # fmt: skip
            self._trying = True
            self._nursery.start_soon(self._try_again)

    def _take_over(self, received: Received, file: MadeFile) -> None:
        assert received.made is not None
        fd = received.made.fd
        if file.closed:
            os.close(fd)
            self._files.drafts.on_close()
            self._files.drafts.begin_seal(file.asset, file.size)
            return
        draft = Draft(file.asset, fd, received.size, received.mtime_ns, received.lost_at, writers=1)
        self._files.drafts.made(draft)
        self._files.take_over(received.handle, draft, received.inode)
        self._files.opened_by(received.handle, os.getuid(), 0)
        if received.closed:
            self._files.catch_up([received])

    def _count(self, number: int) -> None:
        before, self._number = self._number, self._number + number
        if before < SEVERAL <= self._number:
            self._nursery.start_soon(self._learn_names, self._begun)
        if self._native.numbers_left < NUMBERS // 4:
            try:
                self._give_numbers()
            except DamfsError as error:
                log.info("no more files are made without asking: %s", error)

    def closes(self, handle: int) -> bool:
        """Whether it is that of a file that the catalog has not taken: it is closed from now on."""
        if handle not in self._late:
            return False
        self._native.let_go(handle)
        self._late[handle] = self._late[handle]._replace(closed=True)
        return True

    def check_entered(self, handle: int, offset: int) -> None:
        """Before bytes at the offset are written or synced. Raises what is in the way of entering the file: it is not
        whole then, and is dropped when it is closed."""
        late = self._late.get(handle)
        if late is not None:
            self._late[handle] = late._replace(lost_at=offset if late.lost_at is None else min(offset, late.lost_at))
            raise self.not_entered()

    def check_taken(self, asset: AssetId) -> None:
        """Before anything is set of the file. Raises what is in the way of entering it; what was written is whole."""
        if any(each.inode & ASSET_MASK == asset for each in self._late.values()):
            raise self.not_entered()

    async def _try_again(self) -> None:
        while self._late:
            await trio.sleep(AGAIN_S)
            self.catch_up(again=True)
        self._trying = False

    @property
    def unsettled(self) -> int:
        return len(self._late)

    def not_entered(self) -> DamfsError:
        return type(self._error)(str(self._error))

    async def keep_up(self) -> None:
        """Also while nothing is asked. Until cancelled."""
        waker = self._native.waker
        while waker is not None:
            await trio.lowlevel.wait_readable(waker)
            with suppress(BlockingIOError):  # it was set anew meanwhile
                os.read(waker, 8)
            self.catch_up()


def _later(before: Received, now: Received) -> Received:
    mtime_ns = before.mtime_ns if now.mtime_ns is None else now.mtime_ns
    return before._replace(size=now.size, mtime_ns=mtime_ns, closed=before.closed or now.closed)


def _disturbed(received: Received) -> Received:
    assert received.made is not None
    return received._replace(made=received.made._replace(undisturbed=False))


def _made_file(received: Received) -> MadeFile:
    made = received.made
    assert isinstance(made, Made)
    mtime_ns = made.at_ns if received.mtime_ns is None else received.mtime_ns
    whole = received.closed and received.lost_at is None and not may_lack_an_end(made.name)
    size = received.size if whole else 0
    asset = AssetId(received.inode & ASSET_MASK)
    return MadeFile(asset, made.name, made.mode, made.at_ns, size, mtime_ns, whole)
