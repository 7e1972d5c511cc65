"""What the less common file calls do: space asked for ahead, copies made by the kernel, holes, mappings, locks.

pyfuse3 hands neither fallocate nor copy_file_range nor lseek on to a file system, so the kernel answers for it. These
tests say what it answers, and that no byte is lost by it; the mount's README says the same.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.mount.daemon_process import Daemon, run
from tests.mount.test_writing import refused

KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
FICLONE = 0x40049409
SIZE = 1 << 20
_numbers = count(1)
_libc = ctypes.CDLL(None, use_errno=True)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long)


def new_file(dam: Daemon) -> Path:
    return dam / f"inbox/calls-{next(_numbers)}.bin"


def original(dam: Daemon) -> Path:
    """A file that has arrived."""
    path = new_file(dam)
    path.write_bytes(os.urandom(SIZE))
    dam.settled()
    return path


FILES: dict[str, Callable[[Daemon], Path]] = {"new": new_file, "original": original}


@pytest.fixture(params=FILES)
def path(request: pytest.FixtureRequest, shared: Daemon) -> Path:
    """To be written: a new name, or a file that has arrived."""
    return FILES[request.param](shared)


@contextmanager
def opened(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[int]:
    fd = os.open(path, flags, 0o644)
    try:
        yield fd
    finally:
        os.close(fd)


def fallocate(fd: int, mode: int, offset: int, length: int) -> None:
    if _libc.fallocate(fd, mode, offset, length):
        raise OSError(ctypes.get_errno(), "fallocate")


@pytest.mark.parametrize("mode", [0, KEEP_SIZE, KEEP_SIZE | PUNCH_HOLE, ZERO_RANGE])
def test_fallocate_is_not_supported_and_changes_nothing(shared: Daemon, path: Path, mode: int) -> None:
    before = path.read_bytes() if path.exists() else b""
    with opened(path) as fd, refused(errno.EOPNOTSUPP):
        fallocate(fd, mode, 0, 4096)
    shared.settled()
    assert path.read_bytes() == before


def test_posix_fallocate_makes_the_file_so_long(shared: Daemon, path: Path) -> None:
    """The C library then writes a byte a block, and what was there stays; so do programs that go by posix_fallocate."""
    before = path.read_bytes() if path.exists() else b""
    with opened(path) as fd:
        os.posix_fallocate(fd, 0, SIZE + 10_000)
        assert os.fstat(fd).st_size == SIZE + 10_000
        os.pwrite(fd, b"end", SIZE + 9_997)
    shared.settled()
    assert path.read_bytes() == before + bytes(SIZE + 9_997 - len(before)) + b"end"


def test_the_fallocate_command_falls_back_or_says_so(shared: Daemon, path: Path) -> None:
    done = run("fallocate", "--length", "8192", path, check=False)
    assert done.returncode == 1
    assert "Operation not supported" in done.stderr
    run("fallocate", "--posix", "--length", str(SIZE + 8192), path)
    shared.settled()
    assert path.stat().st_size == SIZE + 8192


def test_copy_file_range_in_the_mount(shared: Daemon, path: Path) -> None:
    """The kernel copies through its page cache."""
    source = original(shared)
    with opened(source, os.O_RDONLY) as from_, opened(path) as to:
        assert os.copy_file_range(from_, to, SIZE, 0, 100) == SIZE
    shared.settled()
    assert path.read_bytes()[100:] == source.read_bytes()


def test_copy_file_range_to_and_from_another_disk(shared: Daemon, path: Path, tmp_path: Path) -> None:
    """EXDEV, as between any two file systems: cp goes on with reading and writing."""
    outside = tmp_path / "outside.bin"
    outside.write_bytes(os.urandom(SIZE))
    with opened(outside) as from_, opened(path) as to:
        for pair in ((from_, to), (to, from_)):
            with refused(errno.EXDEV):
                os.copy_file_range(*pair, SIZE, 0, 0)
        assert os.sendfile(to, from_, 0, SIZE) == SIZE
    shared.settled()
    assert path.read_bytes() == outside.read_bytes()


def test_a_reflink_is_a_copy_where_it_may_be(shared: Daemon, path: Path) -> None:
    source = original(shared)
    with opened(source, os.O_RDONLY) as from_, opened(path) as to, refused(errno.EOPNOTSUPP):
        fcntl.ioctl(to, FICLONE, from_)
    run("cp", "--reflink=auto", source, path)
    shared.settled()
    assert path.read_bytes() == source.read_bytes()


def test_everything_is_data(shared: Daemon, path: Path) -> None:
    """Holes read as zeros, but no program learns where they are: SEEK_HOLE finds the end."""
    with opened(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC) as fd:
        os.pwrite(fd, b"end", SIZE)
        check_seeks(fd)
    shared.settled()
    with opened(path, os.O_RDONLY) as fd:
        check_seeks(fd)
    assert path.read_bytes() == bytes(SIZE) + b"end"
    copied = path.with_name(f"sparse-{path.name}")
    run("cp", "--sparse=always", path, copied)
    shared.settled()
    assert copied.read_bytes() == path.read_bytes()


def check_seeks(fd: int) -> None:
    assert os.lseek(fd, 0, os.SEEK_DATA) == 0
    assert os.lseek(fd, 0, os.SEEK_HOLE) == SIZE + 3
    assert os.lseek(fd, SIZE, os.SEEK_DATA) == SIZE
    with refused(errno.ENXIO):
        os.lseek(fd, SIZE + 3, os.SEEK_DATA)


def test_what_is_written_into_a_shared_mapping_arrives(shared: Daemon, path: Path) -> None:
    with opened(path) as fd:
        os.ftruncate(fd, SIZE)
        with mmap.mmap(fd, SIZE) as mapped:
            mapped[5000:5005] = b"hello"
            mapped.flush()
            assert os.pread(fd, 5, 5000) == b"hello"
            mapped[SIZE - 3 :] = b"end"  # written back by the kernel when the mapping goes
    shared.settled()
    found = path.read_bytes()
    assert (len(found), found[5000:5005], found[-3:]) == (SIZE, b"hello", b"end")


def test_what_is_written_into_a_private_mapping_is_nobodys(shared: Daemon) -> None:
    path = original(shared)
    before = path.read_bytes()
    with opened(path, os.O_RDONLY) as fd, mmap.mmap(fd, SIZE, flags=mmap.MAP_PRIVATE) as mapped:
        mapped[:5] = b"hello"
    shared.settled()
    assert path.read_bytes() == before
    assert path.name not in os.listdir(shared / "versions")


def test_locks_hold_between_programs(shared: Daemon, path: Path) -> None:
    with opened(path) as fd:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert run("flock", "--nonblock", path, "true", check=False).returncode == 1
    run("flock", "--nonblock", path, "true")


def test_a_file_without_a_name_cannot_be_made(shared: Daemon) -> None:
    """O_TMPFILE: programs that know it make one with a name instead."""
    with refused(errno.EOPNOTSUPP):
        os.open(shared / "inbox", os.O_TMPFILE | os.O_RDWR)
