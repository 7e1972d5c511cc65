"""What two of a library's tasks do to one asset at the same time: whoever comes second, no bytes are lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from damfs.catalog import folders, stores, versions
from damfs.core.arranging import SetDestination
from damfs.core.check import check
from damfs.core.commands import Receive, Rename, Trash
from damfs.core.folders import make_folder, remove_folder
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.rewriting import BeginRewrite, CloseRewrite
from damfs.core.trash_commands import Restore, ReturnTo
from damfs.core.trashing import settle, trash_assets
from damfs.core.upkeep import repair
from damfs.core.verify import verify
from damfs.core.verify_report import ExitCode
from damfs.model import AssetId, AssetState, FolderId, Key
from damfs.presentation.fuse.drafts import Drafts
from damfs.storage.blob_store import FileFact
from damfs.storage.local import LocalStore
from damfs.storage.staging import Staging
from tests.small_library import JULY_NS, asset, drafted, files_below, keys, opened, overwritten, received, the_asset

ENOUGH_S = 0.5
"""For sealing three bytes, if nothing keeps it from it."""


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


def contents(library: Library, id_: AssetId) -> list[bytes]:
    found = versions.of_asset(library.db.writer, id_)
    return [library.source_paths(each.blob)[0].read_bytes() for each in found]


def staged_again(library: Library, id_: AssetId, data: bytes, *, closed: bool = True) -> None:
    os.close(library.staging.stage_copy(id_, None))
    library.staging.path(id_).write_bytes(data)
    library.perform(BeginRewrite(id_, len(data)), "test")
    if closed:
        library.perform(CloseRewrite(id_, len(data), JULY_NS), "test")


async def placed(library: Library, folder: FolderId, name: str, data: bytes) -> AssetId:
    """A file that was written into a folder."""
    id_ = drafted(library, name, data, triaged=True)
    library.perform(SetDestination(id_, folder, name.encode()), "test")
    await Reception(library).seal(id_)
    return id_


async def folder_of(library: Library, name: bytes) -> FolderId:
    return await make_folder(library, stores.root_folder(library.db.writer, library.library_store().id), name, 0o755)


async def check_sound(library: Library) -> None:
    assert set(files_below(library.originals)) == set(keys(library))
    assert (await check(library, at_rest=True)).findings == []


async def test_a_file_that_is_renamed_while_it_is_sealed_is_sealed_under_its_name(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download: closed under its temporary name, and renamed just when that was seen to be one."""
    id_ = drafted(library, "clip.mov.part", b"clip")
    seal = Reception.seal

    async with trio.open_nursery() as nursery:
        drafts = Drafts(library, Reception(library), nursery)

        async def renamed_after_it_was_looked_at(reception: Reception, id_: AssetId) -> AssetId | None:
            sealed = await seal(reception, id_)
            if sealed is None:
                library.perform(Rename(id_, "clip.mov"), "test")
                drafts.begin_seal(id_)
            return sealed

        monkeypatch.setattr(Reception, "seal", renamed_after_it_was_looked_at)
        drafts.begin_seal(id_)
        await drafts.settled()
    assert asset(library, id_).state is AssetState.PRESENT
    assert files_below(library.originals) == {b"2024/07/15/clip.mov": b"clip"}


