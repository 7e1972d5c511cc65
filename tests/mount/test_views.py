"""Every view over a library of real media: what it lists, that all views show one inode and the same bytes, and that
looking changes nothing."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from damfs.integration.mounts import ASSET_KIND, ID_BITS
from tests.mount.conftest import serving
from tests.mount.daemon_process import QUICK, Daemon, damfs, dump, operations, run
from tests.sample_media import h264, jpeg, make_all, wav

LISTED = {
    "README.md", "by-camera", "by-codec", "by-date", "by-lens", "by-place", "by-resolution", "by-tag", "by-type",
    "clips", "duplicates", "editors", "failed", "frames", "inbox", "originals", "previews", "proxies", "search",
    "similar-to", "suggested", "trash", "untagged", "versions",
}  # fmt: skip


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one file of each kind of sample media, made once."""
    folder = tmp_path_factory.mktemp("media") / "Footage"
    make_all(folder)
    (folder / "notes.txt").write_text("shot list\n")
    return folder


@pytest.fixture(scope="module")
def dam(tmp_path_factory: pytest.TempPathFactory, media: Path) -> Iterator[Daemon]:
    """The folder indexed in place, two files received through the inbox, tags; every job done."""
    with serving(tmp_path_factory.mktemp("views")) as serve:
        daemon = serve(settings=QUICK + "[proxy]\nneedless = true\n").start()
        daemon.add(media)
        received = daemon.library.parent / "received"
        h264(received / "clip.mp4", seconds=0.6, source="beach", seed=9)
        wav(received / "room.wav")
        for path in received.iterdir():
            run("cp", "-p", path, daemon / "inbox")
        (daemon / "by-tag/shoot").mkdir()
        (daemon / "by-tag/shoot/beach").mkdir()
        daemon.settled()
        damfs("tag", daemon / "originals/Footage/photo.jpg", daemon / "inbox/clip.mp4", "beach")
        status = daemon.idle()
        assert status.failures == []
        yield daemon


def names(path: Path) -> set[str]:
    return set(os.listdir(path))


def test_the_root_lists_every_view_and_the_readme(dam: Daemon) -> None:
    assert names(dam.mountpoint) == LISTED


def test_inbox_lists_what_was_received(dam: Daemon) -> None:
    assert names(dam / "inbox") == {"clip.mp4", "room.wav"}


def test_originals_lists_the_files_of_each_store(dam: Daemon, media: Path) -> None:
    assert names(dam / "originals") == {"library", "Footage"}
    assert names(dam / "originals/Footage") == names(media)
    found = {path.name for path in (dam / "originals/library").rglob("*") if path.is_file()}
    assert found == {"clip.mp4", "room.wav"}


def test_by_tag_implies_broader_terms(dam: Daemon) -> None:
    assert names(dam / "by-tag") == {"shoot"}
    assert names(dam / "by-tag/shoot") == {"beach", "photo.jpg", "clip.mp4"}
    assert names(dam / "by-tag/shoot/beach") == {"photo.jpg", "clip.mp4"}
    assert names(dam / "by-tag/beach") == {"photo.jpg", "clip.mp4"}, "reachable by name, though not listed there"


def test_by_type(dam: Daemon) -> None:
    assert names(dam / "by-type") == {"video", "image", "audio", "other"}
    assert names(dam / "by-type/image") == {"photo.jpg", "picture.png", "phone.heic", "raw.dng"}
    assert names(dam / "by-type/audio") == {"ambience.wav", "harbour.flac", "room.wav"}
    assert names(dam / "by-type/other") == {"notes.txt"}
    assert {"h264.mp4", "prores.mov", "mxf.mxf", "clip.mp4"} <= names(dam / "by-type/video")


def test_by_date_goes_by_the_day_of_capture(dam: Daemon) -> None:
    """EXIF's local time; QuickTime's UTC; the bext chunk of a broadcast wave."""
    assert "photo.jpg" in names(dam / "by-date/2024/07/15")
    assert "prores.mov" in names(dam / "by-date/2024/07/15")
    assert "raw.dng" in names(dam / "by-date/2024/09/01")
    assert "phone.heic" in names(dam / "by-date/2025/03/02")
    assert "room.wav" in names(dam / "by-date/2025/05/04")


