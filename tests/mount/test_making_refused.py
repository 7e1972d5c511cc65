"""Files that the native module made, and that catalog or disk then do not take: what a program was told is so.

The catalog is made to fail by a limit to how long files of the daemon may grow: its log of changes is longer than small
files that are being received.
"""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.mount.conftest import serving
from tests.mount.consistency import check_consistent
from tests.mount.daemon_process import Daemon, rows, until
from tests.mount.test_making import check_unharmed, create, made_by_module, make, warm

LIMIT = 8192
"""Less than the catalog writes for any change, by its page size; more than the files here."""
TOLD = "could not be entered into the catalog and will be tried again|was interrupted|is a stale mount"
MANY = 200


@contextmanager
def catalog_refuses(dam: Daemon) -> Iterator[None]:
    before = resource.prlimit(dam.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(dam.pid, resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    try:
        yield
    finally:
        if dam.process is not None and dam.process.poll() is None:
            resource.prlimit(dam.pid, resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with serving(tmp_path_factory.mktemp("refused")) as serve:
        yield serve(announced=[TOLD]).start()


@pytest.fixture
def dam(shared: Daemon) -> Daemon:
    return warm(shared)


def made_until_told(dam: Daemon, stem: str) -> dict[str, bytes]:
    """Files of which a program was told that all of it was written."""
    made: dict[str, bytes] = {}
    for number in range(MANY):
        name = f"{stem}-{number}.dat"
        try:
            make(dam, name)
        except OSError as error:
            assert error.errno in {errno.EIO, errno.ENOSPC, errno.EFBIG}, error  # noqa: PT017  # not what is tested
            return made
        made[name] = b"bytes of " + name.encode()
    raise AssertionError(f"none of {MANY} files was refused")


def contents(dam: Daemon, stem: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (dam / "inbox").glob(f"{stem}*")}


def test_what_the_catalog_does_not_take_now_it_takes_later(dam: Daemon) -> None:
    """Also without anybody asking; meanwhile nobody is told that all is settled."""
    with catalog_refuses(dam):
        made = made_until_told(dam, "late")
        assert len(made) <= 64, "Python, which knows what is wrong, is asked soon"
        assert dam.status().unsettled >= len(made)
    until(lambda: not dam.status().unsettled, "the catalog has all of it")
    assert contents(dam, "late") == made
    dam.settled()
    assert contents(dam, "late") == made
    check_unharmed(dam)
    warm(dam)
    made_by_module(dam, *(f"again-{number}.dat" for number in range(6)))
    dam.idle()
    check_consistent(dam)


def test_what_a_program_could_not_write_is_no_asset(dam: Daemon) -> None:
    """P10: of a file that the catalog had not taken when it was written on."""
    with catalog_refuses(dam):
        fd = create(dam / "inbox/half.dat")
        os.write(fd, b"begins")
        assert dam.status().unsettled == 1
        with pytest.raises(OSError, match="Input/output error"):
            os.pwrite(fd, b"behind", 200_000)
        os.close(fd)
        other = create_or_none(dam / "inbox/other.dat")
        assert other is None
    dam.settled()
    assert contents(dam, "half") == {}
    assert contents(dam, "other") == {}
    check_unharmed(dam)
    dam.idle()
    check_consistent(dam)


def create_or_none(path: Path) -> int | None:
    try:
        return create(path)
    except OSError:
        return None


def test_who_has_it_open_writes_on_when_the_catalog_takes_it(dam: Daemon) -> None:
    """What failed and is written once more is not lost."""
    with catalog_refuses(dam):
        fd = create(dam / "inbox/goes-on.dat")
        os.write(fd, b"begins ")
        assert dam.status().unsettled == 1
        with pytest.raises(OSError, match="Input/output error"):
            os.fsync(fd)
        with pytest.raises(OSError, match="Input/output error"):
            os.pwrite(fd, b"x", 300_000)
    until(lambda: bool(rows(dam.library, "SELECT 1 FROM asset WHERE name = 'goes-on.dat'")), "the catalog has it")
    os.pwrite(fd, b"begins " + b"y" * 300_000, 0)
    os.fsync(fd)
    os.close(fd)
    dam.settled()
    assert contents(dam, "goes-on") == {"goes-on.dat": b"begins " + b"y" * 300_000}
    check_unharmed(dam)


@pytest.mark.parametrize("end", [Daemon.kill, Daemon.end])
def test_a_daemon_that_ends_meanwhile_loses_nothing(dam: Daemon, end: Callable[[Daemon], None]) -> None:
    """Whether what is there is whole nobody knows afterwards: it comes back as such."""
    with catalog_refuses(dam):
        stem = f"left-by-{end.__name__}"
        made = made_until_told(dam, stem)
        end(dam)
    dam.start()
    dam.settled()
    assert contents(dam, stem) == {f"{name}.part": content for name, content in made.items()}
    ids = [id_ for (id_,) in rows(dam.library, "SELECT id FROM asset")]
    assert len(ids) == len(set(ids))


def test_who_sets_what_the_catalog_does_not_take_is_told_why(dam: Daemon) -> None:
    """That the file were another's now (ESTALE) would say nothing of what is wrong, and is not so. What was written
    is whole all the same."""
    with catalog_refuses(dam):
        fd = create(dam / "inbox/set.dat")
        os.write(fd, b"all of it")
        assert dam.status().unsettled == 1
        for setting in (partial(os.utime, ns=(1, 1)), partial(os.chmod, mode=0o600), partial(os.truncate, length=3)):
            for target in (fd, dam / "inbox/set.dat"):
                with pytest.raises(OSError, match="Input/output error"):
                    setting(target)
        os.close(fd)
    dam.settled()
    assert contents(dam, "set") == {"set.dat": b"all of it"}
    os.chmod(dam / "inbox/set.dat", 0o600)
    os.utime(dam / "inbox/set.dat", ns=(7, 7))
    found = (dam / "inbox/set.dat").stat()
    assert (found.st_mode & 0o777, found.st_mtime_ns) == (0o600, 7)
    check_unharmed(dam)
