"""damfs concat: files of the mount and of folders, to a folder or into the library; interrupted, it leaves nothing."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
from pathlib import Path

import pytest

from damfs.integration import concat
from damfs.settings import Settings
from tests.mount.conftest import Serve
from tests.mount.daemon_process import DAMFS, QUICK, await_end, damfs, descendants, environment, rows, run, until
from tests.mount.test_interrupts import has_open
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


def test_only_a_library_sets_a_limit(serve: Serve, tmp_path: Path) -> None:
    dam = serve(settings=QUICK + "[clips]\ntime_limit_s = 7\n").start()
    inside, outside = dam / "inbox/best.mov", tmp_path / "best.mov"
    assert concat.bounds(concat.Order((outside, outside), inside, "", ""))[1] == 7
    assert concat.bounds(concat.Order((outside, outside), outside, "", "")) == (Settings(), math.inf)


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


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "clip.mov"
    return write(path, Clip(options={"preset": "ultrafast"}, size=(960, 540), seconds=12, tracks=()))


def begun(
    tmp_path: Path, long: Path, *, deaf: bool = False, target: Path | None = None, work: Path | None = None
) -> subprocess.Popen[str]:
    """The command, when it is in the middle of its work. ``deaf``: as a shell starts one in the background."""
    clip, goal = tmp_path / "clip.mov", target or tmp_path / "both.mov"
    clip.hardlink_to(long)
    process = subprocess.Popen(
        [*DAMFS, "concat", clip, clip, "-o", goal, "--profile", "prores-proxy"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(),
        preexec_fn=(lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if deaf else None,
    )  # fmt: skip
    folder = work or tmp_path
    until(lambda: any(folder.glob(".both.mov.*.part/progress")) or process.poll() is not None, "it is begun", 100)
    return process


@pytest.mark.parametrize(
    ("number", "deaf"),
    [(signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGHUP, False), (signal.SIGTERM, True)],
    ids=str,
)
def test_interrupted_it_leaves_nothing_behind(tmp_path: Path, long: Path, number: signal.Signals, deaf: bool) -> None:
    process = begun(tmp_path, long, deaf=deaf)
    check_interrupted(process, number)
    assert os.listdir(tmp_path) == ["clip.mov"]


def check_interrupted(process: subprocess.Popen[str], number: signal.Signals) -> None:
    workers = [each for each in descendants(process.pid) if has_open(each, "clip.mov")]
    process.send_signal(number)
    out, said = process.communicate(timeout=180)
    assert (process.returncode, out, said) == (128 + number, "", "interrupted; nothing was left behind\n")
    assert len(workers) == 1
    await_end(workers[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_interrupted_on_the_way_into_a_mount_it_leaves_nothing_there(
    serve: Serve, tmp_path: Path, long: Path, number: signal.Signals
) -> None:
    dam = serve(settings=QUICK).start()
    process = begun(tmp_path, long, target=dam / "inbox/both.mov", work=dam.library / "state/work")
    check_interrupted(process, number)
    assert os.listdir(dam / "inbox") == []
    assert list((dam.library / "state/work").iterdir()) == []
    assert list((dam.library / "state/staging").iterdir()) == []
    assert rows(dam.library, "SELECT 1 FROM asset") == []
    if number == signal.SIGINT:
        clip = h264(tmp_path / "short.mov", size=SIZE, seconds=0.4, options=GOP)
        damfs("concat", clip, clip, "-o", dam / "inbox/both.mov")
        assert frames(dam / "inbox/both.mov") == 20


def test_what_a_killed_one_left_goes_when_it_is_run_again(tmp_path: Path, long: Path) -> None:
    process = begun(tmp_path, long)
    process.kill()
    process.communicate(timeout=100)
    assert any(tmp_path.glob(".both.mov.*.part"))
    short = h264(tmp_path / "short.mov", size=SIZE, seconds=0.4, options=GOP)
    damfs("concat", short, short, "-o", tmp_path / "both.mov")
    assert sorted(os.listdir(tmp_path)) == ["both.mov", "clip.mov", "short.mov"]
