"""What the kernel remembers of the mount: changes made elsewhere are seen at once, what stayed costs nothing."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from damfs.integration.client import call
from damfs.integration.wire import Tag
from tests.mount.daemon_process import STATEMENTS, Daemon, damfs, lists, operations, run, until

SEEN_LIMIT_S = 90.0
ID_MASK = (1 << 56) - 1
_numbers = count(1)


@pytest.fixture
def received(shared: Daemon, tmp_path: Path) -> Path:
    """A file of its own in the inbox, received."""
    source = tmp_path / f"file-{next(_numbers)}.dat"
    source.write_text(f"{source.name}\n" * 100)
    run("cp", "-p", source, shared / "inbox")
    shared.settled()
    return shared / "inbox" / source.name


@pytest.fixture
def term(shared: Daemon) -> Path:
    directory = shared / "by-tag" / f"term-{next(_numbers)}"
    directory.mkdir()
    return directory


def tag_from_outside(dam: Daemon, path: Path, term: str, *, remove: bool = False) -> None:
    """As `damfs tag` does, without the start of another Python."""
    call(dam.library, Tag((path.stat().st_ino & ID_MASK,), (term,), remove=remove))


def seconds_until(condition: Callable[[], bool], what: str) -> float:
    return until(condition, what, SEEN_LIMIT_S)


def exists(path: Path) -> bool:
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    return True


def test_damfs_tag_is_seen_in_a_place_that_the_kernel_holds(shared: Daemon, received: Path, term: Path) -> None:
    there = term / received.name
    assert os.listdir(term) == []
    assert not exists(there)
    damfs("tag", received, term.name)
    seconds_until(lambda: exists(there), "stat finds the tagged file")
    lists(term, received.name)  # the kernel may have asked for the name before it was told to forget the listing
    assert there.stat().st_ino == received.stat().st_ino
    damfs("untag", there, term.name)
    seconds_until(lambda: not exists(there), "stat does not find the untagged file")
    lists(term)


def test_each_of_many_changes_is_seen(shared: Daemon, received: Path, term: Path) -> None:
    """By a stat of a name that the kernel may remember for an hour. How soon is a figure of tests/bench (notices)."""
    there = term / received.name
    os.listdir(term)
    for _ in range(50):
        tag_from_outside(shared, received, term.name)
        seconds_until(lambda: exists(there), "tagged")
        tag_from_outside(shared, received, term.name, remove=True)
        seconds_until(lambda: not exists(there), "untagged")


def test_many_at_once_drop_the_place(shared: Daemon, tmp_path: Path, term: Path) -> None:
    """Over 64 names in one change: the directory is forgotten as a whole, and still is itself."""
    for number in range(80):
        (tmp_path / f"{term.name}-{number}.dat").write_text(f"{term.name} {number}")
    run("cp", *tmp_path.glob("*.dat"), term)
    shared.settled()
    listed = {entry.name: entry.inode() for entry in os.scandir(term)}
    assert len(listed) == 80
    for name in listed:
        (term / name).stat()
    before = term.stat()
    folder = os.open(term, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert len(os.listdir(folder)) == 80
        call(shared.library, Tag(tuple(inode & ID_MASK for inode in listed.values()), (term.name,), remove=True))
        seconds_until(lambda: not any(exists(term / name) for name in listed), "all names are gone")
        seconds_until(lambda: os.listdir(folder) == [], "nor are they listed")
        assert os.fstat(folder).st_ino == term.stat().st_ino == before.st_ino
        seconds_until(lambda: os.fstat(folder).st_mtime_ns > before.st_mtime_ns, "mtime moved")
    finally:
        os.close(folder)


def test_inode_and_size_hold_across_the_sealing(shared: Daemon, tmp_path: Path, term: Path) -> None:
    source = tmp_path / f"{term.name}.bin"
    source.write_bytes(os.urandom(3_000_000))
    run("cp", source, term)
    target = term / source.name
    seen = {(target.stat().st_ino, target.stat().st_size)}
    while shared.status().unsettled:
        seen.add((target.stat().st_ino, target.stat().st_size))
    seen.add((target.stat().st_ino, target.stat().st_size))
    assert {size for _, size in seen} == {3_000_000}
    assert len(seen) == 1
    assert target.read_bytes() == source.read_bytes()


def test_a_file_that_became_a_known_asset_is_found_at_once(shared: Daemon, received: Path, term: Path) -> None:
    """The provisional inode is gone; nobody who asks by name ever sees an error."""
    there = term / received.name
    run("cp", received, there)
    inodes = set()
    while shared.status().unsettled:
        inodes.add(there.stat().st_ino)
        with there.open("rb") as file:
            file.read()
    seconds_until(lambda: there.stat().st_ino == received.stat().st_ino, "it is the known asset")
    assert len(inodes | {received.stat().st_ino}) <= 2


def test_mtime_of_a_directory_moves_only_when_its_content_did(shared: Daemon, received: Path, term: Path) -> None:
    places = {place: shared / place for place in ("inbox", "untagged", "by-type/other", "by-type/video", "by-date")}
    shared.idle()
    run("stat", "--cached=never", *places.values())  # of the last change there the kernel may not have been told yet
    before = {place: path.stat().st_mtime_ns for place, path in places.items()}
    tagged_before = term.stat().st_mtime_ns
    tag_from_outside(shared, received, term.name)
    seconds_until(lambda: term.stat().st_mtime_ns > tagged_before, "the term's mtime moved")
    seconds_until(lambda: places["untagged"].stat().st_mtime_ns > before["untagged"], "that of untagged/ too")
    after = {place: path.stat().st_mtime_ns for place, path in places.items()}
    assert {place for place in places if after[place] != before[place]} == {"untagged"}
    listing = {entry.name: entry.stat().st_mtime_ns for entry in os.scandir(shared / "by-tag")}
    assert listing[term.name] == term.stat().st_mtime_ns


def test_a_second_stat_costs_nothing(shared: Daemon, received: Path) -> None:
    """But for what jobs and notices of before have the kernel ask anew."""
    received.stat()
    shared.stats()
    before = shared.stats()
    for _ in range(100):
        received.stat()
    (shared / "by-type/other" / received.name).stat()
    used = operations(before, shared.stats())
    assert used.get("getattr", 0) <= 10
    assert used.get("lookup", 0) <= 10, "one for the other place; by-type/other may be new to the kernel"


def test_rereading_a_file_does_not_reach_the_daemon(shared: Daemon, received: Path) -> None:
    received.read_bytes()
    before = shared.stats()
    for _ in range(20):
        received.read_bytes()
    used = operations(before, shared.stats())
    assert used.get("read", 0) <= 10, "of the texts of .damfs/stats"


def test_listing_a_thousand_files(shared: Daemon, tmp_path: Path, term: Path) -> None:
    folder = tmp_path / "thousand"
    folder.mkdir()
    for number in range(1000):
        (folder / f"{term.name}-{number:04}.dat").write_bytes(b"%d %d" % (number // 4, os.getpid()))
    shared.add(folder)
    inodes = [entry.inode() for entry in os.scandir(shared / "originals/thousand")]
    call(shared.library, Tag(tuple(inode & ID_MASK for inode in inodes), (term.name,)))
    shared.idle()
    before = shared.stats_at_rest()
    listing = run("ls", "-l", term).stdout.splitlines()
    after = shared.stats()
    assert len(listing) == 1001
    used = operations(before, after)
    assert used.get("lookup", 0) <= 2, "attributes come with the names"
    assert used.get("getattr", 0) <= 3
    assert used["readdir"] <= 60
    assert used["opendir"] == 1
    statements = after["damfs_catalog_statements_total"] - before["damfs_catalog_statements_total"]
    assert statements <= 100, "of the loop, and of what the daemon does every half minute: none for each file"
    again = operations(after, shared.stats())
    assert again.get("lookup", 0) <= 2
    (term / f"{term.name}-0500.dat").stat()
    assert operations(after, shared.stats()).get("lookup", 0) <= 3, "listed names need no lookup"


def test_a_lookup_is_a_few_indexed_statements(shared: Daemon, term: Path, tmp_path: Path) -> None:
    """Whatever the place holds: point reads only."""
    for number in range(30):
        (tmp_path / f"{term.name}-{number}.dat").write_text(f"{term.name} {number}")
    run("cp", *tmp_path.glob("*.dat"), term)
    shared.settled()
    term.stat()
    for name in ("no-such-name-{}.dat", "qualified-{}~z.dat"):
        used = [cost_of_a_lookup(shared, term / name.format(each)) for each in range(8)]
        assert min(looked for looked, _ in used) <= 3, f"{used}: the name, and of its directories the kernel knows most"
        assert min(asked for _, asked in used) <= 12, f"{used} statements for one name"


def cost_of_a_lookup(dam: Daemon, absent: Path) -> tuple[int, int]:
    """Calls and statements. Now and then the daemon runs some by itself meanwhile, and tells the kernel of news."""
    before = dam.stats()
    with pytest.raises(FileNotFoundError):
        absent.stat()
    after = dam.stats()
    return operations(before, after)["lookup"], after[STATEMENTS] - before[STATEMENTS]


def test_an_absent_name_that_comes_is_found(shared: Daemon, tmp_path: Path, term: Path) -> None:
    """ENOENT of an ordinary name is never remembered."""
    target = term / "later.dat"
    for _ in range(3):
        assert not exists(target)
    (tmp_path / "later.dat").write_text(term.name)
    run("cp", tmp_path / "later.dat", term)
    assert exists(target)


def test_similar_to_is_remembered_for_a_moment_only(shared: Daemon) -> None:
    """Neighbours change by news of other assets, which tell of no place: names there may be at most a second old."""
    from tests.sample_media import png

    source = shared.library.parent
    run("cp", png(source / "a.png", seed=1, size=(96, 64)), png(source / "b.png", scene="city", size=(96, 64)),
        shared / "inbox")  # fmt: skip
    shared.idle()
    place = shared / "similar-to/a.png"
    lists(place, "01 b.png")
    assert (place / "01 b.png").stat().st_ino == (shared / "inbox/b.png").stat().st_ino
    run("cp", png(source / "a2.png", seed=2, size=(96, 64)), shared / "inbox")
    shared.idle()
    near = (shared / "inbox/a2.png").stat().st_ino
    until(lambda: "01 a2.png" in os.listdir(place), "the near duplicate is listed first")
    assert (place / "01 a2.png").stat().st_ino == near
    until(lambda: not exists(place / "01 b.png"), "the old rank is forgotten")


def test_a_removed_place_stays_gone_for_those_inside(shared: Daemon, term: Path) -> None:
    folder = os.open(term, os.O_RDONLY | os.O_DIRECTORY)
    try:
        term.rmdir()
        assert not exists(term)
        with pytest.raises(OSError, match="Errno") as caught:
            os.listdir(f"/proc/self/fd/{folder}")
        assert caught.value.errno in (errno.ENOENT, errno.ESTALE)
        term.mkdir()
        assert os.listdir(term) == []
    finally:
        os.close(folder)


def test_a_term_made_anew_while_the_old_one_is_held_gets_its_news(shared: Daemon, term: Path, received: Path) -> None:
    folder = os.open(term, os.O_RDONLY | os.O_DIRECTORY)
    try:
        term.rmdir()
        term.mkdir()
        assert os.listdir(term) == []
        tag_from_outside(shared, received, term.name)
        assert exists(term / received.name)
        tag_from_outside(shared, received, term.name, remove=True)
        seconds_until(lambda: not exists(term / received.name), "the untagged file is gone")
    finally:
        os.close(folder)
