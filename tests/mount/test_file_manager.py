"""Thunar, with its thumbnailer, over a mounted library: posters of clips are there, and no clip was read for them.

What was on the screen is kept in test-output/.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.mount.conftest import serving
from tests.mount.daemon_process import Daemon, run, until
from tests.mount.desktop_session import Desktop, desktop
from tests.sample_media import dnxhr, h264, jpeg, prores

pytestmark = [
    pytest.mark.needs_programs("Xvfb", "dbus-daemon", "thunar", "tumblerd", "xdotool", "gio"),
    pytest.mark.timeout(300),
]

SHOWN_LIMIT_S = 90.0
GIVEN_UP_S = 20.0
POSTER = (128, 72)
"""At the size of icons that the session is set to."""
SKY_AND_SEA = 0.7
"""Of a poster, at least."""
BLUE = (130, 170)
"""Of 256 hues."""
FIRST_FILE = (242, 175)
SECOND_FILE = 312
"""Where it begins."""
SIDE_PANE = 172
TOOL_BARS = 102


@pytest.fixture(scope="module")
def dam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Clips and a photo in by-tag/beach, every job done. The daemon reads by itself, so that reads are counted."""
    with serving(tmp_path_factory.mktemp("desktop")) as serve:
        daemon = serve(environment={"DAMFS_NATIVE": "off"}).start()
        media = daemon.library.parent / "media"
        media.mkdir()
        h264(media / "surf.mp4", size=(1280, 720), seconds=0.4, source="beach")
        prores(media / "two words.mov", source="beach", seed=3)
        dnxhr(media / "caf\u00e9 #1.mov", source="beach", seed=5)
        jpeg(media / "photo.jpg", size=(1280, 720))
        (daemon / "by-tag/beach").mkdir()
        for path in media.iterdir():
            run("cp", "-p", path, daemon / "by-tag/beach")
        daemon.settled()
        assert daemon.idle().failures == []
        yield daemon


@pytest.fixture
def session(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Desktop]:
    """What it shows in the end is kept, also when the test fails."""
    with desktop(tmp_path / "home") as made:
        yield made
        made.keep(request.node.name.removeprefix("test_"))


def opened(daemon: Daemon, kind: str) -> int:
    return daemon.stats().get(f'damfs_fuse_opened_total{{kind="{kind}"}}', 0)


def posters(screen: Image.Image, left: int = SIDE_PANE) -> float:
    """How many posters the window shows: every picture is mostly of sky and sea, and no icon of files is blue."""
    files = np.asarray(screen.convert("HSV").crop((left, TOOL_BARS, *screen.size)))
    hue, saturation = files[..., 0], files[..., 1]
    blue = (saturation > 60) & (hue > BLUE[0]) & (hue < BLUE[1])
    return float(blue.sum() / (POSTER[0] * POSTER[1] * SKY_AND_SEA))


def test_a_folder_of_clips_is_shown_without_reading_one(dam: Daemon, session: Desktop) -> None:
    before = dam.stats()
    session.thunar(dam / "by-tag/beach")
    until(lambda: posters(session.screen()) >= 4, "four posters on the screen", SHOWN_LIMIT_S)
    until(lambda: opened(dam, "thumbnail") >= 4, "thumbnails taken from the mount", SHOWN_LIMIT_S)
    assert opened(dam, "asset") == before.get('damfs_fuse_opened_total{kind="asset"}', 0), "a clip was opened"


def test_a_newly_tagged_file_appears_and_a_deleted_one_lies_in_the_trash(
    dam: Daemon, session: Desktop, tmp_path: Path
) -> None:
    """Nobody presses F5; Delete is what a person presses."""
    (dam / "by-tag/live").mkdir()
    (dam / "by-tag/live/surf.mp4").hardlink_to(dam / "by-tag/beach/surf.mp4")
    session.thunar(dam / "by-tag/live")
    until(lambda: posters(session.screen()) >= 1, "the first poster on the screen", SHOWN_LIMIT_S)
    (dam / "by-tag/live/photo.jpg").hardlink_to(dam / "by-tag/beach/photo.jpg")
    until(lambda: posters(session.screen()) >= 2, "the newly tagged file on the screen", SHOWN_LIMIT_S)
    session.keep("a_newly_tagged_file_appeared")
    session.click(*FIRST_FILE)
    session.press("Delete")
    until(lambda: not (dam / "by-tag/live/photo.jpg").exists(), "the deleted file is gone", SHOWN_LIMIT_S)
    assert "photo.jpg" in [path.name for path in (dam / "trash").rglob("*")]
    assert not (dam / "by-tag/beach/photo.jpg").exists(), "the asset is in the trash, not only untagged here"
    until(lambda: posters(session.screen(), SECOND_FILE) < 0.5, "the deleted file left the screen", SHOWN_LIMIT_S)


def test_a_clip_without_a_preview_is_read(dam: Daemon, session: Desktop) -> None:
    """The other way round, so that the count means something: Tumbler can make posters, and then reads clips."""
    with closing(sqlite3.connect(dam.library / "state/catalog.sqlite3", timeout=60)) as catalog, catalog:
        catalog.execute(
            "DELETE FROM rendition WHERE kind = 'thumbnail' AND blob = (SELECT blob FROM asset WHERE name = 'surf.mp4')"
        )
    before = opened(dam, "asset")
    session.thunar(dam / "by-type/video")
    until(lambda: opened(dam, "asset") > before, "the clip was opened", SHOWN_LIMIT_S)

    def is_shown_in_a_window() -> bool:
        """Tumbler gives up what takes it too long, and remembers that: it is asked again."""
        with suppress(AssertionError):
            until(lambda: posters(session.screen()) >= 3, "three posters on the screen", GIVEN_UP_S)
            return True
        shutil.rmtree(Path(session.environment["HOME"], ".cache/thumbnails/fail"), ignore_errors=True)
        session.thunar(dam / "by-type/video")
        return False

    until(is_shown_in_a_window, "three posters in one of several windows", SHOWN_LIMIT_S)


def test_gnome_lists_restores_and_empties_the_trash(dam: Daemon, session: Desktop) -> None:
    """By its trash service, as Nautilus and `gio` use it. It overlooks a name that comes back at once, on any disk."""
    first, second = dam / "inbox/first.txt", dam / "inbox/second.txt"
    for note in (first, second):
        note.write_text(f"keep {note.name}")
    dam.settled()
    session.gio("trash", str(first))
    until(lambda: str(first) in session.gio("trash", "--list"), "listed", SHOWN_LIMIT_S)
    address = next(line for line in session.gio("trash", "--list").splitlines() if str(first) in line).split("\t")[0]
    session.gio("trash", "--restore", address)
    assert first.read_text() == "keep first.txt"
    session.gio("trash", str(second))
    until(lambda: str(second) in session.gio("trash", "--list"), "listed", SHOWN_LIMIT_S)
    session.gio("trash", "--empty")
    trashed = dam / f".Trash-{os.getuid()}/files/second.txt"
    until(lambda: not trashed.exists(), "emptied", SHOWN_LIMIT_S)
    until(lambda: str(second) not in session.gio("trash", "--list"), "not listed any more", SHOWN_LIMIT_S)
    assert (dam / "trash/second.txt").read_text() == "keep second.txt"
