"""Names that only programs care about."""

from __future__ import annotations

import pytest

from damfs.storage.droppings import is_dropping, is_temporary


@pytest.mark.parametrize(
    "name",
    [
        ".DS_Store", "._clip.mov", "Thumbs.db", "thumbs.db", "THUMBS.DB", "ehthumbs.db", "desktop.ini", "Desktop.ini",
        ".directory", ".hidden", ".Trash", ".Trash-1000", ".Trashes", ".Spotlight-V100", ".fseventsd", "Icon\r",
        ".nomedia", ".trackerignore", ".metadata_never_index", "autorun.inf", ".xdg-volume-info", "mach_kernel",
        "$RECYCLE.BIN", "System Volume Information", ".sh_thumbnails", ".AppleDouble",
        ".git", ".hg", ".svn", ".bzr",
    ],
)  # fmt: skip
def test_droppings(name: str) -> None:
    assert is_dropping(name)


@pytest.mark.parametrize(
    "name",
    ["clip.mov", "Icon", "icon.png", "_clip.mov", "thumbs.db.mov", "Trash", "directory", "BDMV", "VIDEO_TS", "\udcff"],
)
def test_no_droppings(name: str) -> None:
    assert not is_dropping(name)


@pytest.mark.parametrize(
    "name",
    [
        ".clip.mov.Ab12Cd", "clip.mov.part", "clip.mov.crdownload", "Unconfirmed 512.crdownload", "x.tmp", "X.TMP",
        "~$report.docx", ".~lock.report.odt#", ".notes.txt.kate-swp", ".x.swp", ".x.swo", "4913", "x~", "#x#", ".#x",
        ".goutputstream-9XK3Z2", ".com.google.Chrome.AbCdEf", ".nfs000000000012", ".fuse_hidden0000001200000003",
        "clip.mov_exiftool_tmp", "clip\nwith newline.mov.part", "clip.filepart", ".~1a2b",
    ],
)  # fmt: skip
def test_temporary(name: str) -> None:
    assert is_temporary(name)


@pytest.mark.parametrize(
    "name",
    [
        "clip.mov",
        "part",
        "clip.part.mov",
        ".part",
        "tmp",
        "clip~id.mov",
        "a.b.Backup",
        "4913.mov",
        "#1.mov",
        "party.mp4",
    ],
)
def test_not_temporary(name: str) -> None:
    assert not is_temporary(name)
