"""What is due: the pure plan of jobs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from damfs.core.pipeline import CircularNeeds, Planned, ordered, plan
from damfs.core.processors.processor import Output, Processor, Subject
from damfs.model import Media

CLIP = Subject("clip.mov", Media.VIDEO, 1000)
PROBED = Subject("clip.mov", Media.VIDEO, 1000, facts={"probe": {"width": 1920}})


def processor(
    name: str,
    needs: str = "",
    version: int = 1,
    priority: int = 50,
    accepts: Callable[[Subject], bool] = lambda _: True,
) -> Processor:
    def run(self: Processor, source: Path, out: Path, subject: Subject) -> Output:
        raise AssertionError("planning runs nothing")

    body = {
        "name": name,
        "version": version,
        "needs": frozenset(needs.split()),
        "priority": priority,
        "accepts": lambda self, subject: accepts(subject),
        "run": run,
    }
    made: Processor = type(name.title(), (Processor,), body)()
    return made


PROBE = processor("probe", priority=10)
PREVIEW = processor("preview", needs="probe", priority=20)
PROXY = processor("proxy", needs="probe", priority=80, accepts=lambda subject: "probe" in subject.facts)
EMBEDDING = processor("embedding", needs="preview", priority=60)
ALL = [EMBEDDING, PROXY, PREVIEW, PROBE]


def names(planned: tuple[Planned, ...]) -> list[str]:
    return [job.processor for job in planned]


def test_a_new_blob_starts_with_what_needs_nothing() -> None:
    assert plan(CLIP, {}, set(), ALL) == (Planned("probe", 1, 10),)


def test_done_work_makes_the_next_due_most_urgent_first() -> None:
    assert names(plan(PROBED, {"probe": 1}, set(), ALL)) == ["preview", "proxy"]
    assert names(plan(PROBED, {"probe": 1, "preview": 1}, {"proxy"}, ALL)) == ["embedding"]
    assert plan(PROBED, {"probe": 1, "preview": 1, "proxy": 1, "embedding": 1}, set(), ALL) == ()


def test_what_waits_is_not_planned_again_and_holds_up_what_needs_it() -> None:
    assert plan(CLIP, {}, {"probe"}, ALL) == ()


def test_a_declined_need_is_settled() -> None:
    declines = processor("preview", needs="probe", accepts=lambda _: False)
    assert names(plan(PROBED, {"probe": 1}, set(), [PROBE, declines, EMBEDDING])) == ["embedding"]


def test_a_need_that_declines_before_its_own_needs_are_done_is_not_settled() -> None:
    after_proxy = processor("upload", needs="proxy")
    assert not PROXY.accepts(CLIP)
    assert names(plan(CLIP, {}, set(), [PROBE, PROXY, after_proxy])) == ["probe"]
    assert names(plan(CLIP, {}, {"probe"}, [PROBE, PROXY, after_proxy])) == []


def test_a_new_version_plans_itself_again_and_nothing_else() -> None:
    done = {"probe": 1, "preview": 1, "embedding": 1}
    newer = processor("preview", needs="probe", version=2, priority=20)
    assert plan(PROBED, done, set(), [PROBE, newer, EMBEDDING]) == (Planned("preview", 2, 20),)


def test_what_was_not_done_waits_for_the_new_version_of_its_need() -> None:
    newer = processor("probe", version=2)
    assert names(plan(PROBED, {"probe": 1}, set(), [newer, PREVIEW])) == ["probe"]


def test_an_older_version_is_not_enough_either() -> None:
    """After a downgrade of damfs: facts of a newer processor may mean something else."""
    assert names(plan(PROBED, {"probe": 2}, set(), [PROBE, PREVIEW])) == ["probe"]


def test_a_need_that_is_not_installed_is_never_settled() -> None:
    assert plan(PROBED, {"probe": 1}, set(), [PREVIEW, EMBEDDING]) == ()


def test_each_is_asked_with_its_own_settings() -> None:
    asked: dict[str, object] = {}

    def remember(subject: Subject) -> bool:
        asked.update(subject.settings)
        return bool(subject.settings.get("enabled"))

    proxy = processor("proxy", accepts=remember)
    assert plan(CLIP, {}, set(), [proxy], {"proxy": {"enabled": False}, "other": {"x": 1}}) == ()
    assert asked == {"enabled": False}
    assert names(plan(CLIP, {}, set(), [proxy], {"proxy": {"enabled": True}})) == ["proxy"]


def test_a_processor_that_cannot_decide_is_planned_so_that_its_failure_shows() -> None:
    broken = processor("broken", accepts=lambda subject: bool(subject.facts["no such"]))
    assert {job.processor for job in plan(CLIP, {}, set(), [broken, PROBE])} == {"broken", "probe"}


def test_order_has_needs_first() -> None:
    found = [each.name for each in ordered(tuple(ALL))]
    assert found.index("probe") < found.index("preview") < found.index("embedding")
    assert found.index("probe") < found.index("proxy")
    assert len(found) == 4


def test_a_circle_is_one_clear_error() -> None:
    circle = [processor("a", needs="c"), processor("b", needs="a"), processor("c", needs="b")]
    with pytest.raises(CircularNeeds, match=r"processors that need each other can never run: ") as raised:
        ordered((PROBE, *circle))
    text = str(raised.value).split(": ")[1].split(" needs ")
    assert set(text) == {"a", "b", "c"}
    assert all({"a": "c", "b": "a", "c": "b"}[left] == right for left, right in pairwise(text))
