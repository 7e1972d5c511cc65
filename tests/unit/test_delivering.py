"""Files are delivered whole, never over others, also on disks that know no links and no careful renaming."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest

from damfs.errors import Conflict, NotFound, Refused
from damfs.integration import delivering, unfinished
from damfs.storage import placing
from damfs.storage.spots import Spot


def refuse_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", no_link)


def refuse_careful_renames(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_rename(source: Spot, target: Spot) -> None:
        raise OSError(errno.EINVAL, "renameat2 without this flag")

    monkeypatch.setattr(placing, "rename_without_replacing", no_rename)


@pytest.fixture(params=["usual", "FAT", "neither"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "usual":
        refuse_links(monkeypatch)
    if request.param == "neither":
        refuse_careful_renames(monkeypatch)


@pytest.mark.usefixtures("disk")
def test_a_copy_is_whole_or_not_there(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"x" * 100_000)
    delivering.copy(source, target)
    assert target.read_bytes() == source.read_bytes()
    assert stat.S_IMODE(target.stat().st_mode) & 0o600 == 0o600
    target.write_bytes(b"a person's own")
    with pytest.raises(Conflict, match="is there already"):
        delivering.copy(source, target)
    assert target.read_bytes() == b"a person's own"
    assert sorted(os.listdir(tmp_path)) == ["source", "target"]


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def broken_off() -> None:
        with delivering.made_whole(tmp_path / "target") as part:
            part.write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert os.listdir(tmp_path) == []


def test_what_a_killed_command_left_goes_with_the_next(tmp_path: Path) -> None:
    """And nothing else: not what lives, not what is of another machine, not what a person calls so."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    mine = unfinished.machine()
    gone = [f".old.mov.{ended.pid}-{mine}.part", f".more.mov.{ended.pid}-{mine}.part"]
    kept = [
        f".new.mov.1-{mine}.part",
        f".far.mov.{ended.pid}-00000000.part",
        f"old.mov.{ended.pid}-{mine}.part",
        ".x.part",
    ]
    for name in (gone[0], *kept):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / gone[1]).mkdir()
    (tmp_path / gone[1] / "joined.mov").write_bytes(b"half")
    (tmp_path / "source").write_bytes(b"x")
    delivering.copy(tmp_path / "source", tmp_path / "target")
    assert sorted(os.listdir(tmp_path)) == sorted([*kept, "source", "target"])


@pytest.mark.parametrize("ends", [OSError(errno.EIO, "gone"), KeyboardInterrupt()], ids=repr)
def test_a_name_that_was_only_reserved_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: BaseException
) -> None:
    refuse_links(monkeypatch)
    refuse_careful_renames(monkeypatch)
    source = tmp_path / "source"
    source.write_bytes(b"x")

    def breaks_off(*_: object) -> None:
        raise ends

    monkeypatch.setattr(Path, "rename", breaks_off)
    with pytest.raises(type(ends)):
        delivering.copy(source, tmp_path / "target")
    assert os.listdir(tmp_path) == ["source"]


def test_a_place_is_checked_before_the_work(tmp_path: Path) -> None:
    delivering.check_free(tmp_path / "new")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(Conflict):
        delivering.check_free(tmp_path / "link")
    with pytest.raises(NotFound, match="is no folder"):
        delivering.check_free(tmp_path / "nowhere/new")
    with pytest.raises(Refused, match="231 bytes at most"):
        delivering.check_free(tmp_path / ("x" * 232))
    delivering.check_free(tmp_path / ("x" * 231))
    assert len(unfinished.part_of(tmp_path / ("x" * 231)).name) <= 255


def test_a_disk_that_cannot_sync_folders_is_no_reason_to_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def files_only(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "a folder")
        sync(fd)

    monkeypatch.setattr(os, "fsync", files_only)
    (tmp_path / "source").write_bytes(b"x")
    delivering.copy(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"x"
