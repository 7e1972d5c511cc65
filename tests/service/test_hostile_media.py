"""Media that means harm, in real workers: each file is one failed job with its reason, or a bounded good one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import trio

from damfs.core.processor_registry import ProcessorRef
from damfs.core.processors.cut import Cut
from damfs.core.processors.media import LONGEST_NS
from damfs.core.processors.probe import Probe
from damfs.core.processors.processor import Output, Processor, Subject, Worker
from damfs.core.worker_pool import JobTimedOut, ProcessorFailed, WorkerPool, open_worker_pool
from damfs.errors import BadMedia, DamfsError
from damfs.model import Facts, Media
from damfs.settings import IndexerSettings, Settings
from tests.bench.probing import workers
from tests.sample_media import h264
from tests.sample_media.hostile import HOSTILE
from tests.service import doomed_processors

SETTINGS = Settings(indexer=IndexerSettings(workers=2, memory_limit_mb=1500, time_limit_s=60))
FACTS_BYTES = 64_000
HARMLESS_TO_PROBE = {
    "circling.tif", "endless.wav", "huge.mp4", "endless.mp4", "crowded.mkv", "endless.mkv", "fuzzed.mp4",
}  # fmt: skip
"""Read as far as they go: their lies are passed over, and what they hold fits into memory."""
EITHER = {"unpacking.png"}
"""A gigabyte: it fits into a fresh worker, and not beside what one has loaded that worked before."""
FOR_EXIFTOOL = {"texts.png", "huge.tif", "circling.tif", "nested.mp4", "unpacking.mov", "noise.jpg"}
"""It unpacks and follows."""
PROBED: Facts = {
    "media": "video", "duration_ns": 3_000_000_000, "width": 64, "height": 48, "audio": [{"codec": "aac"}],
    "video": {"codec": "h264", "frame_rate": "25/1"},
}  # fmt: skip
"""Believed of each file, so that everything is done that is done of a clip which a more trusting probe let through."""
PIECE = "00-00-00.000_00-00-00.200"


@dataclass(frozen=True, slots=True)
class Step:
    """One processor, with settings of its own beside those by default."""

    processor: str
    settings: Facts = field(default_factory=dict)
    only: frozenset[str] = frozenset(HOSTILE)


STEPS: dict[str, Step] = {
    "probe": Step("probe"),
    "preview": Step("preview"),
    "exiftool": Step("exiftool", only=frozenset(FOR_EXIFTOOL)),
    "camera_proxy": Step("camera_proxy"),
    "proxy": Step("proxy", {"needless": True}),
    "proxy-h264": Step(
        "proxy-h264", {"needless": True, "also": ["h264"]}, frozenset(HOSTILE) - {"endless.mp4", "crowded.mkv"}
    ),
    "scenes": Step("scenes"),
    "sprite": Step("sprite"),
    "sheet": Step("sheet"),
    "waveform": Step("waveform"),
    "loudness": Step("loudness", {"loudness": True}),
    "moments": Step("moments"),
    "editor_hash": Step("editor_hash"),
    "piece": Step("cut", {"kind": "clip", "profile": PIECE}),
    "exact piece": Step("cut", {"kind": "clip", "profile": PIECE + "_exact"}),
    "frame": Step("cut", {"kind": "frame", "profile": "00-00-00.040"}),
}
"""What is made of every hostile file; a processor that is not here has to be in `NOT_OF_BYTES`."""
NOT_OF_BYTES = {"embedding", "wording", "auto_tag", "place", "fingerprint", "test-sort"}
"""They work on what others made, and on names."""
SAME_STEP = {"proxy-dnxhr-lb", "proxy-prores-proxy", "proxy-h264-intra", "proxy-h264-intra-mp4"}
"""Other rows of one table."""
TOGETHER: tuple[tuple[str, ...], ...] = (
    ("probe", "preview", "exiftool", "moments", "editor_hash"),
    ("camera_proxy", "proxy", "proxy-h264"),
    ("scenes", "sprite", "sheet", "waveform", "loudness"),
    ("piece", "exact piece", "frame"),
)
"""Steps of one test."""
TOO_MUCH = {("proxy", "crowded.mkv"), ("exact piece", "crowded.mkv")}
"""A thousand encoders take more memory than a worker may have: how much goes by the number of cores."""
SLOW = (
    pytest.param("exiftool", "crowded.mp4", marks=pytest.mark.needs_programs("exiftool")),
    ("proxy-h264", "endless.mp4"),
)
"""What goes on for a minute and more: the limit of time ends it."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("hostile")
    return {name: make(folder / name) for name, make in HOSTILE.items()}


