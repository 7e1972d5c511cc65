"""What is opened are the bytes that the catalog says, whatever is moved, or written anew, at that moment."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from damfs.catalog import stores
from damfs.core.arranging import SetDestination
from damfs.core.folders import make_folder, move_file
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.superseding import supersede
from damfs.model import AssetId, FolderId, Key
from damfs.presentation.fuse.backings import Backings
from damfs.presentation.fuse.drafts import Drafts
from damfs.presentation.fuse.inodes import Inodes
from damfs.presentation.fuse.native import Native
from damfs.presentation.fuse.open_files import OpenFiles
from damfs.presentation.views.view import Thing, ThingKind
from damfs.storage.blob_store import FileFact
from damfs.storage.local import LocalStore
from tests.small_library import asset, drafted, opened, received


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


@asynccontextmanager
async def opening(library: Library) -> AsyncIterator[tuple[OpenFiles, trio.Nursery]]:
    async with trio.open_nursery() as nursery:
        native = Native(None)
        drafts = Drafts(library, Reception(library), nursery)
        yield OpenFiles(library, drafts, Backings(native), Inodes({}, lambda _: frozenset()), native), nursery
        await drafts.settled()


async def placed(library: Library, folder: FolderId, name: str, data: bytes) -> AssetId:
    id_ = drafted(library, name, data, triaged=True)
    library.perform(SetDestination(id_, folder, name.encode()), "test")
    await Reception(library).seal(id_)
    return id_


async def read(files: OpenFiles, id_: AssetId, flags: int = os.O_RDONLY) -> bytes:
    handle = (await files.open_thing(Thing(ThingKind.ASSET, id_), flags, files.inodes.handle(id_))).handle
    try:
        return await files.read(handle, 0, 9)
    finally:
        await files.release(handle)


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR])
async def test_a_file_whose_name_is_given_to_another_is_opened_all_the_same(
    library: Library, monkeypatch: pytest.MonkeyPatch, flags: int
) -> None:
    """`mv a b; mv c a`, when it was just looked where a lies."""
    folder = await make_folder(
        library, stores.root_folder(library.db.writer, library.library_store().id), b"project", 0o755
    )
    first, other = [await placed(library, folder, name, name.encode()) for name in ("a.txt", "c.txt")]
    open_ = LocalStore.open

    async def rename() -> None:
        for id_, name in ((first, b"b.txt"), (other, b"a.txt")):
            (copy,) = stores.copies_of_asset(library.db.writer, id_)
            await move_file(library, copy.id, folder, name)

    def renamed_before(store: LocalStore, key: Key) -> int:
        monkeypatch.undo()
        trio.from_thread.run(rename)
        return open_(store, key)

    async with opening(library) as (files, _):
        monkeypatch.setattr(LocalStore, "open", renamed_before)
        assert await read(files, first, flags) == b"a.txt"


async def test_a_file_that_is_opened_to_write_when_it_is_renamed_is_there(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await make_folder(
        library, stores.root_folder(library.db.writer, library.library_store().id), b"project", 0o755
    )
    first = await placed(library, folder, "a.txt", b"a.txt")
    open_ = LocalStore.open

    async def rename() -> None:
        (copy,) = stores.copies_of_asset(library.db.writer, first)
        await move_file(library, copy.id, folder, b"b.txt")

    def renamed_before(store: LocalStore, key: Key) -> int:
        monkeypatch.undo()
        trio.from_thread.run(rename)
        return open_(store, key)

    async with opening(library) as (files, _):
        monkeypatch.setattr(LocalStore, "open", renamed_before)
        assert await read(files, first, os.O_RDWR) == b"a.txt"


async def test_a_file_that_is_opened_when_its_next_version_is_put_there_is_what_it_is_said_to_be(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`mv edit clip`: the catalog still says the size and the bytes of before."""
    clip, edit = await received(library, "clip.txt", b"one"), await received(library, "edit.txt", b"edited")
    replace, seen = LocalStore.replace, list[tuple[bytes, int]]()

    async with opening(library) as (files, nursery):

        async def look() -> None:
            seen.append((await read(files, clip.id), asset(library, clip.id).size))

        def looked_after(store: LocalStore, source: Path, key: Key) -> FileFact:
            found = replace(store, source, key)
            trio.from_thread.run_sync(nursery.start_soon, look)
            trio.from_thread.run(trio.testing.wait_all_tasks_blocked, 0.05)
            return found

        monkeypatch.setattr(LocalStore, "replace", looked_after)
        await supersede(library, Reception(library), clip.id, edit.id)
    assert seen == [(b"edited", 6)]
