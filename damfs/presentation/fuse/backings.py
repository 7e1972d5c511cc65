"""Which open files the kernel reads itself, and from what: one answer for an inode as long as any handle is open.

The kernel refuses an open (EIO) that differs from the others of its inode: cached beside passed through, or another
backing file. Only what is final is passed through: of a file that is being received the daemon has to see every write,
because one that fails must leave nothing half (P10), and a mapping of it would outlive its last close (P3).
Concurrency: loop's thread only; nothing here waits. Crash rule: none, the kernel lets go with the mount.
"""

from __future__ import annotations

import os
from collections.abc import Hashable
from dataclasses import dataclass

from damfs.presentation.fuse.native import Native


@dataclass(slots=True)
class _Shared:
    """How every open handle of one inode is answered. ``backing`` None: the ordinary way."""

    backing: int | None
    file: tuple[int, int] | None
    """Device and inode below, of the backing file."""
    handles: int = 0


class Backings:
    def __init__(self, native: Native) -> None:
        self._native = native
        self._shared: dict[Hashable, _Shared] = {}
        self._things: dict[int, Hashable] = {}

    def opened(self, thing: Hashable, handle: int, fd: int | None) -> None:
        """Before the reply that opens the handle. ``thing``: what the kernel knows it by. ``fd``: of its final bytes;
        None: they may still change."""
        if not self._native.passthrough:
            return
        file = None if fd is None else _file(fd)
        shared = self._shared.get(thing)
        if shared is None:
            backing = None if fd is None else self._native.open_backing(fd)
            shared = self._shared[thing] = _Shared(backing, file)
        shared.handles += 1
        self._things[handle] = thing
        if shared.backing is not None:
            # the same bytes in another store (`OpenFiles` sees to that): read the ordinary way, past the cache
            self._native.pass_through(handle, shared.backing, direct=file != shared.file)

    def released(self, handle: int) -> None:
        """The kernel has ended its use of the handle."""
        thing = self._things.pop(handle, None)
        if thing is None:
            return
        shared = self._shared[thing]
        shared.handles -= 1
        if not shared.handles:
            del self._shared[thing]
            if shared.backing is not None:
                self._native.close_backing(shared.backing)


def _file(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
