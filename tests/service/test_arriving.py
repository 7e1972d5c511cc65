"""A recording that is still running is not taken in: it has to be closed, quiet, of one size and finished, all four."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from damfs.core import arriving
from damfs.core.arriving import GIVEN_UP_S, QUIET_S, SECOND_NS
from damfs.core.library import Library
from damfs.core.scan_report import ScanReport
from damfs.core.scanner import scan
from damfs.core.watcher import _is_news
from damfs.storage import open_writers
from tests import sample_media
from tests.sample_media.running import RECORDERS, recorded
from tests.small_library import added, keys, opened, store_named

WRITER = "import sys; file = open(sys.argv[1], 'ab'); print(flush=True); sys.stdin.read()"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        added(made, tmp_path / "card")
        yield made


@pytest.fixture
def card(library: Library, tmp_path: Path) -> Path:
    return tmp_path / "card"


@contextmanager
def written_by_another(path: Path) -> Iterator[None]:
    """A process has the file open for writing meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    with process, process.stdin, process.stdout:
        process.stdout.readline()
        yield
        process.stdin.close()
        process.wait()


async def watched(library: Library) -> ScanReport:
    return await scan(library, store_named(library, "footage"), quiet_s=QUIET_S)


def later(library: Library, seconds: float) -> None:
    now = time.time_ns() + round(seconds * SECOND_NS)
    library.clock = lambda: now


def after_the_last_write(library: Library, clip: Path, seconds: float) -> None:
    """However long ago the test itself has written it."""
    now = clip.stat().st_mtime_ns + round(seconds * SECOND_NS)
    library.clock = lambda: now


async def test_it_waits_for_the_close(library: Library, card: Path) -> None:
    clip = sample_media.h264(card / "a.mp4", seconds=0.2, size=(64, 48))
    with written_by_another(clip):
        later(library, 30)
        report = await watched(library)
        assert report.counts == {"waiting": 1}
        assert report.waiting == ["'a.mp4': a program has it open for writing"]
        assert keys(library, "footage") == {}
    assert (await watched(library)).counts == {"new": 1}


async def test_it_waits_until_it_is_quiet(library: Library, card: Path) -> None:
    clip = sample_media.h264(card / "a.mp4", seconds=0.2, size=(64, 48))
    after_the_last_write(library, clip, QUIET_S / 2)
    assert (await watched(library)).waiting == ["'a.mp4': it was written to a moment ago"]
    later(library, QUIET_S * 2)
    assert (await watched(library)).counts == {"new": 1}


async def test_who_asks_for_a_scan_has_what_is_closed_at_once(library: Library, card: Path) -> None:
    clip = sample_media.h264(card / "a.mp4", seconds=0.2, size=(64, 48))
    with written_by_another(clip):
        assert (await scan(library, store_named(library, "footage"))).counts == {"waiting": 1}
    assert (await scan(library, store_named(library, "footage"))).counts == {"new": 1}


