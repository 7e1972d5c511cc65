"""Runs the jobs that are due: leases one, hands it to a worker process, publishes what it made, commits the result.

Concurrency: one task for each slot, in a nursery of its own; the loop only waits. Crash rule: a lease is given back at
the next start; renditions are published before their rows, and one without a row is removed by `upkeep`.
"""

from __future__ import annotations

import functools
import itertools
import logging
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import trio

from damfs.catalog import assets, derived, job_table, stores
from damfs.core.camera_proxies import recognise
from damfs.core.filing import file_by_capture
from damfs.core.library import Library
from damfs.core.model_progress import EMBEDDERS
from damfs.core.outlasting import outlast
from damfs.core.processor_registry import ProcessorRef
from damfs.core.processors.processor import Output, Processor, Subject, Worker
from damfs.core.rendition_files import publish_renditions
from damfs.core.results import DropJob, FailJob, FinishJob, RetryJob, ReturnJob
from damfs.core.worker_pool import JobTimedOut, ProcessorFailed, WorkerDied, WorkerPool
from damfs.errors import BadMedia, DamfsError, ModelUnavailable, NoSpace, NotFound, Unavailable
from damfs.model import BlobId, Digest, Job
from damfs.settings import SETTINGS_FILE, cores
from damfs.storage.spots import Identity, identity

log = logging.getLogger(__name__)

LEASE_MARGIN_NS = 60_000_000_000
MODEL_SLOTS = 16
"""Jobs of the one model worker that are under way: those that wait for it go to it together."""
IDLE_S = 60.0
MORE_TIME = f"; {SETTINGS_FILE} can allow more (indexer.time_factor, indexer.time_limit_s)"
GATHER_S = 0.02
"""How long a slot sleeps when nothing is due and no news come: jobs that wait for a retry wake it earlier."""


