"""Live folders: programs that watch a directory hear of changes made elsewhere, and the catalog does not notice it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from damfs.integration.client import call
from damfs.integration.wire import Tag
from tests.mount.daemon_process import QUICK, Daemon, command_of, damfs, descendants, dump, is_mounted, rows, run, until

if TYPE_CHECKING:
    from tests.mount.conftest import Serve

ID_MASK = (1 << 56) - 1
SEEN_LIMIT_S = 90.0
_numbers = count(1)


class Watcher:
    """A program that watches directories; what it said, line by line."""

    def __init__(self, process: subprocess.Popen[bytes], output: Path) -> None:
        self.process = process
        self._output = output

    def lines(self) -> list[str]:
        return os.fsdecode(self._output.read_bytes()).splitlines()

    def hears(self, *wanted: str) -> None:
        until(lambda: set(wanted) <= set(self.lines()), f"{wanted} in {self.lines()}", SEEN_LIMIT_S)


@contextmanager
def program(output: Path, ready: str, *command: str | Path) -> Iterator[Watcher]:
    with output.open("wb") as out, output.with_suffix(".err").open("wb") as err:
        process = subprocess.Popen(
            [str(word) for word in command], stdout=out, stderr=err, env={**os.environ, "LC_ALL": "C.UTF-8"}
        )
        try:
            until(
                lambda: ready in output.with_suffix(".err").read_text() + output.read_text(), "it watches", SEEN_LIMIT_S
            )
            yield Watcher(process, output)
        finally:
            process.terminate()
            process.wait(90)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / f"said-{next(_numbers)}.txt"


@contextmanager
def watching(output: Path, *directories: Path) -> Iterator[Watcher]:
    """As `inotifywait -m` does: `EVENT name` for each event in the directories."""
    command: tuple[str | Path, ...] = (
        "inotifywait",
        "-m",
        "-e",
        "create,delete,moved_to,moved_from",
        "--format",
        "%e %w%f",
        *directories,
    )
    with program(output, "Watches established", *command) as watcher:
        yield watcher


@pytest.fixture
def received(shared: Daemon, tmp_path: Path) -> Path:
    source = tmp_path / f"live-{next(_numbers)}.dat"
    source.write_text(f"{source.name}\n" * 10)
    run("cp", source, shared / "inbox")
    shared.settled()
    return shared / "inbox" / source.name


@pytest.fixture
def term(shared: Daemon) -> Path:
    directory = shared / "by-tag" / f"live-{next(_numbers)}"
    directory.mkdir()
    return directory


def tag(dam: Daemon, path: Path, term: str, *, remove: bool = False) -> None:
    """As `damfs tag` does, without the start of another Python."""
    call(dam.library, Tag((path.stat().st_ino & ID_MASK,), (term,), remove=remove))


def test_tag_and_untag_from_a_command(shared: Daemon, received: Path, term: Path, output: Path) -> None:
    there = term / received.name
    with watching(output, term) as watcher:
        damfs("tag", received, term.name)
        watcher.hears(f"CREATE {there}")
        assert os.listdir(term) == [received.name]
        damfs("untag", there, term.name)
        watcher.hears(f"DELETE {there}")
        assert os.listdir(term) == []
        damfs("tag", received, term.name)
        until(lambda: watcher.lines().count(f"CREATE {there}") == 2, "again", SEEN_LIMIT_S)
        assert watcher.lines() == [f"CREATE {there}", f"DELETE {there}", f"CREATE {there}"]
    assert there.stat().st_ino == received.stat().st_ino
    assert there.read_bytes() == received.read_bytes()


def test_a_file_manager_hears_it(shared: Daemon, received: Path, term: Path, output: Path) -> None:
    there = term / received.name
    os.listdir(term)
    watch = ("gio", "monitor", "-d", term)
    with program(output, "", *watch) as watcher:

        def heard(what: str) -> bool:
            return any(received.name in line and what in line for line in watcher.lines())

        def tagged_until_heard() -> bool:
            tag(shared, received, term.name, remove=exists(there))  # gio does not say when it has begun
            return heard("created") and heard("deleted")

        until(tagged_until_heard, "created and deleted")


def exists(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def test_nothing_changes_in_the_catalog(shared: Daemon, received: Path, term: Path, output: Path) -> None:
    """What the helper does is no change: no row, no change of the feed, the same tags."""
    tag(shared, received, term.name)
    shared.idle()
    with watching(output, term, shared / "untagged", shared / "inbox") as watcher:
        tag(shared, received, term.name, remove=True)
        before = dump(shared.library)
        watcher.hears(f"DELETE {term / received.name}", f"CREATE {shared / 'untagged' / received.name}")
        assert dump(shared.library) == before
        said = [line for line in watcher.lines() if "inbox" in line]
    assert said == [], "the inbox does not care for tags"


def test_a_copy_is_told_once_in_each_place(shared: Daemon, term: Path, tmp_path: Path, output: Path) -> None:
    """Where it was copied to the kernel itself tells of it; everywhere else damfs does."""
    source = tmp_path / f"copied-{next(_numbers)}.dat"
    source.write_text(source.name)
    with watching(output, term, shared / "by-type/other") as watcher:
        run("cp", source, term)
        shared.settled()
        there, type_ = term / source.name, shared / "by-type/other" / source.name
        watcher.hears(f"CREATE {there}", f"CREATE {type_}")
        (term / source.name).unlink()
        (shared / "inbox" / "marker").write_text("marker")
        watcher.hears(f"CREATE {shared / 'by-type/other/marker'}")
        assert [line for line in watcher.lines() if source.name in line] == [
            *sorted([f"CREATE {there}", f"CREATE {type_}"], key=watcher.lines().index),
            f"DELETE {there}",
        ]


def test_terms_and_their_directories(shared: Daemon, output: Path) -> None:
    name = f"term-{next(_numbers)}"
    source = shared.library.parent / f"{name}.dat"
    source.write_text(name)
    run("cp", source, shared / "inbox")
    shared.settled()
    with watching(output, shared / "by-tag") as watcher:
        tag(shared, shared / "inbox" / source.name, name)
        watcher.hears(f"CREATE,ISDIR {shared / 'by-tag' / name}")
        assert os.listdir(shared / "by-tag" / name) == [source.name]
        (shared / "by-tag" / name / source.name).unlink()
        (shared / "by-tag" / name).rmdir()
        (shared / "by-tag" / name).mkdir()
        assert os.listdir(shared / "by-tag" / name) == []
        tag(shared, shared / "inbox" / source.name, name)
        until(lambda: os.listdir(shared / "by-tag" / name) == [source.name], "the new directory lives")


def test_a_removed_place_that_is_held_does_not_matter(shared: Daemon, received: Path, output: Path) -> None:
    """Somebody is inside a directory that was removed; everybody else hears of what goes on."""
    name = f"held-{next(_numbers)}"
    (shared / "by-tag" / name).mkdir()
    (shared / "by-tag" / name / "inside").mkdir()
    with watching(output, shared / "by-tag", shared / "untagged") as watcher:
        folder = os.open(shared / "by-tag" / name / "inside", os.O_RDONLY | os.O_DIRECTORY)
        try:
            (shared / "by-tag" / name / "inside").rmdir()
            (shared / "by-tag" / name).rmdir()
            tag(shared, received, "inside")
            watcher.hears(f"CREATE,ISDIR {shared / 'by-tag/inside'}", f"DELETE {shared / 'untagged' / received.name}")
        finally:
            os.close(folder)
    until(lambda: os.listdir(shared / "by-tag/inside") == [received.name], "the directory of the new term")


def test_clashing_names_are_told_as_they_are_listed(shared: Daemon, term: Path, tmp_path: Path, output: Path) -> None:
    """The lower id has the bare name; when it leaves, the other one takes it over."""
    name = f"clash-{next(_numbers)}.dat"
    paths: list[Path] = []
    for place in ("inbox", "inbox"):
        (tmp_path / name).write_text(f"{place} {len(paths)}")
        extra = shared / "by-tag" / f"{term.name}-{len(paths)}"
        extra.mkdir()
        run("cp", tmp_path / name, extra)
        shared.settled()
        paths.append(extra / name)
    with watching(output, term) as watcher:
        for path in paths:
            tag(shared, path, term.name)
            until(lambda: len(watcher.lines()) > 0, "told", SEEN_LIMIT_S)
        listed = sorted(os.listdir(term))
        assert len(listed) == 2
        watcher.hears(*(f"CREATE {term / each}" for each in listed))
        tag(shared, paths[0], term.name, remove=True)
        other = next(each for each in listed if each != name)
        watcher.hears(f"DELETE {term / other}")
        assert os.listdir(term) == [name]
        assert f"DELETE {term / name}" not in watcher.lines()


def test_a_finished_proxy_is_told(serve: Serve, tmp_path: Path, output: Path) -> None:
    from tests.sample_media import h264

    dam = serve(settings=f"{QUICK}[proxy]\nlines = 120\n").start()
    folder = tmp_path / "rushes"
    (folder / "day one").mkdir(parents=True)
    h264(folder / "day one" / "a.mp4", seconds=0.5, size=(320, 180))
    dam.add(tmp_path / "rushes")
    dam.idle()
    places = [dam / "proxies/rushes/day one", dam / "originals/rushes/day one", dam / "originals/rushes"]
    with watching(output, *places) as watcher:
        h264(folder / "day one" / "b.mp4", seconds=0.6, size=(320, 180))
        (folder / "day two").mkdir()
        h264(folder / "day two" / "c.mp4", seconds=0.7, size=(320, 180))
        dam.scan("rushes")
        watcher.hears(
            f"CREATE {places[0] / 'b.mov'}", f"CREATE {places[1] / 'b.mp4'}", f"CREATE,ISDIR {places[2] / 'day two'}"
        )
        (folder / "day one" / "b.mp4").unlink()
        dam.scan("rushes")
        watcher.hears(f"DELETE {places[1] / 'b.mp4'}", f"DELETE {places[0] / 'b.mov'}")
        dam.idle()


def test_many_at_once_are_told_of_by_one_event(shared: Daemon, term: Path, tmp_path: Path, output: Path) -> None:
    folder = tmp_path / f"many-{next(_numbers)}"
    folder.mkdir()
    for number in range(300):
        (folder / f"{folder.name}-{number}.dat").write_text(f"{folder.name} {number}")
    shared.add(folder)
    ids = tuple(entry.inode() & ID_MASK for entry in os.scandir(shared / "originals" / folder.name))
    with watching(output, term) as watcher:
        before = shared.stats_at_rest().get("damfs_live_reenactments_total", 0)
        call(shared.library, Tag(ids, (term.name,)))
        until(lambda: bool(watcher.lines()), "an event", SEEN_LIMIT_S)
        assert len(os.listdir(term)) == 300
        assert shared.stats()["damfs_live_reenactments_total"] - before < 20


def test_switched_off_by_the_settings(serve: Serve, tmp_path: Path, output: Path) -> None:
    dam = serve(settings=f"{QUICK}[mount]\nlive = false\n").start()
    (tmp_path / "a.txt").write_text("a")
    run("cp", tmp_path / "a.txt", dam / "inbox")
    (dam / "by-tag/beach").mkdir()
    dam.settled()
    children = descendants(dam.pid)
    with watching(output, dam / "by-tag/beach") as watcher:
        tag(dam, dam / "inbox/a.txt", "beach")
        until(lambda: exists(dam / "by-tag/beach/a.txt"), "tagged")
        (dam / "by-tag/beach/b.txt").write_text("b")
        watcher.hears(f"CREATE {dam / 'by-tag/beach/b.txt'}")
        assert not any("a.txt" in line for line in watcher.lines())
    assert not helpers(dam), children
    assert "damfs_live_reenactments_total" not in dam.stats()


def helpers(dam: Daemon) -> list[int]:
    return [pid for pid in descendants(dam.pid) if "reenactor.py" in command_of(pid)]


CHURN = """
import os, sys
from pathlib import Path
from damfs.integration.client import call
from damfs.integration.wire import Tag
library, *ids = sys.argv[1:]
number = 0
while True:
    number += 1
    try:
        id_, remove = int(ids[number % len(ids)]), number // len(ids) % 2 == 1
        call(Path(library), Tag((id_,), ("beach",), remove=remove))
    except Exception:
        pass
