"""What a program may set of a file or a directory: size, times, permission bits, owner.

Loop's thread; cutting a file is awaited in a thread (see `Drafts`). Crash rule: each kind is one small transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyfuse3 import EntryAttributes, SetattrFields

from damfs.core.commands import Command, SetMode, SetTimes
from damfs.core.library import Library
from damfs.model import AssetId
from damfs.presentation.fuse.answers import stale_if_gone
from damfs.presentation.fuse.appearance import Appearance
from damfs.presentation.fuse.attributes import Owner
from damfs.presentation.fuse.draft_files import ACTOR
from damfs.presentation.fuse.inodes import Inodes
from damfs.presentation.fuse.open_files import OpenFiles
from damfs.presentation.fuse.privileges import drop_privileges
from damfs.presentation.views.edits import Edits
from damfs.presentation.views.view import Place, Thing, ThingKind


@dataclass(slots=True)
class AttributeChanges:
    library: Library
    edits: Edits
    inodes: Inodes
    files: OpenFiles
    appearance: Appearance
    check_taken: Callable[[AssetId], None]
    """Before anything is set of a file: whether the catalog knows it."""

    async def set(
        self, node: Thing | Place, inode: int, attr: EntryAttributes, fields: SetattrFields, uid: int
    ) -> None:
        """Of an asset or a directory, what ``fields`` names. ``uid``: of who sets it."""
        if isinstance(node, Thing):
            self.check_taken(AssetId(node.id))
        self._set_owner(node, attr, fields)
        if isinstance(node, Place):
            self._set_directory(node, attr, fields)
        else:
            if fields.update_uid or fields.update_gid or (fields.update_size and uid):
                drop_privileges(self.library, AssetId(node.id))
            await self._set_file(inode, AssetId(node.id), attr, fields)
        number = self.inodes.number(node)
        if fields.update_atime:
            self.appearance.marks.access(number, attr.st_atime_ns)
        self.appearance.marks.touch(number)

    def _set_owner(self, node: Thing | Place, attr: EntryAttributes, fields: SetattrFields) -> None:
        if fields.update_uid or fields.update_gid:
            now = self.appearance.marks.owner_of(self.inodes.number(node))
            uid, gid = attr.st_uid if fields.update_uid else now.uid, attr.st_gid if fields.update_gid else now.gid
            self.appearance.marks.own(node, Owner(uid, gid))

    def _set_directory(self, place: Place, attr: EntryAttributes, fields: SetattrFields) -> None:
        if fields.update_mode or fields.update_mtime:
            mode = attr.st_mode if fields.update_mode else None
            self.edits.set_directory(place, mode, attr.st_mtime_ns if fields.update_mtime else None)

    async def _set_file(self, inode: int, asset: AssetId, attr: EntryAttributes, fields: SetattrFields) -> None:
        if fields.update_size:
            self.files.check_cut(asset, inode)
            await self.files.drafts.truncate(asset, attr.st_size)
        if not self.appearance.is_nameless(Thing(ThingKind.ASSET, asset)):
            self._set_times_and_mode(asset, attr, fields)

    def _set_times_and_mode(self, asset: AssetId, attr: EntryAttributes, fields: SetattrFields) -> None:
        commands: list[Command[object]] = []
        if fields.update_mtime:
            commands.append(SetTimes(asset, attr.st_mtime_ns))
        if fields.update_mode:
            commands.append(SetMode(asset, attr.st_mode & 0o7777))
        if commands:
            with stale_if_gone():
                self.library.execute(commands, ACTOR)
        if fields.update_mtime:
            self.files.drafts.times_set(asset, attr.st_mtime_ns)
