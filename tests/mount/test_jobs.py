"""What happens to real media after the copy: facts, proxies, neighbours; bad media; and kill -9 at any moment."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.mount.consistency import check_consistent
from tests.mount.daemon_process import QUICK, damfs, drawn_seed, run, until
from tests.mount.kill_loop import Loop
from tests.sample_media import (
    cut_short,
    empty,
    h264,
    jpeg,
    jpeg_named_mov,
    paint,
    png,
    prores,
    text_named_mov,
    truncated,
    wav,
)

if TYPE_CHECKING:
    from tests.mount.conftest import Serve

FAST = QUICK + "[indexer]\nworkers = 2\n[proxy]\nlines = 120\n"


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    prores(folder / "take.mov", seconds=0.8, size=(320, 180))
    h264(folder / "phone.mp4", seconds=0.8, size=(320, 180), source="sunset")
    jpeg(folder / "still.jpg", size=(320, 240))
    wav(folder / "room.wav", seconds=0.3)
    return folder


def probed(path: Path) -> dict[str, str]:
    entries = "stream=nb_read_frames,codec_name,height:stream_tags=timecode"
    found = run("ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries", entries,
                "-of", "default=noprint_wrappers=1", path).stdout  # fmt: skip
    return dict(line.split("=", 1) for line in found.split())


def test_from_cp_to_a_proxy_that_plays(serve: Serve, clips: Path) -> None:
    dam = serve(settings=FAST).start()
    for path in clips.iterdir():
        run("cp", path, dam / "inbox")
    status = dam.idle()
    assert status.failures == []
    done = {count.processor: count.done for count in status.jobs}
    assert done.items() >= {"probe": 4, "preview": 3, "proxy": 2}.items()
    assert set(os.listdir(dam / "by-type/video")) == {"take.mov", "phone.mp4"}
    assert os.listdir(dam / "by-date/2024/07/15") == ["still.jpg"]
    assert os.listdir(dam / "by-date/2025/05/04") == ["room.wav"]
    assert os.listdir(dam / "originals/library/2024/07/15") == ["still.jpg"], "filed under the day of capture"
    (proxy,) = (dam / "proxies/library").rglob("take.mov")
    original = probed(clips / "take.mov")
    assert probed(proxy) == {**original, "codec_name": "dnxhd", "height": "144"}, "256 pixels wide at least"
    run("ffmpeg", "-v", "error", "-xerror", "-i", proxy, "-f", "null", "-")
    check_consistent(dam)


def test_the_same_bytes_are_worked_on_once(serve: Serve, clips: Path) -> None:
    dam = serve(settings=FAST).start()
    run("cp", clips / "take.mov", dam / "inbox/one.mov")
    run("cp", clips / "take.mov", dam / "inbox/two.mov")
    dam.settled()
    assert {count.done + count.waiting + count.running for count in dam.idle().jobs} == {1}
    proxies = list((dam / "proxies/library").rglob("*.mov"))
    assert [path.name for path in proxies] == ["one.mov", "two.mov"]
    assert proxies[0].stat().st_ino == proxies[1].stat().st_ino
    check_consistent(dam)


def test_bad_media_is_one_failed_job_each_and_the_rest_goes_on(serve: Serve, clips: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    truncated(bad / "unfinished.mov")
    empty(bad / "empty.mov")
    text_named_mov(bad / "note.mov")
    (bad / "noise.mp4").write_bytes(random.Random(1).randbytes(50_000))
    fine = tmp_path / "fine"
    jpeg_named_mov(fine / "photo.mov")
    cut_short(fine / "cut.mp4", keep=0.9)
    shutil.copy(clips / "take.mov", fine)
    dam = serve(settings=FAST).start()
    run("cp", *bad.iterdir(), *fine.iterdir(), dam / "inbox")
    status = dam.idle()
    failed = {failure.name: failure for failure in status.failures}
    assert set(failed) >= {path.name for path in bad.iterdir()}
    assert set(failed) <= {path.name for path in bad.iterdir()} | {"cut.mp4"}
    assert len(failed) == len(status.failures), "one failed job each"
    for failure in status.failures:
        assert failure.name in failure.error
        assert "\n" not in failure.error
    done = damfs("status", dam.library, check=False)
    assert done.returncode == 1
    for name in failed:
        assert len([line for line in done.stdout.splitlines() if line.startswith("failed") and name in line]) == 1
    assert "take.mov" in os.listdir(dam / "by-type/video")
    assert os.listdir(dam / "by-type/image") == ["photo.mov"], "what it is, not what it is called"
    assert list((dam / "proxies/library").rglob("take.mov"))
    for path in [*bad.iterdir(), *fine.iterdir()]:
        assert (dam / "inbox" / path.name).read_bytes() == path.read_bytes()
    assert damfs("retry", dam.library).stdout.startswith(f"{len(failed)} jobs")
    until(lambda: not dam.status().to_do, "retried at once, not after a nap of a minute", 50)
    assert len(dam.status().failures) == len(failed)
    check_consistent(dam)


def test_killed_while_a_proxy_is_made_jobs_go_on(serve: Serve, tmp_path: Path) -> None:
    dam = serve(settings=QUICK + "[indexer]\nworkers = 1\n").start()
    run("cp", h264(tmp_path / "long.mp4", seconds=6, size=(640, 360)), dam / "inbox")
    until(lambda: any(job.processor == "proxy" and job.running for job in dam.status().jobs), "the proxy is begun")
    dam.kill()
    dam.announced.append("stale mount")
    dam.start()
    assert "interrupted jobs go on" in dam.log()
    status = dam.idle()
    assert status.failures == []
    (proxy,) = (dam / "proxies/library").rglob("long.*")
    assert probed(proxy)["nb_read_frames"] == "150"
    check_consistent(dam)


def test_renditions_that_were_deleted_come_back(serve: Serve, clips: Path) -> None:
    dam = serve(settings=FAST).start()
    run("cp", clips / "phone.mp4", dam / "inbox")
    dam.idle()
    dam.end()
    shutil.rmtree(dam.library / "state/renditions")
    shutil.rmtree(dam.library / "state/vectors", ignore_errors=True)
    dam.start()
    dam.idle()
    assert [probed(path)["nb_read_frames"] for path in (dam / "proxies/library").rglob("phone.*")] == ["20"]
    check_consistent(dam)


@pytest.mark.timeout(300)
def test_killed_at_random_moments_under_load(tmp_path: Path) -> None:
    """A few rounds of `python -m tests.mount.kill_loop`."""
    seed = drawn_seed()
    loop = Loop(tmp_path, seed)
    loop.run(6)
    print(dict(loop.counts))
    assert loop.counts["steps"] > 20


@pytest.mark.timeout(300)
def test_the_default_model_finds_the_near_duplicate_first(serve: Serve, tmp_path: Path) -> None:
    """Real embedding, through the mount."""
    pictures = tmp_path / "pictures"
    for scene in ("beach", "city", "flowers", "portrait", "mountains"):
        jpeg(pictures / f"{scene}.jpg", scene=scene, size=(600, 400))
    beach = paint("beach", (600, 400), 1)
    beach.crop((20, 10, 590, 390)).resize((640, 420)).save(pictures / "beach-cropped.png")
    png(pictures / "sunset.png", scene="sunset", size=(600, 400))
    dam = serve(settings="[proxy]\nenabled = false\n").start()
    run("cp", *pictures.iterdir(), dam / "inbox")
    status = dam.idle(280)  # loading the model takes long on a busy machine
    assert status.failures == []
    assert "efficientnet" in status.model.lower()
    assert min(os.listdir(dam / "similar-to/beach.jpg")) == "01 beach-cropped.png"
    assert min(os.listdir(dam / "similar-to/beach-cropped.png")) == "01 beach.jpg"
    assert len(os.listdir(dam / "similar-to/beach.jpg")) == 6
