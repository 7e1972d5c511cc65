"""originals/library/ is an ordinary file system: what is written, made, renamed, removed there lies so on the disk."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pytest

from tests.mount.conftest import Serve
from tests.mount.daemon_process import Daemon, damfs, rows, run, until
from tests.sample_media import jpeg
from tests.small_library import JULY_NS

_numbers = count(1)
HOUR_NS = 3_600_000_000_000


@pytest.fixture
def word() -> str:
    """A name that no other test of the module uses."""
    return f"w{next(_numbers)}"


@pytest.fixture
def here(shared: Daemon, word: str) -> Path:
    """A folder of its own in the writable store."""
    folder = shared / "originals/library" / word
    folder.mkdir()
    return folder


@pytest.fixture
def disk(shared: Daemon, word: str) -> Path:
    """The same folder on the disk below."""
    return shared.library / "originals" / word


@contextmanager
def refused(*numbers: int) -> Iterator[None]:
    with pytest.raises(OSError, match="Errno") as caught:
        yield
    assert caught.value.errno in numbers, caught.value


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its bytes, every folder with None."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def test_a_written_file_lies_on_the_disk_under_the_same_name(shared: Daemon, here: Path, disk: Path, word: str) -> None:
    (here / "sub").mkdir()
    with open(here / "sub/take one.txt", "wb") as file:
        file.write(word.encode())
        file.flush()
        assert os.listdir(here / "sub") == ["take one.txt"], "shown while it is received"
        assert (here / "sub/take one.txt").read_bytes() == word.encode(), "and readable"
    shared.settled()
    assert tree(disk) == tree(here) == {"sub": None, "sub/take one.txt": word.encode()}
    assert rows(shared.library, "SELECT triaged, state FROM asset WHERE name = 'take one.txt'") == [(1, "present")]
    assert (shared / "by-type/other/take one.txt").stat().st_ino == (here / "sub/take one.txt").stat().st_ino


def test_names_are_kept_byte_for_byte(shared: Daemon, here: Path, disk: Path, word: str) -> None:
    names = [
        b".config", "e\u0301.txt".encode(), b"\xff\xfe.txt", b"n" * 255, b"a b\n", b"-rf", "\u00fc.txt".encode(),
        b"x~2.txt",
    ]  # fmt: skip
    for name in names:
        with open(os.fsencode(here) + b"/" + name, "wb") as file:
            file.write(word.encode() + name)
    shared.settled()
    assert sorted(os.listdir(os.fsencode(disk))) == sorted(names) == sorted(os.listdir(os.fsencode(here)))
    damfs("scan", shared.library, "library")
    assert sorted(os.listdir(os.fsencode(here))) == sorted(names), "a scan meets hidden names as well"


def test_temporary_names_are_shown_and_stay_staged_until_renamed(
    shared: Daemon, here: Path, disk: Path, word: str
) -> None:
    (here / "clip.mov.part").write_text(word)
    shared.settled()
    assert os.listdir(here) == ["clip.mov.part"]
    assert tree(disk) == {}
    inode = (here / "clip.mov.part").stat().st_ino
    (here / "clip.mov.part").rename(here / "clip.mov")
    shared.settled()
    assert os.listdir(here) == ["clip.mov"]
    assert tree(disk) == {"clip.mov": word.encode()}
    assert (here / "clip.mov").stat().st_ino == inode


def test_equal_files_in_two_folders_are_both_there(shared: Daemon, here: Path, disk: Path, word: str) -> None:
    for folder in ("a", "b"):
        (here / folder).mkdir()
        (here / folder / "same.txt").write_text(word)
        shared.settled()
    assert set(tree(disk)) == {"a", "a/same.txt", "b", "b/same.txt"}
    assert (here / "a/same.txt").stat().st_ino != (here / "b/same.txt").stat().st_ino
    (here / "a/same.txt").unlink()
    assert set(tree(here)) == {"a", "b", "b/same.txt"}


def test_what_a_person_put_into_a_day_folder_is_not_filed_elsewhere(shared: Daemon, tmp_path: Path) -> None:
    """Where damfs itself would have put it by its time, and would have moved it when its day of capture is known."""
    photo = jpeg(tmp_path / "day.jpg", size=(64, 48))
    later_ns = JULY_NS + 90 * 24 * HOUR_NS
    os.utime(photo, ns=(later_ns, later_ns))
    folder = shared / "originals/library/2024/10/13"
    folder.mkdir(parents=True)
    run("cp", "-p", photo, folder)
    run("cp", "-p", photo, shared / "inbox/received.jpg")
    shared.idle()
    assert (shared / "by-date/2024/07/15/day.jpg").exists(), "its day of capture was found out"
    assert (shared / "originals/library/2024/07/15/received.jpg").exists(), "and damfs files what is its own to file"
    assert os.listdir(folder) == ["day.jpg"]


def test_folders_are_made_removed_and_stay_when_empty(shared: Daemon, here: Path, disk: Path) -> None:
    (here / "a").mkdir(mode=0o750)
    (here / "a/b").mkdir()
    assert stat.S_IMODE((here / "a").stat().st_mode) == 0o750
    assert tree(here) == tree(disk) == {"a": None, "a/b": None}
    with refused(errno.EEXIST):
        (here / "a").mkdir()
    with refused(errno.ENOTEMPTY):
        (here / "a").rmdir()
    damfs("scan", shared.library, "library")
    assert tree(here) == {"a": None, "a/b": None}, "a scan leaves empty folders"
    (here / "a/b").rmdir()
    (here / "a").rmdir()
    assert tree(here) == tree(disk) == {}
    (here / "a").mkdir()
    assert tree(here) == tree(disk) == {"a": None}


def test_a_folder_is_renamed_with_everything_below_it(shared: Daemon, here: Path, disk: Path, word: str) -> None:
    (here / "a/b").mkdir(parents=True)
    (here / "a/b/x.txt").write_text(word)
    (here / "a/later.part").write_text("later")
    shared.settled()
    inode, folder = (here / "a/b/x.txt").stat().st_ino, (here / "a").stat().st_ino
    (here / "other").mkdir()
    (here / "a").rename(here / "other/c")
    assert set(tree(here)) == {"other", "other/c", "other/c/b", "other/c/b/x.txt", "other/c/later.part"}
    assert set(tree(disk)) == {"other", "other/c", "other/c/b", "other/c/b/x.txt"}
    assert (here / "other/c/b/x.txt").stat().st_ino == inode
    assert (here / "other/c").stat().st_ino == folder
    assert (here / "other/c/b/x.txt").read_text() == word
    (here / "other/c/later.part").rename(here / "other/c/later.txt")
    shared.settled()
    assert (disk / "other/c/later.txt").read_text() == "later"
    damfs("scan", shared.library, "library")
    assert (here / "other/c/b/x.txt").stat().st_ino == inode


def test_a_file_that_is_written_while_its_folder_is_renamed(shared: Daemon, here: Path, disk: Path, word: str) -> None:
    (here / "a").mkdir()
    with open(here / "a/x.txt", "w") as file:
        file.write(word)
        file.flush()
        (here / "a").rename(here / "b")
    shared.settled()
    assert tree(here) == tree(disk) == {"b": None, "b/x.txt": word.encode()}


def test_what_a_folder_may_be_renamed_to(here: Path, disk: Path, word: str) -> None:
    for name in ("a", "empty", "full", "full/x"):
        (here / name).mkdir()
    (here / "file").write_text(word)
    with refused(errno.ENOTEMPTY, errno.EEXIST):
        (here / "a").rename(here / "full")
    with refused(errno.EINVAL):
        (here / "full").rename(here / "full/x/y")
    with refused(errno.ENOTDIR):
        (here / "a").rename(here / "file")
    with refused(errno.EISDIR):
        (here / "file").rename(here / "empty")
    with refused(errno.ENOENT):
        (here / "a").rename(here / "absent/a")
    (here / "a").rename(here / "empty")
    assert set(tree(here)) == {"empty", "full", "full/x", "file"}
    assert set(tree(disk)) - {"file"} == {"empty", "full", "full/x"}


def test_a_file_is_renamed_across_folders_and_names(shared: Daemon, here: Path, disk: Path, word: str) -> None:
    (here / "a").mkdir()
    (here / "x.txt").write_text(word)
    shared.settled()
    inode = (here / "x.txt").stat().st_ino
    (here / "x.txt").rename(here / f"a/y-{word}.txt")
    assert tree(here) == tree(disk) == {"a": None, f"a/y-{word}.txt": word.encode()}
    assert (here / f"a/y-{word}.txt").stat().st_ino == inode
    assert (shared / f"by-type/other/y-{word}.txt").stat().st_ino == inode, "the asset has its new name everywhere"
    assert not (here / "x.txt").exists()
    with refused(errno.ENOENT):
        (here / "x.txt").rename(here / "z.txt")


def test_renaming_over_a_file_makes_its_next_version(shared: Daemon, here: Path, disk: Path, word: str) -> None:
    (here / "old.txt").write_text(f"old {word}")
    (here / "new.txt").write_text(f"new {word}")
    (here / "elsewhere").mkdir()
    shared.settled()
    inode = (here / "old.txt").stat().st_ino
    (here / "new.txt").rename(here / "old.txt")
    assert tree(here) == {"elsewhere": None, "old.txt": f"new {word}".encode()}
    assert tree(disk) == {**tree(here), "old~v1.txt": f"old {word}".encode()}, "earlier bytes are kept beside it"
    assert (here / "old.txt").stat().st_ino == inode
    (here / "old~v1.txt").write_text("a file of that name")
    shared.settled()
    assert (disk / "old~v1.txt").read_text() == "a file of that name", "they make way"
    (here / "old~v1.txt").unlink()
    (here / "old.txt").rename(here / "elsewhere/old.txt")
    (here / "elsewhere").rename(shared / f"originals/library/{word}-elsewhere")
    here.rmdir()
    assert not disk.exists(), "and keep no folder from being removed"


def test_a_file_is_written_under_all_its_names(shared: Daemon, here: Path, disk: Path, word: str) -> None:
    (here / "sub").mkdir()
    (here / "a.txt").write_text(f"one {word}")
    shared.settled()
    for name in ("b.txt", "sub/c.txt"):
        os.link(here / "a.txt", here / name)
    for name in ("b.txt", "a.txt"):
        (here / name).write_text(f"{name} {word}, again")
        shared.settled()
        expected = f"{name} {word}, again".encode()
        assert tree(here) == {"a.txt": expected, "b.txt": expected, "sub": None, "sub/c.txt": expected}
        assert {tree(disk)[each] for each in ("a.txt", "b.txt", "sub/c.txt")} == {expected}


def test_a_file_with_several_names_is_replaced_under_one(shared: Daemon, here: Path, disk: Path, word: str) -> None:
    (here / "a").write_text(f"a {word}")
    (here / "b").write_text(f"b {word}")
    shared.settled()
    os.link(here / "a", here / "a2")
    (here / "b").rename(here / "a")
    assert tree(here) == {"a": f"b {word}".encode(), "a2": f"a {word}".encode()}
    (here / "a2").rename(here / "a")
    assert tree(here) == {"a": f"a {word}".encode()}


def test_a_removed_file_frees_its_name_and_keeps_its_bytes(shared: Daemon, here: Path, disk: Path, word: str) -> None:
    for number in range(3):
        (here / "x.txt").write_text(f"{number} {word}")
        shared.settled()
        assert tree(disk) == {"x.txt": f"{number} {word}".encode()}
        (here / "x.txt").unlink()
        assert tree(here) == tree(disk) == {}
    here.rmdir()
    assert not disk.exists()
    kept = {path.read_text() for path in (shared.library / "originals/.damfs-trash").glob("*-x.txt")}
    assert {f"{number} {word}" for number in range(3)} <= kept
    assert ".damfs-trash" not in os.listdir(shared / "originals/library")
    assert rows(shared.library, "SELECT count(*) FROM copy WHERE state = 'missing'") == [(0,)]


def test_a_file_that_is_removed_at_once_never_arrives(shared: Daemon, here: Path, disk: Path, word: str) -> None:
    with open(here / "x.txt", "w") as file:
        file.write(word)
        file.flush()
        (here / "x.txt").unlink()
        assert os.listdir(here) == []
        assert os.fstat(file.fileno()).st_size == len(word)
    shared.settled()
    here.rmdir()
    assert not disk.exists()


def test_from_other_views_into_a_folder_and_back(shared: Daemon, here: Path, disk: Path, word: str) -> None:
    name = f"{word}.txt"
    (shared / "inbox" / name).write_text(word)
    shared.settled()
    inode = (shared / "inbox" / name).stat().st_ino
    run("mv", shared / "inbox" / name, here)
    assert tree(disk) == {name: word.encode()}
    assert not (shared / "inbox" / name).exists()
    assert (here / name).stat().st_ino == inode
    term = shared / f"by-tag/{word}"
    term.mkdir()
    run("mv", here / name, term)
    assert (here / name).exists(), "tagging leaves the file in its folder"
    assert (term / name).stat().st_ino == inode
    (here / "deep").mkdir()
    os.rename(term / name, here / "deep" / name)
    assert tree(disk) == {"deep": None, f"deep/{name}": word.encode()}
    assert os.listdir(term) == []


def test_a_second_name_is_one_on_the_disk(shared: Daemon, here: Path, disk: Path, word: str) -> None:
    (here / "b").mkdir()
    (here / "x.txt").write_text(word)
    shared.settled()
    os.link(here / "x.txt", here / "b/y.txt")
    assert (disk / "x.txt").stat().st_ino == (disk / "b/y.txt").stat().st_ino
    assert (here / "x.txt").stat().st_ino == (here / "b/y.txt").stat().st_ino
    with refused(errno.EEXIST):
        os.link(here / "x.txt", here / "b/y.txt")
    (here / "x.txt").unlink()
    assert tree(here) == tree(disk) == {"b": None, "b/y.txt": word.encode()}
    (here / "b/y.txt").unlink()
    assert tree(here) == tree(disk) == {"b": None}


def test_times_and_permission_bits_of_folders_are_kept(serve: Serve, word: str) -> None:
    dam = serve().start()
    folder = dam / "originals/library" / word
    folder.mkdir()
    os.utime(folder, ns=(HOUR_NS, HOUR_NS))
    folder.chmod(0o710)
    os.chown(folder, os.getuid(), os.getgid())
    assert (folder.stat().st_mtime_ns, stat.S_IMODE(folder.stat().st_mode)) == (HOUR_NS, 0o710)
    (folder / "new").mkdir()
    assert abs((folder / "new").stat().st_mtime_ns - time.time_ns()) < HOUR_NS, "a new folder is new"
    (folder / "new").rmdir()
    os.utime(folder, ns=(HOUR_NS, HOUR_NS))
    (folder / "x").write_text("x")
    assert folder.stat().st_mtime_ns > HOUR_NS, "a new name in it"
    os.utime(folder, ns=(HOUR_NS, HOUR_NS))
    dam.settled()
    assert folder.stat().st_mtime_ns == HOUR_NS, "what arrived there before the time was set moves it no more"
    dam.end()
    dam.start()
    assert (folder.stat().st_mtime_ns, stat.S_IMODE(folder.stat().st_mode)) == (HOUR_NS, 0o710)
    with refused(errno.EPERM):
        os.utime(dam / "by-tag", ns=(HOUR_NS, HOUR_NS))


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_what_is_given_to_another_user_stays_his(serve: Serve, word: str) -> None:
    dam = serve().start()
    folder = dam / "originals/library" / word
    folder.mkdir()
    (folder / "x").write_text("x")
    dam.settled()
    for path in (folder, folder / "x"):
        os.chown(path, 4321, -1)
        os.chown(path, -1, 1234)
    for _ in range(2):
        assert {(path.stat().st_uid, path.stat().st_gid) for path in (folder, folder / "x")} == {(4321, 1234)}
        assert (dam / "by-type/other/x").stat().st_uid == 4321, "wherever it is shown"
        dam.end()
        dam.start()
    (folder / "mine").write_text("mine")
    assert (folder / "mine").stat().st_uid == os.getuid()
    with refused(errno.EPERM):
        os.chown(dam / "by-tag", 4321, -1)


def test_status_changes_are_dated(shared: Daemon, here: Path) -> None:
    path = here / "x"
    path.write_text("x")
    shared.settled()
    os.utime(path, ns=(HOUR_NS, HOUR_NS))
    changes: tuple[Callable[[], None], ...] = (
        lambda: path.chmod(0o600),
        lambda: os.link(path, here / "y"),
        lambda: (here / "y").unlink(),
        lambda: os.chown(path, os.getuid(), os.getgid()),
    )
    for change in changes:
        before = path.stat().st_ctime_ns
        change()
        assert path.stat().st_ctime_ns > before
    assert path.stat().st_mtime_ns == HOUR_NS


def test_times_and_permission_bits_of_files_are_kept(shared: Daemon, here: Path) -> None:
    path = here / "x"
    path.write_text("x")
    shared.settled()
    path.chmod(0o4751)
    os.utime(path, ns=(HOUR_NS, 2 * HOUR_NS))
    assert path.stat().st_atime_ns == HOUR_NS
    assert (path.stat().st_mtime_ns, stat.S_IMODE(path.stat().st_mode)) == (2 * HOUR_NS, 0o4751)
    os.utime(path)
    assert path.stat().st_mtime_ns > 2 * HOUR_NS


def test_rsync_and_cp_keep_a_tree_as_it_is(shared: Daemon, here: Path, disk: Path, tmp_path: Path, word: str) -> None:
    source = tmp_path / "source"
    (source / "a/empty").mkdir(parents=True)
    for number in range(5):
        (source / f"a/{number}.txt").write_text(f"{word} {number}")
        os.utime(source / f"a/{number}.txt", ns=(HOUR_NS, HOUR_NS * (number + 1)))
    for folder in (source / "a/empty", source / "a", source):
        os.utime(folder, ns=(HOUR_NS, HOUR_NS))
    run("rsync", "-a", f"{source}/", f"{here}/rsync/")
    run("cp", "-a", source, here / "cp")
    shared.settled()
    for copied in ("rsync", "cp"):
        assert tree(here / copied) == tree(disk / copied) == tree(source)
        times = {path: path.stat().st_mtime_ns for path in (here / copied).rglob("*")}
        assert times == {
            here / copied / path.relative_to(source): path.stat().st_mtime_ns for path in source.rglob("*")
        }
    assert run("rsync", "-ain", f"{source}/", f"{here}/rsync/").stdout == "", "nothing is left to do"
    run("rm", "-r", here / "rsync", here / "cp")
    assert tree(here) == tree(disk) == {}


@pytest.mark.parametrize(
    ("number", "attempt"),
    [
        (errno.EEXIST, lambda at: os.open(at / "file", os.O_CREAT | os.O_EXCL | os.O_WRONLY)),
        (errno.ENAMETOOLONG, lambda at: (at / ("n" * 256)).write_text("x")),
        (errno.ENAMETOOLONG, lambda at: (at / ("n" * 256)).mkdir()),
        (errno.ENOTDIR, lambda at: (at / "file/x").write_text("x")),
        (errno.ENOTDIR, lambda at: (at / "file").rmdir()),
        (errno.ENOTDIR, lambda at: os.open(at / "file", os.O_DIRECTORY)),
        (errno.EISDIR, lambda at: (at / "folder").unlink()),
        (errno.EISDIR, lambda at: os.open(at / "folder", os.O_WRONLY)),
        (errno.ENOENT, lambda at: (at / "absent").unlink()),
        (errno.ENOENT, lambda at: (at / "absent").rmdir()),
        (errno.ENOENT, lambda at: (at / "absent/x").mkdir()),
        (errno.EEXIST, lambda at: (at / "file").mkdir()),
        (errno.EEXIST, lambda at: (at / "folder").mkdir()),
        (errno.EINVAL, lambda at: os.rmdir(f"{at}/folder/.")),
        (errno.EPERM, lambda at: (at / "link").symlink_to("file")),
        (errno.EPERM, lambda at: os.mkfifo(at / "pipe")),
        (errno.EPERM, lambda at: os.link(at / "folder", at / "twin")),
        (errno.EPERM, lambda at: (at / ".DS_Store").write_text("x")),
        (errno.EPERM, lambda at: (at / ".damfs-x").mkdir()),
    ],
)
def test_what_has_no_meaning_says_so(shared: Daemon, number: int, attempt: Callable[[Path], object]) -> None:
    at = shared / "originals/library/ordinary"
    if not at.exists():
        (at / "folder").mkdir(parents=True)
        (at / "file").write_text("a file")
        shared.settled()
    with refused(number):
        attempt(at)
    assert sorted(os.listdir(at)) == ["file", "folder"]


def test_space_is_that_of_the_disk_below(here: Path, disk: Path) -> None:
    shown, below = os.statvfs(here), os.statvfs(disk)
    assert (shown.f_blocks, shown.f_frsize, shown.f_namemax) == (below.f_blocks, below.f_frsize, 255)


def test_what_appears_on_the_disk_is_adopted_by_a_scan(shared: Daemon, here: Path, disk: Path, word: str) -> None:
    (disk / "new/empty").mkdir(parents=True)
    (disk / "new/x.txt").write_text(word)
    damfs("scan", shared.library, "library")
    assert tree(here) == {"new": None, "new/empty": None, "new/x.txt": word.encode()}
    (disk / "new/empty").rmdir()
    (disk / "new").rename(disk / "old")
    damfs("scan", shared.library, "library")
    assert tree(here) == {"old": None, "old/x.txt": word.encode()}
    (here / "old/x.txt").rename(here / "x.txt")
    (here / "old").rmdir()
    assert tree(here) == tree(disk) == {"x.txt": word.encode()}


def test_a_reception_that_is_interrupted_comes_back_in_its_folder(serve: Serve, word: str) -> None:
    dam = serve().start()
    folder = dam / "originals/library" / word
    folder.mkdir()
    with suppress(OSError):
        file = open(folder / "x.txt", "w")  # noqa: SIM115  # its close fails: the daemon is dead by then
        file.write(word)
        file.flush()
        os.fsync(file.fileno())
        dam.kill()
        file.close()
    again = serve(dam.library)
    again.announced.append("x.txt was interrupted")
    again.start()
    folder = again / "originals/library" / word
    assert tree(folder) == {"x.txt.part": word.encode()}
    (folder / "x.txt.part").rename(folder / "x.txt")
    again.settled()
    assert tree(folder) == tree(again.library / "originals" / word) == {"x.txt": word.encode()}


def test_a_file_with_two_names_is_saved_over_elsewhere_and_reverted(shared: Daemon) -> None:
    """Each name has the new bytes, and the old ones when they are brought back."""
    folder, term = shared / "originals/library/two names", shared / "by-tag/two-names"
    folder.mkdir()
    term.mkdir()
    (term / "two.txt").write_text("old")
    shared.settled()
    os.link(term / "two.txt", folder / "a.txt")
    os.link(term / "two.txt", folder / "b.txt")
    (shared / "inbox/new.txt").write_text("newer")
    shared.settled()
    (shared / "inbox/new.txt").rename(term / "two.txt")
    shared.settled()
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a.txt": "newer", "b.txt": "newer"}
    damfs("revert", folder / "b.txt", "1")
    shared.settled()
    until(lambda: {path.name: path.read_text() for path in folder.iterdir()} == {"a.txt": "old", "b.txt": "old"}, "old")
    on_disk = shared.library / "originals/two names"
    assert (on_disk / "a.txt").read_text() == (on_disk / "b.txt").read_text() == "old"
