"""Recordings that are written into the mount: a program that closes its file in between has one file in the end."""

from __future__ import annotations

import os
import shutil
import time
from itertools import count
from pathlib import Path

import pytest

from damfs.core.arriving import QUIET_S
from damfs.presentation.fuse.unfinished import WAIT_S
from tests.mount.conftest import Serve
from tests.mount.daemon_process import Daemon, rows, run, until
from tests.sample_media import h264, truncated
from tests.sample_media.sound import write_sound


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Its index comes last."""
    return h264(tmp_path_factory.mktemp("recording") / "take.mp4", seconds=0.5, size=(64, 48)).read_bytes()


def in_turns(path: Path, content: bytes, turns: int = 5) -> float:
    """As recorders write that close their file after each part. The longest time between two parts."""
    part, longest, closed = len(content) // turns, 0.0, time.monotonic()
    for turn in range(turns):
        with path.open("ab", buffering=0) as file:
            longest = max(longest, time.monotonic() - closed)
            file.write(content[turn * part : None if turn == turns - 1 else (turn + 1) * part])
            closed = time.monotonic()  # the daemon may count from here on
    return longest


def versions_of(dam: Daemon, name: str) -> int:
    sql = "SELECT count(*) FROM version JOIN asset ON asset.id = version.asset WHERE asset.name = ?"
    ((found,),) = rows(dam.library, sql, name)
    assert isinstance(found, int)
    return found


def test_a_recording_that_is_closed_in_between_arrives_once_and_whole(dam: Daemon, recording: bytes) -> None:
    """Also over an original: one version more. A machine that is busy for seconds is given another take."""
    for take in count():
        name = f"take{take}.mp4"
        path = dam / "inbox" / name
        if in_turns(path, recording) > WAIT_S / 2:
            continue
        status = dam.idle()
        assert (path.read_bytes(), versions_of(dam, name)) == (recording, 1)
        assert name not in {failure.name for failure in status.failures}
        assert name in os.listdir(dam / "by-type/video")
        inode = path.stat().st_ino
        path.write_bytes(recording[:100])
        if in_turns(path, recording[100:]) < WAIT_S / 2:
            dam.idle()
            assert (path.stat().st_ino, versions_of(dam, name)) == (inode, 1), "the bytes are those from before"
            break


def test_those_that_could_end_anywhere_arrive_once_as_well(dam: Daemon, tmp_path: Path) -> None:
    """What was there at each close is a whole file of its own; but of Matroska, which says how long it is."""
    options, pieces = {"preset": "veryfast", "g": "2"}, {"movflags": "frag_keyframe+empty_moov"}
    sources = {
        ".mp3": write_sound(tmp_path / "a.mp3", "libmp3lame", 1.0, 440, {}, {}),
        ".ts": h264(tmp_path / "a.ts", seconds=0.5, size=(64, 48), options=options),
        ".mkv": h264(tmp_path / "a.mkv", seconds=0.5, size=(64, 48), options=options),
        ".mp4": h264(tmp_path / "a.mp4", seconds=0.5, size=(64, 48), options=options, container_options=pieces),
    }
    whole: dict[str, bytes] = {}
    for ending, source in sources.items():
        for take in count():
            name, content = f"take{take}{ending}", source.read_bytes()
            if in_turns(dam / "inbox" / name, content) < QUIET_S / 2:
                whole[name] = content
                break
    status = dam.idle()
    assert {name: versions_of(dam, name) for name in whole} == dict.fromkeys(whole, 1)
    assert {name: (dam / "inbox" / name).read_bytes() for name in whole} == whole
    assert not {failure.name for failure in status.failures} & whole.keys()


def test_one_that_is_never_finished_arrives_all_the_same_and_says_why(dam: Daemon, tmp_path: Path) -> None:
    run("cp", truncated(tmp_path / "a.mov"), dam / "inbox")
    assert (dam / "inbox/a.mov").read_bytes() == (tmp_path / "a.mov").read_bytes(), "it can be read meanwhile"
    dam.idle()
    until(lambda: (dam / "failed/a.mov.txt").exists(), "it is listed")
    assert "moov" in (dam / "failed/a.mov.txt").read_text()


def test_what_waits_can_be_moved_tagged_and_removed(dam: Daemon, tmp_path: Path) -> None:
    truncated(tmp_path / "a.mov")
    for name in ("moved.mov", "removed.mov", "tagged.mov", "folder.mov"):
        shutil.copyfile(tmp_path / "a.mov", dam / "inbox" / name)
    (dam / "by-tag/sea").mkdir()
    (dam / "inbox/moved.mov").rename(dam / "inbox/renamed.mov")
    (dam / "inbox/tagged.mov").rename(dam / "by-tag/sea/tagged.mov")
    (dam / "originals/library/a").mkdir()
    (dam / "inbox/folder.mov").rename(dam / "originals/library/a/folder.mov")
    (dam / "inbox/removed.mov").unlink()
    dam.idle()
    assert set(os.listdir(dam / "inbox")) == {"renamed.mov"}
    assert os.listdir(dam / "by-tag/sea") == ["tagged.mov"]
    assert os.listdir(dam / "originals/library/a") == ["folder.mov"]


def test_unmounting_does_not_wait_for_who_may_come_back(serve: Serve, recording: bytes) -> None:
    dam = serve().start()
    (dam / "inbox/take.mp4").write_bytes(recording[: len(recording) // 2])
    dam.end()
    assert rows(dam.library, "SELECT state FROM asset WHERE name = 'take.mp4'") == [("present",)]