def test_every_asset_has_exactly_one_day(dam: Daemon, media: Path) -> None:
    listed = [path.name for path in (dam / "by-date").rglob("*") if path.is_file()]
    assert sorted(listed) == sorted([*names(media), "clip.mp4", "room.wav"])


def test_untagged_is_what_by_tag_is_not(dam: Daemon, media: Path) -> None:
    assert names(dam / "untagged") == (names(media) | {"room.wav"}) - {"photo.jpg"}


def test_similar_to_lists_neighbours_of_every_asset(dam: Daemon, media: Path) -> None:
    assert names(dam / "similar-to") == set(), "reached by name: else a crawl would ask for everything"
    assert all((dam / "similar-to" / name).is_dir() for name in names(media) | {"clip.mp4", "room.wav"})
    neighbours = sorted(names(dam / "similar-to/photo.jpg"))
    assert len(neighbours) > 5
    assert neighbours[0].startswith("01 ")
    first = dam / "similar-to/photo.jpg" / neighbours[0]
    assert first.read_bytes() == (media / neighbours[0][3:]).read_bytes()


def test_proxies_mirror_the_folders_and_play(dam: Daemon, media: Path) -> None:
    assert "prores.mov" in names(dam / "proxies/Footage")
    assert "photo.jpg" not in names(dam / "proxies/Footage")
    (clip,) = [path for path in (dam / "proxies/library").rglob("*") if path.is_file()]
    assert clip.stem == "clip"
    original, proxy = frames(media / "prores.mov"), frames(dam / "proxies/Footage/prores.mov")
    assert original == proxy == ("25", "10:58:07:12")
    run("ffmpeg", "-v", "error", "-xerror", "-i", clip, "-f", "null", "-")


def frames(path: Path) -> tuple[str, str]:
    """Number of frames that decode, and the start timecode."""
    entries = "stream=nb_read_frames:stream_tags=timecode"
    found = run("ffprobe", "-v", "error", "-count_frames", "-select_streams", "v:0", "-show_entries", entries,
                "-of", "default=noprint_wrappers=1", path).stdout  # fmt: skip
    values = dict(line.split("=", 1) for line in found.split())
    return values["nb_read_frames"], values["TAG:timecode"]


def test_one_asset_has_one_inode_and_the_same_bytes_in_every_view(dam: Daemon, media: Path) -> None:
    """For each asset: every path below the mount that is a name of it."""
    shown: dict[int, list[Path]] = {}
    for path in walk(dam.mountpoint):
        if path.stat().st_ino >> ID_BITS == ASSET_KIND:  # editors/ shows proxies beside the originals
            shown.setdefault(path.stat().st_ino, []).append(path)
    originals = [*media.iterdir(), dam.library.parent / "received/clip.mp4", dam.library.parent / "received/room.wav"]
    assert len(shown) == len(originals)
    by_name = {path.name: path.read_bytes() for path in originals}
    for paths in shown.values():
        expected = by_name[next(path for path in paths if "originals" in path.parts).name]
        views = {path.relative_to(dam.mountpoint).parts[0] for path in paths}
        assert {"originals", "by-date", "by-type"} <= views
        for path in paths:
            assert path.stat().st_size == len(expected)
            assert path.read_bytes() == expected, path


def walk(root: Path) -> Iterator[Path]:
    for folder, _, files in os.walk(root, onerror=raised):
        yield from (Path(folder) / name for name in files)


def raised(error: OSError) -> None:
    raise error


def test_the_control_texts_are_readable_and_not_listed(dam: Daemon) -> None:
    assert ".damfs" not in names(dam.mountpoint)
    assert "by-tag" in (dam / "README.md").read_text()
    assert str(dam.library) in (dam / ".damfs/status").read_text()
    assert "damfs_fuse_operations_total" in (dam / ".damfs/stats").read_text()
    texts = [path.read_text() for path in (dam / ".damfs/help").iterdir()]
    assert texts
    assert all(text.startswith("#") for text in texts)


