"""One order from several: reciprocal rank fusion (Cormack, Clarke, Buettcher, SIGIR 2009). Pure.

Scores of different kinds (bm25, cosines of two spaces) cannot be compared; places in an order can.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TypeVar

K = 60
"""As in the paper: how much the first places are worth more than those that follow."""
T = TypeVar("T", bound=Hashable)


def fused(orders: Sequence[Sequence[T]]) -> list[tuple[T, float]]:
    """Everything that is in any of the orders (best first, each once), best first, with its score: 1.0 for what is
    first in all of them. Equal ones as they come in the earliest order."""
    told: dict[T, float] = {}
    for order in orders:
        for place, item in enumerate(order):
            told[item] = told.get(item, 0.0) + (K + 1) / (K + 1 + place)
    return sorted(((item, score / len(orders)) for item, score in told.items()), key=lambda pair: -pair[1])
