"""The staging area: files that are being received."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from blake3 import blake3

from damfs.errors import Conflict, DamfsError, NotFound, Unavailable
from damfs.model import AssetId, Digest, Key
from damfs.storage.blob_store import FileFact, Hashed
from damfs.storage.staging import UNFINISHED, Staging, staging_directory

SEVEN = AssetId(7)


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path)


def receive(staging: Staging, asset: AssetId, data: bytes) -> None:
    descriptor = staging.create(asset)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)


def fact_of(path: Path) -> FileFact:
    status = path.stat()
    return FileFact(Key(os.fsencode(path.name)), status.st_size, status.st_mtime_ns, status.st_ino)


def test_what_is_written_can_be_read_back_and_sealed(staging: Staging) -> None:
    descriptor = staging.create(SEVEN)
    os.pwrite(descriptor, b"second half", 6)
    os.pwrite(descriptor, b"first ", 0)
    assert os.pread(descriptor, 100, 0) == b"first second half"
    staging.sync(descriptor)
    os.close(descriptor)
    assert staging.seal(SEVEN) == Hashed(Digest(blake3(b"first second half").digest()), 17, b"first second half", None)
    assert staging.path(SEVEN).read_bytes() == b"first second half"


def test_a_received_file_is_private_and_made_once(staging: Staging) -> None:
    receive(staging, SEVEN, b"x")
    assert staging.path(SEVEN).stat().st_mode & 0o777 == 0o600
    with pytest.raises(Conflict):
        staging.create(SEVEN)
    assert staging.path(SEVEN).read_bytes() == b"x"


def test_open_makes_nothing(staging: Staging) -> None:
    with pytest.raises(NotFound, match=r"'.*/7': no such file"):
        staging.open(SEVEN, os.O_RDWR | os.O_CREAT)
    with pytest.raises(NotFound):
        staging.seal(SEVEN)
    receive(staging, SEVEN, b"x")
    descriptor = staging.open(SEVEN, os.O_RDWR)
    os.write(descriptor, b"y")
    os.close(descriptor)
    assert staging.path(SEVEN).read_bytes() == b"y"


def test_start_up_finds_what_was_being_received(staging: Staging, tmp_path: Path) -> None:
    assert staging.entries() == {}
    receive(staging, SEVEN, b"seven")
    receive(staging, AssetId(123456789012), b"")
    (tmp_path / "notes.txt").write_text("not ours")
    (tmp_path / "٣").write_text("a digit, but no id")
    assert staging.entries() == {SEVEN: 5, AssetId(123456789012): 0}
    staging.discard(SEVEN)
    staging.discard(SEVEN)
    assert staging.entries() == {AssetId(123456789012): 0}
    assert (tmp_path / "notes.txt").exists()


def test_sealing_what_is_still_written_to_is_refused(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    receive(staging, SEVEN, b"x" * 100)
    written = iter([b"more"])

    def preadv(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        for data in written:
            with staging.path(SEVEN).open("ab") as file:
                file.write(data)
        buffers[0][:100] = os.pread(descriptor, 100, offset).ljust(100)
        return len(os.pread(descriptor, 100, offset))

    monkeypatch.setattr(os, "preadv", preadv)
    with pytest.raises(Unavailable, match="was written to while it was sealed"):
        staging.seal(SEVEN)
    assert staging.seal(SEVEN).size == 104


def test_staging_is_inside_the_state_on_one_device(tmp_path: Path) -> None:
    state, originals = tmp_path / "state", tmp_path / "originals"
    state.mkdir()
    originals.mkdir()
    directory = staging_directory(state, originals)
    assert directory == state / "staging"
    assert directory.stat().st_mode & 0o777 == 0o700
    assert staging_directory(state, originals) == directory


def test_staging_is_inside_the_originals_on_two_devices(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="damfs-test-") as originals:
        assert Path(originals).stat().st_dev != tmp_path.stat().st_dev
        directory = staging_directory(tmp_path, Path(originals))
        assert directory == Path(originals) / ".damfs-staging"
        assert directory.stat().st_mode & 0o777 == 0o700


def test_staging_needs_its_folders(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="originals"):
        staging_directory(tmp_path, tmp_path / "originals")


def test_a_copy_of_an_original_is_staged_whole_and_apart(staging: Staging, tmp_path: Path) -> None:
    source = tmp_path / "original"
    source.write_bytes(os.urandom(3_000_001))
    with source.open("rb") as file:
        descriptor = staging.stage_copy(SEVEN, file.fileno())
    os.pwrite(descriptor, b"changed", 0)
    os.close(descriptor)
    assert staging.path(SEVEN).read_bytes() == b"changed" + source.read_bytes()[7:]
    assert not staging.is_shared(SEVEN)
    assert staging.entries() == {SEVEN: 3_000_001}
    os.close(staging.stage_copy(SEVEN, None))
    assert staging.entries() == {SEVEN: 0}


def test_where_the_disk_cannot_copy_by_itself_the_bytes_go_through_memory(
    staging: Staging, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "copy_file_range", refused)
    source = tmp_path / "original"
    source.write_bytes(os.urandom(20_000_001))
    with source.open("rb") as file:
        os.close(staging.stage_copy(SEVEN, file.fileno()))
    assert staging.path(SEVEN).read_bytes() == source.read_bytes()


def test_a_copy_that_was_cut_short_does_not_count(staging: Staging, tmp_path: Path) -> None:
    source = os.open(tmp_path, os.O_RDONLY)  # a folder cannot be copied
    with pytest.raises(DamfsError):
        staging.stage_copy(SEVEN, source)
    os.close(source)
    assert staging.entries() == {}
    staging.path(SEVEN).with_suffix(UNFINISHED).write_bytes(b"half")
    staging.tidy([])
    assert list(staging.path(SEVEN).parent.iterdir()) == []


def test_another_file_than_the_one_that_was_read_is_not_staged(staging: Staging, tmp_path: Path) -> None:
    original, other = tmp_path / "original", tmp_path / "other"
    original.write_bytes(b"known")
    read = fact_of(original)
    other.write_bytes(b"other")
    receive(staging, SEVEN, b"known")
    before = staging.path(SEVEN).stat().st_ino
    other.replace(original)
    assert not staging.stage_link(SEVEN, original, read)
    original.unlink()
    assert not staging.stage_link(SEVEN, original, read)
    assert staging.path(SEVEN).stat().st_ino == before
    assert sorted(tmp_path.iterdir()) == [staging.path(SEVEN)]


def test_known_bytes_are_staged_as_another_name_and_handed_over(staging: Staging, tmp_path: Path) -> None:
    original = tmp_path / "original"
    original.write_bytes(b"known")
    assert staging.stage_link(SEVEN, original, fact_of(original))
    assert staging.stage_link(SEVEN, original, fact_of(original))
    assert staging.is_shared(SEVEN)
    staging.hand_over(SEVEN, AssetId(9))
    assert staging.entries() == {AssetId(9): 5}
    with pytest.raises(NotFound):
        staging.hand_over(SEVEN, AssetId(9))
