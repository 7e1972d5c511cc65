"""editors/ through a real mount: each editor's arrangement, one inode for a file, frames that are the original's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from damfs.core.processors.editor_hash import sampled_md5
from tests.mount.conftest import serving
from tests.mount.daemon_process import QUICK, Daemon, run, until
from tests.sample_media import h264, jpeg

SETTINGS = QUICK + "[proxy]\nlines = 180\nneedless = true\n"
SIZE = (320, 180)
"""Of the proxies: half of the originals."""
EQUAL = 0.96
"""Least SSIM of a proxy's frame and the original's at that time. DNxHR LB and the scaling cost about 0.025; a frame
that is one too early or too late scores below 0.94 in the clip that is used here, which the test checks."""

Picture = NDArray[np.float64]


@pytest.fixture(scope="module")
def dam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("editors")
    h264(directory / "Shoot/day 1/clip.mp4", seconds=2)
    jpeg(directory / "Shoot/day 1/still.jpg")
    with serving(directory) as serve:
        daemon = serve(settings=SETTINGS).start()
        daemon.add(directory / "Shoot")
        assert daemon.idle().failures == []
        yield daemon


@pytest.fixture
def proxies(dam: Daemon) -> dict[str, Path]:
    """Where each editor looks for the proxy of the clip."""
    digest = sampled_md5(dam / "originals/Shoot/day 1/clip.mp4")
    return {
        "resolve": dam / "editors/resolve/Shoot/day 1/Proxy/clip.mov",
        "premiere": dam / "editors/premiere/Shoot/day 1/Proxies/clip_Proxy.mov",
        "kdenlive": dam / "editors/kdenlive/Shoot/day 1/clip.LRF",
        "shotcut": dam / f"editors/shotcut/proxies/{digest}.mp4",
        "blender": dam / "editors/blender/Shoot/day 1/BL_proxy/clip.mp4/proxy_50.avi",
    }


def test_every_editor_has_its_arrangement_and_nothing_else(dam: Daemon, proxies: dict[str, Path]) -> None:
    assert sorted(os.listdir(dam / "editors")) == sorted(proxies)
    found = {str(path.relative_to(dam / "editors")) for path in (dam / "editors").rglob("*") if path.is_file()}
    originals = {f"{editor}/Shoot/day 1/{name}" for editor in proxies for name in ("clip.mp4", "still.jpg")}
    assert found == originals | {str(path.relative_to(dam / "editors")) for path in proxies.values()}


def test_a_file_is_one_inode_wherever_it_is_shown(dam: Daemon, proxies: dict[str, Path]) -> None:
    made = dam / "proxies/Shoot/day 1/clip.mov"
    assert {path.stat().st_ino for path in proxies.values()} == {made.stat().st_ino}
    assert {path.stat().st_size for path in proxies.values()} == {made.stat().st_size}
    original = dam / "originals/Shoot/day 1/clip.mp4"
    shown = {(dam / f"editors/{editor}/Shoot/day 1/clip.mp4").stat().st_ino for editor in proxies}
    assert shown == {original.stat().st_ino}
    assert len({path.read_bytes() for path in proxies.values()}) == 1


def test_paths_and_inodes_outlive_the_daemon(dam: Daemon, proxies: dict[str, Path]) -> None:
    """Premiere and Resolve keep the path of what they attached in the project."""
    before = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in proxies.values()}
    dam.end()
    dam.start()
    dam.idle()
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in proxies.values()} == before


def test_nothing_can_be_created_renamed_or_removed_there(dam: Daemon, proxies: dict[str, Path]) -> None:
    folder = dam / "editors/resolve/Shoot/day 1"
    attempts: tuple[list[str | Path], ...] = (
        ["touch", folder / "new.mov"],
        ["mkdir", folder / "Render"],
        ["mv", folder / "clip.mp4", folder / "other.mp4"],
        ["rm", folder / "clip.mp4"],
        ["rm", proxies["resolve"]],
        ["cp", dam / "originals/Shoot/day 1/still.jpg", proxies["kdenlive"]],
    )
    for words in attempts:
        assert run(*words, check=False).returncode != 0, words
    assert sorted(os.listdir(folder)) == ["Proxy", "clip.mp4", "still.jpg"]


def test_a_proxy_comes_and_goes_with_its_original(dam: Daemon) -> None:
    h264(dam / "originals/library/Reel/take.mp4", seconds=0.4, size=(320, 180), seed=3)
    kdenlive, blender = dam / "editors/kdenlive/library/Reel", dam / "editors/blender/library/Reel/BL_proxy"
    until(lambda: "take.LRF" in os.listdir(kdenlive), "the proxy is listed")
    dam.idle()
    assert os.listdir(blender) == ["take.mp4"]
    assert os.listdir(blender / "take.mp4") == ["proxy_100.avi"]
    shotcut = {path.name for path in (dam / "editors/shotcut/proxies").iterdir()}
    assert f"{sampled_md5(dam / 'originals/library/Reel/take.mp4')}.mp4" in shotcut
    (dam / "originals/library/Reel/take.mp4").unlink()
    until(lambda: not kdenlive.exists() or os.listdir(kdenlive) == [], "nothing is listed")
    for path in (kdenlive / "take.LRF", blender / "take.mp4/proxy_100.avi"):
        until(lambda path=path: not path.exists(), f"{path} is gone")  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    assert {path.name for path in (dam / "editors/shotcut/proxies").iterdir()} < shotcut


@pytest.mark.parametrize("editor", ["resolve", "premiere", "kdenlive", "shotcut", "blender"])
def test_a_player_opens_the_proxy_by_its_content(proxies: dict[str, Path], editor: str) -> None:
    with av.open(str(proxies[editor])) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == SIZE
        assert len(container.streams.audio) == 1
        assert sum(1 for _ in container.decode(video=0)) == 50


@pytest.mark.needs_programs("melt")
@pytest.mark.parametrize("editor", ["kdenlive", "shotcut"])
def test_mlt_plays_the_proxy_and_its_frames_are_those_of_the_original(
    dam: Daemon, proxies: dict[str, Path], editor: str, tmp_path: Path
) -> None:
    """The engine of Kdenlive and Shotcut renders the proxy, from the mount; each frame is compared with the original's
    at the same time, which PyAV decodes."""
    rendered = frames(melted(proxies[editor], tmp_path / "rendered.mkv"))
    originals = frames(dam / "originals/Shoot/day 1/clip.mp4")
    assert rendered.keys() == originals.keys()
    likeness = [ssim(rendered[at], originals[at]) for at in originals]
    times = sorted(originals)
    shifted = [ssim(rendered[at], originals[after]) for at, after in pairwise(times)]
    print(f"SSIM {min(likeness):.4f} to {max(likeness):.4f}; one frame off: {min(shifted):.4f} to {max(shifted):.4f}")
    assert min(likeness) >= EQUAL
    assert max(shifted) < EQUAL, "the clip tells neighbouring frames apart"


def melted(source: Path, target: Path) -> Path:
    """What melt renders of a file, losslessly, with MLT's own reading, clock and picture pipeline."""
    subprocess.run(
        ["melt", source, "-consumer", f"avformat:{target}", "vcodec=ffv1", "an=1", "real_time=-1", "progress=0"],
        check=True, capture_output=True, timeout=180, env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )  # fmt: skip
    return target


def frames(path: Path) -> dict[int, Picture]:
    """Luma at the size of the proxies, by the millisecond at which it is shown."""
    with av.open(str(path)) as container:
        return {
            round((frame.pts or 0) * float(frame.time_base or 0) * 1000): np.asarray(
                frame.reformat(*SIZE, format="gray", interpolation="BICUBIC").to_ndarray(), dtype=np.float64
            )
            for frame in container.decode(video=0)
        }


def ssim(a: Picture, b: Picture) -> float:
    """Mean structural similarity over windows of 8x8 (Wang et al. 2004, without the Gaussian weights)."""

    def mean(picture: Picture) -> Picture:
        sums = np.pad(picture, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
        return np.asarray((sums[8:, 8:] - sums[:-8, 8:] - sums[8:, :-8] + sums[:-8, :-8]) / 64)

    mean_a, mean_b = mean(a), mean(b)
    both = mean(a * b) - mean_a * mean_b
    spread = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    alike = (2 * mean_a * mean_b + 6.5025) * (2 * both + 58.5225)
    return float((alike / ((mean_a**2 + mean_b**2 + 6.5025) * (spread + 58.5225))).mean())
