"""pyfuse3's attribute objects, made of plain entries. Pure but for the owner, which is fixed for the mount."""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from dataclasses import dataclass

from pyfuse3 import EntryAttributes, InodeT, ModeT

from damfs.presentation.fuse.inodes import Inode
from damfs.presentation.views.view import Entry, Thing, ThingKind

CACHE_S = 3600.0
"""How long the kernel may believe what it was told: correctness comes from the notices of `kernel_cache`."""
BRIEFLY_S = 1.0
"""For places whose content moves by changes elsewhere: no notice says which names of which of them are concerned."""
BLOCK = 512
NAMES = 2
"""Links of a file: several views show it. A directory says 1: find then trusts no count."""


@dataclass(frozen=True, slots=True)
class Owner:
    uid: int
    gid: int

    @classmethod
    def of_this_process(cls) -> Owner:
        return cls(os.getuid(), os.getgid())


def _handle_offset() -> int | None:
    """Where in the memory of an EntryAttributes the kernel's handle is (``fuse_entry_param.ino``), which pyfuse3 sets
    together with the number that programs see (``attr.st_ino``); None when it is not where it is expected."""
    made, mark = EntryAttributes(), 0x5EED_0123_4567_89AB
    made.st_ino = InodeT(mark)
    memory = ctypes.string_at(id(made), sys.getsizeof(made))
    first = memory.find(mark.to_bytes(8, sys.byteorder))
    second = memory.find(mark.to_bytes(8, sys.byteorder), first + 1)
    return first if 0 < first < second else None


HANDLE_OFFSET = _handle_offset()


def hold_by(made: EntryAttributes, handle: Inode) -> None:
    """The kernel is to call the file by that handle, whatever number programs see."""
    if HANDLE_OFFSET is not None:
        ctypes.c_uint64.from_address(id(made) + HANDLE_OFFSET).value = handle
    else:
        made.st_ino = InodeT(handle)


def attributes(inode: Inode, entry: Entry, owner: Owner) -> EntryAttributes:
    made = EntryAttributes()
    made.st_ino = InodeT(inode)
    kind = stat.S_IFREG if isinstance(entry.node, Thing) else stat.S_IFDIR
    made.st_mode = ModeT(kind | entry.mode)
    made.st_nlink = NAMES if isinstance(entry.node, Thing) else 1
    made.st_uid = owner.uid
    made.st_gid = owner.gid
    made.st_size = entry.size
    made.st_blocks = -(-entry.size // BLOCK)
    made.st_mtime_ns = made.st_ctime_ns = made.st_atime_ns = entry.mtime_ns
    made.entry_timeout = made.attr_timeout = CACHE_S
    return made


class FileStamp:
    """One object filled in again for each file of a listing: the reply takes its content at once, and making a new one
    was a third of the time of a long listing."""

    def __init__(self, owner: Owner) -> None:
        self._made = attributes(Inode(0), Entry("", Thing(ThingKind.ASSET, 0), 0, 0, 0), owner)
        self._mode = 0

    def believed(self, seconds: float) -> None:
        """How long what is filled in from now on may be believed."""
        self._made.entry_timeout = self._made.attr_timeout = seconds

    def filled(self, inode: InodeT, size: int, mtime_ns: int, mode: int) -> EntryAttributes:
        """The attributes of a file, until the next call."""
        made = self._made
        made.st_ino = inode
        if mode != self._mode:
            self._mode = mode
            made.st_mode = ModeT(stat.S_IFREG | mode)
        made.st_size = size
        made.st_blocks = (size + 511) >> 9  # of 512 bytes
        made.st_mtime_ns = made.st_ctime_ns = made.st_atime_ns = mtime_ns
        return made


def absent(seconds: float = CACHE_S) -> EntryAttributes:
    """A negative answer that the kernel may keep; for long only of names that never exist."""
    made = EntryAttributes()
    made.st_ino = InodeT(0)
    made.entry_timeout = seconds
    return made
