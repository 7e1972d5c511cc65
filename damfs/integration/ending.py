"""How a command ends before it is done: by Ctrl-C, or a signal that means as much (kill, a terminal that is closed).

Main thread. The first of these signals ends it as KeyboardInterrupt does, so that what is half done is cleared away;
further ones are not heeded (a closed terminal sends several), SIGKILL is.
"""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import click

LIKE_INTERRUPT = (signal.SIGTERM, signal.SIGHUP)
KILLED = 128
"""Plus the number of the signal: the exit code by which shells tell it."""
_came: list[int] = []


def heed() -> None:
    """From now on; not a signal that whoever started the command has it ignore (nohup)."""
    for number in LIKE_INTERRUPT:
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, _end)


def heeded() -> list[signal.Signals]:
    return [number for number in LIKE_INTERRUPT if signal.getsignal(number) == _end]


def came(number: int) -> bool:
    """Whether it is the first."""
    _came.append(number)
    return len(_came) == 1


def interrupted(told: str) -> NoReturn:
    with suppress(OSError):  # the terminal may be gone
        click.echo(told, err=True)
    sys.exit(KILLED + (_came[0] if _came else signal.SIGINT))


def _end(number: int, _: FrameType | None) -> None:
    if came(number):
        raise KeyboardInterrupt