def test_reading_in_pieces_and_beyond_the_end(dam: Daemon, media: Path) -> None:
    expected = (media / "dnxhr.mov").read_bytes()
    fd = os.open(dam / "originals/Footage/dnxhr.mov", os.O_RDONLY)
    try:
        assert os.pread(fd, 1000, 12345) == expected[12345:13345]
        assert os.pread(fd, 10**6, len(expected) - 5) == expected[-5:]
        assert os.pread(fd, 10, len(expected) + 10) == b""
        assert os.sendfile(os.open("/dev/null", os.O_WRONLY), fd, 0, 5000) == 5000
    finally:
        os.close(fd)


PROBED = (".hidden", ".Trash-1000", ".Trash", "desktop.ini", "._clip.mov", "Thumbs.db", ".DS_Store", ".directory")


def test_names_that_only_desktops_probe_for_cost_no_query(dam: Daemon) -> None:
    places = ("", "inbox", "by-tag", "by-date/2024/07/15", "originals/Footage", "similar-to")
    for place in places:
        (dam / place).stat()
    paths = [dam / place / name for place in places for name in PROBED]
    before = dam.stats()
    cost = dam.costing({str(path): partial(os.path.lexists, path) for path in paths})
    after = dam.stats()
    assert len(cost) <= 2, cost
    assert operations(before, after)["lookup"] < 1.5 * len(paths), "each once, and directories on the way"
    for place in places:
        for name in PROBED:
            assert not os.path.lexists(dam / place / name)
    asked_again = operations(after, dam.stats()).get("lookup", 0)
    few = len(paths) // 4  # it forgets some by itself, when memory is scarce
    assert asked_again <= few, "the kernel remembers that they are not there, but for another user's trash"


def test_looking_changes_nothing(dam: Daemon) -> None:
    dam.idle()
    before = dump(dam.library)
    root = str(dam.mountpoint)
    subprocess.run(["find", root, "-printf", "%p %s %T@\n"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ls", "-lRa", "--color=always", root], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["du", "-a", root], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(
        f"find '{root}' -type f -print0 | xargs -0 md5sum", shell=True, check=True, stdout=subprocess.DEVNULL
    )
    subprocess.run(["stat", "-f", root], check=True, stdout=subprocess.DEVNULL)
    for name in ("nothing", ".hidden", "x~9.mov"):
        assert not (dam / "by-tag" / name).exists()
    assert dump(dam.library) == before


def test_find_and_du_count_as_on_a_disk(dam: Daemon, media: Path) -> None:
    found = run("find", dam / "originals/Footage", "-type", "f").stdout.splitlines()
    assert len(found) == len(names(media))
    size = sum(path.stat().st_size for path in media.iterdir())
    assert int(run("du", "-sb", "--apparent-size", dam / "originals/Footage").stdout.split()[0]) == size


def test_a_second_look_at_a_photo_by_its_qualified_name(dam: Daemon) -> None:
    """stem~id.ext resolves in every place, though it is listed only where names clash."""
    plain = dam / "by-type/image/photo.jpg"
    number = plain.stat().st_ino & ((1 << 56) - 1)
    assert number < 32
    digit = "0123456789abcdefghjkmnpqrstvwxyz"[number]
    assert (dam / f"by-type/image/photo~{digit}.jpg").stat().st_ino == plain.stat().st_ino
    assert (dam / f"by-date/2024/07/15/photo~{digit}.jpg").stat().st_ino == plain.stat().st_ino


def test_two_assets_of_one_name_are_both_listed(dam: Daemon, tmp_path: Path) -> None:
    """Last in the module: it adds an asset."""
    run("cp", jpeg(tmp_path / "photo.jpg", seed=77), dam / "inbox")
    dam.settled()
    listed = sorted(name for name in names(dam / "by-type/image") if name.startswith("photo"))
    assert len(listed) == 2
    assert "photo.jpg" in listed
    assert names(dam / "inbox") >= {"photo.jpg"}, "alone there, it keeps its bare name"
    inodes = {(dam / "by-type/image" / name).stat().st_ino for name in listed}
    assert len(inodes) == 2
