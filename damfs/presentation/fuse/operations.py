"""pyfuse3's handlers: decode, ask, encode. No rule, no SQL, no path logic lives here.

Concurrency: on the loop; what may scan or touch a file is awaited in a thread (see `Tree`, `OpenFiles`). Errors leave
through `answers` only. Crash rule: an error never ends the mount.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyfuse3
import trio
from pyfuse3 import EntryAttributes, FileInfo, FUSEError, ReaddirToken, RequestContext, SetattrFields, StatvfsData

from damfs.core.asset_names import NAME_LIMIT, clean_name
from damfs.core.counters import Counters
from damfs.core.library import Library
from damfs.errors import DamfsError, NotFound, Refused
from damfs.model import Asset, AssetId, AssetState
from damfs.presentation.fuse.answers import answers, stale_if_gone
from damfs.presentation.fuse.appearance import Appearance
from damfs.presentation.fuse.attribute_changes import AttributeChanges
from damfs.presentation.fuse.attributes import BRIEFLY_S, Owner, absent
from damfs.presentation.fuse.callers import is_making_directory
from damfs.presentation.fuse.directories import Directories
from damfs.presentation.fuse.events import Events
from damfs.presentation.fuse.extended_attributes import ExtendedAttributes
from damfs.presentation.fuse.inodes import Inodes
from damfs.presentation.fuse.making import Making
from damfs.presentation.fuse.notes import OpenNote
from damfs.presentation.fuse.open_files import OpenFiles
from damfs.presentation.fuse.opened import Text
from damfs.presentation.views.edits import Edits
from damfs.presentation.views.thumbnails import REPOSITORY
from damfs.presentation.views.tree import Tree
from damfs.presentation.views.view import ROOT_PLACE, Entry, Place, Thing, ThingKind
from damfs.storage.droppings import is_dropping

log = logging.getLogger(__name__)

NAMELESS_MODE = 0o600
THUMBNAILS = REPOSITORY.encode()
"""The one name that only desktops ask for and get."""
GENERATED = frozenset({ThingKind.TEXT, ThingKind.THUMBNAIL, ThingKind.CUES})
"""Made when they are opened."""


@dataclass(slots=True)
class Operations(pyfuse3.Operations):
    library: Library
    tree: Tree
    edits: Edits
    inodes: Inodes
    files: OpenFiles
    counters: Counters
    appearance: Appearance
    changes: AttributeChanges
    directories: Directories
    events: Events
    extended: ExtendedAttributes
    forget_name: Callable[[int, bytes], None]
    """Have the kernel ask again for a name of a directory."""
    making: Making
    made_by_kernel: Callable[[AssetId, int, bytes], None]
    """It knows the name of a new asset in a directory: it asked for that itself."""

    supports_dot_lookup = True
    enable_writeback_cache = False
    enable_acl = False

    def catch_up(self) -> None:
        self.making.catch_up()

    def refused(self, operation: str, error: DamfsError) -> None:
        self.library.refusals.add(f"{operation}: {error}", self.library.clock())

    @answers
    async def lookup(self, parent_inode: int, name: bytes, ctx: RequestContext) -> EntryAttributes:
        if name in {b".", b".."}:
            return await self._dot(parent_inode, os.fsdecode(name))
        place = self._place(parent_inode)
        if is_dropping(os.fsdecode(name)) and not self._is_answered(place, name, ctx):
            return absent()
        if self._is_being_made(place, name, ctx):
            raise FUSEError(errno.ENOENT)
        entry = await self.tree.lookup(place, self._spelled(place, name))
        if entry is None:
            return self._missing(place, name)
        return self._told(entry, place, name)

    def _is_being_made(self, place: Place, name: bytes, ctx: RequestContext) -> bool:
        """Where any name leads to a directory, `mkdir` would never get further than to find it there."""
        view = None if place == ROOT_PLACE or place.path else self.tree.view(place)
        if view is None or not view.any_directory or not is_making_directory(ctx.pid):
            return False
        return not view.is_made(self.library.db.writer, place, self._spelled(place, name))

    def _is_answered(self, place: Place, name: bytes, ctx: RequestContext) -> bool:
        """Whether there is something by a name that only desktops ask for: thumbnails, and the trash of who asks."""
        return name == THUMBNAILS or (place == ROOT_PLACE and self._is_trash_of(name, ctx))

    def _is_trash_of(self, name: bytes, ctx: RequestContext) -> bool:
        """Whether it is the trash of who asks, or of who runs damfs. Somebody else's is not there now, which the kernel
        must not remember: its owner may ask next."""
        if self.tree.at_root(os.fsdecode(name)) is None:
            return False
        if name not in {b".Trash-%d" % uid for uid in (self.appearance.owner.uid, ctx.uid)}:
            raise FUSEError(errno.ENOENT)
        return True

    def _missing(self, place: Place, name: bytes) -> EntryAttributes:
        """`cp` looks three times for a name before it makes it: the kernel keeps the first answer for a moment."""
        told = place != ROOT_PLACE and self.tree.view(place).tells_absence
        if not told or os.fsdecode(name) != self._spelled(place, name):
            raise FUSEError(errno.ENOENT)
        return absent(BRIEFLY_S)

    async def _dot(self, inode: int, name: str) -> EntryAttributes:
        place = self._place(inode)
        if name == "..":
            place = self.tree.parent(place)
        return self._told(self.tree.entry(place), place)

    def _spelled(self, place: Place, name: bytes) -> str:
        """The name as its place spells it. A program may ask in another normal form, or for bytes that are no text."""
        if len(name) > NAME_LIMIT:
            raise FUSEError(errno.ENAMETOOLONG)
        text = os.fsdecode(name)
        raw = place == ROOT_PLACE or self.tree.view(place).is_raw(place)
        return text if raw else clean_name(text)

    def _told(self, entry: Entry, place: Place, name: bytes | None = None) -> EntryAttributes:
        """The attributes of an entry that the kernel holds once more from now on, under the name it asked for."""
        self.inodes.remember(entry.node)
        made = self.appearance.of(entry)
        if self.appearance.drifts(place) or (place != ROOT_PLACE and self.tree.view(place).slow_lookup):
            made.entry_timeout = BRIEFLY_S  # it may have changed while it was looked for
        if isinstance(entry.node, Place) and entry.node.view == REPOSITORY:
            made.entry_timeout = 0  # it tells by its path whose it is, and a directory above may be renamed
        if name is not None and os.fsdecode(name) != self._spelled(place, name):
            made.entry_timeout = 0  # notices tell of names as the place spells them
        return made

    def _place(self, inode: int) -> Place:
        """Raises ESTALE when it is gone: the kernel then looks its path up once more, and finds what is there now."""
        with stale_if_gone():
            return self.inodes.place(inode)

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
            if isinstance(node, Thing) and self.appearance.is_nameless(node):
                made = self.appearance.of(Entry("", node, 0, 0, NAMELESS_MODE))
                made.st_nlink = 0
                return made
            if isinstance(node, Thing) and self._is_outdated(node, inode):
                return self.appearance.outdated(self.tree.entry(node), self.files.outdated(inode))
            try:
                return self.appearance.of(self.tree.entry(node))
            except NotFound:
                status = self.files.outdated(inode)
                if status is None:
                    raise
                return self.appearance.outdated(Entry("", node, 0, 0, NAMELESS_MODE), status)  # open, and another's now

    def _is_outdated(self, node: Thing, inode: int) -> bool:
        """Whether the kernel has another handle for the asset now, and this one is for those who read its old bytes."""
        return self.inodes.turned and node.kind is ThingKind.ASSET and self.inodes.handle(node.id) != inode

    @answers
    async def setattr(
        self, inode: int, attr: EntryAttributes, fields: SetattrFields, fh: int | None, ctx: RequestContext
    ) -> EntryAttributes:
        with stale_if_gone():
            node = self.inodes.node(inode)
        if isinstance(node, Thing) and node.kind is ThingKind.NOTE:
            if fields.update_size:
                OpenNote(self.library, node.id).truncate(attr.st_size)
            return self._present(inode)
        if isinstance(node, Thing) and node.kind is not ThingKind.ASSET:
            raise Refused("files that damfs makes cannot be changed")
        if isinstance(node, Thing) and self._is_outdated(node, inode):
            raise FUSEError(errno.ESTALE)
        became = self.files.became(inode) if isinstance(node, Thing) else None
        if became is not None:
            await self.changes.set(Thing(ThingKind.ASSET, became), self.inodes.handle(became), attr, fields, ctx.uid)
        else:
            await self.changes.set(node, inode, attr, fields, ctx.uid)
        return self._present(inode)

    @answers
    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        place = self._place(parent_inode)
        if is_dropping(os.fsdecode(name)):
            raise Refused("files that only desktops leave behind are not kept")
        if place != ROOT_PLACE and self.tree.view(place).keeps_notes(place):
            note = self.edits.make_note(place, self._spelled(place, name))
            handle = self.files.keep(OpenNote(self.library, note.id))
            return FileInfo(fh=handle, direct_io=True), self._told(self.tree.entry(note), place, name)
        asset = await self.edits.receive(place, self._spelled(place, name), mode & 0o7777)
        self.made_by_kernel(asset, parent_inode, name)
        handle = await self.files.create(asset)
        self.files.opened_by(handle, ctx.uid, 0)
        self._given(Thing(ThingKind.ASSET, asset), ctx)
        if place != ROOT_PLACE and self.tree.view(place).only_receives and self.appearance.owner == self._owner(ctx):
            self.making.like(place, parent_inode, name, handle)
        if self.files.native.knows_directory(parent_inode):  # the kernel is going to ask what it looks like now
            self.files.native.made_in(parent_inode, self.tree.directory(place, "").mtime_ns)
        async with self.files.unless_it_fails(handle):
            return FileInfo(fh=handle), self._told(self.tree.entry(Thing(ThingKind.ASSET, asset)), place, name)

    @answers
    async def open(self, inode: int, flags: int, ctx: RequestContext) -> FileInfo:
        with stale_if_gone():
            node = self.inodes.node(inode)
            if not isinstance(node, Thing):
                raise FUSEError(errno.EISDIR)
            self.counters[f'fuse_opened{{kind="{node.kind.name.lower()}"}}'] += 1
            if node.kind is ThingKind.NOTE:
                return self._open_note(OpenNote(self.library, node.id), flags)
            if node.kind not in GENERATED:
                opened = await self.files.open_thing(node, flags, inode)
                self.files.opened_by(opened.handle, ctx.uid, flags)
                return FileInfo(fh=opened.handle, keep_cache=opened.keep_cache)
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise Refused("made by damfs, cannot be written")
        if self.tree.control.is_stream(node):
            reader = self.events.reader(waits=not flags & os.O_NONBLOCK)
            return FileInfo(fh=self.files.keep(reader), direct_io=True, nonseekable=True)
        self.counters["catalog_statements"] = self.library.db.writer.statements
        self.counters["native_answers"] = self.directories.native.answered
        return FileInfo(fh=self.files.keep(Text(await self.tree.text(node))), direct_io=True)

    def _open_note(self, note: OpenNote, flags: int) -> FileInfo:
        if flags & os.O_TRUNC:
            note.truncate(0)
        return FileInfo(fh=self.files.keep(note), direct_io=True)

    @answers
    async def read(self, fh: int, off: int, size: int) -> bytes:
        return await self.files.read(fh, off, size)

    @answers
    async def write(self, fh: int, off: int, buf: bytes) -> int:
        return await self.files.write(fh, off, buf)

    @answers
    async def flush(self, fh: int) -> None:
        """Nothing is buffered here; but who closes a file of a daemon that is gone is told so only by this."""

    @answers
    async def release(self, fh: int) -> None:
        if not self.making.closes(fh):
            await self.files.release(fh)

    @answers
    async def fsync(self, fh: int, datasync: bool) -> None:
        await self.files.fsync(fh)

    @answers
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        """A directory is rows: they are committed."""

    @answers
    async def opendir(self, inode: int, ctx: RequestContext) -> int:
        return await self.directories.open(inode)

    @answers
    async def readdir(self, fh: int, start_id: int, token: ReaddirToken) -> None:
        await self.directories.read(fh, start_id, token)

    @answers
    async def releasedir(self, fh: int) -> None:
        await self.directories.close(fh)

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
        there = await self.tree.lookup(new, new_name)
        asset = await self.edits.move(old, name, new, new_name, replace=replace)
        if there is not None:
            self.appearance.marks.touch(self.inodes.number(there.node))
        if asset is None:
            moved = Place(new.view, (*new.path, new_name))
            self.inodes.moved(Place(old.view, (*old.path, name)), moved)
            for inode, below in self.inodes.entries_below(moved):  # they mean something else now, or nothing
                self.forget_name(inode, os.fsencode(below))
            return
        self.appearance.marks.touch(self.inodes.number(Thing(ThingKind.ASSET, asset.id)))
        self.forget_name(parent_inode_new, name_new)
        if asset.state is AssetState.RECEIVING:
            self.files.drafts.begin_seal(asset.id)

    @answers
    async def link(self, inode: int, new_parent_inode: int, new_name: bytes, ctx: RequestContext) -> EntryAttributes:
        place = self._place(new_parent_inode)
        with stale_if_gone():
            asset = self._asset(inode)
        await self.edits.link(asset.id, place, self._spelled(place, new_name))
        self.appearance.marks.touch(self.inodes.number(Thing(ThingKind.ASSET, asset.id)))
        return self._told(self.tree.entry(Thing(ThingKind.ASSET, asset.id)), place, new_name)

    @answers
    async def unlink(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        place = self._place(parent_inode)
        entry = await self.tree.lookup(place, self._spelled(place, name))
        await self.edits.remove(place, self._spelled(place, name))
        if entry is not None:
            self.appearance.marks.touch(self.inodes.number(entry.node))

    @answers
    async def mkdir(self, parent_inode: int, name: bytes, mode: int, ctx: RequestContext) -> EntryAttributes:
        place = self._place(parent_inode)
        if is_dropping(os.fsdecode(name)):
            raise Refused("directories that only desktops leave behind are not kept")
        text = self._spelled(place, name)
        await self.edits.make_directory(place, text, mode)
        entry = await self.tree.lookup(place, text)
        if entry is None:
            raise FUSEError(errno.ENOENT)
        if place.id is not None:
            self._given(entry.node, ctx)
        return self._told(entry, place, name)

    def _given(self, node: Thing | Place, ctx: RequestContext) -> None:
        """What somebody made belongs to him: others are in the mount only where it was mounted with allow_other."""
        self.appearance.marks.own(node, self._owner(ctx))

    def _owner(self, ctx: RequestContext) -> Owner:
        return Owner(ctx.uid, ctx.gid)

    @answers
    async def rmdir(self, parent_inode: int, name: bytes, ctx: RequestContext) -> None:
        place = self._place(parent_inode)
        text = self._spelled(place, name)
        await self.edits.remove_directory(place, text)
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
        return self.extended.get(inode, name)

    @answers
    async def listxattr(self, inode: int, ctx: RequestContext) -> Sequence[bytes]:
        return self.extended.names(inode)

    @answers
    async def setxattr(self, inode: int, name: bytes, value: bytes, ctx: RequestContext) -> None:
        self.extended.set(inode, name, value)

    @answers
    async def removexattr(self, inode: int, name: bytes, ctx: RequestContext) -> None:
        self.extended.remove(inode, name)

    def _asset(self, inode: int) -> Asset:
        node = self.inodes.node(inode)
        if not isinstance(node, Thing) or node.kind is not ThingKind.ASSET:
            raise Refused("only assets can be linked")
        return self.library.known(AssetId(node.id))
