"""The command for the last close of a file that is being received: the most frequent one, beside its making.

Applied like every command (one transaction, no await, no file).
"""

from __future__ import annotations

from dataclasses import dataclass

from damfs.catalog import assets
from damfs.core.commands import Execution
from damfs.model import AssetId


@dataclass(frozen=True, slots=True)
class CloseReceived:
    """The last close of a file that is being received: from now on it is whole. No news: it looks as it did, and those
    that it becomes an asset follow. ``mtime_ns`` None: as it is."""

    asset: AssetId
    size: int
    mtime_ns: int | None

    def apply(self, x: Execution) -> None:
        assets.close(x.tx, self.asset, self.size, self.mtime_ns)
