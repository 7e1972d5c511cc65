"""Processors that do to a worker what bad media and bad plug-ins do; run by test_worker_pool in worker processes."""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import resource
import struct
import subprocess
import sys
from pathlib import Path
from typing import ClassVar, Never

from damfs.core.processors.processor import MadeEmbedding, MadeRendition, Output, Processor, Subject
from damfs.errors import BadMedia, ModelUnavailable
from damfs.model import Facts, RenditionKind


class _Doomed(Processor):
    name = "doomed"
    version = 1

    def accepts(self, subject: Subject) -> bool:
        return True


class Good(_Doomed):
    """Says what the worker looks like from inside."""

    runs = 0

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        Good.runs += 1
        poster = out / "poster.jpeg"
        poster.write_bytes(source.read_bytes()[::-1])
        return Output(
            facts={**situation(), "runs": Good.runs, "name": subject.name, "settings": subject.settings},
            renditions=(MadeRendition(RenditionKind.POSTER, "jpeg", poster, {"width": 3}),),
        )


def situation() -> Facts:
    return {
        "pid": os.getpid(),
        "nice": os.nice(0),
        "class": os.sched_getscheduler(0),
        "io": ctypes.CDLL(None).syscall(252 if os.uname().machine == "x86_64" else 31, 1, 0),
        "memory": resource.getrlimit(resource.RLIMIT_AS)[0],
        "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "threads": os.environ["OMP_NUM_THREADS"],
        "files": sorted(os.readlink(link.path) for link in os.scandir("/proc/self/fd") if os.path.lexists(link.path)),
        "modules": sorted({name.partition(".")[0] for name in sys.modules}),
    }


class StartsAProgram(_Doomed):
    """As exiftool is started: what the worker is told of its own place holds for it."""

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        with subprocess.Popen(["sleep", "1000"]) as program:
            try:
                return Output(facts={"class": os.sched_getscheduler(program.pid)})
            finally:
                program.kill()


class Segfault(_Doomed):
    def run(self, source: Path, out: Path, subject: Subject) -> Never:
        ctypes.string_at(0)
        raise AssertionError("reading address 0 was survived")


class Endless(_Doomed):
    """Tells its pid through the fifo that ``source`` is, then burns."""

    def run(self, source: Path, out: Path, subject: Subject) -> Never:
        source.write_text(str(os.getpid()))
        while True:
            pass


class MemoryHog(_Doomed):
    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        return Output(facts={"size": len(bytearray(1 << 40))})


class LeavesMemory(_Doomed):
    """Of every run something is left, as of a decoder that leaks."""

    left: ClassVar[list[mmap.mmap]] = []

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        LeavesMemory.left.append(mmap.mmap(-1, 400 << 20))
        return Output(facts={"pid": os.getpid(), "left": len(LeavesMemory.left)})


class RaisesBadMedia(_Doomed):
    def run(self, source: Path, out: Path, subject: Subject) -> Never:
        raise BadMedia(f"{source.name} ends after 12 of 30 frames")


class RaisesModelUnavailable(_Doomed):
    def run(self, source: Path, out: Path, subject: Subject) -> Never:
        raise ModelUnavailable("no such model")


class _Unpicklable(Exception):
    def __init__(self, one: object, two: object) -> None:
        super().__init__("first line\nsecond \udcff line")
        self.lambda_ = lambda: (one, two)


class RaisesItsOwn(_Doomed):
    def run(self, source: Path, out: Path, subject: Subject) -> Never:
        raise _Unpicklable(1, 2)


class Exits(_Doomed):
    def run(self, source: Path, out: Path, subject: Subject) -> Never:
        sys.exit(3)


class DiesQuietly(_Doomed):
    def run(self, source: Path, out: Path, subject: Subject) -> Never:
        os._exit(3)


class FullDisk(_Doomed):
    def run(self, source: Path, out: Path, subject: Subject) -> Never:
        with open("/dev/full", "wb", buffering=0) as full:
            full.write(b"x")
        raise AssertionError("/dev/full took a byte")


class PrintsToStdout(_Doomed):
    """As C code does, below Python."""

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        print("printed by Python", flush=True)
        os.write(1, b"printed by C\n")
        return Output(facts={"read": os.read(0, 10).decode()})


class AcceptsRaises(_Doomed):
    def accepts(self, subject: Subject) -> bool:
        raise KeyError("probe")

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        return Output(facts={"ran": True})


class Declines(AcceptsRaises):
    def accepts(self, subject: Subject) -> bool:
        return False


class WritesElsewhere(_Doomed):
    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        return Output(renditions=(MadeRendition(RenditionKind.POSTER, "jpeg", source),))


class MakesNoNumbers(_Doomed):
    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        return Output(embeddings=(MadeEmbedding("plug-in-1", struct.pack("<2f", 1.0, math.nan)),))


class ReturnsNumpy(_Doomed):
    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        import numpy as np

        return Output(facts={"mean": np.float32(0.5)})


class Meets(_Doomed):
    """Ends only when another run is in the same place: opening a fifo waits for its other end."""

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        with open(source, subject.name):
            return Output(facts={"pid": os.getpid()})
