"""Time in which workers waited for a processor, as /proc tells it, and limits that do not count it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from damfs.core import starvation
from damfs.core.starvation import Account, Starvation, Thread, Threads, accounted, threads_below

PERIOD = 10
LIMIT_S = 120.0


def test_the_thread_that_waited_most_counts_for_all() -> None:
    before = {1: Account(50, is_runnable=False, counted_ns=100), 2: Account(50, is_runnable=True, counted_ns=100)}
    threads = {1: Thread(51, 103, is_runnable=False), 2: Thread(51, 107, is_runnable=True)}
    accounts, waited = accounted(before, threads, PERIOD)
    assert (waited, accounts[1].counted_ns, accounts[2].counted_ns) == (7, 103, 107)


def test_a_new_thread_counts_from_its_start_and_never_more_than_the_period() -> None:
    assert accounted({}, {1: Thread(1, 4, is_runnable=False)}, PERIOD)[1] == 4
    accounts, waited = accounted({}, {1: Thread(1, 400, is_runnable=False)}, PERIOD)
    assert waited == PERIOD
    assert accounted(accounts, {1: Thread(2, 400, is_runnable=False)}, PERIOD)[1] == 0, "what was before it was seen"


def test_a_thread_that_got_the_number_of_another_is_new() -> None:
    before = {1: Account(1000, is_runnable=True, counted_ns=700)}
    assert accounted(before, {1: Thread(5, 3, is_runnable=True)}, PERIOD)[1] == 3


def test_threads_that_are_gone_are_forgotten() -> None:
    assert accounted({1: Account(5, is_runnable=True, counted_ns=5)}, {}, PERIOD) == ({}, 0)


def test_a_wait_that_lasts_counts_although_the_kernel_adds_it_only_at_its_end() -> None:
    """And not once more then: four periods it waited, of which the kernel tells in the fifth, in which it ran."""
    accounts, counted = {1: Account(50, is_runnable=True, counted_ns=100)}, 0
    for _ in range(4):
        accounts, waited = accounted(accounts, {1: Thread(50, 100, is_runnable=True)}, PERIOD)
        assert waited == PERIOD
        counted += waited
    _, waited = accounted(accounts, {1: Thread(55, 145, is_runnable=True)}, PERIOD)
    assert counted + waited == 45


def test_what_is_told_late_is_made_up_for_in_the_next_periods() -> None:
    accounts, waited = accounted(
        {1: Account(50, is_runnable=True, counted_ns=100)}, {1: Thread(51, 125, is_runnable=False)}, PERIOD
    )
    assert waited == PERIOD
    accounts, waited = accounted(accounts, {1: Thread(52, 125, is_runnable=False)}, PERIOD)
    assert waited == PERIOD
    assert accounted(accounts, {1: Thread(53, 125, is_runnable=False)}, PERIOD)[1] == 5


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (Account(50, is_runnable=False, counted_ns=7), Thread(50, 7, is_runnable=True)),  # it slept until just now
        (Account(50, is_runnable=True, counted_ns=7), Thread(90, 7, is_runnable=True)),  # it runs
        (Account(50, is_runnable=True, counted_ns=7), Thread(50, 7, is_runnable=False)),  # it sleeps, or was stopped
        (Account(0, is_runnable=True, counted_ns=0), Thread(0, 0, is_runnable=True)),  # a kernel without statistics
    ],
)
def test_who_did_not_wait_is_not_said_to_have(before: Account, now: Thread) -> None:
    assert accounted({1: before}, {1: now}, PERIOD)[1] == 0


class Told:
    """What /proc is made to tell of one thread: that it waits for a processor from one moment to another."""

    def __init__(self, clock: trio.testing.MockClock, until_s: float, since_s: float = 0.0) -> None:
        self._clock = clock
        self._start_s = clock.current_time()
        self._since_s, self._until_s = since_s, until_s
        self.looks = 0

    def __call__(self) -> Threads:
        self.looks += 1
        now_s = self._clock.current_time() - self._start_s
        waited_s = min(now_s, self._until_s) - min(now_s, self._since_s)
        return {1: Thread(self.looks, round(waited_s * 1e9), is_runnable=True)}


async def slept(starved: Starvation, seconds: float) -> float:
    start = trio.current_time()
    await starved.sleep(seconds)
    return trio.current_time() - start


async def test_time_passes_as_ever_while_nobody_waits(autojump_clock: trio.testing.MockClock) -> None:
    told = Told(autojump_clock, until_s=0.0)
    starved = Starvation(told)
    assert await slept(starved, 0.5) == pytest.approx(0.5, abs=0.01)
    assert await slept(starved, 1000.0) == pytest.approx(1000.0, abs=0.01)
    assert told.looks < 110


@pytest.mark.parametrize("since_s", [0.0, 25.0])
async def test_time_in_which_somebody_waits_does_not_count(
    autojump_clock: trio.testing.MockClock, since_s: float
) -> None:
    starved = Starvation(Told(autojump_clock, since_s + 100.0, since_s))
    assert await slept(starved, 30.0) == pytest.approx(130.0, abs=0.5)


async def test_waiting_that_began_after_the_last_regular_look_is_seen_at_the_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    starved = Starvation(Told(autojump_clock, since_s=3.0, until_s=9.0))
    assert await slept(starved, 5.0) == pytest.approx(11.0, abs=0.5)


async def test_what_was_waited_while_no_limit_was_measured_does_not_count(
    autojump_clock: trio.testing.MockClock,
) -> None:
    starved = Starvation(Told(autojump_clock, until_s=1000.0))
    await starved.sleep(0.01)
    await trio.sleep(2000.0)
    assert await slept(starved, 30.0) < 30.0 + 2 * starvation.FIRST_LOOK_S


async def test_one_look_serves_all(autojump_clock: trio.testing.MockClock) -> None:
    told = Told(autojump_clock, until_s=0.0)
    starved = Starvation(told)
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(starved.sleep, 100.0)
            await trio.sleep(0.01)
    assert told.looks < 60


async def test_a_limit_ends_also_where_nothing_can_be_told(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails() -> Threads:
        raise RuntimeError("no /proc")

    assert await slept(Starvation(fails), 30.0) == pytest.approx(30.0, abs=0.01)
    monkeypatch.setattr(starvation, "PROC", tmp_path)
    assert threads_below() == {}
    assert await slept(Starvation(), 30.0) == pytest.approx(30.0, abs=0.01)


SPINS = "import os; os.sched_setaffinity(0, {%d}); %s; print(flush=True)\nwhile True: pass"
IDLE = "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))"
SLEEPS = "import time; print(flush=True); time.sleep(1000)"


@contextmanager
def program(text: str) -> Iterator[int]:
    """Its number, once it is at work; it ends with the block."""
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process.pid
        finally:
            process.kill()


def test_a_process_that_gets_no_processor_waits_and_one_that_sleeps_does_not() -> None:
    core = min(os.sched_getaffinity(0))
    with ExitStack() as programs:
        asleep, starved = (programs.enter_context(program(text)) for text in (SLEEPS, SPINS % (core, IDLE)))
        programs.enter_context(program(SPINS % (core, "pass")))
        threads = threads_below()
        accounts = {pid: accounted({}, {pid: threads[pid]}, 0)[0] for pid in (asleep, starved)}
        waited, begun, looked = {asleep: 0, starved: 0}, time.monotonic_ns(), time.monotonic_ns()
        while waited[starved] < 2_000_000_000:
            assert time.monotonic_ns() - begun < LIMIT_S * 1e9, waited
            time.sleep(0.2)
            threads, now = threads_below(), time.monotonic_ns()
            for pid, account in accounts.items():
                accounts[pid], more = accounted(account, {pid: threads[pid]}, now - looked)
                waited[pid] += more
            looked = now
    assert waited[asleep] < waited[starved] / 4
    assert waited[starved] <= looked - begun


def test_the_threads_of_what_a_worker_starts_are_seen() -> None:
    text = (
        "import subprocess, sys\n"
        "reads = [sys.executable, '-c', 'import sys; sys.stdin.read()']\n"
        "with subprocess.Popen(reads, stdin=subprocess.PIPE) as child:\n"
        "    print(child.pid, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        grandchild = int(process.stdout.readline())
        found = threads_below()
        process.communicate()  # both end when nothing more comes to read
    assert found.keys() >= {process.pid, grandchild}
    assert os.getpid() not in found
    assert found[process.pid].ran_ns > 0
