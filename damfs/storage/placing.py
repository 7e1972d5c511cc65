"""Giving bytes a new name on every kind of file system, without ever replacing another file (but in `replaced`).

Raises OSError (EEXIST when the name is taken). Blocks; thread-safe, except that copies of one store must not run
at the same time (`copied_to` reuses its temporary name, so that a crash leaves one at most).
Crash rule: a name appears with the whole file or not at all; making it durable is left to the caller's fsync.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from contextlib import suppress

from blake3 import blake3

from damfs.storage.spots import Spot

COPY_PREFIX = b".damfs-copy-"
_RENAME_NOREPLACE = 1
_CHUNK = 1 << 20
CANNOT_LINK = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EXDEV, errno.EMLINK, errno.ENOSYS}
CANNOT_RENAME = {errno.EINVAL, errno.ENOSYS, errno.EXDEV}
_libc = ctypes.CDLL(None, use_errno=True)


def rename_without_replacing(source: Spot, target: Spot) -> None:
    """One atomic step. EINVAL or ENOSYS where the file system or the C library does not know how."""
    renameat2 = getattr(_libc, "renameat2", None)
    if renameat2 is None:
        raise OSError(errno.ENOSYS, "the C library has no renameat2")
    if renameat2(source.folder, source.name, target.folder, target.name, _RENAME_NOREPLACE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def link(source: Spot, target: Spot) -> bool:
    """Whether a second name could be given; False where hard links are not possible between the two."""
    try:
        os.link(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in CANNOT_LINK:
            return False
        raise
    return True


def rename(source: Spot, target: Spot) -> bool:
    """Whether it could be renamed without replacing; False where that takes a link or a copy instead."""
    try:
        rename_without_replacing(source, target)
    except OSError as error:
        if error.errno in CANNOT_RENAME:
            return False
        raise
    return True


def copied_to(source: Spot, target: Spot) -> None:
    """The same bytes, mode and mtime at target, by way of a hidden name beside it."""
    temporary = Spot(target.folder, COPY_PREFIX + blake3(target.name).hexdigest(8).encode())
    _unlink_if_there(temporary)
    try:
        _copy_bytes(source, temporary)
        if not (rename(temporary, target) or link(temporary, target)):
            raise OSError(errno.EOPNOTSUPP, "this file system can neither link nor rename without replacing")
    finally:
        _unlink_if_there(temporary)


def replaced(source: Spot, target: Spot) -> None:
    """The source takes the place of the file at target, in one atomic step; its own name goes away."""
    try:
        os.rename(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        temporary = Spot(target.folder, COPY_PREFIX + blake3(target.name).hexdigest(8).encode())
        _unlink_if_there(temporary)
        try:
            _copy_bytes(source, temporary)
            os.rename(temporary.name, target.name, src_dir_fd=target.folder, dst_dir_fd=target.folder)
        finally:
            _unlink_if_there(temporary)
    _unlink_if_there(source)  # rename(2) between two names of one file leaves both


def _copy_bytes(source: Spot, target: Spot) -> None:
    reader = os.open(source.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source.folder)
    with open(reader, "rb", buffering=0) as read:
        writer = os.open(target.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target.folder)
        with open(writer, "wb") as write:
            shutil.copyfileobj(read, write, _CHUNK)
            write.flush()
            _copy_appearance(reader, writer)
            os.fsync(writer)


def _copy_appearance(reader: int, writer: int) -> None:
    status = os.fstat(reader)
    with suppress(PermissionError):  # FAT has neither modes nor owners; the bytes are what counts
        os.fchmod(writer, status.st_mode & 0o7777)
        os.utime(writer, ns=(status.st_atime_ns, status.st_mtime_ns))


def _unlink_if_there(spot: Spot) -> None:
    try:
        os.unlink(spot.name, dir_fd=spot.folder)
    except FileNotFoundError:
        return