async def test_where_nobody_can_tell_who_writes_quiet_has_to_do(
    library: Library, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = sample_media.h264(card / "a.mp4", seconds=0.2, size=(64, 48))
    monkeypatch.setattr(arriving, "is_written", lambda _: None)
    after_the_last_write(library, clip, QUIET_S / 2)
    assert (await scan(library, store_named(library, "footage"))).counts == {"waiting": 1}


async def test_it_waits_for_one_size(library: Library, card: Path) -> None:
    clip = sample_media.h264(card / "a.mp4", seconds=0.2, size=(64, 48))
    files, store = library.blob_store(store_named(library, "footage").id), store_named(library, "footage")
    before = files.stat(next(fact.key for fact in files.walk() if hasattr(fact, "size")))
    with clip.open("ab") as file:
        file.write(b"more")
    later(library, 30)
    met = arriving.met_again(None, before, library.clock())
    assert arriving.why_not_yet(files, before, library.clock(), QUIET_S, met) == "it grows"
    assert store.id not in library.arriving


async def test_it_waits_for_the_index(library: Library, card: Path) -> None:
    finished = sample_media.h264(card.parent / "a.mov", seconds=0.5, size=(64, 48)).read_bytes()
    (card / "a.mov").write_bytes(finished[: finished.rindex(b"moov") - 4])
    later(library, 30)
    assert (await watched(library)).waiting == ["'a.mov': its recording is not finished: it has no index (moov) yet"]
    (card / "a.mov").write_bytes(finished)
    later(library, 60)
    assert (await watched(library)).counts == {"new": 1}


@pytest.mark.parametrize("name", ["a.mkv", "a.mxf", "a.avi", "a.wav"])
async def test_each_container_has_an_end_to_wait_for(library: Library, card: Path, name: str) -> None:
    finished, running = recorded(card.parent / name, RECORDERS[name])
    (card / name).write_bytes(running.read_bytes())
    later(library, 30)
    (line,) = (await watched(library)).waiting
    assert line.startswith(f"'{name}': its recording is not finished: ")
    (card / name).write_bytes(finished.read_bytes())
    later(library, 60)
    assert (await watched(library)).counts == {"new": 1}


async def test_a_copy_over_the_network_is_taken_when_it_is_all_there(
    library: Library, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell there who writes, and whoever copies may pause."""
    monkeypatch.setattr(arriving, "is_written", lambda _: None)
    content = sample_media.mxf(card.parent / "a.mxf", seconds=0.2, size=(64, 48)).read_bytes()
    for part in (0.3, 0.6, 0.95):
        (card / "a.mxf").write_bytes(content[: round(len(content) * part)])
        later(library, QUIET_S * 2)
        assert (await watched(library)).waiting == ["'a.mxf': it is not all there: it is shorter than it says"]
    (card / "a.mxf").write_bytes(content)
    later(library, QUIET_S * 2)
    assert (await watched(library)).counts == {"new": 1}


async def test_a_machine_whose_clock_is_ahead_is_watched_by_ours(
    library: Library, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arriving, "is_written", lambda _: None)
    clip = sample_media.h264(card / "a.mp4", seconds=0.2, size=(64, 48))

    def touched(ahead_s: int) -> None:
        at = time.time_ns() + ahead_s * SECOND_NS
        os.utime(clip, ns=(at, at))

    touched(300)
    later(library, 0)
    assert (await watched(library)).counts == {"waiting": 1}
    touched(301)
    later(library, QUIET_S * 2)
    store = store_named(library, "footage")
    assert not _is_news(library, store, card, {str(clip)}), "it was written to meanwhile"
    later(library, QUIET_S * 2 + 1)
    assert not _is_news(library, store, card, set())
    later(library, QUIET_S * 4)
    assert _is_news(library, store, card, set())
    assert (await watched(library)).counts == {"new": 1}


@pytest.mark.expect_warnings("nobody has gone on with it for long: 'a.mov': its recording is not finished: ")
async def test_a_recording_that_was_never_finished_is_taken_in_the_end(library: Library, card: Path) -> None:
    sample_media.truncated(card / "a.mov")
    later(library, 30)
    assert (await watched(library)).given_up == []
    later(library, GIVEN_UP_S + 1)
    assert (await watched(library)).counts == {"waiting": 1}, "it is known for less"
    later(library, GIVEN_UP_S + 31)
    report = await watched(library)
    assert report.counts == {"new": 1}
    assert report.given_up == ["'a.mov': its recording is not finished: it has no index (moov) yet"]


HOUR_S = 3600.0
OFF = (-660.0, -2 * HOUR_S, 2 * HOUR_S, -72 * HOUR_S, 72 * HOUR_S)
"""Seconds by which a writer's clock is off."""


def dated(path: Path, ahead_s: float) -> None:
    at = time.time_ns() + round(ahead_s * SECOND_NS)
    os.utime(path, ns=(at, at))


@pytest.mark.parametrize("ahead_s", OFF)
async def test_whatever_its_time_says_it_waits_for_the_close(library: Library, card: Path, ahead_s: float) -> None:
    clip = sample_media.truncated(card / "a.mov")
    with written_by_another(clip):
        dated(clip, ahead_s)
        for seconds in (0, GIVEN_UP_S + 1):
            later(library, seconds)
            assert (await watched(library)).waiting == ["'a.mov': a program has it open for writing"]


@pytest.mark.parametrize("ahead_s", OFF)
@pytest.mark.expect_warnings("nobody has gone on with it for long: 'a.mov': its recording is not finished: ")
async def test_what_changes_is_watched_by_our_clock(
    library: Library, card: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    """Where nobody can tell who writes, a recording goes on under a time that is no time of ours."""
    monkeypatch.setattr(arriving, "is_written", lambda _: None)
    clip = sample_media.truncated(card / "a.mov")
    dated(clip, 0)
    assert (await watched(library)).counts == {"waiting": 1}
    dated(clip, ahead_s)
    later(library, 30)
    assert (await watched(library)).counts == {"waiting": 1}
    later(library, GIVEN_UP_S)
    assert (await watched(library)).counts == {"waiting": 1}
    later(library, GIVEN_UP_S + 31)
    assert (await watched(library)).counts == {"new": 1}


@pytest.mark.parametrize("told", [False, None])
@pytest.mark.parametrize("ahead_s", [-72 * HOUR_S, 72 * HOUR_S])
async def test_an_archive_is_taken_at_once_as_it_is(
    library: Library, card: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: float, told: bool | None
) -> None:
    monkeypatch.setattr(arriving, "is_written", lambda _: told)
    sample_media.h264(card / "a.mp4", seconds=0.2, size=(64, 48))
    for path in (card / "a.mp4", sample_media.truncated(card / "b.mov")):
        dated(path, ahead_s)
    assert (await watched(library)).counts == {"new": 2}


@pytest.mark.parametrize("told", [False, None])
@pytest.mark.parametrize("ahead_s", [-2 * HOUR_S, 2 * HOUR_S])
async def test_what_is_sound_does_not_wait_for_clocks(
    library: Library, card: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: float, told: bool | None
) -> None:
    monkeypatch.setattr(arriving, "is_written", lambda _: told)
    dated(sample_media.h264(card / "a.mp4", seconds=0.2, size=(64, 48)), ahead_s)
    dated(sample_media.truncated(card / "b.mov"), ahead_s)
    assert (await scan(library, store_named(library, "footage"))).counts == {"new": 1, "waiting": 1}


async def test_a_known_file_that_is_written_again_keeps_its_version_until_then(library: Library, card: Path) -> None:
    clip = sample_media.h264(card / "a.mp4", seconds=0.2, size=(64, 48))
    later(library, 30)
    await watched(library)
    before = keys(library, "footage")
    with written_by_another(clip), clip.open("ab") as file:
        file.write(b"more")
        file.flush()
        assert (await watched(library)).counts == {"waiting": 1}
        assert keys(library, "footage") == before


async def test_growing_is_no_news_to_the_watcher_and_the_close_is(library: Library, card: Path) -> None:
    clip = sample_media.h264(card / "a.mp4", seconds=0.2, size=(64, 48))
    store = store_named(library, "footage")
    later(library, 30)
    with written_by_another(clip):
        await watched(library)
        assert not _is_news(library, store, card, {str(clip)})
        assert _is_news(library, store, card, {str(clip), str(card / "b.mp4")})
    assert _is_news(library, store, card, set())
    clip.unlink()
    assert _is_news(library, store, card, set())


def test_the_lease_tells_writers_from_readers(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")
    with path.open("rb") as file, path.open("rb"):
        assert open_writers.is_written(file.fileno()) is False
        with written_by_another(path):
            assert open_writers.is_written(file.fileno()) is True
        assert open_writers.is_written(file.fileno()) is False
    read_end, write_end = os.pipe()
    assert open_writers.is_written(read_end) is None, "what has no leases cannot be told"
    os.close(read_end)
    os.close(write_end)


async def test_a_picture_has_another_index(library: Library, card: Path) -> None:
    sample_media.heic(card / "photo.heic", size=(64, 48))
    later(library, 30)
    assert (await watched(library)).counts == {"new": 1}
