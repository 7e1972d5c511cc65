"""Folders that are indexed in place, and disks that fail: nothing is touched or lost, news arrive by themselves."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.mount.conftest import serving
from tests.mount.daemon_process import Daemon, damfs, new_library, rows, run, until
from tests.sample_media import h264, jpeg, png

NEWS_LIMIT_S = 90.0


def snapshot(folder: Path) -> dict[str, tuple[object, ...]]:
    """Everything that touching a tree would change: also access times, links and owners."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        content = path.read_bytes() if path.is_file() and not path.is_symlink() else None
        found[str(path)] = (*status[:7], status.st_mtime_ns, status.st_ctime_ns, status.st_atime_ns, content)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disk") / "Photos"
    jpeg(folder / "2024/a.jpg", size=(64, 48))
    png(folder / "b.png", size=(64, 48))
    (folder / "notes.txt").write_text("notes")
    (folder / "2024/.hidden").write_text("x")
    (folder / "loop").symlink_to(".")
    raw = os.fsencode(folder) + b"/caf\xe9\n.txt"
    with open(raw, "wb") as file:
        file.write(b"raw name")
    return folder


@pytest.fixture(scope="module")
def dam(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Iterator[Daemon]:
    with serving(tmp_path_factory.mktemp("read-only")) as serve:
        daemon = serve().start()
        before = snapshot(folder)
        damfs("add", daemon.library, folder)
        daemon.idle()
        after = snapshot(folder)
        assert strip_access(after) == strip_access(before), "adding touches nothing"
        yield daemon


def strip_access(found: dict[str, tuple[object, ...]]) -> dict[str, tuple[object, ...]]:
    """Reading by this test itself moves access times."""
    return {path: values[:9] + values[10:] for path, values in found.items()}


def test_added_files_appear_and_nothing_else(dam: Daemon) -> None:
    assert set(os.listdir(os.fsencode(dam / "originals/Photos"))) == {b"2024", b"b.png", b"notes.txt", b"caf\xe9\n.txt"}
    assert os.listdir(dam / "originals/Photos/2024") == ["a.jpg"]
    with open(os.fsencode(dam / "originals/Photos") + b"/caf\xe9\n.txt", "rb") as file:
        assert file.read() == b"raw name"
    assert "caf\ufffd_.txt" in os.listdir(dam / "by-type/other")


def test_writing_through_the_mount_is_refused(dam: Daemon, folder: Path) -> None:
    before = strip_access(snapshot(folder))
    path = dam / "originals/Photos/b.png"
    for attempt in (
        lambda: os.open(path, os.O_WRONLY),
        lambda: os.truncate(path, 0),
        path.unlink,
        lambda: path.rename(dam / "originals/Photos/c.png"),
        lambda: (dam / "originals/Photos/new.txt").write_text("x"),
        lambda: (dam / "originals/Photos/2024").rmdir(),
    ):
        with pytest.raises(OSError, match="Errno") as caught:
            attempt()
        assert caught.value.errno in (errno.EROFS, errno.EPERM)
    (dam / "by-tag/sea").mkdir(exist_ok=True)
    run("ln", path, dam / "by-tag/sea")
    run("mv", dam / "by-tag/sea/b.png", dam / "by-tag/sea/renamed.png")
    run("rm", dam / "by-tag/sea/renamed.png")
    assert strip_access(snapshot(folder)) == before
    assert path.exists()
    (dam / "untagged/renamed.png").stat()


def test_news_of_the_folder_arrive_by_themselves(dam: Daemon, folder: Path) -> None:
    shown = dam / "originals/Photos"
    (folder / "new").mkdir()
    (folder / "new/n.txt").write_text("n")
    seconds = until(lambda: (shown / "new/n.txt").exists(), "a new file in a new folder", NEWS_LIMIT_S)
    print(f"\na new file is seen after {seconds:.2f} s")
    assert (shown / "new/n.txt").read_text() == "n"
    inode = (shown / "new/n.txt").stat().st_ino

    (folder / "new/n.txt").write_text("changed, and longer")
    until(lambda: (shown / "new/n.txt").read_text() == "changed, and longer", "other bytes", NEWS_LIMIT_S)
    assert (shown / "new/n.txt").stat().st_ino == inode, "a new version of the same asset"
    # where the kernel reads the file itself, its bytes are seen before the daemon has heard of them
    until(lambda: (shown / "new/n.txt").stat().st_size == 19, "its size", NEWS_LIMIT_S)

    (folder / "new/n.txt").rename(folder / "moved.txt")
    until(lambda: (shown / "moved.txt").exists(), "a moved file", NEWS_LIMIT_S)
    assert (shown / "moved.txt").stat().st_ino == inode, "found again by its content"
    until(lambda: not (shown / "new/n.txt").exists(), "its old name is forgotten")
    assert "moved.txt" in os.listdir(dam / "by-type/other")

    (folder / "moved.txt").unlink()
    until(lambda: not (shown / "moved.txt").exists(), "a deleted file", NEWS_LIMIT_S)
    assert "moved.txt" not in os.listdir(dam / "by-type/other")
    assert rows(dam.library, "SELECT state FROM asset WHERE name = 'moved.txt'") == [("missing",)]
    assert (dam / "originals/Photos/notes.txt").read_text() == "notes"


def test_a_recording_arrives_when_it_is_finished(dam: Daemon, folder: Path, tmp_path: Path) -> None:
    """Written in pieces, with pauses longer than the quiet time, by a program that keeps it open."""
    content = h264(tmp_path / "take.mp4", seconds=0.5, size=(64, 48)).read_bytes()
    shown, half = dam / "originals/Photos/take.mp4", content.rindex(b"moov") - 4
    with (folder / "take.mp4").open("wb", buffering=0) as recording:
        recording.write(content[: half // 2])
        jpeg(folder / "witness.jpg", size=(64, 48))
        until(lambda: (dam / "originals/Photos/witness.jpg").exists(), "the watcher has scanned", NEWS_LIMIT_S)
        assert not shown.exists(), "not closed"
        recording.write(content[half // 2 : half])
    (folder / "witness.jpg").rename(folder / "witness-2.jpg")
    until(lambda: (dam / "originals/Photos/witness-2.jpg").exists(), "and again", NEWS_LIMIT_S)
    assert not shown.exists(), "closed, but without its index"
    with (folder / "take.mp4").open("ab", buffering=0) as recording:
        recording.write(content[half:])
    until(shown.exists, "closed, quiet and whole", NEWS_LIMIT_S)
    assert shown.read_bytes() == content
    (folder / "take.mp4").unlink()
    (folder / "witness-2.jpg").unlink()
    until(lambda: not shown.exists(), "gone", NEWS_LIMIT_S)
    assert [failure for failure in dam.idle().failures if failure.name == "take.mp4"] == []


def test_a_folder_that_vanishes_is_offline_and_comes_back(dam: Daemon, folder: Path) -> None:
    """Its assets stay listed: a volume that is not connected is not a volume that was emptied."""
    (dam / "inbox/other.txt").write_text("other")
    dam.settled()
    away = folder.with_name("away")
    before = inodes(dam / "by-type/image")
    folder.rename(away)
    try:
        until(lambda: not photos(dam), "the store is offline", NEWS_LIMIT_S)
        assert {
            name: (dam / "by-type/image" / name).stat().st_ino for name in os.listdir(dam / "by-type/image")
        } == before
        drop_page_cache(dam / "originals/Photos/notes.txt")
        with pytest.raises(OSError, match="Errno") as caught:
            (dam / "originals/Photos/notes.txt").read_text()
        assert caught.value.errno == errno.EIO
        assert (dam / "inbox/other.txt").read_text() == "other"
        assert "OFFLINE" in damfs("status", dam.library).stdout
    finally:
        away.rename(folder)
    until(lambda: photos(dam), "the store is online again", NEWS_LIMIT_S)
    assert (dam / "originals/Photos/notes.txt").read_text() == "notes"
    (folder / "after.txt").write_text("after")
    until(lambda: (dam / "originals/Photos/after.txt").exists(), "and is watched again", NEWS_LIMIT_S)


def inodes(place: Path) -> dict[str, int]:
    return {entry.name: entry.inode() for entry in os.scandir(place)}


def photos(dam: Daemon) -> bool:
    return next(store.online for store in dam.status().stores if store.name == "Photos")


def drop_page_cache(path: Path) -> None:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def test_files_that_cannot_be_read_are_left_out_and_told(dam: Daemon, folder: Path) -> None:
    """Root reads everything, so this looks at what is no file: a pipe, a link, a socket."""
    os.mkfifo(folder / "pipe")
    done = damfs("scan", dam.library, "Photos")
    assert "pipe" in done.stderr
    assert "loop" in done.stderr
    assert "pipe" not in os.listdir(dam / "originals/Photos")
    (folder / "pipe").unlink()


def test_folders_that_cannot_be_added(dam: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "file.mov"
    file.write_text("x")
    for folder, reason in (
        (tmp_path / "missing", "no such folder"),
        (file, "is not a folder"),
        (dam.library / "originals", "part of the library itself"),
        (dam / "inbox", "is a damfs mount"),
    ):
        done = damfs("add", dam.library, folder, check=False)
        assert done.returncode == 1
        assert reason in done.stderr
        assert len(done.stderr.splitlines()) == 1


# --- a full disk ----------------------------------------------------------------------------------------------


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[Path]:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "damfs-test", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=True)


def test_a_full_disk_while_copying(tmp_path: Path) -> None:
    """cp gets the error, nothing is half an asset, and with space again everything goes on."""
    big = tmp_path / "big.bin"
    big.write_bytes(os.urandom(30 << 20))
    with small_disk(tmp_path / "disk", 24) as disk, serving(tmp_path) as serve:
        dam = serve(new_library(disk / "library")).start()
        (dam / "inbox/before.txt").write_text("before")
        dam.settled()
        refusal = run("cp", big, dam / "inbox", check=False)
        assert refusal.returncode == 1
        assert "No space left on device" in refusal.stderr
        dam.settled()
        assert os.listdir(dam / "inbox") == ["before.txt"], dam.log()
        assert os.listdir(dam.library / "state/staging") == []
        run("cp", "-r", dam / "inbox/before.txt", dam / "inbox/after.txt")
        dam.settled()
        assert (dam / "inbox/after.txt").read_text() == "before"


def test_a_disk_without_a_byte_left(tmp_path: Path) -> None:
    """Not even the catalog can be written: every change is refused, reading goes on; then all is well again."""
    with small_disk(tmp_path / "disk", 16) as disk, serving(tmp_path) as serve:
        dam = serve(new_library(disk / "library")).start()
        dam.announced += ["will be tried again", "no space left", "could not be saved"]
        (dam / "inbox/before.txt").write_text("before")
        dam.settled()
        ballast = fill(disk / "ballast")
        failed = 0
        for number in range(40):
            failed += run("sh", "-c", f"head -c 9000 /dev/urandom > '{dam.mountpoint}/inbox/full-{number}.bin'",
                          check=False).returncode != 0  # fmt: skip
        assert failed > 30
        assert (dam / "inbox/before.txt").read_text() == "before"
        assert run("mkdir", dam / "by-tag/later", check=False).returncode in (0, 1)
        ballast.unlink()
        run("sh", "-c", f"head -c 9000 /dev/urandom > '{dam.mountpoint}/inbox/later.bin'")
        dam.settled()
        assert (dam / "inbox/later.bin").stat().st_size == 9000
        for path in (dam / "inbox").iterdir():
            assert path.name in {"before.txt", "later.bin"} or path.stat().st_size == 9000, "nothing is half an asset"


def fill(path: Path) -> Path:
    """A file that takes every block that is left."""
    for size in (1 << 20, 4096):
        refusal = run("dd", "if=/dev/zero", f"of={path}", f"bs={size}", "oflag=append", "conv=notrunc", check=False)
        assert "No space left" in refusal.stderr
    return path
