"""How long worker processes waited for a processor, so that a limit of time counts only the time they could use.

Media workers give way to every other program (`worker_process.settle_in`): beside an export of an hour that uses every
core they get nearly nothing, and are not stuck for it. The thread that waits most counts for all: whose job it runs is
not known here.

Concurrency: `Starvation.sleep` may be called by any number of tasks, on the loop; one of them looks at /proc for all,
in a thread, and nobody does while no limit is measured. Crash rule: nothing here outlives the process. Where the kernel
does not tell (no `children` or `schedstat` in /proc) nothing is ever counted, and limits are of wall-clock time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import trio

FIRST_LOOK_S = 1.0
"""Most jobs end before, and cost no look."""
LOOK_EVERY_S = 10.0
SHORTEST_S = 0.1
"""Who wants to look so soon after another takes what that one saw: in less, of threads that take turns one seems to
wait all the time."""
PROC = Path("/proc")
_SECOND_NS = 1_000_000_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Thread:
    """What the kernel tells of one: its scheduler statistics (sched-stats in the kernel's documentation) and state."""

    ran_ns: int
    waited_ns: int
    """For a processor. A wait is added when it is over: one that lasts is not in it yet, and may last for many
    seconds where several programs want the same processor."""
    is_runnable: bool
    """It runs, or waits for a processor."""


@dataclass(frozen=True, slots=True)
class Account:
    """How a thread was at the last look, and how much of its waiting was counted until then."""

    ran_ns: int
    is_runnable: bool
    counted_ns: int


Accounts = Mapping[int, Account]
Threads = Mapping[int, Thread]
"""Both by the threads' numbers."""


def accounted(before: Accounts, threads: Threads, period_ns: int) -> tuple[dict[int, Account], int]:
    """The accounts after the next look, and how long the thread that waited most did in the period between. Pure."""
    accounts, longest = dict[int, Account](), 0
    for number, thread in threads.items():
        accounts[number], waited_ns = _account(before.get(number), thread, period_ns)
        longest = max(longest, waited_ns)
    return accounts, longest


def _account(before: Account | None, thread: Thread, period_ns: int) -> tuple[Account, int]:
    """Nothing is counted twice, and no more than the period at a time: what the kernel adds at the end of a long wait
    is set off against what was counted while it lasted, and what is more than the period against the next ones."""
    ran, runnable = thread.ran_ns, thread.is_runnable
    if before is None or ran < before.ran_ns:  # it is new, or another one that got its number
        return Account(ran, runnable, thread.waited_ns), min(thread.waited_ns, period_ns)
    most = before.counted_ns + period_ns
    counted = min(max(thread.waited_ns, before.counted_ns), most)
    # Who wanted to run at both looks and did not run between has waited all the time. Where the kernel keeps no
    # statistics it says 0 of everything.
    if runnable and before.is_runnable and ran == before.ran_ns > 0:
        counted = most
    return Account(ran, runnable, counted), counted - before.counted_ns


class Starvation:
    """``look``: what the threads do now; blocks."""

    def __init__(self, look: Callable[[], Threads] | None = None) -> None:
        self._threads = look or threads_below
        self._waited_s = 0.0
        """Counted since this was made, while a limit was measured."""
        self._accounts: Accounts = {}
        self._looked_s = self._due_s = 0.0
        self._measured = 0
        self._turn = trio.Lock()
        self._thread = trio.CapacityLimiter(1)  # its own: those of the daemon may all hang on a dead disk

    async def sleep(self, seconds: float) -> None:
        """Until so many have passed in which no worker waited for a processor."""
        begun_s, before_s = trio.current_time(), self._waited_s
        if not self._measured:  # what the threads waited when nobody asked is of no account
            self._accounts, self._looked_s, self._due_s = {}, begun_s, begun_s + FIRST_LOOK_S
        self._measured += 1
        try:
            while (left_s := begun_s + seconds + self._waited_s - before_s - trio.current_time()) > 0:
                await trio.sleep(min(left_s, max(SHORTEST_S, self._due_s - trio.current_time())))
                await self._look()
        finally:
            self._measured -= 1

    async def _look(self) -> None:
        async with self._turn:
            if trio.current_time() - self._looked_s < SHORTEST_S:
                return
            try:
                threads = await trio.to_thread.run_sync(self._threads, abandon_on_cancel=True, limiter=self._thread)
            except Exception as error:  # noqa: BLE001 - limits must hold, whatever is the matter with /proc
                _log.info("how long workers wait for a processor cannot be told: %r", error)
                threads = {}
            now_s = trio.current_time()
            period_ns = round((now_s - self._looked_s) * _SECOND_NS)
            self._accounts, waited_ns = accounted(self._accounts, threads, period_ns)
            self._waited_s += waited_ns / _SECOND_NS
            self._looked_s, self._due_s = now_s, now_s + LOOK_EVERY_S


def threads_below() -> dict[int, Thread]:
    """The threads of every process that this one started, and of those that they started. They come and go meanwhile:
    one that is gone is left out. Blocks, not on disks."""
    found: dict[int, Thread] = {}
    left, seen = list(_children(PROC / "self")), set[int]()
    while left:
        process = left.pop()
        if process not in seen:  # it may have got another parent meanwhile
            seen.add(process)
            place = PROC / str(process)
            left += _children(place)
            found |= dict(_threads_of(place))
    return found


def _tasks(process: Path) -> list[Path]:
    with suppress(OSError):
        return [process / "task" / name for name in os.listdir(process / "task")]
    return []


def _children(process: Path) -> Iterator[int]:
    for task in _tasks(process):
        with suppress(OSError, ValueError):
            yield from map(int, (task / "children").read_bytes().split())


def _threads_of(process: Path) -> Iterator[tuple[int, Thread]]:
    for task in _tasks(process):
        with suppress(OSError, ValueError, IndexError):
            ran, waited = (task / "schedstat").read_bytes().split()[:2]
            # The name of the program, in brackets, may hold anything.
            state = (task / "stat").read_bytes().rpartition(b")")[2].split()[0]
            yield int(task.name), Thread(int(ran), int(waited), state == b"R")
