"""What scans, verification, tidying and the trash do while files are received, moved and written: nothing that was read
before holds when it is acted on."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from damfs.catalog import derived, sidecars, stores, versions
from damfs.catalog import folders as catalog_folders
from damfs.catalog.database import Connection
from damfs.catalog.folders import Move, list_listed
from damfs.catalog.stores import Folder
from damfs.core import further_names, rendition_upkeep, scanner, sidecar_sync, upkeep, verify
from damfs.core.arranging import SetDestination
from damfs.core.check import check
from damfs.core.describing import SetRating
from damfs.core.folders import link_file, make_folder, move_file, move_folder, remove_folder, remove_name
from damfs.core.further_names import names_of
from damfs.core.library import Library
from damfs.core.pruning import prune_versions
from damfs.core.reception import Reception
from damfs.core.rewriting import BeginRewrite, CloseRewrite
from damfs.core.sidecar_sync import sync_sidecar, write_new
from damfs.core.trashing import DAY_NS, expire, restore_assets, trash_assets
from damfs.core.verify_report import ExitCode, Verdict
from damfs.errors import NotEmpty, NotFound
from damfs.model import Asset, AssetId, AssetState, Copy, FolderId, Key, RenditionKind, StoreId
from damfs.presentation.fuse.draft_files import Draft
from damfs.presentation.fuse.drafts import Drafts
from damfs.storage.blob_store import BlobStore, FileFact, Hashed, WalkProblem
from damfs.storage.local import LocalStore
from damfs.storage.staging import Staging
from tests.sample_media import jpeg
from tests.small_library import (
    JULY_NS,
    asset,
    drafted,
    files_below,
    keys,
    opened,
    overwritten,
    received,
    scanned,
    the_asset,
)

CLIP = b"2024/07/15/clip.mov"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


def contents(library: Library, id_: AssetId) -> list[bytes]:
    found = versions.of_asset(library.db.writer, id_)
    return [library.source_paths(each.blob)[0].read_bytes() for each in found]


def staged_again(library: Library, id_: AssetId, data: bytes) -> None:
    os.close(library.staging.stage_copy(id_, None))
    library.staging.path(id_).write_bytes(data)
    library.execute([BeginRewrite(id_, len(data)), CloseRewrite(id_, len(data), JULY_NS)], "test")


def root(library: Library) -> FolderId:
    return stores.root_folder(library.db.writer, library.library_store().id)


async def check_sound(library: Library) -> None:
    assert set(files_below(library.originals)) == set(keys(library))
    assert {state for _, state in keys(library).values()} <= {"present"}
    assert (await check(library, at_rest=True)).findings == []


async def test_what_is_held_back_and_written_again_is_no_original_meanwhile(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes on would write into the original."""
    monkeypatch.setattr(upkeep, "CHORES_EVERY_S", 0.0)
    id_ = drafted(library, "clip.mov", b"one")
    reception = Reception(library)
    async with trio.open_nursery() as nursery:
        drafts = Drafts(library, reception, nursery)
        library.held_back[id_] = "no space"
        draft = await drafts.join(id_, writes=True, truncate=False)
        await upkeep._do_chores(library, reception)
        await drafts.write(draft, 0, b"two, and more")
        assert asset(library, id_).state is AssetState.RECEIVING
        await drafts.leave(draft, writes=True)
        await drafts.settled()
    assert library.held_back == {}
    assert contents(library, id_) == [b"two, and more"]
    await check_sound(library)


async def test_what_is_held_back_is_not_opened_to_write_while_it_is_tried_again(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "CHORES_EVERY_S", 0.0)
    id_ = drafted(library, "clip.mov", b"one")
    reception, place, sealing = Reception(library), LocalStore.place, list[bool]()
    async with trio.open_nursery() as nursery:
        drafts = Drafts(library, reception, nursery)
        library.held_back[id_] = "no space"

        def placed(store: LocalStore, staged: Path, key: Key) -> FileFact:
            sealing.append(trio.from_thread.run_sync(lambda: drafts.unsettled > 0))
            return place(store, staged, key)

        monkeypatch.setattr(LocalStore, "place", placed)
        await upkeep._do_chores(library, reception)
    assert sealing == [True]
    assert library.held_back == {}
    assert contents(library, id_) == [b"one"]


