"""Whether any program has a file open for writing, as far as the kernel tells.

By a read lease (fcntl(2)), which the kernel grants only where nobody writes; it is given back at once. Blocks shortly;
whoever wants to write meanwhile waits those microseconds.
"""

from __future__ import annotations

import errno
import fcntl
import signal

_WRITTEN = {errno.EAGAIN, errno.EBUSY}


def is_written(descriptor: int) -> bool | None:
    """None where it cannot be told: another user's file, or a file system without leases (networks, FUSE).
    ``descriptor``: open for reading only."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # ignored by default; SIGIO would end this process
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return True if error.errno in _WRITTEN else None
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