async def test_a_file_that_is_closed_while_it_is_renamed_over_an_original_is_its_next_version(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = await received(library, "clip.mov", b"one")
    source = library.perform(Receive("clip.tmp", 0o644, triaged=False), "test")
    begun, hand_over = trio.Event(), Staging.hand_over

    def slowly(staging: Staging, old: AssetId, new: AssetId) -> None:
        trio.from_thread.run_sync(begun.set)
        trio.from_thread.run(trio.testing.wait_all_tasks_blocked)
        hand_over(staging, old, new)

    monkeypatch.setattr(Staging, "hand_over", slowly)
    async with trio.open_nursery() as nursery:
        drafts = Drafts(library, Reception(library), nursery)
        draft = await drafts.create(source)
        await drafts.write(draft, 0, b"two")
        nursery.start_soon(drafts.supersede, clip.id, source, [])
        await begun.wait()
        await drafts.leave(draft, writes=True)
        await drafts.settled()
    assert contents(library, clip.id) == [b"one", b"two"]
    assert library.asset(source) is None
    await check_sound(library)


async def test_what_is_being_dropped_is_not_settled_yet(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """`damfs status --wait` would else return while the catalog still says that an original is being written."""
    clip = await received(library, "clip.mov", b"one")
    discard, counted = Staging.discard, list[int]()

    async with trio.open_nursery() as nursery:
        drafts = Drafts(library, Reception(library), nursery)

        def looked_at(staging: Staging, id_: AssetId) -> None:
            counted.append(trio.from_thread.run_sync(lambda: drafts.unsettled))
            discard(staging, id_)

        monkeypatch.setattr(Staging, "discard", looked_at)
        await drafts.leave(await drafts.begin(clip.id, truncate=False), writes=True)
        broken = await drafts.create(library.perform(Receive("broken.mov", 0o644, triaged=False), "test"))
        broken.lost_at = 0
        await drafts.leave(broken, writes=True)
        assert drafts.unsettled == 0
    assert counted == [1, 1]
    await check_sound(library)


async def test_a_version_that_arrives_while_its_asset_goes_into_the_trash(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has its name in the trash already, and its old name is about to be removed: nobody may put the next
    version there."""
    clip = await received(library, "clip.mov", b"one")
    staged_again(library, clip.id, b"two")
    link, sealed = LocalStore.link, trio.Event()

    async def seal() -> None:
        await Reception(library).seal(clip.id)
        sealed.set()

    async def meanwhile(nursery: trio.Nursery) -> None:
        nursery.start_soon(seal)
        with trio.move_on_after(ENOUGH_S):
            await sealed.wait()

    async with trio.open_nursery() as nursery:

        def linked(store: LocalStore, key: Key, new_key: Key) -> FileFact:
            found = link(store, key, new_key)
            if new_key.startswith(b".damfs-trash/"):
                monkeypatch.setattr(LocalStore, "link", link)
                trio.from_thread.run(meanwhile, nursery)
            return found

        monkeypatch.setattr(LocalStore, "link", linked)
        await trash_assets(library, [clip.id], "test")
    await settle(library, [clip.id])
    assert asset(library, clip.id).state is AssetState.TRASHED
    assert contents(library, clip.id) == [b"one", b"two"]
    await check_sound(library)


@pytest.mark.expect_warnings("was interrupted; what was written over it")
async def test_what_was_written_over_a_file_in_a_folder_comes_back_beside_it(library: Library) -> None:
    """Otherwise nothing shows it that may be written."""
    folder = await folder_of(library, b"project")
    for name in ("clip.mov", "clip.mov.part~2"):
        await placed(library, folder, name, name.encode())
    clip = the_asset(library, "clip.mov")
    staged_again(library, clip.id, b"half of", closed=False)
    await repair(library, Reception(library))
    part = the_asset(library, "clip.mov.part")
    assert folders.destination(library.db.writer, part.id) == (folder, b"clip.mov.part")
    assert contents(library, clip.id) == [b"clip.mov"]
    assert (await check(library, at_rest=True)).findings == []


async def test_an_earlier_version_does_not_bring_a_removed_folder_back(library: Library) -> None:
    """Restored into another folder: what the first one held of it goes there as well."""
    first, second = await folder_of(library, b"first"), await folder_of(library, b"second")
    clip = await placed(library, first, "clip.mov", b"one")
    await overwritten(library, clip, b"two")
    await trash_assets(library, [clip], "test")
    await remove_folder(library, first)
    library.execute([ReturnTo(clip, second), Restore(clip)], "test")
    await settle(library, [clip])
    assert files_below(library.originals) == {b"second/clip.mov": b"two", b"second/clip~v1.mov": b"one"}
    assert contents(library, clip) == [b"one", b"two"]
    await check_sound(library)


async def test_a_trashed_asset_that_is_written_is_still_trashed(library: Library) -> None:
    clip = await received(library, "clip.mov", b"one")
    staged_again(library, clip.id, b"two")
    library.perform(Trash(clip.id), "test")
    await Reception(library).seal(clip.id)
    await settle(library, [clip.id])
    assert {key.partition(b"/")[0] for key in files_below(library.originals)} == {b".damfs-trash"}
    await check_sound(library)


async def test_a_copy_whose_place_a_next_version_takes_is_not_taken_for_damaged(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody sends the bytes of a version just when the next one lies at its key, but is not yet in the catalog."""
    clip = await received(library, "clip.mov", b"one")
    staged_again(library, clip.id, b"two")
    again = drafted(library, "again.mov", b"one")
    replace, sealed = LocalStore.replace, trio.Event()

    async def seal_again() -> None:
        await Reception(library).seal(again)
        sealed.set()

    async def meanwhile(nursery: trio.Nursery) -> None:
        nursery.start_soon(seal_again)
        with trio.move_on_after(ENOUGH_S):
            await sealed.wait()

    async with trio.open_nursery() as nursery:

        def replaced(store: LocalStore, source: Path, key: Key) -> FileFact:
            found = replace(store, source, key)
            trio.from_thread.run(meanwhile, nursery)
            return found

        monkeypatch.setattr(LocalStore, "replace", replaced)
        await Reception(library).seal(clip.id)
    assert {state for _, state in keys(library).values()} == {"present"}
    assert contents(library, clip.id) == [b"one", b"two"]
    assert contents(library, again) == [b"one"]
    await check_sound(library)


async def test_verify_takes_no_file_for_damaged_whose_next_version_is_on_its_way(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = await received(library, "clip.mov", b"one")
    staged_again(library, clip.id, b"two")
    replace, reports = LocalStore.replace, []

    async def read_all() -> None:
        reports.append(await verify(library, library.stores()))

    async def meanwhile(nursery: trio.Nursery) -> None:
        nursery.start_soon(read_all)
        with trio.move_on_after(ENOUGH_S):
            while not reports:
                await trio.testing.wait_all_tasks_blocked(ENOUGH_S / 10)

    async with trio.open_nursery() as nursery:

        def replaced(store: LocalStore, source: Path, key: Key) -> FileFact:
            found = replace(store, source, key)
            trio.from_thread.run(meanwhile, nursery)
            return found

        monkeypatch.setattr(LocalStore, "replace", replaced)
        await Reception(library).seal(clip.id)
    assert [report.exit_code for report in reports] == [ExitCode.CLEAN]
    assert {state for _, state in keys(library).values()} == {"present"}
