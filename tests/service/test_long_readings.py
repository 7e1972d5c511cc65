"""Reading a huge file holds up nobody: never while the gate of publishing is closed. What was read is believed if
nothing happened to the file since."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from damfs.catalog import stores
from damfs.core.gate import Gate
from damfs.core.good_copies import good_copy
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.verify import verify
from damfs.core.verify_report import Verdict
from damfs.model import AssetId, CopyState, Key
from damfs.storage.blob_store import Hashed
from tests.small_library import drafted, opened, overwritten, received, the_asset

TICK_S = 0.02
"""More than it takes until a changed file has another time."""
KEY = Key(b"2024/07/15/clip.mov")


class Watched(Gate):
    """Tells whether somebody is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = 0

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        async with super().together():
            self.inside += 1
            yield
            self.inside -= 1

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        async with super().alone():
            self.inside += 1
            yield
            self.inside -= 1


@pytest.fixture
def gate() -> Watched:
    return Watched()


@pytest.fixture
def library(tmp_path: Path, gate: Watched) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        made.publishing = gate
        yield made


def watch_readings(library: Library, read: Callable[[Key], object]) -> None:
    """``read`` is called after each reading of a file of the library's store, in its thread."""
    files = library.blob_store(library.library_store().id)
    hash_now = files.hash

    def hash_and_tell(key: Key, watch: Callable[[int], object] | None = None) -> Hashed:
        hashed = hash_now(key, watch)
        threading.Event().wait(TICK_S)
        read(key)
        return hashed

    files.hash = hash_and_tell  # type: ignore[method-assign]  # spied on


def rot(library: Library, key: Key = KEY) -> None:
    path = library.originals / os.fsdecode(key)
    status = path.stat()
    path.write_bytes(bytes(status.st_size))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def state(library: Library, id_: AssetId) -> list[CopyState]:
    return [copy.state for copy in stores.copies_of_asset(library.db.writer, id_)]


async def verifying(library: Library, id_: AssetId) -> bool:
    report = await verify(library, library.stores())
    return report.counts == {Verdict.GOOD: len(stores.copies_of_asset(library.db.writer, id_))}


async def relying(library: Library, id_: AssetId) -> bool:
    (copy, *_) = stores.copies_of_asset(library.db.writer, id_)
    return await good_copy(library, [copy], stores.digest_of(library.db.writer, copy.blob)) is not None


READERS = pytest.mark.parametrize("is_good", [verifying, relying])
IsGood = Callable[[Library, AssetId], Awaitable[bool]]


@pytest.mark.parametrize(
    "is_good", [verifying, pytest.param(relying, marks=pytest.mark.expect_warnings("a copy is damaged"))]
)
async def test_a_damaged_file_is_read_once_and_outside_of_the_gate(
    library: Library, gate: Watched, is_good: IsGood
) -> None:
    known = await received(library, "clip.mov", b"clip")
    rot(library)
    readings: list[int] = []
    watch_readings(library, lambda _: readings.append(gate.inside))
    assert not await is_good(library, known.id)
    assert readings == [0]
    assert state(library, known.id) == [CopyState.DAMAGED]


@READERS
async def test_what_was_touched_since_is_read_again(library: Library, is_good: IsGood) -> None:
    """Bad bytes were read, then somebody brought the good ones back: with the same size and time."""
    known = await received(library, "clip.mov", b"clip")
    path = library.originals / os.fsdecode(KEY)
    mtime_ns = path.stat().st_mtime_ns
    rot(library)
    readings: list[Key] = []

    def mend(key: Key) -> None:
        readings.append(key)
        path.write_bytes(b"clip")
        os.utime(path, ns=(mtime_ns, mtime_ns))

    watch_readings(library, mend)
    assert await is_good(library, known.id)
    assert len(readings) == 2
    assert state(library, known.id) == [CopyState.PRESENT]


@READERS
async def test_what_changes_at_each_reading_is_not_marked_and_not_relied_on(library: Library, is_good: IsGood) -> None:
    known = await received(library, "clip.mov", b"clip")
    path = library.originals / os.fsdecode(KEY)
    readings: list[Key] = []

    def change(key: Key) -> None:
        readings.append(key)
        path.write_bytes(b"%d" % len(readings))

    change(KEY)
    watch_readings(library, change)
    with trio.fail_after(60):
        assert not await is_good(library, known.id)
    assert len(readings) < 10
    assert state(library, known.id) == [CopyState.PRESENT]


async def test_a_next_version_that_comes_meanwhile_is_no_damage(library: Library) -> None:
    known = await received(library, "clip.mov", b"clip")
    token = trio.lowlevel.current_trio_token()
    pending = [b"next"]

    def put_next(_: Key) -> None:
        while pending:
            trio.from_thread.run(overwritten, library, known.id, pending.pop(), trio_token=token)

    watch_readings(library, put_next)
    assert (await verify(library, library.stores())).troubles == []
    assert state(library, known.id) == [CopyState.PRESENT] * 2
    again = drafted(library, "clip.mov", b"next")
    assert await Reception(library).seal(again) == the_asset(library, "clip.mov").id
