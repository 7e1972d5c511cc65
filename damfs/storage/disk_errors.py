"""What the operating system's errors mean for damfs: one class of damfs.errors and one line that names the path.

Pure apart from reading errno; safe from any thread.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from damfs.errors import Conflict, DamfsError, NoSpace, NotEmpty, NotFound, ReadOnly, TooBig, Unavailable

_MEANING: dict[int, tuple[type[DamfsError], str]] = {
    errno.ENOENT: (NotFound, "no such file"),
    errno.ENOTDIR: (NotFound, "no such file: a part of its path is not a folder"),
    errno.EISDIR: (NotFound, "a folder, not a file"),
    errno.ELOOP: (NotFound, "a symbolic link, which is not followed"),
    errno.ENOTEMPTY: (NotEmpty, "the folder still holds something"),
    errno.EEXIST: (Conflict, "the name is taken"),
    errno.ENOSPC: (NoSpace, "the disk is full; free some space and try again"),
    errno.EDQUOT: (NoSpace, "the disk quota is used up; free some space and try again"),
    errno.EFBIG: (TooBig, "the file system cannot hold a file of that length"),
    errno.EROFS: (ReadOnly, "its file system is mounted read-only"),
    errno.EACCES: (Unavailable, "permission denied; give the user that runs damfs access to it"),
    errno.EIO: (Unavailable, "the disk reports an input/output error; check the disk and restore the file"),
    errno.ESTALE: (Unavailable, "the network volume it is on went away; connect it again"),
    errno.ENXIO: (Unavailable, "the disk it is on went away; connect it again"),
}


def shown(path: bytes | Path) -> str:
    """The path for one line of text: quoted, with newlines and bytes that are no UTF-8 escaped."""
    return repr(os.fsdecode(path))


def translated(error: OSError, path: bytes | Path) -> DamfsError:
    """The error to raise above; its text names the path, what is wrong and what to do."""
    unknown = (Unavailable, os.strerror(error.errno).lower() if error.errno else str(error))
    kind, text = _MEANING.get(error.errno or 0, unknown)
    return kind(f"{shown(path)}: {text}")


@contextmanager
def disk_errors(path: bytes | Path) -> Iterator[None]:
    """Raises the OSErrors of its block as damfs errors that name ``path``."""
    try:
        yield
    except OSError as error:
        raise translated(error, path) from error
