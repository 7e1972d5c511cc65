"""A file of checked lines: appended to, cut short, spoilt, written anew; and what lines of a store's notes come to."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from damfs.catalog.standing import AssetNote, FolderNote, VersionNote
from damfs.core import store_notes
from damfs.errors import NoSpace, NotFound, Unavailable
from damfs.model import AssetId, FolderId
from damfs.storage.note_file import NoteFile

NOTE = AssetNote("clip.mov", 0o600, (VersionNote(1, b"\xff" * 32, 3, 4, 5, (b"a/\xff.mov",)),), owner=(1, 2))


@pytest.fixture
def file(tmp_path: Path) -> NoteFile:
    return NoteFile(tmp_path / ".damfs-notes")


def test_lines_come_back_in_order(file: NoteFile) -> None:
    assert file.read() == ([], 0)
    assert (file.first(), file.last()) == (b"", b"")
    file.rewrite([[b"one"], [b"two", b"three"]])
    file.append([b"four"])
    assert (file.first(), file.last()) == (b"one", b"four")
    file.append([])
    assert file.read() == ([b"one", b"two", b"three", b"four"], 0)
    assert file.size() == file.path.stat().st_size
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    file.rewrite([[b"five"]])
    assert file.read() == ([b"five"], 0)
    assert os.listdir(file.path.parent) == [file.path.name]


@pytest.mark.parametrize("length", range(1, 14))
def test_a_line_that_was_cut_short_is_passed_over(file: NoteFile, length: int) -> None:
    file.append([b"first"])
    whole = file.path.read_bytes()
    file.append([b"other"])
    file.path.write_bytes(file.path.read_bytes()[: len(whole) + 1 + length])
    assert file.read() == ([b"first"], 1)
    assert file.last() == b""
    file.append([b"later"])
    assert file.read() == ([b"first", b"later"], 1)
    assert file.last() == b"later"


def test_every_flipped_bit_is_seen(file: NoteFile) -> None:
    file.append([b"one", b"two"])
    sound = file.path.read_bytes()
    for place in range(len(sound)):
        file.path.write_bytes(sound[:place] + bytes([sound[place] ^ 4]) + sound[place + 1 :])
        lines, damaged = file.read()
        assert set(lines) <= {b"one", b"two"}
        assert damaged or lines == [b"one", b"two"], place


def test_what_is_not_written_leaves_the_file_as_it_was(file: NoteFile) -> None:
    file.append([b"one"])

    def pages() -> list[list[bytes]]:
        raise Unavailable("the catalog is gone")

    with pytest.raises(Unavailable):
        file.rewrite(page for page in pages())
    assert file.read() == ([b"one"], 0)
    file.path.with_name(file.path.name + ".new").unlink(missing_ok=True)
    with pytest.raises(NotFound):
        NoteFile(file.path / "below").append([b"x"])


def test_lines_for_which_there_is_no_room_leave_nothing_behind(file: NoteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    file.append([b"one"])
    before, write = file.path.read_bytes(), os.write

    def half(descriptor: int, data: memoryview) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "no space left")
        return write(descriptor, data[: len(data) // 2])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        with pytest.raises(NoSpace):
            file.append([b"two" * 20, b"three"])
    assert file.path.read_bytes() == before
    file.append([b"four"])
    assert file.read() == ([b"one", b"four"], 0)


def test_the_last_word_counts() -> None:
    one, two, folder = AssetId(1), AssetId(2), FolderId(3)
    other = AssetNote("b", 0o644, NOTE.versions)
    notes = store_notes.parsed(
        [
            store_notes.first_line("ab" * 16), store_notes.asset_line(one, other), store_notes.asset_line(two, other),
            store_notes.folder_line(folder, FolderNote(b"a\xff", 0o700, 5, (6, 7))),
            store_notes.asset_line(one, NOTE), store_notes.asset_line(two, None), store_notes.end_line("ab" * 16, 9),
            b"{}", b'{"asset": 5, "says": {"new": "words"}}', b"no JSON",
        ]
    )  # fmt: skip
    assert notes.library == "ab" * 16
    assert notes.begun
    assert notes.assets == {one: NOTE}
    assert notes.folders == {folder: FolderNote(b"a\xff", 0o700, 5, (6, 7))}
    assert notes.damaged == 2
