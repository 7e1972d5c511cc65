"""Live folders outside of by-tag/: whoever watches the trash, or a folder of the library, hears of what others do."""

from __future__ import annotations

from pathlib import Path

import pytest

from damfs.integration.client import call
from damfs.integration.wire import RestoreAssets, TrashAssets
from tests.mount.daemon_process import Daemon
from tests.mount.test_live import ID_MASK, watching


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "said.txt"


@pytest.fixture
def folder(shared: Daemon, request: pytest.FixtureRequest) -> Path:
    """Of the library, with one file of the same name."""
    made = shared / "originals/library" / str(request.node.name)
    made.mkdir()
    (made / f"{made.name}.txt").write_text(made.name)
    shared.settled()
    return made


def test_the_trash_hears_of_what_a_command_trashed(shared: Daemon, folder: Path, output: Path) -> None:
    path, trash = folder / f"{folder.name}.txt", shared / "trash"
    asset = path.stat().st_ino & ID_MASK
    with watching(output, trash, folder) as watcher:
        call(shared.library, TrashAssets((asset,)))
        watcher.hears(f"CREATE {trash}/{path.name}", f"DELETE {path}")
        call(shared.library, RestoreAssets((asset,)))
        watcher.hears(f"DELETE {trash}/{path.name}", f"CREATE {path}")


def test_the_trash_hears_of_rm(shared: Daemon, folder: Path, output: Path) -> None:
    path, trash = folder / f"{folder.name}.txt", shared / "trash"
    with watching(output, trash) as watcher:
        path.unlink()
        watcher.hears(f"CREATE {trash}/{path.name}")
        (trash / path.name).rename(shared / "inbox" / path.name)
        watcher.hears(f"MOVED_FROM {trash}/{path.name}")


def test_other_places_hear_of_a_file_manager_s_delete(shared: Daemon, folder: Path, output: Path) -> None:
    path, trash = folder / f"{folder.name}.txt", shared / "trash"
    asset = path.stat().st_ino & ID_MASK
    files, others = shared / ".Trash-0/files", shared / "by-type/other"
    with watching(output, trash, others, files) as watcher:
        path.rename(files / path.name)
        watcher.hears(
            f"MOVED_TO {files}/{path.name}",
            f"CREATE {trash}/{path.name}",
            f"DELETE {others}/{path.name}",
        )
        call(shared.library, RestoreAssets((asset,)))
        watcher.hears(f"DELETE {files}/{path.name}", f"CREATE {others}/{path.name}")


def test_a_folder_hears_of_what_is_done_on_the_disk(shared: Daemon, folder: Path, output: Path) -> None:
    below = shared.library / "originals" / folder.name
    with watching(output, folder, folder.parent) as watcher:
        (below / "new.txt").write_text("made outside")
        (below.parent / f"{folder.name}-too").mkdir()
        shared.scan("library")
        watcher.hears(f"CREATE {folder}/new.txt", f"CREATE,ISDIR {folder.parent}/{folder.name}-too")
        (below / "new.txt").unlink()
        shared.scan("library")
        watcher.hears(f"DELETE {folder}/new.txt")


def test_versions_hear_of_a_file_that_was_written_over(shared: Daemon, folder: Path, output: Path) -> None:
    path = folder / f"{folder.name}.txt"
    versions = shared / "versions"
    own = versions / path.name
    with watching(output, versions, own) as watcher:
        path.write_text("other bytes")
        watcher.hears(f"CREATE,ISDIR {own}", f"CREATE {own}/v0002.txt")
        path.with_name(f"{folder.name}-later.txt").write_text("first")
        shared.settled()
        path.with_name(f"{folder.name}-later.txt").write_text("second")
        watcher.hears(f"CREATE,ISDIR {versions}/{folder.name}-later.txt")
        told = [line for line in watcher.lines() if line.startswith(f"CREATE,ISDIR {versions}/")]
        assert [line for line in told if "~" in line] == [], "told is what is listed"
