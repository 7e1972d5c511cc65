"""Programs save new files into a directory of the mount: each in its own way, and each makes one asset."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from tests.mount.daemon_process import Daemon, rows, until
from tests.mount.save_patterns import NEW, Pattern

_numbers = count(1)


def term_directory(dam: Daemon) -> Path:
    directory = dam / f"by-tag/saved-{next(_numbers)}"
    directory.mkdir()
    return directory


def library_folder(dam: Daemon) -> Path:
    directory = dam / f"originals/library/saved-{next(_numbers)}"
    directory.mkdir()
    return directory


PLACES: dict[str, Callable[[Daemon], Path]] = {
    "inbox": lambda dam: dam / "inbox",
    "by-tag": term_directory,
    "originals/library": library_folder,
}
"""Where programs save; each takes a new directory there, where it can."""


@pytest.fixture
def name() -> str:
    return f"letter {next(_numbers)}.txt"


def content_of(name: str) -> bytes:
    return "".join(f"{name}, line {number}{' ünï' * 40}\n" for number in range(40)).encode()


def assets_called(dam: Daemon, pattern: str) -> list[tuple[str, str]]:
    found = rows(dam.library, "SELECT name, state FROM asset WHERE name GLOB ?", pattern)
    return [(str(each), str(state)) for each, state in found]


def work(dam: Daemon) -> list[tuple[object, ...]]:
    """Bytes that were received, and what is to be done with them."""
    return rows(dam.library, "SELECT (SELECT count(*) FROM blob), (SELECT count(*) FROM job)")


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("pattern", NEW, ids=lambda pattern: pattern.__name__)
def test_a_new_file_is_one_asset(shared: Daemon, name: str, place: str, pattern: Pattern) -> None:
    shared.idle()
    directory = PLACES[place](shared)
    before, worked = set(os.listdir(directory)), work(shared)
    known = {id_ for (id_,) in rows(shared.library, "SELECT id FROM asset")}
    for temporary in pattern(directory, name, content_of(name)):
        shared.settled()
        assert assets_called(shared, f"*{temporary.name}") == [(temporary.name, "receiving")]
        assert work(shared) == worked, f"{temporary.name} is not finished: no job"
        assert temporary.name in os.listdir(directory)
    until(lambda: assets_called(shared, name) == [(name, "present")], "received")
    shared.idle()
    assert set(os.listdir(directory)) - before == {name}
    assert (directory / name).read_bytes() == content_of(name)
    new = [row for row in rows(shared.library, "SELECT id, name, state FROM asset") if row[0] not in known]
    assert [(str(called), str(state)) for _, called, state in new] == [(name, "present")]
    assert (directory / name).stat().st_ino & ((1 << 56) - 1) == new[0][0]
    assert work(shared) > worked, "it is worked on"
    if place == "by-tag":
        assert rows(shared.library, "SELECT count(*) FROM tagging WHERE asset = ?", new[0][0]) == [(1,)]
        assert not (shared / "inbox" / name).exists()


def statements_of_a_look(dam: Daemon, path: Path) -> int:
    """Of the catalog; now and then something else asks it as well."""
    os.stat(path.parent)
    before = dam.stats()["damfs_catalog_statements_total"]
    assert not path.exists()
    return dam.stats()["damfs_catalog_statements_total"] - before


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("dropping", ["._letter.txt", ".DS_Store", "Thumbs.db", "desktop.ini", ".directory", ".hidden"])
def test_what_desktops_leave_behind_is_no_asset(shared: Daemon, name: str, place: str, dropping: str) -> None:
    directory = PLACES[place](shared)
    (directory / name).write_bytes(content_of(name))
    shared.settled()
    shared.idle()
    assert min(statements_of_a_look(shared, directory / dropping) for _ in range(5)) == 0, "answered from memory"
    with pytest.raises(PermissionError):
        (directory / dropping).write_bytes(b"x")
    with pytest.raises(PermissionError):
        (directory / name).rename(directory / dropping)
    with pytest.raises(PermissionError):
        (directory / dropping).mkdir()
    assert assets_called(shared, dropping) == []
    assert (directory / name).read_bytes() == content_of(name)


@pytest.mark.parametrize("place", PLACES)
def test_rsync_ended_in_the_middle(shared: Daemon, name: str, place: str, tmp_path: Path) -> None:
    """Without --partial nothing stays; with it what arrived has the name, and is what the source begins with."""
    directory, source = PLACES[place](shared), tmp_path / name
    source.write_bytes(os.urandom(4 << 20))
    for options in ([], ["--partial"]):
        command = ["rsync", "--bwlimit=1000", *options, str(source), f"{directory}/"]
        copying = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: arrived(directory, name) > 1 << 19, "some of it arrived")
        copying.send_signal(signal.SIGINT)
        assert copying.wait(90) == 20
        shared.settled()
        left = [entry for entry in os.listdir(directory) if name in entry]
        assert left == ([name] if options else [])
    received = (directory / name).read_bytes()
    assert 1 << 18 < len(received) < 4 << 20
    assert received == source.read_bytes()[: len(received)]
    until(lambda: assets_called(shared, f"*{name}*") == [(name, "present")], "received")


def arrived(directory: Path, name: str) -> int:
    return max(
        (entry.stat().st_size for entry in os.scandir(directory) if entry.name.startswith(f".{name}.")), default=0
    )
