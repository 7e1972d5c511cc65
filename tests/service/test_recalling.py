"""P7 without any catalog: earlier versions, the trash, permissions and owners come back from what the store keeps."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from damfs.catalog import change_feed, derived, folders, stores, trash, versions
from damfs.catalog.folders import Move
from damfs.core import store_notes
from damfs.core.arranging import SetFolder, SetFolderOwner, SetOwner
from damfs.core.backups import back_up_daily
from damfs.core.check import check
from damfs.core.commands import Rename, SetMode
from damfs.core.describing import SetComment, SetRating
from damfs.core.folders import make_folder, move_folder
from damfs.core.library import Library, open_library
from damfs.core.note_keeping import NoteKeeper, note_file
from damfs.core.rebuild import CATALOG, rebuild
from damfs.core.rebuild_report import RebuildReport, as_text
from damfs.core.reception import Reception
from damfs.core.scanner import scan
from damfs.core.sidecar_pass import sync_all
from damfs.core.store_notes import parsed
from damfs.core.superseding import revert
from damfs.core.trashing import restore_assets, trash_assets
from damfs.model import AssetId, AssetState, FolderId
from tests.small_library import (
    ZONE,
    asset,
    assets_named,
    files_below,
    opened,
    overwritten,
    received,
    tags,
    the_asset,
)

Sight = dict[tuple[str, str], tuple[object, ...]]
Look = tuple[Sight, list[tuple[object, ...]]]


@asynccontextmanager
async def kept(path: Path) -> AsyncIterator[Library]:
    """The library with its notes kept, as while it is mounted."""
    with opened(path) as library:
        async with trio.open_nursery() as nursery:
            keeper = NoteKeeper(library)
            await nursery.start(keeper.serve)
            await keeper.begun.wait()
            yield library
            nursery.cancel_scope.cancel()


def versions_of(library: Library, id_: AssetId) -> list[tuple[object, ...]]:
    """Number, digest, times and bytes of each."""
    found, all_ = list[tuple[object, ...]](), versions.of_asset(library.db.writer, id_)
    for each in all_:
        copies = library.sources(each.blob, id_)
        content = library.source_paths(each.blob, id_)[0].read_bytes() if copies else None
        own = [copy.asset == id_ for copy in copies]
        created_ns = each.created_ns if len(all_) > 1 else None
        found.append((each.number, each.digest.hex(), each.mtime_ns, created_ns, content, any(own)))
    return found


def in_trash(library: Library, id_: AssetId) -> object:
    """Since when, from where, and where its files lay."""
    db = library.db.writer
    found = trash.trashed(db, id_)
    former = [trash.former_key(db, copy.id) for copy in stores.copies_of_asset(db, id_)]
    return None if found is None else (found.at_ns, found.place, sorted(key for key in former if key))


def sight(library: Library) -> Sight:
    """All that a person would miss."""
    db = library.db.writer
    owners = {id_: (uid, gid) for id_, uid, gid in folders.owners(db)}
    found: Sight = {}
    for id_, name, digest, state, mtime_ns, mode in db.rows(
        "SELECT a.id, a.name, hex(b.digest), a.state, a.mtime_ns, a.mode FROM asset AS a"
        " JOIN blob AS b ON b.id = a.blob"
    ):
        lie = sorted(stores.key_of(db, copy.folder, copy.name) for copy in stores.copies_of_asset(db, id_))
        told = (state, mtime_ns, mode, owners.get(id_), lie, in_trash(library, id_), versions_of(library, id_))
        found[name, digest] = told
    return found


def folders_of(library: Library) -> list[tuple[object, ...]]:
    db = library.db.writer
    rows = db.rows(
        "SELECT f.parent, f.name, a.mode, a.mtime_ns, a.uid, a.gid FROM folder_attribute AS a"
        " JOIN folder AS f ON f.id = a.folder"
    )
    return sorted((stores.key_of(db, parent, name), *rest) for parent, name, *rest in rows)


def look(path: Path) -> Look:
    with opened(path) as library:
        return sight(library), folders_of(library)


def assert_same(found: Look, wanted: Look) -> None:
    names = found[0].keys() | wanted[0].keys()
    differ = {each: (found[0].get(each), wanted[0].get(each)) for each in names}
    assert {name: both for name, both in differ.items() if both[0] != both[1]} == {}
    assert found[1] == wanted[1]


async def rebuilt(path: Path, *, keep_backups: bool = False) -> RebuildReport:
    """After all of state/ that holds a catalog is gone; the rules hold then, and the files are as they were."""
    files = files_below(path / "originals")
    for ending in ("", "-wal", "-shm"):
        (path / "state" / (CATALOG + ending)).unlink(missing_ok=True)
    if not keep_backups:
        shutil.rmtree(path / "state" / "backups", ignore_errors=True)
    report = await rebuild(path)
    now = files_below(path / "originals")
    files.pop(b".damfs-notes", None)
    assert {key: now[key] for key in files} == files
    assert now.keys() - files.keys() == {b".damfs-notes"}
    with open_library(path) as library:
        assert (await check(library, at_rest=True)).findings == []
    return report


async def folder(library: Library, *names: bytes) -> FolderId:
    found = stores.root_folder(library.db.writer, library.library_store().id)
    for name in names:
        there = stores.folder_named(library.db.writer, found, name)
        found = await make_folder(library, found, name, 0o755) if there is None else there.id
    return found


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """Files written over, renamed, reverted and trashed, with the same bytes elsewhere; folders with permissions."""
    path = tmp_path / "library"
    async with kept(path) as library:
        clip = await received(library, "clip.mov", b"one", "beach")
        for content in (b"two", b"three"):
            await overwritten(library, clip.id, content)
        await received(library, "as before.mov", b"one")
        await received(library, "clip~v7.mov", b"a person called it so")
        back = await received(library, "back.mov", b"first")
        await overwritten(library, back.id, b"second")
        await revert(library, Reception(library), back.id, 1)
        gone = await received(library, "gone.mov", b"unwanted")
        await overwritten(library, gone.id, b"unwanted as well")
        await received(library, "plain.mov", b"plain")
        private = await received(library, "private.mov", b"private")
        library.execute([SetMode(private.id, 0o600), SetOwner(private.id, 1234, 567)], "test")
        library.execute([SetRating(clip.id, 8), SetComment(clip.id, "the long one")], "test")
        await trash_assets(library, [gone.id, (await received(library, "off.mov", b"off")).id], "test", "inbox/off.mov")
        inner = await folder(library, b"projects", b"\xff raw")
        library.execute([SetFolder(inner, 0o2770, 77), SetFolderOwner(inner, 1000, 100)], "test")
        await move_folder(library, Move(await folder(library, b"projects"), await folder(library), b"jobs"))
    return path


async def test_everything_comes_back_without_any_catalog(path: Path) -> None:
    before = look(path)
    report = await rebuilt(path)
    assert_same(look(path), before)
    assert (report.versions, report.trashed, report.folders) == (5, 2, 2)
    assert report.assets == len(before[0])
    assert (report.without_bytes, report.old_versions, report.unrecalled) == (0, 0, 0)
    text = as_text(report)
    assert "the notes that the store keeps" in text
    assert "back       5 earlier versions" in text
    assert "nothing tells of them" not in text


async def test_it_can_be_done_again_and_the_library_goes_on(path: Path) -> None:
    before = look(path)
    await rebuilt(path)
    await rebuilt(path)
    assert_same(look(path), before)
    async with kept(path) as library:
        await overwritten(library, the_asset(library, "clip.mov").id, b"four")
        await restore_assets(library, [the_asset(library, "gone.mov").id], "test")
    before = look(path)
    with opened(path) as library:
        keys = [key for key in files_below(library.originals) if key.endswith((b"gone.mov", b"gone~v1.mov"))]
        assert not any(key.startswith(b".damfs-trash") for key in keys)
        assert len(keys) == 2
    await rebuilt(path)
    assert_same(look(path), before)


async def test_tags_ratings_and_comments_come_back_from_sidecars(path: Path) -> None:
    (path / "damfs.toml").write_text(ZONE + "[sidecars]\nwrite = true\n")
    async with kept(path) as library:
        await sync_all(library, Reception(library), "sidecar", write=True)
    with opened(path) as library:
        before = described(library)
    assert before["clip.mov"] == (["beach"], 8, "the long one")
    await rebuilt(path)
    with opened(path) as library:
        assert described(library) == before


def described(library: Library) -> dict[str, object]:
    rows = library.db.writer.rows(
        "SELECT a.id, a.name, coalesce(r.rating, 0), coalesce(r.comment, '') FROM asset AS a"
        " LEFT JOIN remark AS r ON r.asset = a.id WHERE a.name NOT LIKE '%.xmp'"
    )
    return {name: (tags(library, id_), rating, comment) for id_, name, rating, comment in rows}


async def test_it_comes_back_from_an_old_catalog_as_well(path: Path) -> None:
    before = look(path)
    note_file_of(path).unlink()
    await rebuild(path)
    assert_same(look(path), before)


async def test_notes_are_newer_than_a_backup(path: Path) -> None:
    with opened(path) as library:
        await back_up_daily(library)
    async with kept(path) as library:
        await overwritten(library, the_asset(library, "clip.mov").id, b"since the backup")
        await overwritten(library, the_asset(library, "plain.mov").id, b"plainer")
        await restore_assets(library, [the_asset(library, "gone.mov").id], "test")
        await trash_assets(library, [the_asset(library, "private.mov").id], "test", "inbox/private.mov")
    before = look(path)
    report = await rebuilt(path, keep_backups=True)
    assert report.sources
    assert_same(look(path), before)
    with opened(path) as library:
        assert tags(library, the_asset(library, "clip.mov").id) == ["beach"], "what only the backup knows"


async def with_an_older_catalog(path: Path) -> Look:
    """What there was before somebody put a backup in the catalog's place."""
    catalog = path / "state" / CATALOG
    shutil.copy(catalog, path / "backup")
    async with kept(path) as library:
        await overwritten(library, the_asset(library, "clip.mov").id, b"since the backup")
        await overwritten(library, the_asset(library, "clip.mov").id, b"and once more")
        await overwritten(library, the_asset(library, "plain.mov").id, b"plainer")
        inner = await folder(library, b"since")
        library.execute([SetFolder(inner, 0o2750, 78)], "test")
    before = look(path)
    for ending in ("", "-wal", "-shm"):
        catalog.with_name(catalog.name + ending).unlink(missing_ok=True)
    shutil.move(path / "backup", catalog)
    return before


