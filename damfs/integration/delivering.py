"""Putting a file where a person wants it: whole or not at all, never over something that is there, on any disk.

Blocks. Crash rule: a hidden name that ends in .part may stay behind a kill, see `unfinished`; an interrupt removes it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from damfs.errors import Conflict, NotFound, Refused
from damfs.integration import unfinished
from damfs.storage import placing
from damfs.storage.spots import Spot, fsync_folder


def check_free(target: Path) -> None:
    """Before long work. Raises Conflict, NotFound, Refused."""
    if os.path.lexists(target):
        raise Conflict(f"{target} is there already; choose another name or remove it")
    if not target.parent.is_dir():
        raise NotFound(f"{target.parent} is no folder; make it first, or choose another place")
    longest = os.pathconf(target.parent, "PC_NAME_MAX") - unfinished.LONGER
    if len(os.fsencode(target.name)) > longest:
        raise Refused(f"the name of {target} is too long; choose one of {longest} bytes at most")


def copy(source: Path, target: Path) -> None:
    """Raises Conflict when the name was taken meanwhile."""
    with made_whole(target) as part:
        shutil.copyfile(source, part)


@contextmanager
def made_whole(target: Path) -> Iterator[Path]:
    """A name beside the target to write to; at the end of the block it becomes the target."""
    unfinished.clear_away(target.parent)
    part = unfinished.part_of(target)
    try:
        yield part
        publish(part, target)
    finally:
        part.unlink(missing_ok=True)


def publish(part: Path, target: Path) -> None:
    """Raises Conflict."""
    _sync(part)
    try:
        with _spot(part) as source, _spot(target) as wanted:
            if not (placing.rename(source, wanted) or placing.link(source, wanted)):
                _take(part, target)
            fsync_folder(wanted.folder)
    except FileExistsError:
        raise Conflict(f"{target} is there already; choose another name or remove it") from None


def _take(part: Path, target: Path) -> None:
    """For disks without any careful step: the name is ours first, and empty; what breaks off does not leave it so."""
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
    try:
        os.close(fd)
        part.rename(target)
    except BaseException:
        if part.exists():
            target.unlink(missing_ok=True)
        raise


@contextmanager
def _spot(path: Path) -> Iterator[Spot]:
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Spot(folder, os.fsencode(path.name))
    finally:
        os.close(folder)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
