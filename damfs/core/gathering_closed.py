"""Which received files wait to be sealed, and until when: while more keep coming, who copies them comes first.

Sealing costs as much as receiving, and nobody waits for it: so it waits for a pause in what comes, for bounds on how
many files and bytes are left in staging, or for somebody who needs one of them. Concurrency: on the loop. Crash rule:
nothing is kept here; what waits is staged and closed, which start-up finds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from damfs.model import AssetId

Done = Callable[[], object]

QUIET_S = 0.02
BUSY_S = 0.1
"""A pause, after which files are sealed: for one by itself, and while many come."""
PATIENCE_S = 15.0
"""So long at most a closed file waits for a pause. File systems leave bytes in memory for longer."""
MOST = 4096
MOST_BYTES = 256 << 20
"""So many files, and so much of them, wait at most."""


@dataclass(slots=True)
class Gathering:
    """``stirred``: counts what makes it look as if more were to come."""

    stirred: int = 0
    _patient: dict[AssetId, tuple[Done, int]] = field(default_factory=dict)
    _urgent: dict[AssetId, Done] = field(default_factory=dict)
    _bytes: int = 0
    _hurry: trio.Event = field(default_factory=trio.Event)

    def __len__(self) -> int:
        return len(self._urgent) + len(self._patient)

    def add(self, asset: AssetId, done: Done, size: int | None) -> None:
        """``size``: of one that can wait while others come; None: somebody may be waiting for it."""
        self.stirred += 1
        if size is None or asset in self._urgent:
            self._urgent[asset] = done
            self._hurry.set()
        else:
            self._patient[asset] = done, size
            self._bytes += size
            if len(self._patient) >= MOST or self._bytes >= MOST_BYTES:
                self._hurry.set()

    def hurry(self, asset: AssetId) -> None:
        """Somebody waits for it."""
        if asset in self._patient:
            self._urgent[asset] = self._take(asset)
            self._hurry.set()

    def hurry_all(self) -> None:
        self._hurry.set()

    def take(self, most: int) -> dict[AssetId, Done]:
        """The next ones, those first for which somebody waits."""
        taken = {asset: self._urgent.pop(asset) for asset in list(self._urgent)[:most]}
        for asset in list(self._patient)[: most - len(taken)]:
            taken[asset] = self._take(asset)
        return taken

    def _take(self, asset: AssetId) -> Done:
        done, size = self._patient.pop(asset)
        self._bytes -= size
        return done

    @property
    def pressed(self) -> bool:
        """Whether what there is may not wait."""
        return self._hurry.is_set()

    async def gathered(self) -> int:
        """Until nothing more comes for a moment, or what there is may not wait; how many there are then."""
        with trio.move_on_after(PATIENCE_S):
            stirred, quiet_s = self.stirred, QUIET_S
            while not self.pressed and await self._stirred_within(quiet_s, stirred):
                stirred, quiet_s = self.stirred, BUSY_S
        self._hurry = trio.Event()
        return len(self)

    async def _stirred_within(self, quiet_s: float, stirred: int) -> bool:
        """Whether anything came, after a while."""
        with trio.move_on_after(quiet_s):
            await self._hurry.wait()
        return self.stirred != stirred
