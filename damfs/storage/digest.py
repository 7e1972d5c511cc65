"""BLAKE3 of an open file, streamed: never mmap, because a file truncated meanwhile would be a SIGBUS.

Blocks for as long as the file takes to read; safe from several threads at once (one buffer a thread; BLAKE3
works outside the interpreter lock). Reads only.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from blake3 import blake3

from damfs.model import Digest
from damfs.storage.blob_store import Hashed

BUFFER = 1 << 20
HEAD = 8192


class _Buffers(threading.local):
    def __init__(self) -> None:
        self.view = memoryview(bytearray(BUFFER))


_buffers = _Buffers()


def hash_open_file(descriptor: int, watch: Callable[[int], object] | None = None) -> Hashed | None:
    """The digest of the whole file, or None when it changed while it was read. OSError as the disk gives it.

    ``watch`` is told how far it is after each MiB, in the same thread; what it raises ends the reading.
    """
    before = os.fstat(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    hasher, view = blake3(), _buffers.view
    head, offset = b"", 0
    while count := os.preadv(descriptor, [view], offset):
        if not offset:
            head = bytes(view[: min(count, HEAD)])
        hasher.update(view[:count])
        offset += count
        if watch is not None:
            watch(offset)
    if offset != before.st_size or _appearance(before) != _appearance(os.fstat(descriptor)):
        return None
    return Hashed(digest=Digest(hasher.digest()), size=offset, head=head)


def _appearance(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ino
