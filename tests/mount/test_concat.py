"""damfs concat: files of the mount and of folders, to a folder or into the library; interrupted, it leaves nothing."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from tests.mount.conftest import Serve
from tests.mount.daemon_process import QUICK, begun, damfs, run, until
from tests.sample_media import Clip, h264, write

SIZE = (320, 180)
GOP = {"preset": "veryfast", "crf": "23", "g": "10", "bf": "2", "sc_threshold": "0"}


def frames(path: Path) -> int:
    told = run("ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries",
               "stream=nb_read_frames", "-of", "default=nw=1:nk=1", path)  # fmt: skip
    return int(told.stdout.split()[0])


def test_pieces_in_the_mount_become_a_file_of_the_library(serve: Serve, tmp_path: Path) -> None:
    h264(tmp_path / "Reel/clip.mp4", size=SIZE, seconds=2, options=GOP)
    dam = serve(settings=QUICK).start()
    dam.add(tmp_path / "Reel")
    dam.idle()
    folder = dam / "clips/clip.mp4"
    pieces = [folder / "00-00-00.200_00-00-00.800_exact.mov", folder / "00-00-01.000_00-00-01.600_exact.mov"]
    told = json.loads(damfs("concat", *pieces, "-o", dam / "inbox/best.mov", "--json").stdout)
    assert (told["frames"], told["method"], told["file"]) == (30, "copied", str(dam / "inbox/best.mov"))
    assert [part["frames"] for part in told["parts"]] == [15, 15]
    dam.settled()
    dam.idle()
    assert os.listdir(dam / "inbox") == ["best.mov"]
    assert frames(dam / "inbox/best.mov") == 30
    assert not list((dam.library / "state/work").glob("*.part"))


def test_files_of_a_folder_need_no_library(tmp_path: Path) -> None:
    clip = h264(tmp_path / "clip.mov", size=SIZE, seconds=0.4, options=GOP)
    done = damfs("concat", clip, clip, "-o", tmp_path / "both.mov")
    assert done.stdout.startswith(f"{tmp_path / 'both.mov'} (")
    assert "2 clips, 20 frames, copied" in done.stdout
    assert frames(tmp_path / "both.mov") == 20
    other = h264(tmp_path / "other.mov", size=(160, 90), seconds=0.4, options=GOP)
    for words, said in (
        ((clip, clip, "-o", tmp_path / "both.mov"), "both.mov is there already"),
        ((clip, other, "-o", tmp_path / "new.mov"), "160x90, not 320x180; encode them alike with: damfs concat"),
        ((clip, "-o", tmp_path / "new.mov"), "name at least two clips"),
        ((clip, tmp_path / "none.mov", "-o", tmp_path / "new.mov"), "none.mov: no such file"),
        ((clip, clip, "-o", tmp_path / "new.avi"), "name the file .mov, .mp4 or .mkv"),
        ((clip, clip, "-o", tmp_path / "new.mov", "--profile", "x"), 'no profile "x"; there are: dnxhr-lb'),
    ):  # fmt: skip
        failed = damfs("concat", *words, check=False)
        assert failed.returncode == 1
        assert said in failed.stderr
        assert failed.stderr.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == ["both.mov", "clip.mov", "other.mov"]


def test_interrupted_it_leaves_nothing_behind(tmp_path: Path) -> None:
    clip = write(tmp_path / "clip.mov", Clip(options={"preset": "ultrafast"}, size=(960, 540), seconds=12, tracks=()))
    with begun("concat", clip, clip, "-o", tmp_path / "both.mov", "--profile", "prores-proxy") as process:
        until(lambda: any(tmp_path.glob(".both.mov.*.part/progress")) or process.poll() is not None, "it is begun", 100)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=180)
    assert (process.returncode, out, said) == (130, "", "interrupted; nothing was left behind\n")
    assert os.listdir(tmp_path) == ["clip.mov"]
