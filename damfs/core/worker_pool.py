"""Runs processors in worker processes: pools for media, the model that stays loaded, and what somebody waits for.

Concurrency: `WorkerPool.run` may be called from any number of tasks; each pool runs as many as it has workers and
the others wait. Cancelling a run, or its time being up, kills its worker. Media workers, for which nobody waits, run
where nothing else wants a processor, and the time of their runs stands still while they wait for one (`starvation`).
Crash rule: a worker that dies is one failed run; the pool starts another worker. Workers end when this process does,
however it ends.
"""

from __future__ import annotations

import functools
import logging
import math
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

import trio
import trio_parallel  # type: ignore[import-untyped]  # it ships no annotations

from damfs import errors
from damfs.core.gathering import Gathering
from damfs.core.processor_registry import ProcessorRef
from damfs.core.processors.processor import Output, Subject, Work, Worker
from damfs.core.starvation import Starvation
from damfs.core.worker_process import Failure, Situation, has_outgrown, run_processor, run_together, settle_in
from damfs.settings import Settings, cores

MEDIA_IDLE_S = 60.0
PROMPT_WORKERS = 2
GRACE_S = 2.0
_MEGABYTE = 1 << 20
R = TypeVar("R")
A = TypeVarTuple("A")
_UNLIMITED = trio.CapacityLimiter(math.inf)
_log = logging.getLogger(__name__)


class ProcessorFailed(errors.DamfsError):
    """A processor raised something that damfs.errors has no name for."""


class WorkerDied(errors.DamfsError):
    """The process that ran the job crashed or was killed."""


class JobTimedOut(errors.DamfsError):
    """The job took longer than its processor allows (see `WorkerPool.run` for what counts), and was killed."""


@dataclass(frozen=True, slots=True)
class _Pool:
    context: trio_parallel.WorkerContext
    limiter: trio.CapacityLimiter
    gives_way: bool = False
    """Its workers may have to wait for a processor for as long as other programs want it."""


_Kind = tuple[ProcessorRef, str]
"""What may go to a worker together: runs of one processor with the same settings."""


class WorkerPool:
    """Made by `open_worker_pool`."""

    def __init__(self, pools: dict[Worker, _Pool], time_limit_s: float = math.inf, time_factor: float = 1) -> None:
        self._pools = pools
        self._time_limit_s = time_limit_s
        self._time_factor = time_factor
        self._asked: dict[Worker, set[trio.CancelScope]] = {}
        self.starvation = Starvation()
        self.gatherings: dict[Worker, Gathering[_Kind, Work, Output | Failure]] = {
            worker: Gathering(self._together, (WorkerDied, JobTimedOut), round(pool.limiter.total_tokens))
            for worker, pool in pools.items()
        }

    async def run(
        self, processor: ProcessorRef, source: Path, out: Path, subject: Subject, limit_s: float | None = None
    ) -> Output:
        """One run in a worker of the processor's pool. After an error ``out`` may hold anything. ``limit_s``: of who
        waits for it, instead of the limits of jobs.

        Raises what the processor raised, if it is an error of damfs.errors (BadMedia: do not try again), else
        ProcessorFailed, both with the traceback in the worker as a note; WorkerDied; JobTimedOut. The time limit
        counts from when a worker is free, and includes starting one (about 0.3 s) and loading a model; for media
        workers, which give way, not the time in which workers waited for a processor.
        """
        if processor.batch > 1:
            kind = (processor, repr(sorted(subject.settings.items())))
            gathering = self.gatherings[processor.worker]
            return _unpacked(await gathering.run(kind, Work(source, out, subject), processor.batch))
        worker, reference = processor.worker, processor.reference
        limit_s = self.limit_s(processor.timeout_s) if limit_s is None else limit_s
        return _unpacked(await self.ask(worker, limit_s, run_processor, reference, source, out, subject))

    def is_free(self, worker: Worker) -> bool:
        """Whether a question would not have to wait for others."""
        return not self._pools[worker].limiter.borrowed_tokens

    async def ask(self, worker: Worker, timeout_s: float, question: Callable[[Unpack[A]], R], *given: *A) -> R:
        """Call a function of plain data in a worker of a pool. Raises WorkerDied, JobTimedOut."""
        pool = self._pools[worker]
        with trio.CancelScope() as scope:
            self._asked.setdefault(worker, set()).add(scope)
            try:
                async with pool.limiter:
                    return await self._in_time(pool, timeout_s, question, *given)
            finally:
                self._asked[worker].discard(scope)
        raise errors.Unavailable("another model was chosen meanwhile; ask again")

    async def _in_time(self, pool: _Pool, timeout_s: float, question: Callable[[Unpack[A]], R], *given: *A) -> R:
        """Where workers do not give way, the limit is of wall-clock time: somebody's patience; and a model that hangs
        on every core keeps the others from theirs, and would never be stopped if that gave it more time."""
        sleep = self.starvation.sleep if pool.gives_way else trio.sleep
        answers: list[R] = []
        failures: list[Exception] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_after, sleep, timeout_s, nursery)
            try:
                answers.append(await _in_worker(pool, question, *given))
            except Exception as error:  # noqa: BLE001 - raised below; out of the nursery it would come in a group
                failures.append(error)
            nursery.cancel_scope.cancel()
        for failure in failures:
            raise failure
        for answer in answers:
            return answer
        raise JobTimedOut(f"took longer than {timeout_s:g} s and was stopped")

    def interrupt(self, worker: Worker) -> None:
        """What is asked of these workers now, or waits for them, ends with Unavailable."""
        for scope in self._asked.get(worker, ()):
            scope.cancel()

    async def _together(self, kind: _Kind, works: Sequence[Work]) -> list[Output | Failure]:
        processor, _ = kind
        limit_s = self.limit_s(processor.timeout_s)
        return await self.ask(processor.worker, limit_s, run_together, processor.reference, list(works))

    def limit_s(self, timeout_s: float) -> float:
        """What the settings make of the time that a processor allows."""
        return min(timeout_s * self._time_factor, self._time_limit_s)


