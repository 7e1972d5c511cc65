"""How a command reaches a library: through the daemon's control socket when one runs, else by opening it itself.

Blocks; for the CLI and scripts, not for the daemon.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from damfs import errors
from damfs.integration.wire import Answer, Failure, Progress, Request, decode_reply, encode

SOCKET = "control.sock"
Report = Callable[[Progress], None]


def call(library: Path, request: Request, report: Report = lambda _: None) -> object:
    """The answer to a request. Raises the damfs error that the library answered with."""
    connection = connect(library)
    if connection is None:
        return _call_here(library, request, report)
    return ask(connection, request, report)


def ask(connection: socket.socket, request: Request, report: Report = lambda _: None) -> object:
    """The daemon's answer; the connection is closed after it. Raises the damfs error that it answered with."""
    with connection, connection.makefile("rb") as replies:
        connection.sendall(encode(request))
        return _answer(replies, report)


def connect(library: Path) -> socket.socket | None:
    """A connection to the library's daemon; None when none runs."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with short_path(library / "state") as state:
            connection.connect(f"{state}/{SOCKET}")
    except OSError:
        connection.close()
        return None
    return connection


class short_path:  # noqa: N801  # used like a function: with short_path(directory) as name
    """A name of a directory that fits into a socket address, which holds 107 bytes only."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> str:
        self._fd = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}"

    def __exit__(self, *exception: object) -> None:
        os.close(self._fd)


def _answer(replies: BinaryIO, report: Report) -> object:
    for line in replies:
        reply = decode_reply(line)
        if isinstance(reply, Progress):
            report(reply)
        elif isinstance(reply, Answer):
            return reply.value
        else:
            raise _error(reply)
    raise errors.Unavailable("the daemon went away before it answered; look into state/daemon.log of the library")


def _error(failure: Failure) -> errors.DamfsError:
    kind = getattr(errors, failure.kind, errors.DamfsError)
    error: errors.DamfsError = kind(failure.text)
    return error


def _call_here(library: Path, request: Request, report: Report) -> object:
    from damfs.core.library import open_library  # takes most of a second to import: not for asking a daemon
    from damfs.integration.running import run
    from damfs.integration.service import Service

    async def answer() -> object:
        with open_library(library) as opened:
            return await Service(opened).answer(request, report)

    return run(answer)
