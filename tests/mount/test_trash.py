"""The trash through a real mount: what `rm` and a file manager's Delete do, what brings back, and undo."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.mount.conftest import serving
from tests.mount.daemon_process import Daemon, damfs, rows, run, until

UID = os.getuid()
NUMBERS = itertools.count(1)
STORED = "SELECT c.name FROM copy AS c JOIN asset AS a ON a.id = c.asset WHERE a.name = ?"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with serving(tmp_path_factory.mktemp("trash")) as make:
        yield make().start()


@pytest.fixture
def clip(shared: Daemon, tmp_path: Path) -> Path:
    """A new name and new bytes in by-tag/beach/, sealed."""
    name = f"clip-{next(NUMBERS)}.txt"
    (shared / "by-tag/beach").mkdir(exist_ok=True)
    (tmp_path / name).write_text(f"the words of {name}")
    run("cp", tmp_path / name, shared / "by-tag/beach")
    shared.settled()
    return shared / "by-tag/beach" / name


def state_of(dam: Daemon, name: str) -> list[object]:
    return [state for (state,) in rows(dam.library, "SELECT state FROM asset WHERE name = ?", name)]


def soon(condition: Callable[[], bool]) -> None:
    """Of places other than where it was done, the kernel is told a moment later."""
    until(condition, "the mount shows it")


def disk_files(dam: Daemon, name: str) -> list[str]:
    """Where files whose name ends so lie in the store, below its root."""
    root = dam.library / "originals"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and name in path.name)


def trash_it(dam: Daemon, path: Path, name: str | None = None) -> Path:
    """What a file manager's Delete does (GLib 2.74, see test_gio_trash): a note, then the rename."""
    trash = dam / f".Trash-{UID}"
    name = name or path.name
    note = trash / "info" / f"{name}.trashinfo"
    os.close(os.open(note, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    temporary = note.with_name(note.name + ".A1B2C3")
    temporary.write_text(f"[Trash Info]\nPath={path.relative_to(dam.mountpoint)}\nDeletionDate=2026-11-22T10:11:12\n")
    temporary.rename(note)
    path.rename(trash / "files" / name)
    return trash / "files" / name


def test_rm_in_the_inbox_frees_the_name_and_keeps_the_bytes(shared: Daemon, tmp_path: Path) -> None:
    (tmp_path / "free.txt").write_text("first")
    run("cp", tmp_path / "free.txt", shared / "inbox")
    shared.settled()
    (before,) = disk_files(shared, "free.txt")
    run("rm", shared / "inbox/free.txt")
    (aside,) = disk_files(shared, "free.txt")
    assert aside.startswith(".damfs-trash/"), "moved out of the way at once"
    assert (shared / "trash/free.txt").read_text() == "first"
    assert (shared / "trash/free.txt").stat().st_size == 5
    (tmp_path / "free.txt").write_text("second")
    run("cp", tmp_path / "free.txt", shared / "inbox")
    shared.settled()
    assert before in disk_files(shared, "free.txt"), "the key is free for the next one"
    assert (shared / "trash/free.txt").read_text() == "first"
    shared.scan("library")
    assert sorted(os.listdir(shared / "originals/library")) == sorted(
        name for name in os.listdir(shared.library / "originals") if not name.startswith(".")
    ), "the folder of the trash is listed nowhere"


def test_the_trash_lists_and_nothing_empties_it(shared: Daemon, clip: Path) -> None:
    inode = clip.stat().st_ino
    trash_it(shared, clip)
    there = shared / "trash" / clip.name
    soon(lambda: clip.name in os.listdir(shared / "trash"))
    assert there.stat().st_ino == inode, "the same asset, the same inode"
    assert there.read_text() == f"the words of {clip.name}"
    for words in (("rm", there), ("mv", there, shared / "trash/other.txt"), ("cp", there, shared / "trash/new.txt")):
        refused = run(*words, check=False)
        assert "Operation not permitted" in refused.stderr, refused.stderr
    assert there.exists()


@pytest.mark.parametrize("target", ["inbox", "by-tag/sea"])
def test_moving_out_of_the_trash_restores_and_enters(shared: Daemon, clip: Path, target: str) -> None:
    (shared / "by-tag/sea").mkdir(exist_ok=True)
    (before,) = disk_files(shared, clip.name)
    trash_it(shared, clip)
    run("mv", shared / "trash" / clip.name, shared / target)
    assert (shared / target / clip.name).read_text() == f"the words of {clip.name}"
    soon(clip.exists)  # its tag came back with it
    assert disk_files(shared, clip.name) == [before]
    assert not (shared / "trash" / clip.name).exists()
    soon(lambda: clip.name not in os.listdir(shared / f".Trash-{UID}/files"))
    soon(lambda: f"{clip.name}.trashinfo" not in os.listdir(shared / f".Trash-{UID}/info"))


def test_moving_out_into_a_folder_of_originals(shared: Daemon, clip: Path) -> None:
    (key,) = disk_files(shared, clip.name)
    folder = shared / "originals/library" / Path(key).parent
    trash_it(shared, clip)
    other = folder.with_name("elsewhere")
    (shared.library / "originals" / other.relative_to(shared / "originals/library")).mkdir()
    run("mv", shared / "trash" / clip.name, folder / "another name.txt")
    assert (folder / "another name.txt").read_text() == f"the words of {clip.name}"
    assert disk_files(shared, "another name.txt") == [str(Path(key).parent / "another name.txt")]
    assert (clip.parent / "another name.txt").exists()


@pytest.mark.parametrize("trash", ["trash", f".Trash-{UID}/files"])
@pytest.mark.parametrize("target", ["inbox", "by-tag/sea", "originals/library/back"])
def test_moving_out_of_the_trash_over_a_file(shared: Daemon, target: str, trash: str) -> None:
    """As a file manager restores to where another file lies by now, when it is told to replace that one."""
    name = f"{target}-{trash}.txt".replace("/", "-")
    there, trashed = shared / target / name, shared / trash / name
    for directory in ("by-tag/sea", "originals/library/back"):
        (shared / directory).mkdir(exist_ok=True)
    there.write_text("what was trashed")
    shared.settled()
    there.rename(trashed)
    there.write_text("what was saved since")
    shared.settled()
    inode = there.stat().st_ino
    with there.open("r+b", buffering=0) as writer:
        writer.write(b"W")
        with pytest.raises(FileExistsError):
            trashed.rename(there)
        assert trashed.exists(), "it stays in the trash"
    shared.settled()
    trashed.rename(there)
    shared.settled()
    assert (there.read_text(), there.stat().st_ino) == ("what was trashed", inode)
    soon(lambda: not trashed.exists())
    found = shared / "versions" / name
    assert [(found / each).read_text() for each in sorted(os.listdir(found))] == [
        "what was saved since", "What was saved since", "what was trashed",
    ]  # fmt: skip
    assert len(disk_files(shared, f"{name.removesuffix('.txt')}.txt")) == 1


def test_what_cannot_be_entered_keeps_it_in_the_trash(shared: Daemon, clip: Path) -> None:
    trash_it(shared, clip)
    for target in ("by-date", "by-type/other", "untagged", "proxies/library", "similar-to"):
        done = run("mv", "-n", shared / "trash" / clip.name, shared / target / "x.txt", check=False)
        assert "Operation not permitted" in done.stderr, (target, done.stderr)
    assert state_of(shared, clip.name) == ["trashed"]


def test_moving_into_the_trash_trashes_with_all_tags(shared: Daemon, clip: Path) -> None:
    run("mv", clip, shared / "trash")
    assert state_of(shared, clip.name) == ["trashed"]
    damfs("restore", shared / "trash" / clip.name)
    soon(clip.exists)
    assert clip.read_text() == f"the words of {clip.name}"
    assert "trash" in run("ln", clip, shared / "trash", check=False).stderr


def test_a_name_that_was_taken_meanwhile(shared: Daemon, tmp_path: Path) -> None:
    for content in ("one", "two"):
        (tmp_path / "twice.txt").write_text(content)
        run("touch", "-d", "2024-07-15 12:00", tmp_path / "twice.txt")
        run("cp", "-p", tmp_path / "twice.txt", shared / "inbox")
        shared.settled()
        run("rm", shared / "inbox/twice.txt")
    for each in sorted(os.listdir(shared / "trash")):
        if each.startswith("twice"):
            damfs("restore", shared / "trash" / each)
    files = disk_files(shared, "twice")
    assert files == ["2024/07/15/twice.txt", "2024/07/15/twice~2.txt"]
    assert {(shared / "originals/library" / each).read_text() for each in files} == {"one", "two"}


def test_the_command_line(shared: Daemon, clip: Path) -> None:
    by_type = shared / "by-type/other" / clip.name
    damfs("trash", by_type)
    listed = json.loads(damfs("trash", "--list", shared.mountpoint, "--json").stdout)
    (entry,) = [each for each in listed if each["name"] == clip.name]
    assert entry["until_ns"] - entry["trashed_ns"] == 30 * 86_400_000_000_000
    assert clip.name in damfs("trash", "--list", shared.library).stdout
    refused = damfs("restore", "--library", shared.library, "absent.txt", check=False)
    assert refused.returncode == 1
    assert 'no "absent.txt" in the trash' in refused.stderr
    damfs("restore", "--library", shared.library, clip.name)
    soon(clip.exists)
    run("mv", clip, shared / "trash")
    (entry,) = [
        each
        for each in json.loads(damfs("trash", "--list", shared.library, "--json").stdout)
        if each["name"] == clip.name
    ]
    assert entry["from"] == f"by-tag/beach/{clip.name}"
    twice = damfs("trash", shared / "trash" / clip.name, check=False)
    assert "is trashed and cannot be trashed" in twice.stderr


# --- file managers --------------------------------------------------------------------------------------------


def test_only_ones_own_trash_is_there(shared: Daemon) -> None:
    trash = shared / f".Trash-{UID}"
    assert sorted(os.listdir(trash)) == ["files", "info"]
    assert trash.name not in os.listdir(shared.mountpoint)
    for path in (trash, trash / "files", trash / "info"):
        status = path.stat()
        assert (status.st_mode & 0o777, status.st_uid) == (0o700, UID), "what KIO asks for"
        with pytest.raises(FileExistsError):
            path.mkdir()
    for name in (".Trash", f".Trash-{UID + 1}", ".Trashes", f".Trash-0{UID}"):
        assert not (shared / name).exists()
    assert not (shared / "inbox" / trash.name).exists()
    for path in (trash / "directorysizes", trash / "files/x.txt"):
        with pytest.raises(PermissionError):
            path.write_text("x")
    with pytest.raises(PermissionError):
        (trash / "files/folder").mkdir()


@pytest.mark.parametrize("view", ["by-tag/beach", "by-type/other", "by-date", "similar-to", "originals"])
def test_delete_in_any_view_trashes_the_asset(shared: Daemon, clip: Path, view: str) -> None:
    if view == "by-date":
        (path,) = (shared / view).rglob(clip.name)
    elif view == "originals":
        path = shared / "originals/library" / disk_files(shared, clip.name)[0]
    else:
        path = shared / view / clip.name
    if view == "similar-to":
        assert path.is_dir(), "a directory stands for the asset there"
        with pytest.raises(PermissionError):
            trash_it(shared, path)
        return
    gone = trash_it(shared, path)
    assert gone.read_text() == f"the words of {clip.name}"
    assert state_of(shared, clip.name) == ["trashed"]
    assert not path.exists()
    soon(lambda: not clip.exists())
    note = shared / f".Trash-{UID}/info" / f"{clip.name}.trashinfo"
    assert f"Path={path.relative_to(shared.mountpoint)}\n" in note.read_text()
    assert os.listdir(note.parent) == [note.name] or len(os.listdir(note.parent)) > 1
    (from_where,) = rows(shared.library, "SELECT place FROM trashed JOIN asset ON id = asset WHERE name = ?", clip.name)
    assert from_where == (str(path.relative_to(shared.mountpoint)),)


@pytest.mark.parametrize("view", ["by-date", "by-type/other", "trash"])
def test_who_has_no_special_rights_may_move_what_is_his(shared: Daemon, clip: Path, view: str) -> None:
    """The kernel checks the modes of directories for everybody who is not above them, as root mostly is."""
    if view == "trash":
        clip.rename(shared / "trash" / clip.name)
    (path,) = (shared / view).rglob(clip.name)
    plain = ("setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-dac_override")
    above = run(*plain, "touch", shared / "proxies/new.txt", check=False)
    assert "Permission denied" in above.stderr, "he really is not above the modes"
    for words in (("touch", path.parent / "new.txt"), ("mkdir", path.parent / "new")):
        refused = run(*plain, *words, check=False)
        assert "Operation not permitted" in refused.stderr, refused.stderr
    (shared / "by-tag/plain").mkdir(exist_ok=True)
    run(*plain, "mv", path, shared / "by-tag/plain")
    run(*plain, "mv", shared / "by-tag/plain" / clip.name, shared / f".Trash-{UID}/files" / clip.name)
    assert state_of(shared, clip.name) == ["trashed"]


def test_restoring_in_a_file_manager(shared: Daemon, clip: Path) -> None:
    gone = trash_it(shared, clip, "clip.2.txt")
    soon(lambda: gone.name in os.listdir(gone.parent))
    gone.rename(clip)
    (gone.parent.parent / "info/clip.2.txt.trashinfo").unlink()
    assert clip.read_text() == f"the words of {clip.name}"
    assert state_of(shared, clip.name) == ["present"], "it kept its name"
    soon(lambda: gone.name not in os.listdir(gone.parent))
    assert not (gone.parent.parent / "info/clip.2.txt.trashinfo").exists()


def test_restoring_to_where_it_lay_in_originals(shared: Daemon, clip: Path) -> None:
    (key,) = disk_files(shared, clip.name)
    path = shared / "originals/library" / key
    gone = trash_it(shared, path)
    gone.rename(path)
    assert path.read_text() == f"the words of {clip.name}"
    assert disk_files(shared, clip.name) == [key]


def test_emptying_the_trash_of_a_file_manager_hides_and_keeps(shared: Daemon, clip: Path) -> None:
    gone = trash_it(shared, clip)
    gone.unlink()
    (gone.parent.parent / f"info/{clip.name}.trashinfo").unlink()
    assert not gone.exists()
    soon(lambda: clip.name not in os.listdir(gone.parent))
    assert (shared / "trash" / clip.name).read_text() == f"the words of {clip.name}"
    assert state_of(shared, clip.name) == ["trashed"]


def test_emptying_as_gnome_does_it(shared: Daemon, clip: Path) -> None:
    """GVfs 1.50 makes expunged/, moves the file there, removes its note, and then what it finds in expunged/."""
    gone = trash_it(shared, clip)
    expunged = gone.parent.parent / "expunged"
    with pytest.raises(FileExistsError):
        expunged.mkdir()
    gone.rename(expunged / "1234567")
    (gone.parent.parent / f"info/{clip.name}.trashinfo").unlink()
    assert os.listdir(expunged) == []
    soon(lambda: not (expunged / "1234567").exists())
    soon(lambda: clip.name not in os.listdir(gone.parent))
    assert (shared / "trash" / clip.name).read_text() == f"the words of {clip.name}"
    assert state_of(shared, clip.name) == ["trashed"]


def test_nothing_else_goes_where_gnome_empties_to(shared: Daemon, clip: Path) -> None:
    expunged = shared / f".Trash-{UID}/expunged"
    with pytest.raises(PermissionError):
        clip.rename(expunged / "1")
    with pytest.raises(PermissionError):
        (expunged / "1").write_text("x")
    assert state_of(shared, clip.name) == ["present"]


def test_delete_of_a_tag_is_refused_as_a_whole(shared: Daemon, clip: Path) -> None:
    """A file manager then offers to delete for good, and that untags, as one group of undo."""
    with pytest.raises(PermissionError):
        clip.parent.rename(shared / f".Trash-{UID}/files/beach")
    assert clip.exists()


def test_notes_are_files(shared: Daemon) -> None:
    info = shared / f".Trash-{UID}/info"
    note = info / "x.txt.trashinfo"
    note.write_text("one")
    with pytest.raises(FileExistsError):
        os.open(note, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    with note.open("a") as file:
        file.write(" two")
    assert note.read_text() == "one two"
    os.truncate(note, 3)
    assert note.stat().st_size == 3
    assert note.read_text() == "one"
    note.write_text("zero")
    assert note.read_text() == "zero"
    os.utime(note)
    note.chmod(0o600)
    with pytest.raises(OSError, match="No space left"):
        note.write_bytes(bytes(70_000))
    with pytest.raises(PermissionError):
        note.rename(shared / "inbox/x.txt")
    note.rename(info / "y.txt.trashinfo")
    assert os.listdir(info).count("y.txt.trashinfo") == 1
    (info / "y.txt.trashinfo").unlink()
    assert not (info / "y.txt.trashinfo").exists()


@pytest.mark.skipif(shutil.which("gio") is None, reason="needs gio")
def test_gio_trash(shared: Daemon, clip: Path, tmp_path: Path) -> None:
    home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    run("env", *(f"{name}={value}" for name, value in home.items()), "gio", "trash", clip)
    assert state_of(shared, clip.name) == ["trashed"]
    files, info = shared / f".Trash-{UID}/files", shared / f".Trash-{UID}/info"
    assert (files / clip.name).read_text() == f"the words of {clip.name}"
    text = (info / f"{clip.name}.trashinfo").read_text()
    assert f"Path=by-tag/beach/{clip.name}\n" in text
    assert "DeletionDate=" in text
    assert not (tmp_path / "data/Trash").exists() or not os.listdir(tmp_path / "data/Trash/files")


def test_another_user_has_a_trash_of_his_own(serve: Callable[..., Daemon], tmp_path: Path) -> None:
    if UID:
        pytest.fail("needs root, as the machine of the tests has it")
    dam = serve(options=("allow_other",)).start()
    (tmp_path / "x.txt").write_text("x")
    run("cp", tmp_path / "x.txt", dam / "inbox")
    dam.settled()

    def other(*words: str) -> subprocess.CompletedProcess[str]:
        """As user 1000, in the mount itself: what lies above it may not be his to pass."""
        return subprocess.run(words, cwd=dam.mountpoint, user=1000, capture_output=True, text=True, check=False)

    assert not (dam / ".Trash-1000").exists(), "and the kernel does not remember that"
    assert other("stat", "-c", "%u %a", ".Trash-1000", ".Trash-1000/files").stdout == "1000 700\n1000 700\n"
    written = other("sh", "-c", "echo text > .Trash-1000/info/x.trashinfo && cat .Trash-1000/info/x.trashinfo")
    assert written.stdout == "text\n", written.stderr
    assert other("stat", "-c", "%u", ".Trash-1000/info/x.trashinfo").stdout == "1000\n"
    assert other("ls", f".Trash-{UID}").returncode != 0
    refused = other("mv", "inbox/x.txt", ".Trash-1000/files/x.txt")
    assert "Permission denied" in refused.stderr, "the inbox is not his"
    assert state_of(dam, "x.txt") == ["present"]


# --- a restart, retention -------------------------------------------------------------------------------------


def test_after_a_restart_it_is_all_there(serve: Callable[..., Daemon], tmp_path: Path) -> None:
    dam = serve().start()
    (tmp_path / "kept.txt").write_text("kept")
    (dam / "by-tag/beach").mkdir()
    run("cp", tmp_path / "kept.txt", dam / "by-tag/beach")
    dam.settled()
    trash_it(dam, dam / "by-tag/beach/kept.txt")
    dam.end()
    dam.start()
    dam.settled()
    assert state_of(dam, "kept.txt") == ["trashed"]
    gone = dam / f".Trash-{UID}/files/kept.txt"
    assert gone.read_text() == "kept"
    assert "Path=by-tag/beach/kept.txt" in (dam / f".Trash-{UID}/info/kept.txt.trashinfo").read_text()
    gone.rename(dam / "by-tag/beach/kept.txt")
    assert (dam / "by-tag/beach/kept.txt").read_text() == "kept"


def test_retention_ends_and_only_then_bytes_go(serve: Callable[..., Daemon], tmp_path: Path) -> None:
    dam = serve(settings='[model]\nname = "none"\n\n[trash]\ndays = 2\n').start()
    for name in ("old.txt", "young.txt"):
        (tmp_path / name).write_text(name)
        run("cp", tmp_path / name, dam / "inbox")
    dam.settled()
    run("rm", dam / "inbox/old.txt", dam / "inbox/young.txt")
    dam.end()
    with closing(sqlite3.connect(dam.library / "state/catalog.sqlite3")) as connection, connection:
        three_days_ago = time.time_ns() - 3 * 86_400_000_000_000
        old = "UPDATE trashed SET at_ns = ? WHERE asset = (SELECT id FROM asset WHERE name = 'old.txt')"
        connection.execute(old, (three_days_ago,))
    assert len(disk_files(dam, ".txt")) == 2
    dam.start()
    until(lambda: len(disk_files(dam, ".txt")) == 1, "the file of what expired is gone")
    until(lambda: not (dam / "trash/old.txt").exists(), "it is not listed any more")
    assert (dam / "trash/young.txt").read_text() == "young.txt"
    assert state_of(dam, "old.txt") == []


# --- undo -----------------------------------------------------------------------------------------------------


def undo(dam: Daemon) -> str:
    return damfs("undo", dam.mountpoint).stdout


def test_rm_r_of_a_tag_with_200_assets_is_undone_as_one(dam: Daemon, tmp_path: Path) -> None:
    beach = dam / "by-tag/beach"
    (beach / "sunset").mkdir(parents=True)
    for number in range(200):
        (tmp_path / f"{number}.txt").write_text(f"{number}")
        shutil.copyfile(tmp_path / f"{number}.txt", (beach / "sunset" if number % 2 else beach) / f"{number}.txt")
    dam.settled(120)
    before = sorted(os.listdir(beach))
    assert len(before) == 201
    refused = run("rmdir", beach, check=False)
    assert "Directory not empty" in refused.stderr
    run("rm", "-r", beach)
    assert not beach.exists()
    listed = json.loads(damfs("undo", dam.library, "--list", "--json").stdout)
    assert listed[0]["what"] == "200 tags taken away, 2 terms removed (beach)"
    assert undo(dam).startswith("undone: 200 tags taken away, 2 terms removed (beach), of 20")
    soon(lambda: sorted(os.listdir(beach)) == before)
    soon(lambda: len(os.listdir(beach / "sunset")) == 100)
    soon(lambda: os.listdir(dam / "untagged") == [])


def test_what_was_trashed_renamed_triaged_and_moved_is_undone(dam: Daemon, tmp_path: Path) -> None:
    for place in ("by-tag/beach", "by-tag/sea"):
        (dam / place).mkdir()
    (tmp_path / "x.txt").write_text("x")
    run("cp", tmp_path / "x.txt", dam / "inbox")
    dam.settled()
    inbox, beach, sea = dam / "inbox/x.txt", dam / "by-tag/beach/x.txt", dam / "by-tag/sea/x.txt"
    run("mv", inbox, beach)
    run("mv", beach, sea)
    run("mv", sea, dam / "by-tag/sea/y.txt")
    run("mv", dam / "by-tag/sea", dam / "by-tag/ocean")
    run("mv", dam / "by-tag/ocean/y.txt", dam / "trash")
    assert "1 asset trashed" in undo(dam)
    soon((dam / "by-tag/ocean/y.txt").exists)
    assert (dam / "by-tag/ocean/y.txt").read_text() == "x"
    assert (dam / "originals/library" / disk_files(dam, "x.txt")[0]).read_text() == "x"
    assert "1 term renamed or moved" in undo(dam)
    soon((dam / "by-tag/sea/y.txt").exists)
    assert "1 asset renamed" in undo(dam)
    soon(sea.exists)
    assert "1 tag taken away, 1 tag given" in undo(dam)
    soon(beach.exists)
    soon(lambda: not sea.exists())
    assert "1 asset triaged, 1 tag given" in undo(dam) or inbox.exists()
    soon(inbox.exists)
    soon(lambda: not beach.exists())
    assert "2 terms made" in undo(dam)
    soon(lambda: os.listdir(dam / "by-tag") == [])
    nothing = damfs("undo", dam.library, check=False)
    assert nothing.returncode == 1
    assert "there is nothing to undo" in nothing.stderr
    assert (dam / "inbox/x.txt").read_text() == "x"
