"""What a program meets for each error that damfs raises, asked of a real mount; a new row of the table needs a case."""

from __future__ import annotations

import ctypes
import errno
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from damfs import errors
from damfs.presentation.fuse.answers import ERRNO
from tests.mount.daemon_process import QUICK, Daemon, new_library, run, until

if TYPE_CHECKING:
    from tests.mount.conftest import Serve

RENAME_EXCHANGE = 2
AT_FDCWD = -100


@contextmanager
def meets(number: int) -> Iterator[None]:
    with pytest.raises(OSError, match=rf"^\[Errno {number}\] ") as caught:
        yield
    assert caught.value.errno == number


@pytest.fixture(scope="module")
def stocked(shared: Daemon) -> Daemon:
    """With an asset, two terms that are used, and a folder indexed in place."""
    folder = shared.library.parent / "rushes"
    folder.mkdir()
    (folder / "kept.txt").write_text("kept")
    shared.add(folder)
    (folder.parent / "a.txt").write_text("a")
    for term in ("used", "other"):
        (shared / "by-tag" / term).mkdir()
        run("cp", folder.parent / "a.txt", shared / "by-tag" / term)
        shared.settled()
    return shared


def not_found(dam: Daemon) -> None:
    for path in ("absent", "inbox/absent", "by-tag/absent", "by-tag/used/absent/x", "by-date/1789", ".damfs/absent"):
        with meets(errno.ENOENT):
            os.stat(dam / path)
    with meets(errno.ENOENT):
        (dam / "by-tag/used/absent").unlink()
    with meets(errno.ENOENT):
        (dam / "by-tag/used/absent").rename(dam / "by-tag/used/b")


def refused(dam: Daemon) -> None:
    with meets(errno.EPERM):
        (dam / "by-type/other/new.txt").write_text("x")
    with meets(errno.EPERM):
        os.mkfifo(dam / "inbox/pipe")
    with meets(errno.EPERM):
        os.mknod(dam / "inbox/node")
    narrow = dam / "by-tag/used/narrow"
    narrow.mkdir()
    with meets(errno.EPERM):  # the kernel does not see that this is below itself, by another way
        narrow.rename(dam / "by-tag/narrow/other/new")
    narrow.rmdir()


def read_only(dam: Daemon) -> None:
    with meets(errno.EROFS):
        (dam / "originals/rushes/kept.txt").unlink()
    assert (dam.library.parent / "rushes/kept.txt").read_text() == "kept"


