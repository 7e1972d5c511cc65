"""What a camera recorded twice: the small file is used in editors/ in place of a proxy of our own, if it conforms."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from tests.mount.conftest import serving
from tests.mount.daemon_process import QUICK, Daemon, damfs, new_library, rows, until
from tests.sample_media import Track, h264

LARGE, SMALL = (640, 360), (320, 180)
SETTINGS = QUICK + "[proxy]\nlines = 180\nneedless = true\n"


def pair(folder: Path, original: str, proxy: str, rate: int = 25, tracks: tuple[Track, ...] = (Track(),)) -> None:
    """Two recordings of one length; MP4 whatever the ending says. ``rate``, ``tracks``: of the small one."""
    part = (folder / proxy).with_suffix(".part.mp4")
    h264(part, size=SMALL, seconds=0.4, rate=Fraction(rate), tracks=tracks, metadata={"title": proxy}).rename(
        folder / proxy
    )
    h264(folder / original, size=LARGE, seconds=0.4, metadata={"title": original})


@pytest.fixture(scope="module")
def dam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("cameras")
    card = directory / "Card"
    pair(card / "DCIM", "DJI_0001.MP4", "DJI_0001.LRF")
    pair(card / "DCIM", "GX010001.MP4", "GL010001.LRV", rate=50)
    pair(card / "DCIM", "DJI_0003.MP4", "DJI_0003.LRF", tracks=(Track("mono"),))
    pair(card, "Clip/C0001.MP4", "Sub/C0001S03.MP4")
    with serving(directory) as serve:
        daemon = serve(settings=SETTINGS).start()
        daemon.add(card)
        assert daemon.idle().failures == []
        yield daemon


def encoded(dam: Daemon) -> set[object]:
    """Names of assets that have a proxy of our own."""
    sql = "SELECT a.name FROM asset AS a JOIN rendition AS r ON r.blob = a.blob WHERE r.kind = 'proxy'"
    return {name for (name,) in rows(dam.library, sql)}


def test_what_conforms_is_not_encoded_and_what_does_not_is(dam: Daemon) -> None:
    """The small copy of GX010001 has another frame rate, that of DJI_0003 one channel less."""
    assert encoded(dam) == {"GX010001.MP4", "DJI_0003.MP4"}, "nor is a copy worked on as a clip of its own"


def told(dam: Daemon, name: str) -> list[dict[str, object]]:
    rows = json.loads(damfs("proxy", dam / "originals/Card" / name, "--json").stdout)["rows"]
    assert isinstance(rows, list)
    return rows


def test_the_report_says_what_stands_in_and_what_was_refused(dam: Daemon) -> None:
    camera, *others = told(dam, "DCIM/DJI_0001.MP4")
    assert (camera["profile"], camera["state"], camera["shown"]) == ("camera", "made", True)
    assert str(camera["file"]).endswith("DJI_0001.LRF")
    assert not any(row["shown"] for row in others)
    of_clip = json.loads(os.getxattr(dam / "originals/Card/DCIM/DJI_0001.MP4", "user.damfs.conformance"))
    of_copy = json.loads(os.getxattr(dam / "proxies/Card/DCIM/DJI_0001.mp4", "user.damfs.conformance"))
    assert of_clip == of_copy == {"camera": camera["report"]}
    assert of_clip["camera"]["properties"]["audio_channels"] == {"source": [2], "proxy": [2], "verdict": "equal"}
    refused, *others = told(dam, "DCIM/DJI_0003.MP4")
    assert (refused["state"], refused["shown"]) == ("refused", False)
    assert refused["reason"] == "audio_channels: [1] instead of [2]"
    assert [row["profile"] for row in others if row["shown"]] == ["dnxhr-lb"]
    assert told(dam, "DCIM/GX010001.MP4")[0]["reason"] == "frame_rate: 50/1 instead of 25/1"


def test_it_is_told_in_words_as_well(dam: Daemon) -> None:
    said = damfs("proxy", dam / "originals/Card/DCIM/DJI_0001.MP4").stdout
    assert "camera          the camera's own copy is used, shown in proxies/: 320x180, " in said
    assert "audio_channels" in said
    said = damfs("proxy", dam / "originals/Card/DCIM/DJI_0003.LRF").stdout
    assert "The small copy that a camera recorded beside DJI_0003.MP4" in said


def test_a_batch_leaves_alone_what_cameras_did(dam: Daemon) -> None:
    before = encoded(dam)
    batch = json.loads(damfs("transcode", dam.library, "*", "--json").stdout)
    assert (batch["made"], batch["there"], batch["by_camera"], batch["copies"]) == (0, 2, 2, 4)
    assert encoded(dam) == before


def test_a_batch_without_a_mount_finds_the_copies_itself(tmp_path: Path) -> None:
    pair(tmp_path / "Card", "DJI_0001.MP4", "DJI_0001.LRF")
    pair(tmp_path / "Card", "DJI_0002.MP4", "DJI_0002.LRF", tracks=())
    library = new_library(tmp_path / "library", SETTINGS + "[indexer]\nworkers = 1\n")
    damfs("add", library, tmp_path / "Card")
    batch = json.loads(damfs("transcode", library, "*", "--json", limit_s=100).stdout)
    assert (batch["made"], batch["by_camera"], batch["copies"]) == (1, 1, 2)
    said = damfs("transcode", library, "*").stdout
    assert "1 there before, 1 have one by their camera, 2 small copies by cameras" in said


@pytest.mark.parametrize(
    ("shown", "camera"),
    [
        ("proxies/Card/DCIM/DJI_0001.mp4", "DCIM/DJI_0001.LRF"),
        ("editors/resolve/Card/DCIM/Proxy/DJI_0001.mp4", "DCIM/DJI_0001.LRF"),
        ("editors/premiere/Card/DCIM/Proxies/DJI_0001_Proxy.mp4", "DCIM/DJI_0001.LRF"),
        ("editors/blender/Card/DCIM/BL_proxy/DJI_0001.MP4/proxy_50.avi", "DCIM/DJI_0001.LRF"),
        ("editors/resolve/Card/Clip/Proxy/C0001.mp4", "Sub/C0001S03.MP4"),
        ("editors/kdenlive/Card/Clip/C0001.LRF", "Sub/C0001S03.MP4"),
    ],
)
def test_the_camera_s_file_is_shown_where_the_editor_looks(dam: Daemon, shown: str, camera: str) -> None:
    original = dam / "originals/Card" / camera
    assert (dam / shown).stat().st_ino == original.stat().st_ino
    assert (dam / shown).read_bytes() == original.read_bytes()


def test_kdenlive_sees_the_file_of_a_drone_as_it_lies_on_the_card(dam: Daemon) -> None:
    listed = {name for name in os.listdir(dam / "editors/kdenlive/Card/DCIM") if name.startswith("DJI_0001")}
    assert listed == {"DJI_0001.LRF", "DJI_0001.MP4"}


def test_one_that_does_not_conform_does_not_lie_where_editors_look(dam: Daemon) -> None:
    """Kdenlive goes by the name alone, Shotcut takes a GoPro's file by itself."""
    folder = dam / "editors/kdenlive/Card/DCIM"
    proxy = dam / "proxies/Card/DCIM/DJI_0003.mov"
    assert (folder / "DJI_0003.LRF").stat().st_ino == proxy.stat().st_ino
    assert sorted(os.listdir(folder)) == sorted(set(os.listdir(folder)))
    for editor in ("kdenlive", "shotcut", "resolve"):
        assert "GL010001.LRV" not in os.listdir(dam / f"editors/{editor}/Card/DCIM")
        assert not (dam / f"editors/{editor}/Card/DCIM/GL010001.LRV").exists()
    assert (dam / "originals/Card/DCIM/GL010001.LRV").exists()


