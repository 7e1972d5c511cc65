"""Media that means harm, received through a mount: it is kept and readable, its job fails, others go on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mount.consistency import check_consistent
from tests.mount.daemon_process import QUICK, Daemon, damfs, rows, run, until
from tests.sample_media import h264, jpeg
from tests.sample_media.hostile import HOSTILE

if TYPE_CHECKING:
    from tests.mount.conftest import Serve

LIMITS = (
    QUICK + "[indexer]\nworkers = 2\nmemory_limit_mb = 1500\ntime_limit_s = 30\nattempts = 1\n"
    "[proxy]\nneedless = true\n[metadata]\nloudness = true\n"
)
SLOW = {"crowded.mkv", "endless.mp4", "unpacking.png"}
"""What takes long is met in the tests of the workers alone."""
REASONS = {
    "huge.png": "over the limit of 1000 megapixels",
    "huge.tif": "over the limit of 1000 megapixels",
    "texts.png": "too large",
    "crowded.mp4": "more streams",
    "timeless.mp4": "no picture can be decoded",
    "noise.mkv": "no media that is known",
    "half.jpg": "damaged picture",
    "unpacking.mov": "not playable",
}
READ = {"endless.mkv", "huge.mp4", "fuzzed.mp4", "circling.tif"}
"""Their lies are passed over."""


def test_hostile_files_fail_alone_and_stay_readable(serve: Serve, tmp_path: Path) -> None:
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in HOSTILE.keys() - SLOW:
        HOSTILE[name](hostile / name)
    jpeg(hostile / "good.jpg", size=(64, 48))
    h264(hostile / "good.mp4", seconds=0.2, size=(64, 48))
    contents = {path.name: path.read_bytes() for path in hostile.iterdir()}
    dam = serve(settings=LIMITS).start()
    run("cp", *hostile.iterdir(), dam / "inbox")

    def are_readable_and_done() -> bool:
        assert all((dam / "inbox" / name).read_bytes() == content for name, content in contents.items()), "meanwhile"
        return dam.status().to_do == 0

    until(are_readable_and_done, "every step has ended", 100)
    status = dam.idle()
    probed = {failure.name: failure for failure in status.failures if failure.processor == "probe"}
    assert {name: probed[name].error for name, why in REASONS.items() if why not in probed[name].error} == {}
    assert READ.isdisjoint(probed)
    assert [failure for failure in status.failures if failure.name.startswith("good")] == [], "others go on"
    pairs = [(failure.processor, failure.name) for failure in status.failures]
    assert len(set(pairs)) == len(pairs), "one failed job each"
    assert all(len([name for _, name in pairs if name == failed]) == 1 for failed in probed), "nothing builds on it"
    check_listed(dam, {failure.name: failure.error for failure in status.failures})
    said = damfs("status", dam.library, check=False).stdout
    assert all(f"{name}: " in said for name in REASONS)
    assert {name: (dam / "inbox" / name).read_bytes() for name in contents} == contents
    assert {"good.jpg"} <= set(os.listdir(dam / "by-camera/Fujifilm X-T5"))
    assert set(os.listdir(dam / "by-codec/h264")) >= {"good.mp4", "huge.mp4"}
    check_nothing_left(dam)
    check_consistent(dam)


def check_listed(dam: Daemon, reasons: dict[str, str]) -> None:
    """In failed/, each beside its text."""
    assert set(os.listdir(dam / "failed")) == reasons.keys() | {f"{name}.txt" for name in reasons}
    for name, reason in reasons.items():
        text = (dam / "failed" / f"{name}.txt").read_text()
        assert f"reason: {reason}\n" in text
        assert "what to do: " in text


def check_nothing_left(dam: Daemon) -> None:
    """Of attempts that failed: no working directory, no file without a row, no lease."""
    assert list((dam.library / "state/work").iterdir()) == []
    kept = {dam.library / "state/renditions" / str(key) for (key,) in rows(dam.library, "SELECT key FROM rendition")}
    assert {path for path in (dam.library / "state/renditions").rglob("*") if path.is_file()} == kept
    assert rows(dam.library, "SELECT * FROM job WHERE state = 'leased'") == []
