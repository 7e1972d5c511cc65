"""A gate that many may pass together, or one alone: publishing files, and looking at what lies in the store.

Loop's thread only. Who wants to be alone is let in when those inside have left; others wait behind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio


class Gate:
    def __init__(self) -> None:
        self._inside = 0
        self._changed = trio.Condition()
        self._alone = trio.Lock()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        async with self._alone:
            self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            with trio.CancelScope(shield=True):
                async with self._changed:
                    self._changed.notify_all()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        async with self._alone, self._changed:
            while self._inside:
                await self._changed.wait()
            yield
