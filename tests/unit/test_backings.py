"""One answer for every open handle of an inode, given back with the last one."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from damfs.presentation.fuse import native
from damfs.presentation.fuse.backings import Backings
from damfs.presentation.fuse.native import Native
from damfs.presentation.views.view import Thing, ThingKind

CLIP = Thing(ThingKind.ASSET, 7)
PROXY = Thing(ThingKind.RENDITION, 7)


class Kernel(Native):
    """Takes notes of what it is told; takes files unless it is ``unwilling``."""

    def __init__(self, *, on: bool = True, unwilling: bool = False) -> None:
        super().__init__(None, "a test")
        self._on, self._unwilling = on, unwilling
        self.backings: set[int] = set()
        self.told: dict[int, tuple[int, bool]] = {}

    @property
    def passthrough(self) -> bool:
        return self._on

    def open_backing(self, fd: int) -> int | None:
        if self._unwilling:
            return None
        self.backings.add(fd + 100)
        return fd + 100

    def close_backing(self, id_: int) -> None:
        self.backings.remove(id_)

    def pass_through(self, handle: int, backing: int, *, direct: bool) -> None:
        self.told[handle] = (backing, direct)


@pytest.fixture
def fds(tmp_path: Path) -> Iterator[list[int]]:
    """Two descriptors of one file, one of another."""
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    opened = [os.open(tmp_path / name, os.O_RDONLY) for name in ("a", "a", "b")]
    yield opened
    for fd in opened:
        os.close(fd)


def test_handles_of_one_inode_share_a_backing_until_the_last_is_released(fds: list[int]) -> None:
    kernel = Kernel()
    backings = Backings(kernel)
    backings.opened(CLIP, 1, fds[0])
    backings.opened(CLIP, 2, fds[1])
    shared = fds[0] + 100
    assert kernel.told == {1: (shared, False), 2: (shared, False)}
    backings.released(1)
    assert kernel.backings == {shared}
    backings.released(2)
    assert kernel.backings == set()
    backings.opened(CLIP, 3, fds[1])
    assert kernel.told[3] == (fds[1] + 100, False)


def test_other_bytes_of_an_open_inode_are_read_past_its_backing(fds: list[int]) -> None:
    kernel = Kernel()
    backings = Backings(kernel)
    backings.opened(CLIP, 1, fds[0])
    backings.opened(CLIP, 2, fds[2])
    assert kernel.told[2] == (fds[0] + 100, True)
    assert len(kernel.backings) == 1


def test_while_a_draft_is_open_its_inode_is_not_passed_through(fds: list[int]) -> None:
    kernel = Kernel()
    backings = Backings(kernel)
    backings.opened(CLIP, 1, None)
    backings.opened(CLIP, 2, fds[0])
    backings.opened(PROXY, 3, fds[2])
    assert kernel.told == {3: (fds[2] + 100, False)}
    backings.released(1)
    backings.released(2)
    backings.opened(CLIP, 4, fds[0])
    assert 4 in kernel.told


def test_a_file_that_the_kernel_does_not_take_is_read_the_ordinary_way_by_all(fds: list[int]) -> None:
    kernel = Kernel(unwilling=True)
    backings = Backings(kernel)
    backings.opened(CLIP, 1, fds[0])
    kernel._unwilling = False
    backings.opened(CLIP, 2, fds[0])
    assert kernel.told == {}


def test_nothing_is_told_where_there_is_no_passthrough(fds: list[int]) -> None:
    kernel = Kernel(on=False)
    backings = Backings(kernel)
    backings.opened(CLIP, 1, fds[0])
    backings.released(1)
    assert kernel.told == {}


@pytest.fixture
def load_again(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(native, "load", native.load.__wrapped__)
    return monkeypatch


def test_without_the_module_it_says_so(load_again: pytest.MonkeyPatch) -> None:
    load_again.setattr(native, "MODULE", "_not_there")
    load_again.delenv(native.SWITCH, raising=False)
    found = native.load()
    assert (found.passthrough, found.cache_directories) == (False, False)
    assert "C compiler" in found.describe()


def test_a_module_that_cannot_be_loaded_is_told_and_done_without(
    load_again: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    load_again.setattr(native, "__file__", str(tmp_path / "native.py"))
    load_again.delenv(native.SWITCH, raising=False)
    (tmp_path / f"{native.MODULE}.so").write_bytes(b"no library")
    found = native.load()
    assert not found.passthrough
    assert "cannot be loaded" in found.reason


def test_it_can_be_switched_off(load_again: pytest.MonkeyPatch) -> None:
    load_again.setenv(native.SWITCH, native.OFF)
    assert native.load().reason == "switched off by DAMFS_NATIVE=off"


def test_a_refusal_for_want_of_the_capability_names_it() -> None:
    assert "CAP_SYS_ADMIN" in native.refusal(errno.EPERM)
    assert os.strerror(errno.ELOOP) in native.refusal(errno.ELOOP)
