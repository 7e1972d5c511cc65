"""How long a `stat` that reaches the daemon takes while every core indexes, beside the same while nothing runs: ms."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from damfs.integration.client import call
from damfs.integration.wire import Add
from tests import sample_media
from tests.bench.figure import Figure, figure, percentile
from tests.bench.ground import BenchFailed, Daemon, Ground

IDLE = "while nothing runs"
CLIPS = 200
SEEN = "by names that the kernel was never asked for"
PAUSE_S = 0.002
"""Between two questions: a person's programs do not ask without pause either."""


def measure(ground: Ground) -> Iterator[Figure]:
    made = ground.populated()
    number = min(2_000, len(made.names) // 2)
    with ground.mounted(made.library) as daemon:
        daemon.wait_until_quiet()
        ground.say("busy …")
        place = daemon.mountpoint / "originals" / "twin"
        idle = stat_ms(place, made.names[:number])
        footage = clips(ground.new("footage"), CLIPS if number == 2_000 else 8)
        call(made.library, Add(str(footage), "footage"))
        _wait_until_busy(daemon)
        busy = stat_ms(place, made.names[number : 2 * number])
        working = _working(daemon)
        _stop_work(footage)
    detail = {
        "p99_ms": percentile(busy, 0.99),
        "idle_p99_ms": percentile(idle, 0.99),
        "p99_ratio": percentile(busy, 0.99) / percentile(idle, 0.99),
        "stats": number,
        "asked": SEEN,
        "jobs_left_at_the_end": working,
    }
    yield figure("stat-busy", "ms", busy, {IDLE: idle}, detail)


def clips(folder: Path, number: int) -> Path:
    """Playable files that differ: bytes behind the end of a clip are of no account to a player."""
    source = sample_media.h264(folder / "clip-0.mov")
    for each in range(1, number):
        path = folder / f"clip-{each}.mov"
        shutil.copyfile(source, path)
        with path.open("ab") as file:
            file.write(b"\0\0\x10\0free" + each.to_bytes(8, "big") + os.urandom(4096 - 16))
    return folder


def stat_ms(place: Path, names: Sequence[str]) -> list[float]:
    taken = []
    for name in names:
        began = time.perf_counter()
        os.stat(place / name)
        taken.append((time.perf_counter() - began) * 1e3)
        time.sleep(PAUSE_S)
    return taken


def _wait_until_busy(daemon: Daemon, limit_s: float = 60.0) -> None:
    deadline = time.monotonic() + limit_s
    while not _working(daemon):
        if time.monotonic() > deadline:
            raise BenchFailed("no job began")
        time.sleep(0.05)


def _working(daemon: Daemon) -> int:
    jobs = daemon.status()["jobs"]
    assert isinstance(jobs, list)
    return sum(job["waiting"] + job["running"] for job in jobs)


def _stop_work(footage: Path) -> None:
    """What is left to do fails at once when its files are gone, and the daemon ends without it."""
    shutil.rmtree(footage)
