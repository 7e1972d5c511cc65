"""By which bytes of each container one sees that its recording has ended, with files as recorders leave them."""

from __future__ import annotations

from pathlib import Path

import pytest

from damfs.core.finished import CONTAINERS, CUT_OFF, NO_LENGTH, STEPS, UNFINISHED, lacks
from tests.sample_media import heic, jpeg, png
from tests.sample_media.hostile import HOSTILE
from tests.sample_media.running import RECORDERS, recorded

NO_INDEX = UNFINISHED + "it has no index (moov) yet"
RUNNING = {
    "a.mov": NO_INDEX,
    "a.mp4": NO_INDEX,
    "faststart.mp4": NO_INDEX,
    "a.mkv": NO_LENGTH,
    "a.webm": NO_LENGTH,
    "a.mxf": UNFINISHED + "it has no footer yet",
    "a.avi": NO_LENGTH,
    "a.wav": NO_LENGTH,
    "rf64.wav": NO_LENGTH,
    "a.w64": NO_LENGTH,
    "a.aiff": NO_LENGTH,
    "a.caf": NO_LENGTH,
    "a.flac": NO_LENGTH,
    "a.ogg": UNFINISHED + "its last page is not written yet",
    "a.opus": UNFINISHED + "its last page is not written yet",
}
NEVER_TOLD = {"a.ts", "a.flv", "a.mp3", "pieces.mp4"}
"""They grow at their end, and are whole at any time."""
NOT_BY_THEIR_END = {"a.flac", "live.mkv"} | NEVER_TOLD - {"pieces.mp4"}
"""What is missing at the end of a copy of them cannot be told without decoding it."""
SAID_OF_HARM = {"endless.wav", "half.jpg", "huge.png", "nested.mp4", "noise.mkv", "noise.jpg", "unpacking.mov"}
KEPT = (0.1, 0.3, 0.5, 0.7, 0.9, 0.99)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recordings")


@pytest.fixture(scope="module")
def recordings(folder: Path) -> dict[str, tuple[Path, Path]]:
    return {name: recorded(folder / name, recorder) for name, recorder in RECORDERS.items()}


def test_each_recording_is_seen_to_run_and_to_have_ended(recordings: dict[str, tuple[Path, Path]]) -> None:
    assert {name: lacks(running) for name, (_, running) in recordings.items() if name in RUNNING} == RUNNING
    ended = {name: lacks(path) for name, (path, _) in recordings.items()}
    assert {name: why for name, why in ended.items() if why} == {"live.mkv": NO_LENGTH}, "a stream that nobody closes"


def test_what_can_always_grow_is_left_to_quiet(recordings: dict[str, tuple[Path, Path]]) -> None:
    assert {name: lacks(recordings[name][1]) for name in NEVER_TOLD} == dict.fromkeys(NEVER_TOLD)
    assert set(RUNNING) | NEVER_TOLD | {"live.mkv"} == set(RECORDERS)


def test_a_copy_that_is_under_way_is_seen(recordings: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    whole = [path for name, (path, _) in recordings.items() if name not in NOT_BY_THEIR_END]
    whole += [make(tmp_path / f"whole.{make.__name__}", size=(64, 48)) for make in (jpeg, png, heic)]
    seen_whole = {}
    for path in whole:
        content = path.read_bytes()
        assert lacks(path) is None, path
        for keep in KEPT:
            (tmp_path / "copy").write_bytes(content[: round(len(content) * keep) - 1])
            if lacks(tmp_path / "copy") is None:
                seen_whole[path.name] = keep
    assert seen_whole == {}


def test_what_has_a_tail_that_others_wrote_is_whole(recordings: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    """Disks round sizes up, programs append tags."""
    for name in ("a.mov", "a.mkv", "a.avi", "a.wav", "a.aiff", "a.ogg", "a.flac"):
        (tmp_path / name).write_bytes(recordings[name][0].read_bytes() + bytes(512))
        assert lacks(tmp_path / name) is None, name


@pytest.mark.parametrize("name", HOSTILE)
def test_what_means_harm_is_judged_whatever_it_says(name: str, tmp_path: Path) -> None:
    path = HOSTILE[name](tmp_path / name)
    content = path.read_bytes()
    for end in (len(content), len(content) // 2, 100, 9, 1, 0):
        path.write_bytes(content[:end])
        assert lacks(path) is None or end < len(content) or name in SAID_OF_HARM, end


def test_boxes_without_end_are_not_followed_for_ever(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x08ftyp" * (STEPS + 5))
    assert lacks(tmp_path / "a.mp4") == NO_INDEX
    (tmp_path / "a.wav").write_bytes(b"RIFF\0\0\0\x10")
    assert lacks(tmp_path / "a.wav") == CUT_OFF


def test_each_begins_as_no_other_does(recordings: dict[str, tuple[Path, Path]]) -> None:
    for path, _ in recordings.values():
        found = [row.name for row in CONTAINERS if row.begins.match(path.read_bytes()[:512])]
        assert len(found) == 1, path
