"""Accepts or refuses many suggestions, a hundred at a time.

Each hundred is one transaction of some milliseconds; all of them are one group to undo. Concurrency: on the loop, which
runs on between the transactions. Crash rule: what was committed stays judged; asked again, it goes on with the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from damfs.catalog import proposals
from damfs.core.commands import Execution
from damfs.core.library import Library
from damfs.core.suggesting import AcceptProposal, RefuseProposal
from damfs.model import AssetId, TermId

AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class JudgePart:
    """How many of them were still suggested, and are judged now."""

    suggested: Sequence[tuple[AssetId, TermId]]
    accept: bool

    def apply(self, x: Execution) -> int:
        kind = AcceptProposal if self.accept else RefuseProposal
        there = [pair for pair in self.suggested if proposals.proposal(x.tx, *pair) is not None]
        for asset, term in there:
            kind(asset, term).apply(x)
        return len(there)


async def judge_all(library: Library, suggested: Sequence[tuple[AssetId, TermId]], actor: str, *, accept: bool) -> int:
    """How many were judged: without those that are not suggested any more when it is their turn."""
    total, group = 0, library.new_group()
    for start in range(0, len(suggested), AT_ONCE):
        part = suggested[start : start + AT_ONCE]
        total += library.perform(JudgePart(part, accept), actor, group=group)
        await trio.lowlevel.checkpoint()
    return total
