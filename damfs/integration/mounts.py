"""Which damfs mounts there are on this machine, and to which library and asset a path belongs.

Reads /proc/self/mountinfo and stats paths: blocks.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from damfs.errors import BadMountpoint, NotFound
from damfs.model import AssetId

FILE_SYSTEM = "fuse.damfs"
ASSET_KIND = 1
ID_BITS = 56


@dataclass(frozen=True, slots=True)
class Mount:
    mountpoint: Path
    kind: str
    source: str
    """For damfs: the path of the library."""


def mounts() -> list[Mount]:
    """Everything that is mounted, oldest first."""
    found = []
    text = os.fsdecode(Path("/proc/self/mountinfo").read_bytes())
    for line in text.removesuffix("\n").split("\n"):  # paths may hold what else counts as the end of a line
        before, _, after = line.partition(" - ")
        kind, source = after.split(" ")[:2]
        found.append(Mount(Path(_unescaped(before.split(" ")[4])), kind, _unescaped(source)))
    return found


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def mount_at(mountpoint: Path) -> Mount | None:
    """What is mounted right there, the newest."""
    path = Path(os.path.realpath(mountpoint))
    found = [mount for mount in mounts() if mount.mountpoint == path]
    return found[-1] if found else None


def answers(mountpoint: Path) -> bool:
    """Whether somebody serves what is mounted there: a dead daemon leaves ENOTCONN."""
    try:
        os.statvfs(mountpoint)  # os.stat may be answered by what the kernel remembers
    except OSError:
        return False
    return True


def mount_of(path: Path) -> Mount | None:
    """The damfs mount that a path lies in. Does not touch the path itself."""
    absolute = Path(os.path.realpath(path.parent)) / path.name
    found = [mount for mount in mounts() if mount.kind == FILE_SYSTEM and absolute.is_relative_to(mount.mountpoint)]
    return found[-1] if found else None


def damfs_mount(mountpoint: Path) -> Mount:
    """Raises BadMountpoint when no damfs is mounted there."""
    found = mount_at(mountpoint)
    if found is None or found.kind != FILE_SYSTEM:
        known = ", ".join(str(mount.mountpoint) for mount in mounts() if mount.kind == FILE_SYSTEM)
        raise BadMountpoint(f"no damfs is mounted on {mountpoint}; mounted are: {known or 'none'}")
    return found


def library_of(path: Path) -> Path:
    """The library that is mounted there; else the path, which is to be a library's own."""
    found = mount_of(path)
    return path.absolute() if found is None else Path(found.source)


def asset_of(path: Path) -> AssetId:
    """The asset a file of the mount is: its inode number says so. Raises NotFound."""
    try:
        inode = os.stat(path).st_ino
    except OSError as error:
        raise NotFound(f"{path}: {os.strerror(error.errno or 0)}") from None
    if inode >> ID_BITS != ASSET_KIND:
        raise NotFound(f"{path} is no asset; name a file of inbox/, by-tag/ or another view")
    return AssetId(inode & ((1 << ID_BITS) - 1))
