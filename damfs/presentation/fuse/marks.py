"""What the inodes of a mount have that no listing asks the catalog for: owners, times of access and of status changes.

Most files belong to the user that runs damfs, and few change their status: all is looked up in memory, so a listing
costs nothing more. Loop's thread only. Crash rule: owners are committed first; times are those of this mount, and after
a restart a file says its mtime again.
"""

from __future__ import annotations

from damfs.catalog import folders
from damfs.core.arranging import SetFolderOwner, SetOwner
from damfs.core.library import Library
from damfs.errors import Refused
from damfs.model import AssetId, FolderId
from damfs.presentation.fuse.attributes import Owner
from damfs.presentation.fuse.inodes import Inodes
from damfs.presentation.views.originals import Originals
from damfs.presentation.views.view import Place, Thing, ThingKind

ACTOR = "fuse"
REMEMBERED = 100_000
"""Inodes whose times are; the oldest are forgotten."""


class Marks:
    def __init__(self, library: Library, inodes: Inodes, originals: Originals, owner: Owner) -> None:
        self._library = library
        self._inodes = inodes
        self._originals = originals
        self._own = owner
        self._times: dict[int, int] = {}
        self._access: dict[int, int] = {}
        connection = library.db.writer
        self._owners: dict[int, Owner] = {
            int(inodes.number(Thing(ThingKind.ASSET, asset))): Owner(uid, gid)
            for asset, uid, gid in folders.owners(connection)
        } | {
            int(inodes.number(originals.place_of(folder))): Owner(uid, gid)
            for folder, uid, gid in folders.folder_owners(connection)
        }  # fmt: skip

    def __bool__(self) -> bool:
        """Whether there is anything to look up."""
        return bool(self._owners or self._times or self._access)

    def owner_of(self, inode: int) -> Owner:
        return self._owners.get(inode, self._own)

    def changed_ns(self, inode: int, mtime_ns: int) -> int:
        """When its status last changed: at least when its content did."""
        return max(self._times.get(inode, 0), mtime_ns)

    def accessed_ns(self, inode: int, mtime_ns: int) -> int:
        """As a program set it, else its mtime."""
        return self._access.get(inode, mtime_ns)

    def touch(self, inode: int) -> None:
        """Its status changes now."""
        remember(self._times, inode, self._library.clock())

    def access(self, inode: int, at_ns: int) -> None:
        """A program sets when it was last read."""
        remember(self._access, inode, at_ns)

    def own(self, node: Thing | Place, owner: Owner) -> None:
        """Let it belong to a user. Raises Refused for what cannot belong to anybody else."""
        inode = self._inodes.number(node)
        if owner == self.owner_of(inode):
            return
        if isinstance(node, Thing) and node.kind is ThingKind.ASSET:
            self._library.perform(SetOwner(AssetId(node.id), owner.uid, owner.gid), ACTOR)
        elif isinstance(node, Place) and node.id is not None and self._is_folder(node):
            self._library.perform(SetFolderOwner(FolderId(node.id), owner.uid, owner.gid), ACTOR)
        else:
            raise Refused("this belongs to the user that runs damfs")
        self._owners[inode] = owner

    def _is_folder(self, place: Place) -> bool:
        return place.view == self._originals.name and self._originals.writable(self._library.db.writer, place)


def remember(times: dict[int, int], inode: int, at_ns: int) -> None:
    times.pop(inode, None)
    times[inode] = at_ns
    if len(times) > REMEMBERED:
        del times[next(iter(times))]
