"""How sure a model must be of a term to propose it, learned from what people accepted and refused. Pure.

The threshold is where the fewest of those judgements are on the wrong side: refused at or above it, accepted below it.
Raising it costs PATIENCE as well, as if so many had been accepted at the lowest confidence: one or two refusals say
nothing yet. It lies in the middle between two confidences that were judged; of several that are equally good the lowest
holds, so that nothing is kept from people without a reason.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

PATIENCE = 2


def threshold(accepted: Sequence[float], refused: Sequence[float]) -> float:
    """Confidence below which a term is not proposed; 0.0: none."""
    yes, no = sorted(accepted), sorted(refused)
    judged = sorted({*yes, *no, 1.0})
    between = [(low + high) / 2 for low, high in pairwise(judged)]

    def wrong(at: float) -> int:
        refused_above = len(no) - bisect_left(no, at)
        return refused_above + bisect_left(yes, at) + (PATIENCE if at > 0.0 else 0)

    return min([0.0, *between], key=wrong)
