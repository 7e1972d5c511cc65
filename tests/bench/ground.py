"""Where the bench measures: a temporary directory with libraries, mounts and their twins on the disk below.

Blocks. Everything goes away at the end, also after an error: daemons are asked to stop, else killed by their id, and
their mounts detached.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from damfs.core.library import make_library
from damfs.errors import DamfsError
from damfs.integration.client import call
from damfs.integration.launching import LOG, READY
from damfs.integration.mounts import mount_at
from damfs.integration.wire import GetStatus, Stop
from damfs.settings import SETTINGS_FILE
from tests.bench.figure import Size
from tests.bench.synthetic import Populated, populate

NO_MODEL = '[model]\nname = "none"\n'
END_LIMIT_S = 120.0
QUIET_LIMIT_S = 600.0
ASK_EVERY_S = 0.05
LOG_LINES = 30
DYING_S = 2.0


class BenchFailed(Exception):
    """Something did not work, so there is nothing to measure."""


@dataclass(frozen=True, slots=True)
class Daemon:
    """A running daemon. ``ready_s``: from its start until it said that the mount answers."""

    library: Path
    mountpoint: Path
    pid: int
    ready_s: float

    def status(self) -> dict[str, object]:
        answer = call(self.library, GetStatus())
        assert isinstance(answer, dict)
        return answer

    def wait_until_quiet(self) -> None:
        """Until no scan runs and nothing is being received or worked on."""
        deadline = time.monotonic() + QUIET_LIMIT_S
        while (busy := _busy(self.status())) and time.monotonic() < deadline:
            time.sleep(ASK_EVERY_S)
        if busy:
            raise BenchFailed(f"the daemon is still busy after {QUIET_LIMIT_S:g} s: {busy}")

    def cpu_s(self) -> float:
        """Processor time used so far, by all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self, which: str = "VmRSS") -> float:
        return memory_mb(self.pid, which)


@dataclass(slots=True)
class Ground:
    """Made by `open_ground`."""

    directory: Path
    size: Size
    parent: Path | None = None
    """The directory a person named: what is put there outlives the bench."""
    _numbers: int = 0
    _populated: Populated | None = field(default=None)

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def new(self, name: str) -> Path:
        """A fresh directory."""
        self._numbers += 1
        path = self.directory / f"{self._numbers:03d}-{name}"
        path.mkdir()
        return path

    def library(self) -> Path:
        """A new, empty one, without models."""
        path = self.new("library")
        make_library(path)
        (path / SETTINGS_FILE).write_text(NO_MODEL, encoding="utf-8")
        return path

    def populated(self) -> Populated:
        """The library with many assets; made when first asked for, shared by all that measure it."""
        if self._populated is None:
            self.say(f"making a library of {self.size.many:,} assets …")
            self._populated = populate(self.library(), self.new("twin"), self.size.many, self.size.few)
        return self._populated

    @contextmanager
    def mounted(self, library: Path, environment: Mapping[str, str] = MappingProxyType({})) -> Iterator[Daemon]:
        """``environment``: variables of the daemon beside those of this process."""
        mountpoint = self.new("mount")
        process, ready_s = self._start(library, mountpoint, environment)
        try:
            yield Daemon(library, mountpoint, process.pid, ready_s)
            call(library, Stop())
            process.wait(END_LIMIT_S)
        except BaseException:
            with suppress(subprocess.TimeoutExpired):
                process.wait(DYING_S)  # one that met an error writes why
            self.say(f"the end of the daemon's log:\n{_log_end(library)}")
            raise
        finally:
            _end(process, mountpoint)

    def _start(
        self, library: Path, mountpoint: Path, environment: Mapping[str, str]
    ) -> tuple[subprocess.Popen[bytes], float]:
        read_end, write_end = os.pipe()
        command = [sys.executable, "-m", "daemon", str(library), str(mountpoint), "--ready-fd", str(write_end)]
        began = time.perf_counter()
        with (library / "state" / LOG).open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(write_end,),
                env={**os.environ, **environment},
            )  # fmt: skip
        os.close(write_end)
        with os.fdopen(read_end, "rb") as pipe:
            said = pipe.read(len(READY))
            ready_s = time.perf_counter() - began
            if said != READY:
                _end(process, mountpoint)
                raise BenchFailed(f"no mount: {(said + pipe.read()).decode('utf-8', 'replace')}")
        return process, ready_s


@contextmanager
def open_ground(size: Size, parent: Path | None = None) -> Iterator[Ground]:
    """``parent``: a directory on the disk to measure; the system's temporary one if left out."""
    directory = Path(tempfile.mkdtemp(prefix="damfs-bench-", dir=parent)).resolve()
    try:
        yield Ground(directory, size, parent)
    finally:
        shutil.rmtree(directory)


def memory_mb(pid: int, which: str = "VmRSS") -> float:
    """Of one process, in 10^6 bytes. VmRSS: resident now; VmHWM: the most so far."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{which}:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise BenchFailed(f"the kernel does not tell {which} of process {pid}")


def _busy(status: dict[str, object]) -> list[str]:
    jobs = status["jobs"]
    assert isinstance(jobs, list)
    busy = [f"{job['processor']}: {job['waiting'] + job['running']}" for job in jobs if job["waiting"] + job["running"]]
    return busy + [name for name in ("scanning", "unsettled") if status[name]]


def _log_end(library: Path) -> str:
    return "\n".join((library / "state" / LOG).read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:])


def _end(process: subprocess.Popen[bytes], mountpoint: Path) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
    with suppress(DamfsError, OSError):
        if mount_at(mountpoint) is not None:
            subprocess.run(["fusermount3", "-u", "-z", str(mountpoint)], check=False, capture_output=True)
