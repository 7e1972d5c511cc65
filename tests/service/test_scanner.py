"""A scan brings the catalog into line with the files of a store, and reads only what differs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Lock

import pytest
import trio

from damfs.catalog import stores
from damfs.core import volumes
from damfs.core.commands import AddTag, Rename, Trash
from damfs.core.library import Library
from damfs.core.note_keeping import NoteKeeper
from damfs.core.reception import Reception
from damfs.core.scan_report import ScanProgress, ScanReport
from damfs.core.scanner import scan
from damfs.errors import Unavailable
from damfs.model import AssetId, AssetState, FolderId, Key
from damfs.storage.blob_store import Hashed
from damfs.storage.local import LocalStore
from tests.service.kill_points_processors import PROCESSORS
from tests.small_library import (
    added,
    asset,
    assets_named,
    drafted,
    dump,
    keys,
    opened,
    received,
    scanned,
    store_named,
    tags,
    term,
    the_asset,
)


class CountingStore(LocalStore):
    """Remembers what was read; ``before_reading`` may change the world first."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]  # the same arguments
        self.read: list[bytes] = []
        self.before_reading: Callable[[Key], None] = lambda key: None
        self._changing_the_world = Lock()

    def hash(self, key: Key, watch: Callable[[int], object] | None = None) -> Hashed:
        with (
            self._changing_the_world
        ):  # files are hashed in several threads: one changes it, the others find it changed
            self.before_reading(key)
        self.read.append(key)
        return super().hash(key, watch)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


@pytest.fixture
def footage(library: Library, tmp_path: Path) -> Path:
    """An empty folder that is a read-only store."""
    added(library, tmp_path / "footage")
    return tmp_path / "footage"


@pytest.fixture
def files(library: Library, footage: Path) -> CountingStore:
    store = store_named(library, "footage")
    made = CountingStore(footage, store.kind)
    library._stores[store.id] = made
    return made


