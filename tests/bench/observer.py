"""Another process that looks at a path without pause and says when it sees a change: `observing` starts it.

Spoken over pipes, a line each: ``gone PATH`` in; ``watching`` out as soon as the old state was seen; the time in
nanoseconds out when the new one was. It ends with its standard input.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 120.0
WATCHING = "watching"


class Observer:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def watch(self, what: str, path: Path) -> None:
        """Returns when the observer has seen that it is not so yet."""
        assert self._process.stdin is not None
        print(what, path, file=self._process.stdin, flush=True)
        answer = self._line()
        if answer != WATCHING:
            raise RuntimeError(f"the observer says: {answer}")

    def seen_ns(self) -> int:
        return int(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def observing() -> Iterator[Observer]:
    command = [sys.executable, "-m", "tests.bench.observer"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Observer(process)
        finally:
            process.kill()


def exists(path: str) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True


def is_listed(path: str) -> bool:
    directory, _, name = path.rpartition("/")
    return name in os.listdir(directory)


LOOKS: dict[str, tuple[Callable[[str], bool], bool]] = {
    "there": (exists, True),
    "gone": (exists, False),
    "listed": (is_listed, True),
    "unlisted": (is_listed, False),
}
"""How to look, and what to wait for."""


def observe(line: str) -> Iterator[str]:
    what, _, path = line.partition(" ")
    look, wanted = LOOKS[what]
    deadline = time.monotonic() + LIMIT_S
    if look(path) == wanted:
        yield f"{path} is {what} already"
        return
    yield WATCHING
    while look(path) != wanted:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} is not {what} after {LIMIT_S:g} s")
    yield str(time.time_ns())


def main() -> None:
    for line in sys.stdin:
        for answer in observe(line.rstrip("\n")):
            print(answer, flush=True)


if __name__ == "__main__":
    main()
