"""What is open: originals and renditions to read, drafts that are still being written, texts, directory listings.

Concurrency: the table belongs to the loop's thread; every file operation goes to a thread, except reads that the page
cache answers at once (RWF_NOWAIT). Crash rule: see `drafts`; what is only read needs none.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import trio
from pyfuse3 import FUSEError

from damfs.catalog import derived, versions
from damfs.core.commands import Command
from damfs.core.library import Library
from damfs.core.on_demand import ON_DEMAND, open_in_use
from damfs.errors import DamfsError, NotFound, Refused, Unavailable
from damfs.model import Asset, AssetId, AssetState, RenditionId, VersionId
from damfs.presentation.fuse.backings import Backings
from damfs.presentation.fuse.cached_reads import read_at
from damfs.presentation.fuse.draft_files import Draft
from damfs.presentation.fuse.drafts import Drafts
from damfs.presentation.fuse.events import EventReader
from damfs.presentation.fuse.inodes import ASSET_MASK, Inodes
from damfs.presentation.fuse.listings import KeptListing, Listing
from damfs.presentation.fuse.native import Native, Received
from damfs.presentation.fuse.notes import OpenNote
from damfs.presentation.fuse.opened import NEXT, Bytes, DraftHandle, Open, Opened, Reading, Text, file_of
from damfs.presentation.fuse.originals import open_bytes, open_original
from damfs.presentation.fuse.privileges import drop_privileges
from damfs.presentation.views.view import Thing, ThingKind
from damfs.storage.disk_errors import disk_errors

REMEMBERED = 65_536
BEING_RECEIVED = b"a file that is being received"


@dataclass(slots=True)
class OpenFiles:
    library: Library
    drafts: Drafts
    backings: Backings
    inodes: Inodes
    native: Native
    not_entered: Callable[[], DamfsError] = lambda: Unavailable("it is not open")
    """Why a handle may not be known that the kernel has."""
    check_entered: Callable[[int, int], None] = lambda handle, offset: None
    """Before bytes at the offset are written, or synced."""
    _bytes: dict[int, dict[int, Bytes]] = field(default_factory=dict)
    """By inode and handle, of files that are assets."""
    _inodes_of: dict[int, int] = field(default_factory=dict)
    _cached: OrderedDict[int, int | None] = field(default_factory=OrderedDict)
    """By inode, of assets that have been overwritten: the version whose bytes the kernel may have. None: a draft's."""
    _handles: dict[int, Open] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def keep(self, opened: Open) -> int:
        """A handle for it."""
        handle = next(self._numbers)
        self._handles[handle] = opened
        return handle

    def _keep_draft(self, draft: Draft, inode: int, *, writes: bool) -> int:
        return self.take_over(self.keep(DraftHandle(draft, writes)), draft, inode)

    def take_over(self, handle: int, draft: Draft, inode: int) -> int:
        """Also one that was given to the kernel already, by whoever made the file."""
        self._handles.setdefault(handle, DraftHandle(draft, writes=True))
        self._reads(inode, handle, Bytes(None, file_of(draft.fd)))
        self.backings.opened(inode, handle, None)
        return handle

    def _keep_reading(self, inode: int, reading: Reading) -> int:
        handle = self.keep(reading)
        self.backings.opened(inode, handle, reading.fd)
        return handle

    def _reads(self, inode: int, handle: int, bytes_: Bytes) -> None:
        self._bytes.setdefault(inode, {})[handle] = bytes_
        self._inodes_of[handle] = inode

    def _check_alone(self, asset: AssetId, inode: int, bytes_: Bytes) -> None:
        """The kernel has one cache and one size for an inode. While others still read bytes that are not the asset's
        any more it gets another handle, and the kernel is told to look the file up once more (ESTALE)."""
        current = self.inodes.handle(asset)
        if inode == current and all(bytes_.same(other) for other in self._bytes.get(inode, {}).values()):
            return
        if inode == current:
            self.inodes.turn(asset)
        raise FUSEError(errno.ESTALE)

    async def supersede(self, target: AssetId, source: AssetId, also: Sequence[Command[object]]) -> None:
        """See `Drafts.supersede`. Those who read the target go on reading what it was."""
        if self._bytes.get(self.inodes.handle(target)):
            self.inodes.turn(target)
        await self.drafts.supersede(target, source, also)

    def version_added(self, asset: AssetId) -> None:
        """Before the kernel is told of it: those who read what the asset was go on doing so."""
        version = versions.current(self.library.db.writer, asset)
        if version is not None and version.number > 1 and self.drafts.written(asset) is None:
            now = Bytes(version.blob, None)
            if not all(now.same(other) for other in self._bytes.get(self.inodes.handle(asset), {}).values()):
                self.inodes.turn(asset)

    def check_cut(self, asset: AssetId, inode: int) -> None:
        """Before the file is made shorter or longer: those who read what it was go on doing so."""
        known, draft = self.library.asset(asset), self.drafts.written(asset)
        if known is not None and known.state is not AssetState.RECEIVING:
            self._check_alone(asset, inode, NEXT if draft is None else Bytes(None, file_of(draft.fd)))
            self._remember(inode, None)

    def outdated(self, inode: int) -> os.stat_result | None:
        """What whoever has the file open by a handle that is not its own any more sees; None: nobody has."""
        for handle in self._bytes.get(inode, {}):
            opened = self._handles[handle]
            if isinstance(opened, Reading | DraftHandle):
                return os.fstat(opened.fd if isinstance(opened, Reading) else opened.draft.fd)
        return None

    def became(self, inode: int) -> AssetId | None:
        """Of a file that was renamed over another while it is written: whose next version that is."""
        for handle in self._bytes.get(inode, {}):
            opened = self._handles[handle]
            if isinstance(opened, DraftHandle) and opened.draft.asset != inode & ASSET_MASK:
                return opened.draft.asset
        return None

    def get(self, handle: int) -> Open:
        """Raises Unavailable, or what else is in the way, of a file that the catalog does not take."""
        opened = self._handles.get(handle)
        if opened is None:
            raise self.not_entered()
        return opened

    async def create(self, asset: AssetId) -> int:
        """A handle to write the asset's first bytes."""
        draft = await self.drafts.create(asset)
        handle = self._keep_draft(draft, self.inodes.handle(asset), writes=True)
        if self.library.staging.is_local:  # where the loop would wait for the first bytes anyhow
            self.native.receive(handle, draft.fd)
        return handle

    def catch_up(self, received: Iterable[Received]) -> None:
        """With what was done to files without asking."""
        left = []
        for each in received:
            opened = self._handles.get(each.handle)
            if isinstance(opened, DraftHandle):
                if each.mtime_ns is not None:
                    opened.draft.wrote(each.size, each.mtime_ns)
                if each.closed:
                    self._let_go(each.handle)
                    left.append(opened.draft)
        self.drafts.left_alone(left)

    async def open_thing(self, thing: Thing, flags: int, inode: int) -> Opened:
        writes = flags & os.O_ACCMODE != os.O_RDONLY
        if thing.kind is ThingKind.RENDITION:
            return Opened(await self._open_rendition(RenditionId(thing.id), inode, writes=writes), keep_cache=True)
        if thing.kind is ThingKind.VERSION:
            return Opened(await self._open_version(VersionId(thing.id), inode, writes=writes), keep_cache=True)
        if writes:
            await self.drafts.sealed(AssetId(thing.id))
        asset = self._asset(AssetId(thing.id))
        if asset.state is AssetState.RECEIVING:
            try:
                draft = await self.drafts.join(asset.id, writes=writes, truncate=bool(flags & os.O_TRUNC))
                return Opened(self._keep_draft(draft, inode, writes=writes), keep_cache=True)
            except NotFound:
                asset = await self._just_published(asset)
        if writes:
            return await self._open_to_rewrite(asset, inode, truncate=bool(flags & os.O_TRUNC))
        if self.drafts.shown(asset.id) is not None:
            with suppress(NotFound):  # published meanwhile
                return await self._open_draft(asset, inode)
        return await self._open_original(asset, inode)

    async def _open_to_rewrite(self, asset: Asset, inode: int, *, truncate: bool) -> Opened:
        """A draft of the next version. It counts as changed from the moment on that it is really opened."""
        if asset.state is AssetState.TRASHED:
            raise Refused(f"{asset.name} is in the trash; take it out to write it")
        draft = self.drafts.written(asset.id)
        self._check_alone(asset.id, inode, NEXT if draft is None else Bytes(None, file_of(draft.fd)))
        draft = await self.drafts.begin(asset.id, truncate=truncate)
        try:
            self._check_alone(asset.id, inode, Bytes(None, file_of(draft.fd)))
            if truncate:
                await self.drafts.truncate(asset.id, 0)
        except BaseException:
            with trio.CancelScope(shield=True):
                await self.drafts.leave(draft, writes=True)
            raise
        return self._opened_draft(draft, inode, writes=True)

    async def _open_draft(self, asset: Asset, inode: int) -> Opened:
        """To read what is being written."""
        draft = await self.drafts.join(asset.id, writes=False, truncate=False)
        try:
            self._check_alone(asset.id, inode, Bytes(None, file_of(draft.fd)))
        except BaseException:
            with trio.CancelScope(shield=True):
                await self.drafts.leave(draft, writes=False)
            raise
        return self._opened_draft(draft, inode, writes=False)

    def _opened_draft(self, draft: Draft, inode: int, *, writes: bool) -> Opened:
        self._remember(inode, None)
        return Opened(self._keep_draft(draft, inode, writes=writes), keep_cache=False)

    def _remember(self, inode: int, version: VersionId | None) -> None:
        self._cached[inode] = version
        self._cached.move_to_end(inode)
        if len(self._cached) > REMEMBERED:
            self._cached.popitem(last=False)

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

    async def _open_original(self, asset: Asset, inode: int) -> Opened:
        """Raises Unavailable when no copy opens."""
        asset, fd = await open_original(self.library, asset.id)
        bytes_ = Bytes(asset.blob, file_of(fd))
        try:
            self._check_alone(asset.id, inode, bytes_)
        except FUSEError:
            os.close(fd)
            raise
        keep = self._holds(inode, asset)
        handle = self._keep_reading(inode, Reading(fd, os.fsencode(asset.name)))
        self._reads(inode, handle, bytes_)
        return Opened(handle, keep)

    def _holds(self, inode: int, asset: Asset) -> bool:
        """Whether what the kernel may have cached are the asset's bytes; from now on they are."""
        version = versions.current(self.library.db.writer, asset.id)
        if version is None or (version.number == 1 and inode not in self._cached):
            return True
        held = self._cached.get(inode)
        self._remember(inode, version.id)
        return held == version.id

    async def _open_version(self, id_: VersionId, inode: int, *, writes: bool) -> int:
        if writes:
            raise Refused("versions are what was; write the file itself, or bring one back with: damfs revert")
        version = versions.version(self.library.db.writer, id_)
        if version is None:
            raise NotFound(f"no version {id_}")
        asset = self._asset(version.asset)
        fd = await open_bytes(self.library, asset, version.blob)
        return self._keep_reading(inode, Reading(fd, os.fsencode(asset.name)))

    async def _open_rendition(self, id_: RenditionId, inode: int, *, writes: bool) -> int:
        if writes:
            raise Refused("renditions are made by damfs and cannot be written")
        rendition = derived.rendition(self.library.db.writer, id_)
        if rendition is None:
            raise NotFound(f"no rendition {id_}")
        path = self.library.renditions / rendition.key
        opened = open_in_use if rendition.kind in ON_DEMAND else open_to_read
        with disk_errors(path):
            fd = await trio.to_thread.run_sync(opened, path)
        return self._keep_reading(inode, Reading(fd, os.fsencode(path)))

    async def read(self, handle: int, offset: int, size: int) -> bytes:
        opened = self.get(handle)
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
        self.check_entered(handle, offset)
        opened = self.get(handle)
        if isinstance(opened, OpenNote):
            return opened.write(offset, data)
        if not isinstance(opened, DraftHandle) or not opened.writes:
            raise Refused("not open for writing")
        if opened.unprivileged and not opened.draft.detached:
            opened.unprivileged = False
            drop_privileges(self.library, opened.draft.asset)
        return await self.drafts.write(opened.draft, offset, data)

    def opened_by(self, handle: int, uid: int, flags: int) -> None:
        """Whoever may not set user ids takes them away by writing, or by having emptied the file."""
        opened = self._handles[handle]
        if uid and isinstance(opened, DraftHandle) and opened.writes:
            opened.unprivileged = True
            if flags & os.O_TRUNC:
                drop_privileges(self.library, opened.draft.asset)

    async def fsync(self, handle: int) -> None:
        self.check_entered(handle, 0)
        opened = self.get(handle)
        if isinstance(opened, DraftHandle):
            await self.drafts.sync(opened.draft)

    async def release(self, handle: int) -> None:
        opened = self._let_go(handle)
        if isinstance(opened, DraftHandle):
            self.native.let_go(handle)
        if isinstance(opened, Reading):
            await trio.to_thread.run_sync(os.close, opened.fd)
        elif isinstance(opened, EventReader):
            opened.close()
        elif isinstance(opened, DraftHandle):
            await self.drafts.leave(opened.draft, writes=opened.writes)

    @asynccontextmanager
    async def unless_it_fails(self, handle: int) -> AsyncIterator[None]:
        """The handle is given to the kernel after the block; to nobody where that fails."""
        try:
            yield
        except BaseException:
            with trio.CancelScope(shield=True):
                await self.release(handle)
            raise

    def _let_go(self, handle: int) -> Open | None:
        opened = self._handles.pop(handle, None)
        inode = self._inodes_of.pop(handle, None)
        if inode is not None:
            del self._bytes[inode][handle]
            if not self._bytes[inode]:
                del self._bytes[inode]
        self.backings.released(handle)
        return opened


def open_to_read(path: Path) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