@asynccontextmanager
async def open_worker_pool(settings: Settings) -> AsyncIterator[WorkerPool]:
    """Nothing is started until it is needed. Runs must have ended (or been cancelled) before the block ends."""
    parent, limit = os.getpid(), settings.indexer.memory_limit_mb * _MEGABYTE
    prompt = Situation(parent=parent, memory_limit=limit, threads=1, gives_way=False)
    media = replace(prompt, gives_way=True)
    outgrown = functools.partial(has_outgrown, limit)
    model_limit = settings.model.memory_limit_mb * _MEGABYTE or None
    threads = settings.model.threads or cores()
    model = Situation(parent=parent, memory_limit=model_limit, threads=threads, gives_way=False)
    idle_s = settings.model.idle_minutes * 60 or math.inf
    async with AsyncExitStack() as stack:
        yield WorkerPool(
            {
                Worker.MEDIA: _Pool(
                    await stack.enter_async_context(_context(media, MEDIA_IDLE_S, outgrown)),
                    trio.CapacityLimiter(settings.indexer.workers or cores()),
                    media.gives_way,
                ),
                Worker.PROMPT: _Pool(
                    await stack.enter_async_context(_context(prompt, MEDIA_IDLE_S, outgrown)),
                    trio.CapacityLimiter(PROMPT_WORKERS),
                ),
                Worker.MODEL: _Pool(await stack.enter_async_context(_context(model, idle_s)), trio.CapacityLimiter(1)),
            },
            settings.indexer.time_limit_s or math.inf,
            settings.indexer.time_factor,
        )


def _stays() -> bool:
    """A worker that holds a model is not replaced for its size."""
    return False


@asynccontextmanager
async def _context(
    situation: Situation, idle_s: float, retire: Callable[[], bool] = _stays
) -> AsyncIterator[trio_parallel.WorkerContext]:
    opened = trio_parallel.open_worker_context(
        idle_timeout=idle_s,
        init=functools.partial(settle_in, situation),
        retire=retire,
        grace_period=GRACE_S,
    )
    context = await opened.__aenter__()
    try:
        yield context
    finally:
        try:
            await opened.__aexit__(None, None, None)
        except trio_parallel.BrokenWorkerError as error:
            # Idle workers hold nothing: that one had to be killed, or had died before, is worth a line only.
            _log.info("workers did not stop by themselves: %s", error.args[0])


async def _cancel_after(sleep: Callable[[float], Awaitable[None]], seconds: float, nursery: trio.Nursery) -> None:
    await sleep(seconds)
    nursery.cancel_scope.cancel()


async def _in_worker(pool: _Pool, question: Callable[[Unpack[A]], R], *given: *A) -> R:
    try:
        # The pool's own limiter was taken before the clock started.
        answer: R = await pool.context.run_sync(question, *given, kill_on_cancel=True, limiter=_UNLIMITED)
    except trio_parallel.BrokenWorkerError as error:
        raise WorkerDied(_death(error)) from None
    return answer


def _unpacked(report: Output | Failure) -> Output:
    if isinstance(report, Output):
        return report
    kind: type[errors.DamfsError] = getattr(errors, report.kind) if report.kind else ProcessorFailed
    error = kind(report.text)
    error.add_note(report.trace)
    raise error


def _death(error: trio_parallel.BrokenWorkerError) -> str:
    """The last argument of the error is the process."""
    code = getattr(error.args[-1], "exitcode", None)
    if code is None:
        return "its worker died"
    if code >= 0:
        return f"its worker ended with exit code {code}"
    hint = ": perhaps the machine ran out of memory" if -code == signal.SIGKILL else ""
    return f"its worker died (signal {-code}, {signal.Signals(-code).name}){hint}"
