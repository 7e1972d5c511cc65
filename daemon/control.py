"""The control socket: commands of the CLI reach the running daemon here.

Concurrency: one task for each connection; a request runs on the loop. The socket lies in the library's state
directory and is readable by its owner only. Crash rule: a socket left behind is replaced at the next start.
"""

from __future__ import annotations

import functools
import logging
import os
import socket
from contextlib import suppress
from pathlib import Path

import trio

from damfs.errors import DamfsError
from damfs.integration.client import SOCKET, short_path
from damfs.integration.service import Service
from damfs.integration.wire import LINE_LIMIT, Answer, Failure, Progress, Reply, Request, decode_request, encode

log = logging.getLogger(__name__)

DECODED_INLINE = 100_000
"""Bytes of a request that are decoded on the loop: they take less than a millisecond."""


async def serve_control(
    state: Path, service: Service, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Answer until cancelled."""
    listener = _listener(state)
    try:
        await trio.serve_listeners(
            functools.partial(_converse, service), [trio.SocketListener(listener)], task_status=_Started(task_status)
        )
    finally:
        (state / SOCKET).unlink(missing_ok=True)


class _Started:
    """trio.serve_listeners tells its listeners; nobody here wants them."""

    def __init__(self, task_status: trio.TaskStatus[None]) -> None:
        self._task_status = task_status

    def started(self, _: object = None) -> None:
        self._task_status.started()


def _listener(state: Path) -> trio.socket.SocketType:
    (state / SOCKET).unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        with short_path(state) as short:
            made.bind(f"{short}/{SOCKET}")
    finally:
        os.umask(before)
    made.listen(16)
    return trio.socket.from_stdlib_socket(made)


async def _converse(service: Service, stream: trio.SocketStream) -> None:
    """One request, its progress, its answer. A peer that goes away ends its request's report, nothing else."""
    try:
        line = await _line(stream)
        service.catch_up()
        await _answer(service, stream, line)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        log.info("a client went away before its answer")
    except Exception:  # an error never ends the mount (P8)
        log.exception("a conversation with a client failed unexpectedly")


async def _line(stream: trio.SocketStream) -> bytes:
    received = bytearray()
    while len(received) < LINE_LIMIT:
        part = await stream.receive_some(65536)
        received += part
        if not part or b"\n" in part:
            break
    return bytes(received).partition(b"\n")[0]


async def _decoded(line: bytes) -> Request | None:
    """A whole vocabulary takes a while."""
    return await trio.to_thread.run_sync(decode_request, line) if len(line) > DECODED_INLINE else decode_request(line)


async def _answer(service: Service, stream: trio.SocketStream, line: bytes) -> None:
    request = await _decoded(line)
    if request is None:
        await stream.send_all(encode(Failure("Refused", "not understood; do damfs and its daemon have one version?")))
        return
    send, receive = trio.open_memory_channel[Progress](1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_forward, stream, receive)
        with send:
            reply = await _reply(service, request, functools.partial(_offer, send))
    await stream.send_all(encode(reply))
    service.answered(request)


def _offer(send: trio.MemorySendChannel[Progress], progress: Progress) -> None:
    """The newest is worth sending only when the one before went out: nothing piles up."""
    with suppress(trio.WouldBlock):
        send.send_nowait(progress)


async def _forward(stream: trio.SocketStream, receive: trio.MemoryReceiveChannel[Progress]) -> None:
    """Nobody may be there to listen any more: the work goes on."""
    async for progress in receive:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await stream.send_all(encode(progress))


async def _reply(service: Service, request: Request, report: functools.partial[None]) -> Reply:
    try:
        return Answer(await service.answer(request, report))
    except DamfsError as error:
        return Failure(type(error).__name__, str(error))
    except Exception:
        log.exception("a request failed unexpectedly")
        return Failure("DamfsError", "the daemon met an unexpected error; its log (state/daemon.log) has the details")
