"""previews/ through the mount: what shows a file lies under its name, comes when it is made, goes where that goes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

from tests.mount.conftest import serving
from tests.mount.daemon_process import QUICK, Daemon, run, until
from tests.sample_media import h264, jpeg, wav
from tests.sample_media.edited import Take, edited

SETTINGS = QUICK + "[proxy]\nenabled = false\n[previews]\nsheet_columns = 2\n"
ENDINGS = {".poster.jpg", ".sheet.jpg", ".sprite.jpg", ".vtt", ".waveform.png"}
CLIP = "two words #1.mp4"


@pytest.fixture(scope="module")
def dam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A clip of three scenes, a photo and a clip of the same stem, a sound, a text; every job done."""
    with serving(tmp_path_factory.mktemp("previews")) as serve:
        daemon = serve(settings=SETTINGS).start()
        folder = daemon / "originals/library/day one"
        folder.mkdir()
        media = daemon.library.parent / "media"
        media.mkdir()
        takes = [Take("black", 0.6), Take("beach", 0.8), Take("city", 0.8)]
        edited(media / CLIP, takes, size=(320, 180))
        h264(media / "shot.mp4", size=(320, 180), seconds=0.4, tracks=())
        jpeg(media / "shot.jpg", size=(640, 480))
        wav(media / "waves.wav")
        (media / "notes.txt").write_text("shot list\n")
        for path in media.iterdir():
            run("cp", path, folder)
        daemon.settled()
        assert daemon.idle().failures == []
        yield daemon


def test_every_file_is_shown_by_what_fits_it(dam: Daemon) -> None:
    names = {
        *(CLIP + ending for ending in ENDINGS),
        *("shot.mp4" + ending for ending in ENDINGS - {".waveform.png"}),
        "shot.jpg.poster.jpg", "waves.wav.waveform.png",
    }  # fmt: skip
    assert set(os.listdir(dam / "previews/library/day one")) == names
    assert os.listdir(dam / "previews") == ["library"]


def test_pictures_open_and_are_those_of_the_clip(dam: Daemon) -> None:
    folder = dam / "previews/library/day one"
    sizes = {}
    for ending in ENDINGS - {".vtt"}:
        with Image.open(folder / f"{CLIP}{ending}") as picture:
            picture.load()
            sizes[ending] = picture.size
    assert sizes[".poster.jpg"] == (320, 180)
    assert sizes[".sheet.jpg"] == (2 * 330 + 10, 10 + 2 * (180 + 22 + 10)), "three scenes in two columns"
    assert sizes[".waveform.png"] == (1600, 256)
    assert sizes[".sprite.jpg"][0] % 160 == 0


def cues(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    """The picture that each cue names, and the part of it."""
    text = path.read_text()
    assert text.startswith("WEBVTT\n")
    assert len(text.encode()) == path.stat().st_size
    found = re.findall(r" --> .*\n(.+)#xywh=(\d+),(\d+),(\d+),(\d+)\n", text)
    return [(unquote(name), tuple(map(int, box))) for name, *box in found]


def test_cues_name_the_sprite_beside_them(dam: Daemon) -> None:
    folder = dam / "previews/library/day one"
    found = cues(folder / f"{CLIP}.vtt")
    assert len(found) > 10
    assert {name for name, _ in found} == {f"{CLIP}.sprite.jpg"}
    with Image.open(folder / found[0][0]) as picture:
        for _, (x, y, width, height) in found:
            assert 0 <= x <= picture.width - width
            assert 0 <= y <= picture.height - height


def test_previews_are_read_only_and_know_their_original(dam: Daemon) -> None:
    poster = dam / "previews/library/day one/shot.jpg.poster.jpg"
    assert poster.stat().st_mode & 0o777 == 0o444
    assert os.getxattr(poster, "user.damfs.kind") == b"poster"
    for act in (poster.unlink, lambda: poster.rename(poster.with_name("x")), (poster.parent / "new").mkdir):
        with pytest.raises(PermissionError):
            act()
    with pytest.raises(PermissionError):
        (dam / f"previews/library/day one/{CLIP}.vtt").open("r+")


def test_previews_go_where_the_file_goes(dam: Daemon) -> None:
    """The names were looked at before, so that the kernel holds them."""
    before, after = dam / "previews/library/day one", dam / "previews/library/day two"
    inode = (before / "shot.mp4.poster.jpg").stat().st_ino
    (dam / "originals/library/day two").mkdir()
    (dam / "originals/library/day one/shot.mp4").rename(dam / "originals/library/day two/a b.mp4")
    for name in ("shot.mp4.poster.jpg", "shot.mp4.vtt"):
        until(lambda name=name: not (before / name).exists(), f"{name} is not here any more")  # type: ignore[misc]  # mypy cannot infer a lambda with a default
    assert set(os.listdir(after)) == {f"a b.mp4{ending}" for ending in ENDINGS - {".waveform.png"}}
    assert (after / "a b.mp4.poster.jpg").stat().st_ino == inode
    assert {name for name, _ in cues(after / "a b.mp4.vtt")} == {"a b.mp4.sprite.jpg"}


def test_a_preview_appears_where_it_was_looked_for(dam: Daemon) -> None:
    folder = dam / "previews/library/day one"
    assert not (folder / "late.jpg.poster.jpg").exists()
    assert "late.jpg.poster.jpg" not in os.listdir(folder)
    made = jpeg(dam.library.parent / "late.jpg", size=(320, 200), seed=5)
    run("cp", made, dam / "originals/library/day one")
    dam.settled()
    dam.idle()
    until((folder / "late.jpg.poster.jpg").exists, "the poster is seen")
    until(lambda: "late.jpg.poster.jpg" in os.listdir(folder), "the poster is listed")
    (dam / "originals/library/day one/late.jpg").unlink()
    until(lambda: not (folder / "late.jpg.poster.jpg").exists(), "it is gone with its file")
