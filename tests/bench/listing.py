"""Listing a tag of few and of many assets with `ls`, beside the same names in a directory of the disk: seconds."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.bench.figure import Figure, figure, in_turns
from tests.bench.ground import BenchFailed, Daemon, Ground
from tests.bench.page_cache import forget_names
from tests.bench.synthetic import FEW, MANY

ON_DISK = "the same names on the disk"
WAYS = {"long": "-lU", "short": "-U"}
"""Long asks for the attributes of every entry, short for names only."""


def measure(ground: Ground) -> Iterator[Figure]:
    made = ground.populated()
    for word, term, twin in (("few", FEW, made.few_twin), ("many", MANY, made.twin)):
        for way, flags in WAYS.items():
            with ground.mounted(made.library) as daemon:
                daemon.wait_until_quiet()
                ground.say(f"list-{way}-{word} …")
                yield _measured(ground, daemon, f"list-{way}-{word}", flags, daemon.mountpoint / "by-tag" / term, twin)


def _measured(ground: Ground, daemon: Daemon, name: str, flags: str, place: Path, twin: Path) -> Figure:
    forgot = forget_names()
    disk_first_s = ls(flags, twin)
    before = daemon.cpu_s()
    first_s = ls(flags, place)
    first_cpu_s, before = daemon.cpu_s() - before, daemon.cpu_s()
    seconds = in_turns(ground.size.runs, {"mount": partial(ls, flags, place), ON_DISK: partial(ls, flags, twin)})
    cpu_s = (daemon.cpu_s() - before) / ground.size.runs
    entries = len(os.listdir(place))
    if entries != len(os.listdir(twin)):
        raise BenchFailed(f"{place} lists {entries} names, not those of {twin}")
    detail = {
        "command": f"ls {flags}",
        "entries": entries,
        "first_after_mount_s": first_s,
        "disk_first_s": disk_first_s if forgot else "not known: forgetting needs root",
        "first_ratio": first_s / disk_first_s if forgot else "not known",
        "first_daemon_cpu_s": first_cpu_s,
        "daemon_cpu_s": cpu_s,
    }
    return figure(name, "s", seconds["mount"], {ON_DISK: seconds[ON_DISK]}, detail)


def ls(flags: str, directory: Path) -> float:
    began = time.perf_counter()
    subprocess.run(
        ["ls", flags, str(directory)], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "LC_ALL": "C"}
    )
    return time.perf_counter() - began
