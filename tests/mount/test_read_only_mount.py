"""`damfs mount -o ro`: the kernel refuses every change with EROFS; looking works; the library is indexed as ever."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.mount.conftest import serving
from tests.mount.daemon_process import Daemon, damfs, dump, new_library, run, until
from tests.mount.test_live import helpers, watching
from tests.sample_media import png

NOW = (1_000_000_000, 1_000_000_000)


@pytest.fixture(scope="module")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A library with a tagged file, mounted read-only."""
    directory = tmp_path_factory.mktemp("read-only")
    with serving(directory) as make:
        before = make(new_library(directory / "library")).start()
        (before / "by-tag/beach").mkdir()
        (before / "by-tag/empty").mkdir()
        (before / "by-tag/beach/a.txt").write_text("a")
        (before / "inbox/b.txt").write_text("b")
        before.settled()
        before.end()
        yield make(before.library, options=["ro"]).start()


CHANGES: dict[str, Callable[[Path], object]] = {
    "create": lambda dam: (dam / "inbox/new.txt").open("x"),
    "create in a term": lambda dam: (dam / "by-tag/beach/new.txt").open("x"),
    "overwrite": lambda dam: (dam / "inbox/b.txt").open("w"),
    "append": lambda dam: (dam / "inbox/b.txt").open("a"),
    "read and write": lambda dam: (dam / "inbox/b.txt").open("r+"),
    "truncate": lambda dam: os.truncate(dam / "inbox/b.txt", 0),
    "mkdir": lambda dam: (dam / "by-tag/new").mkdir(),
    "rmdir": lambda dam: (dam / "by-tag/empty").rmdir(),
    "unlink": lambda dam: (dam / "by-tag/beach/a.txt").unlink(),
    "trash": lambda dam: (dam / "inbox/b.txt").unlink(),
    "rename": lambda dam: (dam / "inbox/b.txt").rename(dam / "inbox/c.txt"),
    "retag": lambda dam: (dam / "by-tag/beach/a.txt").rename(dam / "by-tag/empty/a.txt"),
    "rename a term": lambda dam: (dam / "by-tag/empty").rename(dam / "by-tag/other"),
    "link": lambda dam: (dam / "by-tag/empty/a.txt").hardlink_to(dam / "by-tag/beach/a.txt"),
    "symlink": lambda dam: (dam / "inbox/link").symlink_to("b.txt"),
    "mknod": lambda dam: os.mkfifo(dam / "inbox/pipe"),
    "chmod": lambda dam: (dam / "inbox/b.txt").chmod(0o600),
    "chown": lambda dam: os.chown(dam / "inbox/b.txt", 1, 1),
    "utimens": lambda dam: os.utime(dam / "inbox/b.txt", ns=NOW),
    "setxattr": lambda dam: os.setxattr(dam / "inbox/b.txt", "user.xdg.tags", b"x"),
    "removexattr": lambda dam: os.removexattr(dam / "inbox/b.txt", "user.xdg.tags"),
    "a desktop's dropping": lambda dam: (dam / "inbox/.DS_Store").open("x"),
    "originals": lambda dam: (dam / "originals/library/new.txt").open("x"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_can_be_changed_and_nothing_is(read_only: Daemon, change: str) -> None:
    read_only.idle()
    before = dump(read_only.library)
    with pytest.raises(OSError, match=f"Errno {errno.EROFS}") as error:
        CHANGES[change](read_only.mountpoint)
    assert error.value.errno == errno.EROFS
    assert dump(read_only.library) == before


def test_everything_can_be_looked_at(read_only: Daemon) -> None:
    assert (read_only / "by-tag/beach/a.txt").read_text() == "a"
    assert run("find", read_only.mountpoint, "-type", "f").stdout.count("b.txt") >= 3
    assert not os.access(read_only / "inbox", os.W_OK)
    assert "inbox" in run("cat", read_only / ".damfs/status", read_only / "README.md").stdout


def test_the_library_goes_on(read_only: Daemon, tmp_path: Path) -> None:
    """Only the mount is read-only: what is added by command is indexed, tagged and shown."""
    png(tmp_path / "Footage/still.png", size=(64, 48))
    damfs("add", read_only.library, tmp_path / "Footage")
    damfs("tag", read_only / "originals/Footage/still.png", "added")
    until(lambda: os.listdir(read_only / "by-tag/added") == ["still.png"], "shown")
    status = read_only.idle()
    assert {job.processor: job.done for job in status.jobs}["preview"] >= 1
    assert "still.png" in os.listdir(read_only / "by-type/image")


def test_folders_are_not_live_and_nothing_complains(read_only: Daemon, tmp_path: Path) -> None:
    """The kernel lets nobody re-enact a change. That is found out once, and then left alone; the end checks the log."""
    with watching(tmp_path / "said.txt", read_only / "by-tag/empty") as watcher:
        damfs("tag", read_only / "inbox/b.txt", "empty")
        until(lambda: os.listdir(read_only / "by-tag/empty") == ["b.txt"], "shown")
        until(lambda: "folders are not live: the mount is read-only" in read_only.log(), "found out")
        damfs("untag", read_only / "inbox/b.txt", "empty")
        until(lambda: os.listdir(read_only / "by-tag/empty") == [], "not shown any more")
        assert not any("b.txt" in line for line in watcher.lines())
    assert read_only.log().count("folders are not live") == 1
    until(lambda: helpers(read_only) == [], "the helper has ended")
    assert "damfs_live_reenactments_total" not in read_only.stats()
    assert read_only.complaints() == []


def test_ro_among_other_options(tmp_path: Path) -> None:
    """The example of the help: options after the paths."""
    library, mountpoint = new_library(tmp_path / "library"), tmp_path / "dam"
    mountpoint.mkdir()
    try:
        damfs("mount", library, mountpoint, "-o", "ro,noexec", "-o", "noatime")
        with pytest.raises(OSError, match="Read-only"):
            (mountpoint / "inbox/x").write_text("x")
    finally:
        damfs("umount", mountpoint)
