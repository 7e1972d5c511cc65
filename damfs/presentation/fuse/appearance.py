"""What an entry looks like to the kernel now, and how long it may believe it.

Loop's thread only. Crash rule: none, nothing is kept here.
"""

from __future__ import annotations

from pyfuse3 import EntryAttributes

from damfs.model import AssetId
from damfs.presentation.fuse.attributes import BRIEFLY_S, FileStamp, Owner, attributes
from damfs.presentation.fuse.drafts import Drafts
from damfs.presentation.fuse.inodes import Inodes
from damfs.presentation.fuse.listings import KeptListing, Listing
from damfs.presentation.views.tree import Tree
from damfs.presentation.views.view import Entry, Place, Thing, ThingKind


class Appearance:
    def __init__(self, tree: Tree, inodes: Inodes, drafts: Drafts, owner: Owner) -> None:
        self.owner = owner
        self._tree = tree
        self._inodes = inodes
        self._drafts = drafts
        self._stamp = FileStamp(owner)

    def of(self, entry: Entry) -> EntryAttributes:
        node = entry.node
        if self._drafts and isinstance(node, Thing) and node.kind is ThingKind.ASSET:
            draft = self._drafts.get(AssetId(node.id))
            if draft is not None:
                entry = entry._replace(size=draft.size, mtime_ns=draft.mtime_ns or entry.mtime_ns)
        owner = self._tree.owner(node)
        made = attributes(
            self._inodes.number(node), entry, self.owner if owner is None else Owner(owner, self.owner.gid)
        )
        if self.drifts(node):
            made.attr_timeout = BRIEFLY_S
        return made

    def listed(self, entry: Entry, listing: Listing | KeptListing) -> EntryAttributes:
        """In a listing; good until the next call. The kernel was told of what changed since the listing was made, and
        is not to believe the opposite now."""
        if isinstance(entry.node, Thing) and entry.node.kind is not ThingKind.NOTE and not self._drafts:
            made = self._stamp.filled(self._inodes.number(entry.node), entry)
        else:
            made = self.of(entry)
        if listing.stale or listing.dated:
            made.entry_timeout = made.attr_timeout = 0
        return made

    def drifts(self, node: Thing | Place) -> bool:
        """Whether the names in it move by news of other things."""
        return isinstance(node, Place) and node.id is not None and self._tree.view(node).drifts
