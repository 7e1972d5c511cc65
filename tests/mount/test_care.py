"""verify and check of a mounted library: one damaged file is EIO alone, a repair has to wait, a copy is made a day."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from damfs.core.backups import DAILY
from tests.mount.daemon_process import Daemon, damfs, rows, until


def original(dam: Daemon, name: str) -> Path:
    (found,) = (dam.library / "originals").rglob(name)
    return found


def test_a_damaged_file_is_eio_and_the_others_are_read(dam: Daemon) -> None:
    (dam / "inbox/good.mov").write_bytes(b"good")
    (dam / "inbox/bad.mov").write_bytes(b"to be damaged")
    dam.settled()
    assert damfs("verify", dam.library).stdout.startswith("2 good")
    path = original(dam, "bad.mov")
    status = path.stat()
    path.write_bytes(b"TO BE DAMAGED")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    done = damfs("verify", dam.library, check=False)
    assert done.returncode == 1
    assert "damaged    library:" in done.stdout
    with pytest.raises(OSError, match="Input/output") as error:
        (dam / "by-type/other/bad.mov").read_bytes() if (dam / "by-type/other/bad.mov").exists() else (
            dam / "inbox/bad.mov"
        ).read_bytes()
    assert error.value.errno == errno.EIO
    assert (dam / "inbox/good.mov").read_bytes() == b"good"
    path.write_bytes(b"to be damaged")
    assert damfs("verify", dam.library).returncode == 0
    assert (dam / "inbox/bad.mov").read_bytes() == b"to be damaged"


def test_check_while_mounted_and_repair_refused(dam: Daemon) -> None:
    (dam / "inbox/one.mov").write_bytes(b"one")
    dam.settled()
    done = damfs("check", dam.library)
    assert "not checked while mounted" in done.stdout
    refused = damfs("check", dam.library, "--repair", check=False)
    assert refused.returncode == 1
    assert "unmount it first" in refused.stderr
    refused = damfs("rebuild", dam.library, "--yes", check=False)
    assert refused.returncode == 1
    assert "in use" in refused.stderr


def test_the_catalog_is_copied_daily(dam: Daemon) -> None:
    copy = dam.library / "state" / "backups" / f"{DAILY}-1.sqlite3"
    until(copy.exists, "a copy of the catalog")


def test_after_a_mount_every_rule_holds(dam: Daemon) -> None:
    (dam / "by-tag/beach").mkdir()
    (dam / "by-tag/beach/one.mov").write_bytes(b"one")
    (dam / "inbox/two.mov").write_bytes(b"two")
    os.rename(dam / "inbox/two.mov", dam / "by-tag/beach/two.mov")
    os.utime(dam / "by-tag/beach/two.mov", ns=(5, 7_000_000_000))
    (dam / "inbox/gone.mov").write_bytes(b"gone")
    os.unlink(dam / "inbox/gone.mov")
    dam.settled()
    dam.end()
    done = damfs("check", dam.library)
    assert done.returncode == 0, done.stdout


def test_without_its_catalog_a_library_is_rebuilt_from_what_the_store_keeps(dam: Daemon) -> None:
    library = dam / "originals/library"
    (library / "shoot").mkdir()
    (library / "shoot/clip.mov").write_bytes(b"one")
    dam.settled()
    (library / "shoot/clip.mov").write_bytes(b"two")
    (library / "shoot/gone.mov").write_bytes(b"unwanted")
    dam.settled()
    (library / "shoot/gone.mov").unlink()
    (library / "shoot").chmod(0o2750)
    (library / "shoot/clip.mov").chmod(0o600)
    with pytest.raises(PermissionError):
        (library / ".damfs-notes").write_bytes(b"mine")
    before = looks(dam)
    assert before["shown"] == ["clip.mov"]
    assert ".damfs-notes" not in os.listdir(library)
    dam.end()
    assert damfs("verify", dam.library).stdout.startswith("3 good")
    for path in (dam.library / "state").glob("catalog.sqlite3*"):
        path.unlink()
    shutil.rmtree(dam.library / "state/backups")
    done = damfs("rebuild", dam.library, "--yes")
    assert "back       1 earlier versions" in done.stdout
    assert "back       1 assets in the trash" in done.stdout
    dam.start()
    assert looks(dam) == before
    os.rename(dam / "trash/gone.mov", dam / "inbox/gone.mov")
    dam.settled()
    assert (library / "shoot/gone.mov").read_bytes() == b"unwanted", "it is back where it lay"


def looks(dam: Daemon) -> dict[str, object]:
    folder = dam / "originals/library/shoot"
    versions = dam / "versions/clip.mov"
    return {
        "shown": sorted(os.listdir(folder)),
        "folder": oct(folder.stat().st_mode),
        "file": oct((folder / "clip.mov").stat().st_mode),
        "versions": {name: (versions / name).read_bytes() for name in os.listdir(versions)},
        "times": {name: (versions / name).stat().st_mtime_ns for name in os.listdir(versions)},
        "trash": os.listdir(dam / "trash"),
    }


def test_originals_whose_volume_is_away_wait_for_it(dam: Daemon) -> None:
    """P11: nothing is missing, what is received meanwhile waits elsewhere, and all goes on by itself."""
    (dam / "inbox/clip.txt").write_text("clip")
    dam.settled()
    dam.end()
    originals, volume = dam.library / "originals", dam.library.with_name("volume")
    originals.rename(volume)
    originals.mkdir()
    dam.announced = [*dam.announced, "held back"]
    dam.start()
    until(lambda: rows(dam.library, "SELECT online FROM store WHERE name = 'library'") == [(0,)], "it is offline")
    with pytest.raises(OSError, match="Input/output error"):
        (dam / "inbox/clip.txt").read_text()
    (dam / "inbox/new.txt").write_text("new")
    until(lambda: "new.txt" in os.listdir(dam / "failed"), "it is told")
    with pytest.raises(OSError, match="Input/output error"):
        (dam / "originals/library/folder").mkdir()
    assert os.listdir(originals) == []
    assert rows(dam.library, "SELECT state FROM copy") == [("present",)]
    originals.rmdir()
    volume.rename(originals)
    until(lambda: rows(dam.library, "SELECT online FROM store WHERE name = 'library'") == [(1,)], "it is back")
    assert (dam / "inbox/clip.txt").read_text() == "clip"
    until(lambda: list(originals.rglob("new.txt")) != [], "what waited is stored")
    assert (dam / "inbox/new.txt").read_text() == "new"
    dam.settled()
