"""Overwritten originals in the catalog and in the store: what becomes a version, where the bytes before it lie, and
that nothing loses them: not a scan, not a verification, not an undo of an overwrite, not another asset."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trio

from damfs.catalog import folders, rewrites, stores, versions, vocabulary
from damfs.catalog.proposals import Origin
from damfs.catalog.vocabulary import Tagging
from damfs.core.arranging import AddName
from damfs.core.check import check
from damfs.core.commands import AddTag, Receive, SetTimes, Trash
from damfs.core.installing import check_writable
from damfs.core.library import Library
from damfs.core.pruning import prune_versions, superfluous
from damfs.core.reception import Reception
from damfs.core.rewriting import BeginRewrite, CloseRewrite
from damfs.core.superseding import revert, supersede, supersede_by_draft
from damfs.core.upkeep import repair
from damfs.core.verify import verify
from damfs.core.verify_report import Verdict
from damfs.errors import Conflict, NotFound, ReadOnly, Unavailable
from damfs.model import Asset, AssetId, AssetState, BlobId, Key, TagSource
from damfs.settings import VersionSettings
from tests.service.kill_points_processors import PROCESSORS
from tests.small_library import (
    JULY_NS,
    added,
    asset,
    assets_named,
    drafted,
    files_below,
    keys,
    opened,
    overwritten,
    received,
    scanned,
    tags,
    term,
    the_asset,
)

FOLDER = b"2024/07/15/"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library", PROCESSORS) as made:
        yield made


@pytest.fixture
async def clip(library: Library) -> Asset:
    return await received(library, "clip.mov", b"one", "beach")


def contents(library: Library, id_: AssetId) -> list[bytes]:
    found = versions.of_asset(library.db.writer, id_)
    return [library.source_paths(each.blob)[0].read_bytes() for each in found]


def stored(library: Library) -> dict[bytes, bytes]:
    """Content by name of what lies in the store, all of it under one day."""
    found = files_below(library.originals)
    assert set(found) == set(keys(library)), "no file without a row, no row without a file"
    return {key.removeprefix(FOLDER): content for key, content in found.items()}


async def check_sound(library: Library) -> None:
    before = keys(library)
    await scanned(library, "library")
    assert keys(library) == before, "a scan finds nothing to do"
    assert (await check(library, at_rest=True)).findings == []


async def test_each_overwrite_is_a_version_and_the_bytes_before_stay_beside_it(library: Library, clip: Asset) -> None:
    for content in (b"two", b"three"):
        await overwritten(library, clip.id, content)
    assert contents(library, clip.id) == [b"one", b"two", b"three"]
    assert stored(library) == {b"clip.mov": b"three", b"clip~v1.mov": b"one", b"clip~v2.mov": b"two"}
    now = asset(library, clip.id)
    assert (now.size, now.state, tags(library, clip.id)) == (5, AssetState.PRESENT, ["beach"])
    assert rewrites.every(library.db.writer) == []
    await check_sound(library)
    report = await verify(library, library.stores())
    assert report.counts == {Verdict.GOOD: 3}


async def test_jobs_are_planned_for_the_new_bytes_and_news_is_told(library: Library, clip: Asset) -> None:
    now = await overwritten(library, clip.id, b"two")
    connection = library.db.writer
    assert connection.rows("SELECT processor FROM job WHERE blob = ?", now.blob) == [("preview",)]
    assert connection.exists("SELECT 1 FROM change WHERE kind = 'version-added' AND asset = ?", clip.id)


async def test_the_same_bytes_are_no_version(library: Library, clip: Asset) -> None:
    os.close(library.staging.stage_copy(clip.id, None))
    library.staging.path(clip.id).write_bytes(b"one")
    library.execute([BeginRewrite(clip.id, 0), CloseRewrite(clip.id, 3, JULY_NS + 9, dated=False)], "test")
    await Reception(library).seal(clip.id)
    assert contents(library, clip.id) == [b"one"]
    assert asset(library, clip.id) == clip, "not even its time"
    assert library.staging.entries() == {}


@pytest.mark.expect_warnings("a copy is damaged")
async def test_the_same_bytes_heal_a_file_that_went_bad(library: Library, clip: Asset) -> None:
    """P5: what is bad was not noticed yet, and the bytes just written are the only good ones."""
    path = library.originals / "2024/07/15/clip.mov"
    path.write_bytes(b"rot")
    await overwritten(library, clip.id, b"one")
    assert library.asset(clip.id) == replace(clip, state=AssetState.PRESENT)
    assert [found.read_bytes() for found in library.source_paths(clip.blob or BlobId(0))] == [b"one"]
    assert path.read_bytes() == b"rot", "what may be somebody's stays"
    assert rewrites.of(library.db.writer, clip.id) is None


async def test_a_time_that_is_set_meanwhile_is_that_of_the_next_version(library: Library, clip: Asset) -> None:
    os.close(library.staging.stage_copy(clip.id, None))
    library.staging.path(clip.id).write_bytes(b"two")
    library.execute([BeginRewrite(clip.id, 0), CloseRewrite(clip.id, 3, 5, dated=False)], "test")
    library.perform(SetTimes(clip.id, 77_000), "test")
    assert asset(library, clip.id).mtime_ns == JULY_NS
    await Reception(library).seal(clip.id)
    assert [each.mtime_ns for each in versions.of_asset(library.db.writer, clip.id)] == [JULY_NS, 77_000]


async def test_bytes_that_are_known_are_stored_once(library: Library, clip: Asset) -> None:
    other = await received(library, "other.mov", b"two")
    await overwritten(library, clip.id, b"two")
    assert stored(library) == {b"clip.mov": b"two", b"clip~v1.mov": b"one", b"other.mov": b"two"}
    inodes = {(library.originals / "2024/07/15" / name).stat().st_ino for name in ("clip.mov", "other.mov")}
    assert len(inodes) == 1
    await overwritten(library, other.id, b"three")
    assert contents(library, clip.id) == [b"one", b"two"], "a twin is another file"
    await check_sound(library)


async def test_a_close_that_the_catalog_had_no_room_for_is_made_good(library: Library, clip: Asset) -> None:
    os.close(library.staging.stage_copy(clip.id, None))
    library.staging.path(clip.id).write_bytes(b"two")
    library.perform(BeginRewrite(clip.id, 0), "test")
    reception = Reception(library)
    assert await reception.seal(clip.id) is None, "somebody may still write it"
    reception.held_back[clip.id] = "no space left for the catalog"
    await reception.seal_or_report(clip.id)
    assert contents(library, clip.id) == [b"one", b"two"]
    assert reception.held_back == {}


async def test_bytes_that_come_back_are_listed_once(library: Library, clip: Asset) -> None:
    """Also where another asset has them as well, in a file of its own: the earlier version's name goes."""
    other = await received(library, "a.mov", b"other")
    (copy,) = stores.copies_of_asset(library.db.writer, other.id)
    store = library.blob_store(copy.store)
    (library.originals / "2024/07/15/a.mov").write_bytes(b"two")
    await scanned(library, "library")
    await overwritten(library, clip.id, b"two")
    assert store.stat(Key(FOLDER + b"a.mov")).inode == store.stat(Key(FOLDER + b"clip.mov")).inode
    await overwritten(library, clip.id, b"three")
    (library.originals / "2024/07/15/clip~v2.mov").unlink()
    (library.originals / "2024/07/15/clip~v2.mov").write_bytes(b"two")
    await scanned(library, "library")
    await overwritten(library, clip.id, b"two")
    assert sorted(stored(library)) == [b"a.mov", b"clip.mov", b"clip~v1.mov", b"clip~v3.mov"]
    await check_sound(library)


