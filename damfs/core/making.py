"""Files that were made, and maybe written and closed, before the catalog knew of them: they are entered together.

Applied like every command (one transaction, no await, no file). Crash rule: until it was applied each of them is noted
(`received_notes`), and start-up enters it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from damfs.catalog import arrivals
from damfs.core.commands import Execution
from damfs.core.media_types import media_of_name
from damfs.core.news import seen_new, tell
from damfs.model import Asset, AssetId, AssetState


@dataclass(frozen=True, slots=True)
class MadeFile:
    """``name`` is clean; ``closed``: it is whole."""

    asset: AssetId
    name: str
    mode: int
    at_ns: int
    size: int
    mtime_ns: int
    closed: bool


@dataclass(frozen=True, slots=True)
class EnterMade:
    """In the inbox, each under an id that was reserved for it."""

    files: Sequence[MadeFile]

    def apply(self, x: Execution) -> None:
        for each in self.files:
            media = media_of_name(each.name)
            asset = Asset(
                each.asset, each.name, media, AssetState.RECEIVING, False, each.closed, each.size, each.mtime_ns,
                each.mode, None,
            )  # fmt: skip
            arrivals.add_made(x.tx, asset, x.today, each.at_ns)
            tell(x.changes, "receiving", each.asset, seen_new(each.name, media, x.today, triaged=False))


@dataclass(frozen=True, slots=True)
class ReserveNumbers:
    """The first of so many ids of assets that are given by nobody but who asks."""

    number: int

    def apply(self, x: Execution) -> AssetId:
        return arrivals.reserve_numbers(x.tx, self.number)
