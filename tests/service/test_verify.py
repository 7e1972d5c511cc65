"""P6: `verify` finds every damaged, missing or unknown file, marks it, and goes on where it stopped."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from damfs.core.commands import SetOnline
from damfs.core.library import Library
from damfs.core.scanner import scan
from damfs.core.verify import verify
from damfs.core.verify_report import ExitCode, Verdict, VerifyProgress, VerifyReport, as_text
from damfs.errors import Unavailable
from damfs.integration.service import Service
from damfs.integration.wire import Verify
from damfs.model import AssetState
from damfs.settings import parse_settings
from tests.small_library import added, keys, opened, received, scanned, store_named, tags, the_asset

BEACH = b"2024/07/15/beach.mov"
SEA = b"2024/07/15/sea.mov"
MEGABYTE = 1 << 20


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    with opened(tmp_path / "library") as made:
        await received(made, "beach.mov", b"waves", "holiday")
        await received(made, "sea.mov", b"more waves")
        (tmp_path / "card").mkdir()
        (tmp_path / "card" / "one.mov").write_bytes(b"one")
        (tmp_path / "card" / "two.mov").write_bytes(b"two")
        added(made, tmp_path / "card")
        await scanned(made)
        yield made


def file(library: Library, key: bytes) -> Path:
    return library.originals / os.fsdecode(key)


def rot(path: Path) -> None:
    """Other bytes, and nothing that the file system shows has changed."""
    status = path.stat()
    path.write_bytes(path.read_bytes().translate(bytes((byte ^ 1) for byte in range(256))))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


async def verified(library: Library, limit_s: float = 60) -> VerifyReport:
    return await verify(library, library.stores(), limit_s=limit_s)


def found(report: VerifyReport) -> set[tuple[Verdict, str]]:
    return {(each.verdict, each.key) for each in report.troubles}


def times(library: Library) -> dict[str, int]:
    rows = library.db.writer.rows("SELECT a.name, c.verified_ns FROM copy AS c JOIN asset AS a ON a.id = c.asset")
    return dict(rows)


async def test_sound_files_are_good_and_their_time_moves(library: Library) -> None:
    before, changes = times(library), library.db.writer.integer("SELECT max(seq) FROM change")
    report = await verified(library)
    assert report.counts == {Verdict.GOOD: 4}
    assert report.size == len(b"wavesmore wavesonetwo")
    assert report.exit_code is ExitCode.CLEAN
    assert all(time > before[name] for name, time in times(library).items())
    assert library.db.writer.integer("SELECT max(seq) FROM change") == changes, "nothing that anybody sees has changed"


async def test_a_damaged_file_is_found_marked_and_alone_unreadable(library: Library) -> None:
    rot(file(library, BEACH))
    report = await verified(library)
    assert found(report) == {(Verdict.DAMAGED, BEACH.decode())}
    assert report.exit_code is ExitCode.DAMAGE
    assert keys(library)[BEACH][1] == "damaged"
    beach, sea = the_asset(library, "beach.mov"), the_asset(library, "sea.mov")
    assert beach.blob is not None
    assert sea.blob is not None
    with pytest.raises(Unavailable):
        library.source_paths(beach.blob)
    assert library.source_paths(sea.blob) == [file(library, SEA)]


async def test_a_damaged_file_stays_so_until_it_is_good_again(library: Library) -> None:
    rot(file(library, BEACH))
    await verified(library)
    assert (await verified(library)).exit_code is ExitCode.DAMAGE
    assert (await scan(library, library.library_store())).counts == {"unchanged": 2}
    rot(file(library, BEACH))  # the same bits again
    report = await verified(library)
    assert found(report) == {(Verdict.HEALED, BEACH.decode())}
    assert report.exit_code is ExitCode.CLEAN
    assert keys(library)[BEACH][1] == "present"


async def test_a_missing_file_is_found_marked_and_comes_back(library: Library) -> None:
    file(library, BEACH).rename(library.path / "elsewhere")
    report = await verified(library)
    assert found(report) == {(Verdict.MISSING, BEACH.decode())}
    assert report.exit_code is ExitCode.DAMAGE
    assert the_asset(library, "beach.mov").state is AssetState.MISSING
    assert (await verified(library)).exit_code is ExitCode.DAMAGE, "still missing"
    (library.path / "elsewhere").rename(file(library, BEACH))
    assert found(await verified(library)) == {(Verdict.HEALED, BEACH.decode())}
    beach = the_asset(library, "beach.mov")
    assert beach.state is AssetState.PRESENT
    assert tags(library, beach.id) == ["holiday"]


async def test_an_unknown_file_is_told_and_left(library: Library) -> None:
    stray = library.originals / "stray.mov"
    stray.write_bytes(b"stray")
    report = await verified(library)
    assert found(report) == {(Verdict.UNKNOWN, "stray.mov")}
    assert report.exit_code is ExitCode.CLEAN
    assert stray.read_bytes() == b"stray"
    assert "damfs scan" in as_text(report)
    await scan(library, library.library_store())
    assert found(await verified(library)) == set()


async def test_in_a_read_only_store_only_silent_changes_are_damage(library: Library, tmp_path: Path) -> None:
    rot(tmp_path / "card" / "one.mov")
    (tmp_path / "card" / "two.mov").write_bytes(b"edited by its owner")
    report = await verified(library)
    assert found(report) == {(Verdict.DAMAGED, "one.mov"), (Verdict.CHANGED, "two.mov")}
    assert keys(library, "footage")[b"two.mov"][1] == "present"
    assert (await scanned(library)).counts == {"unchanged": 1, "changed": 1}


async def test_nothing_of_an_offline_store_is_marked(library: Library, tmp_path: Path) -> None:
    (tmp_path / "card").rename(tmp_path / "unplugged")
    report = await verified(library)
    assert report.offline == ["footage"]
    assert report.counts == {Verdict.GOOD: 2}
    assert {state for _, state in keys(library, "footage").values()} == {"present"}
    assert not store_named(library, "footage").online


async def test_a_volume_that_is_not_mounted_is_offline_not_emptied(library: Library, tmp_path: Path) -> None:
    (tmp_path / "card").rename(tmp_path / "unplugged")
    (tmp_path / "card").mkdir()
    assert (await verified(library)).offline == ["footage"]
    assert {state for _, state in keys(library, "footage").values()} == {"present"}


async def test_what_damfs_writes_into_a_mount_point_does_not_hide_that_the_volume_is_away(
    library: Library, tmp_path: Path
) -> None:
    library.originals.rename(tmp_path / "unplugged originals")
    for own in (".damfs-trash", ".damfs-staging"):
        (library.originals / own).mkdir(parents=True)
    (library.originals / ".damfs-notes").write_text("of an earlier version of damfs")
    report = await verified(library)
    assert report.offline == ["library"]
    assert {state for _, state in keys(library).values()} == {"present"}


async def test_where_everything_is_in_the_trash_the_volume_is_there(library: Library) -> None:
    (library.originals / ".damfs-trash").mkdir()
    files = [path for path in library.originals.rglob("*") if path.is_file()]
    for path in files:
        path.rename(library.originals / ".damfs-trash" / path.name)
    shutil.rmtree(library.originals / "2024")
    report = await verified(library)
    assert "library" not in report.offline
    assert report.counts[Verdict.MISSING] == len(files)


async def test_a_volume_that_goes_away_meanwhile_is_offline(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = library.blob_store(store_named(library, "footage").id)
    hash_now = files.hash

    def unplug_then_hash(*words: object) -> object:
        if (tmp_path / "card").exists():
            (tmp_path / "card").rename(tmp_path / "unplugged")
        return hash_now(*words)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(files, "hash", unplug_then_hash)
    report = await verified(library)
    assert report.offline == ["footage"]
    assert {state for _, state in keys(library, "footage").values()} == {"present"}


async def test_a_file_that_cannot_be_read_is_told_with_the_reason(library: Library) -> None:
    file(library, BEACH).unlink()
    os.mkfifo(file(library, BEACH))
    report = await verified(library)
    assert {(each.verdict, each.key) for each in report.troubles} <= {
        (Verdict.UNREADABLE, BEACH.decode()),
        (Verdict.MISSING, BEACH.decode()),
    }
    assert report.exit_code is ExitCode.DAMAGE


async def test_the_time_limit_stops_within_a_file_and_the_next_run_goes_on(tmp_path: Path) -> None:
    with opened(tmp_path / "library") as library:
        for number in range(6):
            await received(library, f"{number}.mov", bytes([number]) * MEGABYTE * 8)
        first = await verified(library, limit_s=0)
        assert first.left == 6
        assert first.exit_code is ExitCode.NOT_DONE
        seen = times(library)
        second = await verified(library)
        assert second.resumed
        assert second.counts == {Verdict.GOOD: 6}
        assert second.exit_code is ExitCode.CLEAN
        assert all(time > seen[name] for name, time in times(library).items())
        assert not (await verified(library)).resumed, "a new pass"


async def test_a_run_that_was_cut_short_does_not_read_again_what_it_had_read(library: Library) -> None:
    """As after kill -9: some files were committed, the pass is open."""
    await verify(library, library.stores(), limit_s=0)
    with library.db.transaction() as tx:
        tx.run("UPDATE copy SET verified_ns = ? WHERE id IN (1, 3)", library.clock())
    report = await verified(library)
    assert report.resumed
    assert report.counts == {Verdict.GOOD: 2}


async def test_oldest_first(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    with library.db.transaction() as tx:
        tx.run("UPDATE copy SET verified_ns = 1000 - id WHERE store = 1")
    library.use_settings(parse_settings("[indexer]\nscan_threads = 1\n", "test"))
    order: list[str] = []
    files = library.blob_store(library.library_store().id)
    hash_now = files.hash

    def note_then_hash(key: bytes, watch: object = None) -> object:
        order.append(os.fsdecode(key))
        return hash_now(key, watch)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(files, "hash", note_then_hash)
    await verify(library, [library.library_store()])
    assert order == [SEA.decode(), BEACH.decode()]


async def test_a_cancelled_run_ends_at_once_and_keeps_what_it_found(tmp_path: Path) -> None:
    with opened(tmp_path / "library") as library:
        await received(library, "big.mov", os.urandom(MEGABYTE) * 64)
        files = library.blob_store(library.library_store().id)
        under_way = trio.Event()
        hash_now = files.hash
        token = trio.lowlevel.current_trio_token()

        def tell_then_hash(key: object, watch: object = None) -> object:
            token.run_sync_soon(under_way.set)
            return hash_now(key, watch)  # type: ignore[arg-type]  # passed on as they came

        files.hash = tell_then_hash  # type: ignore[assignment,method-assign]  # spied on
        async with trio.open_nursery() as nursery:
            nursery.start_soon(verified, library)
            await under_way.wait()
            nursery.cancel_scope.cancel()
        assert (await verified(library)).resumed


async def test_a_file_that_damfs_moves_meanwhile_is_read_where_it_is(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filing by capture renames while a verification reads: that is no missing file."""
    files = library.blob_store(library.library_store().id)
    hash_now, moved = files.hash, library.originals / "elsewhere"
    token = trio.lowlevel.current_trio_token()

    def move_then_hash(key: bytes, watch: object = None) -> object:
        if key == BEACH and not moved.exists():
            moved.mkdir()
            file(library, BEACH).rename(moved / "beach.mov")
            trio.from_thread.run_sync(_move_row, library, trio_token=token)
        return hash_now(key, watch)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(files, "hash", move_then_hash)
    report = await verified(library)
    assert report.troubles == []
    assert report.counts == {Verdict.GOOD: 4}


def _move_row(library: Library) -> None:
    store = library.library_store().id
    with library.db.transaction() as tx:
        tx.run("INSERT INTO folder (store, parent, name) VALUES (?, 1, CAST('elsewhere' AS BLOB))", store)
        tx.run("UPDATE copy SET folder = (SELECT max(id) FROM folder) WHERE name = CAST('beach.mov' AS BLOB)")


async def test_progress_tells_files_and_bytes(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("damfs.core.verify.TELL_EVERY_S", 0.0)
    told: list[VerifyProgress] = []
    await verify(library, library.stores(), told.append)
    assert any(each.store == "library" and each.files == 2 and each.size == 15 for each in told)
    assert all(each.files_read <= each.files for each in told)


async def test_a_request_answers_with_plain_data_and_one_store_can_be_named(library: Library) -> None:
    library.perform(SetOnline(store_named(library, "footage").id, online=False), "test")
    answer = await Service(library).answer(Verify("library", 60), lambda _: None)
    assert isinstance(answer, dict)
    assert answer["counts"] == {"good": 2}
    assert answer["left"] == 0
