"""Reading an original through the mount beside the same file read directly: MB/s, in three states of the caches."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from damfs.integration.client import call
from damfs.integration.wire import Add
from tests.bench.figure import MIB, Figure, figure, in_turns, rate
from tests.bench.ground import BenchFailed, Daemon, Ground
from tests.bench.page_cache import cached_share, forget_content

NAME = "clip.bin"
DIRECTLY = "the file itself"
BINDFS = "the file through bindfs"
HELD_LIMIT = 0.01


def measure(ground: Ground) -> Iterator[Figure]:
    folder, library = ground.new("footage"), ground.library()
    direct = folder / NAME
    write_random(direct, ground.size.original)
    call(library, Add(str(folder), "footage"))
    with ground.mounted(library) as daemon:
        mounted = daemon.mountpoint / "originals" / "footage" / NAME
        if mounted.stat().st_size != direct.stat().st_size:
            raise BenchFailed(f"{mounted} is not the whole file")
        for name, (prepare, state) in STATES.items():
            ground.say(f"{name} …")
            sides = Sides(daemon, mounted, direct, prepare)
            seconds = in_turns(ground.size.runs, {"mount": sides.through_mount, DIRECTLY: sides.directly})
            size = direct.stat().st_size
            rates = {side: rate(size / 1e6, each) for side, each in seconds.items()}
            detail = {"state": state, "bytes": size, "daemon_cpu_s": statistics.median(sides.cpu_s)}
            yield figure(name, "MB/s", rates["mount"], {DIRECTLY: rates[DIRECTLY]}, detail)


def measure_plain(ground: Ground) -> Iterator[Figure]:
    """Without the module that has the kernel read files itself, beside bindfs where it is installed."""
    folder, library = ground.new("footage"), ground.library()
    direct = folder / NAME
    write_random(direct, ground.size.original)
    call(library, Add(str(folder), "footage"))
    with ground.mounted(library, {"DAMFS_NATIVE": "off"}) as daemon, bound(ground, folder) as beside:
        ground.say("read-plain …")
        mounted = daemon.mountpoint / "originals" / "footage" / NAME
        sides: dict[str, Callable[[], float]] = {"mount": partial(forwarded, mounted, direct)}
        if beside is not None:
            sides[BINDFS] = partial(forwarded, beside / NAME, direct)
        sides[DIRECTLY] = partial(read_all, direct)
        seconds = in_turns(ground.size.runs, sides)
    size = direct.stat().st_size
    rates = {side: rate(size / 1e6, each) for side, each in seconds.items()}
    detail = {"bytes": size, "state": STATES["read-forwarded"][1]}
    yield figure("read-plain", "MB/s", rates.pop("mount"), rates, detail)


def forwarded(mounted: Path, direct: Path) -> float:
    forward(mounted, direct)
    return read_all(mounted)


@contextmanager
def bound(ground: Ground, folder: Path) -> Iterator[Path | None]:
    """The folder through bindfs: a file system in C that only passes on what it is asked. None where there is none."""
    if shutil.which("bindfs") is None:
        yield None
        return
    mountpoint = ground.new("bindfs")
    subprocess.run(["bindfs", "--no-allow-other", str(folder), str(mountpoint)], check=True)
    try:
        yield mountpoint
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(mountpoint)], check=True)


def hold(mounted: Path, direct: Path) -> None:
    read_all(direct)
    read_all(mounted)


def forward(mounted: Path, direct: Path) -> None:
    forget_content(mounted)
    read_all(direct)


def forget(mounted: Path, direct: Path) -> None:
    for path in (mounted, direct):
        forget_content(path)
    for path in (mounted, direct):
        if (share := cached_share(path)) > HELD_LIMIT:
            raise BenchFailed(f"the kernel still holds {share:.0%} of {path}")


STATES: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "read-cached": (hold, "the kernel holds the pages of both sides"),
    "read-forwarded": (forward, "it holds the original, nothing of the mount: every byte passes through the daemon"),
    "read-uncached": (forget, "it holds nothing: from the disk"),
}


@dataclass(slots=True)
class Sides:
    """The two ways to the same bytes. ``cpu_s``: of the daemon, for each reading through the mount."""

    daemon: Daemon
    mounted: Path
    direct: Path
    prepare: Callable[[Path, Path], None]
    cpu_s: list[float] = field(default_factory=list)

    def through_mount(self) -> float:
        self.prepare(self.mounted, self.direct)
        before = self.daemon.cpu_s()
        seconds = read_all(self.mounted)
        self.cpu_s.append(self.daemon.cpu_s() - before)
        return seconds

    def directly(self) -> float:
        self.prepare(self.mounted, self.direct)
        return read_all(self.direct)


def read_all(path: Path) -> float:
    """By a megabyte at a time, into one buffer; the seconds it took."""
    began = time.perf_counter()
    buffer, fd = bytearray(MIB), os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while os.readv(fd, [buffer]):
            pass
    finally:
        os.close(fd)
    return time.perf_counter() - began


def write_random(path: Path, size: int) -> None:
    """Bytes that are nowhere twice, on the disk when this returns."""
    with path.open("xb") as file:
        for _ in range(0, size, MIB):
            file.write(os.urandom(min(MIB, size)))
        file.flush()
        os.fsync(file.fileno())
