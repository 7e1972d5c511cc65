"""The hash by which Shotcut knows a file: of everything up to 2 MB, else of both ends."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from damfs.core.processors.editor_hash import EditorHash, sampled_md5
from damfs.core.processors.processor import Subject
from damfs.model import Media

MILLION = 1_000_000


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("size", [0, 1, MILLION, 2 * MILLION - 1, 2 * MILLION])
def test_a_small_file_is_hashed_whole(tmp_path: Path, size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    (tmp_path / "clip").write_bytes(data)
    assert sampled_md5(tmp_path / "clip") == md5(data)


def test_of_a_large_file_both_ends_count_and_nothing_else(tmp_path: Path) -> None:
    for middle in (b"\x01", b"\x02"):
        (tmp_path / "clip").write_bytes(b"a" * MILLION + middle + b"b" * MILLION)
        assert sampled_md5(tmp_path / "clip") == md5(b"a" * MILLION + b"b" * MILLION)


def test_videos_only(tmp_path: Path) -> None:
    assert EditorHash().accepts(Subject("clip.mov", Media.VIDEO, 1))
    assert not EditorHash().accepts(Subject("photo.jpg", Media.IMAGE, 1))
    assert not EditorHash().accepts(Subject("sound.mov", Media.VIDEO, 1, facts={"probe": {"media": "audio"}}))
