"""scenes: cuts and motion, as arithmetic over differences and found in real clips."""

from __future__ import annotations

from pathlib import Path

import pytest

from damfs.core.processors.processor import Subject
from damfs.core.processors.scene_list import MOST, Difference, SceneList
from damfs.core.processors.scenes import Scenes, minutes_of
from damfs.errors import BadMedia
from damfs.model import Facts, Media
from tests import sample_media
from tests.sample_media.edited import Take, edited

FRAME = 40_000_000
SECOND = 1_000_000_000


def listed(percents: list[float], cuts: set[int], step: int = FRAME) -> list[tuple[int, int, float]]:
    found = SceneList()
    for number, percent in enumerate(percents):
        found.add(Difference(number * step, percent, number in cuts))
    return [(scene.start_ns // step, scene.end_ns // step, scene.motion) for scene in found.closed()]


def test_scenes_follow_each_other_without_a_gap() -> None:
    scenes = listed([0.0] * 100, {30, 70})
    assert scenes == [(0, 30, 0.0), (30, 70, 0.0), (70, 100, 0.0)]


def test_cuts_that_are_close_are_one() -> None:
    assert [scene[:2] for scene in listed([0.0] * 60, {20, 22, 26, 40})] == [(0, 20), (20, 40), (40, 60)]
    assert [scene[:2] for scene in listed([0.0] * 30, {2})] == [(0, 30)]


def test_motion_is_of_the_scene_and_leaves_out_the_cut() -> None:
    still, moving = listed([0.0] * 50 + [60.0] + [4.0] * 49, {50})
    assert still[2] == 0
    assert moving[2] == pytest.approx(0.5)


def test_motion_does_not_depend_on_the_frame_rate() -> None:
    slow, fast = listed([6.0] * 25, set()), listed([3.0] * 50, set(), FRAME // 2)
    assert slow[0][2] == pytest.approx(fast[0][2])


def test_nothing_and_one_frame() -> None:
    assert SceneList().closed() == []
    assert listed([0.0], set()) == [(0, 1, 0.0)]


def test_a_flickering_clip_ends_in_one_long_scene() -> None:
    scenes = listed([30.0] * 20_000, set(range(5, 20_000, 6)))
    assert len(scenes) == MOST
    assert scenes[-1][1] == 20_000


def test_times_that_stand_still_are_no_motion() -> None:
    found = SceneList()
    for _ in range(5):
        found.add(Difference(0, 50.0, cut=False))
    assert found.closed()[0].motion == 0


def test_times_that_jump_back_leave_no_scene_that_ends_before_it_begins() -> None:
    found = SceneList()
    for number in [*range(40), *range(20), *range(90)]:
        found.add(Difference(number * FRAME, 1.0, cut=number in (0, 10, 30)))
    scenes = found.closed()
    assert all(scene.start_ns < scene.end_ns for scene in scenes)
    assert [scene.end_ns for scene in scenes[:-1]] == [scene.start_ns for scene in scenes[1:]]


def scenes_of(path: Path) -> Facts:
    return Scenes().run(path, path.parent, Subject(path.name, Media.VIDEO, path.stat().st_size)).facts


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mxf"])
def test_cuts_of_a_clip(tmp_path: Path, name: str) -> None:
    takes = [Take("black", 0.6), Take("beach", 0.8, swing=1), Take("city", 0.6), Take("mountains", 0.6, blur=6)]
    clip = sample_media.clips.MXF if name == "a.mxf" else sample_media.clips.H264
    facts = scenes_of(edited(tmp_path / name, takes, clip, size=(320, 180), source="", timecode=""))
    scenes = facts["scenes"]
    assert isinstance(scenes, list)
    assert [round(scene["start_ns"] / SECOND, 2) for scene in scenes] == [0, 0.6, 1.4, 2.0]
    assert round(scenes[-1]["end_ns"] / SECOND, 2) == 2.6
    motions = [scene["motion"] for scene in scenes]
    assert motions[1] > 0.25
    assert max(motions[0], motions[2], motions[3]) < 0.05
    assert (facts["frames"], facts["errors"]) == (65, 0)


def test_no_pictures_have_no_scenes(tmp_path: Path) -> None:
    with pytest.raises(BadMedia, match=r"a\.wav: no scenes: it holds no pictures"):
        scenes_of(sample_media.wav(tmp_path / "a.wav"))


@pytest.mark.parametrize(
    ("minutes", "size", "limit", "wanted"),
    [
        (19, (1920, 1080), 20, True), (21, (1920, 1080), 20, False), (6, (3840, 2160), 20, False),
        (60, (640, 360), 20, True), (1, (1920, 1080), 0, False), (0, (1920, 1080), 20, False),
    ],
)  # fmt: skip
def test_what_takes_long_is_declined(minutes: int, size: tuple[int, int], limit: float, wanted: bool) -> None:
    probed = {"media": "video", "duration_ns": minutes * 60 * SECOND, "width": size[0], "height": size[1]}
    subject = Subject("a.mov", Media.VIDEO, 1, {"probe": probed}, settings={"up_to_minutes": limit})
    assert Scenes().accepts(subject) is wanted


def test_what_the_probe_does_not_know_is_declined() -> None:
    assert minutes_of({}) == 0
    assert not Scenes().accepts(Subject("a.mov", Media.VIDEO, 1))
