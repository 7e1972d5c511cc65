"""A worker's proxy beside the ffmpeg command line doing the same: same encoder and options, same threads; then several
files at once.

The worker has been started and has loaded its codecs, as in a daemon that is at work; its gate and its reading of the
clip before are part of its time. The pictures are fractals, which no encoder gets for nothing.
"""

from __future__ import annotations

import functools
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import trio

from damfs.core.processor_registry import ProcessorRef, ProcessorRegistry
from damfs.core.processors.processor import Subject
from damfs.core.processors.profiles import PROFILES, Profile
from damfs.core.worker_pool import WorkerPool, open_worker_pool
from damfs.core.worker_process import LEAST
from damfs.model import Media
from damfs.settings import Settings, cores
from tests.bench.figure import Figure, figure, in_turns, rate
from tests.bench.ground import BenchFailed, Ground
from tests.sample_media import h264

MEASURED = {"transcode-dnxhr-lb": "dnxhr-lb", "transcode-prores": "prores-proxy", "transcode-h264-intra": "h264-intra"}
AT_ONCE = 2
"""Files for each core, where several are made at once."""
FFMPEG = "ffmpeg, same threads"
RATE = 25


def measure(ground: Ground) -> Iterator[Figure]:
    program = shutil.which("ffmpeg")
    if program is None:
        raise BenchFailed("ffmpeg is not there to compare with; install it")
    seconds, size = ground.size.transcoded_s, (1920, 1080) if ground.size.transcoded_s > 1 else (1280, 720)
    ground.say(f"transcode: a clip of {seconds:g} s …")
    clip = h264(ground.new("clip") / "clip.mp4", seconds=seconds, size=size, source="mandelbrot", options={"g": "25"})
    frames = round(seconds * RATE)
    for name, profile in MEASURED.items():
        yield one(ground, program, clip, frames, name, PROFILES[profile])
    yield several(ground, program, clip, frames)


def one(ground: Ground, program: str, clip: Path, frames: int, name: str, profile: Profile) -> Figure:
    ground.say(f"{name} …")
    cpu: dict[str, list[float]] = {"worker": [], FFMPEG: []}
    sides: dict[str, Callable[[], float]] = {
        "worker": lambda: in_worker(ground, clip, profile, 1, cpu["worker"]),
        FFMPEG: lambda: by_ffmpeg(ground, program, clip, profile, 1, cpu[FFMPEG]),
    }
    found = in_turns(ground.size.runs, sides)
    return figure(
        name, "frames/s", rate(frames, found["worker"]), {FFMPEG: rate(frames, found[FFMPEG])}, said(cpu, found)
    )


def several(ground: Ground, program: str, clip: Path, frames: int) -> Figure:
    """As many at once as there are cores, on both sides."""
    ground.say("transcode-many …")
    files, profile = AT_ONCE * cores(), PROFILES["dnxhr-lb"]
    cpu: dict[str, list[float]] = {"worker": [], FFMPEG: []}
    sides: dict[str, Callable[[], float]] = {
        "worker": lambda: in_worker(ground, clip, profile, files, cpu["worker"]),
        FFMPEG: lambda: by_ffmpeg(ground, program, clip, profile, files, cpu[FFMPEG]),
    }
    found = in_turns(ground.size.runs, sides)
    work = files * frames
    return figure(
        "transcode-many", "frames/s", rate(work, found["worker"]), {FFMPEG: rate(work, found[FFMPEG])}, said(cpu, found)
    )


def said(cpu: dict[str, list[float]], found: dict[str, list[float]]) -> dict[str, object]:
    """CPU seconds are what a busy machine does not change; a share of 1 is all cores at work all the time."""
    shares = [sum(cpu[side]) / sum(found[side]) / cores() for side in ("worker", FFMPEG)]
    used = {"cpu_s": min(cpu["worker"]), "ffmpeg_cpu_s": min(cpu[FFMPEG])}
    return {**used, "busy_share": shares[0], "ffmpeg_busy_share": shares[1], "cores": cores()}


def in_worker(ground: Ground, clip: Path, profile: Profile, files: int, cpu: list[float]) -> float:
    """Seconds for all, by workers that are warm; their CPU seconds are added to ``cpu``."""
    warm = h264(ground.new("warm") / "warm.mp4", seconds=0.2, size=(320, 180))
    (seconds, used) = trio.run(functools.partial(_timed, ground, warm, clip, profile, files))
    cpu.append(used)
    return seconds


async def _timed(ground: Ground, warm: Path, clip: Path, profile: Profile, files: int) -> tuple[float, float]:
    first, outs = ([ground.new("out") for _ in range(number)] for number in (min(files, cores()), files))
    reference = ProcessorRegistry.load().references["proxy"]
    async with open_worker_pool(Settings()) as pool:
        await _all(pool, reference, first, warm, profile)
        used, began = _cpu_s(), time.perf_counter()
        await _all(pool, reference, outs, clip, profile)
        measured = time.perf_counter() - began, _cpu_s() - used
    for out in outs:
        shutil.rmtree(out)
    return measured


async def _all(pool: WorkerPool, reference: ProcessorRef, outs: list[Path], clip: Path, profile: Profile) -> None:
    settings = {"profile": profile.name, "needless": True, "hardware": False}
    subject = Subject(clip.name, Media.VIDEO, 1, settings=settings)
    async with trio.open_nursery() as nursery:
        for each in outs:
            nursery.start_soon(pool.run, reference, clip, each, subject)


def _cpu_s() -> float:
    """Of the processes below this one: of those that run, and those that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    running = 0.0
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            running += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return ended.ru_utime + ended.ru_stime + running


def by_ffmpeg(ground: Ground, program: str, clip: Path, profile: Profile, files: int, cpu: list[float]) -> float:
    """Seconds for all, as many at a time as there are cores."""
    folder = ground.new("ffmpeg")
    commands = [command(program, clip, profile, folder / f"{n}{profile.ending}") for n in range(files)]
    used, began = _cpu_s(), time.perf_counter()
    running: list[subprocess.Popen[bytes]] = []
    for each in commands:
        if len(running) == cores():
            _ended(running.pop(0))
        running.append(subprocess.Popen(each, stdin=subprocess.DEVNULL))
    for process in running:
        _ended(process)
    seconds = time.perf_counter() - began
    cpu.append(_cpu_s() - used)
    shutil.rmtree(folder)
    return seconds


def _ended(process: subprocess.Popen[bytes]) -> None:
    if process.wait():
        raise BenchFailed(f"ffmpeg ended with {process.returncode}")


def command(program: str, clip: Path, profile: Profile, target: Path) -> list[str]:
    """What a person would type to get such a proxy, as low as a media worker; without any check of what comes out."""
    encoder, threads = profile.software, str(min(8, cores()))
    spelled = {"profile": "profile:v"}
    options = [word for key, value in encoder.options.items() for word in (f"-{spelled.get(key, key)}", value)]
    return [
        "chrt", "--idle", "0", "nice", "-n", str(LEAST),
        program, "-nostdin", "-v", "error", "-y", "-threads", threads, "-i", str(clip),
        "-map", "0:v:0", "-map", "0:a", "-vf", "scale=iw/2:ih/2:flags=bicubic",
        "-c:v", encoder.codec, "-pix_fmt", encoder.pixel_format, *options, "-threads", threads,
        "-c:a", profile.sound, str(target),
    ]  # fmt: skip
