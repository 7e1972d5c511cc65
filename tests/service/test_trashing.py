"""Trashing, restoring and the end of the retention, with real files: nothing is lost but what expires."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import trio

from damfs.catalog import derived, stores, trash
from damfs.core.check import check
from damfs.core.commands import Trash
from damfs.core.indexing import MarkMissing
from damfs.core.ingest import MarkDamaged
from damfs.core.library import Library
from damfs.core.rebuild import rebuild
from damfs.core.trash_commands import Expire, Restore
from damfs.core.trashing import (
    DAY_NS,
    expire,
    restore_assets,
    settle,
    settle_all,
    settle_interrupted_trash,
    trash_assets,
)
from damfs.errors import Refused
from damfs.model import Asset, AssetState, CopyState, Key, RenditionKind
from damfs.settings import Settings, TrashSettings
from damfs.storage.tree_walk import NOTES
from tests.small_library import (
    added,
    asset,
    assets_named,
    files_below,
    keys,
    opened,
    received,
    scanned,
    tags,
    the_asset,
)

KEY = b"2024/07/15/clip.mov"


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made
        report = await check(made, at_rest=True)
        assert report.findings == [], "the catalog keeps its rules"


async def clip(library: Library, name: str = "clip.mov", data: bytes = b"the clip") -> Asset:
    return await received(library, name, data, "beach")


def on_disk(library: Library) -> dict[bytes, bytes]:
    """What is there of people."""
    return {key: content for key, content in files_below(library.originals).items() if key != NOTES}


def in_days(library: Library, days: float) -> None:
    later = library.clock() + int(days * DAY_NS)
    library.clock = lambda: later


async def test_out_of_the_way_and_back(library: Library) -> None:
    known = await clip(library)
    await trash_assets(library, [known.id], "test", "inbox/clip.mov")
    (copy,) = stores.copies_of_asset(library.db.writer, known.id)
    aside = b".damfs-trash/%d-clip.mov" % copy.id
    assert on_disk(library) == {aside: b"the clip"}
    assert keys(library) == {aside: (known.id, "present")}
    (listed,) = trash.list_trashed(library.db.writer)
    assert (listed.asset, listed.place) == (known.id, "inbox/clip.mov")
    await restore_assets(library, [known.id], "test")
    assert on_disk(library) == {KEY: b"the clip"}
    assert keys(library) == {KEY: (known.id, "present")}
    assert trash.list_trashed(library.db.writer) == []
    assert tags(library, known.id) == ["beach"]
    assert library.db.writer.rows("SELECT * FROM aside") == []


async def test_a_scan_changes_nothing_of_it(library: Library) -> None:
    known = await clip(library)
    await trash_assets(library, [known.id], "test")
    before = on_disk(library), keys(library)
    report = await scanned(library, "library")
    assert report.counts == {"unchanged": 1}
    assert (on_disk(library), keys(library)) == before
    assert [each.state for each in assets_named(library, "clip.mov")] == [AssetState.TRASHED]


async def test_every_copy_moves_and_each_goes_back_where_it_lay(library: Library) -> None:
    """A second file of the same asset, and one of older bytes, as versions keep them."""
    known = await clip(library)
    (library.originals / "more").mkdir()
    (library.originals / "more/clip.mov").hardlink_to(library.originals / os.fsdecode(KEY))
    (library.originals / "old.mov").write_bytes(b"older bytes")
    await scanned(library, "library")
    old = the_asset(library, "old.mov")
    library.db.writer.run("UPDATE copy SET asset = ? WHERE asset = ?", known.id, old.id)
    library.db.writer.run("UPDATE version SET asset = ?, number = 2 WHERE asset = ?", known.id, old.id)
    library.db.writer.run("DELETE FROM asset WHERE id = ?", old.id)
    before = on_disk(library)
    assert len(before) == 3
    await trash_assets(library, [known.id], "test")
    assert {key.partition(b"/")[0] for key in on_disk(library)} == {b".damfs-trash"}
    assert len(on_disk(library)) == 3
    await restore_assets(library, [known.id], "test")
    assert on_disk(library) == before


async def test_a_twin_that_shares_the_bytes_stays_where_it_is(library: Library) -> None:
    known, twin = await clip(library), await clip(library, "twin.mov")
    inode = os.stat(library.originals / "2024/07/15/twin.mov").st_ino
    await trash_assets(library, [known.id], "test")
    assert asset(library, twin.id).state is AssetState.PRESENT
    assert os.stat(library.originals / "2024/07/15/twin.mov").st_ino == inode
    in_days(library, 31)
    assert await expire(library) == 1
    assert on_disk(library) == {b"2024/07/15/twin.mov": b"the clip"}
    assert twin.blob is not None
    assert library.source_paths(twin.blob)[0].read_bytes() == b"the clip"


async def test_files_of_a_read_only_store_are_never_touched(library: Library, tmp_path: Path) -> None:
    footage = tmp_path / "footage"
    added(library, footage)
    (footage / "day").mkdir()
    (footage / "day/clip.mov").write_bytes(b"theirs")
    await scanned(library)
    theirs = the_asset(library, "clip.mov")
    await trash_assets(library, [theirs.id], "test")
    (footage / "day/clip.mov").rename(footage / "moved.mov")
    await scanned(library)
    assert files_below(footage) == {b"moved.mov": b"theirs"}
    assert [each.state for each in assets_named(library, "moved.mov")] == [AssetState.TRASHED]
    in_days(library, 400)
    assert await expire(library) == 0, "the file would only be found again as another asset"
    await scanned(library)
    await restore_assets(library, [theirs.id], "test")
    assert asset(library, theirs.id).state is AssetState.PRESENT
    assert files_below(footage) == {b"moved.mov": b"theirs"}


async def test_an_asset_with_files_in_both_stores(library: Library, tmp_path: Path) -> None:
    known, footage = await clip(library), tmp_path / "footage"
    added(library, footage)
    (footage / "clip.mov").write_bytes(b"the clip")
    await scanned(library)
    await trash_assets(library, [known.id], "test")
    assert list(files_below(footage)) == [b"clip.mov"]
    (aside,) = on_disk(library)
    assert aside.startswith(b".damfs-trash/")
    await restore_assets(library, [known.id], "test")
    assert list(on_disk(library)) == [KEY]


@pytest.mark.expect_warnings("stay where they are and are moved later")
async def test_where_the_disk_refuses_it_is_trashed_all_the_same(library: Library) -> None:
    known = await clip(library)
    (library.originals / ".damfs-trash").write_bytes(b"a file where the folder should be")
    await trash_assets(library, [known.id], "test")
    assert asset(library, known.id).state is AssetState.TRASHED
    assert KEY in on_disk(library)
    (library.originals / ".damfs-trash").unlink()
    await settle_all(library)
    (aside,) = on_disk(library)
    assert aside.startswith(b".damfs-trash/")


async def test_a_name_that_was_taken_meanwhile(library: Library) -> None:
    first = await clip(library)
    await trash_assets(library, [first.id], "test")
    second = await clip(library, data=b"another clip")
    (library.originals / "2024/07/15/clip~2.mov").write_bytes(b"not known to the catalog")
    await restore_assets(library, [first.id], "test")
    found = on_disk(library)
    assert found[KEY] == b"another clip"
    assert found[b"2024/07/15/clip~3.mov"] == b"the clip"
    assert keys(library)[b"2024/07/15/clip~3.mov"] == (first.id, "present")
    assert asset(library, second.id).state is AssetState.PRESENT
    await scanned(library, "library")


async def test_received_again_while_in_the_trash(library: Library) -> None:
    first = await clip(library)
    await trash_assets(library, [first.id], "test")
    again = await clip(library)
    assert again.id != first.id
    assert len({os.stat(library.originals / os.fsdecode(key)).st_ino for key in on_disk(library)}) == 1, "stored once"
    in_days(library, 31)
    await expire(library)
    assert on_disk(library) == {KEY: b"the clip"}


async def test_a_file_taken_out_of_the_trash_folder_by_hand_is_restored(library: Library) -> None:
    known = await clip(library)
    await trash_assets(library, [known.id], "test")
    (aside,) = on_disk(library)
    (library.originals / os.fsdecode(aside)).rename(library.originals / "taken.mov")
    await scanned(library, "library")
    assert asset(library, known.id).state is AssetState.PRESENT
    assert keys(library) == {b"taken.mov": (known.id, "present")}


async def test_damage_and_loss_are_not_forgotten(library: Library) -> None:
    known = await clip(library)
    (copy,) = stores.copies_of_asset(library.db.writer, known.id)
    library.perform(MarkDamaged(copy.id), "test")
    library.db.writer.run("UPDATE asset SET state = 'present' WHERE id = ?", known.id)
    await trash_assets(library, [known.id], "test")
    await restore_assets(library, [known.id], "test")
    assert stores.copies_of_asset(library.db.writer, known.id)[0].state is CopyState.DAMAGED
    await trash_assets(library, [known.id], "test")
    (aside,) = on_disk(library)
    (library.originals / os.fsdecode(aside)).unlink()
    library.perform(MarkMissing(copy.id), "test")
    await restore_assets(library, [known.id], "test")
    assert asset(library, known.id).state is AssetState.MISSING
    with pytest.raises(Refused, match="not in the trash"):
        library.perform(Restore(known.id), "test")


async def test_long_names(library: Library) -> None:
    name = "\u00e9" * 125 + ".mov"
    known = await clip(library, name)
    await trash_assets(library, [known.id], "test")
    (aside,) = on_disk(library)
    assert len(aside.rpartition(b"/")[2]) <= 255
    aside.decode()
    await restore_assets(library, [known.id], "test")
    assert list(on_disk(library)) == [b"2024/07/15/" + name.encode()]


async def test_back_and_forth_at_once(library: Library) -> None:
    """Whatever comes first: in the end the file is where the state says."""
    known = await clip(library)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(trash_assets, library, [known.id], "test")
            await trio.lowlevel.checkpoint()
            nursery.start_soon(restore_assets, library, [known.id], "test")
            await trio.lowlevel.checkpoint()
    await settle(library, [known.id])
    assert asset(library, known.id).state is AssetState.PRESENT
    assert on_disk(library) == {KEY: b"the clip"}


# --- retention ------------------------------------------------------------------------------------------------


def set_days(library: Library, days: int) -> None:
    library.use_settings(msgspec.structs.replace(library.settings, trash=TrashSettings(days)))


async def test_everything_of_it_goes_when_its_time_is_up(library: Library) -> None:
    known = await clip(library)
    assert known.blob is not None
    key = "ab/clip-proxy.mov"
    (library.renditions / "ab").mkdir()
    (library.renditions / key).write_bytes(b"a proxy")
    with library.db.transaction() as tx:
        derived.set_facts(tx, known.blob, "probe", {"width": 3})
        derived.set_rendition(tx, known.blob, RenditionKind.PROXY, "dnxhr-lb", key, 7, {}, 1)
        derived.set_embedding(tx, known.blob, "look-1", None, bytes(16))
    await trash_assets(library, [known.id], "test")
    in_days(library, 29)
    assert await expire(library) == 0
    in_days(library, 1.01)
    set_days(library, 0)
    assert await expire(library) == 0, "0: for ever"
    set_days(library, 30)
    assert await expire(library) == 1
    assert on_disk(library) == {}
    assert library.asset(known.id) is None
    for table in ("asset", "version", "copy", "blob", "fact", "rendition", "embedding", "job", "tagging", "trashed",
                  "aside", "doomed"):  # fmt: skip
        assert library.db.writer.rows(f"SELECT * FROM {table}") == [], table
    assert not (library.renditions / key).exists()
    assert library.db.writer.rows("SELECT detail FROM change WHERE kind = 'expired'")
    another = await clip(library)
    assert another.id > known.id, "no id is given twice"


async def test_the_state_is_read_again_when_it_expires(library: Library) -> None:
    known = await clip(library)
    await trash_assets(library, [known.id], "test")
    late = library.clock() + DAY_NS
    await restore_assets(library, [known.id], "test")
    assert library.perform(Expire(known.id, late), "test") is None
    await trash_assets(library, [known.id], "test")
    (since,) = trash.list_trashed(library.db.writer)
    assert library.perform(Expire(known.id, since.at_ns), "test") is None, "trashed anew meanwhile"
    assert list(on_disk(library).values()) == [b"the clip"]


async def test_bytes_that_another_asset_has_no_other_file_of_become_its(library: Library, tmp_path: Path) -> None:
    """Received once more while a good file was in the trash, the bytes were not stored again (P5)."""
    footage = tmp_path / "footage"
    added(library, footage)
    known = await clip(library)
    (footage / "theirs.mov").write_bytes(b"the clip")
    (footage / "other.mov").write_bytes(b"so that the store is not empty")
    await scanned(library)
    theirs = the_asset(library, "theirs.mov")
    await trash_assets(library, [known.id], "test")
    (footage / "theirs.mov").unlink()
    await scanned(library)
    assert asset(library, theirs.id).state is AssetState.PRESENT, "a good file is left, in the trash of another"
    in_days(library, 31)
    assert await expire(library) == 1
    await settle_all(library)
    (key,) = on_disk(library)
    assert key.endswith(b"/theirs.mov")
    assert theirs.blob is not None
    assert library.source_paths(theirs.blob)[0].read_bytes() == b"the clip"


@pytest.mark.parametrize("spoilt", [pytest.param(True, marks=pytest.mark.expect_warnings("a copy is damaged")), False])
async def test_a_file_that_cannot_be_read_is_not_relied_on(library: Library, tmp_path: Path, spoilt: bool) -> None:
    """What the catalog says of the other file was so when somebody looked last (P5)."""
    added(library, tmp_path / "footage")
    known = await clip(library)
    (tmp_path / "footage/theirs.mov").write_bytes(b"the clip")
    await scanned(library)
    theirs = the_asset(library, "theirs.mov")
    await trash_assets(library, [known.id], "test")
    if spoilt:
        (tmp_path / "footage/theirs.mov").write_bytes(b"not that")
    else:
        (tmp_path / "footage").rename(tmp_path / "unplugged")
    in_days(library, 31)
    assert await expire(library) == 1
    await settle_all(library)
    ((key, content),) = on_disk(library).items()
    assert (key.endswith(b"/theirs.mov"), content) == (True, b"the clip")
    assert [copy.asset for copy in stores.copies_of_asset(library.db.writer, theirs.id)] == [theirs.id] * 2
    in_days(library, 31)
    assert await expire(library) == 0
    assert list(on_disk(library).values()) == [b"the clip"]


async def test_what_could_not_be_moved_yet_does_not_expire(library: Library) -> None:
    known = await clip(library)
    library.perform(Trash(known.id), "test")
    in_days(library, 31)
    assert await expire(library) == 0
    await settle_all(library)
    assert await expire(library) == 1


async def test_a_file_that_is_gone_already_does_not_stop_it(library: Library) -> None:
    known = await clip(library)
    await trash_assets(library, [known.id], "test")
    (aside,) = on_disk(library)
    (library.originals / os.fsdecode(aside)).unlink()
    in_days(library, 31)
    assert await expire(library) == 1
    await settle_interrupted_trash(library)


# --- the catalog is lost --------------------------------------------------------------------------------------


@pytest.mark.parametrize("with_catalog", [True, False])
async def test_a_new_catalog_knows_what_is_in_the_trash(tmp_path: Path, with_catalog: bool) -> None:
    path = tmp_path / "library"
    with opened(path) as library:
        kept = await clip(library, "kept.mov", b"kept")
        known = await clip(library)
        await trash_assets(library, [known.id], "test")
        before = on_disk(library)
    if not with_catalog:
        for file in (path / "state").glob("catalog.sqlite3*"):
            file.unlink()
    await rebuild(path)
    with opened(path) as library:
        assert on_disk(library) == before
        gone = the_asset(library, "clip.mov")
        assert gone.state is AssetState.TRASHED
        assert the_asset(library, "kept.mov").state is AssetState.PRESENT
        assert tags(library, gone.id) == (["beach"] if with_catalog else [])
        assert len(trash.list_trashed(library.db.writer)) == 1
        assert (await check(library, at_rest=True)).findings == []
        await settle_interrupted_trash(library)
        await restore_assets(library, [gone.id], "test")
        assert KEY in on_disk(library)
        assert kept.size == 4


def test_the_default_is_thirty_days() -> None:
    assert Settings().trash.days == 30


async def test_where_its_folder_was_a_file_lies_now(library: Library) -> None:
    """It is filed under its day instead."""
    known = await clip(library)
    await trash_assets(library, [known.id], "test")
    aside = next(copy.id for copy in stores.copies_of_asset(library.db.writer, known.id))
    with library.db.transaction() as tx:
        trash.set_aside(tx, aside, Key(b"shoot/a/clip.mov"), unfinished=False)
    (library.originals / "shoot").write_bytes(b"a file")
    await restore_assets(library, [known.id], "test")
    assert asset(library, known.id).state is AssetState.PRESENT
    assert keys(library) == {KEY: (known.id, "present")}
    (library.originals / "shoot").unlink()
