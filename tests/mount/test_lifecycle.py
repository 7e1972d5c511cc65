"""The life of a mount: start, answers, end, death and repair; what cannot be mounted and why, in one line."""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
import socket
import sqlite3
import subprocess
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from damfs.core.status_report import Status
from damfs.integration.client import call, connect
from damfs.integration.wire import Add, GetStatus, encode
from tests.mount.daemon_process import (
    DAMFS,
    QUICK,
    Daemon,
    await_end,
    damfs,
    descendants,
    is_mounted,
    new_library,
    run,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.mount.conftest import Serve


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """What a failed command said: exactly one line, and no traceback."""
    assert done.returncode == 1, (done.returncode, done.stdout, done.stderr)
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def daemon_of(library: Path) -> int:
    return int((library / "state/lock").read_text())


def log_of(library: Path) -> str:
    return (library / "state/daemon.log").read_text()


@contextmanager
def command_mount(library: Path, mountpoint: Path, *options: str) -> Iterator[None]:
    """Mounted by `damfs mount`; nothing stays behind whatever happens."""
    try:
        damfs("mount", *options, library, mountpoint)
        yield
    finally:
        wreck(library, mountpoint)


def wreck(library: Path, mountpoint: Path) -> None:
    connection = connect(library)
    if connection is not None:
        connection.close()
        pid = daemon_of(library)
        os.kill(pid, signal.SIGKILL)
        await_end(pid)
    while is_mounted(mountpoint):
        subprocess.run(["umount", "-l", mountpoint], check=True)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return new_library(tmp_path / "library")


@pytest.fixture
def mountpoint(tmp_path: Path) -> Path:
    path = tmp_path / "dam"
    path.mkdir()
    return path


# --- the orderly life -----------------------------------------------------------------------------------------


def test_mount_returns_when_it_answers_and_umount_when_all_is_in_order(library: Path, mountpoint: Path) -> None:
    with command_mount(library, mountpoint):
        assert "inbox" in os.listdir(mountpoint)
        pid = daemon_of(library)
        children = descendants(pid)
        (mountpoint / "inbox/last.bin").write_bytes(os.urandom(5_000_000))
        done = damfs("umount", mountpoint)
        assert (done.stdout, done.stderr) == ("", "")
        await_end(pid, 0)
        assert not is_mounted(mountpoint)
        assert os.listdir(mountpoint) == []
        for child in children:
            await_end(child)
    with closing(sqlite3.connect(library / "state/catalog.sqlite3")) as catalog:
        assert catalog.execute("SELECT name, state FROM asset").fetchall() == [("last.bin", "present")]
    assert "Traceback" not in log_of(library)


def test_signals_end_it_in_order(serve: Serve) -> None:
    dam = serve().start()
    (dam / "inbox/a.txt").write_text("a")
    dam.settled()
    dam.signal(signal.SIGTERM)
    dam.check_end()
    dam.start()
    assert (dam / "inbox/a.txt").read_text() == "a"
    dam.signal(signal.SIGINT)
    dam.check_end()


def test_an_unmount_from_outside_ends_the_daemon(serve: Serve) -> None:
    dam = serve().start()
    (dam / "inbox/a.txt").write_text("a")
    dam.settled()
    run("fusermount3", "-u", dam.mountpoint)
    dam.check_end()


def test_umount_of_a_busy_mount_keeps_what_was_written(serve: Serve) -> None:
    """A program has a file open for writing: it gets an error, and what arrived is not lost."""
    dam = serve().start()
    file = os.open(dam / "inbox/recording.mov", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.write(file, b"x" * 1000)
    damfs("umount", dam.mountpoint)
    dam.check_end()
    with pytest.raises(OSError, match="Errno"):
        os.write(file, b"y")
    with pytest.raises(OSError, match="Errno"):
        os.close(file)
    dam.announced.append("recording.mov was interrupted")
    dam.start()
    assert os.listdir(dam / "inbox") == ["recording.mov.part"]
    assert (dam / "inbox/recording.mov.part").read_bytes() == b"x" * 1000
    (dam / "inbox/recording.mov.part").rename(dam / "inbox/recording.mov")
    dam.settled()
    assert (dam / "by-type/video/recording.mov").read_bytes() == b"x" * 1000


def test_stopping_while_news_are_told_and_the_kernel_asks(serve: Serve) -> None:
    """Notices wait for programs that wait for handlers: the end comes all the same."""
    dam = serve().start()
    looking = subprocess.Popen(
        ["sh", "-c", f"while ls -lR '{dam.mountpoint}' > /dev/null 2>&1; do :; done"], stderr=subprocess.DEVNULL
    )
    writing = subprocess.Popen(
        ["sh", "-c", f"i=0; while echo $i > '{dam.mountpoint}/inbox/n-'$i.txt; do i=$((i+1)); done"],
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: len(os.listdir(dam / "inbox")) > 30, "files arrive")
        dam.signal(signal.SIGTERM)
        dam.announced.append("interrupted")
        dam.check_end()
        assert "Timeout (" not in dam.log(), "it was stuck, and said where"
    finally:
        for process in (looking, writing):
            process.kill()
            process.wait()


def test_the_foreground_stays_and_logs_to_the_terminal(library: Path, mountpoint: Path) -> None:
    process = subprocess.Popen([*DAMFS, "mount", "-f", library, mountpoint], stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: is_mounted(mountpoint) and connect_and_close(library), "mounted")
        assert "inbox" in os.listdir(mountpoint)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=180)
        assert process.returncode == 0
        assert "stopping" in said
        assert not is_mounted(mountpoint)
    finally:
        process.kill()
        process.wait()
        wreck(library, mountpoint)


def connect_and_close(library: Path) -> bool:
    connection = connect(library)
    if connection is not None:
        connection.close()
    return connection is not None


# --- death and repair -----------------------------------------------------------------------------------------


def test_a_killed_daemon_leaves_the_mount_dead_and_the_next_mount_repairs_it(library: Path, mountpoint: Path) -> None:
    """Dead, not empty: a sync tool would mirror emptiness."""
    with command_mount(library, mountpoint):
        (mountpoint / "inbox/a.txt").write_text("a")
        until(lambda: not msgspec.convert(call(library, GetStatus()), Status).unsettled, "received")
        pid = daemon_of(library)
        os.kill(pid, signal.SIGKILL)
        await_end(pid)
        with pytest.raises(OSError, match="not connected") as caught:
            os.listdir(mountpoint)
        assert caught.value.errno == errno.ENOTCONN
        damfs("mount", library, mountpoint)
        assert (mountpoint / "inbox/a.txt").read_text() == "a"
        assert daemon_of(library) != pid
        damfs("umount", mountpoint)
    assert "stale mount" in log_of(library)
    assert "Traceback" not in log_of(library)


def test_umount_clears_a_dead_mount_away(serve: Serve) -> None:
    dam = serve().start()
    dam.kill()
    damfs("umount", dam.mountpoint)
    assert not is_mounted(dam.mountpoint)


def test_umount_of_a_dead_mount_leaves_the_daemon_elsewhere_alone(serve: Serve, tmp_path: Path) -> None:
    first = serve().start()
    first.kill()
    second = serve(first.library).start()
    damfs("umount", first.mountpoint)
    assert "inbox" in os.listdir(second.mountpoint)
    assert not is_mounted(first.mountpoint)


def test_an_unexpected_error_leaves_the_mount_dead_and_says_so(serve: Serve) -> None:
    dam = serve().start()
    dam.signal(signal.SIGABRT)
    assert dam.process is not None
    assert dam.process.wait(90) != 0
    with pytest.raises(OSError, match="not connected"):
        os.listdir(dam.mountpoint)


def test_nodes_and_inodes_are_the_same_after_a_remount(serve: Serve) -> None:
    dam = serve().start()
    (dam / "by-tag/beach").mkdir()
    (dam / "by-tag/beach/a.txt").write_text("a")
    dam.settled()
    paths = ("by-tag", "by-tag/beach", "by-tag/beach/a.txt", "by-type/other", "originals/library", "README.md")
    before = {path: ((dam / path).stat().st_ino, (dam / path).stat().st_mtime_ns) for path in paths}
    dam.end()
    dam.start()
    assert {path: ((dam / path).stat().st_ino, (dam / path).stat().st_mtime_ns) for path in paths} == before


# --- one daemon for a library, commands beside it -------------------------------------------------------------


def test_a_second_daemon_on_one_library_is_refused(shared: Daemon, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    said = one_line(damfs("mount", shared.library, other, check=False))
    assert f"in use by process {shared.pid}" in said
    assert "damfs umount" in said
    assert not is_mounted(other)
    assert "inbox" in os.listdir(shared.mountpoint), "the first goes on"


@pytest.mark.parametrize("mounted", [False, True])
def test_commands_work_mounted_and_unmounted(serve: Serve, tmp_path: Path, mounted: bool) -> None:
    folder = tmp_path / "Footage"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    dam = serve()
    if mounted:
        dam.start()
    assert "Footage: 1 new" in damfs("add", dam.library, folder).stdout
    where = [dam / "originals/Footage/a.txt"] if mounted else ["--library", dam.library, folder / "a.txt"]
    damfs("tag", *where, "beach", "sea")
    damfs("untag", *where, "sea")
    damfs("tag", "--library", dam.library, folder / "a.txt", "by-its-own-path")
    found = damfs("tags", dam.library).stdout.split()
    assert found == ["1", "beach", "1", "by-its-own-path", "0", "sea"]
    status = damfs("status", dam.library).stdout
    assert ("\nmounted " in status) is mounted


def test_a_client_that_goes_away_ends_nothing(shared: Daemon, tmp_path: Path) -> None:
    folder = tmp_path / "big"
    folder.mkdir()
    for number in range(300):
        (folder / f"{number}.dat").write_bytes(b"%d" % number * 1000)
    for request in (
        encode(Add(str(folder))),
        b"",
        b"nonsense\n",
        b'{"type": "add"',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
    ):
        connection = connect(shared.library)
        assert connection is not None
        connection.sendall(request)
        connection.close()
    found = shared / "originals/big"
    until(lambda: found.exists() and len(os.listdir(found)) == 300, "the scan went on without its client")


# --- what cannot be mounted -----------------------------------------------------------------------------------


def test_mountpoints_that_cannot_be_used(library: Path, tmp_path: Path) -> None:
    missing, file, full, inside = (tmp_path / name for name in ("missing", "file", "full", "library/originals"))
    file.write_text("x")
    (full / "x").mkdir(parents=True)
    for mountpoint, reason in (
        (missing, "does not exist; make it with: mkdir"),
        (file, "is not a directory"),
        (full, "is not empty"),
        (inside, "is inside the library"),
        (library, "is inside the library"),
        (Path("/proc"), "mount of another file system (proc)"),
    ):
        said = one_line(damfs("mount", library, mountpoint, check=False))
        assert reason in said, said
        assert str(mountpoint) in said
    assert damfs("status", library).returncode == 0, "nobody is left who holds the library"


def test_a_mountpoint_that_is_mounted_already(shared: Daemon, tmp_path: Path) -> None:
    other = new_library(tmp_path / "other-library")
    said = one_line(damfs("mount", other, shared.mountpoint, check=False))
    assert "is already mounted" in said
    assert str(shared.library) in said
    assert "inbox" in os.listdir(shared.mountpoint)


def test_umount_of_what_is_no_mount(tmp_path: Path, shared: Daemon) -> None:
    said = one_line(damfs("umount", tmp_path, check=False))
    assert "no damfs is mounted" in said
    assert str(shared.mountpoint) in said


def test_a_library_of_a_newer_schema(library: Path, mountpoint: Path) -> None:
    with closing(sqlite3.connect(library / "state/catalog.sqlite3")) as catalog:
        catalog.execute("PRAGMA user_version = 9000")
    said = one_line(damfs("mount", library, mountpoint, check=False))
    assert "newer damfs" in said
    assert "9000" in said
    assert not is_mounted(mountpoint)


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ('[model]\nnmae = "none"\n', "nmae"),
        ("[indexer]\nworkers = -1\n", "workers"),
        ('[indexer]\nworkers = "two"\n', "workers"),
        ("[nonsense]\n", "nonsense"),
        ("model = [\n", "TOML"),
        ('[library]\ntimezone = "Mars/Olympus"\n', "Mars/Olympus"),
    ],
)
def test_settings_that_cannot_be_used(library: Path, mountpoint: Path, settings: str, reason: str) -> None:
    (library / "damfs.toml").write_text(settings)
    said = one_line(damfs("mount", library, mountpoint, check=False))
    assert reason in said
    assert "damfs.toml" in said
    assert not is_mounted(mountpoint)


