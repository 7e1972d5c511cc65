"""Files that the native module made while the catalog did not take them: nobody is told more than is true.

The module is played by a script; library, drafts and staging are real.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing

from daemon.compose import Parts, compose
from damfs.catalog import assets
from damfs.core.commands import Receive
from damfs.core.library import Library
from damfs.core.making import EnterMade, ReserveNumbers
from damfs.core.worker_pool import WorkerPool
from damfs.errors import NoSpace
from damfs.model import AssetId, AssetState
from damfs.presentation.fuse import native
from damfs.presentation.fuse.inodes import ASSET_MARK
from damfs.presentation.fuse.making import SEVERAL
from damfs.presentation.fuse.native import Made, Native, Received
from damfs.presentation.views.view import Place
from tests.small_library import assets_named, drafted, opened, the_asset

INBOX = Place("inbox", ())
AT_NS = 1_721_044_800_000_000_000
HANDLES = 1 << 62


class Script(Native):
    """What the module would say, and which numbers it may give."""

    def __init__(self) -> None:
        super().__init__(None)
        self.numbers: range = range(0)
        self.news: list[Received] = []
        self.may = False

    @property
    def waker(self) -> int | None:
        return 0

    @property
    def numbers_left(self) -> int:
        return len(self.numbers)

    def give_numbers(self, first: int, number: int) -> None:
        self.numbers = range(first, first + number)

    def may_make(self, handle: int, staging: int, notes: int, mark: int) -> None:
        self.may = True

    def make_no_more(self) -> None:
        self.may = False

    def received(self) -> Iterator[Received]:
        while self.news:
            yield self.news.pop(0)

    def makes(self, library: Library, name: str, content: bytes, *, closed: bool) -> int:
        """A file; its handle."""
        number, self.numbers = self.numbers[0], self.numbers[1:]
        fd = library.staging.create(AssetId(number))
        os.write(fd, content)
        made = Made(name, 0o644, AT_NS, fd, undisturbed=False)
        self.news.append(Received(HANDLES | number, ASSET_MARK | number, len(content), AT_NS + 1, closed, made))
        return HANDLES | number


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    made = Script()
    monkeypatch.setattr(native, "load", lambda: made)
    return made


def begun(library: Library, nursery: trio.Nursery) -> Parts:
    """A daemon's parts that are about to have files made in the inbox."""
    parts = compose(library, cast("WorkerPool", None), nursery)  # no worker is asked for anything here
    begin_again(parts)
    return parts


def goes_on(script: Script) -> bool:
    """A function, so that mypy does not remember the answer."""
    return script.may


def begin_again(parts: Parts) -> None:
    parts.making.like(INBOX, parts.operations.inodes.number(INBOX), b"first.bin", 1)


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Has the catalog take no made file, or take them again."""
    apply = EnterMade.apply

    def refuse(command: EnterMade, x: object) -> None:
        raise NoSpace("no space left for the catalog")

    return lambda on: monkeypatch.setattr(EnterMade, "apply", refuse if on else apply)


async def settled(parts: Parts) -> None:
    while parts.making.unsettled or parts.drafts.unsettled:  # noqa: ASYNC110  # it is tried again by the clock
        await trio.sleep(1)


@pytest.mark.expect_warnings("could not be entered into the catalog")
async def test_files_are_not_made_while_the_catalog_takes_none(
    library: Library, script: Script, refusing: Callable[[bool], None], autojump_clock: trio.testing.MockClock
) -> None:
    async with trio.open_nursery() as nursery:
        parts = begun(library, nursery)
        assert goes_on(script)
        refusing(True)
        script.makes(library, "one.bin", b"one", closed=True)
        parts.making.catch_up()
        assert parts.making.unsettled == 1
        assert not goes_on(script), "who makes the next is to be told of it"
        begin_again(parts)
        assert not goes_on(script)
        refusing(False)
        await settled(parts)
        begin_again(parts)
        assert goes_on(script)
    assert the_asset(library, "one.bin").state is AssetState.PRESENT


@pytest.mark.expect_warnings("could not be entered into the catalog")
async def test_a_file_whose_writer_was_told_of_an_error_is_dropped(
    library: Library, script: Script, refusing: Callable[[bool], None], autojump_clock: trio.testing.MockClock
) -> None:
    """As any other whose writing failed: what is left is not whole."""
    async with trio.open_nursery() as nursery:
        parts = begun(library, nursery)
        refusing(True)
        half = script.makes(library, "half.bin", b"its beginning", closed=False)
        whole = script.makes(library, "whole.bin", b"all of it", closed=False)
        parts.making.catch_up()
        with pytest.raises(NoSpace):
            await parts.operations.files.write(half, 1 << 20, b"its end")
        assert parts.making.closes(half)
        assert parts.making.closes(whole)
        refusing(False)
        await settled(parts)
    assert assets_named(library, "half.bin") == []
    assert the_asset(library, "whole.bin").state is AssetState.PRESENT
    assert library.staging.entries() == {}


@pytest.mark.expect_warnings("names of the inbox could not be read")
async def test_names_that_cannot_be_read_end_nothing(
    library: Library, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[str]:
        raise NoSpace("the catalog cannot be read")

    monkeypatch.setattr(assets, "names_of", broken)
    async with trio.open_nursery() as nursery:
        parts = begun(library, nursery)
        for number in range(SEVERAL):
            script.makes(library, f"{number}.bin", b"%d" % number, closed=True)
        parts.making.catch_up()
        await trio.testing.wait_all_tasks_blocked()
        await parts.drafts.settled()
    assert the_asset(library, "0.bin").state is AssetState.PRESENT


@pytest.mark.parametrize("counter", ["UPDATE sqlite_sequence SET seq = 0", "DELETE FROM sqlite_sequence", "SELECT 1"])
def test_numbers_are_those_of_no_asset_whatever_the_counter_says(library: Library, counter: str) -> None:
    """As SQLite itself gives them; `damfs check` mends the counter."""
    known = [drafted(library, name, b"x") for name in ("one.bin", "two.bin")]
    library.db.writer.run(counter)
    first = library.perform(ReserveNumbers(10), "test")
    assert first > max(known)
    assert library.perform(Receive("three.bin", 0o644, triaged=False), "test") >= first + 10
