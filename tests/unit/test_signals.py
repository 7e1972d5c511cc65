"""Real signals to this process, on a real trio run."""

from __future__ import annotations

import logging
import os
import signal
import threading

import pytest
import trio
import trio.testing

from daemon.signals import log_stacks, watch_signals


async def actions_after(*signals: signal.Signals) -> list[str]:
    """What was called for the signals, each sent after the last one was answered."""
    called: list[str] = []
    answered = trio.Event()

    def note(action: str) -> None:
        called.append(action)
        answered.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(watch_signals, lambda: note("stop"), lambda: note("reload"), lambda: note("stacks"))
        for number in signals:
            answered = trio.Event()
            os.kill(os.getpid(), number)
            with trio.fail_after(90):
                await answered.wait()
        nursery.cancel_scope.cancel()
    return called


async def test_each_signal_has_its_action() -> None:
    assert await actions_after(signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT) == [
        "reload",
        "stacks",
        "stop",
        "stop",
    ]


async def test_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    await actions_after(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


async def waits_for(event: trio.Event) -> None:
    await event.wait()


async def test_stacks_name_threads_and_tasks(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    busy = threading.Thread(target=release.wait, name="busy-with-a-disk")
    busy.start()
    done = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits_for, done)
        await trio.testing.wait_all_tasks_blocked()
        with caplog.at_level(logging.INFO):
            log_stacks()
        done.set()
    release.set()
    busy.join()
    assert "busy-with-a-disk" in caplog.text
    assert "in waits_for" in caplog.text
