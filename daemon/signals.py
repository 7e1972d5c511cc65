"""Unix signals as calls on the event loop: TERM and INT stop, HUP reads the settings again, USR1 shows the stacks.

Runs until cancelled; the callbacks run on the loop, one at a time, and must not block. A second TERM or INT while
the daemon is stopping is passed on as well: what that means is the callback's to say.
"""

from __future__ import annotations

import logging
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType

import trio

log = logging.getLogger(__name__)

WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


def log_stacks() -> None:
    """Writes where every thread and every task of this trio run is to the log (level INFO)."""
    log.info("%s", "\n".join([*thread_stacks(), *task_stacks()]))


async def watch_signals(
    on_stop: Callable[[], object],
    on_reload: Callable[[], object],
    on_stacks: Callable[[], object] = log_stacks,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Started when the signals are ours. Must run in the main thread."""
    actions = {
        signal.SIGTERM: on_stop,
        signal.SIGINT: on_stop,
        signal.SIGHUP: on_reload,
        signal.SIGUSR1: on_stacks,
    }
    with trio.open_signal_receiver(*WATCHED) as received:
        task_status.started()
        async for number in received:
            name = signal.Signals(number).name
            log.info("received %s", name)
            actions[signal.Signals(number)]()


def thread_stacks() -> Iterator[str]:
    frames = sys._current_frames()  # noqa: SLF001 - the documented way to another thread's stack
    for thread in threading.enumerate():
        frame = frames.get(thread.ident or 0)
        if frame is not None:
            yield f"thread {thread.name}:\n{''.join(traceback.format_stack(frame))}"


def task_stacks() -> Iterator[str]:
    root = trio.lowlevel.current_root_task()
    if root is not None:
        yield from _stacks_below(root, 0)


def _stacks_below(task: trio.lowlevel.Task, depth: int) -> Iterator[str]:
    frames = [(frame, line) for frame, line in task.iter_await_frames() if not _is_trios_own(frame)]
    lines = [f"{frame.f_code.co_filename}:{line} in {frame.f_code.co_name}" for frame, line in reversed(frames)]
    yield "  " * depth + f"task {task.name}: " + " < ".join(lines)
    for nursery in task.child_nurseries:
        for child in sorted(nursery.child_tasks, key=lambda child: child.name):
            yield from _stacks_below(child, depth + 1)


def _is_trios_own(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith("trio.")
