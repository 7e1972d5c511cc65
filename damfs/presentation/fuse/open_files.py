"""What is open: originals and renditions to read, drafts that are still being written, texts, directory listings.

Concurrency: the tables belong to the loop's thread; every file operation goes to a thread, except reads that the page
cache answers at once (RWF_NOWAIT). Crash rule: a draft is a file of the staging area; start-up finds it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from damfs.catalog import derived, stores
from damfs.core.commands import SetClosed, SetSize
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.errors import DamfsError, NotFound, Refused, Unavailable
from damfs.model import Asset, AssetId, AssetState, RenditionId
from damfs.presentation.views.view import Entry, Thing, ThingKind
from damfs.storage.disk_errors import disk_errors

ACTOR = "fuse"


@dataclass(slots=True)
class Draft:
    """A file that is being received. ``size`` is what was written so far."""

    asset: AssetId
    fd: int
    size: int
    writers: int = 0
    readers: int = 0


@dataclass(slots=True)
class Reading:
    fd: int


@dataclass(slots=True)
class Text:
    content: bytes


@dataclass(slots=True)
class Listing:
    entries: Sequence[Entry]


@dataclass(slots=True)
class DraftHandle:
    draft: Draft
    writes: bool


Open = Reading | Text | Listing | DraftHandle


@dataclass(slots=True)
class OpenFiles:
    library: Library
    reception: Reception
    nursery: trio.Nursery
    """Owns the sealing that begins with a last close."""
    _handles: dict[int, Open] = field(default_factory=dict)
    _drafts: dict[AssetId, Draft] = field(default_factory=dict)
    _sealing: dict[AssetId, trio.Event] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def keep(self, opened: Open) -> int:
        """A handle for it."""
        handle = next(self._numbers)
        self._handles[handle] = opened
        return handle

    def get(self, handle: int) -> Open:
        return self._handles[handle]

    @property
    def drafting(self) -> bool:
        """Whether any file is being written: most listings need not ask for each."""
        return bool(self._drafts)

    def draft_size(self, asset: AssetId) -> int | None:
        draft = self._drafts.get(asset)
        return None if draft is None else draft.size

    @property
    def unsettled(self) -> int:
        """Drafts that are open or being sealed."""
        return len(self._drafts.keys() | self._sealing.keys())

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

    async def create_draft(self, asset: AssetId) -> int:
        """A handle to write the asset's first bytes."""
        fd = await trio.to_thread.run_sync(self.library.staging.create, asset)
        draft = self._drafts[asset] = Draft(asset, fd, 0, writers=1)
        return self.keep(DraftHandle(draft, writes=True))

    async def open_thing(self, thing: Thing, flags: int) -> int:
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        if thing.kind is ThingKind.RENDITION:
            return await self._open_rendition(RenditionId(thing.id), writes=writes)
        asset_id = AssetId(thing.id)
        if writes and asset_id in self._sealing:
            await self._sealing[asset_id].wait()
        asset = self.library.asset(asset_id)
        if asset is None:
            raise NotFound(f"no asset {thing.id}")
        if asset.state is AssetState.RECEIVING:
            return await self._open_draft(asset.id, truncate=bool(flags & os.O_TRUNC), writes=writes)
        if writes:
            raise Refused(f"{asset.name} is an original: its bytes never change; write a new file instead")
        return await self._open_original(asset)

    async def _open_draft(self, asset: AssetId, *, truncate: bool, writes: bool) -> int:
        draft = self._drafts.get(asset)
        if draft is None:
            fd, size = await trio.to_thread.run_sync(self._reopen, asset)
            draft = self._drafts.setdefault(asset, Draft(asset, fd, size))
            if draft.fd != fd:
                await trio.to_thread.run_sync(os.close, fd)
        if writes and draft.writers == 0:
            self.library.execute([SetClosed(asset, closed=False, size=draft.size)], ACTOR)
        draft.writers += writes
        draft.readers += not writes
        if truncate and writes:
            await self.truncate(asset, 0)
        return self.keep(DraftHandle(draft, writes))

    def _reopen(self, asset: AssetId) -> tuple[int, int]:
        fd = self.library.staging.open(asset, os.O_RDWR)
        return fd, os.fstat(fd).st_size

    async def _open_original(self, asset: Asset) -> int:
        """The first copy that opens. Raises Unavailable when none does."""
        try:
            return self.keep(Reading(await self._first_that_opens(asset)))
        except Unavailable:
            # a file may have got another key between the row and the open: ask once more
            return self.keep(Reading(await self._first_that_opens(asset)))

    async def _first_that_opens(self, asset: Asset) -> int:
        assert asset.blob is not None
        problem: DamfsError = Unavailable(f"no copy of {asset.name} can be reached; is its store mounted?")
        for copy in self.library.sources(asset.blob, asset.id):
            key = stores.key_of(self.library.db.writer, copy.folder, copy.name)
            try:
                return await trio.to_thread.run_sync(self.library.blob_store(copy.store).open, key)
            except DamfsError as error:
                problem = Unavailable(f"{asset.name}: {error}")
        raise problem

    async def _open_rendition(self, id_: RenditionId, *, writes: bool) -> int:
        if writes:
            raise Refused("renditions are made by damfs and cannot be written")
        rendition = derived.rendition(self.library.db.writer, id_)
        if rendition is None:
            raise NotFound(f"no rendition {id_}")
        path = self.library.renditions / rendition.key
        with disk_errors(path):
            return self.keep(Reading(await trio.to_thread.run_sync(os.open, path, os.O_RDONLY | os.O_CLOEXEC)))

    async def read(self, handle: int, offset: int, size: int) -> bytes:
        opened = self._handles[handle]
        if isinstance(opened, Text):
            return opened.content[offset : offset + size]
        if isinstance(opened, Listing):
            raise Refused("a directory is listed, not read")
        fd = opened.fd if isinstance(opened, Reading) else opened.draft.fd
        return await read_at(fd, offset, size)

    async def write(self, handle: int, offset: int, data: bytes) -> int:
        opened = self._handles[handle]
        if not isinstance(opened, DraftHandle) or not opened.writes:
            raise Refused("not open for writing")
        draft = opened.draft
        with disk_errors(self.library.staging.path(draft.asset)):
            written = await trio.to_thread.run_sync(write_at, draft.fd, data, offset)
        draft.size = max(draft.size, offset + written)
        return written

    async def truncate(self, asset: AssetId, size: int) -> None:
        """Only a file that is still being received. It need not be open."""
        known = self.library.asset(asset)
        if known is None or known.state is not AssetState.RECEIVING:
            raise Refused("originals never change; write a new file instead")
        path = self.library.staging.path(asset)
        with disk_errors(path):
            await trio.to_thread.run_sync(os.truncate, path, size)
        if asset in self._drafts:
            self._drafts[asset].size = size

    async def fsync(self, handle: int) -> None:
        """When this returns, bytes and row survive power loss (P1)."""
        opened = self._handles[handle]
        if not isinstance(opened, DraftHandle):
            return
        await trio.to_thread.run_sync(self.library.staging.sync, opened.draft.fd)
        if self.library.asset(opened.draft.asset) is not None:
            self.library.execute([SetSize(opened.draft.asset, opened.draft.size)], ACTOR, durable=True)

    async def release(self, handle: int) -> None:
        opened = self._handles.pop(handle, None)
        if isinstance(opened, Reading):
            await trio.to_thread.run_sync(os.close, opened.fd)
        elif isinstance(opened, DraftHandle):
            await self._release_draft(opened)

    async def _release_draft(self, handle: DraftHandle) -> None:
        draft = handle.draft
        draft.writers -= handle.writes
        draft.readers -= not handle.writes
        if draft.writers == 0 and handle.writes and self._drafts.get(draft.asset) is draft:
            del self._drafts[draft.asset]
            self._close(draft)
            self.begin_seal(draft.asset)
        if draft.writers == draft.readers == 0:
            self._drafts.pop(draft.asset, None)
            await trio.to_thread.run_sync(os.close, draft.fd)

    def _close(self, draft: Draft) -> None:
        """From here on a crash does not lose the file: it is whole."""
        if self.library.asset(draft.asset) is not None:
            self.library.execute([SetClosed(draft.asset, closed=True, size=draft.size)], ACTOR)

    def begin_seal(self, asset: AssetId) -> None:
        """Seal in the background, unless it is being written or sealed already."""
        if asset not in self._sealing and asset not in self._drafts:
            self._sealing[asset] = trio.Event()
            self.nursery.start_soon(self._seal, asset)

    async def _seal(self, asset: AssetId) -> None:
        try:
            if self.library.asset(asset) is None:
                await trio.to_thread.run_sync(self.library.staging.discard, asset)
            else:
                await self.reception.seal_or_report(asset)
        finally:
            self._sealing.pop(asset).set()


async def read_at(fd: int, offset: int, size: int) -> bytes:
    """At once from the page cache where it has the bytes, else in a thread."""
    try:
        data = bytearray(size)
        count = os.preadv(fd, [data], offset, os.RWF_NOWAIT)
    except OSError:  # EAGAIN: not cached; EOPNOTSUPP: the file system below cannot say
        return await trio.to_thread.run_sync(os.pread, fd, size, offset)
    if count == size or (count == 0 and size == 0):
        return bytes(data)
    rest = await trio.to_thread.run_sync(os.pread, fd, size - count, offset + count)
    return bytes(memoryview(data)[:count]) + rest


def write_at(fd: int, data: bytes, offset: int) -> int:
    """All of it. Blocks."""
    written = 0
    while written < len(data):
        written += os.pwrite(fd, memoryview(data)[written:], offset + written)
    return written
