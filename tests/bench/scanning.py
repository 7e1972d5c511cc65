"""Scanning a folder of new files (walk, hash, commit) beside hashing the same files: files/s and MB/s.

The files are in the page cache, so that the disk is no part of it. Nothing is mounted: no job competes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import trio
from blake3 import blake3

from damfs.core.commands import AddStore
from damfs.core.library import open_library
from damfs.core.scan_report import ScanReport
from damfs.core.scanner import scan
from damfs.model import StoreKind
from damfs.settings import Settings
from tests.bench.figure import MIB, Figure, figure, in_turns, rate
from tests.bench.ground import BenchFailed, Ground
from tests.bench.reading import write_random

HASHED, B3SUM = "BLAKE3 in threads", "b3sum"
THREADS = Settings().indexer.scan_threads


def measure(ground: Ground) -> Iterator[Figure]:
    for name, unit, (number, size) in (
        ("scan-small", "files/s", ground.size.scan_small),
        ("scan-large", "MB/s", ground.size.scan_large),
    ):
        ground.say(f"{name} …")
        folder = ground.new(name)
        for each in range(number):
            write_random(folder / f"{each:05d}.jpg", size)
        sides: dict[str, Callable[[], float]] = {
            "scan": partial(scanned, ground, folder),
            HASHED: partial(hashed, folder),
        }
        if shutil.which("b3sum"):
            sides[B3SUM] = partial(summed, folder)
        hashed(folder)
        seconds = in_turns(ground.size.runs, sides)
        amount = number if unit == "files/s" else number * size / 1e6
        rates = {side: rate(amount, each) for side, each in seconds.items()}
        detail = {"files": number, "bytes_each": size, "threads": THREADS}
        yield figure(name, unit, rates.pop("scan"), rates, detail)


def scanned(ground: Ground, folder: Path) -> float:
    """A first scan into a new library."""
    return trio.run(_scanned, ground.library(), folder)


async def _scanned(path: Path, folder: Path) -> float:
    with open_library(path) as library:
        library.perform(AddStore("scanned", StoreKind.READ_ONLY, str(folder)), "bench")
        store = next(store for store in library.stores() if store.root)
        began = time.perf_counter()
        report = await scan(library, store)
        seconds = time.perf_counter() - began
        _check(report, folder)
        return seconds


def _check(report: ScanReport, folder: Path) -> None:
    if report.counts != {"new": len(os.listdir(folder))}:
        raise BenchFailed(f"the scan of {folder} found {report.counts}, {report.problems}")


def hashed(folder: Path) -> float:
    """As many threads as a scan has, nothing but reading and BLAKE3."""
    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        digests = list(pool.map(_digest, [entry.path for entry in os.scandir(folder)]))
    if len(set(digests)) != len(digests):
        raise BenchFailed(f"{folder} holds the same bytes twice")
    return time.perf_counter() - began


def _digest(path: str) -> bytes:
    hasher, view = blake3(), memoryview(bytearray(MIB))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(view):
            hasher.update(view[:count])
    return hasher.digest()


def summed(folder: Path) -> float:
    began = time.perf_counter()
    paths = [entry.path for entry in os.scandir(folder)]
    subprocess.run(["b3sum", "--num-threads", str(THREADS), *paths], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
