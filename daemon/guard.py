"""Ends the kernel's connection when the daemon was killed, so that programs in the mount get an error, not a wait.

A thread of a killed daemon can be caught in the kernel by a program that waits for that very daemon. It keeps
/dev/fuse open, so the kernel does not notice, and everybody who touches the mount waits for ever. The guard is a
small process that sleeps in one read until its parent is dead. Crash rule: a daemon that ends in order dismisses it,
by end of file; when one was killed it aborts the connection. The mount stays, dead, not empty.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from damfs.integration.mounts import Mount, mount_at
from damfs.integration.stale import abort

CONNECTIONS = Path("/sys/fs/fuse/connections")
PR_SET_PDEATHSIG = 1
PARENT_DIED = signal.SIGUSR1
DISMISSAL_LIMIT_S = 5.0
ARMED = b"!"


class Guard:
    """The daemon's end of it. Made in the main thread: its death is what counts."""

    def __init__(self, library: Path, mountpoint: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "daemon.guard", str(os.getpid()), str(library), str(mountpoint)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, start_new_session=True,
        )  # fmt: skip

    def await_ready(self) -> None:
        """Before the mount is made: a guard that is still starting would miss the death. Blocks, mostly not."""
        assert self._process.stdout is not None
        self._process.stdout.read(1)

    def arm(self) -> None:
        """The mount is made. Before that it may be another daemon's."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(ARMED)

    def dismiss(self) -> None:
        with self._process as process:
            assert process.stdin is not None
            process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(DISMISSAL_LIMIT_S)
            process.kill()


@contextmanager
def guarding(library: Path, mountpoint: Path) -> Iterator[Guard]:
    """While the block runs, a guard is there, or about to be."""
    guard = Guard(library, mountpoint)
    try:
        yield guard
    finally:
        guard.dismiss()


def main() -> None:
    parent, library, mountpoint = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # meant for the daemon
        signal.signal(number, signal.SIG_IGN)
    news = _news_of_death()
    if os.getppid() != parent:
        return
    with suppress(BrokenPipeError):  # killed meanwhile
        os.write(sys.stdout.fileno(), b"\n")
    armed = False
    while sys.stdin.fileno() in select.select([news, sys.stdin.fileno()], [], [])[0]:
        word = os.read(sys.stdin.fileno(), 1)
        if not word:  # all of the daemon has ended, and /dev/fuse with it: a mount that is there now is another's
            return
        armed = word == ARMED
    found = mount_at(mountpoint)
    if armed and found is not None and found.source == library:
        end_connection(found)


def _news_of_death() -> int:
    """A descriptor that can be read once the daemon's main thread is no more.

    The handler is never changed after this: Python complains of a signal that arrives while its handler is taken away.
    """
    news, told = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    signal.signal(PARENT_DIED, lambda *_: None)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, PARENT_DIED)
    return news


def end_connection(mount: Mount) -> None:
    """Programs that wait get ENOTCONN or ECONNABORTED. The mount itself stays."""
    try:
        (CONNECTIONS / str(mount.device) / "abort").write_text("1")
    except OSError:  # the control file system is not mounted
        with suppress(OSError):
            held = os.open(mount.mountpoint, os.O_PATH | os.O_CLOEXEC)  # asks nobody; what is held is not unmounted
            abort(mount.mountpoint)
            os.close(held)


if __name__ == "__main__":
    main()
    os._exit(0)  # the signal may still come: nothing of Python is taken down that would complain of it
