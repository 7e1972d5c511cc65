"""The same bytes are probed, previewed and transcoded once, whatever they are called and wherever they lie."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from damfs.core.job_runner import JobRunner
from damfs.core.library import Library
from damfs.core.processor_registry import ProcessorRef
from damfs.core.processors.preview import Preview
from damfs.core.processors.probe import Probe
from damfs.core.processors.processor import Output, Subject
from damfs.core.processors.proxy import Proxy
from damfs.core.processors.sheet import Sheet
from damfs.core.processors.sprite import Sprite
from damfs.core.processors.waveform import Waveform
from damfs.core.worker_pool import WorkerPool, open_worker_pool
from tests.sample_media import h264
from tests.small_library import added, assets_named, entry_points_of, opened, received, scanned

PROCESSORS = (Probe, Preview, Sprite, Sheet, Waveform, Proxy)


class CountingPool(WorkerPool):
    """Knows which bytes were given to workers, and for what."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pool = pool
        self.runs: Counter[tuple[str, str]] = Counter()

    def limit_s(self, timeout_s: float) -> float:
        return self._pool.limit_s(timeout_s)

    async def run(
        self, processor: ProcessorRef, source: Path, out: Path, subject: Subject, limit_s: float | None = None
    ) -> Output:
        digest = hashlib.blake2b(await trio.Path(source).read_bytes()).hexdigest()[:8]
        self.runs[processor.name, digest] += 1
        return await self._pool.run(processor, source, out, subject, limit_s)


@asynccontextmanager
async def counted(library: Library) -> AsyncIterator[CountingPool]:
    async with open_worker_pool(library.settings) as pool, trio.open_nursery() as nursery:
        counting = CountingPool(pool)
        await nursery.start(JobRunner(library, counting).serve)
        yield counting
        nursery.cancel_scope.cancel()


async def all_done(library: Library) -> None:
    with trio.fail_after(90), library.feed.follow() as batches:
        if is_idle(library):
            return
        async for _ in batches:
            if is_idle(library):
                return


def is_idle(library: Library) -> bool:
    return not library.db.writer.integer("SELECT count(*) FROM job WHERE state NOT IN ('done', 'failed')")


async def test_the_same_bytes_are_worked_on_once_whatever_they_are_called(tmp_path: Path) -> None:
    clip = h264(tmp_path / "clip.mp4", seconds=0.4, size=(64, 48), tracks=())
    other = h264(tmp_path / "other.mp4", seconds=0.4, size=(64, 48), source="mandelbrot")
    content, card = clip.read_bytes(), tmp_path / "card"
    with opened(tmp_path / "library"):
        pass
    with (tmp_path / "library/damfs.toml").open("a") as settings:
        settings.write("[proxy]\nneedless = true\n")
    with opened(tmp_path / "library", entry_points_of(*PROCESSORS)) as library:
        added(library, card)
        async with counted(library) as pool:
            await received(library, "first.mp4", content)
            await all_done(library)
            (card / "deep").mkdir(parents=True)
            shutil.copy(clip, card / "second.mp4")
            shutil.copy(clip, card / "deep/third.mov")
            shutil.copy(other, card / "other.mp4")
            await scanned(library)
            await received(library, "fourth.mp4", content)
            await all_done(library)
            (card / "second.mp4").rename(card / "deep/renamed.mp4")
            await scanned(library)
            await received(library, "other again.mp4", other.read_bytes())
            await all_done(library)
        assert set(pool.runs.values()) == {1}, pool.runs
        by_processor = Counter(processor for processor, _ in pool.runs)
        silent = {"waveform": 1}  # the first clip has no sound
        assert by_processor == {each.name: 2 for each in PROCESSORS} | silent
        (first,), (again,) = assets_named(library, "first.mp4"), assets_named(library, "fourth.mp4")
        assert first.blob == again.blob
        kinds = library.db.writer.rows("SELECT kind, count(*) FROM rendition WHERE blob = ? GROUP BY kind", first.blob)
        assert {str(kind) for kind, _ in kinds} >= {"poster", "sprite", "contact-sheet", "proxy"}
