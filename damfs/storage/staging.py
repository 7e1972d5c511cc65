"""Files that are being received, or written again, one for each asset, named by its id: what a crash leaves is found.

Every call blocks (briefly, except `seal` and `sync`); safe from several threads for different assets.
Crash rule: `sync` and `seal` make bytes durable; `sync` the name as well. Nothing here deletes but `discard`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path

from damfs.errors import Unavailable
from damfs.model import AssetId, Key
from damfs.storage.blob_store import FileFact, Hashed
from damfs.storage.digest import hash_open_file
from damfs.storage.disk_errors import disk_errors, shown
from damfs.storage.placing import CANNOT_LINK
from damfs.storage.placing_notes import NOTE, read_notes
from damfs.storage.spots import fsync_folder
from damfs.storage.tree_walk import STAGING_INSIDE_STORE

STAGING_INSIDE_STATE = "staging"
PUBLISHED_MODE = 0o644
UNFINISHED = ".unfinished"
_CHUNK = 1 << 24
_FICLONE = 0x40049409
_NO_COPY_FILE_RANGE = {errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM}
_ALWAYS = os.O_CLOEXEC | os.O_NOFOLLOW


def staging_directory(state: Path, originals: Path) -> Path:
    """Where to stage, made if missing (0700): on the device of the originals, because links need one device."""
    same = _device(state) == _device(originals)
    directory = state / STAGING_INSIDE_STATE if same else originals / os.fsdecode(STAGING_INSIDE_STORE)
    with disk_errors(directory):
        directory.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(directory.parent)
    return directory


class Staging:
    """Errors are those of `BlobStore`: NotFound, Conflict, NoSpace, ReadOnly, Unavailable."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.is_local = directory.name == STAGING_INSIDE_STATE
        """Whether it is on the disk of the catalog, whose commits the loop waits for anyhow: then it may as well wait
        for a file to be made, or a little of it to be written into the page cache, which takes a tenth of the time
        that a thread takes."""

    def path(self, asset: AssetId) -> Path:
        return self._directory / str(asset)

    def open_directory(self) -> int:
        """A descriptor of where the staged files are, by their numbers. The caller closes it."""
        with disk_errors(self._directory):
            return os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def create(self, asset: AssetId) -> int:
        """A descriptor to read and write with, which the caller closes. Conflict when there is one already."""
        with disk_errors(self.path(asset)):
            return os.open(self.path(asset), os.O_RDWR | os.O_CREAT | os.O_EXCL | _ALWAYS, 0o600)

    def open(self, asset: AssetId, flags: int) -> int:
        """``flags``: the access mode of os.open; nothing is created by it. The caller closes the descriptor."""
        with disk_errors(self.path(asset)):
            return os.open(self.path(asset), (flags & ~os.O_CREAT) | _ALWAYS)

    def stage_copy(self, asset: AssetId, source: int | None) -> int:
        """A staged file that begins with all bytes of the descriptor ``source`` (None: with none); a descriptor of it.

        Shares the blocks where the disk can (reflink). A copy that a crash cuts short has no name that counts.
        """
        part = self.path(asset).with_suffix(UNFINISHED)
        with disk_errors(part):
            part.unlink(missing_ok=True)
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | _ALWAYS, 0o600)
            try:
                if source is not None:
                    copy_all(source, descriptor)
                part.replace(self.path(asset))
            except BaseException:
                os.close(descriptor)
                part.unlink(missing_ok=True)
                raise
        return descriptor

    def stage_link(self, asset: AssetId, path: Path, read: FileFact) -> bool:
        """The staged file becomes another name of the file at ``path``, or a copy where there are no hard links. False
        when that is another by now than the one that was read, or gone: then nothing is changed."""
        part = self.path(asset).with_suffix(UNFINISHED)
        with disk_errors(part):
            part.unlink(missing_ok=True)
            try:
                part.hardlink_to(path)
            except FileNotFoundError:
                return False
            except OSError as error:
                if error.errno not in CANNOT_LINK:
                    raise
                shutil.copy2(path, part)
            if not (_is_file(part, read) or _is_file(path, read)):  # the latter where it was copied
                part.unlink()
                return False
            part.replace(self.path(asset))
            part.unlink(missing_ok=True)  # two names of one file: the rename did nothing
            _sync_folder(self._directory)
        return True

    def hand_over(self, asset: AssetId, to: AssetId) -> None:
        """What was staged for one asset is staged for another from now on. NotFound when there is nothing."""
        with disk_errors(self.path(asset)):
            self.path(asset).replace(self.path(to))
            _sync_folder(self._directory)

    def tidy(self, receiving: Collection[AssetId]) -> None:
        """Forget copies that a crash cut short, and notes about what is no longer being received."""
        with disk_errors(self._directory):
            for part in self._directory.glob("*" + UNFINISHED):
                part.unlink(missing_ok=True)
        for id_ in self.placed().keys() - set(receiving):
            with disk_errors(self._directory):
                self._note(id_).unlink(missing_ok=True)

    def placed(self) -> dict[AssetId, Key]:
        """Where staged files went that could have no second name: the key was noted just before."""
        with disk_errors(self._directory):
            return {AssetId(number): key for number, key in read_notes(self._directory).items()}

    def inodes(self) -> set[int]:
        """Of what is staged."""
        with disk_errors(self._directory), os.scandir(self._directory) as found:
            return {entry.inode() for entry in found}

    def _note(self, asset: AssetId) -> Path:
        return self.path(asset).with_suffix(NOTE)

    def is_shared(self, asset: AssetId) -> bool:
        """Whether what is staged is another name of a file of a store, which must not be written."""
        with disk_errors(self.path(asset)):
            return self.path(asset).stat().st_nlink > 1

    def entries(self) -> dict[AssetId, int]:
        """Sizes by asset. Names that are no id are left alone."""
        sizes = {}
        with disk_errors(self._directory), os.scandir(self._directory) as found:
            for entry in found:
                if entry.name.isascii() and entry.name.isdigit():
                    with suppress(FileNotFoundError):  # published or discarded meanwhile
                        sizes[AssetId(int(entry.name))] = entry.stat(follow_symlinks=False).st_size
        return sizes

    def sync(self, descriptor: int) -> None:
        """What fsync of a file being received has to do: bytes and name survive power loss afterwards."""
        with disk_errors(self._directory):
            os.fsync(descriptor)
            _sync_folder(self._directory)

    def seal(self, asset: AssetId, mtime_ns: int | None = None) -> Hashed:
        """fsync and digest of what was received. Unavailable when somebody still writes. With ``mtime_ns`` it is made
        look as a published file does before, so that it need not be made durable again when it is published."""
        descriptor = self.open(asset, os.O_RDONLY)
        try:
            with disk_errors(self.path(asset)):
                if mtime_ns is not None:
                    os.fchmod(descriptor, PUBLISHED_MODE)
                    os.utime(descriptor, ns=(mtime_ns, mtime_ns))
                os.fsync(descriptor)
                hashed = hash_open_file(descriptor)
        finally:
            os.close(descriptor)
        if hashed is None:
            raise Unavailable(f"{shown(self.path(asset))}: was written to while it was sealed; it is tried again")
        return hashed

    def discard(self, asset: AssetId) -> None:
        """Also when there is none."""
        with disk_errors(self.path(asset)):
            self.path(asset).unlink(missing_ok=True)
            self._note(asset).unlink(missing_ok=True)

    def discard_all(self, some: Iterable[AssetId]) -> None:
        for asset in some:
            self.discard(asset)


def copy_all(source: int, target: int) -> None:
    """All bytes of one descriptor to another, which is empty. Shares blocks where the disk can. Raises OSError."""
    with suppress(OSError):
        fcntl.ioctl(target, _FICLONE, source)
        return
    offset, size = 0, os.fstat(source).st_size
    while offset < size:
        copied = _copy_some(source, target, min(_CHUNK, size - offset), offset)
        if not copied:
            break
        offset += copied


def _copy_some(source: int, target: int, count: int, offset: int) -> int:
    try:
        return os.copy_file_range(source, target, count, offset, offset)
    except OSError as error:
        if error.errno not in _NO_COPY_FILE_RANGE:
            raise
    return os.pwrite(target, os.pread(source, count, offset), offset)


def _device(folder: Path) -> int:
    with disk_errors(folder):
        return folder.stat().st_dev


def _sync_folder(directory: Path) -> None:
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fsync_folder(folder)
    finally:
        os.close(folder)


def _is_file(path: Path, read: FileFact) -> bool:
    """Whether it is the very file, whatever its names are."""
    try:
        there = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (there.st_ino, there.st_size, there.st_mtime_ns) == (read.inode, read.size, read.mtime_ns)
