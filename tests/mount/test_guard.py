"""kill -9 under load: whoever touches the mount gets an error at once, not a wait for a daemon that is no more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daemon.guard import end_connection
from damfs.integration.mounts import mount_at
from tests.mount.daemon_process import await_end, command_of, complaint, descendants, environment, is_mounted, until

if TYPE_CHECKING:
    from tests.mount.conftest import Serve

ROUNDS = 6
BUSY = """
import os, sys
number, inbox = 0, sys.argv[1]
while True:
    number += 1
    name = f"{inbox}/{os.getpid()}-{number}.txt"
    with open(name, "x") as file:
        file.write(name)
    os.rename(name, name + "-renamed.txt")
    os.listdir(inbox)
"""
"""News of what was received meet programs that hold the directory: this is how a thread of the daemon is caught."""


@contextmanager
def busy(inbox: Path, programs: int) -> Iterator[None]:
    running = [
        subprocess.Popen([sys.executable, "-c", BUSY, inbox], stderr=subprocess.DEVNULL) for _ in range(programs)
    ]
    try:
        yield
    finally:
        for program in running:
            program.kill()
            program.wait(90)


def guard_of(pid: int) -> int:
    (found,) = (child for child in descendants(pid) if "daemon.guard" in command_of(child))
    return found


def ls(path: Path) -> str:
    """Nobody who touches the mount may wait for ever."""
    return complaint("ls", path)


def is_dead(said: str) -> bool:
    """Whoever asked just before the connection ended is told that it was aborted."""
    return "not connected" in said or "connection abort" in said


def test_killed_under_load_the_mount_answers_that_nobody_is_there(serve: Serve) -> None:
    dam = serve()
    dam.announced += ["stale mount", "was interrupted"]
    for number in range(ROUNDS):
        dam.start()
        already = len(os.listdir(dam / "inbox"))
        with busy(dam / "inbox", 4):
            until(lambda seen=already: len(os.listdir(dam / "inbox")) > seen + 30, "files arrive")  # type: ignore[misc]  # a default binds it
            dam.kill()
            said = ls(dam.mountpoint)
        assert is_dead(said), (number, said)
        assert is_mounted(dam.mountpoint), "dead, not empty"
        assert "not connected" in ls(dam.mountpoint / "inbox")


def test_the_guard_ends_with_the_daemon(serve: Serve) -> None:
    dam = serve().start()
    guard = guard_of(dam.pid)
    dam.end()
    await_end(guard)
    dam.start()
    guard = guard_of(dam.pid)
    dam.kill()
    await_end(guard)


def test_killed_as_soon_as_it_has_mounted(serve: Serve) -> None:
    dam = serve(announced=["stale mount", "was interrupted"])
    for _ in range(3):
        dam.start()
        with busy(dam / "inbox", 4):
            dam.kill()
            assert is_dead(ls(dam.mountpoint))
        assert "not connected" in ls(dam.mountpoint)


def test_a_second_daemon_that_dies_leaves_the_first_alone(serve: Serve) -> None:
    """It never mounted: the mount is not its own, though library and mountpoint are the same."""
    dam = serve().start()
    second = subprocess.Popen(
        [sys.executable, "-m", "daemon", dam.library, dam.mountpoint], stderr=subprocess.DEVNULL, env=environment()
    )  # fmt: skip
    until(lambda: bool(descendants(second.pid)) or second.poll() is not None, "its guard is started")
    guards = descendants(second.pid)
    second.kill()
    second.wait(90)
    for guard in guards:
        await_end(guard)
    assert ls(dam.mountpoint) == ""


def test_the_guard_of_one_mount_leaves_others_alone(serve: Serve) -> None:
    first, second = serve().start(), serve().start()
    first.kill()
    assert is_dead(ls(first.mountpoint))
    assert ls(second.mountpoint) == ""


@pytest.mark.parametrize("controlled", [True, False])
def test_ending_a_connection_keeps_the_mount(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, controlled: bool
) -> None:
    """With the kernel's control file system, and without."""
    dam = serve().start()
    found = mount_at(dam.mountpoint)
    assert found is not None
    control = tmp_path / "connections"
    control.mkdir()
    try:
        if controlled:
            subprocess.run(["mount", "-t", "fusectl", "none", control], check=True)
            assert (control / str(found.device) / "abort").exists()
        monkeypatch.setattr("daemon.guard.CONNECTIONS", control)
        end_connection(found)
    finally:
        if controlled:
            subprocess.run(["umount", control], check=True)
    assert "not connected" in ls(dam.mountpoint)
    assert is_mounted(dam.mountpoint)
    assert dam.process is not None
    dam.process.wait(90)
