"""`cp` of many small files into the inbox until each is published and committed, beside durable copies on the disk.

The files are of no media type: they start no jobs, so the figure is that of the reception alone. ext4 does not give
the inodes of deleted files again for some minutes, and looks at each of them whenever a file is made: where thousands
were deleted just before, both sides are slow, and the mount more, whose staged files lie in another place of the disk.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.bench.figure import KIB, Figure, figure, in_turns, rate
from tests.bench.ground import BenchFailed, Daemon, Ground

ON_DISK = "copies with fsync on the disk"
SIZE = 64 * KIB
SETTLE_LIMIT_S = 600.0


def measure(ground: Ground) -> Iterator[Figure]:
    number = ground.size.received
    with ground.mounted(ground.library()) as daemon:
        daemon.wait_until_quiet()
        ground.say("ingest …")
        before = daemon.cpu_s()
        copying: list[float] = []
        sides = {"mount": partial(received, ground, daemon, copying), ON_DISK: partial(copied, ground)}
        seconds = in_turns(ground.size.runs, sides)
        cpu_s = (daemon.cpu_s() - before) / ground.size.runs
    detail = {"files": number, "bytes_each": SIZE, "daemon_cpu_ms_a_file": cpu_s / number * 1e3}
    beside = {ON_DISK: rate(number, seconds[ON_DISK])}
    yield figure("ingest", "files/s", rate(number, seconds["mount"]), beside, detail)
    yield figure("ingest_cp", "files/s", rate(number, copying), beside, {"until": "cp has ended"})


def made_files(folder: Path, number: int) -> list[Path]:
    """New files with bytes of their own."""
    paths = [folder / f"{folder.name}-{each:05d}.dat" for each in range(number)]
    for path in paths:
        path.write_bytes(os.urandom(SIZE))
    return paths


def received(ground: Ground, daemon: Daemon, copying: list[float]) -> float:
    paths = made_files(ground.new("camera"), ground.size.received)
    present = _present(daemon)
    began = time.perf_counter()
    subprocess.run(["cp", "-t", str(daemon.mountpoint / "inbox"), *map(str, paths)], check=True)
    copying.append(time.perf_counter() - began)
    _wait_until_settled(daemon)
    seconds = time.perf_counter() - began
    if _present(daemon) != present + len(paths):
        raise BenchFailed(f"not every received file became an asset: {daemon.status()}")
    return seconds


def _wait_until_settled(daemon: Daemon) -> None:
    """The staging area empties first (cheap to look at), then the daemon is asked, which costs it a scan."""
    staging = daemon.library / "state" / "staging"
    deadline = time.monotonic() + SETTLE_LIMIT_S
    while _holds_any(staging) or daemon.status()["unsettled"]:
        if time.monotonic() > deadline:
            raise BenchFailed(f"files are still being received after {SETTLE_LIMIT_S:g} s")
        time.sleep(0.005)


def _holds_any(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return next(entries, None) is not None


def _present(daemon: Daemon) -> int:
    assets = daemon.status()["assets"]
    assert isinstance(assets, dict)
    return int(assets.get("present", 0))


def copied(ground: Ground) -> float:
    """One after the other, each durable by itself: its bytes and its name."""
    paths, folder = made_files(ground.new("camera"), ground.size.received), ground.new("copies")
    began = time.perf_counter()
    names = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    for path in paths:
        with (folder / path.name).open("xb", buffering=0) as file:
            file.write(path.read_bytes())
            os.fsync(file.fileno())
        os.fsync(names)
    os.close(names)
    return time.perf_counter() - began
