"""What runs inside a worker process: its place in the system, and one run of a processor.

Concurrency: one job at a time, on the main thread; a second thread watches the parent. Crash rule: the process may
be killed at any moment, and ends by itself when its parent is gone. Only plain data crosses back: no exception,
no numpy scalar, nothing that the daemon would have to import a codec for.
"""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import functools
import gc
import math
import os
import pkgutil
import platform
import resource
import select
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from damfs import errors
from damfs.core.processors.processor import (
    MadeEmbedding,
    MadeRendition,
    Output,
    Processor,
    Proposal,
    Subject,
    Work,
)
from damfs.model import Facts, RenditionKind

NICENESS = 10
LEAST = 19
"""The nice value of who gives way, see `Situation`."""
OUTGROWN = 0.7
"""Share of its address space that a worker may have in use between jobs."""
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30}
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_IDLE = 3 << 13
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_FULL = {errno.ENOSPC, errno.EDQUOT}


@dataclass(frozen=True, slots=True)
class Situation:
    """What a worker is told when it starts."""

    parent: int
    memory_limit: int | None
    """Bytes of address space."""
    threads: int
    """Of numerical libraries."""
    gives_way: bool
    """To whatever else wants a processor: for work that nobody waits for."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception as text. ``kind``: the class of damfs.errors it was, "" for any other; ``trace`` for the log."""

    kind: str
    text: str
    trace: str


def settle_in(situation: Situation) -> None:
    """Called once, before the first job and before any codec or model is imported."""
    threading.Thread(target=_end_with, args=(situation.parent,), name="parent watch", daemon=True).start()
    for variable in _THREADS:
        os.environ[variable] = str(situation.threads)
    _leave_terminal()
    faulthandler.enable()
    _step_back(situation.gives_way)
    _idle_io()
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if situation.memory_limit is not None:
        _limit_memory(situation.memory_limit)


def has_outgrown(memory_limit: int) -> bool:
    """Whether what earlier jobs left behind (a thousand decoders, of which a traceback speaks) may fail the next one:
    then another worker takes its place. Must not raise."""
    if _address_space() <= memory_limit * OUTGROWN:
        return False
    gc.collect()
    return _address_space() > memory_limit * OUTGROWN


def _address_space() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (OSError, ValueError):
        return 0


def run_together(reference: str, works: Sequence[Work]) -> list[Output | Failure]:
    """Several runs of one processor at once, with what became of each."""
    try:
        processor = _processor(reference)
        accepted = [work for work in works if processor.accepts(work.subject)]
        made = dict(zip(map(id, accepted), processor.run_many(accepted), strict=True))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - as below
        return [_failure(error)] * len(works)
    return [_reported(made.get(id(work), Output()), work.out) for work in works]


def _reported(made: Output | Exception, out: Path) -> Output | Failure:
    try:
        if isinstance(made, Exception):
            raise made
        return _plain(made, out)
    except Exception as error:  # noqa: BLE001 - as below
        return _failure(error)


def run_processor(reference: str, source: Path, out: Path, subject: Subject) -> Output | Failure:
    """One run. ``accepts`` is asked again: the subject may have changed since the job was planned."""
    try:
        processor = _processor(reference)
        if not processor.accepts(subject):
            return Output()
        return _plain(processor.run(source, out, subject), out)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a plug-in raises must cross as a Failure
        return _failure(error)


@functools.cache
def _processor(reference: str) -> Processor:
    """One instance for the life of the worker, so that a model stays loaded."""
    processor: Processor = pkgutil.resolve_name(reference)()
    return processor


def _plain(output: Output, out: Path) -> Output:
    """The same output made of plain types only. Raises where it is not what processors may return."""
    if not isinstance(output, Output):
        raise TypeError(f"run() returned {type(output).__name__}, not an Output")
    for made in output.renditions:
        if not (made.path.is_relative_to(out) and made.path.is_file()):
            raise ValueError(f"{made.path} is no file below {out}")
    return Output(
        facts=_json(output.facts),
        renditions=tuple(
            MadeRendition(RenditionKind(made.kind), str(made.profile), Path(made.path), _json(made.detail))
            for made in output.renditions
        ),
        embeddings=tuple(
            MadeEmbedding(str(made.model), _vector(made), None if made.at_ns is None else int(made.at_ns))
            for made in output.embeddings
        ),
        replaces=tuple(str(model) for model in output.replaces),
        proposals=tuple(Proposal(str(made.term), float(made.confidence)) for made in output.proposals),
    )


def _vector(made: MadeEmbedding) -> bytes:
    """What is no number would be as near to anything as to anything else."""
    data = bytes(made.vector)
    if not data or len(data) % 4 or not all(map(math.isfinite, memoryview(data).cast("f"))):
        raise ValueError(f"a vector of {made.model} is empty or holds what is no number")
    return data


def _json(facts: Facts) -> Facts:
    return msgspec.json.decode(msgspec.json.encode(facts), type=dict[str, object])


def _failure(error: BaseException) -> Failure:
    trace = _storable("".join(traceback.format_exception(error)))
    if isinstance(error, errors.DamfsError):
        known = type(error) if type(error).__module__ == errors.__name__ else errors.DamfsError
        return Failure(known.__name__, _one_line(str(error)), trace)
    if isinstance(error, OSError) and error.errno in _FULL:
        return Failure(errors.NoSpace.__name__, _one_line(str(error)), trace)
    if _is_of_memory(error):
        return Failure("", "needed more memory than a worker may have (indexer.memory_limit_mb)", trace)
    return Failure("", _one_line(f"{type(error).__name__}: {error}"), trace)


def _is_of_memory(error: BaseException) -> bool:
    """PyAV says of some things that FFmpeg could not allocate that they are a RuntimeError."""
    unallocated = isinstance(error, RuntimeError) and str(error).startswith("Could not allocate")
    return isinstance(error, MemoryError) or unallocated or getattr(error, "errno", None) == errno.ENOMEM


def _one_line(text: str) -> str:
    return " ".join(_storable(text).split())


def _storable(text: str) -> str:
    """Names of files may hold what cannot be encoded as UTF-8, and the catalog and the log could not take it."""
    return text.encode("utf-8", "backslashreplace").decode()


def _end_with(parent: int) -> None:
    """End this process when its parent ends, even by SIGKILL. (Not PR_SET_PDEATHSIG: that fires when the *thread*
    that started the worker ends, and trio ends idle threads after ten seconds.)"""
    with suppress(ProcessLookupError):
        watched = os.pidfd_open(parent)
        # The parent may have ended before it was watched, and another process may have got its number.
        if os.getppid() == parent:
            ended = select.poll()
            ended.register(watched, select.POLLIN)
            ended.poll()
    os._exit(1)


def _leave_terminal() -> None:
    """Nothing is read from the daemon's input, and what a codec prints goes to its log, not into its output."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    if nothing:  # it is 0 where the worker was started without an input
        os.dup2(nothing, 0)
        os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr


def _step_back(gives_way: bool) -> None:
    """Behind what people run; whatever this process starts is there as well. Best effort as to the class, which a
    sandbox may refuse. The nice value counts among the idle, and where the system looks at nothing else."""
    niceness = NICENESS
    if gives_way:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
            niceness = LEAST
    os.nice(niceness)


def _idle_io() -> None:
    """Best effort: only some schedulers look at it, and a sandbox may refuse it."""
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, _IOPRIO_WHO_PROCESS, 0, _IOPRIO_IDLE)


def _limit_memory(limit: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, hard))
