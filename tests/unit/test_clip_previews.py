"""sprite, sheet, waveform and the poster of real clips: of what they are, how much was decoded, that it can be seen."""

from __future__ import annotations

import re
import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from damfs.core.processors.preview import Preview
from damfs.core.processors.processor import Output, Processor, Subject
from damfs.core.processors.sheet import Sheet
from damfs.core.processors.sprite import Sprite
from damfs.core.processors.waveform import PEAK, RMS, Waveform
from damfs.errors import BadMedia
from damfs.model import Facts, Media, RenditionKind
from tests import sample_media
from tests.sample_media.clips import H264, MXF
from tests.sample_media.edited import Take, edited

SECOND = 1_000_000_000
SLOW = Fraction(10)
CUE = re.compile(r"(\d\d:\d\d:\d\d\.\d{3}) --> (\d\d:\d\d:\d\d\.\d{3})\nsprite\.jpg#xywh=(\d+),(\d+),(\d+),(\d+)")


def made(processor: Processor, path: Path, facts: dict[str, Facts] | None = None, **settings: object) -> Output:
    out = path.parent / f"{path.stem}-{processor.name}"
    out.mkdir()
    subject = Subject(path.name, Media.VIDEO, path.stat().st_size, facts or {}, settings=settings)
    return processor.run(path, out, subject)


def picture(output: Output, kind: RenditionKind) -> Image.Image:
    (path,) = (each.path for each in output.renditions if each.kind is kind and each.profile != "vtt")
    with Image.open(path) as found:
        found.load()
        return found


def colour(shown: Image.Image, box: tuple[int, int, int, int]) -> list[int]:
    return [round(float(each)) for each in np.asarray(shown.crop(box), dtype=float).reshape(-1, 3).mean(axis=0)]


def coloured(path: Path, colours: list[str], seconds: float) -> Path:
    """Takes of one colour, a key frame every tenth of a second."""
    clip = MXF if path.suffix == ".mxf" else H264
    options = {**clip.options, "g": "5"}
    takes = [Take(each, seconds) for each in colours]
    return edited(path, takes, clip, size=(320, 180), timecode="", options=options)


# --- the poster -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mp4", "a.mxf"])
def test_the_poster_is_neither_black_nor_blurred_nor_a_card(tmp_path: Path, name: str) -> None:
    takes = [
        Take("black", 0.8), Take("beach", 0.8, blur=9), Take("navy", 0.8), Take("beach", 0.8), Take("white", 0.8),
    ]  # fmt: skip
    clip = MXF if name == "a.mxf" else H264
    path = edited(tmp_path / name, takes, clip, size=(640, 360), options={**clip.options, "g": "5"}, timecode="")
    first = made(Preview(), path)
    at_ns = first.facts["poster_at_ns"]
    assert isinstance(at_ns, int)
    assert 2.4 * SECOND <= at_ns < 3.2 * SECOND
    path = path.rename(path.with_stem("again"))
    assert made(Preview(), path).facts == first.facts


@pytest.mark.parametrize(
    ("takes", "from_s"),
    [
        ([Take("beach", 1, blur=9), Take("beach", 1)], 1),
        ([Take("black", 1), Take("beach", 1, blur=9), Take("beach", 1)], 2),
        ([Take("black", 8), Take("beach", 6, blur=9), Take("beach", 2)], 14),
    ],
    ids=["blurred", "black, then blurred", "for long"],
)
def test_a_clip_of_one_key_frame_is_searched_for_a_good_one(tmp_path: Path, takes: list[Take], from_s: int) -> None:
    options = {**H264.options, "g": "1000", "sc_threshold": "0"}
    path = edited(tmp_path / "a.mp4", takes, H264, size=(160, 90), options=options, timecode="")
    at_ns = made(Preview(), path).facts["poster_at_ns"]
    assert isinstance(at_ns, int)
    assert at_ns >= from_s * SECOND


