"""pyfuse3's handlers: decode, ask, encode. No rule, no SQL, no path logic lives here.

Concurrency: on the loop; what may scan or touch a file is awaited in a thread (see `Tree`, `OpenFiles`). Errors leave
through `answers` only. Crash rule: an error never ends the mount.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass

import pyfuse3
import trio
from pyfuse3 import EntryAttributes, FileInfo, FUSEError, ReaddirToken, RequestContext, SetattrFields, StatvfsData

from damfs.core.commands import Command, SetMode, SetTimes
from damfs.core.counters import Counters
from damfs.core.library import Library
from damfs.errors import Refused
from damfs.model import Asset, AssetId, AssetState
from damfs.presentation.fuse.answers import answers
from damfs.presentation.fuse.attributes import Owner, absent, attributes
from damfs.presentation.fuse.inodes import Inodes
from damfs.presentation.fuse.open_files import ACTOR, Listing, OpenFiles, Text
from damfs.presentation.views.edits import Edits
from damfs.presentation.views.tree import Tree
from damfs.presentation.views.view import Entry, Place, Thing, ThingKind
from damfs.storage.droppings import is_dropping

CAPABILITY = b"security.capability"
"""The kernel asks for it on every write."""


@dataclass(slots=True)
class Operations(pyfuse3.Operations):
    library: Library
    tree: Tree
    edits: Edits
    inodes: Inodes
    files: OpenFiles
    counters: Counters
    owner: Owner

    supports_dot_lookup = True
    enable_writeback_cache = False
    enable_acl = False

    @answers
    async def lookup(self, parent_inode: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        text = os.fsdecode(name)
        if text in {".", ".."}:
            return await self._dot(parent_inode, text)
        if is_dropping(text):
            return absent()
        entry = await self.tree.lookup(self.inodes.place(parent_inode), text)
        if entry is None:
            raise FUSEError(errno.ENOENT)
        return self._told(entry)

    async def _dot(self, inode: int, name: str) -> EntryAttributes:
        place = self.inodes.place(inode)
        if name == ".." and place.path:
            place = Place(place.view, place.path[:-1])
        return self._told(self.tree.entry(place))

    def _told(self, entry: Entry) -> EntryAttributes:
        """The attributes of an entry that the kernel holds once more from now on."""
        self.inodes.remember(entry.node)
        return self._attributes(entry)

    def _attributes(self, entry: Entry) -> EntryAttributes:
        node = entry.node
        if self.files.drafting and isinstance(node, Thing) and node.kind is ThingKind.ASSET:
            received = self.files.draft_size(AssetId(node.id))
            if received is not None:
                entry = entry._replace(size=received)
        return attributes(self.inodes.number(node), entry, self.owner)

    @answers
    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        self.inodes.forget(inode_list)

    @answers
    async def getattr(self, inode: int, ctx: RequestContext) -> EntryAttributes:
        return self._attributes(self.tree.entry(self.inodes.node(inode)))

    @answers
    async def setattr(
        self, inode: int, attr: EntryAttributes, fields: SetattrFields, fh: int | None, ctx: RequestContext
    ) -> EntryAttributes:
        node = self.inodes.node(inode)
        if not isinstance(node, Thing) or node.kind is not ThingKind.ASSET:
            raise Refused("only files that are assets can be changed")
        if (fields.update_uid and attr.st_uid != self.owner.uid) or (
            fields.update_gid and attr.st_gid != self.owner.gid
        ):
            raise Refused("every file of the mount belongs to the user that runs damfs")
        asset = AssetId(node.id)
        if fields.update_size:
            await self.files.truncate(asset, attr.st_size)
        commands: list[Command[object]] = []
        if fields.update_mtime:
            commands.append(SetTimes(asset, attr.st_mtime_ns))
        if fields.update_mode:
            commands.append(SetMode(asset, attr.st_mode & 0o777))
        if commands:
            self.library.execute(commands, ACTOR)
        return self._attributes(self.tree.entry(node))

    @answers
    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        place = self.inodes.place(parent_inode)
        asset = await self.edits.receive(place, os.fsdecode(name), mode & 0o777)
        handle = await self.files.create_draft(asset)
        return FileInfo(fh=handle), self._told(self.tree.entry(Thing(ThingKind.ASSET, asset)))

    @answers
    async def open(self, inode: int, flags: int, ctx: RequestContext) -> FileInfo:
        node = self.inodes.node(inode)
        if not isinstance(node, Thing):
            raise FUSEError(errno.EISDIR)
        if node.kind is ThingKind.TEXT:
            if flags & os.O_ACCMODE != os.O_RDONLY:
                raise Refused("made by damfs, cannot be written")
            return FileInfo(fh=self.files.keep(Text(await self.tree.text(node))), direct_io=True)
        return FileInfo(fh=await self.files.open_thing(node, flags), keep_cache=True)

    @answers
    async def read(self, fh: int, off: int, size: int) -> bytes:
        return await self.files.read(fh, off, size)

    @answers
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        return await self.files.write(fh, off, buf)

    @answers
    async def flush(self, fh: int) -> None:
        """Nothing is buffered here."""

    @answers
    async def release(self, fh: int) -> None:
        await self.files.release(fh)

    @answers
    async def fsync(self, fh: int, datasync: bool) -> None:
        await self.files.fsync(fh)

    @answers
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """A directory is rows: they are committed."""

    @answers
    async def opendir(self, inode: int, ctx: RequestContext) -> int:
        return self.files.keep(Listing(await self.tree.list(self.inodes.place(inode))))

    @answers
    async def readdir(self, fh: int, start_id: int, token: ReaddirToken) -> None:
        listing = self.files.get(fh)
        assert isinstance(listing, Listing)
        for position in range(start_id, len(listing.entries)):
            entry = listing.entries[position]
            name = entry.name.encode("utf-8", "surrogateescape")
            if not pyfuse3.readdir_reply(token, name, self._attributes(entry), position + 1):
                return
            if isinstance(entry.node, Place):
                self.inodes.remember(entry.node)

    @answers
    async def releasedir(self, fh: int) -> None:
        await self.files.release(fh)

    @answers
    async def rename(
        self,
        parent_inode_old: int, name_old: bytes, parent_inode_new: int, name_new: bytes, flags: int, ctx: RequestContext,
    ) -> None:  # fmt: skip
        if flags & pyfuse3.RENAME_EXCHANGE:
            raise FUSEError(errno.EINVAL)
        old, new = self.inodes.place(parent_inode_old), self.inodes.place(parent_inode_new)
        name, new_name = os.fsdecode(name_old), os.fsdecode(name_new)
        replace = not flags & pyfuse3.RENAME_NOREPLACE
        asset = await self.edits.move(old, name, new, new_name, replace=replace)
        if asset is None:
            self.inodes.moved(Place(old.view, (*old.path, name)), Place(new.view, (*new.path, new_name)))
        elif asset.state is AssetState.RECEIVING:
            self.files.begin_seal(asset.id)

    @answers
    async def link(self, inode: int, new_parent_inode: int, new_name: bytes, ctx: RequestContext) -> EntryAttributes:
        asset = self._asset(inode)
        await self.edits.link(asset.id, self.inodes.place(new_parent_inode), os.fsdecode(new_name))
        return self._told(self.tree.entry(Thing(ThingKind.ASSET, asset.id)))

    @answers
    async def unlink(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        await self.edits.remove(self.inodes.place(parent_inode), os.fsdecode(name))

    @answers
    async def mkdir(self, parent_inode: int, name: bytes, mode: int, ctx: RequestContext) -> EntryAttributes:
        place, text = self.inodes.place(parent_inode), os.fsdecode(name)
        self.edits.make_directory(place, text)
        entry = await self.tree.lookup(place, text)
        if entry is None:
            raise FUSEError(errno.ENOENT)
        return self._told(entry)

    @answers
    async def rmdir(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        self.edits.remove_directory(self.inodes.place(parent_inode), os.fsdecode(name))

    @answers
    async def mknod(self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: RequestContext) -> EntryAttributes:
        raise Refused("no devices, pipes or sockets in a media library")

    @answers
    async def symlink(self, parent_inode: int, name: bytes, target: bytes, ctx: RequestContext) -> EntryAttributes:
        raise Refused("no symbolic links in a media library; use ln without -s to tag")

    @answers
    async def statfs(self, ctx: RequestContext) -> StatvfsData:
        below = await trio.to_thread.run_sync(os.statvfs, self.library.originals)
        made = StatvfsData()
        for field in ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail"):
            setattr(made, field, getattr(below, field))
        made.f_namemax = 255
        return made

    @answers
    async def getxattr(self, inode: int, name: bytes, ctx: RequestContext) -> bytes:
        # never ENOSYS: the kernel would stop asking for the life of the mount; "not supported" lets `ls` stop asking
        known = name.startswith(b"user.") or name == CAPABILITY
        raise FUSEError(pyfuse3.ENOATTR if known else errno.EOPNOTSUPP)

    @answers
    async def listxattr(self, inode: int, ctx: RequestContext) -> Sequence[bytes]:
        return ()

    @answers
    async def setxattr(self, inode: int, name: bytes, value: bytes, ctx: RequestContext) -> None:
        raise FUSEError(errno.EOPNOTSUPP)

    @answers
    async def removexattr(self, inode: int, name: bytes, ctx: RequestContext) -> None:
        raise FUSEError(pyfuse3.ENOATTR)

    def _asset(self, inode: int) -> Asset:
        node = self.inodes.node(inode)
        asset = self.library.asset(AssetId(node.id)) if isinstance(node, Thing) else None
        if asset is None or not isinstance(node, Thing) or node.kind is not ThingKind.ASSET:
            raise Refused("only assets can be linked")
        return asset
