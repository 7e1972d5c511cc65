"""What mount(8) runs for `mount -t fuse.damfs LIBRARY MOUNTPOINT -o …` and for a line of /etc/fstab.

Two ways lead here: a link /sbin/mount.fuse.damfs to the program of that name, or `damfs` itself in root's path, which
mount.fuse3 calls with a library and a mountpoint and no command. Blocks until the mount answers. Exit codes are
those of mount(8).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from damfs.errors import DamfsError
from damfs.integration import launching

NAME = "mount.fuse.damfs"
WRONG_CALL, FAILED = 1, 32
MANNERS = "sfnv"
"""Letters that mount(8) may pass on; of them only -f (do nothing) matters here."""


def main() -> None:
    """Entry point."""
    sys.exit(mount(sys.argv[1:]))


def is_call(words: Sequence[str]) -> bool:
    """Whether `damfs` was called by mount.fuse3: an absolute library, a mountpoint and -o in place of a command."""
    return len(words) > 3 and words[0].startswith("/") and words[2] == "-o"


def mount(words: Sequence[str]) -> int:
    """The exit code; what went wrong is one line on standard error."""
    try:
        wanted = _parser().parse_args(words)
    except SystemExit as end:
        return WRONG_CALL if end.code else 0
    if wanted.f:
        return 0
    try:
        launching.launch(_path(wanted.library), _path(wanted.mountpoint), tuple(wanted.o), foreground=False)
    except DamfsError as error:
        reason = str(error)
    except OSError as error:
        reason = f"{error.filename or 'system'}: {error.strerror or error}"
    else:
        return 0
    sys.stderr.write(f"{NAME}: {reason}\n")
    return FAILED


def _path(given: str) -> Path:
    """mount(8) leaves a name alone that is no path where it was called: it may begin with the old `damfs#`."""
    return Path(os.path.abspath(given.removeprefix("damfs#")))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="Mount a damfs library, as mount(8) asks for it.",
        epilog="example: mount -t fuse.damfs /srv/films /mnt/films -o allow_other,setuid=alice",
    )
    parser.add_argument("library")
    parser.add_argument("mountpoint")
    parser.add_argument("-o", action="append", default=[], metavar="OPTIONS")
    parser.add_argument("-t", help=argparse.SUPPRESS)
    parser.add_argument("-N", help=argparse.SUPPRESS)
    for letter in MANNERS:
        parser.add_argument(f"-{letter}", action="store_true", help=argparse.SUPPRESS)
    return parser
