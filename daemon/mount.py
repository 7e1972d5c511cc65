"""The mountpoint: checked, freed of a stale mount, mounted with pyfuse3, left dead (not empty) after a crash.

Blocking parts run before the daemon serves, or in threads. A crash leaves the mount dead: a sync tool would mirror
emptiness; the next start repairs it.
"""

from __future__ import annotations

import logging
import os
import signal
import string
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyfuse3

from damfs.errors import BadMountpoint
from damfs.integration.machine_checks import FUSE_CONF, may_share
from damfs.integration.mount_options import SHARING, sort_options
from damfs.integration.mounts import FILE_SYSTEM, answers, mount_at
from damfs.integration.stale import release_stale
from damfs.presentation.fuse import native
from damfs.presentation.fuse.operations import Operations

log = logging.getLogger(__name__)

READ_AHEAD_KIB = 1024
INTERRUPT_S = 1.0
STDERR = 2
REFUSED_OPTIONS = frozenset({"default_permissions", "fsname", "subtype"})
"""Set by damfs itself."""


def prepare_mountpoint(mountpoint: Path, library: Path) -> None:
    """Raises BadMountpoint with what to do; detaches a stale damfs mount first. Blocks."""
    there = mount_at(mountpoint)
    if there is not None:
        if there.kind != FILE_SYSTEM:
            raise BadMountpoint(
                f"{mountpoint} is a mount of another file system ({there.kind}); choose another directory"
            )
        # this library's own daemon is dead: its lock is ours. Asking the mount could wait for ever.
        if there.source != str(library) and answers(mountpoint):
            raise BadMountpoint(
                f"{mountpoint} is already mounted (library {there.source}); unmount it with: damfs umount {mountpoint}"
            )
        log.warning("%s is a stale mount of a daemon that died; detaching it", mountpoint)
        release_stale(mountpoint)
    _check_directory(mountpoint, library)


def _check_directory(mountpoint: Path, library: Path) -> None:
    if not mountpoint.exists():
        raise BadMountpoint(f"{mountpoint} does not exist; make it with: mkdir -p {mountpoint}")
    if not mountpoint.is_dir():
        raise BadMountpoint(f"{mountpoint} is not a directory; choose or make an empty one")
    if mountpoint.resolve().is_relative_to(library):
        raise BadMountpoint(f"{mountpoint} is inside the library; choose a directory outside of {library}")
    if any(mountpoint.iterdir()):
        raise BadMountpoint(f"{mountpoint} is not empty; choose or make an empty directory")


def fuse_options(library: Path, given: Sequence[str]) -> set[str]:
    """Options for pyfuse3: our own, and those a person gave (comma-separated parts). Raises BadMountpoint."""
    parts = set(sort_options(given).kernel)
    clash = sorted(part for part in parts if part.partition("=")[0] in REFUSED_OPTIONS)
    if clash:
        raise BadMountpoint(f"the option {clash[0]} is set by damfs itself; leave it out")
    return {"default_permissions", f"fsname={escaped(os.fsencode(library))}", "subtype=damfs"} | parts


def escaped(value: bytes) -> str:
    """As the value of an option: libfuse reads octal escapes, and pyfuse3 takes ASCII only."""
    plain = frozenset(string.ascii_letters + string.digits + "/._-+=:@ ")
    return "".join(chr(byte) if chr(byte) in plain else f"\\{byte:03o}" for byte in value)


def raise_read_ahead(mountpoint: Path) -> None:
    """Have the kernel ask for a megabyte at once where it reads ahead: eight times fewer calls than by default. Only
    root may say so. Blocks, and asks the mount itself."""
    found = mount_at(mountpoint)
    if found is None:
        return
    try:
        Path(f"/sys/class/bdi/0:{found.device}/read_ahead_kb").write_text(str(READ_AHEAD_KIB), encoding="ascii")
    except OSError as error:
        log.info("the read-ahead of the mount stays as it is: %s", error.strerror)


async def answer_kernel_calls() -> None:
    """Until cancelled, or until the file system is unmounted from outside."""
    with interrupted():
        await pyfuse3.main()


@contextmanager
def interrupted() -> Iterator[None]:
    """A program that is killed takes back its request, maybe just when pyfuse3 is about to read it. It then waits for
    the next one with the whole interpreter, until a signal comes: so one comes every second. Not where the native
    module is, which never waits."""
    if native.load().cache_directories:
        yield
        return
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, INTERRUPT_S, INTERRUPT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def mounted(operations: Operations, mountpoint: Path, options: set[str]) -> Iterator[None]:
    """Mounted while the block runs. Left by an error, the mount stays, dead; left in order, it is unmounted."""
    said: list[str] = []
    try:
        with overheard(said):
            pyfuse3.init(operations, str(mountpoint), options)
    except (RuntimeError, UnicodeEncodeError) as error:
        raise BadMountpoint(f"{mountpoint} cannot be mounted: {_reason(options, error, said)}") from None
    try:
        yield
    except BaseException:
        pyfuse3.close(unmount=False)
        raise
    pyfuse3.close(unmount=True)


@contextmanager
def overheard(said: list[str]) -> Iterator[None]:
    """What is written to standard error while the block runs goes there, and its lines into ``said``: libfuse, and the
    program that it runs, tell only there why they do not mount."""
    sys.stderr.flush()
    before = os.dup(STDERR)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), STDERR)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(before, STDERR)
            os.close(before)
            file.seek(0)
            text = file.read().decode("utf-8", "replace")
            sys.stderr.write(text)
            said += text.splitlines()


def _reason(options: set[str], error: Exception, said: Sequence[str]) -> str:
    if SHARING & options and not may_share():
        return f"only root may use {min(SHARING & options)}, unless {FUSE_CONF} has the line user_allow_other"
    if by_fuse := [line for line in said if line.startswith(("fusermount", "fuse:"))]:
        return f"{by_fuse[-1]}; what else is needed says: damfs doctor"
    given = sorted(option for option in options if option.partition("=")[0] not in REFUSED_OPTIONS)
    return f"{error}; are the options right ({','.join(given) or 'none'}), /dev/fuse there and fuse3 installed?"
