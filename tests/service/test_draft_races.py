"""What several programs do at the same time to a file that is being written: each reads and leaves what it meant to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from damfs.catalog import rewrites, versions
from damfs.catalog.database import Connection
from damfs.core.check import check
from damfs.core.commands import Receive
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.superseding import supersede_by_draft
from damfs.core.upkeep import repair
from damfs.errors import Unavailable
from damfs.model import AssetId, Key
from damfs.presentation.fuse import draft_files, unfinished
from damfs.presentation.fuse.drafts import Drafts
from damfs.storage.blob_store import FileFact
from damfs.storage.local import LocalStore
from damfs.storage.staging import Staging
from tests.small_library import JULY_NS, asset, assets_named, files_below, keys, opened, received

MUCH = b"x" * (draft_files.LITTLE + 1)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


def contents(library: Library, id_: AssetId) -> list[bytes]:
    found = versions.of_asset(library.db.writer, id_)
    return [library.source_paths(each.blob)[0].read_bytes() for each in found]


async def check_sound(library: Library) -> None:
    assert set(files_below(library.originals)) == set(keys(library))
    assert rewrites.every(library.db.writer) == []
    assert (await check(library, at_rest=True)).findings == []


async def new_file(library: Library, drafts: Drafts, name: str, data: bytes) -> draft_files.Draft:
    """That is being written."""
    draft = await drafts.create(library.perform(Receive(name, 0o644, triaged=False), "test"))
    await drafts.write(draft, 0, data)
    return draft


async def test_who_reads_a_file_that_is_closed_as_it_was_reads_on(library: Library) -> None:
    """Many programs open what they show to write, and close it without having written."""
    clip = await received(library, "clip.mov", b"one")
    async with trio.open_nursery() as nursery:
        drafts = Drafts(library, Reception(library), nursery)
        draft = await drafts.begin(clip.id, truncate=False)
        assert await drafts.join(clip.id, writes=False, truncate=False) is draft
        await drafts.leave(draft, writes=True)
        assert os.pread(draft.fd, 9, 0) == b"one"
        await drafts.leave(draft, writes=False)
    assert contents(library, clip.id) == [b"one"]
    await check_sound(library)


async def test_who_opens_a_file_whose_time_is_set_reads_it(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """`touch` opens it to write, sets the time and closes it."""
    clip = await received(library, "clip.mov", b"one")
    async with trio.open_nursery() as nursery:
        drafts = Drafts(library, Reception(library), nursery)
        discard, read = Staging.discard, list[draft_files.Draft]()

        async def join() -> None:
            if drafts.shown(clip.id) is not None:
                read.append(await drafts.join(clip.id, writes=False, truncate=False))

        def opened_before(staging: Staging, id_: AssetId) -> None:
            trio.from_thread.run(join)
            discard(staging, id_)

        monkeypatch.setattr(Staging, "discard", opened_before)
        draft = await drafts.begin(clip.id, truncate=False)
        drafts.times_set(clip.id, 5)
        await drafts.leave(draft, writes=True)
        monkeypatch.undo()
        for each in read:
            assert os.pread(each.fd, 9, 0) == b"one"
            assert drafts.get(clip.id) is None
            await drafts.leave(each, writes=False)
    assert asset(library, clip.id).mtime_ns == 5
    assert contents(library, clip.id) == [b"one"]
    await check_sound(library)


async def test_a_file_that_is_cut_is_not_closed_meanwhile(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name, while its writer closes it: its descriptor would be another's by then."""
    cut = os.ftruncate
    async with trio.open_nursery() as nursery:
        drafts = Drafts(library, Reception(library), nursery)
        draft = await new_file(library, drafts, "clip.bin", MUCH)

        def left_before(fd: int, size: int) -> None:
            trio.from_thread.run(partial(drafts.leave, draft, writes=True))
            cut(fd, size)

        monkeypatch.setattr(os, "ftruncate", left_before)
        await drafts.truncate(draft.asset, 3)
        monkeypatch.undo()
        await drafts.settled()
    assert contents(library, draft.asset) == [b"xxx"]
    assert asset(library, draft.asset).size == 3
    await check_sound(library)


@pytest.mark.parametrize("moved", [True, False])
async def test_a_rename_waits_for_last_closes_that_are_not_done_with(
    library: Library, monkeypatch: pytest.MonkeyPatch, moved: bool
) -> None:
    """It is looked for the end of what is moved, or of what is replaced by that."""
    clip = await received(library, "clip.bin", b"one")
    wait_of, go_on = unfinished.wait_of, trio.Event()

    async def slowly(library: Library, draft: draft_files.Draft) -> float:
        await go_on.wait()
        return await wait_of(library, draft)

    async with trio.open_nursery() as nursery:
        drafts = Drafts(library, Reception(library), nursery)
        monkeypatch.setattr("damfs.presentation.fuse.drafts.wait_of", slowly)
        source = await new_file(library, drafts, "edit.bin", b"two")
        target = await drafts.begin(clip.id, truncate=False)
        if not moved:
            await drafts.write(target, 0, b"kept")
        nursery.start_soon(partial(drafts.leave, target, writes=True))
        if moved:
            nursery.start_soon(partial(drafts.leave, source, writes=True))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(drafts.supersede, clip.id, source.asset, [])
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert library.asset(source.asset) is not None
        go_on.set()
        await trio.testing.wait_all_tasks_blocked(0.05)
        if not moved:
            await drafts.leave(source, writes=True)
        await drafts.settled()
    assert contents(library, clip.id) == ([b"one", b"two"] if moved else [b"one", b"kept", b"two"])
    await check_sound(library)


