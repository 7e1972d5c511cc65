"""How long a `stat` that reaches the daemon takes while every core indexes, while clips are transcoded, and while a
model embeds: ms, each beside the same while nothing runs. In turns with a `stat` through bindfs, where it is installed:
a file system in C that has nothing else to do shows what the machine itself keeps waiting.

Of the latter two only those moments count in which such a job was seen to run before and after.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from damfs.integration.client import call
from damfs.integration.wire import Add
from damfs.settings import SETTINGS_FILE
from tests import sample_media
from tests.bench.figure import Figure, figure, percentile
from tests.bench.ground import BenchFailed, Daemon, Ground
from tests.bench.reading import bound
from tests.bench.synthetic import populate

IDLE = "while nothing runs"
LONG_CLIPS = 12
PARTS = 20
FIRST_JOBS = 4
SEEN = "by names that the kernel was never asked for"
PAUSE_S = 0.002
"""Between two questions: a person's programs do not ask without pause either."""


DAMFS, BINDFS = "damfs", "bindfs"
Asked = Mapping[str, list[float]]
"""Times in ms by who answered."""


def measure(ground: Ground) -> Iterator[Figure]:
    made = ground.populated()
    number = min(2_000, len(made.names) // 3)
    with ground.mounted(made.library) as daemon, answering(ground, daemon, made.twin) as places:
        ground.say("busy …")
        idle = stat_ms(places, made.names[:number])
        footage = clips(ground.new("footage"), max(8, number // 10))
        done = _done(daemon)
        call(made.library, Add(str(footage), "footage"))
        _wait_until_busy(daemon, done)
        busy = stat_ms(places, made.names[number : 2 * number])
        working = _working(daemon)
        _stop_work(footage)
        long = long_clips(ground, LONG_CLIPS if number == 2_000 else 2)
        call(made.library, Add(str(long), "long"))
        transcoding = asked_while(daemon, "proxy", places, made.names[2 * number : 3 * number])
        _stop_work(long)
    yield compared("stat-busy", idle, busy, {"jobs_left_at_the_end": working})
    yield compared("stat-transcoding", idle, transcoding, {"job": "proxy", "share": len(transcoding[DAMFS]) / number})


def measure_model(ground: Ground) -> Iterator[Figure]:
    """Photos come in, and the default models embed them."""
    library = ground.library()
    (library / SETTINGS_FILE).write_text("", encoding="utf-8")
    made = populate(library, ground.new("twin"), max(ground.size.few * 5, 600), ground.size.few)
    number = len(made.names) // 3
    with ground.mounted(library) as daemon, answering(ground, daemon, made.twin) as places:
        idle = stat_ms(places, made.names[:number])
        ground.say("busy with models …")
        photos = pictures(ground.new("photos"), number)
        call(library, Add(str(photos), "photos"))
        found = asked_while(daemon, "embedding", places, made.names[number:])
        _stop_work(photos)
    yield compared("stat-embedding", idle, found, {"job": "embedding", "share": len(found[DAMFS]) / (2 * number)})


@contextmanager
def answering(ground: Ground, daemon: Daemon, twin: Path) -> Iterator[Mapping[str, Path]]:
    """Where the same names can be asked for, by who answers."""
    daemon.wait_until_quiet()
    with bound(ground, twin) as beside:
        own = {DAMFS: daemon.mountpoint / "originals" / "twin"}
        yield own if beside is None else {**own, BINDFS: beside}


def pictures(folder: Path, number: int) -> Path:
    """That differ only in bytes that no decoder looks at."""
    data = sample_media.jpeg(folder / "0.jpg", size=(960, 640)).read_bytes()
    for each in range(1, number):
        (folder / f"{each}.jpg").write_bytes(data + each.to_bytes(8, "big"))
    return folder


def compared(name: str, idle: Asked, busy: Asked, detail: dict[str, object]) -> Figure:
    found: dict[str, object] = {"stats": len(busy[DAMFS]), "asked": SEEN}
    for side, prefix in ((DAMFS, ""), (BINDFS, "bindfs_")):
        if side in busy:
            before, now = percentile(idle[side], 0.99), percentile(busy[side], 0.99)
            found |= {f"{prefix}p99_ms": now, f"{prefix}idle_p99_ms": before, f"{prefix}p99_ratio": now / before}
    return figure(name, "ms", busy[DAMFS], {IDLE: idle[DAMFS]}, {**found, **detail})


def asked_while(daemon: Daemon, processor: str, places: Mapping[str, Path], names: Sequence[str]) -> Asked:
    """Only what was asked while such a job ran."""
    _wait_until(lambda: _runs(daemon, processor), f"no job of {processor} began")
    found: dict[str, list[float]] = {side: [] for side in places}
    size = max(1, len(names) // PARTS)
    for start in range(0, len(names), size):
        before = _runs(daemon, processor)
        part = stat_ms(places, names[start : start + size])
        if before and _runs(daemon, processor):
            for side, taken in part.items():
                found[side] += taken
    if not found[DAMFS]:
        raise BenchFailed(f"{processor} never ran for long enough to ask anything meanwhile")
    return found


def long_clips(ground: Ground, number: int) -> Path:
    """That take several seconds each to transcode."""
    folder = ground.new("long")
    seconds = 20.0 if number > 2 else 3.0
    source = sample_media.h264(folder / "long-0.mp4", seconds=seconds, size=(1280, 720), source="mandelbrot")
    for each in range(1, number):
        path = folder / f"long-{each}.mp4"
        shutil.copyfile(source, path)
        with path.open("ab") as file:
            file.write(b"\0\0\x10\0free" + each.to_bytes(8, "big") + os.urandom(4096 - 16))
    return folder


def clips(folder: Path, number: int) -> Path:
    """Playable files that differ: bytes behind the end of a clip are of no account to a player."""
    source = sample_media.h264(folder / "clip-0.mov")
    for each in range(1, number):
        path = folder / f"clip-{each}.mov"
        shutil.copyfile(source, path)
        with path.open("ab") as file:
            file.write(b"\0\0\x10\0free" + each.to_bytes(8, "big") + os.urandom(4096 - 16))
    return folder


def stat_ms(places: Mapping[str, Path], names: Sequence[str]) -> Asked:
    """Each name at each place, in turns."""
    taken: dict[str, list[float]] = {side: [] for side in places}
    for name in names:
        for side, place in places.items():
            began = time.perf_counter()
            os.stat(place / name)
            taken[side].append((time.perf_counter() - began) * 1e3)
            time.sleep(PAUSE_S)
    return taken


def _wait_until_busy(daemon: Daemon, before: int) -> None:
    """Until the workers are started and do what they are for. ``before``: jobs that were done."""
    _wait_until(lambda: _done(daemon) >= before + FIRST_JOBS, "no job was done")


def _wait_until(is_so: Callable[[], bool], problem: str, limit_s: float = 120.0) -> None:
    deadline = time.monotonic() + limit_s
    while not is_so():
        if time.monotonic() > deadline:
            raise BenchFailed(problem)
        time.sleep(0.05)


def _runs(daemon: Daemon, processor: str) -> bool:
    jobs = daemon.status()["jobs"]
    assert isinstance(jobs, list)
    return any(job["processor"] == processor and job["running"] for job in jobs)


def _done(daemon: Daemon) -> int:
    jobs = daemon.status()["jobs"]
    assert isinstance(jobs, list)
    return sum(job["done"] for job in jobs)


def _working(daemon: Daemon) -> int:
    jobs = daemon.status()["jobs"]
    assert isinstance(jobs, list)
    return sum(job["waiting"] + job["running"] for job in jobs)


def _stop_work(footage: Path) -> None:
    """What is left to do fails at once when its files are gone, and the daemon ends without it."""
    shutil.rmtree(footage)