def reference(name: str) -> ProcessorRef:
    if name == Cut.name:
        return ProcessorRef(name, f"{Cut.__module__}:{Cut.__qualname__}", Cut.worker, Cut.timeout_s)
    (point,) = entry_points(group="damfs.processors", name=name)
    made = point.load()()
    assert isinstance(made, Processor)
    return ProcessorRef(name, point.value, made.worker, made.timeout_s)


def subject_of(source: Path, step: Step) -> Subject:
    kind = Media.IMAGE if source.suffix in (".png", ".tif", ".gif", ".jpg") else Media.VIDEO
    facts = {} if step.processor == "probe" else {"probe": {**PROBED, "media": str(kind)}}
    settings = {**SETTINGS.of_processor(step.processor), **step.settings}
    beside = {"its copy": source} if step.processor == "camera_proxy" else {}
    return Subject(source.name, kind, source.stat().st_size, facts, settings=settings, beside=beside)


async def ended(pool: WorkerPool, step: Step, source: Path, out: Path) -> Output | DamfsError:
    """What became of one run. A worker that died fails the test."""
    await trio.Path(out).mkdir()
    try:
        return await pool.run(reference(step.processor), source, out, subject_of(source, step))
    except (BadMedia, ProcessorFailed, JobTimedOut) as error:
        return error


def test_every_processor_that_reads_bytes_meets_them() -> None:
    found = {point.name for point in entry_points(group="damfs.processors")} | {Cut.name}
    assert found == {step.processor for step in STEPS.values()} | NOT_OF_BYTES & found | SAME_STEP
    assert sorted(step for steps in TOGETHER for step in steps) == sorted(STEPS)


@pytest.mark.parametrize("steps", TOGETHER, ids=[steps[0] for steps in TOGETHER])
async def test_each_step_of_each_hostile_file_ends_within_the_limits(
    files: dict[str, Path], tmp_path: Path, steps: tuple[str, ...]
) -> None:
    found: dict[tuple[str, str], Output | DamfsError] = {}
    limiter = trio.CapacityLimiter(4)

    async def one(pool: WorkerPool, step: str, name: str) -> None:
        async with limiter:
            found[step, name] = await ended(pool, STEPS[step], files[name], tmp_path / f"{step}-{name}")

    async with open_worker_pool(SETTINGS) as pool:
        async with trio.open_nursery() as nursery:
            for step in steps:
                for name in STEPS[step].only:
                    nursery.start_soon(one, pool, step, name)
        clip = h264(tmp_path / "good.mp4", seconds=0.2, size=(64, 48))
        good = await ended(pool, STEPS["probe"], clip, tmp_path / "good")
    assert isinstance(good, Output), "the workers are unharmed"
    for (step, name), output in found.items():
        if isinstance(output, Output):
            assert len(json.dumps(dict(output.facts))) < FACTS_BYTES, (step, name)
            assert not int(str(output.facts.get("duration_ns") or 0)) > LONGEST_NS, (step, name)
        elif (step, name) not in TOO_MUCH:
            assert isinstance(output, BadMedia), (step, name, output, *getattr(output, "__notes__", ()))
            assert str(output).startswith(f"{name}: "), (step, output)
            assert "\n" not in str(output), (step, output)
        if (step, name) in TOO_MUCH and not isinstance(output, Output):
            assert "more memory" in str(output), (step, name, output)
    if "probe" in steps:
        assert {name for name in HOSTILE if isinstance(found["probe", name], Output)} - EITHER == HARMLESS_TO_PROBE


