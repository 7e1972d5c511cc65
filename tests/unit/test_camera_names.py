"""Pairs of clips and the small copies of cameras, by their names."""

from __future__ import annotations

import pytest

from damfs.core.camera_names import Partner, originals_of, proxies_of


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
