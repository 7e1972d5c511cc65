"""Received files wait while more come: until a pause, a bound, or somebody who needs one."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from damfs.core.gathering_closed import BUSY_S, MOST, MOST_BYTES, PATIENCE_S, QUIET_S, Gathering
from damfs.model import AssetId


def nothing() -> None:
    """Nobody waits."""


def filled(number: int, size: int | None = 1) -> Gathering:
    made = Gathering()
    for id_ in range(1, number + 1):
        made.add(AssetId(id_), nothing, size)
    return made


async def coming(gathering: Gathering, every_s: float) -> None:
    while True:
        await trio.sleep(every_s)
        gathering.stirred += 1


async def seconds_until_gathered(gathering: Gathering, every_s: float | None = None) -> float:
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        if every_s is not None:
            nursery.start_soon(coming, gathering, every_s)
        await gathering.gathered()
        nursery.cancel_scope.cancel()
    return trio.current_time() - began


async def test_one_by_itself_waits_for_a_moment(autojump_clock: trio.testing.MockClock) -> None:
    assert await seconds_until_gathered(filled(1)) == pytest.approx(QUIET_S)


async def test_while_more_come_they_wait_but_not_for_ever(autojump_clock: trio.testing.MockClock) -> None:
    assert await seconds_until_gathered(filled(1), BUSY_S / 10) == pytest.approx(PATIENCE_S)
    assert await seconds_until_gathered(filled(1), 2 * BUSY_S) < 2 * BUSY_S, "that was a pause"


async def test_too_many_or_too_much_of_them_does_not_wait(autojump_clock: trio.testing.MockClock) -> None:
    for gathering in (filled(MOST), filled(2, MOST_BYTES), filled(1, None)):
        assert await seconds_until_gathered(gathering, BUSY_S / 10) == 0
        assert await gathering.gathered() == len(gathering)
        waited_s = await seconds_until_gathered(gathering, BUSY_S / 10)
        assert waited_s == pytest.approx(PATIENCE_S), "what comes next may wait again"


async def test_who_waits_for_one_gets_it_first(autojump_clock: trio.testing.MockClock) -> None:
    gathering = filled(10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(coming, gathering, BUSY_S / 10)
        await trio.sleep(QUIET_S / 2)
        gathering.hurry(AssetId(7))
        assert await seconds_until_gathered(gathering) == 0
        nursery.cancel_scope.cancel()
    assert list(gathering.take(3)) == [7, 1, 2]
    gathering.hurry(AssetId(1))  # is taken already
    assert list(gathering.take(100)) == [3, 4, 5, 6, 8, 9, 10]
    assert len(gathering) == 0


async def test_all_are_asked_for_at_the_end(autojump_clock: trio.testing.MockClock) -> None:
    gathering = filled(10)
    gathering.hurry_all()
    assert await seconds_until_gathered(gathering, BUSY_S / 10) == 0


def test_bytes_are_counted_down_again() -> None:
    gathering = filled(3, MOST_BYTES // 4)
    gathering.take(3)
    for id_ in range(4, 7):
        gathering.add(AssetId(id_), nothing, MOST_BYTES // 4)
    assert not gathering.pressed
