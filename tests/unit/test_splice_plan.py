"""Which frames of a piece are copied: by hand, and of any order in which frames may be stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damfs.core.processors import nal_units
from damfs.core.processors.splice_plan import NotSplicable, Stored, plan_of


def stored(order: str) -> list[Stored]:
    """``I0 P3 b1 b2 I6``: a capital I resets a decoder, a small one is a key frame that does not."""
    return [Stored(int(word[1:]) * 10, word[0] in "Ii", word[0] == "I") for word in order.split()]


ORDER = stored("I0 P3 b1 b2 I6 b4 b5 P9 b7 b8 P12 b10 b11 I15 b13 b14")


@pytest.mark.parametrize(
    ("span", "head", "copied", "tail"),
    [
        ((0, 160), [], [0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11, 15, 13, 14], []),
        ((0, 80), [], [0, 3, 1, 2, 6, 4, 5], [7]),
        ((20, 120), [2, 3, 4, 5], [6, 9, 7, 8], [10, 11]),
        ((60, 70), [], [6], []),
        ((60, 90), [], [6], [7, 8]),
    ],
)
def test_the_run_between_is_copied(span: tuple[int, int], head: list[int], copied: list[int], tail: list[int]) -> None:
    plan = plan_of(ORDER, *span)
    assert [[pts // 10 for pts in part] for part in (plan.head, plan.copied, plan.tail)] == [head, copied, tail]
    assert plan.encoded == len(head) + len(tail)


def test_a_key_frame_that_resets_nothing_may_begin_a_piece_but_not_follow_a_head() -> None:
    order = stored("I0 P3 b1 b2 i6 b4 b5 P9 b7 b8")
    assert [pts // 10 for pts in plan_of(order, 60, 100).copied] == [6, 9, 7, 8]
    with pytest.raises(NotSplicable, match="no key frame"):
        plan_of(order, 50, 100)


@pytest.mark.parametrize("order", ["", "I0 P1 P1 P2", "P0 P1"])
def test_what_has_no_order_or_no_key_frame_is_not_spliced(order: str) -> None:
    with pytest.raises(NotSplicable):
        plan_of(stored(order), 0, 40)


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 5), st.data())
def test_every_frame_is_in_one_part_and_is_decoded_in_time(
    groups: int, runs: int, between: int, data: st.DataObject
) -> None:
    """Groups of an I frame and runs of one P frame with B frames before it."""
    order, at = [], 0
    for _ in range(groups):
        order.append(Stored(at, True, data.draw(st.booleans()) or at == 0))
        for _ in range(runs):
            order += [Stored(at + between + 1), *(Stored(at + n) for n in range(1, between + 1))]
            at += between + 1
        at += 1
    first = data.draw(st.integers(0, at - 1))
    end = data.draw(st.integers(first + 1, at))
    try:
        plan = plan_of(order, first, end)
    except NotSplicable:
        assert not any(packet.resets and first <= packet.pts < end for packet in order)
        return
    assert sorted([*plan.head, *plan.copied, *plan.tail]) == list(plan.shown) == list(range(first, end))
    decoded = [plan.decoded[pts] for pts in (*plan.head, *plan.copied, *plan.tail)]
    assert decoded == sorted(set(decoded))
    assert all(plan.decoded[pts] <= pts for pts in plan.shown)
    places = [packet.pts for packet in order]
    assert [places.index(pts) for pts in plan.copied] == sorted(places.index(pts) for pts in plan.copied)


def test_units_are_found_in_both_spellings() -> None:
    units = [bytes((0x67, 1, 2)), bytes((0x68, 3)), bytes((0x65, 0, 0, 3, 1))]
    packed = b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)
    assert list(nal_units.units_of(packed, 4)) == list(nal_units.units_of(nal_units.with_starts(units), 0)) == units
    assert list(nal_units.units_of(packed[:-2], 4))[:2] == units[:2]
    assert list(nal_units.units_of(b"", 0)) == []


@pytest.mark.parametrize(
    ("unit", "number"),
    [(bytes((0x67, 100, 0, 12, 0b1_0000000)), 0), (bytes((0x68, 0b010_00000)), 1), (bytes((0x68, 0b00101_000)), 4)],
)
def test_parameter_sets_go_by_numbers(unit: bytes, number: int) -> None:
    assert nal_units.number_of(unit) == number
    assert nal_units.free_number([unit]) == 31
    assert nal_units.free_number([bytes((0x68, 0, 0, 0b0000_0001, 0, 0))]) in range(32)