@pytest.mark.parametrize("option", ["nonsense", "fsname=x"])
def test_options_that_cannot_be_used(library: Path, mountpoint: Path, option: str) -> None:
    said = one_line(damfs("mount", "-o", option, library, mountpoint, check=False))
    assert "option" in said
    assert not is_mounted(mountpoint)


def test_options_reach_the_kernel(library: Path, mountpoint: Path) -> None:
    with command_mount(library, mountpoint, "-o", "ro,allow_other", "-o", "noatime"):
        mount = next(line for line in Path("/proc/self/mounts").read_text().splitlines() if str(mountpoint) in line)
        options = mount.split()[3].split(",")
        assert {"ro", "allow_other", "noatime", "default_permissions"} <= set(options)
        with pytest.raises(OSError, match="Read-only file system"):
            (mountpoint / "inbox/a.txt").write_text("a")
        damfs("umount", mountpoint)


# --- signals and systemd --------------------------------------------------------------------------------------


def test_hup_reads_the_settings_again_and_leaves_wrong_ones_aside(serve: Serve) -> None:
    dam = serve().start()
    settings = dam.library / "damfs.toml"
    settings.write_text(QUICK + "[nonsense]\n")
    dam.announced.append("settings were not read again: .*nonsense")
    dam.signal(signal.SIGHUP)
    until(lambda: "were not read again" in dam.log(), "the wrong settings are told")
    assert "inbox" in os.listdir(dam.mountpoint)
    settings.write_text(QUICK + "[similar]\ncount = 3\n")
    dam.signal(signal.SIGHUP)
    until(lambda: dam.log().count("received SIGHUP") == 2, "read again")
    assert dam.log().count("were not read again") == 1
    assert "inbox" in os.listdir(dam.mountpoint)


