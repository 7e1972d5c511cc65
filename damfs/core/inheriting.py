"""A new file made under the name that an asset has just given up is described as that one is.

Applied like every command: one transaction, no await, no file.
"""

from __future__ import annotations

from dataclasses import dataclass

from damfs.catalog import remarks
from damfs.core.commands import Execution, known
from damfs.core.ingest import move_tags
from damfs.core.news import seen, tell
from damfs.model import AssetId


@dataclass(frozen=True, slots=True)
class Inherit:
    """The heir carries the terms, and says the remarks, of an asset that keeps its own."""

    source: AssetId
    heir: AssetId

    def apply(self, x: Execution) -> None:
        known(x, self.source)
        known(x, self.heir)
        before = seen(x.tx, self.heir)
        move_tags(x, self.source, self.heir)
        remarks.carry_over(x.tx, self.source, self.heir, wins=False)
        tell(x.changes, "inherited", self.heir, before, seen(x.tx, self.heir), detail={"from": self.source})
