"""failed/: what cannot be worked on is listed with its reason, and goes from there by what the reason says to do."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mount.daemon_process import QUICK, damfs, run, until
from tests.sample_media import h264, text_named_mov, truncated
from tests.unit.test_proxy_matrix import backwards

if TYPE_CHECKING:
    from tests.mount.conftest import Serve


def names(path: Path) -> set[str]:
    return set(os.listdir(path))


def test_what_failed_is_listed_with_its_reason(serve: Serve, tmp_path: Path) -> None:
    dam = serve(settings=QUICK).start()
    failed = dam / "failed"
    assert names(failed) == set()
    truncated(tmp_path / "unfinished.mov")
    text_named_mov(tmp_path / "note.mov")
    h264(tmp_path / "good.mp4", seconds=0.3)
    run("cp", *(tmp_path / name for name in ("unfinished.mov", "note.mov", "good.mp4")), dam / "inbox")
    dam.idle()
    until(lambda: len(names(failed)) == 4, "both are listed")
    assert names(failed) == {"unfinished.mov", "unfinished.mov.txt", "note.mov", "note.mov.txt"}
    assert (failed / "note.mov").stat().st_ino == (dam / "inbox/note.mov").stat().st_ino
    text = (failed / "unfinished.mov.txt").read_text()
    assert text.startswith("unfinished.mov\n\nprobe: failed for good at ")
    assert "reason: unfinished.mov: not playable: moov atom not found" in text
    assert f"damfs retry {dam.library} probe" in text
    assert not (failed / "good.mp4").exists()

    (failed / "note.mov").rename(dam / "trash/note.mov")
    until(lambda: names(failed) == {"unfinished.mov", "unfinished.mov.txt"}, "what is in the trash is not listed")
    shutil.copyfile(tmp_path / "good.mp4", failed / "unfinished.mov")
    dam.settled()
    until(lambda: names(failed) == set(), "good bytes have not failed")
    until(lambda: not (failed / "unfinished.mov.txt").exists(), "nor is there a reason")


def test_a_source_that_nothing_can_conform_to_is_listed_with_the_property(serve: Serve, tmp_path: Path) -> None:
    dam = serve(settings=QUICK + "[proxy]\nneedless = true\n").start()
    run("cp", backwards(tmp_path / "broken.mkv"), dam / "inbox")
    dam.idle()
    until(lambda: names(dam / "failed") == {"broken.mkv", "broken.mkv.txt"}, "it is listed")
    text = (dam / "failed/broken.mkv.txt").read_text()
    assert "reason: broken.mkv: no proxy: frame_times: " in text
    said = damfs("proxy", dam / "inbox/broken.mkv").stdout
    assert "frame_times" in said


def test_a_name_that_a_text_would_have_is_the_files(serve: Serve, tmp_path: Path) -> None:
    dam = serve(settings=QUICK).start()
    text_named_mov(tmp_path / "note.mov")
    truncated(tmp_path / "unfinished.mov")
    run("cp", tmp_path / "note.mov", dam / "inbox/note.mov")
    run("cp", tmp_path / "unfinished.mov", dam / "inbox/second.mov")
    dam.idle()
    run("mv", dam / "inbox/second.mov", dam / "inbox/note.mov.txt")
    until(lambda: "note.mov.txt.txt" in names(dam / "failed"), "the renamed file is listed")
    listed = names(dam / "failed")
    assert len(listed) == 4, listed
    (other,) = listed - {"note.mov", "note.mov.txt", "note.mov.txt.txt"}
    assert other.startswith("note.mov~")
    assert "it holds text, not media" in (dam / "failed" / other).read_text()
    assert "moov atom" in (dam / "failed/note.mov.txt.txt").read_text()
    assert (dam / "failed/note.mov.txt").read_bytes() == (tmp_path / "unfinished.mov").read_bytes()
    assert damfs("status", dam.library, check=False).returncode == 1


def test_what_is_held_back_is_listed_with_its_reason_after_a_restart_too(serve: Serve, tmp_path: Path) -> None:
    dam = serve(settings=QUICK, announced=["is held back and will be tried again"]).start()
    (dam.library / "originals/2001").write_text("where the folder of the year would be")
    clip = h264(tmp_path / "good.mp4", seconds=0.3, size=(64, 48))
    os.utime(clip, (1_000_000_000, 1_000_000_000))
    run("cp", "--preserve=timestamps", clip, dam / "inbox")
    listed = {"good.mp4", "good.mp4.txt"}
    until(lambda: names(dam / "failed") == listed, "it is listed")
    assert "held back good.mp4: " in damfs("status", dam.library, check=False).stdout
    dam.end()
    said = damfs("status", dam.library, check=False).stdout
    assert "held back good.mp4: it was received whole; it is published as soon as" in said
    dam.start()
    until(lambda: names(dam / "failed") == listed, "again")
    text = (dam / "failed/good.mp4.txt").read_text()
    assert text.startswith("good.mp4\n\nheld back: it was received whole and could not be published\n  reason: ")
    assert "in this path is a file, not a folder" in text
    assert (dam / "failed/good.mp4").read_bytes() == clip.read_bytes()
    dam.end()
    (dam.library / "originals/2001").unlink()
    dam.start()
    until(lambda: names(dam / "failed") == set(), "it was published")
    assert (dam / "inbox/good.mp4").read_bytes() == clip.read_bytes()
