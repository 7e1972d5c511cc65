"""A transaction holds the loop, and every question of the mount waits for it: what it does is counted, not timed."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from damfs.catalog import assets, field_values, job_table
from damfs.catalog.database import Connection
from damfs.core import planner, text_upkeep
from damfs.core.ingest import PlanAgain
from damfs.core.library import Library
from damfs.core.processor_registry import GROUP
from damfs.core.processors.wording import Wording
from damfs.core.results import FinishJob
from damfs.core.upkeep import plan_again
from damfs.model import Asset, BlobId, Facts, Job, JobId
from tests.small_library import added, asset, opened, received, scanned

PROBED: Facts = {
    "media": "video", "container": "mov", "duration_ns": 10**9, "width": 1920, "height": 1080, "frame_rate": "25/1",
    "camera_make": "Sony", "camera_model": "FX3", "lens": "FE 24-70", "iso": 800, "title": "Gulls", "artist": "Ada",
    "video": {"codec": "h264", "pixel_format": "yuv420p", "bit_depth": 8},
    "audio": [{"codec": "aac", "channels": 2, "sample_rate": 48_000}],
}  # fmt: skip


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library", list(entry_points(group=GROUP))) as made:
        yield made


def finished(library: Library, made: Asset, processor: str, facts: Facts) -> int:
    """How many statements it took."""
    assert made.blob is not None
    connection = library.db.writer
    before = connection.statements
    library.perform(FinishJob(Job(JobId(0), made.blob, processor, 1, 1), facts, (), (), ()), "test")
    return connection.statements - before


async def clip(library: Library) -> Asset:
    made = await received(library, "clip.mov", b"a clip", "beach")
    finished(library, made, "probe", PROBED)
    return asset(library, made.id)


async def test_a_job_of_which_no_field_tells_asks_for_little(library: Library) -> None:
    made = await clip(library)
    assert finished(library, made, "editor_hash", {"md5": "0" * 32}) <= 10


async def test_many_values_are_written_with_a_few_statements(library: Library) -> None:
    made = await received(library, "clip.mov", b"a clip", "beach")
    assert finished(library, made, "probe", PROBED) <= 62
    assert made.blob is not None
    assert len(field_values._stored(library.db.writer, made.blob)) > 15


async def test_values_that_were_told_before_are_not_looked_for_again(library: Library) -> None:
    made = await clip(library)
    assert finished(library, made, "exiftool", {"lens": "FE 24-70", "camera_make": "SONY"}) <= 13


async def test_words_are_looked_up_for_who_wants_them_only(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await clip(library)
    assert made.blob is not None
    asked: list[BlobId] = []
    told = PlanAgain(made.blob)

    def words_of(_: Connection, blob: BlobId) -> tuple[str, ...]:
        asked.append(blob)
        return ("beach",)

    monkeypatch.setattr(planner, "words_of", words_of)
    all_done(library)
    library.perform(told, "test")
    assert job_table.states_of(library.db.writer, made.blob)[Wording.name][0] == "waiting"
    assert asked == [], "it has no vector that might be of other words by now"
    all_done(library)
    library.perform(told, "test")
    assert asked == [made.blob]


def all_done(library: Library) -> None:
    with library.db.transaction() as tx:
        tx.run("UPDATE job SET state = 'done'")


@pytest.fixture
def largest(library: Library) -> list[int]:
    """The most statements of one transaction, since the list was cleared."""
    connection, found, seen = library.db.writer, [0], [0]

    def committed() -> None:
        found[:] = [max(*found, 0, connection.statements - seen[0])]
        seen[0] = connection.statements

    library.db.on_commit = committed
    return found


async def test_planning_many_again_lets_others_in_between(library: Library, largest: list[int]) -> None:
    blobs = [(await received(library, f"{each}.txt", b"%d" % each)).blob for each in range(23)]
    largest[:] = [0]
    await plan_again(library, [blob for blob in blobs if blob is not None])
    assert 0 < largest[0] <= 60


async def test_texts_are_taken_in_some_at_a_time(library: Library) -> None:
    for each in range(text_upkeep.AT_ONCE + 3):
        await received(library, f"{each}.txt", b"%d" % each)
    while library.texts.step():
        pass
    before = library.counters["texts_refreshed"]
    with library.db.transaction() as tx:
        tx.run("INSERT INTO text_due (asset) SELECT id FROM asset")
    assert library.texts.step()
    assert library.counters["texts_refreshed"] - before == text_upkeep.AT_ONCE <= 10
    while library.texts.step():
        pass
    assert library.counters["texts_refreshed"] - before == text_upkeep.AT_ONCE + 3


async def test_a_scan_lets_others_in_between(library: Library, largest: list[int], tmp_path: Path) -> None:
    added(library, tmp_path / "footage")
    for each in range(30):
        (tmp_path / "footage" / f"{each}.txt").write_bytes(b"%d" % each)
    largest[:] = [0]
    await scanned(library)
    assert len(assets.list_blobs(library.db.writer)) == 30
    assert 0 < largest[0] <= 160
