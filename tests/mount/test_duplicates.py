"""duplicates/ and `damfs dedupe` through a real mount, with files that real processors have looked at."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.mount.daemon_process import Daemon, damfs, run, until
from tests.sample_media import jpeg


def names(place: Path) -> list[str]:
    return sorted(os.listdir(place))


def test_duplicates_are_shown_merged_and_brought_back(dam: Daemon, tmp_path: Path) -> None:
    root = dam.mountpoint
    whole = jpeg(tmp_path / "whole.jpg", scene="flowers", size=(600, 400))
    with Image.open(whole) as picture:
        picture.resize((300, 200)).save(tmp_path / "small.jpg", quality=60)
    run("cp", whole, tmp_path / "small.jpg", root / "inbox")
    run("cp", whole, root / "inbox" / "again.jpg")
    damfs("tag", root / "inbox" / "small.jpg", "Garden")
    near = root / "duplicates" / "near"
    until(lambda: len(names(near)) == 1, "what looks alike is found")
    (group,) = (near / name for name in names(near))
    assert group.name.startswith("whole~")
    assert names(group) == ["again.jpg", "small.jpg", "whole.jpg", "why.txt"]
    assert os.stat(group / "small.jpg").st_ino == os.stat(root / "inbox" / "small.jpg").st_ino
    why = (group / "why.txt").read_text()
    assert "small.jpg: the same picture (whole.jpg); distance 0." in why
    assert b"the same picture" in os.getxattr(group / "small.jpg", "user.damfs.why")
    (exact,) = (root / "duplicates" / "exact" / name for name in names(root / "duplicates" / "exact"))
    assert names(exact) == ["again.jpg", "whole.jpg", "why.txt"]
    for refused in (lambda: (exact / "again.jpg").unlink(), lambda: (exact / "new.txt").write_text("x")):
        with pytest.raises(PermissionError) as failure:
            refused()
        assert failure.value.errno == errno.EPERM

    shown = damfs("dedupe", root).stdout
    assert "exact: keep whole.jpg" in shown
    assert "trash if equal small.jpg" in shown, "they are compared closely only when it is done"
    assert names(root / "trash") == []
    done = json.loads(damfs("dedupe", root, "--exact", "--near", "--apply", "--json").stdout)
    assert (done["moved"], done["problems"]) == (2, [])
    until(lambda: names(root / "by-tag" / "Garden") == ["whole.jpg"], "the tag is the kept one's")
    until(lambda: names(root / "trash") == ["again.jpg", "small.jpg"], "the others are in the trash")
    until(lambda: names(root / "duplicates" / "exact") == names(near) == [], "no group is left")
    for _ in ("the near group", "the exact group"):
        damfs("undo", root)
    until(lambda: names(root / "trash") == [], "all is back")
    until(lambda: names(root / "by-tag" / "Garden") == ["small.jpg"], "the tag is where it was")
    assert damfs("dedupe", root, "--apply", "--dry-run", check=False).returncode == 2
