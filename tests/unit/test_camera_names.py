"""Pairs of clips and the small copies of cameras: by name, and by what the probe says of both."""

from __future__ import annotations

import pytest

from damfs.core.camera_names import Partner, originals_of, proxies_of, why_not

CLIP: dict[str, object] = {
    "media": "video", "height": 1080, "duration_ns": 10_000_000_000, "video": {"frame_rate": "25/1"}, "timecode": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("folder", "original", "beside", "proxy"),
    [
        ("Clip", "C0001.MXF", "Sub", "C0001S03.MP4"),
        ("CLIP", "C0001.MP4", "SUB", "C0001S03.MP4"),
        ("100GOPRO", "GX010001.MP4", "", "GL010001.LRV"),
        ("100GOPRO", "GH010001.MP4", "", "GL010001.LRV"),
        ("100GOPRO", "GOPR0001.MP4", "", "GOPR0001.LRV"),
        ("DCIM", "DJI_0001.MP4", "", "DJI_0001.LRF"),
        ("DCIM", "DJI_0001.mp4", "", "DJI_0001.lrf"),
        ("Camera01", "VID_20260101_01_001.mp4", "", "LRV_20260101_01_001.lrv"),
        ("x", "any.MP4", "", "any.LRV"),
    ],
)
def test_a_pair_is_found_from_either_side(folder: str, original: str, beside: str, proxy: str) -> None:
    assert Partner(beside, proxy) in set(proxies_of(folder, original))
    found = set(originals_of(beside or folder, proxy))
    assert Partner(folder if beside else "", original) in found


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("Footage", "C0001.MXF"),
        ("Clip", "C0001.mov.txt"),
        ("DCIM", "DJI_0001.JPG"),
        ("DCIM", "notes.txt"),
        ("x", ".MP4"),
    ],
)
def test_other_files_are_nobodys_original(folder: str, name: str) -> None:
    assert list(proxies_of(folder, name)) == []


def test_a_clip_is_no_proxy_by_its_name() -> None:
    assert list(originals_of("DCIM", "DJI_0001.MP4")) == []
    assert list(originals_of("Clip", "C0001S03.MP4")) == [], "only in the folder of proxies"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({}, None),
        ({"duration_ns": 10_030_000_000}, None),
        ({"video": {"frame_rate": "25001/1000"}}, None),
        ({"timecode": "10:00:00:00"}, None),
        ({"duration_ns": 10_050_000_000}, "duration"),
        ({"duration_ns": None}, "duration"),
        ({"video": {"frame_rate": "50/1"}}, "frame rate"),
        ({"video": {"frame_rate": "24000/1001"}}, "frame rate"),
        ({"video": {}}, "frame rate"),
        ({"video": {"frame_rate": "0/0"}}, "frame rate"),
        ({"media": "audio"}, "no moving pictures"),
        ({"height": 1080}, "not smaller"),
    ],
)
def test_a_camera_proxy_stands_in_only_where_editors_would_show_the_same_frames(
    change: dict[str, object], why: str | None
) -> None:
    found = why_not(CLIP, {**CLIP, "height": 540, **change})
    assert found is None if why is None else found is not None and why in found


def test_timecodes_that_differ_keep_it_from_standing_in() -> None:
    assert why_not({**CLIP, "timecode": "10:00:00:00"}, {**CLIP, "height": 540, "timecode": "00:00:00:00"}) is not None
