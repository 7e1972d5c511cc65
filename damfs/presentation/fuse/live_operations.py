"""The handlers with live folders: the helper's calls never touch the catalog, those of programs are noted.

A call is the helper's when its process id is, and it is what the helper was just told to do: a person's call of the
same name is never taken for it. Concurrency: on the loop. Crash rule: nothing is kept here.
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from pyfuse3 import EntryAttributes, FileInfo, FUSEError, InodeT, ModeT, RequestContext

from damfs.model import AssetId
from damfs.presentation.fuse.answers import guarded
from damfs.presentation.fuse.inodes import ID_BITS, Inode
from damfs.presentation.fuse.live_folders import LiveFolders, Step
from damfs.presentation.fuse.operations import Operations
from damfs.presentation.views.view import Entry, Place, Thing, ThingKind

NOTHING_KIND = 127
"""Inodes of this kind stand for what the helper removes: for the kernel alone, and at once dead."""
WRITABLE = 0o200


@dataclass(slots=True, kw_only=True)
class LiveOperations(Operations):
    live: LiveFolders
    _dead: Iterator[int] = field(default_factory=lambda: itertools.count(NOTHING_KIND << ID_BITS))

    def _is_own(self, ctx: RequestContext) -> bool:
        return self.live.pid is not None and ctx.pid == self.live.pid

    def _step(self, inode: int, name: bytes) -> Step | None:
        step = self.live.expected
        meant = step is not None and step.inode == inode and os.fsencode(step.name) == name
        return step if meant else None

    @guarded
    async def lookup(self, parent_inode: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        step = self._step(parent_inode, name) if self._is_own(ctx) else None
        if step is None:
            return await Operations.lookup(self, parent_inode, name, ctx)
        step.looked_up = True
        if step.operation in {"unlink", "rmdir"}:
            return self._dead_entry(directory=step.of_directory)
        raise FUSEError(errno.ENOENT)

    def _dead_entry(self, *, directory: bool) -> EntryAttributes:
        made = EntryAttributes()
        made.st_ino = InodeT(next(self._dead))
        made.st_mode = ModeT((stat.S_IFDIR if directory else stat.S_IFREG) | 0o400)
        made.st_nlink = 1
        made.st_uid, made.st_gid = self.appearance.owner.uid, self.appearance.owner.gid
        made.entry_timeout = made.attr_timeout = 0
        return made

    @guarded
    async def getattr(self, inode: int, ctx: RequestContext) -> EntryAttributes:
        made = await Operations.getattr(self, inode, ctx)
        if self._is_own(ctx) and stat.S_ISDIR(made.st_mode):
            # without root's rights the kernel would refuse the helper where nobody may write; it asks again for others
            made.st_mode = ModeT(made.st_mode | WRITABLE)
            made.attr_timeout = 0
        return made

    @guarded
    async def mknod(self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: RequestContext) -> EntryAttributes:
        if self._is_own(ctx):
            return self._re_created(parent_inode, name)
        return await Operations.mknod(self, parent_inode, name, mode, rdev, ctx)

    @guarded
    async def mkdir(self, parent_inode: int, name: bytes, mode: int, ctx: RequestContext) -> EntryAttributes:
        if self._is_own(ctx):
            return self._re_created(parent_inode, name)
        made = await Operations.mkdir(self, parent_inode, name, mode, ctx)
        self._came(parent_inode, name)
        return made

    def _re_created(self, inode: int, name: bytes) -> EntryAttributes:
        """What is listed under the name at this moment."""
        self.catch_up()
        step = self._step(inode, name)
        entry: Entry | None = None if step is None else self.live.listed(step.inode, step.name)
        if step is None or entry is None or isinstance(entry.node, Place) != step.of_directory:
            raise FUSEError(errno.ENOENT)
        return self._told(entry, self._place(inode), name)

    @guarded
    async def unlink(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        if self._is_own(ctx):
            self._re_removed(parent_inode, name)
            return
        await Operations.unlink(self, parent_inode, name, ctx)
        self._went(parent_inode, name)

    @guarded
    async def rmdir(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        if self._is_own(ctx):
            self._re_removed(parent_inode, name)
            return
        await Operations.rmdir(self, parent_inode, name, ctx)
        self._went(parent_inode, name)

    def _re_removed(self, inode: int, name: bytes) -> None:
        """Only what it was shown to remove, and is not listed at this moment."""
        self.catch_up()
        step = self._step(inode, name)
        if step is None or not step.looked_up or self.live.listed(step.inode, step.name) is not None:
            raise FUSEError(errno.ENOENT)

    @guarded
    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        made = await Operations.create(self, parent_inode, name, mode, flags, ctx)
        node = self.inodes.node(made[1].st_ino)
        if isinstance(node, Thing) and node.kind is ThingKind.ASSET:
            self.live.made(parent_inode, self._spelled(self._place(parent_inode), name), AssetId(node.id))
        else:
            self._came(parent_inode, name)
        return made

    @guarded
    async def link(self, inode: int, new_parent_inode: int, new_name: bytes, ctx: RequestContext) -> EntryAttributes:
        made = await Operations.link(self, inode, new_parent_inode, new_name, ctx)
        self._came(new_parent_inode, new_name)
        return made

    @guarded
    async def rename(
        self,
        parent_inode_old: int, name_old: bytes, parent_inode_new: int, name_new: bytes, flags: int, ctx: RequestContext,
    ) -> None:  # fmt: skip
        await Operations.rename(self, parent_inode_old, name_old, parent_inode_new, name_new, flags, ctx)
        self._went(parent_inode_old, name_old)
        self._came(parent_inode_new, name_new)

    def _came(self, inode: int, name: bytes) -> None:
        self.live.shown(inode, self._spelled(self._place(inode), name))

    def _went(self, inode: int, name: bytes) -> None:
        self.live.gone(Inode(inode), self._spelled(self._place(inode), name))
