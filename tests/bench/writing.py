"""Writing one large file into the inbox, beside the same bytes written to the store's own disk: MB/s, both to fsync."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

from tests.bench.figure import MIB, Figure, figure, in_turns, rate
from tests.bench.ground import Daemon, Ground

ON_DISK = "a file on the store's disk"
_numbers = count(1)


def measure(ground: Ground) -> Iterator[Figure]:
    size, block = ground.size.original, os.urandom(16 * MIB)
    with ground.mounted(ground.library()) as daemon:
        daemon.wait_until_quiet()
        ground.say("write …")
        beside = ground.new("written")
        sides = {
            "mount": partial(_received, daemon, size, block),
            ON_DISK: partial(_written, beside, size, block),
        }
        seconds = in_turns(ground.size.runs, sides)
    rates = {side: rate(size / 1e6, each) for side, each in seconds.items()}
    yield figure("write-large", "MB/s", rates["mount"], {ON_DISK: rates[ON_DISK]}, {"bytes": size, "until": "fsync"})


def _received(daemon: Daemon, size: int, block: bytes) -> float:
    """Sealing what came before would compete with the side that is measured next: it is waited for."""
    path = daemon.mountpoint / "inbox" / f"written-{next(_numbers)}.bin"
    seconds = write(path, size, block)
    daemon.wait_until_quiet()
    path.unlink()
    return seconds


def _written(folder: Path, size: int, block: bytes) -> float:
    path = folder / f"written-{next(_numbers)}.bin"
    seconds = write(path, size, block)
    path.unlink()
    return seconds


def write(path: Path, size: int, block: bytes) -> float:
    """A megabyte at a time, of bytes that differ from file to file; the seconds until fsync has returned."""
    began = time.perf_counter()
    with path.open("xb", buffering=0) as file:
        file.write(f"{path.name} {time.time_ns()}".ljust(MIB).encode())
        for start in range(MIB, size, MIB):
            offset = start % len(block)
            file.write(memoryview(block)[offset : offset + MIB])
        os.fsync(file.fileno())
    return time.perf_counter() - began