@pytest.mark.parametrize(("name", "file"), SLOW)
async def test_what_goes_on_for_ever_is_ended_by_the_limit_of_time(
    files: dict[str, Path], tmp_path: Path, name: str, file: str
) -> None:
    """And the worker that takes its place is a good one."""
    settings = Settings(indexer=IndexerSettings(workers=1, memory_limit_mb=1500, time_limit_s=1))
    async with open_worker_pool(settings) as pool:
        output = await ended(pool, Step(name, STEPS[name].settings), files[file], tmp_path / name)
        assert isinstance(output, JobTimedOut), output
        pool._time_limit_s = 60.0  # a good one needs not even one second, but a slow machine may
        clip = h264(tmp_path / "good.mp4", seconds=0.2, size=(64, 48))
        assert isinstance(await ended(pool, STEPS["probe"], clip, tmp_path / "good"), Output)


async def test_pictures_larger_than_memory_say_so(files: dict[str, Path], tmp_path: Path) -> None:
    settings = Settings(indexer=IndexerSettings(workers=1, memory_limit_mb=1000))
    source = files["unpacking.png"]
    async with open_worker_pool(settings) as pool:
        with pytest.raises(
            BadMedia, match=r"unpacking.png: .*more memory than a worker may have; see indexer.memory_limit"
        ):
            await pool.run(reference("probe"), source, tmp_path, Subject(source.name, Media.IMAGE, 1))


async def test_the_time_limit_of_the_settings_ends_a_job(tmp_path: Path) -> None:
    settings = Settings(indexer=IndexerSettings(workers=1, time_limit_s=1))
    source = tmp_path / "source"
    endless = f"{doomed_processors.__name__}:{doomed_processors.Endless.__name__}"
    async with open_worker_pool(settings) as pool:
        with pytest.raises(JobTimedOut, match="took longer than 1 s and was stopped"):
            await pool.run(ProcessorRef("doomed", endless, Worker.MEDIA, 600), source, tmp_path, SUBJECT)


async def test_the_settings_can_give_every_kind_of_job_more_time(tmp_path: Path) -> None:
    """A minute is little for a clip that comes from tape; whoever waits sets a limit of his own."""
    endless = f"{doomed_processors.__name__}:{doomed_processors.Endless.__name__}"
    patient = Settings(indexer=IndexerSettings(workers=1, time_factor=2.5, time_limit_s=100))
    async with open_worker_pool(patient) as pool:
        assert (pool.limit_s(Probe.timeout_s), pool.limit_s(10), pool.limit_s(3600)) == (100, 25, 100)
        reference = ProcessorRef("doomed", endless, Worker.MEDIA, 0.4)
        with pytest.raises(JobTimedOut, match="took longer than 1 s and was stopped"):
            await pool.run(reference, tmp_path / "source", tmp_path, SUBJECT)
        with pytest.raises(JobTimedOut, match=r"took longer than 0\.5 s and was stopped"):
            await pool.run(reference, tmp_path / "source", tmp_path, SUBJECT, 0.5)


SUBJECT = Subject("clip.mov", Media.VIDEO, 5)


async def test_probing_many_files_starts_no_process_for_each(tmp_path: Path) -> None:
    clip = h264(tmp_path / "good.mp4", seconds=0.2, size=(64, 48))
    async with open_worker_pool(Settings(indexer=IndexerSettings(workers=1))) as pool:
        seen: list[set[int]] = []
        for number in range(12):
            assert isinstance(await ended(pool, STEPS["probe"], clip, tmp_path / str(number)), Output)
            seen.append(workers())
    assert seen[0]
    assert all(each == seen[0] for each in seen)