def test_usr1_shows_the_stacks(shared: Daemon) -> None:
    shared.signal(signal.SIGUSR1)
    until(lambda: "task " in shared.log() and "thread MainThread" in shared.log(), "stacks in the log")
    assert "job_runner" in shared.log()


def test_ready_and_stopping_reach_systemd(serve: Serve, tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as notified:
        notified.bind(str(tmp_path / "notify"))
        notified.setblocking(False)
        dam = serve(environment={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}).start()
        heard = hear(notified, b"READY=1")
        assert b"STATUS=" in heard
        assert "inbox" in os.listdir(dam.mountpoint)
        hear(notified, b"WATCHDOG=1")
        dam.signal(signal.SIGHUP)
        hear(notified, b"RELOADING=1")
        hear(notified, b"READY=1")
        dam.end()
        hear(notified, b"STOPPING=1")


def hear(notified: socket.socket, wanted: bytes) -> bytes:
    """Datagrams until one holds what is wanted."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([notified], [], [], 1)[0]:
            heard = notified.recv(4096)
            if wanted in heard:
                return heard
    raise AssertionError(f"{wanted!r} was not heard")


# --- paths ----------------------------------------------------------------------------------------------------

ODD_PATHS = {
    "long": "/".join(["a-rather-long-name-of-a-folder"] * 8),
    "odd": "my films, 2024 \\ back\n two\tlines \u2028 nel\x85 cr\r ff\x0c",
    "quoted": 'Ünïcödé 🏖️ it\'s "quoted" $HOME `x` # %i',
}


@pytest.mark.parametrize("kind", ODD_PATHS)
def test_odd_paths_of_library_and_mountpoint(tmp_path: Path, kind: str) -> None:
    """Also longer than a socket address, which holds 107 bytes."""
    library, mountpoint = tmp_path / ODD_PATHS[kind] / "library", tmp_path / ODD_PATHS[kind] / "dam"
    library.parent.mkdir(parents=True)
    mountpoint.mkdir()
    new_library(library)
    with command_mount(library, mountpoint):
        (mountpoint / "inbox/a.txt").write_text("a")
        damfs("tag", mountpoint / "inbox/a.txt", "beach")
        assert os.listdir(mountpoint / "by-tag/beach") == ["a.txt"]
        assert str(library) in damfs("status", library).stdout
        damfs("umount", mountpoint)
        assert not is_mounted(mountpoint)
    assert "Traceback" not in log_of(library)


def test_links_in_the_paths(tmp_path: Path) -> None:
    """The library, the mountpoint and their parents may be symbolic links."""
    (tmp_path / "disk/dam").mkdir(parents=True)
    new_library(tmp_path / "disk/library")
    (tmp_path / "link").symlink_to("disk")
    (tmp_path / "library-link").symlink_to("link/library")
    (tmp_path / "dam-link").symlink_to("disk/dam")
    library, mountpoint = tmp_path / "library-link", tmp_path / "dam-link"
    with command_mount(library, mountpoint):
        assert is_mounted(tmp_path / "disk/dam")
        (mountpoint / "inbox/a.txt").write_text("a")
        damfs("tag", tmp_path / "link/dam/inbox/a.txt", "beach")
        assert os.listdir(mountpoint / "by-tag/beach") == ["a.txt"]
        assert "mounted" in damfs("status", tmp_path / "link/library").stdout
        assert "in use" in one_line(damfs("mount", tmp_path / "disk/library", tmp_path, check=False))
        damfs("umount", tmp_path / "link/dam")
        assert not is_mounted(tmp_path / "disk/dam")


def test_relative_paths(tmp_path: Path) -> None:
    new_library(tmp_path / "library")
    (tmp_path / "dam").mkdir()
    try:
        subprocess.run([*DAMFS, "mount", "library", "dam"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*DAMFS, "status", "library"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
        subprocess.run([*DAMFS, "umount", "dam"], cwd=tmp_path, check=True)
        assert not is_mounted(tmp_path / "dam")
    finally:
        wreck(tmp_path / "library", tmp_path / "dam")


def test_the_daemon_keeps_no_descriptor_of_its_starter(library: Path, mountpoint: Path) -> None:
    """`damfs mount | cat` ends although the daemon and its workers live on."""
    try:
        piped = subprocess.run(
            ["sh", "-c", 'exec "$@" | cat', "sh", *DAMFS, "mount", library, mountpoint], capture_output=True, text=True,
            timeout=180, check=True,
        )  # fmt: skip
        assert "is mounted on" in piped.stdout
        damfs("umount", mountpoint)
    finally:
        wreck(library, mountpoint)


def test_many_open_files(shared: Daemon) -> None:
    """More than the 1024 that a process may usually have open."""
    (shared / "inbox/a.txt").write_text("a")
    shared.settled()
    opened: list[int] = []
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        for _ in range(1500):
            opened.append(os.open(shared / "inbox/a.txt", os.O_RDONLY))  # noqa: PERF401  # closed below, however many
        assert all(os.pread(fd, 1, 0) == b"a" for fd in opened[::100])
    finally:
        for fd in opened:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (now, most))
