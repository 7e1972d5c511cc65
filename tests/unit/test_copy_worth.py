"""Which of two files that look alike may be worth more: what each has, how it is coded, and how they are ordered."""

from __future__ import annotations

import pytest

from damfs.core.copy_coding import Held, Kind, chroma, doubts, kind
from damfs.core.copy_worth import LONGER_NS, MORE, advantages
from damfs.core.duplicate_groups import places_of

SECOND_NS = 1_000_000_000
VIDEO: dict[str, object] = {
    "codec": "h264", "pixel_format": "yuv420p", "bit_depth": 8, "frame_rate": "25/1", "field_order": "progressive",
}  # fmt: skip
SOUND: dict[str, object] = {"codec": "aac", "channels": 2, "sample_rate": 48_000}
FILM: dict[str, object] = {
    "width": 1920, "height": 1080, "duration_ns": 60 * SECOND_NS, "video": VIDEO, "audio": [SOUND],
}  # fmt: skip
PICTURE: dict[str, object] = {"container": "jpeg", "width": 6000, "height": 4000, "image": {"pixel_format": "RGB"}}
MB = 1_000_000


def video(**changes: object) -> dict[str, object]:
    return {**FILM, "video": {**VIDEO, **changes}}


def sound(**changes: object) -> dict[str, object]:
    return {**FILM, "audio": [{**SOUND, **changes}]}


def picture(mode: str = "RGB", **changes: object) -> dict[str, object]:
    return {**PICTURE, "image": {"pixel_format": mode}, **changes}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (video(pixel_format="yuv422p"), "finer colours"),
        (video(pixel_format="yuv444p"), "finer colours"),
        (video(bit_depth=10), "finer levels, 10 bits"),
        (video(field_order="tt"), "it has fields, twice the movements"),
        (video(colour_transfer="smpte2084"), "brighter lights (HDR)"),
        (sound(sample_rate=96_000), "finer sound, 96 kHz"),
        (sound(codec="pcm_s24le"), "finer sound, without loss"),
        (sound(codec="flac"), "finer sound, without loss"),
        ({**FILM, "timecode": "10:00:00:00", "reel": "A001"}, "only it says: timecode, reel"),
        ({**FILM, "gps": {"lat": 1.0}, "captured_local": "2024"}, "only it says: when it was taken, where"),
        ({**FILM, "chapters": [{}]}, "only it says: chapters"),
    ],
)
def test_what_a_film_has_keeps_it(other: dict[str, object], words: str) -> None:
    assert advantages(other, FILM) == [words]
    assert advantages(FILM, other) == []


def test_another_timecode_is_not_the_same() -> None:
    ours, theirs = ({**FILM, "timecode": each} for each in ("10:00:00:00", "00:00:00:00"))
    assert advantages(ours, theirs) == ["only it says: timecode"]
    assert advantages(sound(codec="pcm_s24le"), sound(codec="pcm_s16le")) == ["finer sound, more levels"]


def test_what_a_picture_has_keeps_it() -> None:
    assert advantages(picture("I;16"), picture()) == ["finer levels, 16 bits"]
    assert advantages(picture(), picture("L")) == ["finer colours"]
    assert advantages(picture("RGBA"), picture()) == ["it is transparent in parts"]


@pytest.mark.parametrize(
    ("other", "kept", "words"),
    [
        (Held(FILM, 8 * MB), Held(FILM, 900 * MB), []),
        (Held(FILM, 900 * MB), Held(FILM, 8 * MB), ["finer coded, 112.5 times the bits"]),
        (Held(FILM, 80 * MB), Held(FILM, 100 * MB), ["not much smaller: either may be the original"]),
        (Held(FILM, 60 * MB), Held(FILM, 100 * MB), ["not much smaller: either may be the original"]),
        (Held(FILM, 40 * MB), Held(FILM, 100 * MB), ["not much smaller: either may be the original"]),
        (Held(PICTURE, 5 * MB), Held(PICTURE, 12 * MB), ["not much smaller: either may be the original"]),
        (Held(PICTURE, 2 * MB), Held(PICTURE, 12 * MB), []),
        (Held(video(codec="hevc"), 60 * MB), Held(FILM, 72 * MB), ["finer coded, 1.7 times the bits"]),
        (Held(video(codec="hevc"), 8 * MB), Held(FILM, 100 * MB), []),
        (Held(video(codec="prores"), 80 * MB), Held(FILM, 900 * MB), ["coded picture by picture"]),
        (Held(video(codec="ffv1"), 80 * MB), Held(FILM, 900 * MB), ["coded without loss"]),
        (Held(FILM, 400 * MB), Held(video(codec="prores"), 1300 * MB), ["as finely coded as an original"]),
        (Held(FILM, 40 * MB), Held(video(codec="prores"), 1300 * MB), []),
        (
            Held(video(codec="ffv1"), 800 * MB),
            Held(video(codec="v210"), 8000 * MB),
            ["both are coded without loss"],
        ),
        (
            Held({**FILM, "duration_ns": 6 * SECOND_NS}, 50 * MB),
            Held(FILM, 100 * MB),
            ["finer coded, 5.0 times the bits"],
        ),
        (Held({**FILM, "width": 960, "height": 540}, 90 * MB), Held(FILM, 100 * MB), []),
        (
            Held({**FILM, "width": 960, "height": 540}, 110 * MB),
            Held(FILM, 100 * MB),
            ["finer coded, more bits for fewer pixels"],
        ),
        (Held(FILM, 8 * MB, 1), Held(FILM, 900 * MB, 4 * SECOND_NS), ["it is the older file"]),
        (Held(PICTURE, 2 * MB), Held(picture(container="png"), 40 * MB), []),
        (Held(PICTURE, 12 * MB), Held(picture(container="png"), 40 * MB), ["as finely coded as an original"]),
        (
            Held(picture(container="png"), 2 * MB),
            Held(PICTURE, 12 * MB),
            ["coded without loss"],
        ),
        (Held(FILM, 0), Held(FILM, 9), ["nobody knows how finely it is coded"]),
    ],
)
def test_what_may_be_the_original_is_doubted(other: Held, kept: Held, words: list[str]) -> None:
    assert doubts(other, kept) == words


def test_sound_without_loss_makes_no_picture_finer() -> None:
    with_pcm = sound(codec="pcm_s24le")
    pcm = 60 * 2 * 48_000 * 3
    assert doubts(Held(FILM, 4 * MB), Held(with_pcm, 4 * MB + pcm)) == ["not much smaller: either may be the original"]


def test_a_frame_or_a_line_more_is_no_better_place() -> None:
    lengths = [int(each * SECOND_NS) for each in (59.98, 60.02, 55.0)]
    found = places_of(lengths, lambda most, each: most - each <= LONGER_NS)
    assert [found[each] for each in lengths] == [-1, -1, -2]
    found = places_of([1920 * 1080, 1920 * 1088, 1280 * 720], lambda most, each: most <= each * MORE)
    assert list(found.values()) == [-1, -1, -2]


def test_codings_are_known_by_their_names() -> None:
    for name, part in (("yuv422p10le", 3), ("nv12", 2), ("p010le", 2), ("gbrp10le", 4), ("yuvj420p", 2), ("gray", 0)):
        assert chroma(video(pixel_format=name)) == part
    assert kind(video(profile="High 4:2:2 Intra")) is Kind.INTRA
    assert kind(picture(container="tiff")) is Kind.LOSSLESS
