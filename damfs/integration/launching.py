"""Starts and ends the daemon for the CLI.

Blocks. The daemon is another program (`python -m daemon`): this layer does not import it.
"""

from __future__ import annotations

import os
import pwd
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from damfs.errors import BadLibrary, BadMountpoint, Unavailable
from damfs.integration import client
from damfs.integration.mount_options import sort_options
from damfs.integration.mounts import answers, damfs_mount
from damfs.integration.stale import LOCK, holder_died, release_stale
from damfs.integration.wire import Stop
from damfs.settings import read_settings

READY = b"ready"
LOG = "daemon.log"
END_LIMIT_S = 60.0


def launch(library: Path, mountpoint: Path, options: tuple[str, ...], *, foreground: bool) -> None:
    """Start the daemon; returns when the mount answers. In the foreground: becomes the daemon."""
    sorted_ = sort_options(options)
    if sorted_.user is not None:
        become(sorted_.user)
    read_settings(library)
    command = [sys.executable, "-m", "daemon", str(library), str(mountpoint)]
    if sorted_.kernel:
        command += ["-o", ",".join(sorted_.kernel)]
    if foreground:
        os.execv(command[0], command)
    read_end, write_end = os.pipe()
    with (library / "state" / LOG).open("ab") as log:
        child = subprocess.Popen(
            [*command, "--ready-fd", str(write_end)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", pass_fds=(write_end,), start_new_session=True,
        )  # fmt: skip
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        said = pipe.read()
    if said != READY:
        child.wait()
        raise BadLibrary(said.decode("utf-8", "replace") or f"the daemon ended at once; see {library}/state/{LOG}")
    child.returncode = 0  # it lives on by itself: no warning that it was not waited for


def become(name: str) -> None:
    """Be another user from now on, for good. Raises BadMountpoint."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        raise BadMountpoint(f"there is no user {name}; name one after setuid=") from None
    if os.geteuid() == user.pw_uid:
        return
    try:
        os.initgroups(name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    except PermissionError:
        raise BadMountpoint(f"only root may mount as another user; leave setuid={name} out") from None
    os.environ.update(HOME=user.pw_dir, USER=name, LOGNAME=name)


def end(mountpoint: Path) -> None:
    """Ask the daemon to stop and wait until it has ended; clean a stale mount away."""
    mount = damfs_mount(mountpoint)
    library = Path(mount.source)
    alive = not holder_died(library) and answers(mountpoint)
    connection = client.connect(library) if alive else None
    if connection is None:
        release_stale(mountpoint)
        return
    with _watched(library) as ended:
        client.ask(connection, Stop())
        if not ended():
            raise Unavailable(f"{mountpoint} is still busy; close what uses it (fuser -m {mountpoint})")


@contextmanager
def _watched(library: Path) -> Iterator[Callable[[], bool]]:
    """A function that waits for the end of the process that has the library, and says whether it came in time."""
    holder = (library / LOCK).read_text(encoding="ascii").strip()
    descriptor = os.pidfd_open(int(holder))
    try:
        yield lambda: bool(select.select([descriptor], [], [], END_LIMIT_S)[0])
    finally:
        os.close(descriptor)
