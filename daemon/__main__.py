"""`python -m daemon LIBRARY MOUNTPOINT` (also `damfsd`): the daemon in the foreground; `damfs mount` starts it.

Errors at the start are one line, on standard error and to whoever waits at ``--ready-fd``.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from functools import partial
from pathlib import Path

import trio

from daemon.serve import Wanted, serve
from damfs.errors import DamfsError
from damfs.integration.launching import READY

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def main() -> None:
    arguments = _arguments()
    logging.basicConfig(level=arguments.log_level.upper(), format=LOG_FORMAT, stream=sys.stderr)
    wanted = Wanted(Path(os.path.realpath(arguments.library)), _mountpoint(arguments.mountpoint), tuple(arguments.o))
    os.chdir("/")
    try:
        trio.run(serve, wanted, partial(_tell, arguments.ready_fd, READY), strict_exception_groups=False)
    except DamfsError as error:
        _tell(arguments.ready_fd, str(error).encode())
        sys.exit(f"damfsd: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def _mountpoint(given: str) -> Path:
    """Absolute, links of its parents resolved; the mountpoint itself may be a dead mount and is not touched."""
    path = Path(os.path.abspath(given))
    return Path(os.path.realpath(path.parent)) / path.name


def _tell(fd: int | None, what: bytes) -> None:
    if fd is not None:
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
