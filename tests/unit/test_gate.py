"""Many pass a gate together; one who wants to be alone waits for them, and they for it."""

from __future__ import annotations

import trio
import trio.testing

from damfs.core.gate import Gate


async def test_many_are_inside_together() -> None:
    gate, inside = Gate(), trio.Event()

    async def second() -> None:
        async with gate.together():
            inside.set()

    async with gate.together(), trio.open_nursery() as nursery:
        nursery.start_soon(second)
        with trio.fail_after(90):
            await inside.wait()


async def test_alone_waits_for_those_inside_and_keeps_others_out() -> None:
    gate = Gate()
    seen: list[str] = []

    async def alone() -> None:
        async with gate.alone():
            seen.append("alone in")
            await trio.testing.wait_all_tasks_blocked()
            seen.append("alone out")

    async def late() -> None:
        async with gate.together():
            seen.append("late")

    async with trio.open_nursery() as nursery, gate.together():
        nursery.start_soon(alone)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(late)
        await trio.testing.wait_all_tasks_blocked()
        assert seen == []
    assert seen == ["alone in", "alone out", "late"]


async def test_a_cancelled_visitor_leaves_the_gate_free() -> None:
    gate = Gate()
    with trio.move_on_after(0):
        async with gate.together():
            await trio.sleep_forever()
    with trio.fail_after(90):
        async with gate.alone():
            pass
