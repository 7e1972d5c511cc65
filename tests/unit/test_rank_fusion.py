"""One order from several: what is near the top of more of them comes first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damfs.core.rank_fusion import K, fused

ORDERS = st.lists(st.lists(st.integers(0, 20), unique=True, max_size=12), min_size=1, max_size=4)


def test_what_several_orders_hold_beats_what_one_has_first() -> None:
    assert [item for item, _ in fused([["a", "b", "c"], ["d", "b", "e"]])] == ["b", "a", "d", "c", "e"]


def test_the_best_in_every_order_has_the_score_one() -> None:
    (best, score), (_, second) = fused([["a", "b"], ["a", "b"]])
    assert (best, score) == ("a", 1.0)
    assert second == pytest.approx((K + 1) / (K + 2))


def test_one_order_stays_as_it_is() -> None:
    assert [item for item, _ in fused([[5, 3, 9]])] == [5, 3, 9]
    assert fused([[]]) == []


@given(ORDERS)
def test_everything_is_in_it_once_and_scores_fall(orders: list[list[int]]) -> None:
    found = fused(orders)
    assert {item for item, _ in found} == {item for order in orders for item in order}
    assert len(found) == len(dict(found))
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)
    for order in orders:
        places = [item for item, _ in fused([order])]
        assert places == order
