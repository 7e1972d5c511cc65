"""Files that are being written: from create to the last close, and the sealing that follows it.

Concurrency: the tables belong to the loop's thread; bytes go to a thread, but a draft is entered in the tables before
anything is awaited, so that no sealing begins while somebody writes. Crash rule: a draft is a file of the staging area
and a row; start-up finds both.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass

import trio

from damfs.core.batch_sealing import BatchSealing
from damfs.core.commands import Abandon, Command, SetClosed, SetSize, SetTimes
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.errors import DamfsError, Refused
from damfs.model import AssetId, AssetState
from damfs.storage.disk_errors import disk_errors

log = logging.getLogger(__name__)

ACTOR = "fuse"


@dataclass(slots=True)
class Draft:
    """A file that is being received."""

    asset: AssetId
    fd: int
    size: int
    """What was written so far."""
    mtime_ns: int | None = None
    """Of the last write; None: what the catalog says, because nothing was written since it was set there."""
    lost_at: int | None = None
    """Where a write failed that was not made good since: what was received is not whole."""
    writers: int = 0
    readers: int = 0


class Drafts:
    """``nursery`` owns the sealing that begins with a last close."""

    def __init__(self, library: Library, reception: Reception, nursery: trio.Nursery) -> None:
        self._library = library
        self._reception = reception
        self._nursery = nursery
        self._batches = BatchSealing(library, reception, nursery)
        self._drafts: dict[AssetId, Draft] = {}
        self._sealing: dict[AssetId, trio.Event] = {}

    def __bool__(self) -> bool:
        """Whether any file is open as a draft: most listings need not ask for each."""
        return bool(self._drafts)

    def get(self, asset: AssetId) -> Draft | None:
        return self._drafts.get(asset)

    @property
    def unsettled(self) -> int:
        """Drafts that are being written or sealed."""
        return len({asset for asset, draft in self._drafts.items() if draft.writers} | self._sealing.keys())

    async def sealed(self, asset: AssetId) -> bool:
        """Wait while the asset is being sealed; whether it was."""
        sealing = self._sealing.get(asset)
        if sealing is None:
            return False
        await sealing.wait()
        return True

    async def settled(self) -> None:
        """Wait until everything that was closed is sealed."""
        while self._sealing:
            await next(iter(self._sealing.values())).wait()

    def create(self, asset: AssetId) -> Draft:
        """For the asset's first bytes. When staging cannot take them, the asset is forgotten."""
        try:
            fd = self._library.staging.create(asset)
        except DamfsError:
            self._library.execute([Abandon(asset)], ACTOR)
            raise
        draft = self._drafts[asset] = Draft(asset, fd, 0, writers=1)
        return draft

    async def join(self, asset: AssetId, *, writes: bool, truncate: bool) -> Draft:
        """One more who has the draft open. Raises NotFound when staging has it no more."""
        draft = self._drafts.get(asset)
        if draft is None:
            fd = self._library.staging.open(asset, os.O_RDWR)
            draft = self._drafts[asset] = Draft(asset, fd, os.fstat(fd).st_size)
        draft.writers += writes
        draft.readers += not writes
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
        try:
            with disk_errors(self._library.staging.path(draft.asset)):
                written = await trio.to_thread.run_sync(write_at, draft.fd, data, offset)
        except DamfsError:
            draft.lost_at = offset if draft.lost_at is None else min(offset, draft.lost_at)
            raise
        if draft.lost_at is not None and offset <= draft.lost_at < offset + written:
            draft.lost_at = None
        draft.size = max(draft.size, offset + written)
        draft.mtime_ns = self._library.clock()
        return written

    async def truncate(self, asset: AssetId, size: int) -> None:
        """Only a file that is still being received. It need not be open."""
        await self.sealed(asset)
        draft = self._drafts.get(asset)
        if draft is not None:
            with disk_errors(self._library.staging.path(asset)):
                await trio.to_thread.run_sync(os.ftruncate, draft.fd, size)
            draft.size, draft.mtime_ns = size, self._library.clock()
            if draft.lost_at is not None and size <= draft.lost_at:
                draft.lost_at = None
            return
        known = self._library.asset(asset)
        if known is None or known.state is not AssetState.RECEIVING:
            raise Refused("originals never change; write a new file instead")
        with disk_errors(self._library.staging.path(asset)):
            os.truncate(self._library.staging.path(asset), size)
        self._library.execute([SetSize(asset, size), SetTimes(asset, self._library.clock())], ACTOR)

    def times_set(self, asset: AssetId) -> None:
        """The catalog has a newer mtime than the last write."""
        draft = self._drafts.get(asset)
        if draft is not None:
            draft.mtime_ns = None

    async def sync(self, draft: Draft) -> None:
        """When this returns, bytes and row survive power loss (P1)."""
        try:
            await trio.to_thread.run_sync(self._library.staging.sync, draft.fd)
        except DamfsError:
            draft.lost_at = 0
            raise
        if self._library.asset(draft.asset) is not None:
            self._library.execute([SetSize(draft.asset, draft.size)], ACTOR, durable=True)

    async def leave(self, draft: Draft, *, writes: bool) -> None:
        """Somebody who had it open has closed it."""
        draft.writers -= writes
        draft.readers -= not writes
        if writes and not draft.writers:
            self._forget(draft)
            await self._last_close(draft)
        if not draft.writers and not draft.readers:
            self._forget(draft)
            await trio.to_thread.run_sync(os.close, draft.fd)

    def _forget(self, draft: Draft) -> None:
        """Who opens the file from now on gets a draft of his own."""
        if self._drafts.get(draft.asset) is draft:
            del self._drafts[draft.asset]

    async def _last_close(self, draft: Draft) -> None:
        """From here on a crash does not lose the file: it is whole. One that a write error broke is dropped."""
        asset = draft.asset
        try:
            if draft.lost_at is not None:
                await self._drop(draft)
                return
            commands: list[Command[object]] = [SetClosed(asset, closed=True, size=draft.size)]
            if draft.mtime_ns is not None:
                commands.append(SetTimes(asset, draft.mtime_ns))
            if self._library.asset(asset) is not None:
                self._library.execute(commands, ACTOR)
        except DamfsError as error:
            log.warning("a received file could not be entered into the catalog and will be tried again: %s", error)
            self._reception.held_back[asset] = str(error)
        else:
            self.begin_seal(asset)

    async def _drop(self, draft: Draft) -> None:
        """Who wrote was told of the error; nothing is half an asset (P10)."""
        asset, known = draft.asset, self._library.asset(draft.asset)
        dropping = self._sealing[asset] = trio.Event()
        try:
            with disk_errors(self._library.staging.path(asset)):
                # a removed file keeps its space while it is open, and the catalog may need it for what comes now
                await trio.to_thread.run_sync(os.ftruncate, draft.fd, 0)
            await trio.to_thread.run_sync(self._library.staging.discard, asset)
            if known is not None:
                log.info("%s could not be received whole and was dropped", known.name)
                self._library.execute([Abandon(asset)], ACTOR)
        finally:
            del self._sealing[asset]
            dropping.set()

    def begin_seal(self, asset: AssetId) -> None:
        """Seal in the background, unless it is being written or sealed already."""
        draft = self._drafts.get(asset)
        if asset not in self._sealing and (draft is None or not draft.writers):
            self._sealing[asset] = trio.Event()
            self._nursery.start_soon(self._seal, asset)

    async def _seal(self, asset: AssetId) -> None:
        try:
            if self._library.asset(asset) is None:
                await trio.to_thread.run_sync(self._library.staging.discard, asset)
            else:
                await self._batches.seal(asset)
        finally:
            self._sealing.pop(asset).set()


def write_at(fd: int, data: bytes, offset: int) -> int:
    """All of it. Blocks."""
    written = 0
    while written < len(data):
        written += os.pwrite(fd, memoryview(data)[written:], offset + written)
    return written