def test_a_camera_s_file_that_goes_away_is_shown_no_more(dam: Daemon) -> None:
    pair(dam / "originals/library/Flight", "DJI_0002.MP4", "DJI_0002.LRF")
    dam.idle()
    proxy = dam / "editors/resolve/library/Flight/Proxy/DJI_0002.mp4"
    until(proxy.exists, "the camera's proxy is shown")
    assert not {"DJI_0002.MP4", "DJI_0002.LRF"} & encoded(dam)
    (dam / "originals/library/Flight/DJI_0002.LRF").unlink()
    until(lambda: not proxy.exists(), "it is gone")
    (dam / "originals/library/Apart").mkdir()
    pair(dam / "originals/library/Beside", "DJI_0004.MP4", "../Apart/DJI_0004.LRF")
    dam.settled()
    dam.idle()
    assert "DJI_0004.LRF" not in encoded(dam), "it is a small copy, wherever its clip is"
    (dam / "originals/library/Apart/DJI_0004.LRF").rename(dam / "originals/library/Beside/DJI_0004.LRF")
    dam.end()
    dam.start()
    dam.idle()
    joined = dam / "editors/resolve/library/Beside/Proxy/DJI_0004.mp4"
    until(joined.exists, "two that came together are found at the start")
    assert "DJI_0002.MP4" in encoded(dam), "a proxy of our own takes its place"
    assert (dam / "editors/resolve/library/Flight/Proxy/DJI_0002.mov").exists()
