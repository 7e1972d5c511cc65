"""Sidecars in the mount: files among others in originals/, nowhere else; they go where their originals go."""

from __future__ import annotations

import os
from pathlib import Path

from tests.mount.conftest import Serve
from tests.mount.daemon_process import QUICK, Daemon, damfs, run, until
from tests.sample_media import jpeg

PACKET = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" xmp:Rating="4" crs:Exposure2012="+0.35">'
    "<dc:subject><rdf:Bag><rdf:li>Beach</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"
)
HIDDEN_IN = ("by-type/other", "untagged", "inbox")


def names(place: Path) -> list[str]:
    return sorted(os.listdir(place)) if place.is_dir() else []


def test_a_sidecar_is_read_followed_and_written(serve: Serve, tmp_path: Path) -> None:
    daemon = serve(settings=QUICK + "[sidecars]\nwrite = true\n").start()
    root = daemon.mountpoint
    store = root / "originals" / "library"
    (store / "shoot").mkdir()
    (store / "chosen").mkdir()
    run("cp", jpeg(tmp_path / "a.jpg"), store / "shoot" / "a.jpg")
    (store / "shoot" / "a.jpg.xmp").write_text(PACKET)
    until(lambda: names(root / "by-tag" / "Beach") == ["a.jpg"], "the sidecar is read")
    assert os.getxattr(store / "shoot" / "a.jpg", "user.baloo.rating") == b"8"
    assert names(store / "shoot") == ["a.jpg", "a.jpg.xmp"]
    until(lambda: not any("a.jpg.xmp" in names(root / place) for place in HIDDEN_IN), "it is shown nowhere else")

    (store / "shoot" / "a.jpg").rename(store / "chosen" / "b.jpg")
    until(lambda: names(store / "chosen") == ["b.jpg", "b.jpg.xmp"], "it follows under the new name")
    assert names(store / "shoot") == []

    damfs("tag", store / "chosen" / "b.jpg", "Sunset")
    until(lambda: "Sunset" in (store / "chosen" / "b.jpg.xmp").read_text(), "it is written")
    assert 'crs:Exposure2012="+0.35"' in (store / "chosen" / "b.jpg.xmp").read_text()

    (store / "chosen" / "b.jpg").unlink()
    until(lambda: names(store / "chosen") == [], "it goes into the trash as well")
    damfs("restore", root / "trash" / "b.jpg")
    until(lambda: names(store / "chosen") == ["b.jpg", "b.jpg.xmp"], "and comes back")


def test_who_moves_both_himself_is_not_disturbed(dam: Daemon, tmp_path: Path) -> None:
    store = dam.mountpoint / "originals" / "library"
    (store / "there").mkdir()
    run("cp", jpeg(tmp_path / "a.jpg"), store / "a.jpg")
    (store / "a.xmp").write_text(PACKET)
    until(lambda: names(dam.mountpoint / "by-tag" / "Beach") == ["a.jpg"], "the sidecar is read")
    run("mv", store / "a.jpg", store / "a.xmp", store / "there")
    assert names(store / "there") == ["a.jpg", "a.xmp"]
    run("rm", store / "there" / "a.jpg", store / "there" / "a.xmp")
    assert names(store / "there") == []


def test_sync_says_what_it_did(dam: Daemon, tmp_path: Path) -> None:
    store = dam.mountpoint / "originals" / "library"
    for name in ("a.jpg", "bad.jpg"):
        run("cp", jpeg(tmp_path / name, orientation=1 if name == "a.jpg" else 6), store / name)
    (store / "bad.jpg.xmp").write_text("no packet")
    damfs("tag", store / "a.jpg", "Beach")
    dam.settled()
    done = damfs("sidecar", "sync", dam.mountpoint, check=False)
    assert done.returncode == 1
    assert done.stdout.startswith(
        "2 sidecars: 0 read in, 1 written, 1 of them new\n  left alone: bad.jpg.xmp: it is no"
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert "<rdf:li>Beach</rdf:li>" in (store / "a.jpg.xmp").read_text()
    assert (store / "bad.jpg.xmp").read_text() == "no packet"