"""


@pytest.mark.parametrize("round_", range(3))
def test_killed_while_it_tells(serve: Serve, tmp_path: Path, output: Path, round_: int) -> None:
    """kill -9 amid re-enactments: the helper dies as well, and the next start works on the same mountpoint."""
    dam = serve(announced=["stale mount"]).start()
    for number in range(8):
        (tmp_path / f"{number}.txt").write_text(str(number))
    run("cp", *tmp_path.glob("?.txt"), dam / "inbox")
    (dam / "by-tag/beach").mkdir()
    dam.settled()
    ids = [str(entry.inode() & ID_MASK) for entry in os.scandir(dam / "inbox")]
    with watching(output, dam / "by-tag/beach") as watcher:
        churn = subprocess.Popen([sys.executable, "-c", CHURN, str(dam.library), *ids])
        looker = subprocess.Popen(
            ["sh", "-c", f"while :; do ls -l {dam / 'by-tag/beach'} >/dev/null 2>&1 || exit; done"]
        )
        try:
            until(lambda: len(watcher.lines()) > 20, "it tells")
            helper = helpers(dam)
            assert len(helper) == 1
            dam.kill()
        finally:
            for process in (churn, looker):
                process.kill()
                process.wait(90)
        until(lambda: not re.search("reenactor", command_of(helper[0])), "the helper is gone")
    dam.start()
    assert len(os.listdir(dam / "inbox")) == 8
    with watching(output, dam / "by-tag/beach") as watcher:
        name = min(os.listdir(dam / "inbox"))
        there = exists(dam / "by-tag/beach" / name)
        tag(dam, dam / "inbox" / name, "beach", remove=there)
        watcher.hears(f"{'DELETE' if there else 'CREATE'} {dam / 'by-tag/beach' / name}")


def test_a_helper_that_is_killed_is_replaced(serve: Serve, tmp_path: Path, output: Path) -> None:
    dam = serve().start()
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
        run("cp", tmp_path / name, dam / "inbox")
    (dam / "by-tag/beach").mkdir()
    dam.settled()
    with watching(output, dam / "by-tag/beach") as watcher:
        tag(dam, dam / "inbox/a.txt", "beach")
        watcher.hears(f"CREATE {dam / 'by-tag/beach/a.txt'}")
        os.kill(helpers(dam)[0], signal.SIGKILL)
        tag(dam, dam / "inbox/a.txt", "beach", remove=True)
        terms = (f"t{number}" for number in count())

        def another() -> bool:
            tag(dam, dam / "inbox/a.txt", next(terms))
            return len(helpers(dam)) == 1

        until(another, "another one")
        tag(dam, dam / "inbox/b.txt", "beach")
        watcher.hears(f"CREATE {dam / 'by-tag/beach/b.txt'}")
    assert rows(dam.library, "SELECT count(*) FROM asset") == [(2,)]


def test_unmounted_from_outside_while_it_tells(serve: Serve, tmp_path: Path, output: Path) -> None:
    dam = serve().start()
    (tmp_path / "a.txt").write_text("a")
    run("cp", tmp_path / "a.txt", dam / "inbox")
    dam.settled()
    inode = (dam / "inbox/a.txt").stat().st_ino & ID_MASK
    with watching(output, dam / "untagged") as watcher:
        call(dam.library, Tag((inode,), ("beach",)))
        watcher.hears(f"DELETE {dam / 'untagged/a.txt'}")
        for number in range(30):
            call(dam.library, Tag((inode,), (f"t{number}",)))
        run("umount", "-l", dam.mountpoint)
        until(lambda: not is_mounted(dam.mountpoint), "unmounted")
    dam.check_end()
    assert os.listdir(dam.mountpoint) == []