async def test_nothing_is_left_to_do_with_two_files_of_one_asset(library: Library, clip: Asset) -> None:
    """Two files, not two names of one: the bytes of both get names of their own."""
    (library.originals / "2024/07/15/twin.mov").write_bytes(b"one")
    twin = library.blob_store(library.library_store().id).stat(Key(FOLDER + b"twin.mov"))
    (copy,) = stores.copies_of_asset(library.db.writer, clip.id)
    library.perform(AddName(copy.id, twin), "test")
    await overwritten(library, clip.id, b"two")
    assert folders.file_moves(library.db.writer) == []
    assert stored(library) == {b"clip.mov": b"two", b"twin.mov": b"two", b"clip~v1.mov": b"one", b"twin~v1.mov": b"one"}
    await check_sound(library)


async def test_names_of_versions_that_are_taken(library: Library, clip: Asset) -> None:
    taken = await received(library, "clip~v1.mov", b"somebody's own")
    await overwritten(library, clip.id, b"two")
    assert stored(library) == {
        b"clip.mov": b"two", b"clip~v1.mov": b"somebody's own", b"clip~v1~2.mov": b"one",
    }  # fmt: skip
    assert contents(library, taken.id) == [b"somebody's own"]


async def test_going_back_makes_a_version(library: Library, clip: Asset) -> None:
    await overwritten(library, clip.id, b"two")
    made = await revert(library, Reception(library), clip.id, 1)
    assert (made.number, made.current) == (3, 1)
    assert contents(library, clip.id) == [b"one", b"two", b"one"]
    assert stored(library) == {b"clip.mov": b"one", b"clip~v2.mov": b"two"}, "no name more than needed"
    await check_sound(library)
    await overwritten(library, clip.id, b"four")
    assert contents(library, clip.id) == [b"one", b"two", b"one", b"four"]
    assert stored(library) == {b"clip.mov": b"four", b"clip~v2.mov": b"two", b"clip~v3.mov": b"one"}
    assert (await revert(library, Reception(library), clip.id, 4)).number == 4, "it is current"
    with pytest.raises(NotFound, match="has no version 9"):
        await revert(library, Reception(library), clip.id, 9)
    await check_sound(library)


