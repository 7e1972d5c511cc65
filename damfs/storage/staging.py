"""Files that are still being received, one for each asset, named by its id: what a crash leaves, start-up finds.

Every call blocks (briefly, except `seal` and `sync`); safe from several threads for different assets.
Crash rule: `sync` and `seal` make bytes durable; `sync` the name as well. Nothing here deletes but `discard`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from damfs.errors import Unavailable
from damfs.model import AssetId
from damfs.storage.blob_store import Hashed
from damfs.storage.digest import hash_open_file
from damfs.storage.disk_errors import disk_errors, shown
from damfs.storage.spots import fsync_folder
from damfs.storage.tree_walk import STAGING_INSIDE_STORE

STAGING_INSIDE_STATE = "staging"
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

    def path(self, asset: AssetId) -> Path:
        return self._directory / str(asset)

    def create(self, asset: AssetId) -> int:
        """A descriptor to read and write with, which the caller closes. Conflict when there is one already."""
        with disk_errors(self.path(asset)):
            return os.open(self.path(asset), os.O_RDWR | os.O_CREAT | os.O_EXCL | _ALWAYS, 0o600)

    def open(self, asset: AssetId, flags: int) -> int:
        """``flags``: the access mode of os.open; nothing is created by it. The caller closes the descriptor."""
        with disk_errors(self.path(asset)):
            return os.open(self.path(asset), (flags & ~os.O_CREAT) | _ALWAYS)

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

    def seal(self, asset: AssetId) -> Hashed:
        """fsync and digest of what was received. Unavailable when somebody still writes."""
        descriptor = self.open(asset, os.O_RDONLY)
        try:
            with disk_errors(self.path(asset)):
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


def _device(folder: Path) -> int:
    with disk_errors(folder):
        return folder.stat().st_dev


def _sync_folder(directory: Path) -> None:
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fsync_folder(folder)
    finally:
        os.close(folder)
