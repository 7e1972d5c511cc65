"""Worker processes: what kills a worker is one failed job, and nothing of it reaches the daemon."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
import trio
import trio.testing

from damfs.core.processor_registry import ProcessorRef
from damfs.core.processors.processor import Output, Subject, Worker
from damfs.core.starvation import Starvation, Thread, Threads
from damfs.core.worker_pool import JobTimedOut, ProcessorFailed, WorkerDied, WorkerPool, open_worker_pool
from damfs.errors import BadMedia, ModelUnavailable, NoSpace, Unavailable
from damfs.model import Media
from damfs.settings import IndexerSettings, ModelSettings, Settings
from tests.service import doomed_processors

SETTINGS = Settings(indexer=IndexerSettings(workers=2, memory_limit_mb=1000), model=ModelSettings(threads=3))
SUBJECT = Subject("clip.mov", Media.VIDEO, 5, settings={"lines": 540})
SECOND_NS = 1_000_000_000
ENOUGH_TO_BEGIN_S = (0.5, 3.0, 20.0)
"""Limits of time for a job that takes none itself, the shortest first: which one it keeps depends on the machine."""


def ref(kind: type, worker: Worker = Worker.MEDIA, timeout_s: float = 60.0) -> ProcessorRef:
    return ProcessorRef("doomed", f"{doomed_processors.__name__}:{kind.__name__}", worker, timeout_s)


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with open_worker_pool(SETTINGS) as opened:
        yield opened


class Bench:
    """Runs a processor of doomed_processors on a small source."""

    def __init__(self, pool: WorkerPool, folder: Path) -> None:
        self.pool = pool
        self.source = folder / "source"
        self.out = folder / "out"
        self.out.mkdir()
        self.source.write_bytes(b"bytes")

    async def run(self, kind: type, worker: Worker = Worker.MEDIA, timeout_s: float = 60.0) -> Output:
        return await self.pool.run(ref(kind, worker, timeout_s), self.source, self.out, SUBJECT)


@pytest.fixture
def bench(pool: WorkerPool, tmp_path: Path) -> Bench:
    return Bench(pool, tmp_path)


async def test_output_comes_back_and_the_worker_is_kept(bench: Bench) -> None:
    first, second = [await bench.run(doomed_processors.Good) for _ in range(2)]
    assert (first.facts["runs"], second.facts["runs"]) == (1, 2)
    assert first.facts["pid"] == second.facts["pid"] != os.getpid()
    assert (first.facts["name"], first.facts["settings"]) == ("clip.mov", {"lines": 540})
    (rendition,) = first.renditions
    assert (rendition.path.read_bytes(), rendition.detail) == (b"setyb", {"width": 3})


async def test_media_workers_are_limited_and_polite(bench: Bench) -> None:
    facts = (await bench.run(doomed_processors.Good)).facts
    assert (facts["nice"], facts["class"]) == (19, os.SCHED_IDLE)
    assert facts["io"] == 3 << 13
    assert (facts["memory"], facts["core"], facts["threads"]) == (1000 << 20, 0, "1")


async def test_what_a_media_worker_starts_gives_way_as_well(bench: Bench) -> None:
    assert (await bench.run(doomed_processors.StartsAProgram)).facts == {"class": os.SCHED_IDLE}


@pytest.mark.parametrize("worker", [Worker.PROMPT, Worker.MODEL])
async def test_workers_that_somebody_may_wait_for_get_their_share(bench: Bench, worker: Worker) -> None:
    facts = (await bench.run(doomed_processors.Good, worker)).facts
    assert (facts["nice"], facts["class"]) == (10, os.SCHED_OTHER)
    assert (await bench.run(doomed_processors.StartsAProgram, worker)).facts == {"class": os.SCHED_OTHER}


REFUSED = """
import os, sys

def refuse(*given):
    raise PermissionError

os.sched_setscheduler = refuse
from damfs.core.worker_process import Situation, settle_in

