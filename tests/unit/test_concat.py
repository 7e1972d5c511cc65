"""Clips joined by copying: every frame of each, in order and at its time, sound beside its pictures; and what does not
match is named."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from damfs.core.processors import joinable, joining
from damfs.core.processors.concat import Concat
from damfs.core.processors.processor import Output, Subject
from damfs.errors import BadMedia, Refused
from damfs.model import Media
from tests.sample_media import Clip, Track, write
from tests.unit.test_splice import H264, HEVC, MPEG2, RATE, exact, judged, pictures, waves

SIZE = (160, 96)
H = replace(H264, seconds=1.2, colour=(1, 1, 1, 1))
KINDS = {
    "h264.mov": H,
    "hevc.mp4": replace(HEVC, seconds=1.2),
    "mpeg2.mxf": replace(MPEG2, pixel_format="yuv422p", tracks=(Track("mono"),), seconds=1.2),
    "prores.mov": Clip(codec="prores_aw", pixel_format="yuv422p10le", sound="pcm_s24le", size=SIZE, seconds=1.2),
    "vfr.mkv": replace(H, ticks=(20, 60, 33, 47), timecode=""),
}


def concat(out: Path, *sources: Path, ending: str = ".mov", profile: str = "", hint: str = "a command") -> Output:
    out.mkdir(exist_ok=True)
    names = [source.name for source in sources]
    settings = {"sources": list(map(str, sources)), "names": names, "ending": ending, "profile": profile, "hint": hint}
    return Concat().run(sources[0], out, Subject(names[0], Media.VIDEO, 1, settings=settings))


def joined(out: Path, *sources: Path, ending: str = ".mov", profile: str = "") -> Path:
    return concat(out, *sources, ending=ending, profile=profile).renditions[0].path


@pytest.mark.parametrize("name", KINDS)
def test_every_frame_of_each_clip_is_there_at_its_time(tmp_path: Path, name: str) -> None:
    first = write(tmp_path / f"a-{name}", KINDS[name])
    second = write(tmp_path / f"b-{name}", replace(KINDS[name], source="smptehdbars"))
    out = concat(tmp_path / "out", first, second, first)
    path, parts = out.renditions[0].path, [pictures(each) for each in (first, second, first)]
    ours = pictures(path)
    wanted = [picture for part in parts for _, picture in part]
    count, times, complaints = judged(path)
    assert complaints == []
    assert count == len(ours) == len(wanted) == out.facts["frames"]
    assert all(np.array_equal(a, b) for (_, a), b in zip(ours, wanted, strict=True)), "to the bit"
    assert times == sorted(set(times))
    lasts = float(str(out.facts["duration_s"]))
    assert times[len(parts[0])] == pytest.approx(lasts / 3, abs=0.02)
    assert out.facts["method"] == "copied"


UNEVEN = ((20, 60, 33, 47), (), (33, 50, 17, 100, 40))
"""Milliseconds between frames of clips that are joined; of one at 25 frames a second where it says nothing."""


@pytest.mark.parametrize(("name", "profile"), [("hevc.mov", ""), ("prores.mkv", ""), ("h264.mov", "h264-intra")])
def test_frames_keep_their_own_times_where_the_rate_is_variable(tmp_path: Path, name: str, profile: str) -> None:
    """Beside others of another variable rate, and of a constant one; counted from the first frame of each."""
    kind = replace(KINDS[name.replace("mkv", "mov").replace("hevc.mov", "hevc.mp4")], seconds=0.8, timecode="")
    sources = [write(tmp_path / f"{each}-{name}", replace(kind, ticks=ticks)) for each, ticks in enumerate(UNEVEN)]
    out = concat(tmp_path / "out", *sources, profile=profile)
    count, times, complaints = judged(out.renditions[0].path)
    assert (complaints, count) == ([], out.facts["frames"])
    begin = 0
    for source in sources:
        wanted = judged(source)[1]
        ours = times[begin : begin + len(wanted)]
        begin += len(wanted)
        off = [a - ours[0] - (b - wanted[0]) for a, b in zip(ours, wanted, strict=True)]
        assert max(map(abs, off)) < 0.00001
    assert begin == count


def test_a_profile_joins_what_tells_its_times_in_other_ticks(tmp_path: Path) -> None:
    """An encoder writes them into the parameters of its stream."""
    first = write(tmp_path / "a.mov", replace(H, seconds=0.4))
    second = write(tmp_path / "b.mxf", replace(KINDS["mpeg2.mxf"], seconds=0.4, tracks=(Track("stereo"),)))
    out = concat(tmp_path / "out", first, second, profile="h264-intra")
    count, times, complaints = judged(out.renditions[0].path)
    assert (count, complaints) == (20, [])
    assert times == pytest.approx([at / 25 for at in range(20)])


def test_sound_is_there_to_the_sample_in_every_part(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.mxf", KINDS["mpeg2.mxf"])
    ours, theirs = waves(joined(tmp_path / "out", clip, clip, clip)), waves(clip)
    length = round(1.2 * RATE)
    assert np.abs(theirs[:length]).max() > 0.1
    for part in range(3):
        assert np.abs(ours[part * length : (part + 1) * length] - theirs[:length]).max() < 0.001


def test_copied_sound_meets_the_pictures_of_every_part_to_half_a_packet(tmp_path: Path) -> None:
    """Nothing adds up: after many parts it is no further off than after one."""
    clip = write(tmp_path / "clip.mov", replace(KINDS["h264.mov"], seconds=0.4))
    path = joined(tmp_path / "out", *[clip] * 6)
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        assert stream.codec_context.name.startswith("aac")
        times = [packet.pts for packet in container.demux(stream) if packet.size and packet.pts is not None]
    steps = {after - before for before, after in pairwise(times)}
    assert max(steps) <= 1024 + 512
    assert min(steps) >= 1024 - 512
    assert times[-1] + 1024 == pytest.approx(6 * 0.4 * RATE, abs=1024)


def test_the_first_gives_timecode_sound_tracks_and_languages(tmp_path: Path) -> None:
    tracks = (Track("stereo", "eng"), Track("mono", "fra"))
    first = write(tmp_path / "a.mov", replace(H, tracks=tracks))
    second = write(tmp_path / "b.mov", replace(H, tracks=tracks, timecode="12:00:00:00"))
    with av.open(str(joined(tmp_path / "out", first, second))) as container:
        assert container.streams.video[0].metadata["timecode"] == "10:00:00:20"
        told = [(each.codec_context.layout.name, each.metadata["language"]) for each in container.streams.audio]
        assert told == [("stereo", "eng"), ("mono", "fra")]


def test_pieces_of_one_clip_are_joined(tmp_path: Path) -> None:
    """Smart ones too, whose tracks hold the parameters of two encoders."""
    clip = write(tmp_path / "clip.mov", H264)
    one, other = (exact(clip, tmp_path / f"{at}", at, at + 600).path for at in (200, 1000))
    ours, whole = pictures(joined(tmp_path / "out", one, other)), pictures(clip)
    assert len(ours) == 30
    numbers = [*range(5, 20), *range(25, 40)]
    assert all(np.abs(a - whole[n][1]).mean() < 2 for (_, a), n in zip(ours, numbers, strict=True))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": (176, 96)}, "frame size 176x96, not 160x96; encode them alike with: a command"),
        ({"rate": Fraction(30)}, "frame rate 30, not 25; that takes a video editor"),
        ({"pixel_format": "yuv422p"}, "pixel format yuv422p, not yuv420p"),
        ({"colour": (9, 16, 9, 1)}, "colour primaries bt2020, not bt709"),
        ({"rotation": 90}, "rotation 270 degrees, not 0 degrees"),
        ({"tracks": ()}, "sound tracks 0, not 1; that takes"),
        ({"tracks": (Track("mono"),)}, "channels of track 1 mono, not stereo; that takes"),
        ({"options": {"preset": "ultrafast"}}, "encoder settings differ; encode them alike with: a command"),
        ({"codec": "mpeg4", "options": {}}, "codec mpeg4, not h264"),
    ],
    ids=str,
)
def test_what_does_not_match_is_named_with_what_to_do(tmp_path: Path, changes: dict[str, object], said: str) -> None:
    first = write(tmp_path / "a.mov", replace(H, seconds=0.4))
    second = write(tmp_path / "b.mov", replace(H, seconds=0.4, **changes))  # type: ignore[arg-type]  # a table of changes
    with pytest.raises(Refused) as info:
        concat(tmp_path / "out", first, second)
    assert str(info.value).startswith("b.mov does not match a.mov: ")
    assert said in str(info.value)


def test_a_profile_makes_clips_alike(tmp_path: Path) -> None:
    first = write(tmp_path / "a.mov", replace(H, seconds=0.4))
    second = write(tmp_path / "b.mov", replace(KINDS["prores.mov"], seconds=0.4))
    out = concat(tmp_path / "out", first, second, profile="h264-intra")
    assert (out.facts["method"], out.facts["frames"]) == ("encoded by h264-intra", 20)
    assert judged(out.renditions[0].path)[::2] == (20, [])
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", out.renditions[0].path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split()[:2] == ["h264", "pcm_s16le"]


def test_a_profile_gives_all_the_colours_of_the_first(tmp_path: Path) -> None:
    first = write(tmp_path / "a.mov", replace(H, seconds=0.4))
    second = write(tmp_path / "b.mov", replace(H, seconds=0.4, colour=(1, 1, 5, 1)))
    assert concat(tmp_path / "out", first, second, profile="h264-intra").facts["frames"] == 20


@pytest.mark.parametrize("profile", ["", "h264-intra"])
def test_a_clip_that_is_cut_off_is_named(tmp_path: Path, profile: str) -> None:
    options = {"movflags": "faststart"}
    first = write(tmp_path / "a.mp4", replace(H, seconds=0.8, timecode="", container_options=options))
    second = write(tmp_path / "b.mp4", replace(H, seconds=0.8, timecode="", container_options=options))
    second.write_bytes(second.read_bytes()[: second.stat().st_size * 7 // 10])
    with pytest.raises(BadMedia, match=r"b\.mp4: not joined: .*"):
        concat(tmp_path / "out", first, second, profile=profile)


def damaged(path: Path, kind: str) -> Path:
    """A clip of ten frames. ``kind``: which stream has a packet that cannot be decoded, the sixth."""
    clip = replace(KINDS["prores.mov"], seconds=0.4, sound="aac" if kind == "audio" else "pcm_s24le")
    with av.open(str(write(path, clip))) as container:
        stream = container.streams.get(**{kind: 0})[0]
        spots = [(each.pos, each.size) for each in container.demux(stream) if each.size]
    content, (at, size) = bytearray(path.read_bytes()), spots[5]
    assert at is not None
    content[at : at + size] = bytes([255]) * size
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("profile", ["", "prores-proxy"])
def test_a_clip_that_lacks_a_frame_is_named_with_its_time_and_what_to_do(tmp_path: Path, profile: str) -> None:
    first = write(tmp_path / "a.mov", replace(KINDS["prores.mov"], seconds=0.4))
    with pytest.raises(BadMedia) as info:
        concat(tmp_path / "out", first, damaged(tmp_path / "b.mov", "video"), profile=profile)
    assert str(info.value).startswith("b.mov: not joined: its frame at 0.200 s cannot be decoded (")
    assert "join pieces of it from before and behind that (damfs clip --exact)" in str(info.value)


def test_damage_that_costs_no_frame_is_told(tmp_path: Path) -> None:
    first, second = (
        write(tmp_path / "a.mov", replace(KINDS["prores.mov"], seconds=0.4, sound="aac")),
        tmp_path / "b.mov",
    )
    for profile in ("", "prores-proxy"):
        out = concat(tmp_path / "out", first, damaged(second, "audio"), profile=profile)
        told = out.facts["parts"]
        assert isinstance(told, list)
        assert [(part["frames"], part["errors"]) for part in told] == [(10, 0), (10, 1)]
        assert judged(out.renditions[0].path)[0] == 20


def test_a_joined_file_that_lacks_something_is_found_out(tmp_path: Path) -> None:
    first = write(tmp_path / "a.mov", replace(H, seconds=0.4))
    second = write(tmp_path / "b.mov", replace(H, seconds=0.4, source="mandelbrot"))
    parts = [joinable.looked_at(path, path.name) for path in (first, second)]
    target = tmp_path / "joined.mov"
    joining.joined(parts, target)
    joining.prove(parts, target)
    for wrong, why in (([*parts, parts[0]], "20 of 30 frames"), (parts[:1], "frame 10 is shown"),
                       (parts[::-1], "b.mov begins with another frame")):  # fmt: skip
        with pytest.raises(BadMedia, match=why):
            joining.prove(wrong, target)


def test_what_is_no_clip_cannot_be_joined(tmp_path: Path) -> None:
    clip, text = write(tmp_path / "a.mov", replace(H, seconds=0.4)), tmp_path / "b.mov"
    text.write_text("no clip\n" * 100)
    with pytest.raises(BadMedia, match=r"b\.mov: not playable: it holds text"):
        concat(tmp_path / "out", clip, text)
