"""Folders of a store on a disk: made, removed, renamed and met, each durable when the call returns.

Blocks; safe from several threads for different folders. Never replaces a file: renaming a folder can only take the
place of an empty one, as rename(2) has it. Raises OSError. Crash rule: each is one step of the file system.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from damfs.model import TRASH_FOLDER, Key
from damfs.storage.spots import Spot, fsync_folder

OWN_PREFIX = b".damfs-"
"""Names that damfs keeps for itself in a store."""


def make(place: Spot) -> None:
    os.mkdir(place.name, dir_fd=place.folder)
    fsync_folder(place.folder)


def remove(place: Spot) -> None:
    os.rmdir(place.name, dir_fd=place.folder)
    fsync_folder(place.folder)


def move(source: Spot, target: Spot) -> None:
    """Both folders that hold it are synced, the new one first: after a power loss it is there at least once."""
    os.rename(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder)
    fsync_folder(target.folder)
    fsync_folder(source.folder)


def is_bare(root: bytes) -> bool:
    """Whether damfs itself alone has put anything there: so looks the mount point of a volume that is away."""
    with os.scandir(root) as entries:
        return all(entry.name.startswith(OWN_PREFIX) and not _is_used_trash(entry) for entry in entries)


def _is_used_trash(entry: os.DirEntry[bytes]) -> bool:
    return entry.name == TRASH_FOLDER and entry.is_dir(follow_symlinks=False) and bool(os.listdir(entry.path))


def folders_below(root: bytes, left_out: Callable[[bytes], bool]) -> Iterator[Key]:
    """Every folder below a root, those that hold others first. One that cannot be listed counts as empty."""
    waiting = [Key(b"")]
    while waiting:
        folder = waiting.pop()
        try:
            entries = sorted(os.scandir(os.path.join(root, folder)), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if not left_out(entry.name) and entry.is_dir(follow_symlinks=False):
                key = Key(os.path.join(folder, entry.name))
                waiting.append(key)
                yield key
