"""pyfuse3's handlers: decode, ask, encode. No rule, no SQL, no path logic lives here.

Concurrency: on the loop; what may scan or touch a file is awaited in a thread (see `Tree`, `OpenFiles`). Errors leave
through `answers` only. Crash rule: an error never ends the mount.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pyfuse3
import trio
from pyfuse3 import EntryAttributes, FileInfo, FUSEError, ReaddirToken, RequestContext, SetattrFields, StatvfsData

from damfs.core.asset_names import NAME_LIMIT, clean_name
from damfs.core.commands import Command, SetMode, SetTimes
from damfs.core.counters import Counters
from damfs.core.library import Library
from damfs.errors import NotFound, Refused
from damfs.model import Asset, AssetId, AssetState
from damfs.presentation.fuse.answers import answers
from damfs.presentation.fuse.attributes import BRIEFLY_S, FileStamp, Owner, absent, attributes
from damfs.presentation.fuse.drafts import ACTOR
from damfs.presentation.fuse.inodes import Inode, Inodes
from damfs.presentation.fuse.listings import KeptListing, Listings, in_order, index_after
from damfs.presentation.fuse.native import Native
from damfs.presentation.fuse.open_files import Listing, OpenFiles, Text
from damfs.presentation.views.edits import Edits
from damfs.presentation.views.tree import Tree
from damfs.presentation.views.view import ROOT_PLACE, Entry, Place, Thing, ThingKind
from damfs.storage.droppings import is_dropping

CAPABILITY = b"security.capability"
"""The kernel asks for it on every write."""
NAMELESS_MODE = 0o600


@dataclass(slots=True)
class Operations(pyfuse3.Operations):
    library: Library
    tree: Tree
    edits: Edits
    inodes: Inodes
    files: OpenFiles
    counters: Counters
    owner: Owner
    stamp: FileStamp
    forget_name: Callable[[int, bytes], None]
    """Have the kernel ask again for a name of a directory."""
    native: Native
    listings: Listings
    forget_listing: Callable[[Inode], None]
    """Have the kernel ask again for the listing of a directory."""

    supports_dot_lookup = True
    enable_writeback_cache = False
    enable_acl = False

    @answers
    async def lookup(self, parent_inode: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        if name in {b".", b".."}:
            return await self._dot(parent_inode, os.fsdecode(name))
        if is_dropping(os.fsdecode(name)):
            return absent()
        place = self._place(parent_inode)
        entry = await self.tree.lookup(place, self._spelled(place, name))
        if entry is None:
            raise FUSEError(errno.ENOENT)
        return self._told(entry, place, name)

    async def _dot(self, inode: int, name: str) -> EntryAttributes:
        place = self._place(inode)
        if name == ".." and place.path:
            place = Place(place.view, place.path[:-1])
        return self._told(self.tree.entry(place), place)

    def _spelled(self, place: Place, name: bytes) -> str:
        """The name as its place spells it. A program may ask in another normal form, or for bytes that are no text."""
        if len(name) > NAME_LIMIT:
            raise FUSEError(errno.ENAMETOOLONG)
        text = os.fsdecode(name)
        raw = place == ROOT_PLACE or (place.id is not None and self.tree.view(place).raw_names)
        return text if raw else clean_name(text)

    def _told(self, entry: Entry, place: Place, name: bytes | None = None) -> EntryAttributes:
        """The attributes of an entry that the kernel holds once more from now on, under the name it asked for."""
        self.inodes.remember(entry.node)
        made = self._attributes(entry)
        if self._drifts(place):
            made.entry_timeout = BRIEFLY_S
        if name is not None and os.fsdecode(name) != self._spelled(place, name):
            made.entry_timeout = 0  # notices tell of names as the place spells them
        return made

    def _drifts(self, node: Thing | Place) -> bool:
        return isinstance(node, Place) and node.id is not None and self.tree.view(node).drifts

    def _place(self, inode: int) -> Place:
        """Raises ESTALE when it is gone: the kernel then looks its path up once more, and finds what is there now."""
        with stale_if_gone():
            return self.inodes.place(inode)

    def _attributes(self, entry: Entry) -> EntryAttributes:
        node = entry.node
        if self.files.drafts and isinstance(node, Thing) and node.kind is ThingKind.ASSET:
            draft = self.files.drafts.get(AssetId(node.id))
            if draft is not None:
                entry = entry._replace(size=draft.size, mtime_ns=draft.mtime_ns or entry.mtime_ns)
        made = attributes(self.inodes.number(node), entry, self.owner)
        if self._drifts(node):
            made.attr_timeout = BRIEFLY_S
        return made

    @answers
    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        self.inodes.forget(inode_list)

    @answers
    async def getattr(self, inode: int, ctx: RequestContext) -> EntryAttributes:
        return self._present(inode)

    def _present(self, inode: int) -> EntryAttributes:
        """What the inode looks like now."""
        with stale_if_gone():
            node = self.inodes.node(inode)
            if isinstance(node, Thing) and self._is_nameless(node):
                return self._attributes(Entry("", node, 0, 0, NAMELESS_MODE))
            return self._attributes(self.tree.entry(node))

    def _is_nameless(self, node: Thing) -> bool:
        """A draft whose name was removed while it is open, as programs do with temporary files."""
        if node.kind is not ThingKind.ASSET or self.files.drafts.get(AssetId(node.id)) is None:
            return False
        return self.library.asset(AssetId(node.id)) is None

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
            await self.files.drafts.truncate(asset, attr.st_size)
        if not self._is_nameless(node):
            self._set_times_and_mode(asset, attr, fields)
        return self._present(inode)

    def _set_times_and_mode(self, asset: AssetId, attr: EntryAttributes, fields: SetattrFields) -> None:
        commands: list[Command[object]] = []
        if fields.update_mtime:
            commands.append(SetTimes(asset, attr.st_mtime_ns))
        if fields.update_mode:
            commands.append(SetMode(asset, attr.st_mode & 0o777))
        if commands:
            with stale_if_gone():
                self.library.execute(commands, ACTOR)
        if fields.update_mtime:
            self.files.drafts.times_set(asset)

    @answers
    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        place = self._place(parent_inode)
        if is_dropping(os.fsdecode(name)):
            raise Refused("files that only desktops leave behind are not kept")
        asset = await self.edits.receive(place, self._spelled(place, name), mode & 0o777)
        handle = self.files.create(asset)
        return FileInfo(fh=handle), self._told(self.tree.entry(Thing(ThingKind.ASSET, asset)), place, name)

    @answers
    async def open(self, inode: int, flags: int, ctx: RequestContext) -> FileInfo:
        with stale_if_gone():
            node = self.inodes.node(inode)
            if not isinstance(node, Thing):
                raise FUSEError(errno.EISDIR)
            if node.kind is not ThingKind.TEXT:
                return FileInfo(fh=await self.files.open_thing(node, flags), keep_cache=True)
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise Refused("made by damfs, cannot be written")
        self.counters["catalog_statements"] = self.library.db.writer.statements
        return FileInfo(fh=self.files.keep(Text(await self.tree.text(node))), direct_io=True)

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
        with stale_if_gone():
            place = self.inodes.place(inode)
            if self._is_kept(place):
                handle = self.files.keep(self.listings.opened(Inode(inode)))
                self.native.keep_listing(handle)
                return handle
        return self.files.keep(await self._listed(place))

    async def _listed(self, place: Place) -> Listing:
        with stale_if_gone():
            return Listing(place, await self.tree.list(place), brief=self._drifts(place))

    def _is_kept(self, place: Place) -> bool:
        """Whether the kernel can keep the listing: it is told of every change, and names mean no rank of the moment."""
        return self.native.cache_directories and not self._drifts(place) and bool(self.tree.facets(place))

    @answers
    async def readdir(self, fh: int, start_id: int, token: ReaddirToken) -> None:
        listing = self.files.get(fh)
        if isinstance(listing, KeptListing):
            await self._reply_kept(listing, start_id, token)
            return
        assert isinstance(listing, Listing)
        if start_id == 0 and listing.begun:  # rewound: POSIX wants it as it is now
            listing.entries = (await self._listed(listing.place)).entries
        listing.begun = True
        for position in range(start_id, len(listing.entries)):
            entry = listing.entries[position]
            made = self._listed_attributes(entry)
            if listing.brief:
                made.entry_timeout = BRIEFLY_S
            name = entry.name.encode("utf-8", "surrogateescape")
            if not pyfuse3.readdir_reply(token, name, made, position + 1):
                return
            if isinstance(entry.node, Place):
                self.inodes.remember(entry.node)

    async def _reply_kept(self, listing: KeptListing, mark: int, token: ReaddirToken) -> None:
        if listing.entries is None or mark == 0:
            listing.stale = False
            with stale_if_gone():
                place = self.inodes.place(listing.inode)
                listing.entries = in_order(await self.tree.list(place), self.inodes.number)
            listing.ended = (0, 0)
        entries = listing.entries
        for index in range(index_after(listing, entries, mark), len(entries)):
            mark, entry = entries[index]
            name = entry.name.encode("utf-8", "surrogateescape")
            if not pyfuse3.readdir_reply(token, name, self._listed_attributes(entry), mark):
                return
            listing.ended = (mark, index + 1)
            if isinstance(entry.node, Place):
                self.inodes.remember(entry.node)
        if listing.stale:
            self.forget_listing(listing.inode)

    def _listed_attributes(self, entry: Entry) -> EntryAttributes:
        """As `_attributes`, good until the next call."""
        if isinstance(entry.node, Thing) and not self.files.drafts:
            return self.stamp.filled(self.inodes.number(entry.node), entry)
        return self._attributes(entry)

    @answers
    async def releasedir(self, fh: int) -> None:
        listing = self.files.get(fh)
        if isinstance(listing, KeptListing):
            self.listings.closed(listing)
            if listing.stale:
                self.forget_listing(listing.inode)
        await self.files.release(fh)

    @answers
    async def rename(
        self,
        parent_inode_old: int, name_old: bytes, parent_inode_new: int, name_new: bytes, flags: int, ctx: RequestContext,
    ) -> None:  # fmt: skip
        if flags & pyfuse3.RENAME_EXCHANGE:
            raise FUSEError(errno.EINVAL)
        old, new = self._place(parent_inode_old), self._place(parent_inode_new)
        name, new_name = self._spelled(old, name_old), self._spelled(new, name_new)
        if is_dropping(os.fsdecode(name_new)):
            raise Refused("files that only desktops leave behind are not kept")
        replace = not flags & pyfuse3.RENAME_NOREPLACE
        asset = await self.edits.move(old, name, new, new_name, replace=replace)
        if asset is None:
            self.inodes.moved(Place(old.view, (*old.path, name)), Place(new.view, (*new.path, new_name)))
            return
        self.forget_name(parent_inode_new, name_new)
        if asset.state is AssetState.RECEIVING:
            self.files.drafts.begin_seal(asset.id)

    @answers
    async def link(self, inode: int, new_parent_inode: int, new_name: bytes, ctx: RequestContext) -> EntryAttributes:
        asset, place = self._asset(inode), self._place(new_parent_inode)
        await self.edits.link(asset.id, place, self._spelled(place, new_name))
        return self._told(self.tree.entry(Thing(ThingKind.ASSET, asset.id)), place, new_name)

    @answers
    async def unlink(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        place = self._place(parent_inode)
        await self.edits.remove(place, self._spelled(place, name))

    @answers
    async def mkdir(self, parent_inode: int, name: bytes, mode: int, ctx: RequestContext) -> EntryAttributes:
        place = self._place(parent_inode)
        if is_dropping(os.fsdecode(name)):
            raise Refused("directories that only desktops leave behind are not kept")
        text = self._spelled(place, name)
        self.edits.make_directory(place, text)
        entry = await self.tree.lookup(place, text)
        if entry is None:
            raise FUSEError(errno.ENOENT)
        return self._told(entry, place, name)

    @answers
    async def rmdir(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        place = self._place(parent_inode)
        text = self._spelled(place, name)
        self.edits.remove_directory(place, text)
        self.inodes.removed(Place(place.view, (*place.path, text)))

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


@contextmanager
def stale_if_gone() -> Iterator[None]:
    """What an inode stood for is gone (a received file became a known asset): the kernel is to look the path up anew.

    With ENOENT it would tell the program that the file is not there; after ESTALE it asks for the name once more.
    """
    try:
        yield
    except NotFound:
        raise FUSEError(errno.ESTALE) from None
