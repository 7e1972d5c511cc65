"""Every regular file below a folder, without recursion and without following a link.

Blocks, file by file, as the caller takes them; several walks may run at once. Reads only. What vanishes or cannot
be read on the way is reported as a WalkProblem and does not end the walk; the key of a problem may be a folder.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from damfs.model import Key
from damfs.storage.blob_store import FileFact, WalkProblem
from damfs.storage.disk_errors import translated
from damfs.storage.droppings import is_dropping
from damfs.storage.placing import COPY_PREFIX

STAGING_INSIDE_STORE = b".damfs-staging"
"""Where files are staged when the originals are on a disk of their own."""
NOTES = b".damfs-notes"
"""What a store keeps for the day its catalog is lost: no file of a person."""
Met = FileFact | WalkProblem | Key
"""A Key is a folder still to be walked."""


def walk_tree(root: bytes, skip: frozenset[bytes], *, hidden: bool = False) -> Iterator[FileFact | WalkProblem]:
    """``skip``: absolute paths of folders that are left out, compared as text (a stat of damfs's own mount could
    wait for damfs itself). ``hidden``: also names that begin with a dot. Raises OSError when the root itself cannot
    be listed."""
    waiting: list[Key] = []
    yield from _listed(root, Key(b""), skip, waiting, hidden=hidden)
    while waiting:
        folder = waiting.pop()
        try:
            yield from _listed(root, folder, skip, waiting, hidden=hidden)
        except OSError as error:
            yield _problem(root, folder, error)


def _listed(
    root: bytes, folder: Key, skip: frozenset[bytes], waiting: list[Key], *, hidden: bool
) -> Iterator[FileFact | WalkProblem]:
    with os.scandir(os.path.join(root, folder)) as entries:
        for entry in entries:
            key = Key(os.path.join(folder, entry.name))
            if passed_by(entry.name, hidden=hidden) or entry.path in skip:
                continue
            try:
                met = _met(entry, key)
            except OSError as error:
                met = _problem(root, key, error)
            if isinstance(met, bytes):
                waiting.append(met)
            else:
                yield met


def passed_by(name: bytes, *, hidden: bool) -> bool:
    """Whether a walk leaves a name out. ``hidden``: whether names that begin with a dot are files like others."""
    if name.startswith(COPY_PREFIX):
        return False
    if name == STAGING_INSIDE_STORE or name.startswith(NOTES) or (name.startswith(b".") and not hidden):
        return True
    return is_dropping(os.fsdecode(name))


def _met(entry: os.DirEntry[bytes], key: Key) -> Met:
    if entry.is_dir(follow_symlinks=False):
        return key
    if entry.name.startswith(COPY_PREFIX):
        return WalkProblem(key, "left over from a copy that was interrupted; it can be deleted")
    status = entry.stat(follow_symlinks=False)
    if stat.S_ISREG(status.st_mode):
        return FileFact(key, status.st_size, status.st_mtime_ns, status.st_ino)
    if stat.S_ISLNK(status.st_mode):
        return WalkProblem(key, "a symbolic link, not followed")
    return WalkProblem(key, "a socket, pipe or device, not a file")


def _problem(root: bytes, key: Key, error: OSError) -> WalkProblem:
    return WalkProblem(key, str(translated(error, os.path.join(root, key))))