# --- sprites ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mxf"])
def test_a_sprite_and_its_cues(tmp_path: Path, name: str) -> None:
    path = coloured(tmp_path / name, ["red", "lime", "blue", "white"], 1)
    output = made(Sprite(), path, sprite_columns=6)
    shown = picture(output, RenditionKind.SPRITE)
    (text,) = (each.path.read_text() for each in output.renditions if each.profile == "vtt")
    assert text.startswith("WEBVTT\n\n")
    cues = CUE.findall(text)
    cells = output.facts["cells"]
    assert isinstance(cells, int)
    assert len(cues) == cells >= 10
    assert shown.size == (6 * 160, -(-cells // 6) * 90)
    assert [cue[0] for cue in cues[1:]] == [cue[1] for cue in cues[:-1]]
    assert (cues[0][0], cues[-1][1]) == ("00:00:00.000", "00:00:04.000")
    wanted = {"red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
    for start, _, *box in cues:
        x, y, width, height = map(int, box)
        rgb = wanted[("red", "lime", "blue", "white")[int(start[6:8])]]
        assert colour(shown, (x + 9, y + 9, x + width - 9, y + height - 9)) == pytest.approx(rgb, abs=12)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mxf"])
def test_a_long_clip_is_not_decoded_through(tmp_path: Path, name: str) -> None:
    """70 s, 700 frames and more, 140 key frames: what is shown is what was decoded. An MXF has no index of them."""
    takes = [Take(each, 14) for each in ("red", "lime", "blue", "white", "red")]
    clip = MXF if name == "a.mxf" else H264
    rate = Fraction(25) if name == "a.mxf" else SLOW
    options = {**clip.options, "g": "12" if name == "a.mxf" else "5"}
    path = edited(tmp_path / name, takes, clip, size=(64, 36), rate=rate, tracks=(), timecode="", options=options)
    sprite, sheet = made(Sprite(), path), made(Sheet(), path, sheet_cells=8)
    assert sprite.facts["decoded"] == sprite.facts["cells"] == 20
    assert sheet.facts["decoded"] == sheet.facts["cells"] == 8


def test_few_key_frames_in_a_long_clip_are_shown_once_each(tmp_path: Path) -> None:
    options = {**H264.options, "g": "250", "keyint_min": "250", "sc_threshold": "0"}
    path = edited(tmp_path / "a.mp4", [Take("red", 70)], size=(64, 36), rate=SLOW, tracks=(), options=options)
    facts = made(Sprite(), path).facts
    assert facts["decoded"] == facts["cells"] == 3


def test_a_short_clip_with_one_key_frame_is_decoded(tmp_path: Path) -> None:
    path = sample_media.h264(tmp_path / "b.mp4", size=(320, 180), seconds=2)
    assert made(Sprite(), path).facts["cells"] == 20


def test_upright_cells_of_an_upright_clip(tmp_path: Path) -> None:
    path = sample_media.rotated(tmp_path / "a.mov", size=(320, 180), seconds=0.5)
    facts = made(Sprite(), path).facts
    assert (facts["width"], facts["height"]) == (90, 160)


# --- contact sheets ---------------------------------------------------------------------------------------------


def test_one_picture_a_scene(tmp_path: Path) -> None:
    path = coloured(tmp_path / "a.mp4", ["red", "lime", "blue", "white"] * 2, 0.5)
    scenes = [{"start_ns": n * SECOND // 2, "end_ns": (n + 1) * SECOND // 2, "motion": 0.0} for n in range(8)]
    output = made(Sheet(), path, {"scenes": {"scenes": scenes}}, sheet_columns=3, sheet_cells=24)
    shown = picture(output, RenditionKind.CONTACT_SHEET)
    assert output.facts["cells"] == 8
    assert output.facts["of_scenes"] is True
    wanted = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)] * 2
    width, height = 320, 180 + 22
    assert shown.size == (10 + 3 * (width + 10), 10 + 3 * (height + 10))
    for number, rgb in enumerate(wanted):
        x, y = 10 + number % 3 * (width + 10), 10 + number // 3 * (height + 10)
        assert colour(shown, (x + 9, y + 9, x + width - 9, y + 170)) == pytest.approx(rgb, abs=12)
        label = np.asarray(shown.crop((x, y + 182, x + 90, y + 202)).convert("L"))
        assert label.max() > 180, "a time stands below"
        assert label.mean() < 90


def test_scenes_without_a_key_frame_of_their_own_are_decoded_into(tmp_path: Path) -> None:
    options = {**H264.options, "g": "250", "sc_threshold": "0"}
    takes = [Take("red", 1), Take("blue", 1)]
    path = edited(tmp_path / "a.mp4", takes, size=(320, 180), options=options)
    scenes = [{"start_ns": 0, "end_ns": SECOND, "motion": 0.0}, {"start_ns": SECOND, "end_ns": 2 * SECOND}]
    output = made(Sheet(), path, {"scenes": {"scenes": scenes}}, sheet_cells=2)
    shown = picture(output, RenditionKind.CONTACT_SHEET)
    assert colour(shown, (20, 20, 300, 170)) == pytest.approx((255, 0, 0), abs=12)
    assert colour(shown, (350, 20, 630, 170)) == pytest.approx((0, 0, 255), abs=12)


def test_many_scenes_are_bounded(tmp_path: Path) -> None:
    path = coloured(tmp_path / "a.mp4", ["red", "lime"] * 5, 0.2)
    scenes = [{"start_ns": n * SECOND // 5, "end_ns": (n + 1) * SECOND // 5, "motion": 0.0} for n in range(10)]
    assert made(Sheet(), path, {"scenes": {"scenes": scenes}}, sheet_cells=4).facts["cells"] == 4


# --- waveforms --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp4", "a.mxf"])
def test_a_waveform(tmp_path: Path, name: str) -> None:
    """The tone swells and fades: it is loudest in the middle of the picture."""
    makers: dict[str, Callable[[Path], Path]] = {
        ".wav": sample_media.wav, ".flac": sample_media.flac, ".mp4": sample_media.h264, ".mxf": sample_media.mxf,
    }  # fmt: skip
    output = made(Waveform(), makers[Path(name).suffix](tmp_path / name))
    shown = np.asarray(picture(output, RenditionKind.WAVEFORM))
    assert shown.shape == (256, 1600, 3)
    loud = (shown == PEAK).all(axis=2) | (shown == RMS).all(axis=2)
    heights = loud.sum(axis=0)
    assert heights[780:820].mean() == pytest.approx(0.35 * 256, rel=0.1)
    assert heights[40:60].mean() < heights[780:820].mean() / 2
    assert np.array_equal(loud, loud[::-1])
    assert output.facts["peak_dbfs"] == pytest.approx(-9.1, abs=2)


def test_silence_is_a_line(tmp_path: Path) -> None:
    output = made(Waveform(), silence(tmp_path / "a.wav"))
    shown = np.asarray(picture(output, RenditionKind.WAVEFORM))
    assert not ((shown == PEAK).all(axis=2) | (shown == RMS).all(axis=2)).any()
    assert output.facts["peak_dbfs"] is None


def silence(path: Path) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setparams((2, 2, 48_000, 0, "NONE", ""))
        out.writeframes(bytes(4 * 48_000))
    return path


def test_only_what_sounds_has_a_waveform(tmp_path: Path) -> None:
    path = sample_media.h264(tmp_path / "a.mp4", size=(320, 180), seconds=0.2, tracks=())
    with pytest.raises(BadMedia, match="no waveform: it holds no sound"):
        made(Waveform(), path)
    for tracks, wanted in (([], False), ([{"codec": "aac"}], True), (None, False)):
        subject = Subject("a.mp4", Media.VIDEO, 1, {"probe": {"audio": tracks}})
        assert Waveform().accepts(subject) is wanted