async def test_what_cannot_be_written(library: Library, clip: Asset, tmp_path: Path) -> None:
    footage = added(library, tmp_path / "footage")
    (tmp_path / "footage" / "card.mov").write_bytes(b"card")
    await scanned(library)
    with pytest.raises(ReadOnly, match="read-only store"):
        check_writable(library, the_asset(library, "card.mov").id)
    assert footage.online
    (library.originals / "2024/07/15/clip.mov").unlink()
    await scanned(library, "library")
    with pytest.raises(Unavailable):
        check_writable(library, clip.id)


async def test_an_asset_in_the_trash_stays_there(library: Library, clip: Asset) -> None:
    os.close(library.staging.stage_copy(clip.id, None))
    library.staging.path(clip.id).write_bytes(b"two")
    library.execute([BeginRewrite(clip.id, 0), Trash(clip.id), CloseRewrite(clip.id, 3, JULY_NS)], "test")
    await Reception(library).seal(clip.id)
    assert asset(library, clip.id).state is AssetState.TRASHED
    assert contents(library, clip.id) == [b"one", b"two"]


async def test_a_version_whose_file_was_changed_outside_is_no_current_version(library: Library, clip: Asset) -> None:
    await overwritten(library, clip.id, b"two")
    (library.originals / "2024/07/15/clip~v1.mov").write_bytes(b"vandal")
    await scanned(library, "library")
    now = asset(library, clip.id)
    assert now.blob is not None
    assert library.source_paths(now.blob)[0].read_bytes() == b"two"
    assert len(versions.of_asset(library.db.writer, clip.id)) == 2


