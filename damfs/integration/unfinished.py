"""Names beside a user's file for what is being made of it, and the removal of those whose maker was killed.

Blocks. The name says which process of which machine makes it: what a dead one left is removed by the next command that
writes into that folder. Names of other machines are left alone (the folder may be on a share).
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path

NAME = re.compile(r"\..+\.(?P<process>\d+)-(?P<machine>[0-9a-f]{8})\.part", re.DOTALL)
LONGER = len(".") + len(".12345678-12345678.part")
"""Bytes by which such a name is longer than that of what is made."""


def part_of(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}-{machine()}.part")


def clear_away(folder: Path) -> None:
    """What commands left that were killed: files and folders."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in list(entries):
            found = NAME.fullmatch(entry.name)
            if found is not None and found["machine"] == machine() and not is_alive(int(found["process"])):
                remove(Path(entry.path))


def remove(path: Path) -> None:
    """A file or a folder, if it can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        path.unlink()


def is_alive(process: int) -> bool:
    """This one is not among them: by its number it finds what an earlier one left."""
    return process != os.getpid() and os.path.exists(f"/proc/{process}")


@functools.cache
def machine() -> str:
    """The same until it is installed anew; another one in a container that numbers its processes by itself."""
    said = platform.node()
    with suppress(OSError):
        said = Path("/etc/machine-id").read_text(encoding="ascii", errors="replace").strip() or said
    spaces = os.stat("/proc/self/ns/pid").st_ino
    return blake2b(f"{said} {spaces}".encode(), digest_size=4).hexdigest()