class JobRunner:
    """``only``: names of the processors whose jobs it runs; all if left out."""

    def __init__(self, library: Library, pool: WorkerPool, only: Collection[str] | None = None) -> None:
        self._library = library
        self._pool = pool
        processors = library.registry.processors
        self._processors: dict[str, Processor] = {
            each.name: each for each in processors if only is None or each.name in only
        }
        self._news = trio.Event()
        self._stirred = trio.Event()
        """Set when something was committed since the idle slots were last thought of."""
        self._due_ns: list[int | None] = []
        """When the next jobs of the slots were due then."""
        self._filing: dict[BlobId, trio.Event] = {}
        self._of_model: set[trio.CancelScope] = set()
        library.stop_model_jobs = self._stop_model_jobs
        self._attempts = itertools.count(1)
        self.running: dict[str, int] = {}
        """Names at work now, with how many attempts."""

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run jobs until cancelled."""
        media = self._library.settings.indexer.workers or cores()
        async with trio.open_nursery() as nursery:
            with self._library.feed.hear(lambda: self._stirred.set()):
                for _ in range(media):
                    nursery.start_soon(self._slot, self._names(Worker.MEDIA))
                for _ in range(MODEL_SLOTS):
                    nursery.start_soon(self._slot, self._names(Worker.MODEL))
                task_status.started()
                while True:
                    await self._stirred.wait()
                    await trio.sleep(GATHER_S)
                    self._stirred = trio.Event()
                    self._wake()

    def _names(self, worker: Worker) -> tuple[str, ...]:
        """Of what runs in that pool; a planned one that asks for the prompt workers is led by the slots of media."""
        workers = {worker, Worker.PROMPT} if worker is Worker.MEDIA else {worker}
        return tuple(name for name, processor in self._processors.items() if processor.worker in workers)

    def _wake(self) -> None:
        """A thousand changes at once have the idle slots look once, not a thousand times; and not at all when no job
        is due and none is due earlier than they know."""
        connection, before = self._library.db.writer, self._due_ns
        groups = [names for worker in (Worker.MEDIA, Worker.MODEL) if (names := self._names(worker))]
        self._due_ns = [job_table.next_due_ns(connection, names) for names in groups]
        is_due = any(due is not None and due <= self._library.clock() for due in self._due_ns)
        if is_due or self._due_ns != before:
            self._news.set()
            self._news = trio.Event()

    async def _slot(self, names: tuple[str, ...]) -> None:
        while names:
            await outlast("jobs", functools.partial(self._turn, names))

    async def _turn(self, names: tuple[str, ...]) -> None:
        news = self._news
        job = self._lease(names)
        if job is None:
            with trio.move_on_after(self._pause(names)):
                await news.wait()
        else:
            await self._run_stoppable(job)

    async def _run_stoppable(self, job: Job) -> None:
        """Jobs that wait for a model which turns out to hang or die are given back, not tried one by one."""
        with trio.CancelScope() as scope:
            if self._is_models(job.processor):
                self._of_model.add(scope)
            try:
                await self._run(job)
            finally:
                self._of_model.discard(scope)

    def _lease(self, names: tuple[str, ...]) -> Job | None:
        if self._rests(names):
            return None
        now = self._library.clock()
        limit = max(self._pool.limit_s(self._processors[name].timeout_s) for name in names)
        if not job_table.is_due(self._library.db.writer, names, now):
            return None
        with self._library.db.transaction() as tx:
            return job_table.lease(tx, names, now, now + round(limit * 1e9) + LEASE_MARGIN_NS)

    def _rests(self, names: tuple[str, ...]) -> bool:
        return self._is_models(names[0]) and self._library.model_health.resting

    def _is_models(self, processor: str) -> bool:
        return self._processors[processor].worker is Worker.MODEL

    def _pause(self, names: tuple[str, ...]) -> float:
        if self._rests(names):
            return min(IDLE_S, max(0.05, (self._library.model_health.retry_ns - self._library.clock()) / 1e9))
        due = job_table.next_due_ns(self._library.db.writer, names)
        if due is None:
            return IDLE_S
        return min(IDLE_S, max(0.05, (due - self._library.clock()) / 1e9))

    async def _run(self, job: Job) -> None:
        finished = False
        # not the job's own: another slot may have leased it again while this one still tidies up
        out = self._library.state / "work" / f"{job.id}-{next(self._attempts)}"
        try:
            await self._attempt(job, out)
            finished = True
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(shutil.rmtree, out, True)  # ignore_errors
            if not finished:
                self._library.perform(ReturnJob(job), self._actor(job))

    async def _attempt(self, job: Job, out: Path) -> None:
        """Ends with one command that says what became of the job."""
        library, actor = self._library, self._actor(job)
        try:
            await trio.lowlevel.checkpoint()  # the lease was a transaction: whoever asks the mount has a turn
            while job.blob in self._filing:
                await self._filing[job.blob].wait()
            prepared = self._prepared(job)
            if prepared is None:
                library.perform(DropJob(job), actor)
                return
            source, subject = prepared
            self.running[subject.name] = job.attempts
            try:
                reference = library.registry.references[job.processor]
                before = await trio.to_thread.run_sync(_made_ready, source, out)
                with self._asking(job.processor):
                    output = await self._output(reference, source, out, subject, before)
                await self._check_read(job.blob, before)
                self._check_beside(subject)
                command = await self._published(job, output)
            finally:
                self.running.pop(subject.name, None)
            await self._finish(job, command)
            self._note_health(job, None)
        except (Unavailable, NotFound, NoSpace) as error:
            library.perform(RetryJob(job, one_line(error), counts=False), actor)
        except DamfsError as error:
            self._note_health(job, error)
            self._failed(job, error)
        except Exception as error:
            # what a plug-in hands over may be anything: its job fails, not the mount
            log.exception("%s: its result could not be stored", job.processor)
            self._again_or_never(job, ProcessorFailed(f"{type(error).__name__}: {error}"))

    def _failed(self, job: Job, error: DamfsError) -> None:
        """For good, or to be tried again; a model that cannot be used is no fault of the file."""
        if isinstance(error, ModelUnavailable):
            self._library.perform(RetryJob(job, one_line(error), counts=False, wait_s=0), self._actor(job))
        elif isinstance(error, BadMedia) or (isinstance(error, JobTimedOut) and not self._is_models(job.processor)):
            log.info("%s: %s", job.processor, error)
            more = MORE_TIME if isinstance(error, JobTimedOut) else ""
            self._library.perform(FailJob(job, one_line(error) + more), self._actor(job))
        else:
            self._again_or_never(job, error)

    def _note_health(self, job: Job, error: DamfsError | None) -> None:
        """What the end of a job says of the model."""
        health = self._library.model_health
        if not self._is_models(job.processor):
            return
        if error is None:
            health.well()
            if job.processor in EMBEDDERS:
                self._library.pace.note(self._library.clock())
        elif isinstance(error, ModelUnavailable):
            if not health.resting:
                log.info("the model cannot be used: %s", error)
                health.failed(one_line(error))
        elif isinstance(error, JobTimedOut | WorkerDied):
            health.suspected(one_line(error))
        if health.resting:
            self._stop_model_jobs()

    def _stop_model_jobs(self) -> None:
        for scope in self._of_model:
            scope.cancel()

    @contextmanager
    def _asking(self, processor: str) -> Iterator[None]:
        """The model's health knows how long it has been silent."""
        health = self._library.model_health if self._is_models(processor) else None
        if health is None:
            yield
            return
        health.asked()
        try:
            yield
        finally:
            health.ended()

    async def _output(
        self, reference: ProcessorRef, source: Path, out: Path, subject: Subject, before: Identity | None
    ) -> Output:
        """What a run made. One that failed because its file was moved or replaced meanwhile says nothing of the bytes:
        Unavailable, the job is done again."""
        try:
            return await self._pool.run(reference, source, out, subject)
        except (BadMedia, ProcessorFailed) as error:
            if await trio.to_thread.run_sync(_identity, source) == before is not None:
                raise
            raise Unavailable(f"its file was moved or replaced while it was read: {one_line(error)}") from None

    async def _check_read(self, blob: BlobId, before: Identity | None) -> None:
        """A new version may have taken the place of the file that was read: Unavailable, the job is done again."""
        paths = self._library.source_paths(blob)
        if before not in await trio.to_thread.run_sync(lambda: [_identity(path) for path in paths]):
            raise Unavailable("its file was replaced while it was read")

    def _beside(self, job: Job, subject: Subject) -> dict[str, Path]:
        """What the processor asked to read beside the bytes themselves. Raises Unavailable."""
        found: dict[str, Path] = {}
        for digest in self._processors[job.processor].reads(subject):
            blob = stores.blob_of(self._library.db.writer, Digest(bytes.fromhex(digest)))
            if blob is not None and assets.of_blob(self._library.db.writer, blob):
                found[digest] = self._library.source_paths(blob)[0]
        return found

    def _check_beside(self, subject: Subject) -> None:
        """As `_check_read`: by name, which is enough where damfs moves files itself."""
        for digest, path in subject.beside.items():
            blob = stores.blob_of(self._library.db.writer, Digest(bytes.fromhex(digest)))
            if blob is None or path not in self._library.source_paths(blob):
                raise Unavailable("a file beside it was moved or replaced while it was read")

    async def _finish(self, job: Job, command: FinishJob) -> None:
        """Commit, then let the file find its folder; jobs that the commit planned wait for that."""
        filed = self._filing[job.blob] = trio.Event()
        try:
            self._library.perform(command, self._actor(job))
            with trio.CancelScope(shield=True):
                await file_by_capture(self._library, job.blob)
                if job.processor == "probe":
                    recognise(self._library, job.blob)
        finally:
            self._filing.pop(job.blob, None)  # two jobs of one blob may end at once
            filed.set()

    def _again_or_never(self, job: Job, error: DamfsError) -> None:
        log.info("%s, attempt %d: %s\n%s", job.processor, job.attempts, error, "".join(getattr(error, "__notes__", ())))
        given_up = job.attempts >= self._library.settings.indexer.attempts
        command = FailJob(job, one_line(error)) if given_up else RetryJob(job, one_line(error))
        self._library.perform(command, self._actor(job))

    def _prepared(self, job: Job) -> tuple[Path, Subject] | None:
        """The bytes and what the processor is told; None when no asset has them now. Raises Unavailable."""
        library = self._library
        connection = library.db.writer
        asset = library.planner.speaker(connection, job.blob)
        if asset is None:
            return None
        renditions = {
            f"{made.kind}/{made.profile}": library.renditions / made.key
            for made in derived.renditions_of(connection, job.blob)
        }
        subject = replace(
            library.planner.subject(connection, asset, words=self._processors[job.processor].wants_words),
            renditions=renditions,
            settings=library.planner.settings_of(connection, job.processor),
        )
        subject = replace(subject, beside=self._beside(job, subject))
        return library.source_paths(job.blob, asset.id)[0], subject

    async def _published(self, job: Job, output: Output) -> FinishJob:
        library = self._library
        digest = stores.digest_of(library.db.writer, job.blob)
        published = await trio.to_thread.run_sync(publish_renditions, library.renditions, digest, output.renditions)
        accept_above = library.settings.auto_tag.accept_above
        return FinishJob(
            job, output.facts, published, output.embeddings, output.proposals, accept_above, output.replaces
        )

    @staticmethod
    def _actor(job: Job) -> str:
        return f"processor:{job.processor}"


def _made_ready(source: Path, out: Path) -> Identity | None:
    """An empty directory, and which file is to be read. Blocks."""
    _empty_directory(out)
    return _identity(source)


def _identity(path: Path) -> Identity | None:
    """None when it cannot be told. Blocks."""
    try:
        return identity(path.stat())
    except OSError:
        return None


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _empty_directory(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
