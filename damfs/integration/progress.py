"""Progress of long commands on the terminal: bars with rate and time left; plain silence where nobody looks.

Blocks; standard error only, so that answers can be piped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from damfs.core.model_report import ModelStatus
from damfs.core.status_report import JobCount, Status
from damfs.integration.wire import Progress as Step

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

ASK_EVERY_S = 0.5
SETTLED_ASKS = 2
"""So many answers in a row must say that nothing is left: a last close may just be on its way."""


@contextmanager
def shown(*, quiet: bool) -> Iterator[Callable[[Step], None]]:
    """A report function that moves a bar."""
    if quiet:
        yield lambda _: None
        return
    with _bars("{task.fields[rate]}") as bars:
        began = time.monotonic()
        task = bars.add_task("starting", total=None, rate="")

        def report(step: Step) -> None:
            seconds = max(0.001, time.monotonic() - began)
            rate = rate_of(step, seconds)
            total, done = (step.size or step.total, step.size_done if step.size else step.done)
            words = (
                f"{step.what}: {step.done} %"
                if step.unit == "%"
                else f"{step.what}: {step.done:,} of {step.total:,} {step.unit}"
                if step.total
                else f"{step.what}: {step.done:,} found"
                if step.done
                else step.what
            )
            bars.update(task, description=words, total=total or None, completed=done, rate=rate)

        yield report


def rate_of(step: Step, seconds: float) -> str:
    speed = step.size_done / seconds / 1e6
    if step.size:
        return f"{speed:,.{0 if speed >= 10 else 1}f} MB/s" if speed >= 0.1 else f"{1000 * speed:,.0f} kB/s"
    return f"{step.done / seconds:,.1f} {step.unit}/s" if step.total else ""


def wait_until_done(ask: Callable[[], Status], *, show: bool) -> Status:
    """Ask again and again, with a bar for each processor, until nothing is left to do."""
    with _bars("{task.fields[rate]}") if show else _nothing() as bars:
        tasks: dict[str, tuple[object, float, int]] = {}
        settled = 0
        while True:
            status = ask()
            for count in status.jobs if bars is not None else ():
                assert bars is not None
                _move(bars, tasks, count)
            settled = settled + 1 if is_settled(status) else 0
            if settled >= SETTLED_ASKS or (status.mountpoint is None and status.to_do):
                return status
            time.sleep(ASK_EVERY_S)  # noqa: TID251  # the CLI has no event loop


def wait_for_model(ask: Callable[[], ModelStatus], *, show: bool) -> ModelStatus:
    """Ask again and again until the wanted model answers and all is embedded, or it is clear that it cannot be."""
    with _bars("{task.fields[rate]}") if show else _nothing() as bars:
        task = None if bars is None else bars.add_task("embedding", total=None, rate="")
        while True:
            status = ask()
            if bars is not None and task is not None:
                rate = f"{status.per_second:,.1f}/s" if status.per_second else ""
                words = f"{status.wanted}: {status.done:,} of {status.steps:,}"
                bars.update(task, description=words, total=status.steps or None, completed=status.done, rate=rate)
            if status.settled or not status.mounted:
                return status
            time.sleep(ASK_EVERY_S)  # noqa: TID251  # as above


def is_settled(status: Status) -> bool:
    return not (status.to_do or status.unsettled or status.scanning)


def _move(bars: Bars, tasks: dict[str, tuple[object, float, int]], count: JobCount) -> None:
    ended = count.done + count.failed
    total = ended + count.waiting + count.running
    if count.processor not in tasks:
        tasks[count.processor] = (bars.add_task(count.processor, total=total, rate=""), time.monotonic(), ended)
    task, began, first = tasks[count.processor]
    rate = (ended - first) / max(0.001, time.monotonic() - began)
    words = f"{count.processor}: {ended:,} of {total:,}" + (f", {count.failed:,} failed" if count.failed else "")
    bars.update(task, description=words, total=total, completed=ended, rate=f"{rate:,.1f}/s")  # type: ignore[arg-type]  # rich's TaskID is an int of its own


@contextmanager
def _bars(extra: str) -> Iterator[Bars]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn(extra), TimeRemainingColumn())
    bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    if not console.is_terminal:
        yield bars  # never started: rich would end it with an empty line
        return
    with bars:
        yield bars


@contextmanager
def _nothing() -> Iterator[None]:
    yield None
