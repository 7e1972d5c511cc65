"""What two of a library's tasks do to one asset at the same time: whoever comes second, no bytes are lost."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from damfs.catalog import assets, folders, stores, versions
from damfs.core.arranging import AddName, SetDestination
from damfs.core.check import check
from damfs.core.commands import Receive, Rename, Trash
from damfs.core.filing import file_by_capture
from damfs.core.folders import make_folder, remove_folder
from damfs.core.good_copies import GoodCopy
from damfs.core.library import Library
from damfs.core.orphans import same_bytes_at
from damfs.core.reception import Reception
from damfs.core.rewriting import BeginRewrite, CloseRewrite
from damfs.core.superseding import supersede
from damfs.core.trash_commands import Restore, ReturnTo
from damfs.core.trashing import settle, trash_assets
from damfs.core.upkeep import repair
from damfs.core.verify import verify
from damfs.core.verify_report import ExitCode
from damfs.model import AssetId, AssetState, Digest, FolderId, Key
from damfs.presentation.fuse.drafts import Drafts
from damfs.presentation.fuse.opened import file_of
from damfs.storage.blob_store import BlobStore, FileFact, Hashed
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


async def test_a_reader_who_leaves_before_the_last_close_is_done_leaves_the_file_open(library: Library) -> None:
    """It would else be closed twice, and cut short: by then its descriptor may be that of an original."""
    clip = await received(library, "clip.mov", b"one")
    async with trio.open_nursery() as nursery:
        reception = Reception(library)
        drafts = Drafts(library, reception, nursery)
        draft = await drafts.begin(clip.id, truncate=False)
        assert await drafts.join(clip.id, writes=False, truncate=False) is draft
        file = file_of(draft.fd)
        async with reception.rewritten(clip.id):
            nursery.start_soon(partial(drafts.leave, draft, writes=True))
            await trio.testing.wait_all_tasks_blocked()
            await drafts.leave(draft, writes=False)
            assert file_of(draft.fd) == file
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(draft.fd)
    assert contents(library, clip.id) == [b"one"]
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


async def test_a_file_that_is_replaced_just_before_it_gets_a_second_name_gives_none(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of known bytes arrives, while a next version takes the place of the file that has them."""
    clip = await received(library, "clip.mov", b"one")
    link, linked = LocalStore.link, list[Key]()

    def replaced_before(store: LocalStore, key: Key, new_key: Key) -> FileFact:
        linked.append(new_key)
        if len(linked) == 1:
            trio.from_thread.run(overwritten, library, clip.id, b"two")
        return link(store, key, new_key)

    monkeypatch.setattr(LocalStore, "link", replaced_before)
    copy = await received(library, "copy.mov", b"one")
    assert linked[:1] == [b"2024/07/15/copy.mov"]
    assert (contents(library, copy.id), contents(library, clip.id)) == ([b"one"], [b"one", b"two"])
    assert files_below(library.originals)[b"2024/07/15/copy.mov"] == b"one"
    await check_sound(library)


