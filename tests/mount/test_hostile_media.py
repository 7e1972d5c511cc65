"""Media that means harm, received through a mount: it is kept and readable, its job fails, others go on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mount.consistency import check_consistent
from tests.mount.daemon_process import QUICK, damfs, run
from tests.sample_media import h264, jpeg
from tests.sample_media.hostile import HOSTILE

if TYPE_CHECKING:
    from tests.mount.conftest import Serve

LIMITS = QUICK + "[indexer]\nworkers = 2\nmemory_limit_mb = 1500\ntime_limit_s = 60\n[proxy]\nenabled = false\n"
REASONS = {
    "huge.png": "over the limit of 1000 megapixels",
    "huge.tif": "over the limit of 1000 megapixels",
    "texts.png": "too large",
    "crowded.mp4": "more streams",
    "timeless.mp4": "no picture can be decoded",
    "noise.mkv": "no media that is known",
}
READ = ("endless.mp4", "crowded.mkv", "fuzzed.mp4")


def test_hostile_files_fail_alone_and_stay_readable(serve: Serve, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in (*REASONS, *READ):
        HOSTILE[name](hostile / name)
    jpeg(hostile / "good.jpg", size=(64, 48))
    h264(hostile / "good.mp4", seconds=0.2, size=(64, 48))
    dam = serve(settings=LIMITS).start()
    run("cp", *hostile.iterdir(), dam / "inbox")
    status = dam.idle()
    failed = {failure.name: failure for failure in status.failures if failure.processor == "probe"}
    assert {name: failed[name].error for name in REASONS if REASONS[name] not in failed[name].error} == {}
    assert set(failed) == set(REASONS)
    fine = [failure for failure in status.failures if failure.name.startswith("good")]
    assert fine == [], "others go on"
    assert len({(failure.processor, failure.name) for failure in status.failures}) == len(status.failures)
    said = damfs("status", dam.library, check=False).stdout
    assert all(f"{name}: " in said for name in REASONS)
    for path in hostile.iterdir():
        assert (dam / "inbox" / path.name).read_bytes() == path.read_bytes()
    assert {"good.jpg"} <= set(os.listdir(dam / "by-camera/Fujifilm X-T5"))
    assert set(os.listdir(dam / "by-codec/h264")) >= {"good.mp4", "endless.mp4"}
    check_consistent(dam)
