"""Reading from the page cache gives the bytes that the file has, and no others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from damfs.presentation.fuse.cached_reads import read_cached

CONTENT = os.urandom(3_000_001)


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "clip.mov"
    path.write_bytes(CONTENT)
    opened = os.open(path, os.O_RDONLY)
    os.pread(opened, len(CONTENT), 0)
    yield opened
    os.close(opened)


@pytest.mark.parametrize("offset", [0, 1, 4096, 2_999_999, 3_000_000])
@pytest.mark.parametrize("size", [0, 1, 2, 4095, 1 << 20])
def test_as_the_file_has_them(fd: int, offset: int, size: int) -> None:
    assert read_cached(fd, offset, size) == os.pread(fd, size, offset)


def test_each_answer_has_bytes_of_its_own(fd: int) -> None:
    first, second = read_cached(fd, 0, 8192), read_cached(fd, 8192, 8192)
    assert (first, second) == (CONTENT[:8192], CONTENT[8192:16384])
    single = [read_cached(fd, offset, 1) for offset in range(100)]
    assert b"".join(single) == CONTENT[:100]
    assert read_cached(fd, len(CONTENT), 100) == b""
    assert bytes([CONTENT[0]]) == CONTENT[:1], "Python's own single bytes are as they were"


def test_what_is_not_cached_is_not_waited_for(fd: int) -> None:
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    with suppress(OSError):  # a part may have stayed
        found = read_cached(fd, 0, len(CONTENT))
        assert CONTENT.startswith(found)