def write(path: Path, data: bytes = b"", age: int = 0) -> Path:
    """``age`` tells versions of one file apart, however quickly they follow each other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data or path.name.encode())
    os.utime(path, ns=(0, 1_700_000_000_000_000_000 + age))
    return path


def move(source: Path, target: Path) -> None:
    source.rename(target)


def make_folder(path: Path) -> None:
    path.mkdir()


def tag(library: Library, name: str, word: str = "beach") -> AssetId:
    id_ = the_asset(library, name).id
    library.perform(AddTag(id_, term(library, word)), "test")
    return id_


def counts(report: ScanReport) -> dict[str, int]:
    return report.counts


def places(library: Library) -> dict[bytes, tuple[AssetId, str]]:
    return keys(library, "footage")


async def test_new_files(library: Library, files: CountingStore, footage: Path) -> None:
    write(footage / "a.mov")
    write(footage / "day/b.jpg")
    report = await scanned(library)
    assert counts(report) == {"new": 2}
    assert report.walked == 2
    assert report.problems == []
    a, b = the_asset(library, "a.mov"), the_asset(library, "b.jpg")
    assert places(library) == {b"a.mov": (a.id, "present"), b"day/b.jpg": (b.id, "present")}
    assert a.triaged, "nobody put it into the inbox"
    assert (a.state, a.mtime_ns, a.size) == (AssetState.PRESENT, 1_700_000_000_000_000_000, 5)


async def test_a_second_scan_reads_and_changes_nothing(library: Library, files: CountingStore, footage: Path) -> None:
    for number in range(20):
        write(footage / f"{number % 3}/{number}.mov")
    await scanned(library)
    assert len(files.read) == 20
    files.read.clear()
    before = dump(library.db.writer)
    assert counts(await scanned(library)) == {"unchanged": 20}
    assert files.read == []
    assert dump(library.db.writer) == before


async def test_only_what_changed_is_read(library: Library, files: CountingStore, footage: Path) -> None:
    write(footage / "a.mov")
    write(footage / "b.mov")
    await scanned(library)
    files.read.clear()
    id_ = tag(library, "a.mov")
    write(footage / "a.mov", b"other bytes", age=1)
    assert counts(await scanned(library)) == {"changed": 1, "unchanged": 1}
    assert files.read == [b"a.mov"]
    changed = the_asset(library, "a.mov")
    assert (changed.id, changed.size, tags(library, id_)) == (id_, 11, ["beach"])
    assert library.db.writer.integer("SELECT count(*) FROM version WHERE asset = ?", id_) == 2


async def test_touched_without_a_change_of_bytes(library: Library, files: CountingStore, footage: Path) -> None:
    write(footage / "a.mov")
    await scanned(library)
    write(footage / "a.mov", age=1)
    assert counts(await scanned(library)) == {"same": 1}
    assert library.db.writer.integer("SELECT count(*) FROM version") == 1
    files.read.clear()
    await scanned(library)
    assert files.read == [], "what the file system says of it now is remembered"


@pytest.mark.parametrize("target", ["b.mov", "day/a.mov", "day/night/c.mov"])
async def test_moved_and_renamed(library: Library, footage: Path, target: str) -> None:
    write(footage / "a.mov")
    await scanned(library)
    id_ = tag(library, "a.mov")
    (footage / target).parent.mkdir(parents=True, exist_ok=True)
    (footage / "a.mov").rename(footage / target)
    assert counts(await scanned(library)) == {"moved": 1}
    moved = asset(library, id_)
    assert (moved.name, moved.state, tags(library, id_)) == (Path(target).name, AssetState.PRESENT, ["beach"])
    assert places(library) == {target.encode(): (id_, "present")}


async def test_a_name_that_a_person_gave_survives_a_move(library: Library, footage: Path) -> None:
    write(footage / "a.mov")
    await scanned(library)
    id_ = the_asset(library, "a.mov").id
    library.perform(Rename(id_, "the wedding.mov"), "test")
    (footage / "a.mov").rename(footage / "b.mov")
    await scanned(library)
    assert asset(library, id_).name == "the wedding.mov"


async def test_equal_files_moved_together_keep_their_assets(library: Library, footage: Path) -> None:
    for name in ("1.mov", "2.mov", "3.mov"):
        write(footage / "a" / name, b"the same")
    await scanned(library)
    ids = {name: tag(library, name, f"of {name}") for name in ("1.mov", "2.mov", "3.mov")}
    (footage / "a").rename(footage / "b")
    assert counts(await scanned(library)) == {"moved": 3}
    assert places(library) == {f"b/{name}".encode(): (id_, "present") for name, id_ in ids.items()}


async def test_copied(library: Library, footage: Path) -> None:
    write(footage / "a.mov")
    await scanned(library)
    shutil.copy2(footage / "a.mov", footage / "b.mov")
    (footage / "day").mkdir()
    shutil.copy2(footage / "a.mov", footage / "day/a.mov")
    assert counts(await scanned(library)) == {"copied": 1, "new": 1, "unchanged": 1}
    first, other = the_asset(library, "a.mov"), the_asset(library, "b.mov")
    assert first.blob == other.blob
    assert places(library) == {
        b"a.mov": (first.id, "present"),
        b"b.mov": (other.id, "present"),
        b"day/a.mov": (first.id, "present"),
    }


async def test_one_of_two_copies_is_edited(library: Library, footage: Path) -> None:
    """The asset stays what it is in the other file; the edited one is an asset of its own with the same tags."""
    write(footage / "a/x.mov")
    write(footage / "b/x.mov")
    await scanned(library)
    id_ = tag(library, "x.mov")
    write(footage / "b/x.mov", b"edited", age=1)
    await scanned(library)
    first, second = assets_named(library, "x.mov")
    assert (first.id, first.size, second.size) == (id_, 5, 6)
    assert places(library) == {b"a/x.mov": (first.id, "present"), b"b/x.mov": (second.id, "present")}
    assert tags(library, first.id) == tags(library, second.id) == ["beach"]
    for folder in ("a", "b"):
        at = stores.folder_at(library.db.writer, store_named(library, "footage").id, [folder.encode()])
        assert [shown.name for shown in stores.list_shown(library.db.writer, at or FolderId(0))] == [b"x.mov"]


async def test_missing_and_found_again(library: Library, footage: Path, tmp_path: Path) -> None:
    write(footage / "a.mov")
    write(footage / "b.mov")
    await scanned(library)
    id_ = tag(library, "a.mov")
    (footage / "a.mov").rename(tmp_path / "away.mov")
    assert counts(await scanned(library)) == {"missing": 1, "unchanged": 1}
    assert asset(library, id_).state is AssetState.MISSING
    assert places(library)[b"a.mov"] == (id_, "missing")
    assert counts(await scanned(library)) == {"unchanged": 1}, "missing is told once"
    (footage / "day").mkdir()
    (tmp_path / "away.mov").rename(footage / "day/c.mov")
    assert counts(await scanned(library)) == {"moved": 1, "unchanged": 1}
    assert (asset(library, id_).state, asset(library, id_).name) == (AssetState.PRESENT, "c.mov")
    assert tags(library, id_) == ["beach"]


async def test_missing_and_found_where_it_was(library: Library, footage: Path, tmp_path: Path) -> None:
    write(footage / "day/a.mov")
    write(footage / "b.mov")
    await scanned(library)
    id_ = tag(library, "a.mov")
    (footage / "day").rename(tmp_path / "away")
    await scanned(library)
    assert listed_folders(library) == []
    (tmp_path / "away").rename(footage / "day")
    assert counts(await scanned(library)) == {"same": 1, "unchanged": 1}
    assert asset(library, id_).state is AssetState.PRESENT
    assert listed_folders(library) == [b"day"]


async def test_moved_to_another_store_under_another_name(library: Library, footage: Path, tmp_path: Path) -> None:
    write(footage / "a.mov")
    write(footage / "b.mov")
    added(library, tmp_path / "archive", "archive")
    await scanned(library)
    id_ = tag(library, "a.mov")
    (footage / "a.mov").rename(tmp_path / "archive/final.mov")
    await scanned(library)
    assert asset(library, id_).state is AssetState.MISSING
    await scanned(library, "archive")
    found = asset(library, id_)
    assert (found.state, found.name, tags(library, id_)) == (AssetState.PRESENT, "final.mov", ["beach"])
    assert keys(library, "archive") == {b"final.mov": (id_, "present")}


async def test_an_asset_is_missing_when_the_last_copy_of_its_bytes_is(library: Library, footage: Path) -> None:
    write(footage / "keep.mov")
    write(footage / "a.mov", b"the same")
    write(footage / "b.mov", b"the same")
    await scanned(library)
    a, b = the_asset(library, "a.mov").id, the_asset(library, "b.mov").id
    (footage / "a.mov").unlink()
    await scanned(library)
    assert asset(library, a).state is AssetState.PRESENT, "its bytes can still be read"
    (footage / "b.mov").unlink()
    await scanned(library)
    assert {asset(library, id_).state for id_ in (a, b)} == {AssetState.MISSING}
    write(footage / "b.mov", b"the same")
    await scanned(library)
    assert {asset(library, id_).state for id_ in (a, b)} == {AssetState.PRESENT}


async def test_a_file_that_was_moved_over_another(library: Library, footage: Path) -> None:
    write(footage / "a.mov")
    write(footage / "b.mov")
    await scanned(library)
    a, b = tag(library, "a.mov"), tag(library, "b.mov", "sea")
    (footage / "b.mov").rename(footage / "a.mov")
    assert counts(await scanned(library)) == {"moved": 1}
    assert (asset(library, b).name, tags(library, b)) == ("a.mov", ["sea"])
    assert asset(library, a).state is AssetState.MISSING
    write(footage / "old.mov", b"a.mov")
    await scanned(library)
    assert (asset(library, a).state, tags(library, a)) == (AssetState.PRESENT, ["beach"])


async def test_a_folder_becomes_a_file(library: Library, footage: Path) -> None:
    write(footage / "x/a.mov")
    await scanned(library)
    (footage / "x/a.mov").rename(footage / "a.mov")
    (footage / "x").rmdir()
    write(footage / "x")
    await scanned(library)
    assert listed_folders(library) == []
    assert set(places(library)) == {b"a.mov", b"x"}


def listed_folders(library: Library) -> list[bytes]:
    root = stores.root_folder(library.db.writer, store_named(library, "footage").id)
    return [folder.name for folder in stores.list_folders(library.db.writer, root)]


async def test_emptied_folders_are_not_listed_until_there_is_a_file(library: Library, footage: Path) -> None:
    write(footage / "keep.mov")
    write(footage / "a/b/c/x.mov")
    await scanned(library)
    (footage / "a/b/c/x.mov").rename(footage / "x.mov")
    await scanned(library)
    assert listed_folders(library) == []
    write(footage / "a/new.mov")
    await scanned(library)
    assert listed_folders(library) == [b"a"]


async def test_a_trashed_asset_stays_in_the_trash(library: Library, footage: Path) -> None:
    write(footage / "a.mov")
    await scanned(library)
    id_ = the_asset(library, "a.mov").id
    library.perform(Trash(id_), "test")
    (footage / "a.mov").rename(footage / "b.mov")
    await scanned(library)
    write(footage / "b.mov", b"edited", age=1)
    await scanned(library)
    assert asset(library, id_).state is AssetState.TRASHED


async def test_a_download_gets_its_jobs_with_its_final_name(tmp_path: Path) -> None:
    with opened(tmp_path / "library", PROCESSORS) as library:
        footage = tmp_path / "footage"
        added(library, footage)
        write(footage / "a.mov.part")
        await scanned(library)
        assert library.db.writer.integer("SELECT count(*) FROM job") == 0
        (footage / "a.mov.part").rename(footage / "a.mov")
        await scanned(library)
        assert library.db.writer.rows("SELECT processor FROM job") == [("preview",)]


# --- names ----------------------------------------------------------------------------------------------------

NAMES = [
    b"caf\xe9.mov",
    b"two\nlines.mov",
    b"x" * 251 + b".mov",
    b"quo\"te's.mov",
    b"\xff\xfe",
    b" ",
    b"-rf",
    b"a~15.mov",
]


async def test_names_of_every_kind(library: Library, footage: Path) -> None:
    for number, name in enumerate(NAMES):
        write(footage / os.fsdecode(name), str(number).encode())
    report = await scanned(library)
    assert counts(report) == {"new": len(NAMES)}
    assert set(places(library)) == set(NAMES)
    root = stores.root_folder(library.db.writer, store_named(library, "footage").id)
    for number, name in enumerate(NAMES):
        shown = stores.shown(library.db.writer, root, name)
        assert shown is not None
        blob = asset(library, shown.asset).blob
        assert blob is not None
        assert library.source_paths(blob)[0].read_bytes() == str(number).encode()
    before = dump(library.db.writer)
    await scanned(library)
    assert dump(library.db.writer) == before


# --- what cannot be read --------------------------------------------------------------------------------------


async def test_links_pipes_and_loops_are_one_line_each(library: Library, footage: Path) -> None:
    write(footage / "a.mov")
    (footage / "dangling.mov").symlink_to("nowhere")
    (footage / "linked.mov").symlink_to("a.mov")
    (footage / "loop").symlink_to(".")
    (footage / "two\nlines").symlink_to("two\nlines")
    os.mkfifo(footage / "pipe.mov")
    report = await scanned(library)
    assert counts(report) == {"new": 1}
    assert sorted(report.problems) == [
        "'dangling.mov': a symbolic link, not followed",
        "'linked.mov': a symbolic link, not followed",
        "'loop': a symbolic link, not followed",
        "'pipe.mov': a socket, pipe or device, not a file",
        "'two\\nlines': a symbolic link, not followed",
    ]


async def test_a_file_that_vanishes_before_it_is_read(library: Library, files: CountingStore, footage: Path) -> None:
    write(footage / "a.mov")
    write(footage / "b.mov")
    files.before_reading = lambda key: (footage / "a.mov").unlink(missing_ok=True)
    report = await scanned(library)
    assert counts(report) == {"new": 1}
    (problem,) = report.problems
    assert problem.endswith("no such file")


async def test_a_file_replaced_by_a_link_before_it_is_read(
    library: Library, files: CountingStore, footage: Path
) -> None:
    write(footage / "a.mov")

    def replace(key: Key) -> None:
        (footage / "a.mov").unlink()
        (footage / "a.mov").symlink_to("/etc/passwd")

    files.before_reading = replace
    report = await scanned(library)
    assert (counts(report), len(report.problems)) == ({}, 1)


async def test_a_folder_replaced_during_the_walk(library: Library, files: CountingStore, footage: Path) -> None:
    """The files of the folder that came instead are not read under the names of the old one."""
    write(footage / "day/a.mov")
    write(footage / "z.mov")

    def replace(key: Key) -> None:
        if (footage / "day").is_dir() and not (footage / "day").is_symlink():
            shutil.rmtree(footage / "day")
            (footage / "day").symlink_to("/etc")

    files.before_reading = replace
    report = await scanned(library)
    assert counts(report) == {"new": 1}
    assert len(report.problems) == 1
    assert set(places(library)) == {b"z.mov"}


async def test_a_file_that_changes_while_it_is_read(
    library: Library, footage: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(footage / "a.mov", b"before")
    advise = os.posix_fadvise

    def grow(*args: int) -> None:
        """Called once the size is known, before the first byte is read."""
        with path.open("ab") as file:
            file.write(b" and after")
        advise(*args)

    monkeypatch.setattr(os, "posix_fadvise", grow)
    report = await scanned(library)
    assert counts(report) == {}
    (problem,) = report.problems
    assert "changed while it was read; it is read again later" in problem
    monkeypatch.undo()
    assert counts(await scanned(library)) == {"new": 1}
    assert the_asset(library, "a.mov").size == len(b"before and after")


async def test_a_known_file_that_cannot_be_read_now_stays_what_it_was(
    library: Library, files: CountingStore, footage: Path
) -> None:
    write(footage / "a.mov")
    await scanned(library)
    id_ = tag(library, "a.mov")
    write(footage / "a.mov", b"new bytes", age=1)
    files.before_reading = lambda key: (footage / "a.mov").unlink(missing_ok=True)
    report = await scanned(library)
    assert len(report.problems) == 1
    assert (asset(library, id_).state, asset(library, id_).size) == (AssetState.PRESENT, 5)


# --- offline --------------------------------------------------------------------------------------------------


async def test_a_store_that_is_not_there_is_offline_and_nothing_is_missing(
    library: Library, footage: Path, tmp_path: Path
) -> None:
    write(footage / "a.mov")
    await scanned(library)
    id_ = tag(library, "a.mov")
    move(footage, tmp_path / "unplugged")
    with pytest.raises(Unavailable, match=r'the store "footage" .* is offline; connect its volume'):
        await scanned(library)
    assert not store_named(library, "footage").online
    assert asset(library, id_).state is AssetState.PRESENT
    assert library.sources(asset(library, id_).blob or -1) == []  # type: ignore[arg-type]  # it has one
    move(tmp_path / "unplugged", footage)
    assert counts(await scanned(library)) == {"unchanged": 1}
    assert store_named(library, "footage").online
    assert tags(library, id_) == ["beach"]


async def test_an_empty_folder_where_files_were_is_a_volume_that_is_not_mounted(
    library: Library, footage: Path, tmp_path: Path
) -> None:
    write(footage / "a.mov")
    await scanned(library)
    move(footage, tmp_path / "volume")
    make_folder(footage)
    with pytest.raises(Unavailable):
        await scanned(library)
    assert the_asset(library, "a.mov").state is AssetState.PRESENT


async def noted(library: Library) -> None:
    """As while it is mounted."""
    async with trio.open_nursery() as nursery:
        keeper = NoteKeeper(library)
        await nursery.start(keeper.serve)
        await keeper.begun.wait()
        nursery.cancel_scope.cancel()


async def test_bare_originals_are_a_volume_that_is_away_and_nothing_is_written_there(
    library: Library, tmp_path: Path
) -> None:
    clip = await received(library, "clip.mov", b"clip")
    await noted(library)
    move(library.originals, tmp_path / "volume")
    make_folder(library.originals)
    shutil.copy(tmp_path / "volume/.damfs-notes", library.originals)  # of the time when they lay here themselves
    with pytest.raises(Unavailable, match=r"connect its volume and scan again \(if you emptied it yourself: put any"):
        await scanned(library, "library")
    assert keys(library) == {b"2024/07/15/clip.mov": (clip.id, "present")}
    assert not library.library_store().online
    draft = drafted(library, "new.mov", b"new")
    with pytest.raises(Unavailable, match="the volume of this store is away"):
        await Reception(library).seal(draft)
    assert [path.name for path in library.originals.iterdir()] == [".damfs-notes"]
    shutil.rmtree(library.originals)
    move(tmp_path / "volume", library.originals)
    assert await volumes.look(library, "test")
    await Reception(library).seal(draft)
    assert counts(await scanned(library, "library")) == {"unchanged": 2}
    assert asset(library, clip.id).state is AssetState.PRESENT


@pytest.mark.parametrize("first", ["clip.mov", "clip~v1.mov"])
async def test_a_version_that_the_catalog_does_not_know_yet_is_one_in_whatever_order_files_are_met(
    library: Library, first: str
) -> None:
    clip = await received(library, "clip.mov", b"one", "beach")
    folder = library.originals / "2024/07/15"
    (folder / "clip.mov").rename(folder / "clip~v1.mov")
    (folder / "clip.mov").write_bytes(b"two")
    second = folder / {"clip.mov": "clip~v1.mov", "clip~v1.mov": "clip.mov"}[first]
    second.rename(aside := library.path / "aside")
    if first == "clip~v1.mov":  # its own name is not gone
        (folder / "clip.mov").write_bytes(b"one")
    await scanned(library, "library")
    aside.replace(second)
    await scanned(library, "library")
    assert keys(library) == {
        b"2024/07/15/clip.mov": (clip.id, "present"),
        b"2024/07/15/clip~v1.mov": (clip.id, "present"),
    }
    assert asset(library, clip.id).size == 3
    assert [each.name for each in library.sources(asset(library, clip.id).blob or -1)] == [b"clip.mov"]  # type: ignore[arg-type]  # it has one


async def test_originals_that_somebody_emptied_are_missing(library: Library) -> None:
    await received(library, "clip.mov", b"clip")
    await noted(library)
    shutil.rmtree(library.originals / "2024")
    assert counts(await scanned(library, "library")) == {"missing": 1}
    assert library.library_store().online


async def test_whoever_emptied_a_volume_without_notes_says_so_by_a_file(library: Library) -> None:
    await received(library, "clip.mov", b"clip")
    shutil.rmtree(library.originals / "2024")
    with pytest.raises(Unavailable, match="is offline"):
        await scanned(library, "library")
    (library.originals / "here.txt").write_text("I emptied it")
    assert counts(await scanned(library, "library")) == {"missing": 1, "new": 1}


async def test_an_empty_folder_where_nothing_was_is_just_empty(library: Library, footage: Path) -> None:
    assert counts(await scanned(library)) == {}
    assert store_named(library, "footage").online


async def test_a_folder_that_vanishes_during_a_scan(
    library: Library, files: CountingStore, footage: Path, tmp_path: Path
) -> None:
    for name in ("a.mov", "b.mov", "c.mov"):
        write(footage / name)
    await scanned(library)
    for name in ("a.mov", "b.mov", "c.mov"):
        write(footage / name, b"changed " + name.encode(), age=1)

    def unplug(key: Key) -> None:
        if footage.exists():
            footage.rename(tmp_path / "unplugged")

    files.before_reading = unplug
    report = await scanned(library)
    assert counts(report) == {}
    assert len(report.problems) == 3
    assert all("\n" not in problem for problem in report.problems)
    assert {the_asset(library, name).state for name in ("a.mov", "b.mov", "c.mov")} == {AssetState.PRESENT}


async def test_a_folder_that_vanishes_during_the_walk_is_not_taken_for_empty(
    library: Library, footage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(footage / "day/a.mov")
    write(footage / "b.mov")
    await scanned(library)
    scandir = os.scandir

    def unplug(path: bytes) -> object:
        if path.endswith(b"day") and footage.exists():
            footage.rename(tmp_path / "unplugged")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", unplug)
    with pytest.raises(Unavailable):
        await scanned(library)
    assert {state for _, state in places(library).values()} == {"present"}


# --- news and progress ----------------------------------------------------------------------------------------


async def test_progress_counts_to_the_end(library: Library, footage: Path) -> None:
    for number in range(250):
        write(footage / f"{number}.mov")
    seen: list[ScanProgress] = []
    await scan(library, store_named(library, "footage"), seen.append)
    assert seen[0] == ScanProgress(250, 0, 0, 0, 0)
    assert seen[-1].files == seen[-1].files_read == 250
    assert seen[-1].size == seen[-1].size_read > 0
    assert [progress.files_read for progress in seen] == sorted(progress.files_read for progress in seen)
    assert len(seen) >= 4, "in batches"


async def test_the_library_itself_is_left_out(library: Library, tmp_path: Path) -> None:
    added(library, tmp_path, "home")
    write(tmp_path / "a.mov")
    report = await scanned(library, "home")
    assert counts(report) == {"new": 1}
    assert set(keys(library, "home")) == {b"a.mov"}


async def test_a_scan_may_be_cancelled_and_goes_on_where_it_was(
    library: Library, files: CountingStore, footage: Path
) -> None:
    for number in range(300):
        write(footage / f"{number}.mov")
    with trio.CancelScope() as scope:
        await scan(
            library, store_named(library, "footage"), lambda progress: scope.cancel() if progress.files_read else None
        )
    done = len(places(library))
    assert 0 < done < 300
    files.read.clear()
    assert counts(await scanned(library)) == {"new": 300 - done, "unchanged": done}
    assert len(files.read) == 300 - done
