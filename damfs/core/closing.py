"""The command for the last closes of files that are being received: the most frequent one, beside their making.

Applied like every command (one transaction, no await, no file).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from damfs.catalog import assets
from damfs.core.commands import Execution
from damfs.model import AssetId


@dataclass(frozen=True, slots=True)
class LastClose:
    """``mtime_ns`` None: as it is."""

    asset: AssetId
    size: int
    mtime_ns: int | None


@dataclass(frozen=True, slots=True)
class CloseReceived:
    """From now on the files are whole. No news: they look as they did, and those that they become assets follow."""

    closes: Sequence[LastClose]

    def apply(self, x: Execution) -> None:
        for each in self.closes:
            assets.close(x.tx, each.asset, each.size, each.mtime_ns)
