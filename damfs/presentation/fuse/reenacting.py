"""The process that re-enacts changes on the mount (see `reenactor`), seen from the daemon: asked, awaited, ended.

Concurrency: loop's thread only, one request at a time. The process is started from the main thread, since it dies with
the thread that started it. Crash rule: nothing is kept.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

import trio

PROGRAM = Path(__file__).with_name("reenactor.py")


class Reenactor:
    """Running from the start of the block to its end."""

    def __init__(self) -> None:
        assert threading.current_thread() is threading.main_thread()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", os.fspath(PROGRAM), str(os.getpid())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/", start_new_session=True, bufsize=0,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = trio.lowlevel.FdStream(os.dup(self._process.stdin.fileno()))
        self._answers = trio.lowlevel.FdStream(os.dup(self._process.stdout.fileno()))
        self._process.stdin.close()
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, operation: str, path: bytes) -> int:
        """Its errno, 0 when it was done. Raises OSError, or trio's errors of streams, when the process is gone."""
        await self._requests.send_all(f"{operation} {path.hex()}\n".encode())
        said = b""
        while not said.endswith(b"\n"):
            part = await self._answers.receive_some()
            if not part:
                raise BrokenPipeError("the process that re-enacts changes ended")
            said += part
        return int(said)

    async def __aenter__(self) -> Reenactor:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """It may be in the middle of an operation, which the loop still answers; killed, it does not wait for that."""
        self._process.kill()
        with trio.CancelScope(shield=True):
            await self._requests.aclose()
            await self._answers.aclose()
            await trio.to_thread.run_sync(self._process.wait)