async def test_an_older_catalog_that_was_brought_back_does_not_outdo_the_notes(path: Path) -> None:
    before = await with_an_older_catalog(path)
    await rebuild(path)
    assert_same(look(path), before)


@pytest.mark.expect_warnings("changes that the catalog does not")
async def test_an_older_catalog_that_goes_on_keeps_what_only_the_notes_tell(path: Path) -> None:
    await with_an_older_catalog(path)
    noted = note_file_of(path).read_bytes()
    async with kept(path) as library:
        await scan(library, library.library_store())
        await overwritten(library, the_asset(library, "clip.mov").id, b"life goes on")
    aside = note_file_of(path).with_name(".damfs-notes-1")
    assert aside.read_bytes() == noted
    async with kept(path):
        pass
    assert not aside.with_name(".damfs-notes-2").exists()
    await rebuild(path)
    with opened(path) as library:
        clip = [each[4] for each in versions_of(library, the_asset(library, "clip.mov").id)]
        assert clip == [b"one", b"two", b"three", b"since the backup", b"and once more", b"life goes on"]
        plain = [each[4] for each in versions_of(library, the_asset(library, "plain.mov").id)]
        assert plain == [b"plain", b"plainer"]
        assert (b"since", 0o2750, 78, None, None) in folders_of(library)
    assert not aside.exists()
    again = look(path)
    await rebuild(path)
    assert_same(look(path), again)


