"""What the requests do that look after a library: verify its files, check its catalog.

Runs on the loop of whoever owns the library. One verification at a time: two would only read everything twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec
import trio

from damfs.core.check import check, repair
from damfs.core.library import Library
from damfs.core.verify import verify
from damfs.core.verify_report import VerifyProgress
from damfs.errors import NotFound, Refused
from damfs.integration.wire import Check, Progress, Verify


class Care:
    def __init__(self, library: Library, *, mounted: bool) -> None:
        self._library = library
        self._mounted = mounted
        self._verifying = trio.Lock()

    async def answer(self, request: Verify | Check, report: Callable[[Progress], None]) -> object:
        if isinstance(request, Verify):
            return await self._verify(request, report)
        return await self._check(request)

    async def _verify(self, request: Verify, report: Callable[[Progress], None]) -> object:
        wanted = [store for store in self._library.stores() if request.store in {"", store.name}]
        if not wanted:
            raise NotFound(f'no store "{request.store}"; `damfs stores LIBRARY` lists them')
        if self._verifying.locked():
            raise Refused("the library is being verified already; wait until that has ended")

        def forward(progress: VerifyProgress) -> None:
            what = f"verifying {progress.store}"
            report(Progress(what, progress.files_read, progress.files, progress.size_read, progress.size))

        async with self._verifying:
            return msgspec.to_builtins(await verify(self._library, wanted, forward, request.limit_s or math.inf))

    async def _check(self, request: Check) -> object:
        if request.repair and self._mounted:
            raise Refused("a repair needs the library for itself; unmount it first (damfs umount MOUNTPOINT)")
        work = repair(self._library) if request.repair else check(self._library, at_rest=not self._mounted)
        return msgspec.to_builtins(await work)
