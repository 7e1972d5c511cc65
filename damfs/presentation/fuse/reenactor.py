"""A program of its own: does to the mount what it is told, so that the kernel tells whoever watches a directory.

Run by path, with the standard library alone: `python -I -S reenactor.py PARENT`. One request a line on standard input
(an operation and a path in hexadecimal), one errno a line on standard output. Concurrency: one operation at a time. It
is a process and no thread of the daemon because it waits for the daemon inside the kernel: a killed daemon would wait
there for itself. Crash rule: it dies with the daemon, by PR_SET_PDEATHSIG and at the end of its input.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import stat
import sys
from contextlib import suppress

PR_SET_PDEATHSIG = 1
DONE = 0
MOUNTPOINT = 4


def _create(path: bytes) -> None:
    os.mknod(path, stat.S_IFREG | 0o444)


def _look(path: bytes) -> None:
    os.lstat(path)


def _find_watcher(mountpoint: bytes) -> None:
    """Raises FileNotFoundError when no program that may be looked at watches anything of the mount."""
    mark = b"sdev:%x " % _device(mountpoint)
    for process in filter(str.isdecimal, os.listdir("/proc")):
        try:
            descriptors = os.listdir(f"/proc/{process}/fd")
        except OSError:
            continue  # it has ended, or belongs to somebody else
        if any(_watches(process, each, mark) for each in descriptors):
            return
    raise FileNotFoundError(errno.ENOENT, "nobody watches")


def _watches(process: str, descriptor: str, mark: bytes) -> bool:
    try:
        notifies = "notify" in os.readlink(f"/proc/{process}/fd/{descriptor}")
        return notifies and mark in _read(f"/proc/{process}/fdinfo/{descriptor}")
    except OSError:
        return False


def _device(mountpoint: bytes) -> int:
    """As the kernel numbers it; the mount is not touched, which would make it busy for a moment."""
    for line in reversed(_read("/proc/self/mountinfo").split(b"\n")):
        parts = line.split(b" ")
        if len(parts) > MOUNTPOINT and parts[MOUNTPOINT].decode("unicode_escape").encode("latin-1") == mountpoint:
            major, _, minor = parts[2].partition(b":")
            return int(major) << 20 | int(minor)
    raise FileNotFoundError(errno.ENOENT, "not mounted")


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


OPERATIONS = {
    "watched": _find_watcher,
    "create": _create,
    "mkdir": os.mkdir,
    "unlink": os.unlink,
    "rmdir": os.rmdir,
    "look": _look,
}


def answer(line: str) -> int:
    """The errno."""
    operation, _, path = line.strip().partition(" ")
    try:
        OPERATIONS[operation](bytes.fromhex(path))
    except OSError as error:
        return error.errno or -1
    return DONE


def main() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        return  # the daemon died before it could be said
    with suppress(BrokenPipeError):  # the daemon was killed while this waited for it
        for line in sys.stdin:
            os.write(sys.stdout.fileno(), f"{answer(line)}\n".encode())


if __name__ == "__main__":
    main()
