"""P7: a catalog that is lost or damaged is made anew from the files, and from what old catalogs still tell."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import trio

from damfs.catalog import derived, remarks, stores, term_names, vocabulary
from damfs.catalog.proposals import Origin
from damfs.catalog.term_names import Detail, Label
from damfs.catalog.vocabulary import GivenTag
from damfs.core.backups import DAILY, back_up, back_up_daily, newest_first, numbered
from damfs.core.check import check
from damfs.core.commands import Rename, SetMode
from damfs.core.describing import SetAttribute, SetComment, SetRating
from damfs.core.library import Library, make_library, open_library
from damfs.core.processors.probe import Probe
from damfs.core.rebuild import CATALOG, MAKING, rebuild
from damfs.core.rebuild_report import as_text
from damfs.core.rewriting import BeginRewrite, CloseRewrite
from damfs.core.suggesting import RefuseProposal, Suggest
from damfs.core.term_commands import AddLabel, RelateTerms, SetTermDetail, SetTermNote
from damfs.core.trashing import trash_assets
from damfs.errors import BadLibrary
from damfs.model import AssetId, AssetState, BlobId, RenditionKind, TagSource, TermId
from damfs.storage.received_notes import RECEIVED_NOTES
from damfs.storage.tree_walk import NOTES
from tests.small_library import (
    added,
    drafted,
    files_below,
    opened,
    received,
    scanned,
    tags,
    term,
    the_asset,
)

Sight = dict[tuple[str, str], tuple[object, ...]]


def sight(library: Library) -> Sight:
    """What a person would miss: by digest and name, the state, dates, mode, tags and places of each asset."""
    connection = library.db.writer
    seen: Sight = {}
    for id_, name, digest, *rest in connection.rows(
        "SELECT a.id, a.name, hex(b.digest), a.state, a.media, a.triaged, a.mtime_ns, a.mode, a.day, a.captured_ns,"
        " a.created_ns FROM asset AS a JOIN blob AS b ON b.id = a.blob"
    ):
        places = sorted(
            (store.name, bytes(key))
            for store in library.stores()
            for key, copy in stores.list_copies(connection, store.id)
            if copy.asset == id_
        )
        said = (remarks.remark(connection, id_), attributes_of(library, id_))
        seen[name, digest] = (*rest, vocabulary.taggings(connection, id_), said, places)
    return seen


def attributes_of(library: Library, id_: AssetId) -> dict[bytes, bytes | None]:
    connection = library.db.writer
    return {name: remarks.attribute(connection, id_, name) for name in remarks.attribute_names(connection, id_)}


def vocabulary_of(library: Library) -> list[tuple[object, ...]]:
    """Terms, with what is said of them, and what was judged."""
    db = library.db.writer
    terms = vocabulary.list_terms(db)
    names = {each.id: each.name for each in terms}
    judged = db.rows("SELECT t.name, j.confidence, j.model FROM judgement AS j JOIN term AS t ON t.id = j.term")
    said: list[tuple[object, ...]] = [
        (
            each.name, names.get(each.broader) if each.broader else None, term_names.labels(db, each.id),
            term_names.notes(db, each.id), term_names.detail(db, each.id),
            [other.name for other in term_names.related(db, each.id)],
        )
        for each in terms
    ]  # fmt: skip
    return [*said, *judged]


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    """A library with received files, a folder in place, equal bytes under two names, renamed and trashed assets."""
    path = tmp_path / "library"
    with opened(path) as library:
        term(library, "sunset", term(library, "sea"))
        await received(library, "beach.mov", b"waves", "sunset", "best", triaged=True)
        await received(library, "copy of beach.mov", b"waves", "sea")
        await received(library, "gone.mov", b"unwanted", "sea")
        renamed = await received(library, "IMG_1.jpg", b"picture", "best")
        library.execute([Rename(renamed.id, "portrait.jpg"), SetMode(renamed.id, 0o600)], "test")
        library.execute([SetRating(renamed.id, 9), SetAttribute(renamed.id, b"user.\xff", bytes(range(256)))], "test")
        library.perform(SetComment(the_asset(library, "beach.mov").id, "the long one"), "test")
        _describe_terms(library, renamed.id)
        await trash_assets(library, [the_asset(library, "gone.mov").id], "test")
        (tmp_path / "card" / "day 1").mkdir(parents=True)
        (tmp_path / "card" / "day 1" / "one.mov").write_bytes(b"one")
        (tmp_path / "card" / "two.mov").write_bytes(b"two")
        added(library, tmp_path / "card")
        await scanned(library)
        _tag(library, "one.mov", "sea")
        _derive(library)
    return path


def _describe_terms(library: Library, picture: AssetId) -> None:
    sea, sunset = term(library, "sea"), term(library, "sunset")
    library.execute([AddLabel(sea, Label("fr", "mer", preferred=True)), SetTermNote(sea, "en", "salt water")], "test")
    library.execute([SetTermDetail(sea, Detail("en", "a photo of the sea")), RelateTerms(sea, sunset)], "test")
    library.perform(Suggest(picture, Origin("auto_tag/2", "m"), [(sea, 0.5)]), "test")
    library.perform(RefuseProposal(picture, sea), "test")


def _tag(library: Library, name: str, tag: str) -> None:
    with library.db.transaction() as tx:
        tx.run(
            "INSERT INTO tagging (asset, term, source, confidence, created_ns, processor, model)"
            " VALUES (?, ?, 'model', 0.75, 1, 'auto_tag/2', 'm#1')", the_asset(library, name).id, term(library, tag)
        )  # fmt: skip


def _derive(library: Library) -> None:
    beach = the_asset(library, "beach.mov")
    assert beach.blob is not None
    (library.renditions / "ab").mkdir()
    (library.renditions / "ab" / "poster.jpg").write_bytes(b"poster!")
    with library.db.transaction() as tx:
        derived.set_facts(tx, beach.blob, "probe", {"media": "video"})
        derived.set_rendition(tx, beach.blob, RenditionKind.POSTER, "full", "ab/poster.jpg", 7, {"a": 1}, 5)
        derived.set_embedding(tx, beach.blob, "look/1", None, b"\0\0\0\0")
        tx.run(
            "INSERT INTO job (blob, processor, processor_version, priority, state, due_ns, updated_ns)"
            " VALUES (?, 'probe', ?, 1, 'done', 0, 0)",
            beach.blob,
            Probe.version,
        )


def looked_at(path: Path) -> tuple[Sight, list[tuple[object, ...]]]:
    with opened(path) as library:
        return sight(library), vocabulary_of(library)


def catalog(path: Path) -> Path:
    return path / "state" / CATALOG


async def test_everything_comes_back_from_the_old_catalog(path: Path) -> None:
    before, files = looked_at(path), files_below(path / "originals")
    report = await rebuild(path)
    assert looked_at(path) == before
    assert files_below(path / "originals").keys() - files.keys() == {NOTES}
    assert {**files_below(path / "originals"), **files} == files_below(path / "originals")
    assert (report.known, report.missing, report.tags, report.lost) == (6, 0, 6, {})
    assert report.sources == [CATALOG]
    assert not (path / "state" / MAKING).exists()


async def test_tags_of_a_catalog_that_says_nothing_of_models_come_back(path: Path) -> None:
    """As catalogs before schema 3."""
    with opened(path) as library:
        for (trigger,) in library.db.writer.rows("SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
            library.db.writer.run(f'DROP TRIGGER "{trigger}"')
        library.db.writer.run("ALTER TABLE tagging DROP COLUMN processor")
        library.db.writer.run("ALTER TABLE tagging DROP COLUMN model")
        library.db.writer.run("PRAGMA user_version = 2")
    report = await rebuild(path)
    assert (report.tags, report.lost) == (6, {})
    with opened(path) as library:
        given = vocabulary.taggings(library.db.writer, the_asset(library, "one.mov").id)
        assert given == [GivenTag("sea", TagSource.MODEL, 0.75)]


async def test_what_models_propose_is_asked_again(path: Path) -> None:
    with opened(path) as library:
        blob = the_asset(library, "beach.mov").blob
        with library.db.transaction() as tx:
            tx.run(
                "INSERT INTO job (blob, processor, processor_version, priority, state, due_ns, updated_ns)"
                " VALUES (?, 'auto_tag', 99, 1, 'done', 0, 0)", blob
            )  # fmt: skip
    await rebuild(path)
    with opened(path) as library:
        jobs = library.db.writer.rows("SELECT processor FROM job WHERE state = 'done'")
        assert jobs == [("probe",)], "what it proposed did not come back"


async def test_the_new_catalog_keeps_every_rule(path: Path) -> None:
    await rebuild(path)
    with open_library(path) as library:
        assert (await check(library, at_rest=True)).findings == []


async def test_what_was_derived_need_not_be_made_again(path: Path) -> None:
    report = await rebuild(path)
    with opened(path) as library:
        blob = the_asset(library, "beach.mov").blob
        assert blob is not None
        assert derived.facts_of(library.db.writer, blob) == {"probe": {"media": "video"}}
        assert [made.key for made in derived.renditions_of(library.db.writer, blob)] == ["ab/poster.jpg"]
        assert derived.models_of(library.db.writer, blob) == ["look/1"]
        assert library.db.writer.rows("SELECT processor, state FROM job WHERE blob = ? AND state = 'done'", blob) == [
            ("probe", "done")
        ]
    assert report.blobs == 5


async def test_the_old_catalog_is_kept_as_it_was(path: Path) -> None:
    before = catalog(path).read_bytes()
    report = await rebuild(path)
    assert await trio.Path(report.aside).read_bytes() == before
    assert Path(report.aside).parent == path / "state" / "backups"
    assert (await rebuild(path)).aside != report.aside


async def test_ids_are_not_given_again(path: Path) -> None:
    with opened(path) as library:
        highest = library.db.writer.integer("SELECT seq FROM sqlite_sequence WHERE name = 'asset'")
    await rebuild(path)
    with opened(path) as library:
        assert library.db.writer.integer("SELECT min(id) FROM asset") > highest


async def test_without_any_old_catalog_the_files_come_back(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        catalog(path).with_name(CATALOG + ending).unlink(missing_ok=True)
    report = await rebuild(path)
    after, terms = looked_at(path)
    assert {name for name, _ in after} == {"beach.mov", "copy of beach.mov", "gone.mov", "IMG_1.jpg"}
    assert terms == []
    assert report.sources == []
    assert "no old catalog could be read" in as_text(report)
    with opened(path) as library:
        assert [store.name for store in library.stores()] == ["library"]


@pytest.mark.parametrize("left_out", [os.fsdecode(NOTES), "nothing"])
async def test_bare_originals_are_enough(path: Path, left_out: str) -> None:
    """Copied without anything else, as from a backup that left `state/` and the settings out."""
    bare = path.with_name("bare")
    shutil.copytree(path / "originals", bare / "originals", ignore=shutil.ignore_patterns(left_out))
    with pytest.raises(BadLibrary, match=f"damfs rebuild {bare}"), open_library(bare):
        pass
    with pytest.raises(BadLibrary, match=f"damfs rebuild {bare}"):
        make_library(bare)
    report = await rebuild(bare)
    assert f"the usual ones are in {bare}/damfs.toml" in as_text(report)
    with opened(bare) as library:
        states = library.status(library.db.writer).assets
        assert states == {"present": 3, "trashed": 1}
        assert library.status(library.db.writer).stores[0].missing == 0
        read = {library.source_paths(blob)[0].read_bytes() for blob in _blobs(library)}
        assert read == {b"waves", b"unwanted", b"picture"}
        assert (await check(library, at_rest=True)).findings == []
    with pytest.raises(BadLibrary, match="is a damfs library already"):
        make_library(bare)


def _blobs(library: Library) -> list[BlobId]:
    return [BlobId(id_) for (id_,) in library.db.writer.rows("SELECT DISTINCT blob FROM asset")]


async def test_a_lost_catalog_is_completed_from_the_newest_backup(path: Path) -> None:
    with opened(path) as library:
        await back_up_daily(library)
    before = looked_at(path)
    catalog(path).write_bytes(b"this is no database" * 1000)
    report = await rebuild(path)
    assert looked_at(path) == before
    assert report.sources == [f"{DAILY}-1.sqlite3"]


async def test_a_damaged_catalog_gives_what_is_left_and_the_backup_the_rest(path: Path) -> None:
    before = looked_at(path)
    with opened(path) as library:
        await library.db.read(lambda connection: back_up(connection, path / "state" / "backups", DAILY))
        page = library.db.writer.integer("PRAGMA page_size")
        root = library.db.writer.integer("SELECT rootpage FROM sqlite_schema WHERE name = 'tagging'")
    with catalog(path).open("r+b") as file:
        file.seek((root - 1) * page)
        file.write(b"\xff" * page)
    report = await rebuild(path)
    assert looked_at(path) == before
    assert report.sources[0] == CATALOG
    assert any(key.startswith(f"tagging of {CATALOG}") for key in report.lost)


async def test_rows_that_cannot_be_read_are_counted_and_the_others_come_back(tmp_path: Path) -> None:
    """A page in the middle of the table of assets is destroyed; there is no backup."""
    path = tmp_path / "library"
    folder = tmp_path / "card"
    folder.mkdir()
    for number in range(400):
        (folder / f"clip {number}.mov").write_bytes(b"%d" % number)
    with opened(path) as library:
        added(library, folder)
        await scanned(library)
        beach = term(library, "beach")
        with library.db.transaction() as tx:
            tx.run(
                "INSERT INTO tagging (asset, term, source, confidence, created_ns)"
                " SELECT id, ?, 'person', 1.0, 0 FROM asset",
                TermId(beach),
            )
        page = library.db.writer.integer("PRAGMA page_size")
        leaves = library.db.writer.rows(
            "SELECT pageno FROM dbstat WHERE name = 'asset' AND pagetype = 'leaf' ORDER BY pageno"
        )
    with catalog(path).open("r+b") as file:
        file.seek((leaves[len(leaves) // 2][0] - 1) * page)
        file.write(b"\xff" * page)
    report = await rebuild(path)
    lost = report.lost[f"asset of {CATALOG}"]
    assert 0 < lost < 200
    assert report.tags == 400 - lost
    with opened(path) as library:
        assert library.db.writer.integer("SELECT count(*) FROM asset WHERE state = 'present'") == 400


async def test_assets_of_an_offline_store_wait_for_it_with_their_tags(path: Path, tmp_path: Path) -> None:
    (tmp_path / "card").rename(tmp_path / "unplugged")
    report = await rebuild(path)
    assert report.offline == ["footage"]
    assert report.missing == 2
    (tmp_path / "unplugged").rename(tmp_path / "card")
    with opened(path) as library:
        assert the_asset(library, "one.mov").state is AssetState.MISSING
        await scanned(library)
        one = the_asset(library, "one.mov")
        assert one.state is AssetState.PRESENT
        assert tags(library, one.id) == ["sea"]
        assert (await check(library, at_rest=True)).findings == []


async def test_a_file_that_moved_or_changed_meanwhile_keeps_its_tags(path: Path, tmp_path: Path) -> None:
    (tmp_path / "card" / "day 1" / "one.mov").rename(tmp_path / "card" / "moved.mov")
    (path / "originals" / "2024" / "07" / "15" / "IMG_1.jpg").write_bytes(b"retouched")
    await rebuild(path)
    with opened(path) as library:
        assert tags(library, the_asset(library, "one.mov").id) == ["sea"]
        assert tags(library, the_asset(library, "IMG_1.jpg").id) == ["best"]


async def test_what_was_being_received_is_not_lost(path: Path) -> None:
    with opened(path) as library:
        drafted(library, "late.mov", b"whole and closed")
        broken = drafted(library, "half.mov", b"half")
        library.db.writer.run("UPDATE asset SET closed = 0 WHERE id = ?", broken)
    report = await rebuild(path)
    assert sorted(report.staged) == ["half.mov.part", "late.mov"]
    with opened(path) as library:
        assert the_asset(library, "late.mov").size == len(b"whole and closed")
        assert the_asset(library, "half.mov.part").size == 4
        assert library.staging.entries() == {}


async def test_what_was_received_just_before_a_kill_keeps_its_name(path: Path) -> None:
    """The catalog does not know it yet: the native module has noted it."""
    with opened(path) as library:
        for number, content in ((7, b"bytes"), (8, b"")):
            library.staging.path(AssetId(number)).write_bytes(content)
    (path / "state" / RECEIVED_NOTES).write_text(
        "7 1721044800000000000 420 IMG_7.jpg\n8 1721044800000000000 420 8.jpg\n"
    )
    report = await rebuild(path)
    assert report.staged == ["IMG_7.jpg.part"]
    with opened(path) as library:
        assert the_asset(library, "IMG_7.jpg.part").size == 5
        assert library.received_notes.read() == []


async def test_what_was_being_written_over_originals_is_not_lost(path: Path) -> None:
    with opened(path) as library:
        for name, closed in (("whole.mov", True), ("half.mov", False)):
            id_ = (await received(library, name, b"original of " + name.encode())).id
            os.close(library.staging.stage_copy(id_, None))
            library.staging.path(id_).write_bytes(b"over " + name.encode())
            library.perform(BeginRewrite(id_, 0), "test")
            if closed:
                library.perform(CloseRewrite(id_, 14, 5), "test")
    report = await rebuild(path)
    assert sorted(report.staged) == ["half.mov.part", "whole.mov"]
    found = files_below(path / "originals").values()
    for content in (b"original of whole.mov", b"original of half.mov", b"over whole.mov", b"over half.mov"):
        assert content in found
    with opened(path) as library:
        assert library.staging.entries() == {}
        assert (await check(library, at_rest=True)).findings == []


async def test_an_interrupted_rebuild_leaves_the_old_catalog_and_is_run_again(path: Path) -> None:
    before = looked_at(path)
    with trio.move_on_after(0):
        await rebuild(path)
    assert looked_at(path) == before
    await rebuild(path)
    assert looked_at(path) == before


async def test_a_library_in_use_is_refused(path: Path) -> None:
    with open_library(path), pytest.raises(BadLibrary, match="in use"):
        await rebuild(path)


async def test_without_originals_nothing_is_done(path: Path) -> None:
    before = catalog(path).read_bytes()
    (path / "originals").rename(path / "elsewhere")
    with pytest.raises(BadLibrary, match="bring the originals back"):
        await rebuild(path)
    assert catalog(path).read_bytes() == before


async def test_one_backup_a_day_and_seven_of_them(path: Path) -> None:
    with opened(path) as library:
        directory = library.state / "backups"
        assert await back_up_daily(library) == directory / f"{DAILY}-1.sqlite3"
        assert await back_up_daily(library) is None
        for _ in range(9):
            _make_older(directory)
            assert await back_up_daily(library) is not None
    assert sorted(numbered(directory, DAILY)) == [4, 5, 6, 7, 8, 9, 10]
    assert newest_first(directory)[0].name == f"{DAILY}-10.sqlite3"


def _make_older(directory: Path) -> None:
    for path in directory.iterdir():
        then = path.stat().st_mtime_ns - 90_000 * 1_000_000_000
        os.utime(path, ns=(then, then))
