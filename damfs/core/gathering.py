"""Brings runs together that wait for one worker at the same time, so that a model is asked once for many of them.

Concurrency: on the loop; ``at_once`` calls at a time. Whoever gets the worker first takes the others of its kind
along and hands them what became of theirs. Crash rule: a call of several that dies or hangs is done again one by one,
so that one bad file fails alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import trio

K = TypeVar("K")
W = TypeVar("W")
A = TypeVar("A")


@dataclass(slots=True, eq=False)
class _Waiting(Generic[K, W, A]):
    kind: K
    work: W
    answers: list[A] = field(default_factory=list)
    """The one answer, once it is there."""
    alone: bool = False
    """It was part of a call that broke."""


class Gathering(Generic[K, W, A]):
    """``together`` answers for each of several works; ``broke`` says whether its error may be the fault of one."""

    def __init__(
        self,
        together: Callable[[K, Sequence[W]], Awaitable[Sequence[A]]],
        broke: tuple[type[BaseException], ...],
        at_once: int = 1,
    ) -> None:
        self._together = together
        self._broke = broke
        self._turn = trio.CapacityLimiter(at_once)
        self._waiting: list[_Waiting[K, W, A]] = []
        self.calls = 0

    async def run(self, kind: K, work: W, most: int) -> A:
        """What became of one work, which may go together with ``most`` - 1 others of its kind."""
        own: _Waiting[K, W, A] = _Waiting(kind, work)
        self._waiting.append(own)
        try:
            async with self._turn:
                if not own.answers:
                    await self._lead(own, most)
        finally:
            if own in self._waiting:
                self._waiting.remove(own)
        return own.answers[0]

    async def _lead(self, own: _Waiting[K, W, A], most: int) -> None:
        batch = [own, *self._others_like(own)[: most - 1]]
        try:
            await self._ask(batch)
        except self._broke:
            if len(batch) == 1:
                raise
            for each in batch:
                each.alone = True
            await self._ask([own])  # the others take their turns

    def _others_like(self, own: _Waiting[K, W, A]) -> list[_Waiting[K, W, A]]:
        if own.alone:
            return []
        return [
            each
            for each in self._waiting
            if each is not own and each.kind == own.kind and not (each.answers or each.alone)
        ]

    async def _ask(self, batch: Sequence[_Waiting[K, W, A]]) -> None:
        self.calls += 1
        answers = await self._together(batch[0].kind, [each.work for each in batch])
        for each, answer in zip(batch, answers, strict=True):
            each.answers.append(answer)
