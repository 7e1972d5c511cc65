"""Media that means harm, in real workers: each file is one failed job with its reason, or a bounded good one."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import trio

from damfs.core.processor_registry import ProcessorRef
from damfs.core.processors.media import LONGEST_NS
from damfs.core.processors.processor import Output, Processor, Subject, Worker
from damfs.core.worker_pool import JobTimedOut, WorkerPool, open_worker_pool
from damfs.errors import BadMedia
from damfs.model import Media
from damfs.settings import IndexerSettings, Settings
from tests.bench.probing import workers
from tests.sample_media import h264
from tests.sample_media.hostile import HOSTILE
from tests.service import doomed_processors

SETTINGS = Settings(indexer=IndexerSettings(workers=2, memory_limit_mb=1500, time_limit_s=60))
FACTS_BYTES = 64_000
HARMLESS_TO_PROBE = {
    "circling.tif", "endless.wav", "huge.mp4", "endless.mp4", "crowded.mkv", "endless.mkv", "fuzzed.mp4",
    "unpacking.png",
}  # fmt: skip
"""Read as far as they go: their lies are passed over, and what they hold fits into memory."""


FOR_EXIFTOOL = {"texts.png", "huge.tif", "circling.tif", "crowded.mp4", "nested.mp4", "unpacking.mov", "noise.jpg"}
"""It unpacks and follows, and is slow to give up."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("hostile")
    return [make(folder / name) for name, make in HOSTILE.items()]


def reference(name: str) -> ProcessorRef:
    (point,) = entry_points(group="damfs.processors", name=name)
    made = point.load()()
    assert isinstance(made, Processor)
    return ProcessorRef(name, point.value, made.worker, made.timeout_s)


async def ended(pool: WorkerPool, processor: str, source: Path, out: Path) -> Output | BadMedia:
    """What became of one run. Anything but a result or BadMedia, such as a worker that died, fails the test."""
    await trio.Path(out).mkdir()
    kind = Media.IMAGE if source.suffix in (".png", ".tif", ".gif", ".jpg") else Media.VIDEO
    try:
        return await pool.run(reference(processor), source, out, Subject(source.name, kind, 1))
    except BadMedia as error:
        return error


@pytest.mark.parametrize("processor", ["probe", "preview", "exiftool"])
async def test_each_hostile_file_ends_within_the_limits(files: list[Path], tmp_path: Path, processor: str) -> None:
    found: dict[str, Output | BadMedia] = {}

    async def one(pool: WorkerPool, source: Path) -> None:
        found[source.name] = await ended(pool, processor, source, tmp_path / source.name)

    async with open_worker_pool(SETTINGS) as pool:
        async with trio.open_nursery() as nursery:
            for source in files:
                if source.name in FOR_EXIFTOOL or processor != "exiftool":
                    nursery.start_soon(one, pool, source)
        clip = h264(tmp_path / "good.mp4", seconds=0.2, size=(64, 48))
        assert isinstance(await ended(pool, processor, clip, tmp_path / "good"), Output), "the workers are unharmed"
    assert set(found) == (set(HOSTILE) if processor != "exiftool" else FOR_EXIFTOOL)
    for name, output in found.items():
        if isinstance(output, BadMedia):
            assert str(output).startswith(f"{name}: ")
            assert "\n" not in str(output)
        else:
            assert len(json.dumps(dict(output.facts))) < FACTS_BYTES
            assert not int(str(output.facts.get("duration_ns") or 0)) > LONGEST_NS
    if processor == "probe":
        assert {name for name, output in found.items() if isinstance(output, Output)} == HARMLESS_TO_PROBE


async def test_pictures_larger_than_memory_say_so(files: list[Path], tmp_path: Path) -> None:
    settings = Settings(indexer=IndexerSettings(workers=1, memory_limit_mb=1000))
    source = next(path for path in files if path.name == "unpacking.png")
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


SUBJECT = Subject("clip.mov", Media.VIDEO, 5)


async def test_probing_many_files_starts_no_process_for_each(tmp_path: Path) -> None:
    clip = h264(tmp_path / "good.mp4", seconds=0.2, size=(64, 48))
    async with open_worker_pool(Settings(indexer=IndexerSettings(workers=1))) as pool:
        seen: list[set[int]] = []
        for number in range(12):
            assert isinstance(await ended(pool, "probe", clip, tmp_path / str(number)), Output)
            seen.append(workers())
    assert seen[0]
    assert all(each == seen[0] for each in seen)
