"""Embedding through the worker of the daemon, beside the same model called directly in a loop, one by one.

Posters are real renditions (JPEG of 1920 x 1280); both sides open them from the disk. The model is loaded before the
clock starts. Both sides run in turns in one and the same worker process, so both have its model, threads and priority.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import trio

from damfs.catalog.embedder import load_embedder
from damfs.core.processor_registry import ProcessorRef
from damfs.core.processors.processor import Subject, Worker
from damfs.core.worker_pool import WorkerPool, open_worker_pool
from damfs.model import Media
from damfs.settings import Settings, cores
from tests.bench.figure import Figure, figure, rate
from tests.bench.ground import Ground
from tests.sample_media.pictures import paint

PICTURES, WORDS = 64, 192
SLOTS = 16
LIMIT_S = 3_600.0
SETTINGS = {"name": "default", "threads": 0}
PLACE = "damfs.core.processors"


def measure(ground: Ground) -> Iterator[Figure]:
    folder = ground.new("posters")
    ground.say("embedding: painting posters, loading the model …")
    pictures = [_picture(folder / f"{number}.jpg", number) for number in range(PICTURES)]
    words = [_said(number) for number in range(WORDS)]
    yield from trio.run(_measured, pictures, words, max(3, ground.size.runs))


async def _measured(pictures: list[Subject], words: list[Subject], runs: int) -> list[Figure]:
    figures = []
    async with open_worker_pool(Settings()) as pool:
        for name, processor, subjects in (
            (
                "embed-pictures",
                ProcessorRef("embedding", f"{PLACE}.embedding:Embedding", Worker.MODEL, 300, 16),
                pictures,
            ),
            ("embed-words", ProcessorRef("wording", f"{PLACE}.wording:Wording", Worker.MODEL, 300, 64), words),
        ):
            await _through_worker(pool, processor, subjects[:SLOTS])  # loads the model
            await pool.ask(Worker.MODEL, LIMIT_S, directly, name, subjects[:SLOTS])
            ours, direct = [], []
            for _ in range(runs):
                ours.append(await _through_worker(pool, processor, subjects))
                direct.append(await pool.ask(Worker.MODEL, LIMIT_S, directly, name, subjects))
            beside = {"the model called in a loop": rate(len(subjects), direct)}
            detail = {"calls": pool.gatherings[Worker.MODEL].calls, "cores": cores()}
            figures.append(figure(name, "files/s", rate(len(subjects), ours), beside, detail))
    return figures


async def _through_worker(pool: WorkerPool, processor: ProcessorRef, subjects: list[Subject]) -> float:
    """Seconds, with as many jobs under way as the job runner has."""
    waiting = iter(subjects)

    async def slot() -> None:
        for subject in waiting:
            await pool.run(processor, Path(), Path(), subject)

    began = time.perf_counter()
    async with trio.open_nursery() as nursery:
        for _ in range(SLOTS):
            nursery.start_soon(slot)
    return time.perf_counter() - began


def directly(name: str, subjects: list[Subject]) -> float:
    """Seconds. Runs in the worker."""
    from PIL import Image

    embedder = load_embedder("default", 0)
    began = time.perf_counter()
    for subject in subjects:
        if name == "embed-words":
            embedder.embed_texts([". ".join(subject.words)])
        else:
            with Image.open(subject.renditions["poster/jpeg"]) as picture:
                embedder.embed_pictures([picture])
    return time.perf_counter() - began


def _picture(path: Path, number: int) -> Subject:
    scene = ("beach", "city", "flowers", "portrait", "mountains")[number % 5]
    paint(scene, (1920, 1280), number).save(path, quality=88)
    return Subject(path.name, Media.IMAGE, 1, renditions={"poster/jpeg": path}, settings=SETTINGS)


def _said(number: int) -> Subject:
    words = (f"interview with guest {number}", "Summer Holidays Italy", "beach", "sunset", "the best take of the day")
    return Subject(f"{number}.mov", Media.VIDEO, 1, settings=SETTINGS, words=words)
