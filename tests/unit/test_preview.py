"""preview: posters and thumbnails of real files: upright, right in colour and shape, of a frame worth looking at."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from PIL import Image

from damfs.core.processors import keyframes, media
from damfs.core.processors.look import LENGTH
from damfs.core.processors.preview import Preview
from damfs.core.processors.processor import Output, Subject
from damfs.errors import BadMedia
from damfs.model import Media, RenditionKind
from tests import sample_media
from tests.sample_media.pictures import paint
from tests.sample_media.stills import stored


def preview(path: Path, out: Path | None = None) -> Output:
    target = out or path.parent / f"{path.stem}-out"
    target.mkdir()
    return Preview().run(path, target, Subject(path.name, Media.VIDEO, path.stat().st_size))


def poster(made: Output) -> Image.Image:
    (found,) = [r for r in made.renditions if r.kind is RenditionKind.POSTER]
    return picture_at(found.path)


def picture_at(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        picture.load()
        return picture


def mean(picture: Image.Image, box: tuple[float, float, float, float]) -> np.ndarray:
    """Mean colour of a part, given in shares of the size."""
    left, top, right, bottom = box
    part = picture.crop(
        (
            round(left * picture.width),
            round(top * picture.height),
            round(right * picture.width),
            round(bottom * picture.height),
        )
    )
    return np.asarray(np.asarray(part, dtype=float).reshape(-1, 3).mean(axis=0))


def assert_beach_upright(picture: Image.Image) -> None:
    """The sky is above, and the picture is much the same from left to right."""
    sky, ground = mean(picture, (0, 0, 1, 0.1)), mean(picture, (0, 0.9, 1, 1))
    assert sky[2] > 200
    assert ground[2] < 180
    assert np.abs(mean(picture, (0, 0, 0.2, 0.3)) - mean(picture, (0.8, 0, 1, 0.3))).max() < 12


def test_all_renditions_of_a_clip(tmp_path: Path) -> None:
    made = preview(sample_media.h264(tmp_path / "a.mp4", size=(1280, 720), source="beach", seconds=0.4))
    sizes = {(r.kind.value, r.profile): picture_at(r.path).size for r in made.renditions}
    assert sizes == {
        ("poster", "jpeg"): (1280, 720),
        ("thumbnail", "1024"): (1024, 576),
        ("thumbnail", "512"): (512, 288),
        ("thumbnail", "256"): (256, 144),
        ("thumbnail", "128"): (128, 72),
    }
    formats = {r.profile: picture_at(r.path).format for r in made.renditions}
    assert formats == {"jpeg": "JPEG", "1024": "JPEG", "512": "PNG", "256": "PNG", "128": "PNG"}
    (embedding,) = made.embeddings
    assert embedding.model == "look-1"
    assert len(embedding.vector) == LENGTH * 4


def test_large_photos_are_reduced_and_small_ones_left(tmp_path: Path) -> None:
    Image.linear_gradient("L").resize((4000, 3000)).save(tmp_path / "large.jpg")
    large = preview(tmp_path / "large.jpg")
    small = preview(sample_media.png(tmp_path / "small.png", size=(200, 100)))
    assert poster(large).size == (1920, 1440)
    assert {picture_at(r.path).size for r in small.renditions} == {(200, 100), (128, 64)}


LARGE = """
import re, sys
from pathlib import Path
from damfs.core.processors.preview import Preview
from damfs.core.processors.processor import Subject
source, out = Path(sys.argv[1]), Path(sys.argv[2])
out.mkdir()
made = Preview().run(source, out, Subject(source.name, "image", 1))
highest = re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())  # getrusage counts who started us
print(made.facts["width"], made.facts["height"], int(highest[1]) // 1024)
"""


def test_two_hundred_megapixels_need_little_memory(tmp_path: Path) -> None:
    """Decoded at an eighth of the size: whole, it would be 800 MB."""
    Image.new("L", (20_000, 10_000), 90).save(tmp_path / "a.jpg", quality=50)
    command = [sys.executable, "-c", LARGE, str(tmp_path / "a.jpg"), str(tmp_path / "out")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    width, height, megabytes = map(int, said.split())
    assert (width, height) == (1920, 960)
    assert megabytes < 350


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    made = preview(sample_media.jpeg(tmp_path / "a.jpg", size=(600, 400), orientation=orientation))
    upright = np.asarray(paint("beach", (600, 400), 1), dtype=float)
    assert poster(made).size == (600, 400)
    assert np.abs(np.asarray(poster(made), dtype=float) - upright).mean() < 6


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotated_clips(tmp_path: Path, rotation: int) -> None:
    made = preview(sample_media.rotated(tmp_path / "a.mov", rotation=rotation, source="beach", seconds=0.2))
    assert poster(made).size == ((360, 640) if rotation in (90, 270) else (640, 360))
    assert_beach_upright(poster(made))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_display_matrices_turn_as_pictures_do(orientation: int) -> None:
    matrices = {
        1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1),
        5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0),
    }  # fmt: skip
    a, b, c, d = matrices[orientation]
    turn = media.turn_of_matrix((a, b, 0, c, d, 0, 0, 0, 1))
    picture = stored(paint("portrait", (60, 40), 1), orientation)
    for step in turn.filters:
        picture = picture.transpose(keyframes.FLIPS[step])
    if orientation != 2:  # a pure horizontal mirror is one the ffmpeg program leaves alone as well
        assert np.array_equal(np.asarray(picture), np.asarray(paint("portrait", (60, 40), 1)))


@pytest.mark.parametrize(
    ("make", "name"), [(sample_media.heic, "a.heic"), (sample_media.dng, "a.dng"), (sample_media.jpeg, "a.mov")]
)
def test_photos_of_other_kinds(tmp_path: Path, make: Callable[..., Path], name: str) -> None:
    picture = poster(preview(make(tmp_path / name, scene="mountains", size=(480, 320))))
    upper, lower = mean(picture, (0, 0, 1, 0.15)), mean(picture, (0, 0.9, 1, 1))
    assert upper[2] > upper[0] + 20
    assert lower.sum() < upper.sum() / 2


def test_transparency_shows_white(tmp_path: Path) -> None:
    picture = poster(preview(sample_media.png(tmp_path / "a.png", alpha=True)))
    assert mean(picture, (0, 0, 1, 0.02)).min() > 235


def test_sixteen_bit_grey(tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (64, 1))
    Image.fromarray(ramp).save(tmp_path / "a.png")
    found = np.asarray(poster(preview(tmp_path / "a.png")).convert("L"), dtype=float)
    assert np.abs(found - np.arange(256)).mean() < 3


def solid_then(path: Path, colours: list[tuple[int, int, int]], size: tuple[int, int], space: int) -> Path:
    """A clip whose frames have these colours (Y, Cb, Cr), ten frames each, one key frame at the start."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"g": "1000", "crf": "10"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, 1
        for number in range(10 * len(colours)):
            frame = av.VideoFrame(*size, "yuv420p")
            for plane, value in zip(frame.planes, colours[number // 10], strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts, frame.time_base, frame.colorspace, frame.color_range = number, Fraction(1, 25), space, 1
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


BT709_RED, BT601_RED = (63, 102, 240), (81, 90, 240)


@pytest.mark.parametrize(
    ("colour", "size", "space"),
    [(BT709_RED, (320, 180), 1), (BT601_RED, (320, 180), 6), (BT709_RED, (1280, 720), 2), (BT601_RED, (720, 576), 2)],
)
def test_red_is_red(tmp_path: Path, colour: tuple[int, int, int], size: tuple[int, int], space: int) -> None:
    """Tagged clips by their matrix; untagged ones by size, as players do."""
    red, green, blue = mean(poster(preview(solid_then(tmp_path / "a.mp4", [colour], size, space))), (0, 0, 1, 1))
    assert red > 245
    assert max(green, blue) < 12


def test_a_black_start_is_passed_over(tmp_path: Path) -> None:
    clip = sample_media.h264(tmp_path / "late.mp4", source="flowers", seconds=1.0)
    faded = tmp_path / "faded.mp4"
    with av.open(str(clip)) as source, av.open(str(faded), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"g": "1000"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            shown = frame if number >= 12 else av.VideoFrame.from_ndarray(np.zeros((360, 640, 3), np.uint8))
            shown.pts, shown.time_base, shown.pict_type = number, Fraction(1, 25), 0
            out.mux(stream.encode(shown))
        out.mux(stream.encode(None))
    made = preview(faded)
    assert mean(poster(made), (0, 0, 1, 1)).mean() > 30
    at = made.facts["poster_at_ns"]
    assert isinstance(at, int)
    assert at >= 480_000_000


def test_sharp_wins_over_blurred_flat_and_black() -> None:
    sharp = av.VideoFrame.from_ndarray(np.asarray(paint("flowers", (320, 180), 1)), format="rgb24")
    soft = np.asarray(paint("flowers", (320, 180), 1).resize((16, 9)).resize((320, 180)))
    blurred = av.VideoFrame.from_ndarray(soft, format="rgb24")
    black = av.VideoFrame.from_ndarray(np.zeros((180, 320, 3), np.uint8), format="rgb24")
    flat = av.VideoFrame.from_ndarray(np.full((180, 320, 3), 128, np.uint8), format="rgb24")
    assert keyframes.score(sharp) > keyframes.score(blurred) > keyframes.score(flat)
    assert keyframes.score(black) == 0


def test_pixel_aspect_is_worked_in(tmp_path: Path) -> None:
    clip = sample_media.h264(tmp_path / "a.mp4", size=(720, 576), sample_aspect=Fraction(64, 45), seconds=0.2)
    assert poster(preview(clip)).size == (1024, 576)


@pytest.mark.parametrize(("transfer", "white"), [(16, 0.58), (18, 0.75)])
def test_hdr_white_is_bright_and_not_clipped(transfer: int, white: float) -> None:
    """Reference white of PQ (203 nits) and HLG, and black."""
    coded = np.array([[[round(white * 255)] * 3, [0, 0, 0]]], dtype=np.uint8)
    found = keyframes.standard_range(coded, transfer)
    assert 170 < found[0, 0].min() <= found[0, 0].max() < 250
    assert found[0, 1].max() == 0


@pytest.mark.parametrize(
    "make", [sample_media.truncated, sample_media.empty, sample_media.text_named_mov, sample_media.flac]
)
def test_nothing_to_show(tmp_path: Path, make: object) -> None:
    assert callable(make)
    suffix = ".flac" if make is sample_media.flac else ".mov"
    with pytest.raises(BadMedia):
        preview(make(tmp_path / f"a{suffix}"))


def test_what_is_left_of_a_cut_clip_is_shown(tmp_path: Path) -> None:
    made = preview(sample_media.cut_short(tmp_path / "a.mp4", keep=0.3))
    assert poster(made).size == (640, 360)


@pytest.mark.parametrize(
    ("probed", "wanted"), [("video", True), ("image", True), ("audio", False), (None, True), ("other", False)]
)
def test_accepts_what_the_probe_found(probed: str | None, wanted: bool) -> None:
    facts = {} if probed is None else {"probe": {"media": probed}}
    assert Preview().accepts(Subject("a.mov", Media.VIDEO, 1, facts)) is wanted
