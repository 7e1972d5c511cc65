"""What a camera recorded twice: the small file is used in editors/ in place of a proxy of our own, if it conforms."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest

from tests.mount.conftest import serving
from tests.mount.daemon_process import QUICK, Daemon, rows, until
from tests.sample_media import h264

LARGE, SMALL = (640, 360), (320, 180)
SETTINGS = QUICK + "[proxy]\nlines = 180\nneedless = true\n"


def pair(folder: Path, original: str, proxy: str, rate: int = 25) -> None:
    """Two recordings of one length; MP4 whatever the ending says. ``rate``: of the small one."""
    h264(folder / original, size=LARGE, metadata={"title": original})
    part = (folder / proxy).with_suffix(".part.mp4")
    h264(part, size=SMALL, rate=Fraction(rate), metadata={"title": proxy}).rename(folder / proxy)


@pytest.fixture(scope="module")
def dam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    directory = tmp_path_factory.mktemp("cameras")
    card = directory / "Card"
    pair(card / "DCIM", "DJI_0001.MP4", "DJI_0001.LRF")
    pair(card / "DCIM", "GX010001.MP4", "GL010001.LRV", rate=50)
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
    assert not encoded(dam) & {"DJI_0001.MP4", "DJI_0001.LRF", "C0001.MP4", "C0001S03.MP4"}
    assert "GX010001.MP4" in encoded(dam), "its small copy has another frame rate"


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
    listed = {name for name in os.listdir(dam / "editors/kdenlive/Card/DCIM") if name.startswith("DJI")}
    assert listed == {"DJI_0001.LRF", "DJI_0001.MP4"}


def test_a_camera_s_file_that_goes_away_is_shown_no_more(dam: Daemon) -> None:
    pair(dam / "originals/library/Flight", "DJI_0002.MP4", "DJI_0002.LRF")
    dam.idle()
    proxy = dam / "editors/resolve/library/Flight/Proxy/DJI_0002.mp4"
    until(proxy.exists, "the camera's proxy is shown", 60)
    assert not {"DJI_0002.MP4", "DJI_0002.LRF"} & encoded(dam)
    (dam / "originals/library/Flight/DJI_0002.LRF").unlink()
    until(lambda: not proxy.exists(), "it is gone")
    dam.end()
    dam.start()
    dam.idle()
    assert "DJI_0002.MP4" in encoded(dam), "a proxy of our own takes its place"
    assert (dam / "editors/resolve/library/Flight/Proxy/DJI_0002.mov").exists()
