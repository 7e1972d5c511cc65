"""What kind of media bytes are, by their first bytes and their name."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from damfs.core.media_types import guess_media, media_of_mime, media_of_name
from damfs.model import Media

JPEG = bytes.fromhex("ffd8ffe000104a46494600010101")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(20)
MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41" + bytes(20)
PDF = b"%PDF-1.7\n" + bytes(20)


@pytest.mark.parametrize(
    ("name", "head", "media"),
    [
        ("a.jpg", JPEG, Media.IMAGE),
        ("wrongly named.mov", JPEG, Media.IMAGE),
        ("no ending", PNG, Media.IMAGE),
        ("a.wav", WAV, Media.AUDIO),
        ("a.mp4", MP4, Media.VIDEO),
        ("a.m4a", MP4, Media.AUDIO),
        ("a.mov", b"no known form", Media.VIDEO),
        ("empty.mov", b"", Media.VIDEO),
        ("empty", b"", Media.OTHER),
        ("a.pdf", PDF, Media.OTHER),
        ("A.CR3", b"", Media.IMAGE),
        ("clip.MXF", b"", Media.VIDEO),
        ("clip.r3d", b"", Media.VIDEO),
        ("sound.BWF", b"", Media.AUDIO),
        ("notes.txt", b"hello", Media.OTHER),
        (".mov", b"", Media.OTHER),
    ],
)
def test_media(name: str, head: bytes, media: Media) -> None:
    assert guess_media(name, head) is media


@given(st.binary(max_size=255), st.binary(max_size=300))
def test_nothing_makes_it_raise(name: bytes, head: bytes) -> None:
    assert guess_media(os.fsdecode(name), head) in Media


def test_mime() -> None:
    assert media_of_mime("video/quicktime") is Media.VIDEO
    assert media_of_mime("application/pdf") is Media.OTHER
    assert media_of_name("x.heic") is Media.IMAGE
