"""Files that are renamed, replaced or removed just when they are closed, or become assets: no error that nobody
foresees, and nothing is gone for good."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import trio
import trio.testing
from pyfuse3 import FUSEError, RequestContext

from daemon.compose import Parts, compose
from damfs.core.library import Library
from damfs.core.worker_pool import WorkerPool
from damfs.model import AssetId, AssetState
from damfs.presentation.fuse import native, unfinished
from damfs.presentation.fuse.draft_files import Draft
from damfs.presentation.fuse.native import Native
from damfs.presentation.views.view import Place
from damfs.storage.blob_store import Hashed
from damfs.storage.staging import Staging
from tests.small_library import asset, assets_named, files_below, opened, received

INBOX = Place("inbox", ())
ASKED = cast("RequestContext", SimpleNamespace(uid=os.getuid(), gid=os.getgid(), pid=os.getpid()))


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


async def written(parts: Parts, name: str, data: bytes) -> Draft:
    draft = await parts.drafts.create(await parts.operations.edits.receive(INBOX, name, 0o644))
    await parts.drafts.write(draft, 0, data)
    return draft


async def test_a_file_is_renamed_over_one_that_becomes_another(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes and its name are known: by its name the known one is found."""
    known = await received(library, "clip.txt", b"one", "beach", triaged=True)
    edit = await received(library, "edit.txt", b"two")
    seal, moved = Staging.seal, trio.Event()

    async with composed(library) as (parts, nursery):

        async def move() -> None:
            await parts.operations.edits.move(INBOX, "edit.txt", INBOX, "clip.txt", replace=True)
            moved.set()

        def slowly(staging: Staging, id_: AssetId, mtime_ns: int | None = None) -> Hashed:
            trio.from_thread.run_sync(nursery.start_soon, move)
            trio.from_thread.run(trio.testing.wait_all_tasks_blocked)
            monkeypatch.undo()
            return seal(staging, id_, mtime_ns)

        draft = await written(parts, "clip.txt", b"one")
        monkeypatch.setattr(Staging, "seal", slowly)
        await parts.drafts.leave(draft, writes=True)
        await moved.wait()
    assert library.asset(draft.asset) is None
    assert {each.id for each in assets_named(library, "clip.txt")} >= {known.id}
    assert b"two" in files_below(library.originals).values()
    assert edit.blob in {each.blob for each in assets_named(library, "clip.txt")}


@pytest.mark.parametrize("waits", [True, False])
async def test_a_recording_that_was_just_closed_is_removed_into_the_trash(
    library: Library, monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    """It may go on, or it is being looked whether it may; but its bytes were all received."""
    go_on = trio.Event()

    async def slowly(library: Library, draft: Draft) -> float:
        if not waits:
            await go_on.wait()
        return unfinished.WAIT_S if waits else 0

    monkeypatch.setattr("damfs.presentation.fuse.drafts.wait_of", slowly)
    async with composed(library) as (parts, nursery):
        draft = await written(parts, "clip.ts", b"one")
        nursery.start_soon(partial(parts.drafts.leave, draft, writes=True))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(parts.operations.edits.remove, INBOX, "clip.ts")
        await trio.testing.wait_all_tasks_blocked()
        go_on.set()
        await trio.testing.wait_all_tasks_blocked(0.1)
    assert asset(library, draft.asset).state is AssetState.TRASHED
    assert list(files_below(library.originals).values()) == [b"one"]


async def test_a_recording_that_was_just_closed_is_replaced(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    edit = await received(library, "edit.ts", b"two")

    async def long(library: Library, draft: Draft) -> float:
        return unfinished.WAIT_S

    monkeypatch.setattr("damfs.presentation.fuse.drafts.wait_of", long)
    async with composed(library) as (parts, _):
        draft = await written(parts, "clip.ts", b"one")
        await parts.drafts.leave(draft, writes=True)
        await parts.operations.edits.move(INBOX, "edit.ts", INBOX, "clip.ts", replace=True)
    assert library.asset(edit.id) is None
    assert asset(library, draft.asset).blob == edit.blob


async def test_a_file_that_is_removed_while_it_is_made_is_not_left_open(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.staging.is_local = False
    create = Staging.create
    async with composed(library) as (parts, _):

        def removed_before(staging: Staging, id_: AssetId) -> int:
            trio.from_thread.run(parts.operations.edits.remove, INBOX, "clip.txt")
            return create(staging, id_)

        monkeypatch.setattr(Staging, "create", removed_before)
        inode = parts.operations.inodes.remember(INBOX)
        with pytest.raises(FUSEError):
            await parts.operations.create(inode, b"clip.txt", 0o644, os.O_RDWR, ASKED)
        await parts.drafts.settled()
        assert parts.drafts.unsettled == 0
    assert library.staging.entries() == {}
