"""A spot is a name in an opened folder: how a key is reached without leaving the root or following a link.

Every step of a key is opened from the folder before it with O_NOFOLLOW, so a link put there meanwhile leads
nowhere. Raises OSError, translated by the caller; Unavailable when the root itself is gone. Blocks; thread-safe.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

from damfs.errors import Conflict, NotFound, Unavailable
from damfs.model import Key
from damfs.storage.disk_errors import shown

_STEP = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_NO_FOLDER_FSYNC = {errno.EINVAL, errno.ENOTSUP}
Identity = tuple[int, int]
"""Device and inode."""


class Spot(NamedTuple):
    folder: int
    name: bytes


def parts(key: Key) -> list[bytes]:
    """The names of a key, outermost first. NotFound for keys that would leave the store or name nothing."""
    names = key.split(b"/")
    if 0 in key or any(name in (b"", b".", b"..") for name in names):
        raise NotFound(f"{shown(key)}: no key of a store (empty, absolute, or with . or ..)")
    return names


@contextmanager
def spot(root: bytes, key: Key) -> Iterator[Spot]:
    """The spot of a key whose folders exist."""
    *folders, name = parts(key)
    folder = _open_root(root)
    try:
        for step in folders:
            outer, folder = folder, _open_step(folder, step)
            os.close(outer)
        yield Spot(folder, name)
    finally:
        os.close(folder)


@contextmanager
def made_spot(root: bytes, key: Key, settled: set[Identity]) -> Iterator[Spot]:
    """The spot of a key; folders that are missing are made, durably. Conflict when a step is taken by a file.

    ``settled`` remembers the folders whose own name is known to be durable. A folder that exists may have been
    made by another thread a moment ago, or before a crash, and not have reached the disk: so it is not enough
    to fsync only after an own mkdir.
    """
    *folders, name = parts(key)
    folder = _open_root(root)
    try:
        for step in folders:
            made = _make_folder(Spot(folder, step), key)
            outer, folder = folder, _open_step(folder, step)
            try:
                _settle(outer, folder, made, settled)
            finally:
                os.close(outer)
        yield Spot(folder, name)
    finally:
        os.close(folder)


def fsync_folder(folder: int) -> None:
    """Make the names in a folder durable."""
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.fsync(readable)
    except OSError as error:
        # Some network file systems cannot sync a folder: there names are durable as soon as they are made.
        if error.errno not in _NO_FOLDER_FSYNC:
            raise
    finally:
        os.close(readable)


def identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def _open_root(root: bytes) -> int:
    try:
        return os.open(root, _STEP)
    except OSError as error:
        raise Unavailable(f"{shown(root)}: the folder of this store is not there; is its volume connected?") from error


def _open_step(folder: int, step: bytes) -> int:
    return os.open(step, _STEP | os.O_NOFOLLOW, dir_fd=folder)


def _make_folder(place: Spot, key: Key) -> bool:
    """Whether it had to be made."""
    try:
        status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
    except FileNotFoundError:
        with suppress(FileExistsError):
            os.mkdir(place.name, dir_fd=place.folder)
        return True
    if not stat.S_ISDIR(status.st_mode):
        raise Conflict(f"{shown(key)}: {shown(place.name)} in this path is a file, not a folder")
    return False


def _settle(outer: int, inner: int, made: bool, settled: set[Identity]) -> None:
    who = identity(os.fstat(inner))
    if made or who not in settled:
        fsync_folder(outer)
        settled.add(who)
