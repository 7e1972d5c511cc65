"""A model that is slow, broken or hanging costs a search only so much, and what comes late is kept for the next."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock

from damfs.core.query_vectors import LOADING, PENDING_LIMIT, REST_S, QueryVectors, Vectors
from damfs.errors import ModelUnavailable, Unavailable

LIMIT_S = 5.0


class Model:
    """Answers after some seconds, or raises."""

    def __init__(self, seconds: float, error: str = "") -> None:
        self.seconds, self.error, self.asked = seconds, error, list[str]()

    async def __call__(self, words: str) -> Vectors:
        self.asked.append(words)
        await trio.sleep(self.seconds)
        if self.error:
            raise ModelUnavailable(self.error)
        return {"m": words.encode()}


Taken = Callable[[str], object]


async def test_an_answer_in_time_is_kept(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    model = Model(1)
    vectors = QueryVectors(model, nursery, LIMIT_S)
    assert await vectors.of("sea") == {"m": b"sea"}
    assert await vectors.of("sea") == {"m": b"sea"}
    assert model.asked == ["sea"]
    assert vectors.trouble == ""


async def test_a_late_answer_is_there_for_the_next_search(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    vectors = QueryVectors(Model(8), nursery, LIMIT_S)
    began = trio.current_time()
    assert await vectors.of("sea") is None
    assert trio.current_time() - began == LIMIT_S
    assert vectors.trouble == LOADING
    assert vectors.is_pending("sea")
    await trio.sleep(4)
    assert await vectors.of("sea") == {"m": b"sea"}
    assert not vectors.is_pending("sea")


async def test_nobody_waits_for_a_model_that_others_waited_for(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    model = Model(1e6)
    vectors = QueryVectors(model, nursery, LIMIT_S)
    assert await vectors.of("first") is None
    began = trio.current_time()
    for number in range(3 * PENDING_LIMIT):
        assert await vectors.of(f"next {number}") is None
    assert trio.current_time() == began
    assert len(model.asked) == PENDING_LIMIT, "a silent model is not asked without end"
    nursery.cancel_scope.cancel()


async def test_a_model_that_cannot_be_had_is_asked_again_after_a_rest(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    model = Model(0.1, "it is missing")
    vectors = QueryVectors(model, nursery, LIMIT_S)
    assert await vectors.of("sea") is None
    assert vectors.trouble == "it is missing"
    assert await vectors.of("sky") is None
    assert model.asked == ["sea"]
    await trio.sleep(REST_S)
    model.error = ""
    assert await vectors.of("sky") == {"m": b"sky"}


async def test_another_model_is_asked_anew(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    model, spaces = Model(1), ["first"]
    vectors = QueryVectors(model, nursery, LIMIT_S, space=lambda: spaces[-1])
    assert await vectors.of("sea") is not None
    spaces.append("second")
    assert await vectors.of("sea") is not None
    assert model.asked == ["sea", "sea"]


async def test_another_model_has_no_part_in_the_trouble_of_the_one_before(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    model, spaces = Model(0.1, "it is missing"), ["first"]
    vectors = QueryVectors(model, nursery, LIMIT_S, space=lambda: spaces[-1])
    assert await vectors.of("sea") is None
    model.error = ""
    spaces.append("second")
    assert await vectors.of("sea") == {"m": b"sea"}
    assert vectors.trouble == ""


@pytest.mark.parametrize("after", ["first", "second"])
async def test_a_question_that_was_interrupted_is_asked_again(
    autojump_clock: MockClock, nursery: trio.Nursery, after: str
) -> None:
    """Also where the model that is left goes on answering until the other one is ready."""
    spaces, chosen, asked = ["first"], trio.Event(), list[str]()

    async def ask(words: str) -> Vectors:
        asked.append(spaces[-1])
        if not chosen.is_set():
            await chosen.wait()
            raise Unavailable("another model was chosen meanwhile; ask again")
        return {spaces[-1]: words.encode()}

    async def choose() -> None:
        await trio.sleep(1)
        chosen.set()
        spaces.append(after)
        vectors.forget()

    vectors = QueryVectors(ask, nursery, LIMIT_S, space=lambda: spaces[-1])
    nursery.start_soon(choose)
    assert await vectors.of("sea") == {after: b"sea"}
    assert (vectors.trouble, asked) == ("", ["first", after])
    assert await vectors.of("sky") == {after: b"sky"}


async def test_an_answer_of_the_model_before_that_comes_late_is_not_taken(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    slow, spaces = Model(8, "it broke"), ["first"]
    vectors = QueryVectors(slow, nursery, LIMIT_S, space=lambda: spaces[-1])
    assert await vectors.of("sea") is None
    spaces.append("second")
    vectors.ask = Model(1)
    assert await vectors.of("sea") == {"m": b"sea"}
    await trio.sleep(8)
    assert await vectors.of("sky") == {"m": b"sky"}
    assert vectors.trouble == ""
