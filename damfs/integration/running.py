"""Running the loop for one command: what ends it is told as itself, be it an error or an interrupt. Blocks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar, TypeVarTuple, Unpack

from damfs.integration import ending

R = TypeVar("R")
A = TypeVarTuple("A")


def run(work: Callable[[Unpack[A]], Awaitable[R]], *given: *A) -> R:
    """Raises what ``work`` raises; KeyboardInterrupt where that is among it, also for other signals that end it."""
    import trio  # most commands ask a daemon and need no loop

    signals = ending.heeded()
    try:
        answer: R = trio.run(_watched, signals, work, *given) if signals else trio.run(work, *given)
    except BaseExceptionGroup as group:
        interrupted = group.subgroup(KeyboardInterrupt)
        raise first_of(interrupted or group) from None
    return answer


async def _watched(signals: Sequence[int], work: Callable[[Unpack[A]], Awaitable[R]], *given: *A) -> R:
    """A handler of ours would raise in the middle of the loop's own work."""
    import trio

    made: list[R] = []
    with trio.open_signal_receiver(*signals) as coming:
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                async for number in coming:
                    if ending.came(number):
                        raise KeyboardInterrupt

            nursery.start_soon(end)
            made.append(await work(*given))
            nursery.cancel_scope.cancel()
    return made[0]


def first_of(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
