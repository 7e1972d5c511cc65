"""Asking for one file by its name, beside the same names on the disk: microseconds a name."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.figure import Figure, figure
from tests.bench.ground import Ground
from tests.bench.page_cache import forget_names
from tests.bench.synthetic import MANY

ON_DISK = "the same names on the disk"
BATCH = 200
COLD = "names the kernel was never asked for"
WARM = "names it was asked for just before"


def measure(ground: Ground) -> Iterator[Figure]:
    """Each run takes names that no run before it has touched."""
    made, runs = ground.populated(), ground.size.runs
    batch = min(BATCH, len(made.names) // runs)
    cold: dict[str, list[float]] = {"mount": [], ON_DISK: []}
    warm: dict[str, list[float]] = {"mount": [], ON_DISK: []}
    forgets = forget_names()
    with ground.mounted(made.library) as daemon:
        daemon.wait_until_quiet()
        ground.say("lookup …")
        for run in range(runs):
            names = made.names[run * batch : (run + 1) * batch]
            forget_names()
            for side, directory in (("mount", daemon.mountpoint / "by-tag" / MANY), (ON_DISK, made.twin)):
                cold[side].append(per_name_us(directory, names))
                warm[side].append(per_name_us(directory, names))
    detail = {"names": batch, "state": COLD} | (
        {} if forgets else {"skipped": "the disk's side: forgetting needs root"}
    )
    yield figure("lookup-uncached", "µs", cold["mount"], {ON_DISK: cold[ON_DISK]} if forgets else {}, detail)
    yield figure("lookup-cached", "µs", warm["mount"], {ON_DISK: warm[ON_DISK]}, {"names": batch, "state": WARM})


def per_name_us(directory: Path, names: Sequence[str]) -> float:
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        began = time.perf_counter()
        for name in names:
            os.stat(name, dir_fd=fd)
        return (time.perf_counter() - began) / len(names) * 1e6
    finally:
        os.close(fd)
