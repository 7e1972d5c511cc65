"""Files that are renamed in the folders of the writable store while their next bytes arrive: the rename is of what is
there when it is done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing

from daemon.compose import Parts, compose
from damfs.catalog import stores
from damfs.core.check import check
from damfs.core.library import Library
from damfs.core.worker_pool import WorkerPool
from damfs.model import AssetState
from damfs.presentation.fuse import native
from damfs.presentation.fuse.native import Native
from damfs.presentation.views.originals import folder_of
from damfs.presentation.views.view import Place
from tests.small_library import asset, files_below, opened, received


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    monkeypatch.setattr(native, "load", lambda: Native(None))
    with opened(tmp_path / "library") as made:
        yield made


@asynccontextmanager
async def composed(library: Library) -> AsyncIterator[tuple[Parts, trio.Nursery]]:
    async with trio.open_nursery() as nursery:
        parts = compose(library, cast("WorkerPool", None), nursery)  # no worker is asked for anything here
        yield parts, nursery
        await parts.drafts.settled()
        nursery.cancel_scope.cancel()


def day(library: Library) -> Place:
    """The folder that a file of July goes to."""
    store = library.library_store().id
    found = stores.folder_at(library.db.writer, store, [b"2024", b"07", b"15"])
    assert found is not None
    return Place("originals", (), found)


async def test_a_file_gets_its_next_bytes_while_what_it_is_renamed_over_goes(library: Library) -> None:
    """It has a second name, so that it is no next version of the other: that goes into the trash, which takes a while.
    The name is given to the new bytes, not to those that have just been kept aside."""
    clip = await received(library, "clip.txt", b"other")
    edit = await received(library, "edit.txt", b"old")
    async with composed(library) as (parts, nursery):
        edits, drafts, moved = parts.operations.edits, parts.drafts, trio.Event()
        here = day(library)
        await edits.link(edit.id, here, "twin.txt")
        draft = await drafts.begin(edit.id, truncate=True)
        await drafts.write(draft, 0, b"new bytes")

        async def move() -> None:
            await edits.move(here, "twin.txt", here, "clip.txt", replace=True)
            moved.set()

        async with library.trashing:
            nursery.start_soon(move)
            await trio.testing.wait_all_tasks_blocked()
            assert asset(library, clip.id).state is AssetState.TRASHED
            await drafts.leave(draft, writes=True)
            await drafts.at_rest(edit.id)
            assert not moved.is_set()
        await moved.wait()
        shown = {each.name: each.asset for each in stores.list_shown(library.db.writer, folder_of(here))}
    assert shown == {b"clip.txt": edit.id, b"edit.txt": edit.id}
    there = files_below(library.originals / "2024/07/15")
    assert there[b"clip.txt"] == there[b"edit.txt"] == b"new bytes"
    assert b"old" in there.values(), "the version before is kept"
    assert (await check(library, at_rest=True)).findings == []


async def test_a_file_arrives_while_what_it_is_renamed_over_loses_a_name(library: Library) -> None:
    """What is left in the folder is the file, and no promise of one: without it the folder can be removed."""
    clip = await received(library, "clip.txt", b"other")
    async with composed(library) as (parts, nursery):
        edits, drafts, moved = parts.operations.edits, parts.drafts, trio.Event()
        here = day(library)
        await edits.link(clip.id, here, "twin.txt")
        draft = await drafts.create(await edits.receive(here, "new.txt", 0o644))
        await drafts.write(draft, 0, b"new bytes")

        async def move() -> None:
            await edits.move(here, "new.txt", here, "clip.txt", replace=True)
            moved.set()

        async with library.publishing.alone():
            nursery.start_soon(move)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(partial(drafts.leave, draft, writes=True))
            await trio.testing.wait_all_tasks_blocked(0.1)
        await moved.wait()
        await drafts.at_rest(draft.asset)
        shown = {each.name: each.asset for each in stores.list_shown(library.db.writer, folder_of(here))}
        assert shown == {b"clip.txt": draft.asset, b"twin.txt": clip.id}
        assert library.db.writer.rows("SELECT * FROM destination") == []
    assert files_below(library.originals / "2024/07/15") == {b"clip.txt": b"new bytes", b"twin.txt": b"other"}
