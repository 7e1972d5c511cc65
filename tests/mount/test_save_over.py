"""Programs save over a file that is an asset already: it stays that asset, and the old bytes are kept as a version."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.mount.daemon_process import Daemon, rows, until
from tests.mount.save_patterns import AWAY, MTIME_NS, OVER, Pattern, firefox, gio_save, glib
from tests.mount.test_save_patterns import PLACES, content_of, name, work

__all__ = ["name"]
HOLDING = (glib, gio_save)
"""They have the old file open for writing while the temporary one lies there."""
OLD = b"what it said before\n" * 300


def described(dam: Daemon, path: Path) -> tuple[int, object, list[tuple[object, ...]]]:
    """Inode, state and terms of an asset."""
    inode = path.stat().st_ino
    ((id_, state),) = rows(dam.library, "SELECT id, state FROM asset WHERE name = ? AND state = 'present'", path.name)
    assert inode & ((1 << 56) - 1) == id_
    return inode, state, rows(dam.library, "SELECT term FROM tagging WHERE asset = ? ORDER BY term", id_)


def prepared(dam: Daemon, place: str, name: str) -> Path:
    """An asset in the place that carries a term of another place, too."""
    (dam / "by-tag/kept").mkdir(exist_ok=True)
    path = PLACES[place](dam) / name
    path.write_bytes(OLD)
    dam.settled()
    (dam / "by-tag/kept" / name).hardlink_to(path)
    dam.idle()
    return path


def old_versions(dam: Daemon, name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((dam / "versions" / name).iterdir())]


def versions_of(dam: Daemon, name: str) -> object:
    found = rows(dam.library, "SELECT count(*) FROM version v JOIN asset a ON a.id = v.asset WHERE a.name = ?", name)
    return found[0][0]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("pattern", OVER, ids=lambda pattern: pattern.__name__)
def test_an_asset_that_is_saved_over_stays_itself(shared: Daemon, name: str, place: str, pattern: Pattern) -> None:
    path = prepared(shared, place, name)
    before, known = described(shared, path), rows(shared.library, "SELECT count(*) FROM asset")
    worked = work(shared)
    held = int(pattern in HOLDING)
    for _ in pattern(path.parent, name, content_of(name)):
        until(lambda: shared.status().unsettled <= held, "sealed, but for the file that is held open")
        assert work(shared) == worked, "a temporary file is not worked on"
        assert path.read_bytes() == OLD
    shared.idle()
    assert path.read_bytes() == content_of(name)
    assert described(shared, path) == before
    assert (shared / "by-tag/kept" / name).read_bytes() == content_of(name)
    assert rows(shared.library, "SELECT count(*) FROM asset") == known, "no other asset came of it"
    assert old_versions(shared, name)[0] == OLD
    assert work(shared) > worked, "the new bytes are worked on"


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("pattern", AWAY, ids=lambda pattern: pattern.__name__)
def test_an_asset_that_is_renamed_away_and_made_anew_keeps_its_terms(
    shared: Daemon, name: str, place: str, pattern: Pattern
) -> None:
    path = prepared(shared, place, name)
    os.setxattr(path, "user.baloo.rating", b"8")
    before, known = described(shared, path), rows(shared.library, "SELECT count(*) FROM asset")
    for _ in pattern(path.parent, name, content_of(name)):
        shared.settled()
    shared.idle()
    assert path.read_bytes() == content_of(name)
    assert described(shared, path) == before, "it is the same asset again"
    assert os.getxattr(path, "user.baloo.rating") == b"8"
    assert old_versions(shared, name) == [OLD, content_of(name)]
    assert rows(shared.library, "SELECT count(*) FROM asset") == known, "no other asset came of it"
    assert [entry for entry in os.listdir(path.parent) if name in entry] == [name]
    stem = name.removesuffix(".txt")
    on_disk = {each.name for each in (shared.library / "originals").rglob(f"*{stem}[.~]*") if each.is_file()}
    assert on_disk == {name, f"{stem}~v1.txt"}


@pytest.mark.parametrize("place", PLACES)
def test_an_asset_whose_backup_stays_gives_its_terms_to_the_new_one(shared: Daemon, name: str, place: str) -> None:
    path = prepared(shared, place, name)
    os.setxattr(path, "user.xdg.comment", b"the best one")
    old, _, terms = described(shared, path)
    backup = path.rename(path.with_name(f"{name}.bak"))
    path.write_bytes(content_of(name))
    assert os.getxattr(path, "user.xdg.comment") == b"the best one", "from its first byte on"
    shared.idle()
    assert backup.stat().st_ino == old
    inode, _, inherited = described(shared, path)
    assert inode != old
    assert inherited == terms == described(shared, backup)[2]
    assert (path.read_bytes(), backup.read_bytes()) == (content_of(name), OLD)


@pytest.mark.parametrize("place", PLACES)
def test_a_backup_is_removed_while_the_new_file_is_still_written(shared: Daemon, name: str, place: str) -> None:
    """As programs do that keep a document open; and others go on reading what they have opened."""
    path = prepared(shared, place, name)
    before, content = described(shared, path), content_of(name)
    with path.open("rb") as old:
        backup = path.rename(path.with_name(f"{name}~"))
        with path.open("xb", buffering=0) as new, path.open("rb") as reader:
            new.write(content[:1000])
            assert old.read(10) == OLD[:10]
            backup.unlink()
            new.write(content[1000:])
            assert os.fstat(new.fileno()).st_size == os.fstat(reader.fileno()).st_size == len(content)
            assert reader.read() == content
            assert path.read_bytes() == content
            os.ftruncate(new.fileno(), len(content) - 1)
            assert path.read_bytes() == content[:-1]
            os.pwrite(new.fileno(), content[-1:], len(content) - 1)
            os.utime(new.fileno(), ns=(MTIME_NS, MTIME_NS))
        assert path.stat().st_mtime_ns == MTIME_NS
        assert old.read() == OLD[10:]
    shared.idle()
    assert path.read_bytes() == content
    assert described(shared, path) == before
    assert old_versions(shared, name) == [OLD, content]


@pytest.mark.parametrize("place", PLACES)
def test_who_reads_the_new_file_reads_on_when_it_takes_the_old_ones_place(
    shared: Daemon, name: str, place: str
) -> None:
    path = prepared(shared, place, name)
    backup = path.rename(path.with_name(f"{name}~"))
    path.write_bytes(content_of(name))
    shared.settled()
    with path.open("rb") as reader:
        backup.unlink()
        shared.settled()
        assert reader.read() == path.read_bytes() == content_of(name)
    assert path.name in os.listdir(path.parent)
    assert backup.name not in os.listdir(path.parent)


@pytest.mark.parametrize("place", PLACES)
def test_a_backup_that_somebody_writes_is_removed_as_any_file(shared: Daemon, name: str, place: str) -> None:
    path = prepared(shared, place, name)
    backup = path.rename(path.with_name(f"{name}~"))
    path.write_bytes(content_of(name))
    shared.settled()
    with backup.open("r+b", buffering=0) as writer:
        writer.write(b"other bytes")
        backup.unlink()
    shared.idle()
    assert path.read_bytes() == content_of(name)
    assert versions_of(shared, name) == 1
    assert not backup.exists()


@pytest.mark.parametrize("place", PLACES)
def test_a_file_that_is_renamed_for_good_gives_nothing_to_the_next_of_its_name(
    shared: Daemon, name: str, place: str
) -> None:
    path = prepared(shared, place, name)
    other = path.rename(path.with_name(f"other {name}"))
    path.write_bytes(content_of(name))
    shared.idle()
    assert (shared / "by-tag/kept" / other.name).read_bytes() == OLD
    assert not (shared / "by-tag/kept" / name).exists()
    other.unlink()
    assert (path.read_bytes(), versions_of(shared, name)) == (content_of(name), 1)


@pytest.mark.parametrize("place", PLACES)
def test_a_download_over_the_empty_file_that_held_its_name(shared: Daemon, name: str, place: str) -> None:
    """As Firefox begins: the name is an asset of no bytes before the download is."""
    directory = PLACES[place](shared)
    known = {id_ for (id_,) in rows(shared.library, "SELECT id FROM asset")}
    for temporary in firefox(directory, name, content_of(name)):
        shared.settled()
        assert {name, temporary.name} <= set(os.listdir(directory))
    shared.idle()
    assert (directory / name).read_bytes() == content_of(name)
    new = [row for row in rows(shared.library, "SELECT id, name, state FROM asset") if row[0] not in known]
    assert [row[1:] for row in new] == [(name, "present")]


@pytest.mark.parametrize("place", PLACES)
def test_the_same_bytes_again_make_no_version(shared: Daemon, name: str, place: str) -> None:
    path = prepared(shared, place, name)
    before = described(shared, path)
    path.write_bytes(OLD)
    shared.idle()
    assert described(shared, path) == before
    assert path.read_bytes() == OLD
    assert rows(
        shared.library, "SELECT count(*) FROM version v JOIN asset a ON a.id = v.asset WHERE a.name = ?", name
    ) == [(1,)]


@pytest.mark.parametrize("place", PLACES)
def test_opened_for_writing_and_closed_it_is_as_it_was(shared: Daemon, name: str, place: str) -> None:
    """GLib opens the target this way to see whether it may."""
    path = prepared(shared, place, name)
    before = path.stat()
    path.open("r+b").close()
    shared.idle()
    assert path.read_bytes() == OLD
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert rows(
        shared.library, "SELECT count(*) FROM version v JOIN asset a ON a.id = v.asset WHERE a.name = ?", name
    ) == [(1,)]
