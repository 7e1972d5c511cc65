"""Runs one function in a process of its own: a driver that crashes or stands still there takes nothing else with it.

Runs in worker processes; blocks. The child ends with the process that started it (which calls from its main thread),
and is killed when it has neither read nor written a byte for so long. Function, arguments and answer are pickled:
functions are known by their names. Drivers reserve more addresses than a worker may have; the child is held to the same
number of bytes of memory in use instead.
"""

from __future__ import annotations

import ctypes
import os
import pickle
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import TypeVar, TypeVarTuple, Unpack

R = TypeVar("R")
A = TypeVarTuple("A")
LOOK_EVERY_S = 0.1
PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """In words."""


def call(function: Callable[[Unpack[A]], R], *given: *A, stalled_s: float) -> R:
    """What the function answers there. Raises Failed for whatever goes wrong."""
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as answered:
        asked.write(pickle.dumps((function, given)))
        asked.seek(0)
        command = [sys.executable, "-P", "-m", __name__, str(os.getpid()), str(answered.fileno())]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with subprocess.Popen(command, stdin=asked, env=env, pass_fds=(answered.fileno(),)) as child:
            try:
                code = _watched(child, stalled_s)
            finally:
                child.kill()
        if code:
            raise Failed(
                f"it crashed ({signal.Signals(-code).name})" if code < 0 else f"it ended with exit code {code}"
            )
        answered.seek(0)
        well, answer = pickle.load(answered)
    if not well:
        raise Failed(answer)
    found: R = answer
    return found


def _watched(child: subprocess.Popen[bytes], stalled_s: float) -> int:
    """Its exit code. Raises Failed when it stands still."""
    moved, still = _moved(child.pid), 0.0
    while True:
        try:
            return child.wait(LOOK_EVERY_S)
        except subprocess.TimeoutExpired:
            now = _moved(child.pid)
            still = still + LOOK_EVERY_S if now == moved and now else 0.0
            moved = now
        if still > stalled_s:
            raise Failed(f"it stood still for {stalled_s:g} s")


def _moved(pid: int) -> str:
    """How many bytes it has read and written; '' where that is not told."""
    try:
        with open(f"/proc/{pid}/io", encoding="ascii") as file:
            return "".join(line for line in file if line.startswith(("rchar", "wchar")))
    except OSError:
        return ""


def main(parent: int, answered: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    _allow_addresses()
    function, given = pickle.load(sys.stdin.buffer)
    os.dup2(2, 1)  # what drivers print
    answer: tuple[bool, object]
    try:
        answer = True, function(*given)
    except Exception as error:  # noqa: BLE001 - it crosses as text, whatever it is
        said = getattr(error, "strerror", None) or str(error) or type(error).__name__
        answer = False, " ".join(str(said).split())
    with os.fdopen(answered, "wb") as file:
        pickle.dump(answer, file)


def _allow_addresses() -> None:
    allowed, most = resource.getrlimit(resource.RLIMIT_AS)
    if allowed != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, resource.getrlimit(resource.RLIMIT_DATA)[1]))
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
