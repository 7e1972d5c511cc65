"""Cuts between dark scenes, and what is none: how many are found, of how many, and how many that are not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from damfs.core.processors.cut_finder import AROUND, CutFinder, Look, Plane
from damfs.core.processors.processor import Subject
from damfs.core.processors.scene_list import Difference
from damfs.core.processors.scenes import Scenes
from damfs.model import Media
from tests import sample_media
from tests.sample_media.edited import Take, edited, pictures_of

FRAME_NS = 40_000_000
SIZE = (320, 180)
NIGHT, MOONLESS = 0.12, 0.06


def squares(picture: Image.Image, noise: float = 0.0, seed: int = 0) -> Plane:
    """As the processor sees it."""
    small = np.asarray(picture.convert("L").resize((160, 90), Image.Resampling.BOX), np.float32)
    small = np.round(small + np.random.default_rng(seed).normal(0, noise, small.shape))
    return np.asarray(small.reshape(18, 5, 32, 5).mean(axis=(1, 3)), np.float32)


def cuts_of(light: Iterable[Plane], said: Sequence[int] = ()) -> list[int]:
    finder, found = CutFinder(), list[Difference]()
    for number, each in enumerate(light):
        found += finder.add(Look(number * FRAME_NS, 1.0, number in said, each))
    found += finder.rest()
    assert [each.at_ns // FRAME_NS for each in found] == list(range(len(found)))
    return [number for number, each in enumerate(found) if each.cut]


def shown(*takes: Take, noise: float = 0.0) -> list[Plane]:
    pictures = [each for take in takes for each in pictures_of(take, SIZE, round(take.seconds * 25))]
    return [squares(each, noise, number) for number, each in enumerate(pictures)]


def test_cuts_from_one_dark_scene_to_another_are_all_found_and_nothing_else() -> None:
    """Recall and precision are 1, at night and at hardly any light, with the noise of a camera."""
    tried = found = false = 0
    for light in (NIGHT, MOONLESS):
        takes = [Take(name, 0.4, 0.5, light=light) for name in sorted(sample_media.SCENES)]
        for one, other in permutations([shown(take, noise=2.0) for take in takes], 2):
            cuts = cuts_of([*one, *other])
            tried, found = tried + 1, found + (len(one) in cuts)
            false += len(set(cuts) - {len(one)})
    assert (tried, found, false) == (60, 60, 0)


MOVING = {
    "a fast pan": [Take("city", 2, 1.0, speed=6)],
    "a fast pan at night": [Take("city", 2, 1.0, light=NIGHT, speed=6)],
    "a pan that begins": [Take("mountains", 1), Take("mountains", 2, 1.0, speed=4)],
    "black, with noise": [Take("black", 2)],
    "out of focus": [Take("beach", 2, 1.0, blur=8, light=NIGHT, speed=6)],
}


@pytest.mark.parametrize("takes", MOVING.values(), ids=MOVING)
def test_what_moves_is_no_cut(takes: list[Take]) -> None:
    assert cuts_of(shown(*takes, noise=2.0)) == []


@pytest.mark.parametrize("after", [0.08, 0.12, 0.5, 1.0])
def test_a_lamp_that_is_switched_on_is_no_cut(after: float) -> None:
    assert cuts_of(shown(Take("city", 0.6, light=NIGHT), Take("city", 0.6, light=after), noise=1.0)) == []


@pytest.mark.parametrize("frames", range(1, AROUND))
def test_a_flash_is_no_cut_whatever_the_threshold_says(frames: int) -> None:
    seen = shown(Take("city", 1, light=NIGHT))
    seen[10 : 10 + frames] = [np.full_like(seen[0], 250)] * frames
    assert cuts_of(seen, said=[10]) == []


def test_what_the_threshold_says_stays_said() -> None:
    """Where each frame differs as much: a cut in the middle of a fast pan."""
    seen = shown(Take("city", 1, 1.0, speed=6), Take("beach", 1, 1.0, speed=6))
    assert 25 in cuts_of(seen, said=[25])


def test_a_cut_at_the_last_frame_and_one_frame_alone() -> None:
    one, other = shown(Take("city", 0.4)), shown(Take("beach", 0.04))
    assert cuts_of([*one, *other]) == [len(one)]
    assert cuts_of(other) == []
    assert cuts_of([]) == []


def test_things_are_forgotten() -> None:
    finder = CutFinder()
    for number in range(1000):
        list(finder.add(Look(number, 1.0, False, np.zeros((18, 32), np.float32))))
    assert len(finder._looks) <= 2 * AROUND + 3


@pytest.mark.parametrize("name", ["a.mp4", "a.mxf"])
def test_a_clip_of_the_night_has_its_scenes(tmp_path: Path, name: str) -> None:
    """Through a codec; the threshold alone finds one scene here."""
    moving, still = Take("city", 0.6, 0.5, light=NIGHT, speed=2), Take("beach", 0.8, light=NIGHT)
    takes = [moving, still, Take("mountains", 0.6, 0.5, light=MOONLESS)]
    clip = sample_media.clips.MXF if name == "a.mxf" else sample_media.clips.H264
    path = edited(tmp_path / name, takes, clip, size=SIZE, source="", timecode="")
    facts = Scenes().run(path, tmp_path, Subject(name, Media.VIDEO, path.stat().st_size)).facts
    scenes = facts["scenes"]
    assert isinstance(scenes, list)
    assert [round(scene["start_ns"] / 1e9, 2) for scene in scenes] == [0, 0.6, 1.4]
