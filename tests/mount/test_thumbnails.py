"""Shared thumbnails through the mount: in every directory with files, by name, made of previews; no file is read."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from PIL import Image

from tests.mount.conftest import serving
from tests.mount.daemon_process import Daemon, operations, run
from tests.sample_media import h264, jpeg, prores, wav

REPOSITORY = ".sh_thumbnails"
SIZES = {"normal": 128, "large": 256, "x-large": 512, "xx-large": 512}
"""Longest side of what is there."""
NAMES = {"surf.mp4", "two words.mov", "caf\u00e9 #1.jpg"}


@pytest.fixture(scope="module")
def dam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """Two clips, a photo and a sound, tagged; every job done. The daemon reads by itself, so that reads are counted."""
    with serving(tmp_path_factory.mktemp("thumbnails")) as serve:
        daemon = serve(environment={"DAMFS_NATIVE": "off"}).start()
        media = daemon.library.parent / "media"
        media.mkdir()
        h264(media / "surf.mp4", size=(1280, 720), seconds=0.4, source="beach")
        prores(media / "two words.mov", source="beach", seed=3)
        jpeg(media / "caf\u00e9 #1.jpg", size=(1200, 800))
        wav(media / "waves.wav")
        (daemon / "by-tag/beach").mkdir()
        for path in media.iterdir():
            os.utime(path, ns=(1_721_044_800_123_456_789, 1_721_044_800_123_456_789))
            run("cp", "-p", path, daemon / "by-tag/beach")
        daemon.settled()
        assert daemon.idle().failures == []
        yield daemon


def shared(path: Path, size: str, form: str = "./{uri}") -> Path:
    """Where a desktop looks for the shared thumbnail of a file."""
    text = form.format(name=path.name, uri=quote(path.name))
    digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return path.parent / REPOSITORY / size / f"{digest}.png"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("form", ["{name}", "./{name}", "{uri}", "./{uri}"])
def test_each_form_of_a_name_leads_to_the_thumbnail(dam: Daemon, form: str, size: str) -> None:
    for name in NAMES:
        file = dam / "by-tag/beach" / name
        with Image.open(shared(file, size, form)) as picture:
            assert picture.format == "PNG"
            assert max(picture.size) == SIZES[size]
            assert picture.width > picture.height
            text = picture.text  # type: ignore[attr-defined]  # of PNG images only
            assert float(text["Thumb::MTime"]) == 1_721_044_800 + 1e-6 * 123_456
            assert file.stat().st_mtime_ns // 1_000 == 1_721_044_800_123_456


def test_every_directory_with_files_has_them(dam: Daemon) -> None:
    (day,) = {path.parent for path in (dam / "originals/library").rglob("surf.mp4")}
    found = [
        dam / "by-tag/beach/surf.mp4", dam / "by-type/video/surf.mp4", day / "surf.mp4",
        next((dam / "by-date").rglob("surf.mp4")), next((dam / "proxies").rglob("surf.mov")),
    ]  # fmt: skip
    for path in found:
        assert path.is_file()
        assert shared(path, "large").stat().st_size > 1000, path
    neighbours = dam / "similar-to/surf.mp4"
    for name in os.listdir(neighbours):
        assert shared(neighbours / name, "large").stat().st_size > 1000


def test_one_file_has_one_thumbnail_in_all_views(dam: Daemon) -> None:
    """One inode: one page cache, whatever directory asks."""
    paths = [dam / view / "surf.mp4" for view in ("by-tag/beach", "by-type/video")]
    assert len({shared(path, "large").stat().st_ino for path in paths}) == 1
    assert shared(paths[0], "large").stat().st_ino != shared(paths[0], "normal").stat().st_ino


def test_what_is_there_can_be_listed_and_is_listed_nowhere_else(dam: Daemon) -> None:
    place = dam / "by-tag/beach"
    assert sorted(os.listdir(place / REPOSITORY)) == sorted([*SIZES, "fail"])
    assert sorted(os.listdir(place / REPOSITORY / "large")) == sorted(shared(place / n, "large").name for n in NAMES)
    assert os.listdir(place / REPOSITORY / "fail") == []
    assert REPOSITORY not in os.listdir(place)
    found = run("find", dam.mountpoint, "-name", "*sh_thumbnails*").stdout
    assert found == ""
    for path in (shared(place / "surf.mp4", "large"), place / REPOSITORY / "large"):
        assert not os.access(path, os.X_OK) or path.is_dir()
        assert path.stat().st_mode & 0o222 == 0


def test_what_has_no_thumbnail(dam: Daemon) -> None:
    place = dam / "by-tag/beach"
    for name in ("waves.wav", "no-such-file.mov"):
        with pytest.raises(FileNotFoundError):
            shared(place / name, "large").stat()
    for path in (dam / REPOSITORY, dam / ".damfs" / REPOSITORY, place / REPOSITORY / "huge",
                 place / REPOSITORY / REPOSITORY, place / REPOSITORY / "large" / "x.png"):  # fmt: skip
        with pytest.raises(FileNotFoundError):
            path.stat()


def test_nobody_writes_there(dam: Daemon, tmp_path: Path) -> None:
    place = dam / "by-tag/beach" / REPOSITORY
    thumbnail = shared(dam / "by-tag/beach/surf.mp4", "large")
    (tmp_path / "x.png").write_bytes(b"x")
    attempts: list[Callable[[], object]] = [
        lambda: (place / "large" / "x.png").write_bytes(b"x"),
        lambda: thumbnail.write_bytes(b"x"),
        thumbnail.unlink,
        lambda: thumbnail.rename(dam / "inbox/x.png"),
        lambda: (dam / "by-tag/beach/surf.mp4").rename(place / "large/surf.mp4"),
        lambda: (place / "huge").mkdir(),
        lambda: (dam / "inbox" / REPOSITORY).mkdir(),
    ]
    for attempt in attempts:
        with pytest.raises(OSError, match=r"\[Errno (1|13|17)\]") as caught:
            attempt()
        assert caught.value.errno in {errno.EPERM, errno.EACCES, errno.EEXIST}
    assert thumbnail.stat().st_size > 1000


def test_no_file_is_read_for_a_thumbnail(dam: Daemon) -> None:
    before = dam.stats()
    for name in NAMES:
        for size in SIZES:
            shared(dam / "by-tag/beach" / name, size).read_bytes()
    after = dam.stats()
    opened = {kind: count(after, kind) - count(before, kind) for kind in ("asset", "rendition", "thumbnail")}
    assert opened == {"asset": 0, "rendition": 0, "thumbnail": len(NAMES) * len(SIZES)}


def count(stats: dict[str, int], kind: str) -> int:
    return stats.get(f'damfs_fuse_opened_total{{kind="{kind}"}}', 0)


def test_a_renamed_file_takes_its_thumbnail_with_it(dam: Daemon, tmp_path: Path) -> None:
    place = dam / "by-tag/renaming"
    place.mkdir()
    clips = [jpeg(tmp_path / f"{number}.jpg", size=(640, 480), seed=number) for number in (1, 2)]
    run("cp", "-p", *clips, place)
    dam.settled()
    dam.idle()
    one, two = (shared(place / clip.name, "large").stat().st_ino for clip in clips)
    (place / "1.jpg").rename(place / "3.jpg")
    (place / "2.jpg").rename(place / "1.jpg")
    os.rename(place, dam / "by-tag/renamed")
    place = dam / "by-tag/renamed"
    inodes = {name: shared(place / name, "large").stat().st_ino for name in ("3.jpg", "1.jpg")}
    assert inodes == {"3.jpg": one, "1.jpg": two}


PROBED = [
    ".hidden", ".directory", ".Trash", ".Trash-1000", ".xdg-volume-info", "autorun.inf", "AUTORUN.INF", "desktop.ini",
    "Thumbs.db", ".DS_Store", "._clip.mov", ".Spotlight-V100", ".fseventsd", "mach_kernel", ".nomedia",
    ".trackerignore", ".metadata_never_index", ".localized", ".git", ".hg", ".svn", ".bzr",
]  # fmt: skip


@pytest.mark.parametrize("place", ["", "by-tag/beach", "by-type/video", "originals/library", "inbox", "similar-to"])
def test_names_that_only_desktops_probe_for_cost_no_statement(dam: Daemon, place: str) -> None:
    (dam / place).stat()
    before = dam.stats_at_rest()
    cost = dam.costing({name: partial(os.path.lexists, dam / place / name) for name in PROBED})
    after = dam.stats()
    assert operations(before, after).get("lookup", 0) < 1.5 * len(PROBED), "each once, and directories on the way"
    assert len(cost) <= 4, f"of the directories themselves; of the names {cost}"
    assert not any(os.path.lexists(dam / place / name) for name in PROBED)


def test_names_that_cameras_and_people_use_are_looked_for(dam: Daemon, tmp_path: Path) -> None:
    """Desktops probe for these too, but AVCHD cards and DVDs have them, so they are names like any other."""
    for name in ("BDMV", "VIDEO_TS"):
        (dam / "by-tag" / name).mkdir()
        assert (dam / "by-tag" / name).is_dir()