async def test_a_scan_that_read_a_file_before_it_was_replaced_changes_nothing(library: Library, clip: Asset) -> None:
    path = library.originals / "2024/07/15/clip.mov"
    os.utime(path, ns=(1, 1))  # the scan reads it again
    files = library.blob_store(library.library_store().id)
    hash_ = files.hash

    async def replaced() -> None:
        await overwritten(library, clip.id, b"two")

    def slow(*args: object) -> object:
        found = hash_(*args)  # type: ignore[arg-type]  # the same arguments
        files.hash = hash_  # type: ignore[method-assign]  # only the first reading
        trio.from_thread.run(replaced)
        return found

    files.hash = slow  # type: ignore[method-assign, assignment]  # to be between reading and committing
    await scanned(library, "library")
    assert contents(library, clip.id) == [b"one", b"two"]
    assert versions.current(library.db.writer, clip.id).number == 2  # type: ignore[union-attr]  # it is there


async def test_superseding_by_a_file_that_has_arrived(library: Library, clip: Asset) -> None:
    source = await received(library, "edit.mov", b"two", "sea")
    await overwritten(library, source.id, b"three")
    await supersede(library, Reception(library), clip.id, source.id)
    assert library.asset(source.id) is None
    assert contents(library, clip.id) == [b"one", b"two", b"three"], "earlier versions of the source are not lost"
    assert asset(library, clip.id).name == "clip.mov"
    assert tags(library, clip.id) == ["beach", "sea"]
    assert set(stored(library).values()) == {b"one", b"two", b"three"}
    assert b"edit.mov" not in stored(library)
    await check_sound(library)


async def test_superseding_by_equal_bytes_only_joins_the_tags(library: Library, clip: Asset) -> None:
    source = await received(library, "edit.mov", b"one", "sea")
    await supersede(library, Reception(library), clip.id, source.id)
    assert contents(library, clip.id) == [b"one"]
    assert tags(library, clip.id) == ["beach", "sea"]
    assert stored(library) == {b"clip.mov": b"one"}
    await check_sound(library)


async def test_superseding_by_a_draft(library: Library, clip: Asset) -> None:
    draft = drafted(library, "clip.mov.part", b"two", "sea")
    reception = Reception(library)
    await supersede_by_draft(library, reception, clip.id, draft, 3, JULY_NS, closed=True)
    await reception.seal(clip.id)
    assert library.asset(draft) is None
    assert contents(library, clip.id) == [b"one", b"two"]
    assert tags(library, clip.id) == ["beach", "sea"]
    assert library.staging.entries() == {}
    await check_sound(library)


async def test_what_is_being_written_is_not_superseded(library: Library, clip: Asset) -> None:
    source = await received(library, "edit.mov", b"two")
    os.close(library.staging.stage_copy(clip.id, None))
    library.perform(BeginRewrite(clip.id, 0), "test")
    with pytest.raises(Conflict, match="is being written"):
        await supersede(library, Reception(library), clip.id, source.id)
    with pytest.raises(Conflict, match="is being written"):
        await revert(library, Reception(library), clip.id, 1)
    assert contents(library, source.id) == [b"two"]


@pytest.mark.expect_warnings("was interrupted; what was written over it")
async def test_an_interrupted_overwrite_comes_back_as_a_file_of_its_own(library: Library, clip: Asset) -> None:
    os.close(library.staging.stage_copy(clip.id, None))
    library.staging.path(clip.id).write_bytes(b"half of")
    library.perform(BeginRewrite(clip.id, 0), "test")
    proposed = Tagging(TagSource.MODEL, 0.9, Origin("auto_tag/2", "a-model"))
    library.perform(AddTag(clip.id, term(library, "sea"), *proposed), "test")
    await repair(library, Reception(library))
    assert contents(library, clip.id) == [b"one"]
    part = the_asset(library, "clip.mov.part")
    assert (part.state, part.size, tags(library, part.id)) == (AssetState.RECEIVING, 7, ["beach", "sea"])
    assert vocabulary.tagging(library.db.writer, part.id, term(library, "sea")) == proposed, "still a machine's word"
    assert library.staging.path(part.id).read_bytes() == b"half of"
    await check_sound(library)


