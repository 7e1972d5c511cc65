"""What the program is doing whose call is answered just now.

The kernel looks a name up before it makes a directory and tells the server nothing of that: only the caller's own state
does. Blocks for some microseconds (procfs). Where it may not be read, the name of the program has to do.
"""

from __future__ import annotations

import platform
from pathlib import Path

MAKING = {
    "x86_64": {"83", "258"},
    "aarch64": {"34"},
    "riscv64": {"34"},
}
"""Numbers of mkdir and mkdirat among the system calls."""
PROGRAM = "mkdir"


def is_making_directory(thread: int) -> bool:
    """Whether this thread waits for mkdir(2). False where that cannot be known (another container, another user)."""
    process = Path(f"/proc/{thread}")
    try:
        call = (process / "syscall").read_text(encoding="ascii").partition(" ")[0]
    except PermissionError:
        return _name(process) == PROGRAM
    except OSError:
        return False
    return call in MAKING.get(platform.machine(), ())


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