settle_in(Situation(parent=os.getppid(), memory_limit=None, threads=1, gives_way=True))
print(os.nice(0), os.sched_getscheduler(0))
"""


def test_where_the_class_is_refused_a_worker_is_as_polite_as_it_can_be() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", REFUSED], env=environment, stderr=subprocess.PIPE, text=True, check=True
    )
    assert done.stderr.split() == ["10", str(os.SCHED_OTHER)]


async def test_a_worker_that_has_outgrown_its_limit_is_replaced_before_it_fails_a_job(bench: Bench) -> None:
    runs = [(await bench.run(doomed_processors.LeavesMemory)).facts for _ in range(6)]
    assert max(int(str(facts["left"])) for facts in runs) == 2, "a third would not fit"
    assert len({facts["pid"] for facts in runs}) == 3


async def test_the_model_worker_may_have_more(bench: Bench) -> None:
    facts = (await bench.run(doomed_processors.Good, Worker.MODEL)).facts
    assert (facts["memory"], facts["threads"]) == (-1, "3")


async def test_workers_inherit_no_files_and_no_event_loop(bench: Bench, tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "device", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(descriptor, True)
    try:
        facts = (await bench.run(doomed_processors.Good)).facts
    finally:
        os.close(descriptor)
    files = facts["files"]
    assert isinstance(files, list)
    assert not [name for name in files if "device" in name or "socket" in name or "fuse" in name]
    assert isinstance(facts["modules"], list)
    assert not {"pyfuse3", "apsw", "av", "PIL", "torch"} & set(facts["modules"])


async def test_a_segfault_is_one_error_and_the_next_job_works(bench: Bench) -> None:
    with pytest.raises(WorkerDied, match=r"signal 11, SIGSEGV"):
        await bench.run(doomed_processors.Segfault)
    assert (await bench.run(doomed_processors.Good)).facts["runs"] == 1


async def test_a_segfault_leaves_the_other_worker_alone(bench: Bench, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with trio.open_nursery() as nursery:
        met: list[Output] = []
        nursery.start_soon(meet, bench, fifo, "rb", met)
        with pytest.raises(WorkerDied):
            await bench.run(doomed_processors.Segfault)
        nursery.start_soon(meet, bench, fifo, "wb", met)
    assert len(met) == 2


async def meet(bench: Bench, fifo: Path, mode: str, met: list[Output]) -> None:
    subject = Subject(mode, Media.VIDEO, 0)
    met.append(await bench.pool.run(ref(doomed_processors.Meets), fifo, bench.out, subject))


async def test_two_jobs_run_at_a_time(bench: Bench, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    met: list[Output] = []
    with trio.fail_after(90):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(meet, bench, fifo, "rb", met)
            nursery.start_soon(meet, bench, fifo, "wb", met)
    assert len({output.facts["pid"] for output in met}) == 2


async def test_cancelling_kills_the_worker(bench: Bench, tmp_path: Path) -> None:
    await bench.run(doomed_processors.Good)
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.pool.run, ref(doomed_processors.Endless), fifo, bench.out, SUBJECT)
        watched = os.pidfd_open(int(await trio.to_thread.run_sync(fifo.read_text)))
        nursery.cancel_scope.cancel()
    assert ended(watched, 0), "the run did not end before its worker"
    assert (await bench.run(doomed_processors.Good)).facts["runs"] == 1


def ended(watched: int, wait_s: float) -> bool:
    """Whether a process has ended, or does within the time."""
    waiting = select.poll()
    waiting.register(watched, select.POLLIN)
    try:
        return bool(waiting.poll(wait_s * 1000))
    finally:
        os.close(watched)


async def test_an_endless_job_is_stopped_when_its_time_is_up(bench: Bench) -> None:
    await bench.run(doomed_processors.Good)
    for limit_s in ENOUGH_TO_BEGIN_S:
        with pytest.raises(JobTimedOut, match=rf"longer than {limit_s:g} s"):
            await bench.run(doomed_processors.Endless, timeout_s=limit_s)
        if bench.source.read_text().isdigit():
            break
    else:
        pytest.fail("it was never begun")
    assert (await bench.run(doomed_processors.Good)).facts["runs"] == 1


class Told:
    """What /proc is made to tell: that some thread waits for a processor all the time, or that none does."""

    def __init__(self) -> None:
        self.waits = True

    def __call__(self) -> Threads:
        return {1: Thread(1, 3600 * SECOND_NS, self.waits)}


async def test_a_job_is_not_stopped_while_it_gets_no_processor(bench: Bench) -> None:
    """And is as soon as it has had its time."""
    told, ended = Told(), trio.Event()
    bench.pool.starvation = Starvation(told)

    async def runs() -> None:
        with pytest.raises(JobTimedOut, match=r"longer than 0\.5 s"):
            await bench.run(doomed_processors.Endless, timeout_s=0.5)
        ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(runs)
        with trio.move_on_after(3.0):  # time itself is what is tested
            await ended.wait()
        assert not ended.is_set()
        told.waits = False
        with trio.fail_after(60):
            await ended.wait()


@pytest.mark.parametrize("worker", [Worker.PROMPT, Worker.MODEL])
async def test_what_somebody_waits_for_is_stopped_whoever_gets_no_processor(bench: Bench, worker: Worker) -> None:
    bench.pool.starvation = Starvation(Told())
    with trio.fail_after(60), pytest.raises(JobTimedOut):
        await bench.run(doomed_processors.Endless, worker, timeout_s=0.5)


async def test_who_asks_a_worker_is_sent_away_and_the_next_is_answered(bench: Bench) -> None:
    """Also who waits behind another: neither may hold up a model that was chosen meanwhile."""
    refused = 0

    async def asks() -> None:
        nonlocal refused
        with pytest.raises(Unavailable, match="another model"):
            await bench.pool.ask(Worker.MODEL, 100.0, select.select, [], [], [], 100.0)
        refused += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(asks)
        nursery.start_soon(asks)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert not bench.pool.is_free(Worker.MODEL)
        bench.pool.interrupt(Worker.MODEL)
    assert refused == 2
    assert await bench.pool.ask(Worker.MODEL, 100.0, abs, -3) == 3
    assert bench.pool.is_free(Worker.MODEL)


async def test_waiting_for_a_worker_does_not_count_as_time(bench: Bench, tmp_path: Path) -> None:
    """A limit that is too short for the job itself on a slow machine tells nothing: then a longer one is tried."""
    for limit_s in ENOUGH_TO_BEGIN_S:
        fifos = [tmp_path / f"{name}-{limit_s}" for name in ("one", "two")]
        if await ran_behind_others(limit_s, bench, fifos):
            return
    pytest.fail("its time was up before it was done, however much it had")


async def ran_behind_others(limit_s: float, bench: Bench, fifos: Sequence[Path]) -> bool:
    """Whether a job succeeds that comes when all workers are busy, and has to wait for longer than it may run."""
    met: list[Output] = []

    async def third() -> None:
        with suppress(JobTimedOut):
            met.append(await bench.run(doomed_processors.Good, timeout_s=limit_s))

    async with trio.open_nursery() as nursery:
        for fifo in fifos:
            os.mkfifo(fifo)
            nursery.start_soon(meet, bench, fifo, "rb", met)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(third)
        await trio.sleep(limit_s + 0.2)  # time itself is what is tested
        for fifo in fifos:
            await trio.to_thread.run_sync(fifo.write_bytes, b"")
    return len(met) == 3


EXPECTED: list[tuple[type, type[Exception], str]] = [
    (doomed_processors.RaisesBadMedia, BadMedia, r"source ends after 12 of 30 frames"),
    (doomed_processors.RaisesModelUnavailable, ModelUnavailable, r"no such model"),
    (doomed_processors.RaisesItsOwn, ProcessorFailed, r"_Unpicklable: first line second \\udcff line"),
    (doomed_processors.Exits, ProcessorFailed, r"SystemExit: 3"),
    (doomed_processors.FullDisk, NoSpace, r".*No space left.*"),
    (doomed_processors.AcceptsRaises, ProcessorFailed, r"KeyError: 'probe'"),
    (doomed_processors.WritesElsewhere, ProcessorFailed, r".*is no file below.*"),
    (doomed_processors.MakesNoNumbers, ProcessorFailed, r".*a vector of plug-in-1 is empty or holds what is no number"),
    (doomed_processors.ReturnsNumpy, ProcessorFailed, r".*numpy\.float32.*"),
    (doomed_processors.MemoryHog, ProcessorFailed, r".*more memory.*indexer\.memory_limit_mb.*"),
]


async def test_errors_cross_as_plain_errors_and_the_worker_lives(bench: Bench) -> None:
    before = (await bench.run(doomed_processors.Good)).facts["pid"]
    for kind, error, text in EXPECTED:
        with pytest.raises(error) as raised:
            await bench.run(kind)
        assert type(raised.value) is error
        assert re.fullmatch(text, str(raised.value)), kind
        assert "Traceback" in raised.value.__notes__[0]
        raised.value.__notes__[0].encode("utf-8")
    missing = ProcessorRef("missing", f"{doomed_processors.__name__}:Missing", Worker.MEDIA, 60)
    with pytest.raises(ProcessorFailed, match="AttributeError"):
        await bench.pool.run(missing, bench.source, bench.out, SUBJECT)
    assert await bench.run(doomed_processors.Declines) == Output()
    assert (await bench.run(doomed_processors.Good)).facts["pid"] == before


async def test_a_worker_that_exits(bench: Bench) -> None:
    with pytest.raises(WorkerDied, match="exit code 3"):
        await bench.run(doomed_processors.DiesQuietly)


async def test_prints_go_to_the_log_and_input_is_empty(bench: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    assert (await bench.run(doomed_processors.PrintsToStdout)).facts == {"read": ""}
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "printed by Python" in printed.err
    assert "printed by C" in printed.err


PARENT = """
import math, sys
from pathlib import Path
import trio
from damfs.core.worker_pool import open_worker_pool
from damfs.settings import Settings
from tests.service.test_worker_pool import SUBJECT, doomed_processors, ref

async def main():
    async with open_worker_pool(Settings()) as pool:
        await pool.run(ref(doomed_processors.Endless, timeout_s=math.inf), Path(sys.argv[1]), Path(), SUBJECT)

if __name__ == "__main__":
    trio.run(main)
"""


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script, fifo = tmp_path / "parent.py", tmp_path / "fifo"
    script.write_text(PARENT)
    os.mkfifo(fifo)
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, script, fifo], env={**os.environ, "PYTHONPATH": str(root)}) as parent:
        try:
            watched = os.pidfd_open(int(fifo.read_text()))
        finally:
            parent.send_signal(signal.SIGKILL)
    assert ended(watched, 90.0)


async def test_closing_leaves_no_process(tmp_path: Path) -> None:
    async with open_worker_pool(SETTINGS) as pool:
        output = await Bench(pool, tmp_path).run(doomed_processors.Good)
    assert isinstance(output.facts["pid"], int)
    assert not await trio.Path(f"/proc/{output.facts['pid']}").exists()