def conflict(dam: Daemon) -> None:
    with meets(errno.EEXIST):
        (dam / "by-tag/used").mkdir()
    (dam / "by-tag/unused").mkdir()
    (dam / "by-tag/unasked").mkdir()
    with meets(errno.EEXIST):  # a directory takes the place of an empty one, but not of the one it would be in
        (dam / "by-tag/unasked").rename(dam / "by-tag/unused/unused")
    (dam / "by-tag/unasked").rename(dam / "by-tag/unused")
    (dam / "by-tag/unused").rmdir()
    with meets(errno.EEXIST):
        os.open(dam / "by-tag/used/a.txt", os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def not_empty(dam: Daemon) -> None:
    with meets(errno.ENOTEMPTY):
        (dam / "by-tag/used").rmdir()
    with meets(errno.ENOTEMPTY):  # the kernel asks the server whether a directory may replace another one
        (dam / "by-tag/other").rename(dam / "by-tag/used")


def unavailable(dam: Daemon) -> None:
    """The disk of the folder is gone."""
    folder = dam.library.parent / "rushes"
    folder.rename(folder.with_name("elsewhere"))
    try:
        until(lambda: errno_of(lambda: (dam / "originals/rushes/kept.txt").read_bytes()) == errno.EIO, "EIO")
    finally:
        folder.with_name("elsewhere").rename(folder)


def errno_of(call: Callable[[], object]) -> int:
    try:
        call()
    except OSError as error:
        return error.errno or -1
    return 0


def too_big(dam: Daemon) -> None:
    """The disk below cannot hold a file of that length."""
    path = dam / "inbox/long.txt"
    with path.open("wb") as file, meets(errno.EFBIG):
        os.ftruncate(file.fileno(), 1 << 62)
    path.unlink()


def bad_query(dam: Daemon) -> None:
    with meets(errno.EINVAL):
        os.mkdir(dam / "search/rating:>=many")


CASES: dict[type[errors.DamfsError], Callable[[Daemon], None]] = {
    errors.NotFound: not_found,
    errors.Refused: refused,
    errors.ReadOnly: read_only,
    errors.Conflict: conflict,
    errors.NotEmpty: not_empty,
    errors.Unavailable: unavailable,
    errors.TooBig: too_big,
    errors.BadQuery: bad_query,
}


@pytest.mark.parametrize("kind", CASES)
def test_error(stocked: Daemon, kind: type[errors.DamfsError]) -> None:
    CASES[kind](stocked)


def test_every_row_has_a_case() -> None:
    assert set(ERRNO) == {*CASES, errors.NoSpace}, "NoSpace has a test of its own"


def test_no_space(serve: Serve, tmp_path: Path) -> None:
    """A library on a disk that is too small: the write fails, and what fits still goes in."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", small], check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        dam = serve(new_library(small / "library", QUICK)).start()
        with meets(errno.ENOSPC), (dam / "inbox/large.dat").open("wb", buffering=0) as file:
            for _ in range(48):
                file.write(os.urandom(1 << 20))
        until(lambda: os.listdir(dam / "inbox") == [], "half a file is dropped")
        (dam / "inbox/small.txt").write_text("fits")
        dam.settled()
        assert (dam / "inbox/small.txt").read_text() == "fits"
        dam.end()
    finally:
        run("umount", "-l", small)


def test_a_full_disk_while_an_original_is_written_over(serve: Serve, tmp_path: Path) -> None:
    """P3, P10: the writer is told, and the file is what it was, before and after a restart."""
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", small], check=False).returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        dam = serve(new_library(small / "library", QUICK)).start()
        original = os.urandom(4 << 20)
        (dam / "inbox/a.dat").write_bytes(original)
        dam.settled()
        inode = (dam / "inbox/a.dat").stat().st_ino
        with meets(errno.ENOSPC), (dam / "inbox/a.dat").open("wb", buffering=0) as file:
            for _ in range(48):
                file.write(os.urandom(1 << 20))
        dam.settled()
        until(lambda: (dam / "inbox/a.dat").stat().st_size == len(original), "it is as it was")
        assert (dam / "inbox/a.dat").read_bytes() == original
        (dam / "inbox/a.dat").write_bytes(b"fits")
        dam.settled()
        dam.end()
        dam.start()
        assert (dam / "inbox/a.dat").read_bytes() == b"fits"
        assert (dam / "inbox/a.dat").stat().st_ino == inode
        assert (dam / "versions/a.dat/v0001.dat").read_bytes() == original
        assert os.listdir(dam / "versions/a.dat") == ["v0001.dat", "v0002.dat"]
        dam.end()
    finally:
        run("umount", "-l", small)


def test_an_error_that_nobody_foresaw_is_eio_and_the_mount_goes_on(serve: Serve) -> None:
    """A table of the catalog is gone: only what needs it fails, with a traceback in the log."""
    dam = serve(announced=["unexpected error in a handler", "Traceback"]).start()
    assert (dam / "proxies/library").exists()
    rename_table(dam.library, "rendition", "mislaid")
    with meets(errno.EIO):
        os.stat(dam / "proxies/library/absent.mov")
    assert dam.stats()["damfs_fuse_unexpected_errors_total"] == 1
    assert "no such table" in dam.log()
    (dam / "inbox/a.txt").write_text("a")
    assert (dam / "inbox/a.txt").read_text() == "a"
    rename_table(dam.library, "mislaid", "rendition")
    with meets(errno.ENOENT):
        os.stat(dam / "proxies/library/absent.mov")
    dam.idle()


def rename_table(library: Path, old: str, new: str) -> None:
    with closing(sqlite3.connect(library / "state" / "catalog.sqlite3", timeout=60)) as connection:
        connection.execute("PRAGMA legacy_alter_table = ON")  # leave what refers to the table alone
        connection.execute(f'ALTER TABLE "{old}" RENAME TO "{new}"')
        connection.commit()


def test_names_that_are_too_long(stocked: Daemon) -> None:
    with meets(errno.ENAMETOOLONG):
        os.stat(stocked / "inbox" / ("n" * 256))


def test_exchange(stocked: Daemon) -> None:
    (stocked / "inbox/one").write_text("one")
    (stocked / "inbox/two").write_text("two")
    stocked.settled()
    libc = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(stocked / "inbox/one"), os.fsencode(stocked / "inbox/two"))
    assert libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == -1
    assert ctypes.get_errno() == errno.EINVAL
    assert (stocked / "inbox/one").read_text() == "one"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("security.capability", errno.ENODATA),
        ("security.selinux", errno.ENOTSUP),
        ("system.posix_acl_access", errno.ENOTSUP),
        ("user.absent", errno.ENODATA),
    ],
)
def test_attributes_are_never_enosys(stocked: Daemon, name: str, number: int) -> None:
    for _ in range(2):  # after ENOSYS the kernel would answer by itself
        with meets(number):
            os.getxattr(stocked / "by-tag/used/a.txt", name)
