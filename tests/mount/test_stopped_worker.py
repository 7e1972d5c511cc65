"""SIGSTOP of a worker: its job ends by its time limit, nobody else waits, and the daemon still ends in order."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mount.conftest import Serve
from tests.mount.daemon_process import QUICK, Daemon, await_end, damfs, descendants, state_of, until
from tests.sample_media import png

HOUR_S = 3600
PLUG_IN = """
import os
from damfs.core.processors.processor import Output, Processor

class Patient(Processor):
    name, version, priority, timeout_s = "patient", 1, 1, float(os.environ["DAMFS_TEST_LIMIT_S"])

    def accepts(self, subject):
        return subject.name.startswith("patient")

    def run(self, source, out, subject):
        with open(os.environ["DAMFS_TEST_HERE"], "w") as here:
            here.write(str(os.getpid()))
        with open(os.environ["DAMFS_TEST_GO"]) as go:
            return Output(facts={"heard": go.read()})
"""


@dataclass(frozen=True, slots=True)
class Bench:
    dam: Daemon
    here: Path
    """The worker of `patient` says its process id here."""
    go: Path
    """It goes on when it reads this."""


@pytest.fixture
def bench(benches: Callable[..., Bench]) -> Bench:
    return benches(limit_s=HOUR_S, workers=2)


@pytest.fixture
def benches(serve: Serve, tmp_path: Path) -> Callable[..., Bench]:
    """A daemon with a processor of a package of its own, found as those of other people are."""
    package, here, go = tmp_path / "plug-in", tmp_path / "here", tmp_path / "go"
    (package / "patient-1.dist-info").mkdir(parents=True)
    (package / "patient.py").write_text(PLUG_IN)
    (package / "patient-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: patient\nVersion: 1\n")
    (package / "patient-1.dist-info/entry_points.txt").write_text("[damfs.processors]\npatient = patient:Patient\n")
    os.mkfifo(here)
    os.mkfifo(go)
    paths = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH", "")]))
    environment = {"PYTHONPATH": paths, "DAMFS_TEST_HERE": str(here), "DAMFS_TEST_GO": str(go)}

    def make(limit_s: int, workers: int) -> Bench:
        settings, limit = QUICK + f"[indexer]\nworkers = {workers}\n", {"DAMFS_TEST_LIMIT_S": str(limit_s)}
        return Bench(serve(settings=settings, environment={**environment, **limit}).start(), here, go)

    return make


def stopped(bench: Bench, name: str) -> int:
    """The worker that has begun with the file, stopped."""
    (bench.dam / "inbox" / name).write_text(f"{name} is worked on")
    worker = int(bench.here.read_text())
    os.kill(worker, signal.SIGSTOP)
    return worker


def failures(dam: Daemon) -> dict[str, str]:
    return {failure.name: failure.error for failure in dam.status().failures}


def test_the_mount_answers_and_other_jobs_are_done_meanwhile(bench: Bench, tmp_path: Path) -> None:
    worker = stopped(bench, "patient.txt")
    picture = png(tmp_path / "still.png", size=(64, 48))
    for number in range(50):
        (bench.dam / f"inbox/{number}.txt").write_text(str(number))
        assert f"{number}.txt" in os.listdir(bench.dam / "inbox")
        assert (bench.dam / "inbox/patient.txt").read_text() == "patient.txt is worked on"
    (bench.dam / "inbox/still.png").write_bytes(picture.read_bytes())
    until(lambda: done(bench.dam, "preview") == 1, "the other worker goes on")
    assert state_of(worker) == "T", "nobody waited for it"
    os.kill(worker, signal.SIGCONT)
    bench.go.write_text("heard")
    until(lambda: done(bench.dam, "patient") == 1, "it goes on")


def done(dam: Daemon, processor: str) -> int:
    return sum(job.done for job in dam.status().jobs if job.processor == processor)


def test_its_time_is_up_and_it_succeeds_when_it_is_tried_again(benches: Callable[..., Bench], tmp_path: Path) -> None:
    """The one worker is started by other jobs, each time: that would count."""
    bench = benches(limit_s=6, workers=1)
    start_worker(bench.dam, png(tmp_path / "first.png", seed=1, size=(64, 48)))
    worker = stopped(bench, "patient-too.txt")
    until(lambda: "patient-too.txt" in failures(bench.dam), "its time is up")
    assert "took longer than 6 s" in failures(bench.dam)["patient-too.txt"]
    await_end(worker)
    start_worker(bench.dam, png(tmp_path / "second.png", seed=2, size=(64, 48)))
    damfs("retry", bench.dam.library, "patient")
    assert int(bench.here.read_text()) != worker, "another worker"
    bench.go.write_text("heard")
    until(lambda: done(bench.dam, "patient") == 1, "done")
    assert failures(bench.dam) == {}


def start_worker(dam: Daemon, picture: Path) -> None:
    before = done(dam, "probe")
    (dam / "inbox" / picture.name).write_bytes(picture.read_bytes())
    until(lambda: done(dam, "probe") > before, "it is probed")
    dam.idle()


def test_the_daemon_ends_in_order_with_a_stopped_worker(bench: Bench) -> None:
    """The job is given back, not failed."""
    worker = stopped(bench, "patient-last.txt")
    pool = descendants(bench.dam.pid)
    assert worker in pool
    bench.dam.end()
    for process in pool:
        await_end(process)
    bench.dam.start()
    assert int(bench.here.read_text()) not in pool
    bench.go.write_text("heard")
    until(lambda: done(bench.dam, "patient") == 1, "done")


def test_a_stopped_worker_of_a_killed_daemon_is_in_nobodys_way(bench: Bench) -> None:
    """It cannot see that its daemon is dead until it is continued; the next daemon has workers of its own."""
    bench.dam.announced.append("stale mount")
    worker = stopped(bench, "patient-orphan.txt")
    try:
        bench.dam.kill()
        bench.dam.start()
        assert int(bench.here.read_text()) != worker
        bench.go.write_text("heard")
        until(lambda: done(bench.dam, "patient") == 1, "done")
    finally:
        with suppress(
            ProcessLookupError
        ):  # the kernel itself continues and ends it where its process group is orphaned
            os.kill(worker, signal.SIGCONT)
    await_end(worker)
