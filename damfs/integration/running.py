"""Running the loop for one command: what ends it is told as itself, be it an error or an interrupt. Blocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple, Unpack

R = TypeVar("R")
A = TypeVarTuple("A")


def run(work: Callable[[Unpack[A]], Awaitable[R]], *given: *A) -> R:
    """Raises what ``work`` raises; KeyboardInterrupt where that is among it."""
    import trio  # most commands ask a daemon and need no loop

    try:
        answer: R = trio.run(work, *given)
    except BaseExceptionGroup as group:
        interrupted = group.subgroup(KeyboardInterrupt)
        raise first_of(interrupted or group) from None
    return answer


def first_of(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
