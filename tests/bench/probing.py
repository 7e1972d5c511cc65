"""Probing many clips in one worker, beside ffprobe started once for each; and how many processes that took."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import trio

from damfs.core.processor_registry import ProcessorRef
from damfs.core.processors.processor import Subject, Worker
from damfs.core.worker_pool import WorkerPool, open_worker_pool
from damfs.model import Media
from damfs.settings import IndexerSettings, Settings
from tests.bench.figure import Figure, figure, in_turns, rate
from tests.bench.ground import BenchFailed, Ground
from tests.sample_media import h264, hevc10, mxf, prores

KINDS = (("a.mp4", h264), ("b.mov", prores), ("c.mp4", hevc10), ("d.mxf", mxf))
ASKED = ("-v", "error", "-show_format", "-show_streams", "-show_chapters", "-of", "json")


def measure(ground: Ground) -> Iterator[Figure]:
    """One after the other on both sides, with the content in the page cache; the probe decodes a picture besides."""
    program = shutil.which("ffprobe")
    if program is None:
        raise BenchFailed("ffprobe is not installed; it comes with ffmpeg")
    folder = ground.new("clips")
    paths = made_clips(folder, ground.size.probed)
    ground.say(f"probe {len(paths)} files …")
    started: list[int] = []
    sides = {
        "ours": lambda: trio.run(_probe_all, paths, ground.new("out"), started),
        "ffprobe": lambda: _ask_all(program, paths),
    }
    seconds = in_turns(ground.size.runs, sides)
    ours, theirs = (rate(len(paths), seconds[side]) for side in ("ours", "ffprobe"))
    detail = {"files": len(paths), "processes": max(started), "processes_of_ffprobe": len(paths)}
    yield figure("probe", "files/s", ours, {"ffprobe": theirs}, detail)


def made_clips(folder: Path, number: int) -> list[Path]:
    """Copies of a few clips: probing reads what is inside, whoever has the same."""
    originals = [make(folder / name, seconds=0.5, size=(320, 180)) for name, make in KINDS]
    paths = []
    for count in range(number):
        original = originals[count % len(originals)]
        paths.append(folder / f"{count:05d}{original.suffix}")
        shutil.copyfile(original, paths[-1])
    return paths


async def _probe_all(paths: list[Path], out: Path, started: list[int]) -> float:
    """Seconds, the start of the worker included; ``started`` gets the number of processes: the worker, and what Python
    itself keeps beside it."""
    (point,) = entry_points(group="damfs.processors", name="probe")
    probe = ProcessorRef("probe", point.value, Worker.MEDIA, 60)
    seen: set[int] = set()
    began = time.perf_counter()
    async with open_worker_pool(Settings(indexer=IndexerSettings(workers=1))) as pool:
        for path in paths:
            await _probe(pool, probe, path, out)
            seen |= workers()
        seconds = time.perf_counter() - began
    started.append(len(seen))
    return seconds


async def _probe(pool: WorkerPool, probe: ProcessorRef, path: Path, out: Path) -> None:
    made = await pool.run(probe, path, out, Subject(path.name, Media.VIDEO, 1))
    if made.facts.get("media") != "video":
        raise BenchFailed(f"{path} was not probed: {made.facts}")


def workers() -> set[int]:
    """Processes that are this one's children."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    return {int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()}


def _ask_all(program: str, paths: list[Path]) -> float:
    began = time.perf_counter()
    for path in paths:
        subprocess.run([program, *ASKED, str(path)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
