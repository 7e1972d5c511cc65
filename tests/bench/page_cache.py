"""What the kernel keeps of files and names: how much it holds, and making it forget. Blocks.

Forgetting names concerns the whole machine and needs root; it costs others a moment, nothing else.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from pathlib import Path

DROP_CACHES = Path("/proc/sys/vm/drop_caches")
NAMES_AND_INODES = "2"
_libc = ctypes.CDLL(None, use_errno=True)


TRIES = 40


def forget_content(path: Path) -> None:
    """Write back what is dirty and drop the file's pages. A page that just then is looked at by another stays: once
    more. Where a file system keeps nothing but pages, they all stay."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for _ in range(TRIES):
            os.fdatasync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            if not cached_share(path):
                return
            time.sleep(0.05)
    finally:
        os.close(fd)


def forget_names() -> bool:
    """Whether it was possible."""
    try:
        DROP_CACHES.write_text(NAMES_AND_INODES, encoding="ascii")
    except OSError:
        return False
    return True


def cached_share(path: Path) -> float:
    """How much of a file the kernel holds, 0 to 1."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
        pages = -(-len(mapped) // mmap.PAGESIZE)
        held = (ctypes.c_ubyte * pages)()
        start = ctypes.c_char.from_buffer(mapped)
        try:
            failed = _libc.mincore(ctypes.byref(start), ctypes.c_size_t(len(mapped)), held)
        finally:
            del start
        if failed:
            raise OSError(ctypes.get_errno(), "mincore")
        return sum(each & 1 for each in held) / pages
