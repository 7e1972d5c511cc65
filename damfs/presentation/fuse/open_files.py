"""What is open: originals and renditions to read, drafts that are still being written, texts, directory listings.

Concurrency: the table belongs to the loop's thread; every file operation goes to a thread, except reads that the page
cache answers at once (RWF_NOWAIT). Crash rule: see `drafts`; what is only read needs none.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field

import trio

from damfs.catalog import derived, stores
from damfs.core.library import Library
from damfs.errors import DamfsError, NotFound, Refused, Unavailable
from damfs.model import Asset, AssetId, AssetState, RenditionId
from damfs.presentation.fuse.backings import Backings
from damfs.presentation.fuse.drafts import Draft, Drafts
from damfs.presentation.fuse.events import EventReader
from damfs.presentation.fuse.listings import KeptListing, Listing
from damfs.presentation.fuse.notes import OpenNote
from damfs.presentation.views.view import Thing, ThingKind
from damfs.storage.disk_errors import disk_errors

BEING_RECEIVED = b"a file that is being received"


@dataclass(slots=True)
class Reading:
    fd: int
    what: bytes
    """For error messages."""


@dataclass(slots=True)
class Text:
    content: bytes


@dataclass(slots=True)
class DraftHandle:
    draft: Draft
    writes: bool


Open = Reading | Text | Listing | KeptListing | DraftHandle | EventReader | OpenNote


@dataclass(slots=True)
class OpenFiles:
    library: Library
    drafts: Drafts
    backings: Backings
    _handles: dict[int, Open] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def keep(self, opened: Open) -> int:
        """A handle for it."""
        handle = next(self._numbers)
        self._handles[handle] = opened
        return handle

    def _keep_draft(self, draft: Draft, *, writes: bool) -> int:
        handle = self.keep(DraftHandle(draft, writes))
        self.backings.opened(Thing(ThingKind.ASSET, draft.asset), handle, None)
        return handle

    def _keep_reading(self, thing: Thing, reading: Reading) -> int:
        handle = self.keep(reading)
        self.backings.opened(thing, handle, reading.fd)
        return handle

    def get(self, handle: int) -> Open:
        return self._handles[handle]

    def create(self, asset: AssetId) -> int:
        """A handle to write the asset's first bytes."""
        return self._keep_draft(self.drafts.create(asset), writes=True)

    async def open_thing(self, thing: Thing, flags: int) -> int:
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        if thing.kind is ThingKind.RENDITION:
            return await self._open_rendition(RenditionId(thing.id), writes=writes)
        if writes:
            await self.drafts.sealed(AssetId(thing.id))
        asset = self._asset(AssetId(thing.id))
        if asset.state is AssetState.RECEIVING:
            try:
                draft = await self.drafts.join(asset.id, writes=writes, truncate=bool(flags & os.O_TRUNC))
                return self._keep_draft(draft, writes=writes)
            except NotFound:
                asset = await self._just_published(asset)
        if writes:
            raise Refused(f"{asset.name} is an original: its bytes never change; write a new file instead")
        return await self._open_original(asset)

    def _asset(self, id_: AssetId) -> Asset:
        asset = self.library.asset(id_)
        if asset is None:
            raise NotFound(f"no asset {id_}")
        return asset

    async def _just_published(self, asset: Asset) -> Asset:
        """Staging had it no more: its sealing is about to end. Raises NotFound when it became another asset."""
        await self.drafts.sealed(asset.id)
        now = self._asset(asset.id)
        if now.state is AssetState.RECEIVING:
            raise Unavailable(f"{asset.name}: what was received of it is gone from the staging area")
        return now

    async def _open_original(self, asset: Asset) -> int:
        """The first copy that opens. Raises Unavailable when none does."""
        try:
            fd = await self._first_that_opens(asset)
        except Unavailable:
            # a file may have got another key between the row and the open: ask once more
            fd = await self._first_that_opens(asset)
        return self._keep_reading(Thing(ThingKind.ASSET, asset.id), Reading(fd, os.fsencode(asset.name)))

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
            fd = await trio.to_thread.run_sync(os.open, path, os.O_RDONLY | os.O_CLOEXEC)
        return self._keep_reading(Thing(ThingKind.RENDITION, id_), Reading(fd, os.fsencode(path)))

    async def read(self, handle: int, offset: int, size: int) -> bytes:
        opened = self._handles[handle]
        if isinstance(opened, Text):
            return opened.content[offset : offset + size]
        if isinstance(opened, OpenNote):
            return opened.read(offset, size)
        if isinstance(opened, EventReader):
            return await opened.read(size)
        if isinstance(opened, Listing | KeptListing):
            raise Refused("a directory cannot be read as a file")
        fd, what = (opened.fd, opened.what) if isinstance(opened, Reading) else (opened.draft.fd, BEING_RECEIVED)
        with disk_errors(what):
            return await read_at(fd, offset, size)

    async def write(self, handle: int, offset: int, data: bytes) -> int:
        opened = self._handles[handle]
        if isinstance(opened, OpenNote):
            return opened.write(offset, data)
        if not isinstance(opened, DraftHandle) or not opened.writes:
            raise Refused("not open for writing")
        return await self.drafts.write(opened.draft, offset, data)

    async def fsync(self, handle: int) -> None:
        opened = self._handles[handle]
        if isinstance(opened, DraftHandle):
            await self.drafts.sync(opened.draft)

    async def release(self, handle: int) -> None:
        opened = self._handles.pop(handle, None)
        self.backings.released(handle)
        if isinstance(opened, Reading):
            await trio.to_thread.run_sync(os.close, opened.fd)
        elif isinstance(opened, EventReader):
            opened.close()
        elif isinstance(opened, DraftHandle):
            await self.drafts.leave(opened.draft, writes=opened.writes)


READ_LIMIT = 1 << 20
"""The kernel asks for no more at once."""
_buffer = memoryview(bytearray(READ_LIMIT))


async def read_at(fd: int, offset: int, size: int) -> bytes:
    """At once from the page cache where it has the bytes, else in a thread. On the loop, which alone has the buffer."""
    try:
        count = os.preadv(fd, [_buffer[:size]], offset, os.RWF_NOWAIT)
    except OSError:  # EAGAIN: not cached; EOPNOTSUPP: the file system below cannot say
        return await trio.to_thread.run_sync(os.pread, fd, size, offset)
    data = bytes(_buffer[:count])
    if count == size or not data:
        return data
    return data + await trio.to_thread.run_sync(os.pread, fd, size - count, offset + count)
