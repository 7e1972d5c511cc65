"""A fault of damfs with one of the files that the native module made: the others are taken over all the same.

The module is stood in for by what it tells; that a mount tells so is what `tests/mount/test_making.py` is about.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing

from daemon.compose import Parts, compose
from damfs.core.library import Library
from damfs.core.making import ReserveNumbers
from damfs.core.worker_pool import WorkerPool
from damfs.model import AssetId
from damfs.presentation.fuse import native
from damfs.presentation.fuse.drafts import Drafts
from damfs.presentation.fuse.inodes import ASSET_MARK
from damfs.presentation.fuse.native import Made, Native, Received
from damfs.presentation.views.edits import Edits
from damfs.presentation.views.view import Place
from tests.small_library import JULY_NS, files_below, opened

INBOX = Place("inbox", ())
FIRST_HANDLE = 1 << 40


class Telling(Native):
    """It tells what a test says."""

    def __init__(self) -> None:
        super().__init__(None)
        self.news: list[Received] = []

    def received(self) -> Iterator[Received]:
        while self.news:
            yield self.news.pop(0)

    @property
    def waker(self) -> int | None:
        return 0


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Telling:
    telling = Telling()
    monkeypatch.setattr(native, "load", lambda: telling)
    return telling


@pytest.fixture
def library(tmp_path: Path, module: Telling) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


@asynccontextmanager
async def composed(library: Library) -> AsyncIterator[Parts]:
    async with trio.open_nursery() as nursery:
        parts = compose(library, cast("WorkerPool", None), nursery)  # no worker is asked for anything here
        parts.making.like(INBOX, parts.operations.inodes.remember(INBOX), b"first.dat", 1)
        yield parts
        await parts.drafts.settled()
        nursery.cancel_scope.cancel()


def made(library: Library, id_: AssetId, name: str, *, closed: bool) -> Received:
    """A file of the staging area that nobody but the module knows of."""
    fd, data = library.staging.create(id_), name.encode()
    os.write(fd, data)
    file = Made(name, 0o644, JULY_NS, fd, undisturbed=False)
    return Received(FIRST_HANDLE + id_, ASSET_MARK | id_, len(data), JULY_NS, closed, file)


def open_files(library: Library) -> set[str]:
    """Names of the files of the staging area that the process has open, or had removed."""
    links = {os.readlink(entry) for entry in os.scandir("/proc/self/fd") if os.path.lexists(entry)}
    staging = os.path.dirname(library.staging.path(AssetId(0)))
    return {os.path.basename(link).removesuffix(" (deleted)") for link in links if os.path.dirname(link) == staging}


@pytest.mark.expect_warnings("what was done to new files could not be noted")
@pytest.mark.parametrize(("part", "step"), [(Edits, "arrived"), (Drafts, "begin_seal"), (Drafts, "made")])
async def test_a_fault_with_one_file_is_not_that_of_the_others(
    library: Library, module: Telling, monkeypatch: pytest.MonkeyPatch, part: type, step: str
) -> None:
    real, faults = getattr(part, step), list[RuntimeError]()

    def once(*arguments: object) -> object:
        if not faults:
            faults.append(RuntimeError("a fault of damfs"))
            raise faults[0]
        return real(*arguments)

    async with composed(library) as parts:
        first = library.perform(ReserveNumbers(4), "test")
        names = ["a.dat", "b.dat", "c.dat", "d.dat"]
        for number, name in enumerate(names):
            module.news.append(made(library, AssetId(first + number), name, closed=number % 2 == 0))
        with monkeypatch.context() as patch:
            patch.setattr(part, step, once)
            parts.making.catch_up()
        assert faults
        assert library.counters["fuse_unexpected_errors"] == 1
        assert not parts.making.unsettled
        last = FIRST_HANDLE + first + 3
        await parts.operations.files.write(last, 0, b"D")
        await parts.operations.files.release(last)
        await parts.drafts.settled()
        assert open_files(library).isdisjoint({str(first), str(first + 2), str(first + 3)}), "closed is closed"
    stored = set(files_below(library.originals).values())
    assert {b"c.dat", b"D.dat"} <= stored, "of the files behind the one with the fault"