@pytest.mark.expect_warnings("held back and will be tried again")
async def test_bytes_that_come_back_are_not_replaced_by_the_next_version(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is gone, and somebody sends it again while the next version takes its place."""
    clip = await received(library, "clip.mov", b"one")
    staged_again(library, clip.id, b"two")
    (library.originals / os.fsdecode(CLIP)).unlink()
    again = drafted(library, "clip.mov", b"one")
    link = LocalStore.link

    def sent_again(store: LocalStore, key: Key, new_key: Key) -> FileFact:
        try:
            return link(store, key, new_key)
        finally:
            monkeypatch.undo()
            trio.from_thread.run(Reception(library).seal, again)

    monkeypatch.setattr(LocalStore, "link", sent_again)
    reception = Reception(library)
    await reception.seal_or_report(clip.id)
    await reception.seal_or_report(clip.id)
    assert library.held_back == {}
    assert contents(library, clip.id) == [b"one", b"two"]
    await check_sound(library)


def rendered(library: Library, clip: Asset, data: bytes) -> Path:
    """A preview with its row, as the job runner leaves it."""
    path = library.renditions / "ab" / "abcd-preview-small.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.rename(path)
    assert clip.blob is not None
    with library.db.transaction() as tx:
        derived.set_rendition(
            tx, clip.blob, RenditionKind.THUMBNAIL, "small", "ab/abcd-preview-small.jpg", len(data), {}, library.clock()
        )
    return path


async def test_a_rendition_that_is_made_while_strays_are_looked_for_stays(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash came between its file and its row: it is made again just then."""
    clip = await received(library, "clip.mov", b"one")
    path, list_strays = rendered(library, clip, b"old"), rendition_upkeep.files_without_row
    with library.db.transaction() as tx:
        tx.run("DELETE FROM rendition")
    os.utime(path, ns=(JULY_NS, JULY_NS))

    def made_after(connection: Connection, below: Path, before_ns: int) -> Iterator[Path]:
        found = list(list_strays(connection, below, before_ns))
        assert found == [path]
        trio.from_thread.run_sync(rendered, library, clip, b"new")
        yield from found

    monkeypatch.setattr(rendition_upkeep, "files_without_row", made_after)
    await rendition_upkeep.tidy_renditions(library, library.clock())
    assert path.read_bytes() == b"new"


async def test_a_rendition_of_bytes_that_come_again_while_they_expire_stays(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = await received(library, "clip.mov", b"one")
    path = rendered(library, clip, b"old")
    await trash_assets(library, [clip.id], "test")
    remove = LocalStore.remove

    async def sent_again() -> None:
        rendered(library, await received(library, "again.mov", b"one"), b"new")

    def removed(store: LocalStore, key: Key) -> None:
        remove(store, key)
        monkeypatch.undo()
        trio.from_thread.run(sent_again)

    monkeypatch.setattr(LocalStore, "remove", removed)
    now = library.clock()
    monkeypatch.setattr(library, "clock", lambda: now + 1000 * DAY_NS)
    assert await expire(library) == 1
    assert path.read_bytes() == b"new"


async def test_a_file_that_was_in_the_trash_while_a_scan_walked_is_not_missing(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = await received(library, "clip.mov", b"one")
    walk = scanner._walk

    def walked(files: BlobStore, facts: list[FileFact], problems: list[WalkProblem]) -> None:
        trio.from_thread.run(trash_assets, library, [clip.id], "test")
        walk(files, facts, problems)
        trio.from_thread.run(restore_assets, library, [clip.id], "test")

    monkeypatch.setattr(scanner, "_walk", walked)
    report = await scanned(library, "library")
    assert keys(library) == {CLIP: (clip.id, "present")}
    assert asset(library, clip.id).state is AssetState.PRESENT
    assert report.counts.get("missing", 0) == 0


async def test_a_file_that_comes_back_just_when_verify_misses_it_is_not_missing(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = await received(library, "clip.mov", b"one")
    (library.originals / os.fsdecode(CLIP)).unlink()
    read_sure = verify._Run._read_sure

    async def read(self: verify._Run, *arguments: object) -> object:
        found = await read_sure(self, *arguments)  # type: ignore[arg-type]  # as it was called
        assert (await received(library, "clip.mov", b"one")).id == clip.id
        return found

    monkeypatch.setattr(verify._Run, "_read_sure", read)
    await verify.verify(library, library.stores())
    assert keys(library) == {CLIP: (clip.id, "present")}
    assert asset(library, clip.id).state is AssetState.PRESENT
    await check_sound(library)


async def test_a_file_that_is_moved_while_verify_looks_around_is_not_unknown(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = await received(library, "clip.mov", b"one")
    walk = verify._walk

    def walked(files: BlobStore) -> list[Key]:
        found = walk(files)
        trio.from_thread.run(trash_assets, library, [clip.id], "test")
        return found

    monkeypatch.setattr(verify, "_walk", walked)
    report = await verify.verify(library, library.stores())
    assert report.exit_code is ExitCode.CLEAN
    assert Verdict.UNKNOWN not in report.counts


async def test_a_folder_that_is_made_and_renamed_during_a_scan_is_listed(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file manager does: New Folder, then its name."""
    walk, made = LocalStore.folders, list[FolderId]()

    def walked(store: LocalStore) -> Iterator[Key]:
        found = list(walk(store))
        top = trio.from_thread.run_sync(root, library)
        made.append(trio.from_thread.run(make_folder, library, top, b"New Folder", 0o755))
        monkeypatch.setattr(LocalStore, "folders", walk)
        return iter(found)

    def listed(connection: Connection, store: StoreId) -> dict[Key, Folder]:
        found = list_listed(connection, store)
        top = trio.from_thread.run_sync(root, library)
        trio.from_thread.run(move_folder, library, Move(made[0], top, b"Trip"))
        return found

    monkeypatch.setattr(LocalStore, "folders", walked)
    monkeypatch.setattr(catalog_folders, "list_listed", listed)
    await scanned(library, "library")
    trip = stores.folder_named(library.db.writer, root(library), b"Trip")
    assert trip is not None
    assert trip.live
    assert (library.originals / "Trip").is_dir()


async def with_two_names(library: Library) -> Asset:
    clip = await received(library, "clip.mov", b"one")
    (own,) = names_of(library, clip)
    await link_file(library, own.id, root(library), b"second.mov")
    return clip


async def test_a_name_that_is_taken_away_while_a_next_version_is_stored(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = await with_two_names(library)
    second = next(copy for copy in names_of(library, clip) if copy.name == b"second.mov")
    staged_again(library, clip.id, b"two")
    seal = Staging.seal

    def unlinked(staging: Staging, id_: AssetId, mtime_ns: int | None = None) -> Hashed:
        monkeypatch.undo()
        trio.from_thread.run(remove_name, library, second.id)
        return seal(staging, id_, mtime_ns)

    monkeypatch.setattr(Staging, "seal", unlinked)
    await Reception(library).seal(clip.id)
    assert files_below(library.originals) == {CLIP: b"two", b"2024/07/15/clip~v1.mov": b"one"}
    await check_sound(library)


@pytest.mark.parametrize("before", [1, 2])
async def test_a_name_that_is_given_while_a_next_version_is_stored_leads_to_it(
    library: Library, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    clip = await (received(library, "clip.mov", b"one") if before == 1 else with_two_names(library))
    own, top, seal = names_of(library, clip)[0], root(library), Staging.seal
    staged_again(library, clip.id, b"two")

    def linked(staging: Staging, id_: AssetId, mtime_ns: int | None = None) -> Hashed:
        monkeypatch.undo()
        trio.from_thread.run(link_file, library, own.id, top, b"third.mov")
        return seal(staging, id_, mtime_ns)

    monkeypatch.setattr(Staging, "seal", linked)
    await Reception(library).seal(clip.id)
    found = files_below(library.originals)
    assert (found[CLIP], found[b"third.mov"]) == (b"two", b"two")
    assert contents(library, clip.id) == [b"one", b"two"]
    assert {copy.name for copy in names_of(library, asset(library, clip.id))} >= {b"clip.mov", b"third.mov"}
    await check_sound(library)


async def test_what_is_still_written_over_an_asset_in_the_trash_does_not_expire(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last bytes are in no version yet."""
    clip = await received(library, "clip.mov", b"one")
    staged_again(library, clip.id, b"two")
    await trash_assets(library, [clip.id], "test")
    now = library.clock()
    monkeypatch.setattr(library, "clock", lambda: now + 1000 * DAY_NS)
    assert await expire(library) == 0
    await Reception(library).seal(clip.id)
    assert contents(library, clip.id) == [b"one", b"two"]


@pytest.mark.parametrize("what", ["move", "link"])
async def test_a_name_that_waits_for_a_next_version_is_the_one_that_was_meant(
    library: Library, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """What lies under it is kept beside it meanwhile."""
    clip = await received(library, "clip.mov", b"one")
    (own,) = names_of(library, clip)
    staged_again(library, clip.id, b"two")
    replace = LocalStore.replace
    does = {
        "move": partial(move_file, library, own.id, root(library), b"other.mov"),
        "link": partial(link_file, library, own.id, root(library), b"other.mov"),
    }
    async with trio.open_nursery() as nursery:

        def replaced(store: LocalStore, staged: Path, key: Key) -> FileFact:
            monkeypatch.undo()
            trio.from_thread.run_sync(nursery.start_soon, does[what])
            trio.from_thread.run(trio.testing.wait_all_tasks_blocked, 0.05)
            return replace(store, staged, key)

        monkeypatch.setattr(LocalStore, "replace", replaced)
        await Reception(library).seal(clip.id)
    assert (
        files_below(library.originals)
        == {
            "move": {b"other.mov": b"two", b"2024/07/15/clip~v1.mov": b"one"},
            "link": {CLIP: b"two", b"other.mov": b"two", b"2024/07/15/clip~v1.mov": b"one"},
        }[what]
    )
    assert contents(library, clip.id) == [b"one", b"two"]
    listed = {copy.name for copy in names_of(library, asset(library, clip.id))}
    assert listed == {"move": {b"other.mov"}, "link": {b"clip.mov", b"other.mov"}}[what]
    await check_sound(library)


async def spoken_of_photo(library: Library) -> AssetId:
    """A photo in a folder, of which something is to be written beside it."""
    (library.originals / "shoot").mkdir()
    jpeg(library.originals / "shoot" / "photo.jpg")
    await scanned(library, "library")
    photo = the_asset(library, "photo.jpg").id
    library.perform(SetRating(photo, 8), "cli")
    return photo


async def test_a_new_sidecar_that_a_program_opens_just_then_is_no_original_that_it_writes_into(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, reception, place = await spoken_of_photo(library), Reception(library), LocalStore.place
    async with trio.open_nursery() as nursery:
        drafts = Drafts(library, reception, nursery)
        unsettled = list[int]()

        def placed(store: LocalStore, staged: Path, key: Key) -> FileFact:
            unsettled.append(trio.from_thread.run_sync(lambda: drafts.unsettled))
            return place(store, staged, key)

        monkeypatch.setattr(LocalStore, "place", placed)
        sidecar = await write_new(library, reception, photo, "sidecar")
    assert unsettled == [1], "who opens it to write waits until it is sealed"
    assert sidecar is not None
    assert asset(library, sidecar).state is AssetState.PRESENT
    await check_sound(library)


async def test_what_a_program_wrote_first_into_a_new_sidecar_is_not_taken_for_what_is_said(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, reception = await spoken_of_photo(library), Reception(library)
    stage = sidecar_sync._stage
    async with trio.open_nursery() as nursery:
        drafts = Drafts(library, reception, nursery)

        async def write(id_: AssetId) -> None:
            draft = await drafts.join(id_, writes=True, truncate=True)
            nursery.start_soon(go_on, draft)

        async def go_on(draft: Draft) -> None:
            await trio.testing.wait_all_tasks_blocked(0.05)
            await drafts.write(draft, 0, b"what a program says")
            await drafts.leave(draft, writes=True)
            await drafts.settled()

        def staged(its: Library, id_: AssetId, data: bytes) -> None:
            stage(its, id_, data)
            trio.from_thread.run(write, id_)

        monkeypatch.setattr(sidecar_sync, "_stage", staged)
        assert await write_new(library, reception, photo, "sidecar") is None
    assert (library.originals / "shoot" / "photo.jpg.xmp").read_bytes() == b"what a program says"
    assert sidecars.of(library.db.writer, the_asset(library, "photo.jpg.xmp").id) is None
    await check_sound(library)


async def test_the_catalog_s_own_connection_is_asked_on_the_loop_alone(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a sidecar is written again: the loop may be amid a transaction."""
    photo, reception = await spoken_of_photo(library), Reception(library)
    sidecar = await write_new(library, reception, photo, "sidecar")
    assert sidecar is not None
    library.perform(SetRating(photo, 4), "cli")
    ask, loop, asked = stores.copies_of_asset, threading.get_ident(), set[int]()

    def asking(connection: Connection, id_: AssetId) -> list[Copy]:
        asked.add(threading.get_ident())
        return ask(connection, id_)

    monkeypatch.setattr(stores, "copies_of_asset", asking)
    assert (await sync_sidecar(library, reception, sidecar, "sidecar", write=True)).written
    assert asked == {loop}


async def test_a_name_that_is_still_to_lead_to_the_next_version_is_not_let_go_of(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a setting that old versions are let go of, just when its bytes came to be such."""
    clip = await with_two_names(library)
    await overwritten(library, clip.id, b"two")
    assert {copy.name for copy in names_of(library, asset(library, clip.id))} == {b"clip.mov", b"second.mov"}
    keep = msgspec.structs.replace(library.settings.versions, keep=1)
    library.use_settings(msgspec.structs.replace(library.settings, versions=keep))
    lead = further_names.follow

    async def pruned_before(its: Library, names: Sequence[Copy]) -> None:
        await prune_versions(its, Reception(its))
        await lead(its, names)

    monkeypatch.setattr("damfs.core.reception.follow", pruned_before)
    await overwritten(library, clip.id, b"three")
    monkeypatch.undo()
    found = files_below(library.originals)
    assert (found[CLIP], found.get(b"second.mov")) == (b"three", b"three")
    assert {copy.name for copy in names_of(library, asset(library, clip.id))} == {b"clip.mov", b"second.mov"}
    assert await prune_versions(library, Reception(library)) == 1
    assert contents(library, clip.id) == [b"one", b"three"]
    await check_sound(library)


async def test_another_name_of_a_sidecar_leads_to_what_is_written_into_it(library: Library) -> None:
    photo, receiving = await spoken_of_photo(library), Reception(library)
    sidecar = await write_new(library, receiving, photo, "sidecar")
    assert sidecar is not None
    (own,) = names_of(library, asset(library, sidecar))
    await link_file(library, own.id, root(library), b"second.xmp")
    for stars in (2, 4, 6):
        library.perform(SetRating(photo, stars), "cli")
        assert (await sync_sidecar(library, receiving, sidecar, "sidecar", write=True)).written
        found = files_below(library.originals)
        assert found.get(b"second.xmp") == found[b"shoot/photo.jpg.xmp"]
    assert {copy.name for copy in names_of(library, asset(library, sidecar))} == {b"photo.jpg.xmp", b"second.xmp"}
    await check_sound(library)


@pytest.mark.parametrize("what", ["file", "link", "folder"])
async def test_what_is_put_into_a_folder_that_is_just_removed_stays_where_it_is(
    library: Library, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    clip = await received(library, "clip.mov", b"one")
    (own,) = names_of(library, clip)
    folder = await make_folder(library, root(library), b"folder", 0o755)
    other = await make_folder(library, root(library), b"other", 0o755)
    does = {
        "file": partial(move_file, library, own.id, folder, b"moved"),
        "link": partial(link_file, library, own.id, folder, b"moved"),
        "folder": partial(move_folder, library, Move(other, folder, b"moved")),
    }
    remove, outcomes = LocalStore.remove_folder, list[str]()

    async def put() -> None:
        try:
            await does[what]()
        except NotFound:
            outcomes.append("not found")

    async with trio.open_nursery() as nursery:

        def removed(store: LocalStore, key: Key) -> None:
            trio.from_thread.run_sync(nursery.start_soon, put)
            trio.from_thread.run(trio.testing.wait_all_tasks_blocked, 0.05)
            remove(store, key)

        monkeypatch.setattr(LocalStore, "remove_folder", removed)
        await remove_folder(library, folder)
    assert outcomes == ["not found"]
    assert files_below(library.originals) == {CLIP: b"one"}
    assert sorted(path.name for path in library.originals.iterdir()) == ["2024", "other"]
    assert (await check(library, at_rest=True)).findings == []


async def test_a_file_that_is_back_from_the_trash_is_not_taken_for_moved_by_a_scan(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it was walked the file was away, and a copy of it was there."""
    clip = await received(library, "clip.mov", b"one")
    (library.originals / "copy.mov").write_bytes(b"one")
    walk = scanner._walk

    def walked(files: BlobStore, facts: list[FileFact], problems: list[WalkProblem]) -> None:
        trio.from_thread.run(trash_assets, library, [clip.id], "test")
        walk(files, facts, problems)
        trio.from_thread.run(restore_assets, library, [clip.id], "test")

    monkeypatch.setattr(scanner, "_walk", walked)
    await scanned(library, "library")
    await check_sound(library)


async def test_a_file_that_is_made_in_a_folder_that_is_just_removed_stays_there(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await make_folder(library, root(library), b"folder", 0o755)
    remove, made = LocalStore.remove_folder, list[AssetId]()

    def make() -> None:
        made.append(drafted(library, "clip.mov", b"one", triaged=True))
        library.perform(SetDestination(made[0], folder, b"clip.mov"), "test")

    def removed(store: LocalStore, key: Key) -> None:
        trio.from_thread.run_sync(make)
        remove(store, key)

    monkeypatch.setattr(LocalStore, "remove_folder", removed)
    with pytest.raises(NotEmpty):
        await remove_folder(library, folder)
    assert (library.originals / "folder").is_dir()
    await Reception(library).seal(made[0])
    assert files_below(library.originals) == {b"folder/clip.mov": b"one"}
    await check_sound(library)


async def test_a_file_that_is_made_in_a_folder_that_another_just_replaces_is_in_that(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await make_folder(library, root(library), b"folder", 0o755)
    new = await make_folder(library, root(library), b"new", 0o755)
    move, made = LocalStore.move_folder, list[AssetId]()

    def make() -> None:
        made.append(drafted(library, "clip.mov", b"one", triaged=True))
        library.perform(SetDestination(made[0], old, b"clip.mov"), "test")

    def moved(store: LocalStore, key: Key, new_key: Key) -> None:
        trio.from_thread.run_sync(make)
        move(store, key, new_key)

    monkeypatch.setattr(LocalStore, "move_folder", moved)
    await move_folder(library, Move(new, root(library), b"folder"))
    await Reception(library).seal(made[0])
    assert files_below(library.originals) == {b"folder/clip.mov": b"one"}
    await check_sound(library)
