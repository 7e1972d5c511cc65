"""Start-up until the mount answers, and resident memory, of an empty library and of one with many assets.

Beside: a Python process that only imports what any such daemon needs (trio, pyfuse3, apsw).
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.bench.figure import Figure, figure, in_turns
from tests.bench.ground import Ground, memory_mb
from tests.bench.listing import ls
from tests.bench.synthetic import MANY

BARE = "Python with trio, pyfuse3 and apsw"
IMPORTS = "import trio, pyfuse3, apsw, sys; print(flush=True); sys.stdin.read()"


def measure_start(ground: Ground) -> Iterator[Figure]:
    empty, made = ground.library(), ground.populated()
    ground.say("start …")
    sides: dict[str, Callable[[], float]] = {
        "empty": partial(ready_s, ground, empty),
        "many": partial(ready_s, ground, made.library),
        BARE: lambda: bare()[0],
    }
    seconds = in_turns(ground.size.runs, sides)
    for name, assets in (("empty", 0), ("many", len(made.names))):
        yield figure(f"start-{name}", "s", seconds[name], {BARE: seconds[BARE]}, {"assets": assets})


def measure_memory(ground: Ground) -> Iterator[Figure]:
    """Idle, and after the long listing of every asset; the daemon's own process, without workers."""
    empty, made = ground.library(), ground.populated()
    ground.say("memory …")
    most: list[float] = []
    sides: dict[str, Callable[[], float]] = {
        "idle": partial(resident_mb, ground, empty, None, []),
        "many": partial(resident_mb, ground, made.library, MANY, most),
        BARE: lambda: bare()[1],
    }
    megabytes = in_turns(ground.size.runs, sides)
    yield figure("memory-idle", "MB", megabytes["idle"], {BARE: megabytes[BARE]}, {"assets": 0})
    detail = {"assets": len(made.names), "after": "ls -lU of all in one tag", "peak_mb": max(most)}
    yield figure("memory-many", "MB", megabytes["many"], {BARE: megabytes[BARE]}, detail)


def ready_s(ground: Ground, library: Path) -> float:
    with ground.mounted(library) as daemon:
        return daemon.ready_s


def resident_mb(ground: Ground, library: Path, term: str | None, most: list[float]) -> float:
    with ground.mounted(library) as daemon:
        daemon.wait_until_quiet()
        if term is not None:
            ls("-lU", daemon.mountpoint / "by-tag" / term)
        most.append(daemon.memory_mb("VmHWM"))
        return daemon.memory_mb()


def bare() -> tuple[float, float]:
    """Seconds until the imports are done, and memory then."""
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", IMPORTS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return time.perf_counter() - began, memory_mb(process.pid)