async def test_an_interrupted_overwrite_of_the_same_bytes_leaves_nothing(library: Library, clip: Asset) -> None:
    """Opened to write, and killed before anything was written."""
    os.close(library.staging.stage_copy(clip.id, None))
    library.staging.path(clip.id).write_bytes(b"one")
    library.perform(BeginRewrite(clip.id, 3), "test")
    await repair(library, Reception(library))
    assert assets_named(library, "clip.mov.part") == []
    assert library.staging.entries() == {}
    await check_sound(library)


def keeping(library: Library, keep: int) -> None:
    library.use_settings(msgspec.structs.replace(library.settings, versions=VersionSettings(keep=keep)))


async def test_all_versions_are_kept_unless_the_settings_say_otherwise(library: Library, clip: Asset) -> None:
    for number in range(5):
        await overwritten(library, clip.id, b"%d" % number)
    assert await prune_versions(library, Reception(library)) == 0
    assert len(contents(library, clip.id)) == 6


async def test_pruning_keeps_the_first_and_the_newest(library: Library, clip: Asset) -> None:
    for content in (b"two", b"three", b"four", b"five"):
        await overwritten(library, clip.id, content)
    keeping(library, 2)
    assert await prune_versions(library, Reception(library)) == 2
    found = versions.of_asset(library.db.writer, clip.id)
    assert [each.number for each in found] == [1, 4, 5]
    assert contents(library, clip.id) == [b"one", b"four", b"five"]
    assert set(stored(library).values()) == {b"one", b"four", b"five"}
    assert await prune_versions(library, Reception(library)) == 0
    await check_sound(library)
    await overwritten(library, clip.id, b"six")
    assert [each.number for each in versions.of_asset(library.db.writer, clip.id)] == [1, 4, 5, 6]


async def test_pruning_removes_no_bytes_that_are_used_elsewhere(library: Library, clip: Asset) -> None:
    other = await received(library, "other.mov", b"two")
    for content in (b"two", b"three", b"one", b"five"):
        await overwritten(library, clip.id, content)
    keeping(library, 1)
    assert await prune_versions(library, Reception(library)) == 3
    assert [each.number for each in versions.of_asset(library.db.writer, clip.id)] == [1, 5]
    assert contents(library, clip.id) == [b"one", b"five"]
    assert contents(library, other.id) == [b"two"]
    assert b"three" not in stored(library).values()
    await check_sound(library)


async def test_a_pruning_that_was_killed_goes_on(library: Library, clip: Asset) -> None:
    for content in (b"two", b"three"):
        await overwritten(library, clip.id, content)
    (library.originals / "2024/07/15/clip~v2.mov").unlink()
    keeping(library, 1)
    assert await prune_versions(library, Reception(library)) == 1
    assert contents(library, clip.id) == [b"one", b"three"]
    await check_sound(library)


def test_what_is_superfluous() -> None:
    def version(number: int) -> versions.Version:
        return versions.Version(number, 1, number, 1, 1, 1, 1, b"", number == 5)  # type: ignore[arg-type]  # plain numbers

    found = [version(number) for number in range(1, 6)]
    assert [each.number for each in superfluous(found, 1)] == [2, 3, 4]
    assert [each.number for each in superfluous(found, 3)] == [2]
    assert superfluous(found, 4) == superfluous(found, 9) == []


async def test_a_receiving_file_has_no_versions(library: Library) -> None:
    id_ = library.perform(Receive("new.mov", 0o644, triaged=False), "test")
    assert versions.current(library.db.writer, id_) is None
    assert versions.of_asset(library.db.writer, id_) == []
    assert stores.copies_of_asset(library.db.writer, id_) == []