async def test_a_file_that_is_closed_while_the_one_it_replaces_is_sealed(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editor that saves twice in a moment: the kernel tells of a close after the rename that follows it."""
    clip = await received(library, "clip.bin", b"one")
    place, placed = LocalStore.place, trio.Event()
    async with trio.open_nursery() as nursery:
        reception = Reception(library)
        drafts = Drafts(library, reception, nursery)
        first = await new_file(library, drafts, "first", b"two")

        def slowly(store: LocalStore, staged: Path, key: Key) -> FileFact:
            found = place(store, staged, key)
            trio.from_thread.run_sync(placed.set)
            trio.from_thread.run(trio.testing.wait_all_tasks_blocked, 0.1)
            return found

        monkeypatch.setattr(LocalStore, "place", slowly)
        async with reception.rewritten(clip.id):
            nursery.start_soon(drafts.supersede, clip.id, first.asset, [])
            await trio.testing.wait_all_tasks_blocked()
            await drafts.leave(first, writes=True)
            await placed.wait()
        await trio.testing.wait_all_tasks_blocked(0.2)
        await drafts.settled()
    assert contents(library, clip.id) == [b"one", b"two"]
    assert library.asset(first.asset) is None
    await check_sound(library)


@pytest.mark.parametrize("closed", [True, False])
async def test_a_file_that_is_opened_while_it_is_renamed_over_an_original(
    library: Library, monkeypatch: pytest.MonkeyPatch, closed: bool
) -> None:
    """Who opens it is to look for it once more: what he writes would else be written into an original."""
    clip = await received(library, "clip.bin", b"one")
    hand_over, opened_then = Staging.hand_over, list[bool]()
    async with trio.open_nursery() as nursery:
        drafts = Drafts(library, Reception(library), nursery)
        draft = await new_file(library, drafts, "clip.tmp", b"two")
        source = draft.asset
        if closed:
            await drafts.leave(draft, writes=True)
            await drafts.settled()

        async def open_again() -> None:
            await drafts.sealed(source)
            opened_then.append(library.asset(source) is not None)

        def opened_before(staging: Staging, old: AssetId, new: AssetId) -> None:
            trio.from_thread.run_sync(nursery.start_soon, open_again)
            trio.from_thread.run(trio.testing.wait_all_tasks_blocked)
            hand_over(staging, old, new)

        monkeypatch.setattr(Staging, "hand_over", opened_before)
        await drafts.supersede(clip.id, source, [])
        if not closed:
            await drafts.leave(draft, writes=True)
        await drafts.settled()
    assert opened_then == [False]
    assert contents(library, clip.id) == [b"one", b"two"]
    await check_sound(library)


@pytest.mark.parametrize("goes_on", [True, False])
@pytest.mark.parametrize("in_the_end", ["free", "held"])
async def test_what_a_catalog_that_is_held_does_not_take_over_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: bool, in_the_end: str
) -> None:
    """`mv clip.mov.part clip.mov` while its writer goes on, or has closed it. Held for good, a start mends the rest."""
    hand_over = Staging.hand_over
    with opened(tmp_path / "library") as library, closing(Connection(library.db.path)) as other:
        library.db.writer._apsw.set_busy_timeout(1)

        def held_afterwards(staging: Staging, id_: AssetId, to: AssetId) -> None:
            hand_over(staging, id_, to)
            if to == clip.id:
                other.script("BEGIN IMMEDIATE")
            elif in_the_end == "free":
                other.script("ROLLBACK")

        monkeypatch.setattr(Staging, "hand_over", held_afterwards)
        clip = await received(library, "clip.mov", b"one")
        async with trio.open_nursery() as nursery:
            drafts = Drafts(library, Reception(library), nursery)
            draft = await new_file(library, drafts, "clip.mov.part", b"two")
            if not goes_on:
                await drafts.leave(draft, writes=True)
            with pytest.raises(Unavailable, match="cannot be written"):
                await drafts.supersede(clip.id, draft.asset, [])
            if in_the_end == "held":
                other.script("ROLLBACK")
            if goes_on:
                await drafts.write(draft, 3, b" more")
                await drafts.leave(draft, writes=True)
            await drafts.settled()
            nursery.cancel_scope.cancel()
    monkeypatch.undo()
    with opened(tmp_path / "library") as library:
        await repair(library, Reception(library))
        assert contents(library, clip.id) == [b"one"]
        (part,) = assets_named(library, "clip.mov.part")
        assert library.staging.path(part.id).read_bytes() == (b"two more" if goes_on else b"two")
        await supersede_by_draft(library, Reception(library), clip.id, part.id, 3, JULY_NS, closed=True)
        await Reception(library).seal(clip.id)
        assert contents(library, clip.id) == [b"one", b"two more" if goes_on else b"two"], "tried again it is done"
        await check_sound(library)
