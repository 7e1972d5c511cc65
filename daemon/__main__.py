"""`python -m daemon LIBRARY MOUNTPOINT` (also `damfsd`): the daemon in the foreground; `damfs mount` starts it.

Errors at the start are one line, on standard error and to whoever waits at ``--ready-fd``.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import resource
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import trio

from daemon.serve import Wanted, serve
from damfs.errors import DamfsError
from damfs.integration.launching import READY

log = logging.getLogger("daemon")

FEWER_COLLECTIONS = (100_000, 50, 100)
"""A listing makes hundreds of thousands of tuples at once: with Python's defaults half its time went to looking for
cycles among them (measured: 0.49 s against 0.19 s for 100,000 entries)."""
SWITCH_S = 0.0005
"""A thread that counts or copies in Python lets the loop go on after so long, instead of Python's 5 ms."""

OPEN_FILES = 1 << 16

_told: set[int] = set()
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def main() -> None:
    arguments = _arguments()
    logging.basicConfig(level=arguments.log_level.upper(), format=LOG_FORMAT, stream=sys.stderr)
    wanted = Wanted(_resolved(arguments.library), _resolved(arguments.mountpoint), tuple(arguments.o))
    os.chdir("/")
    if arguments.ready_fd is not None:
        os.set_inheritable(arguments.ready_fd, False)  # a worker that held it would keep the waiting one waiting
    _allow_many_open_files()
    gc.freeze()
    gc.set_threshold(*FEWER_COLLECTIONS)
    sys.setswitchinterval(SWITCH_S)
    reason = _served(wanted, partial(_tell, arguments.ready_fd, READY))
    if reason is not None:
        _tell(arguments.ready_fd, reason.encode())
        sys.exit(f"damfsd: {reason}")


def _served(wanted: Wanted, on_ready: Callable[[], None]) -> str | None:
    """Serve to the end; the reason in one line when it was not in order."""
    reason: str | None = None
    try:
        trio.run(serve, wanted, on_ready)
    except* DamfsError as group:
        reason = "; ".join(str(error) for error in leaves(group))
    except* Exception:
        log.exception("the daemon ended by an error; the mount is left dead and is repaired at the next start")
        reason = "the daemon met an unexpected error; its log has the details"
    return reason


def leaves(group: BaseExceptionGroup[DamfsError]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from leaves(error)
        else:
            yield error


def _resolved(given: str) -> Path:
    """Absolute and without links. A dead mount is no link to it, and is not entered."""
    return Path(os.path.realpath(given))


def _allow_many_open_files() -> None:
    """Every file that is open in the mount is open here as well."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(now, min(most, OPEN_FILES)), most))


def _tell(fd: int | None, what: bytes) -> None:
    """Once: whoever waits reads to the end."""
    if fd is not None and fd not in _told:
        _told.add(fd)
        os.write(fd, what)
        os.close(fd)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="damfsd",
        description="Serve one damfs library on a mountpoint, in the foreground.",
        epilog="example: damfsd ~/library ~/dam -o allow_other",
    )
    parser.add_argument("library")
    parser.add_argument("mountpoint")
    parser.add_argument("-o", action="append", default=[], metavar="OPTIONS", help="FUSE options, comma-separated")
    parser.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
    parser.add_argument("--ready-fd", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
