"""Where renditions lie: state/renditions/ab/<digest>-<kind>-<profile>.<ending>, published whole and durably.

Blocks. Crash rule: a file without a row is superfluous and removed by `upkeep`; a row without a file is made again.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from damfs.core.processors.processor import MadeRendition
from damfs.core.results import PublishedRendition
from damfs.model import Digest
from damfs.storage.disk_errors import disk_errors


def publish_renditions(root: Path, digest: Digest, made: Sequence[MadeRendition]) -> tuple[PublishedRendition, ...]:
    """Move the files to their keys; one that is there already is replaced. Raises NoSpace, Unavailable."""
    with disk_errors(root):
        return tuple(_publish(root, digest, each) for each in made)


def _publish(root: Path, digest: Digest, made: MadeRendition) -> PublishedRendition:
    name = f"{digest.hex()}-{made.kind}-{made.profile}{made.path.suffix}"
    if "/" in name:
        raise ValueError(f"{made.profile}: the profile of a rendition is part of a file name")
    key = f"{name[:2]}/{name}"
    target = root / key
    target.parent.mkdir(parents=True, exist_ok=True)
    sync(made.path)
    size = made.path.stat().st_size
    made.path.rename(target)
    sync(target.parent)
    return PublishedRendition(made.kind, made.profile, key, size, made.detail)


def remove_older(path: Path, before_ns: int) -> None:
    """Not one that was made since, under the same name: its row may be just on its way. Raises OSError."""
    with suppress(FileNotFoundError):
        if is_older(path, before_ns):
            path.unlink()


def is_older(path: Path, before_ns: int) -> bool:
    status = path.lstat()
    return stat.S_ISREG(status.st_mode) and status.st_mtime_ns < before_ns


def sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
