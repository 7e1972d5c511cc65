"""What a daemon that was killed leaves behind: a dead mount, and sometimes itself.

Blocks. One thread of a killed daemon can be caught in the kernel, waiting for a client that waits for the daemon. It
keeps the connection, the library's lock, and every call on the mount; only ending the connection frees them.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import time
from pathlib import Path

from damfs.errors import BadMountpoint
from damfs.integration.mounts import FILE_SYSTEM, mount_at, mounts

LOCK = Path("state", "lock")
"""Holds the id of the process that has the library open."""
MNT_FORCE = 1
END_LIMIT_S = 5.0
ENDED = frozenset("ZX")
"""States of a process that was killed: its threads may live on for a while."""


def holder_died(library: Path) -> bool:
    """Whether the process that had the library open was killed, even if the kernel still holds a part of it."""
    try:
        holder = int((library / LOCK).read_text(encoding="ascii"))
        status = Path(f"/proc/{holder}/stat").read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return True
    return status.rpartition(") ")[2][:1] in ENDED


def free(library: Path) -> None:
    """Let go of what a killed daemon of this library still holds, so that its lock can be had."""
    if not holder_died(library) or not is_caught(library):
        return  # a mount that is merely dead stays dead where it is: it must not look empty
    for mount in mounts():
        if mount.kind == FILE_SYSTEM and mount.source == str(library):
            abort(mount.mountpoint)
    deadline = time.monotonic() + END_LIMIT_S
    while is_caught(library) and time.monotonic() < deadline:
        time.sleep(0.02)  # noqa: TID251  # before any event loop


def is_caught(library: Path) -> bool:
    """Whether the killed process is still there in part. Its parent may just not have looked after it."""
    try:
        holder = int((library / LOCK).read_text(encoding="ascii"))
        return len(os.listdir(f"/proc/{holder}/task")) > 1
    except (OSError, ValueError):
        return False


def abort(mountpoint: Path) -> None:
    """End the kernel's connection to a daemon that was killed, where this process may."""
    ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(mountpoint), MNT_FORCE)


def release_stale(mountpoint: Path) -> None:
    """Detach a mount whose daemon is dead. Raises BadMountpoint when that is not allowed."""
    abort(mountpoint)
    if mount_at(mountpoint) is None:
        return
    done = subprocess.run(["fusermount3", "-u", "-z", str(mountpoint)], capture_output=True, check=False)
    if done.returncode:
        raise BadMountpoint(
            f"{mountpoint} is a stale mount and cannot be detached ({done.stderr.decode().strip()});"
            f" try: umount -l {mountpoint}"
        )
