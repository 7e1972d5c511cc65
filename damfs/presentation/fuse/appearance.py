"""What an entry looks like to the kernel now, and how long it may believe it.

Loop's thread only. Crash rule: none, nothing is kept here.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from pyfuse3 import EntryAttributes, InodeT

from damfs.errors import NotFound
from damfs.model import AssetId
from damfs.presentation.fuse.attributes import BRIEFLY_S, CACHE_S, FileStamp, Owner, attributes, hold_by
from damfs.presentation.fuse.drafts import Drafts
from damfs.presentation.fuse.inodes import ID_MASK, Inodes
from damfs.presentation.fuse.listings import KeptListing, Listing
from damfs.presentation.fuse.marks import Marks
from damfs.presentation.views.tree import Tree
from damfs.presentation.views.view import Entry, Place, Thing, ThingKind

Stamp = Callable[[InodeT, int, int, int], EntryAttributes]


class Appearance:
    def __init__(self, tree: Tree, inodes: Inodes, drafts: Drafts, owner: Owner, marks: Marks) -> None:
        self.owner = owner
        self.marks = marks
        self._tree = tree
        self._inodes = inodes
        self._drafts = drafts
        self._stamp = FileStamp(owner)

    def of(self, entry: Entry) -> EntryAttributes:
        node = entry.node
        if isinstance(node, Thing) and node.kind is ThingKind.ASSET:
            return self._of_asset(AssetId(node.id), entry)
        made = self._marked(entry)
        if self.drifts(node):
            made.attr_timeout = BRIEFLY_S
        return made

    def _marked(self, entry: Entry) -> EntryAttributes:
        inode, uid = self._inodes.number(entry.node), self._tree.owner(entry.node)
        made = attributes(inode, entry, self.marks.owner_of(inode) if uid is None else Owner(uid, self.owner.gid))
        made.st_ctime_ns = self.marks.changed_ns(inode, entry.mtime_ns)
        made.st_atime_ns = self.marks.accessed_ns(inode, entry.mtime_ns)
        return made

    def _of_asset(self, asset: AssetId, entry: Entry) -> EntryAttributes:
        drafted = self._drafts.shown(asset)
        if drafted is not None:
            entry = entry._replace(size=drafted.size, mtime_ns=drafted.mtime_ns or entry.mtime_ns)
        made = self._marked(entry)
        if self._inodes.turned:
            hold_by(made, self._inodes.handle(asset))
        return made

    def outdated(self, entry: Entry, status: os.stat_result | None) -> EntryAttributes:
        """For those who read bytes that are not the asset's any more. Raises NotFound when nobody does."""
        if status is None:
            raise NotFound("the file has other bytes now")
        entry = entry._replace(size=status.st_size, mtime_ns=status.st_mtime_ns)
        made = self._marked(entry)
        made.attr_timeout = 0
        return made

    def listed(self, entry: Entry, listing: Listing | KeptListing) -> EntryAttributes:
        """In a listing. The kernel was told of what changed since the listing was made, and is not to believe the
        opposite now."""
        made = self.of(entry)
        if listing.stale or listing.dated:
            made.entry_timeout = made.attr_timeout = 0
        elif listing.brief:
            made.entry_timeout = min(made.entry_timeout, BRIEFLY_S)
        return made

    def files_of(self, listing: Listing | KeptListing) -> Stamp:
        """What fills in the files of one page: inode, size, mtime_ns, mode. Each answer is good until the next."""
        seconds = 0.0 if listing.stale or listing.dated else BRIEFLY_S if listing.brief else CACHE_S
        self._stamp.believed(seconds)
        if not self._drafts and not self._inodes.turned and not self.marks:
            return self._stamp.filled
        return self._filled_singly

    def _filled_singly(self, inode: InodeT, size: int, mtime_ns: int, mode: int) -> EntryAttributes:
        asset = AssetId(inode & ID_MASK)
        drafted = self._drafts.shown(asset)
        if drafted is not None:
            size, mtime_ns = drafted.size, drafted.mtime_ns or mtime_ns
        made, owner = self._stamp.filled(inode, size, mtime_ns, mode), self.marks.owner_of(inode)
        made.st_uid, made.st_gid = owner.uid, owner.gid
        made.st_ctime_ns = self.marks.changed_ns(inode, mtime_ns)
        made.st_atime_ns = self.marks.accessed_ns(inode, mtime_ns)
        hold_by(made, self._inodes.handle(asset))
        return made

    def is_nameless(self, node: Thing) -> bool:
        """A draft whose name was removed while it is open, as programs do with temporary files."""
        if node.kind is not ThingKind.ASSET or self._drafts.get(AssetId(node.id)) is None:
            return False
        return self._tree.library.asset(AssetId(node.id)) is None

    def drifts(self, node: Thing | Place) -> bool:
        """Whether the names in it move by news of other things."""
        return self._tree.drifts(node)
