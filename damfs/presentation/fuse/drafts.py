"""Files that are being written, new ones and originals: from create or open to the last close, and their sealing.

Concurrency: the tables belong to the loop's thread; bytes go to a thread, but a draft is entered in the tables before
anything is awaited, so that no sealing begins while somebody writes. Crash rule: a draft is a file of the staging area
and a row; start-up finds both.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Sequence

import trio

from damfs.catalog import rewrites
from damfs.core.batch_sealing import BatchSealing
from damfs.core.commands import Abandon, Command, SetClosed
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.rewriting import CloseRewrite, EndRewrite
from damfs.core.superseding import supersede, supersede_by_draft
from damfs.errors import DamfsError, Refused
from damfs.model import AssetId, AssetState
from damfs.presentation.fuse import draft_files
from damfs.presentation.fuse.closes import Closes
from damfs.presentation.fuse.draft_files import ACTOR, Draft, Shown, own, quickly
from damfs.presentation.fuse.endings import Endings
from damfs.presentation.fuse.unfinished import Unfinished, has_an_end, wait_of

log = logging.getLogger(__name__)


class Drafts:
    """``nursery`` owns the sealing that begins with a last close."""

    def __init__(self, library: Library, reception: Reception, nursery: trio.Nursery) -> None:
        self._library = library
        self._reception = reception
        reception.seal_again = functools.partial(self.sealed, begin=True)
        self._nursery = nursery
        self._batches = BatchSealing(library, reception, nursery)
        self._unfinished = Unfinished(nursery, self.begin_seal)
        self.on_close: Callable[[], None] = lambda: None
        """Called at the last close of a file that is received: what a listing says of it may be from before."""
        self._drafts: dict[AssetId, Draft] = {}
        self._sealing: dict[AssetId, trio.Event] = {}
        self._closes = Closes(library, nursery, reception.held_back, self.begin_seal)
        self._again: set[AssetId] = set()
        self._handed: dict[AssetId, trio.Event] = {}
        """What is just renamed over an original: a last close meanwhile is that of the original's next version."""
        self._ending = Endings()
        self._closed = {
            row.asset: Shown(row.size, row.mtime_ns) for row in rewrites.every(library.db.writer) if row.closed
        }
        """Assets whose next version is whole and not sealed yet."""

    def __bool__(self) -> bool:
        """Whether any file is a draft: most listings need not ask for each."""
        return bool(self._drafts or self._closed or self._closes.keys())

    def get(self, asset: AssetId) -> Draft | None:
        return self._drafts.get(asset)

    def shown(self, asset: AssetId) -> Shown | None:
        """What the asset looks like while its bytes are those of a draft; None: as the catalog says."""
        draft = self._drafts.get(asset)
        if draft is not None and (draft.writers or not draft.rewrites):
            return Shown(draft.size, draft.mtime_ns)
        if (late := self._closes.shown(asset)) is not None:
            return late
        closed = self._closed.get(asset)
        if closed is not None and rewrites.of(self._library.db.writer, asset) is None:
            del self._closed[asset]
            return None
        return closed

    def written(self, asset: AssetId) -> Draft | None:
        """The draft that somebody is writing."""
        draft = self._drafts.get(asset)
        return draft if draft is not None and draft.writers else None

    @property
    def unsettled(self) -> int:
        """Drafts that are being written, sealed or dropped, or wait for that."""
        written = {asset for asset, draft in self._drafts.items() if draft.writers}
        waiting = self._closes.keys() | self._sealing.keys() | self._unfinished.keys()
        return len(written | waiting | self._ending.assets())

    async def sealed(self, asset: AssetId, *, begin: bool = False) -> bool:
        """Wait while the asset is being sealed, or becomes another's next version; whether it was. ``begin``: it is to
        be sealed, unless somebody writes it."""
        if begin:
            self.begin_seal(asset)
        if (under_way := self._sealing.get(asset, self._handed.get(asset))) is None:
            return False
        self._batches.hurry(asset)
        await under_way.wait()
        return True

    async def at_rest(self, asset: AssetId) -> bool:
        """Wait until what was closed of it is sealed; whether there was anything to wait for."""
        waited = await self._ending.done(asset)
        if asset in self._unfinished:
            self.begin_seal(asset)
        return waited if not await self.sealed(asset) else await self.at_rest(asset) or True

    async def settled(self) -> None:
        """Wait until everything that was closed is sealed."""
        for asset in list(self._unfinished.keys()):
            self.begin_seal(asset)
        while self._sealing:
            self._batches.hurry_all()
            await next(iter(self._sealing.values())).wait()

    async def create(self, asset: AssetId) -> Draft:
        """For the asset's first bytes. When staging cannot take them, the asset is forgotten."""
        opening = trio.Event()
        self._batches.more_comes()
        draft = self._drafts[asset] = Draft(asset, -1, 0, writers=1, opening=opening)
        try:
            draft.fd = await quickly(self._library, self._library.staging.create, asset)
        except DamfsError:
            self._forget(draft)
            if self._library.asset(asset) is not None:
                self._library.execute([Abandon(asset)], ACTOR)
            raise
        finally:
            draft.opening = None
            opening.set()
        return draft

    def made(self, draft: Draft) -> None:
        """A new file that came to be without asking, and is being written."""
        self._batches.more_comes()
        self._drafts[draft.asset] = draft

    async def _opened(self, asset: AssetId) -> Draft | None:
        """The draft, once its file is there."""
        while (draft := self._drafts.get(asset)) is not None and draft.opening is not None:
            await draft.opening.wait()
        return draft

    async def begin(self, asset: AssetId, *, truncate: bool) -> Draft:
        """An original is opened to write: a draft of its next version, to be marked ``changed`` when it is. With
        ``truncate`` a new one begins empty. Raises ReadOnly, Unavailable, NoSpace."""
        async with self._reception.rewritten(asset):
            draft = self.written(asset)
            if draft is None:
                draft = await draft_files.staged_again(self._library, asset, truncate=truncate)
                self._drafts[asset] = draft
                self._closed.pop(asset, None)
                self._reception.held_back.pop(asset, None)
            draft.writers += 1
        return draft

    async def join(self, asset: AssetId, *, writes: bool, truncate: bool) -> Draft:
        """One more who has the draft open. Raises NotFound when staging has it no more."""
        draft = await self._opened(asset)
        if draft is None:
            fd = own(self._library, asset) if writes else self._library.staging.open(asset, os.O_RDWR)
            known = self._library.asset(asset)
            again = known is not None and known.state is not AssetState.RECEIVING
            draft = self._drafts[asset] = Draft(asset, fd, os.fstat(fd).st_size, rewrites=again)
        draft.writers += writes
        draft.readers += not writes
        if writes:
            self._closes.forget(asset)
        try:
            if writes and draft.writers == 1:
                self._library.execute([SetClosed(asset, closed=False, size=draft.size)], ACTOR)
            if truncate and writes:
                await self.truncate(asset, 0)
        except DamfsError:
            await self.leave(draft, writes=writes)
            raise
        return draft

    async def write(self, draft: Draft, offset: int, data: bytes) -> int:
        return await draft_files.write(self._library, draft, offset, data)

    async def truncate(self, asset: AssetId, size: int) -> None:
        """It need not be open: then it is a version, or still being received, as soon as it is cut."""
        await self.sealed(asset)
        await self._opened(asset)
        draft = self.written(asset)
        known = self._library.asset(asset)
        if draft is not None:
            draft.writers += 1  # its last close waits
        elif known is None or known.state is AssetState.TRASHED:
            raise Refused("it is in the trash, or gone")
        elif known.state is not AssetState.RECEIVING:
            draft = await self.begin(asset, truncate=not size)
        if draft is not None:
            try:
                await draft_files.cut(self._library, draft, size)
            finally:
                await self.leave(draft, writes=True)
            return
        draft = self._drafts.get(asset)
        if draft is not None:
            draft.size = size
        draft_files.cut_closed(self._library, asset, size)
        self._closes.cut(asset, size)

    def times_set(self, asset: AssetId, mtime_ns: int) -> None:
        """The catalog has a newer mtime than the last write."""
        draft, closed = self._drafts.get(asset), self._closed.get(asset)
        if draft is not None:
            draft.mtime_ns, draft.dated = (mtime_ns, True) if draft.rewrites else (None, False)
        if closed is not None:
            self._closed[asset] = closed._replace(mtime_ns=mtime_ns)
        self._closes.dated(asset)

    async def sync(self, draft: Draft) -> None:
        """When this returns, bytes and row survive power loss (P1)."""
        await draft_files.sync(self._library, draft)

    async def leave(self, draft: Draft, *, writes: bool) -> None:
        """Somebody who had it open has closed it."""
        draft.writers -= writes
        if writes and not draft.writers:
            self._forget(draft)
            with self._ending.of(draft):
                await self._last_close(draft)
        draft.readers -= not writes
        if not draft.writers and not draft.readers:
            self._forget(draft)
            await draft_files.close(self._library, draft)

    def left_alone(self, drafts: Sequence[Draft]) -> None:
        """Whoever made each of the files, and alone had it open, has closed it; it was only written meanwhile."""
        plain = []
        for draft in drafts:
            if not draft.is_plain or draft.asset in self._handed or has_an_end(self._library, draft.asset):
                self._nursery.start_soon(functools.partial(self.leave, draft, writes=True))
            else:
                draft.writers = 0
                self._forget(draft)
                plain.append(draft)
        entered = bool(plain) and self._entered(plain)
        for draft in plain:
            if entered:
                self.begin_seal(draft.asset, draft.size)
            os.close(draft.fd)

    def _forget(self, draft: Draft) -> None:
        """Who opens the file from now on gets a draft of his own."""
        if self._drafts.get(draft.asset) is draft:
            del self._drafts[draft.asset]

    async def _last_close(self, draft: Draft) -> None:
        """From here on a crash does not lose the file: it is whole. One that a write error broke is dropped."""
        if (renamed := self._handed.get(draft.asset)) is not None:
            await renamed.wait()
        asset = draft.asset
        if draft.detached:
            return
        try:
            if draft.lost_at is not None:
                await self._drop(draft)
                return
            if draft.rewrites:
                await self._close_rewrite(draft)
                return
        except DamfsError as error:
            log.warning("a received file could not be entered into the catalog and will be tried again: %s", error)
            self._reception.held_back[asset] = str(error)
            return
        if self._entered([draft]):
            await self._seal_when_finished(draft)

    def _entered(self, drafts: Sequence[Draft]) -> bool:
        """Whether the catalog knows now that what was received is whole."""
        entered = self._closes.enter(drafts)
        if entered:
            self.on_close()
        return entered

    async def _seal_when_finished(self, draft: Draft) -> None:
        if wait_s := await wait_of(self._library, draft):
            self._unfinished.wait(draft.asset, wait_s)
        else:
            self.begin_seal(draft.asset, None if draft.rewrites else draft.size)

    async def _close_rewrite(self, draft: Draft) -> None:
        """Nothing happens where nothing was written."""
        asset, known = draft.asset, self._library.asset(draft.asset)
        if not draft.changed or known is None:
            if known is not None and draft.dated:
                self._closed[asset] = Shown(known.size, draft.mtime_ns)
            await self._drop(draft)
            return
        mtime_ns = known.mtime_ns if draft.mtime_ns is None else draft.mtime_ns
        self._closed[asset] = Shown(draft.size, mtime_ns)
        self._library.execute([CloseRewrite(asset, draft.size, mtime_ns, draft.dated)], ACTOR)
        await self._seal_when_finished(draft)

    async def _drop(self, draft: Draft) -> None:
        """Who wrote was told of the error; nothing is half an asset (P10)."""
        asset, known = draft.asset, self._library.asset(draft.asset)
        if draft.rewrites:
            await self._drop_rewrite(draft)
            return
        dropping = self._sealing[asset] = trio.Event()
        try:
            await draft_files.free(self._library, draft)
            await trio.to_thread.run_sync(self._library.staging.discard, asset)
            if known is not None:
                log.info("%s could not be received whole and was dropped", known.name)
                self._library.execute([Abandon(asset)], ACTOR)
        finally:
            del self._sealing[asset]
            dropping.set()

    async def _drop_rewrite(self, draft: Draft) -> None:
        """The asset stays as it is: nothing was written over it, or not all of what was."""
        asset = draft.asset
        async with self._reception.rewritten(asset):
            again = self.written(asset)
            if again is not None:  # somebody has opened it meanwhile, and goes on with what is staged
                again.lost_at = draft.lost_at if again.lost_at is None else again.lost_at
                return
            if draft.lost_at is not None:
                log.info("what was written over asset %d is not whole and was dropped", asset)
            await trio.to_thread.run_sync(self._library.staging.discard, asset)
            others = self._drafts.pop(asset, None)  # who reads it by now goes on with what nobody else can open
            if draft.lost_at is not None or (draft.readers == 1 and others is None):
                await draft_files.free(self._library, draft)
            times = [] if self._library.asset(asset) is None else draft.times()
            self._library.execute([EndRewrite(asset), *times], ACTOR)

    async def _detach_idle(self, asset: AssetId) -> None:
        """GLib opens a file to write before it renames another over it, and closes it afterwards."""
        async with self._reception.rewritten(asset):
            draft = self._drafts.get(asset)
            if draft is None or not draft.is_idle:
                return
            draft.detached = True
            self._forget(draft)
            await trio.to_thread.run_sync(self._library.staging.discard, asset)
            self._library.execute([EndRewrite(asset)], ACTOR)

    def begin_seal(self, asset: AssetId, size: int | None = None) -> None:
        """Seal in the background, unless it is being written; with a ``size`` it may wait while more files come. One
        that is being sealed is sealed once more after that: it may have got its final name behind the back of the
        first time."""
        if self.written(asset) is not None:
            self._unfinished.goes_on(asset)
            return
        self._unfinished.forget(asset)
        if asset in self._sealing:
            self._again.add(asset)
            self._batches.hurry(asset)
        else:
            self._sealing[asset] = trio.Event()
            self._batches.begin(asset, functools.partial(self._sealed, asset), size)

    def _sealed(self, asset: AssetId) -> None:
        if asset in self._again:
            self._again.discard(asset)
            self._batches.begin(asset, functools.partial(self._sealed, asset))
            return
        draft = self._drafts.get(asset)
        if draft is not None and not draft.writers:  # what it reads is an original now, and never written
            self._forget(draft)
        if asset in self._closed and rewrites.of(self._library.db.writer, asset) is None:
            del self._closed[asset]
        self._sealing.pop(asset).set()

    async def supersede(self, target: AssetId, source: AssetId, also: Sequence[Command[object]]) -> None:
        """`mv temporary original`: what the source is, or is going to be, is the target's next version."""
        await self.at_rest(target)
        await self._detach_idle(target)
        await self.at_rest(source)  # last: it may be closed while the others are waited for
        known = self._library.asset(source)
        if known is None or known.state is not AssetState.RECEIVING:
            await supersede(self._library, self._reception, target, source, also)
            return
        draft = self._drafts.get(source)
        written = draft is not None and bool(draft.writers)
        size = known.size if draft is None else draft.size
        mtime_ns = known.mtime_ns if draft is None or draft.mtime_ns is None else draft.mtime_ns
        handed = self._handed[source] = trio.Event()
        try:
            await supersede_by_draft(
                self._library, self._reception, target, source, size, mtime_ns, also, closed=not written
            )  # fmt: skip
            self._drafts.pop(source, None)
            if draft is not None and written:
                draft.asset, draft.rewrites, draft.changed = target, True, True
                if draft.writers:
                    self._drafts[target] = draft
        finally:
            del self._handed[source]
            handed.set()
        if not written:
            self._closed[target] = Shown(size, mtime_ns)
            self.begin_seal(target)
