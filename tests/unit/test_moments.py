"""Moments: a picture for the middle of each scene of real clips, in one strip, and what they are read back as."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from damfs.core.processors.moment_frames import frames_at
from damfs.core.processors.moments import SIDE, Moments
from damfs.core.processors.processor import Subject
from damfs.core.processors.strip import pictures_of_strip
from damfs.errors import BadMedia
from damfs.model import Media
from tests.sample_media import h264, wav

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    h264(path, seconds=2.0, size=(320, 180))
    return path


def subject(**facts: object) -> Subject:
    return Subject("clip.mp4", Media.VIDEO, 1, {name: {name: value} for name, value in facts.items()})


def test_frames_are_those_of_the_times_that_were_asked_for(clip: Path) -> None:
    wanted = [SECOND // 4, SECOND, SECOND * 7 // 4]
    found = list(frames_at(clip, "clip.mp4", wanted, SIDE))
    assert [at for at, _ in found] == wanted
    pixels = [np.asarray(picture.resize((32, 18)), dtype=float) for _, picture in found]
    assert all(picture.size == (256, 144) for _, picture in found)
    assert all(np.abs(one - other).mean() > 1 for one, other in pairwise(pixels))
    (again,) = frames_at(clip, "clip.mp4", [SECOND], SIDE)
    assert np.array_equal(np.asarray(again[1]), np.asarray(found[1][1])), "whatever was asked for before"


def test_the_same_frame_is_kept_once_and_a_time_behind_the_end_is_the_last(clip: Path) -> None:
    assert len(list(frames_at(clip, "clip.mp4", [SECOND, SECOND + 1, 9 * SECOND], SIDE))) == 2


def test_scenes_become_a_strip_that_is_read_back(clip: Path, tmp_path: Path) -> None:
    scenes = [
        {"start_ns": 0, "end_ns": SECOND, "motion": 0.1},
        {"start_ns": SECOND, "end_ns": 2 * SECOND, "motion": 0.1},
    ]
    asked = subject(scenes=scenes)
    output = Moments().run(clip, tmp_path, asked)
    assert output.facts["at_ns"] == [SECOND // 2, SECOND * 3 // 2]
    (made,) = output.renditions
    assert (made.kind.value, made.profile) == ("other", "moments")
    read = list(pictures_of_strip(made.path, int(str(output.facts["height"]))))
    assert [picture.size for picture in read] == [(256, 144)] * 2
    shown = [picture for _, picture in frames_at(clip, "clip.mp4", [SECOND // 2, SECOND * 3 // 2], SIDE)]
    for one, other in zip(read, shown, strict=True):
        difference = np.abs(np.asarray(one, dtype=float) - np.asarray(other, dtype=float)).mean()
        assert difference < 8, "JPEG, nothing else"
    with Image.open(made.path) as strip:
        assert strip.size == (256, 288)


def test_it_is_done_again_when_scenes_are_found(clip: Path, tmp_path: Path) -> None:
    first = Moments().run(clip, tmp_path, subject())
    assert first.facts["at_ns"], "spread over the clip"
    done = Subject("clip.mp4", Media.VIDEO, 1, {"moments": first.facts})
    assert Moments().is_current(done)
    scenes = {"scenes": [{"start_ns": 0, "end_ns": 2 * SECOND, "motion": 0.1}]}
    assert not Moments().is_current(Subject("clip.mp4", Media.VIDEO, 1, {"moments": first.facts, "scenes": scenes}))


def test_sound_has_no_moments(tmp_path: Path) -> None:
    wav(tmp_path / "sound.wav", seconds=0.2)
    with pytest.raises(BadMedia, match=r"sound\.wav: "):
        Moments().run(tmp_path / "sound.wav", tmp_path, Subject("sound.wav", Media.VIDEO, 1))
    assert not Moments().accepts(Subject("sound.wav", Media.AUDIO, 1))