@pytest.mark.parametrize("how", ["overwritten", "renamed over"])
async def test_a_file_that_is_replaced_just_before_it_is_staged_is_not_taken_for_what_was_read(
    library: Library, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    known, target = await received(library, "a.mov", b"one"), await received(library, "clip.mov", b"zero")
    edit = await received(library, "edit.mov", b"one")
    stage, staged = Staging.stage_link, list[Path]()

    def replaced_before(staging: Staging, id_: AssetId, path: Path, read: FileFact) -> bool:
        staged.append(path)
        if len(staged) == 1:
            trio.from_thread.run(overwritten, library, known.id, b"two")
        return stage(staging, id_, path, read)

    monkeypatch.setattr(Staging, "stage_link", replaced_before)
    if how == "overwritten":
        await overwritten(library, target.id, b"one")
    else:
        await supersede(library, Reception(library), target.id, edit.id)
    assert staged[0].name == "a.mov"
    assert contents(library, target.id) == [b"zero", b"one"]
    assert contents(library, known.id) == [b"one", b"two"]
    assert files_below(library.originals)[b"2024/07/15/clip.mov"] == b"one"
    await check_sound(library)


async def test_a_file_that_is_replaced_while_it_is_filed_by_its_day_is_filed_first(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = await received(library, "clip.mov", b"one")
    assert clip.blob is not None
    with library.db.transaction() as tx:
        assets.set_day(tx, clip.id, "2023-01-02", None)
    staged_again(library, clip.id, b"two")
    link = LocalStore.link

    async with trio.open_nursery() as nursery:

        def replaced_before(store: LocalStore, key: Key, new_key: Key) -> FileFact:
            trio.from_thread.run_sync(nursery.start_soon, Reception(library).seal, clip.id)
            trio.from_thread.run(trio.testing.wait_all_tasks_blocked, 0.05)
            monkeypatch.undo()
            return link(store, key, new_key)

        monkeypatch.setattr(LocalStore, "link", replaced_before)
        await file_by_capture(library, clip.blob)
    assert files_below(library.originals) == {b"2023/01/02/clip.mov": b"two", b"2023/01/02/clip~v1.mov": b"one"}
    await check_sound(library)


async def test_a_file_that_gets_its_next_version_while_it_is_healed_keeps_it(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same file comes once more just when no good copy could be told, and finds its own bytes at the key."""
    clip = await received(library, "clip.mov", b"one")
    looked_at = list[Key]()

    async def no_longer(*_: object) -> None:
        return None

    def replaced_after(files: BlobStore, key: Key, digest: Digest, size: int) -> FileFact | None:
        found = same_bytes_at(files, key, digest, size)
        looked_at.append(key)
        if len(looked_at) == 1:
            assert found is not None
            trio.from_thread.run(overwritten, library, clip.id, b"two")
        return found

    monkeypatch.setattr("damfs.core.reception.still", no_longer)
    monkeypatch.setattr("damfs.core.reception.same_bytes_at", replaced_after)
    again = await received(library, "clip.mov", b"one")
    assert again.id != clip.id
    assert looked_at[0] == b"2024/07/15/clip.mov"
    assert contents(library, clip.id) == [b"one", b"two"]
    assert files_below(library.originals)[b"2024/07/15/clip.mov"] == b"two"
    assert contents(library, again.id) == [b"one"]
    await check_sound(library)


async def test_a_file_that_is_healed_just_before_it_is_renamed_over_another_vanishes_whole(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name that it got last as well."""
    target, edit = await received(library, "clip.mov", b"zero"), await received(library, "edit.mov", b"one")
    seal = Staging.seal

    def healed_before(staging: Staging, id_: AssetId, mtime_ns: int | None = None) -> Hashed:
        monkeypatch.undo()
        (copy,) = stores.copies_of_asset(library.db.writer, edit.id)
        again = library.blob_store(copy.store).link(Key(b"2024/07/15/edit.mov"), Key(b"2024/07/15/again.mov"))
        trio.from_thread.run_sync(library.perform, AddName(copy.id, again), "test")
        return seal(staging, id_, mtime_ns)

    monkeypatch.setattr(Staging, "seal", healed_before)
    await supersede(library, Reception(library), target.id, edit.id)
    assert folders.file_moves(library.db.writer) == []
    assert files_below(library.originals) == {b"2024/07/15/clip.mov": b"one", b"2024/07/15/clip~v1.mov": b"zero"}
    await check_sound(library)


@pytest.mark.parametrize("stays", [True, False])
async def test_a_copy_that_got_one_more_name_since_it_was_read_is_good_still(
    library: Library, monkeypatch: pytest.MonkeyPatch, *, stays: bool
) -> None:
    """Who else stores the same bytes links the same file. The bytes that come are then no cure, and no second file."""
    clip = await received(library, "clip.mov", b"one")
    read = Reception._good_copy

    async def linked_after(reception: Reception, hashed: Hashed, prefer: AssetId | None = None) -> GoodCopy | None:
        good = await read(reception, hashed, prefer)
        os.link(library.originals / "2024/07/15/clip.mov", library.originals / "2024/07/15/twin.mov")
        if not stays:
            (library.originals / "2024/07/15/twin.mov").unlink()
        return good

    monkeypatch.setattr(Reception, "_good_copy", linked_after)
    assert (await received(library, "clip.mov", b"one")).id == clip.id
    assert list(keys(library)) == [b"2024/07/15/clip.mov"]
    told = {str(kind) for (kind,) in library.db.writer.rows("SELECT kind FROM change WHERE asset = ?", clip.id)}
    assert "healed" not in told


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