async def test_notes_without_their_first_line_do_not_replace_a_backup(path: Path) -> None:
    with opened(path) as library:
        await back_up_daily(library)
        seq, name = change_feed.last_seq(library.db.writer), derived.property_value(library.db.writer, "library-id")
        note_file(library).path.unlink()
        note_file(library).append([store_notes.end_line(str(name), seq)])
    before = look(path)
    report = await rebuilt(path, keep_backups=True)
    assert (report.versions, report.trashed) == (5, 2)
    assert_same(look(path), before)


async def test_without_notes_versions_are_files_of_their_own_and_that_is_told(path: Path) -> None:
    note_file_of(path).unlink()
    report = await rebuilt(path)
    assert "nothing tells of them" in as_text(report)
    with opened(path) as library:
        assert assets_named(library, "clip~v1.mov")
        assert len(versions.of_asset(library.db.writer, the_asset(library, "clip.mov").id)) == 1


async def test_bytes_that_are_gone_and_files_that_changed_are_told(path: Path) -> None:
    (path / "originals/2024/07/15/clip~v2.mov").unlink()
    (path / "originals/2024/07/15/private.mov").unlink()
    (path / "originals/2024/07/15/back.mov").write_bytes(b"by other means")
    report = await rebuilt(path)
    assert (report.without_bytes, report.unrecalled) == (3, 1), "clip.mov's second, back.mov's first and third"
    assert "the bytes of 3 earlier versions" in as_text(report)
    with opened(path) as library:
        contents = [each[4] for each in versions_of(library, the_asset(library, "back.mov").id)]
        assert contents[1:] == [b"second", None, b"by other means"]


def note_file_of(path: Path) -> Path:
    return path / "originals/.damfs-notes"


def written(path: Path) -> tuple[int, int, int]:
    status = note_file_of(path).stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


async def test_the_notes_are_in_step_after_the_end_and_after_a_crash(path: Path) -> None:
    before = written(path)
    async with kept(path):
        pass
    assert written(path) == before, "nothing happened since: nothing is written"
    with opened(path) as library:  # nobody keeps notes: as if the daemon had been killed
        await overwritten(library, the_asset(library, "plain.mov").id, b"plainer")
        library.execute([Rename(the_asset(library, "private.mov").id, "public.mov")], "test")
    async with kept(path):
        pass
    with opened(path) as library:
        noted = parsed(*note_file(library).read())
        wanted = {the_asset(library, name).id for name in ("clip.mov", "back.mov", "gone.mov", "off.mov", "plain.mov")}
        assert noted.assets.keys() == wanted | {the_asset(library, "public.mov").id}
        assert noted.damaged == 0


async def test_a_note_is_taken_back(path: Path) -> None:
    async with kept(path) as library:
        off = the_asset(library, "off.mov").id
        await restore_assets(library, [off], "test")
    with opened(path) as library:
        assert off not in parsed(*note_file(library).read()).assets
        assert asset(library, off).state is AssetState.PRESENT
