"""What a person or a program does to files in the mount, with the tools they use: cp, mv, rm, ln, mkdir, rsync."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests.mount.daemon_process import Daemon, dump, rows, run, until

MINUTE_NS = 60_000_000_000
_numbers = count(1)


@pytest.fixture
def word() -> str:
    """A name that no other test of the module uses."""
    return f"w{next(_numbers)}"


@pytest.fixture
def note(tmp_path: Path, word: str) -> Path:
    """A file with bytes of its own."""
    path = tmp_path / f"{word}.txt"
    path.write_text(f"note {word}\n" * 50)
    return path


@pytest.fixture
def tag(shared: Daemon, word: str) -> Callable[[str], Path]:
    """Makes a term of its own; the directory of it."""

    def make(name: str) -> Path:
        directory = shared / "by-tag" / f"{name}-{word}"
        directory.mkdir()
        return directory

    return make


@contextmanager
def refused(number: int) -> Iterator[None]:
    with pytest.raises(OSError, match=rf"^\[Errno {number}\] ") as caught:
        yield
    assert caught.value.errno == number


def terms_of(dam: Daemon, name: str) -> set[str]:
    found = rows(dam.library, "SELECT t.name FROM tagging g JOIN term t ON t.id = g.term JOIN asset a ON a.id = g.asset"
                 " WHERE a.name = ?", name)  # fmt: skip
    return {str(term).rpartition("-")[0] for (term,) in found}


def state_of(dam: Daemon, name: str) -> list[str]:
    return [str(state) for (state,) in rows(dam.library, "SELECT state FROM asset WHERE name = ?", name)]


def original_files(dam: Daemon, name: str) -> list[Path]:
    return sorted((dam.library / "originals").rglob(name))


# --- receiving ------------------------------------------------------------------------------------------------


def test_cp_into_the_inbox(shared: Daemon, note: Path) -> None:
    run("cp", note, shared / "inbox")
    there = shared / "inbox" / note.name
    assert there.read_bytes() == note.read_bytes()
    inode = there.stat().st_ino
    shared.settled()
    assert there.stat().st_ino == inode
    assert (shared / "by-type/other" / note.name).stat().st_ino == inode
    (original,) = original_files(shared, note.name)
    assert original.read_bytes() == note.read_bytes()
    assert re.fullmatch(r"\d{4}/\d\d/\d\d", str(original.parent.relative_to(shared.library / "originals")))


def test_cp_p_keeps_mtime_and_mode(shared: Daemon, note: Path) -> None:
    os.utime(note, ns=(1_500_000_000_123_456_789, 1_500_000_000_123_456_789))
    note.chmod(0o640)
    run("cp", "-p", note, shared / "inbox")
    shared.settled()
    for there in (shared / "inbox" / note.name, shared / "by-date/2017/07/14" / note.name):
        assert there.stat().st_mtime_ns == 1_500_000_000_123_456_789
        assert there.stat().st_mode & 0o777 == 0o640
    assert original_files(shared, note.name)[0].stat().st_mtime_ns == 1_500_000_000_123_456_789


def test_mtime_of_a_file_is_when_it_was_last_written(shared: Daemon, word: str) -> None:
    path = shared / "inbox" / f"{word}.log"
    with path.open("wb", buffering=0) as file:
        born = path.stat().st_mtime_ns
        file.write(b"first")
        written = path.stat().st_mtime_ns
        assert born < written
        os.utime(file.fileno(), ns=(5_000_000_000, 5_000_000_000))
        assert path.stat().st_mtime_ns == 5_000_000_000
        file.write(b"second")
        assert path.stat().st_mtime_ns >= written
    shared.settled()
    assert path.stat().st_mtime_ns >= written


def test_cp_into_a_term_ingests_and_tags(shared: Daemon, note: Path, tag: Callable[[str], Path]) -> None:
    beach = tag("beach")
    run("cp", note, beach)
    shared.settled()
    assert (beach / note.name).read_bytes() == note.read_bytes()
    assert terms_of(shared, note.name) == {"beach"}
    assert not (shared / "inbox" / note.name).exists(), "what got a term is triaged"


def test_cp_of_the_same_bytes_and_name_is_the_same_asset(
    shared: Daemon, note: Path, tag: Callable[[str], Path]
) -> None:
    run("cp", note, shared / "inbox")
    inode = (shared / "inbox" / note.name).stat().st_ino
    shared.settled()
    beach = tag("beach")
    run("cp", shared / "inbox" / note.name, beach)
    shared.settled()
    assert (beach / note.name).stat().st_ino == inode
    assert (shared / "inbox" / note.name).stat().st_ino == inode
    assert os.listdir(beach) == [note.name]
    assert len(original_files(shared, "*" + note.suffix)) == len(rows(
        shared.library, "SELECT 1 FROM copy c JOIN store s ON s.id = c.store WHERE CAST(c.name AS TEXT) LIKE '%.txt'"
    ))  # fmt: skip
    assert len(original_files(shared, note.name)) == 1
    assert terms_of(shared, note.name) == {"beach"}


def test_the_same_bytes_under_another_name_share_the_blob(shared: Daemon, note: Path, word: str) -> None:
    run("cp", note, shared / "inbox")
    shared.settled()
    run("cp", note, shared / "inbox" / f"other-{word}.txt")
    shared.settled()
    one, two = shared / "inbox" / note.name, shared / "inbox" / f"other-{word}.txt"
    assert one.stat().st_ino != two.stat().st_ino
    assert one.read_bytes() == two.read_bytes()
    first, second = original_files(shared, note.name)[0], original_files(shared, f"other-{word}.txt")[0]
    assert first.stat().st_ino == second.stat().st_ino, "a second name, not a second copy"


def test_a_file_can_be_read_while_it_is_written(shared: Daemon, word: str) -> None:
    path = shared / "inbox" / f"{word}.bin"
    with path.open("wb", buffering=0) as file:
        assert path.stat().st_size == 0
        file.write(b"a" * 100_000)
        assert path.stat().st_size == 100_000
        assert path.name in os.listdir(shared / "inbox")
        with path.open("rb") as reader:
            assert reader.read() == b"a" * 100_000
            file.write(b"b" * 10)
            assert run("tail", "-c", "10", path).stdout == "b" * 10
            sizes = {line.split()[4] for line in run("ls", "-l", path).stdout.splitlines()}
            assert sizes == {"100010"}
    shared.settled()
    assert path.stat().st_size == 100_010
    assert path.read_bytes()[-11:] == b"a" + b"b" * 10


def test_a_reader_outlives_the_last_close(shared: Daemon, word: str) -> None:
    path = shared / "inbox" / f"{word}.bin"
    with path.open("wb") as file:
        file.write(b"x" * 5000)
        file.flush()
        reader = path.open("rb")
    with reader:
        shared.settled()
        assert state_of(shared, path.name) == ["present"], "a reader does not keep the file from being received"
        assert reader.read() == b"x" * 5000
        assert os.fstat(reader.fileno()).st_size == 5000


def test_holes_random_writes_and_truncation_while_receiving(shared: Daemon, word: str) -> None:
    path = shared / "inbox" / f"{word}.bin"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        os.pwrite(fd, b"end", 1_000_000)
        os.pwrite(fd, b"start", 0)
        os.fsync(fd)
        assert os.fstat(fd).st_size == 1_000_003
        assert os.pread(fd, 5, 0) == b"start"
        os.ftruncate(fd, 10)
        assert os.fstat(fd).st_size == 10
        assert os.pread(fd, 100, 0) == b"start" + bytes(5)
        os.truncate(path, 4)
        assert path.stat().st_size == 4
    finally:
        os.close(fd)
    shared.settled()
    assert path.read_bytes() == b"star"


def test_append_to_a_file_that_is_being_received(shared: Daemon, word: str) -> None:
    path = shared / "inbox" / f"{word}.log"
    with path.open("wb", buffering=0) as first, path.open("ab", buffering=0) as second:
        first.write(b"one ")
        second.write(b"two ")
        second.write(b"three")
    shared.settled()
    assert path.read_bytes() == b"one two three"


def test_a_mapped_write_arrives(shared: Daemon, word: str) -> None:
    path = shared / "inbox" / f"{word}.bin"
    script = (
        "import mmap, os, sys\n"
        "fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_EXCL)\n"
        "os.ftruncate(fd, 8192)\n"
        "with mmap.mmap(fd, 8192) as pages:\n"
        "    pages[4096:4101] = b'paged'\n"
        "    pages.flush()\n"
        "os.close(fd)\n"
    )
    run("python3", "-c", script, path)
    shared.settled()
    assert path.read_bytes() == bytes(4096) + b"paged" + bytes(4091)


def test_create_excludes(shared: Daemon, note: Path) -> None:
    run("cp", note, shared / "inbox")
    with refused(errno.EEXIST):
        os.open(shared / "inbox" / note.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def test_two_programs_create_one_name(shared: Daemon, word: str) -> None:
    path = shared / "inbox" / f"{word}.bin"

    def create(_: int) -> int:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 1


def test_an_original_that_is_opened_to_write_and_not_written_is_not_changed(shared: Daemon, note: Path) -> None:
    """What is written over one is another version: see test_versions."""
    run("cp", note, shared / "inbox")
    shared.settled()
    path = shared / "inbox" / note.name
    (original,) = original_files(shared, note.name)
    before = original.stat()
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND):
        os.close(os.open(path, flags))
    shared.settled()
    assert path.read_bytes() == note.read_bytes()
    after = original.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_ctime_ns,
    )


def test_unlinked_while_open_it_never_was(shared: Daemon, word: str) -> None:
    path = shared / "inbox" / f"{word}.tmp"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        os.write(fd, b"scratch")
        path.unlink()
        assert not path.exists()
        assert os.fstat(fd).st_size == 7
        assert os.pread(fd, 7, 0) == b"scratch"
        os.ftruncate(fd, 3)
        assert os.fstat(fd).st_size == 3
    finally:
        os.close(fd)
    shared.settled()
    assert state_of(shared, path.name) == []
    until(lambda: not any((shared.library / "state/staging").iterdir()), "the staged bytes are discarded")


def test_a_temporary_file_that_is_removed_gives_its_space_back(shared: Daemon, word: str) -> None:
    """A download that was given up: closed, never renamed, then removed; also while somebody reads it."""
    path, before = shared / "inbox" / f"{word}.mov.part", os.listdir(shared.library / "state/staging")
    for _ in range(2):
        path.write_bytes(b"x" * 100_000)
        shared.settled()
        with path.open("rb") as reader:
            path.unlink()
            assert os.listdir(shared.library / "state/staging") == before
            assert reader.read() == b"x" * 100_000
    path.write_bytes(b"x" * 100_000)
    path.unlink()
    shared.settled()
    assert os.listdir(shared.library / "state/staging") == before
    assert state_of(shared, path.name) == []


def test_a_copy_that_is_killed_is_an_asset_of_what_arrived_or_none(shared: Daemon, word: str, tmp_path: Path) -> None:
    """The kernel closes the file of a killed program: damfs cannot know, but it stays whole in itself."""
    source = tmp_path / "source"
    source.write_bytes(os.urandom(64 << 20))
    target = shared / "inbox" / f"{word}.bin"
    process = subprocess.Popen(["cp", source, target])
    until(target.exists, "the copy began")
    process.send_signal(signal.SIGKILL)
    process.wait()
    shared.settled()
    received = target.read_bytes()
    assert received == source.read_bytes()[: len(received)]
    assert target.stat().st_size == len(received)


def test_many_copies_at_once(shared: Daemon, word: str, tmp_path: Path) -> None:
    """Eight cp of twenty files each, with bytes that some of them share."""
    folders = [tmp_path / str(number) for number in range(8)]
    for number, folder in enumerate(folders):
        folder.mkdir()
        for file in range(20):
            (folder / f"{word}-{number}-{file}.dat").write_bytes(f"{word} {file // 2} {number // 4}".encode() * 200)
    copies = [subprocess.Popen(["cp", "-r", *folder.iterdir(), shared / "inbox"]) for folder in folders]
    assert [copy.wait(120) for copy in copies] == [0] * 8
    shared.settled()
    for folder in folders:
        for path in folder.iterdir():
            assert (shared / "inbox" / path.name).read_bytes() == path.read_bytes()
            assert state_of(shared, path.name) == ["present"]
    blobs = rows(shared.library, "SELECT count(DISTINCT blob), count(*) FROM asset WHERE name LIKE ?", f"{word}-%")
    assert blobs == [(20, 160)]
    inodes = {path.stat().st_ino for path in original_files(shared, f"{word}-*")}
    assert len(inodes) == 20, "the same bytes are stored once"


# --- rsync ----------------------------------------------------------------------------------------------------


def test_rsync_a_folder_of_files_into_the_inbox_and_again(shared: Daemon, word: str, tmp_path: Path) -> None:
    source = tmp_path / "card"
    source.mkdir()
    for number in range(12):
        (source / f"{word}-{number}.dat").write_bytes(os.urandom(5000))
    run("rsync", "-a", "--omit-dir-times", f"{source}/", shared / "inbox/")
    shared.settled()
    for path in source.iterdir():
        there = shared / "inbox" / path.name
        assert there.read_bytes() == path.read_bytes()
        assert there.stat().st_mtime_ns == path.stat().st_mtime_ns
    again = run("rsync", "-ai", "--omit-dir-times", f"{source}/", shared / "inbox/").stdout
    assert again == "", "rsync finds nothing left to do"
    assert run("rsync", "-aic", "--omit-dir-times", f"{source}/", shared / "inbox/").stdout == ""


def test_a_temporary_name_is_received_when_it_is_renamed(shared: Daemon, word: str) -> None:
    """As rsync and browsers do: no job, no name in originals/ before the final name."""
    temporary, final = shared / "inbox" / f".{word}.mov.Ab12Cd", shared / "inbox" / f"{word}.mov"
    temporary.write_bytes(word.encode() * 100)
    shared.settled()
    assert state_of(shared, temporary.name) == ["receiving"]
    assert original_files(shared, f"*{word}*") == []
    inode = temporary.stat().st_ino
    temporary.rename(final)
    assert final.stat().st_ino == inode
    assert not temporary.exists()
    shared.settled()
    assert state_of(shared, final.name) == ["present"]
    assert final.read_bytes() == word.encode() * 100
    assert [path.name for path in original_files(shared, f"*{word}*")] == [final.name]


def test_a_temporary_name_renamed_while_somebody_reads_it(shared: Daemon, word: str) -> None:
    temporary, final = shared / "inbox" / f"{word}.bin.part", shared / "inbox" / f"{word}.bin"
    temporary.write_bytes(b"z" * 300)
    shared.settled()
    with temporary.open("rb") as reader:
        temporary.rename(final)
        until(lambda: state_of(shared, final.name) == ["present"], "received although a reader has it open")
        assert reader.read() == b"z" * 300


def test_a_temporary_file_can_be_written_again(shared: Daemon, word: str) -> None:
    temporary = shared / "inbox" / f"{word}.bin.part"
    temporary.write_bytes(b"one")
    shared.settled()
    with temporary.open("ab") as file:
        file.write(b" two")
    shared.settled()
    os.truncate(temporary, 5)
    assert temporary.stat().st_size == 5
    temporary.rename(shared / "inbox" / f"{word}.bin")
    shared.settled()
    assert (shared / "inbox" / f"{word}.bin").read_bytes() == b"one t"


# --- tagging by moving and linking ----------------------------------------------------------------------------


def test_mv_from_the_inbox_tags_and_triages(shared: Daemon, note: Path, tag: Callable[[str], Path]) -> None:
    beach = tag("beach")
    run("cp", note, shared / "inbox")
    shared.settled()
    run("mv", shared / "inbox" / note.name, beach)
    assert os.listdir(beach) == [note.name]
    assert not (shared / "inbox" / note.name).exists()
    assert note.name not in os.listdir(shared / "inbox")
    assert terms_of(shared, note.name) == {"beach"}
    assert state_of(shared, note.name) == ["present"]
    assert (beach / note.name).read_bytes() == note.read_bytes()


def test_mv_right_after_cp(shared: Daemon, note: Path, tag: Callable[[str], Path]) -> None:
    beach = tag("beach")
    run("cp", note, shared / "inbox")
    run("mv", shared / "inbox" / note.name, beach)
    shared.settled()
    assert os.listdir(beach) == [note.name]
    assert note.name not in os.listdir(shared / "inbox")
    assert (beach / note.name).read_bytes() == note.read_bytes()


def test_mv_between_terms(shared: Daemon, note: Path, tag: Callable[[str], Path]) -> None:
    beach, sea = tag("beach"), tag("sea")
    run("cp", note, beach)
    shared.settled()
    inode = (beach / note.name).stat().st_ino
    run("mv", beach / note.name, sea)
    assert terms_of(shared, note.name) == {"sea"}
    assert os.listdir(beach) == []
    assert (sea / note.name).stat().st_ino == inode


def test_mv_into_a_narrower_term(shared: Daemon, note: Path, tag: Callable[[str], Path], word: str) -> None:
    beach = tag("beach")
    narrower = beach / f"sunset-{word}"
    narrower.mkdir()
    run("cp", note, beach)
    shared.settled()
    run("mv", beach / note.name, narrower)
    assert os.listdir(narrower) == [note.name]
    assert set(os.listdir(beach)) == {note.name, narrower.name}, "the narrower term implies the broader one"
    assert terms_of(shared, note.name) == {"beach", "sunset"}
    run("rm", narrower / note.name)
    assert os.listdir(narrower) == []
    assert note.name in os.listdir(beach), "it was given both terms"


def test_mv_onto_another_name_of_the_same_asset_changes_nothing(
    shared: Daemon, note: Path, tag: Callable[[str], Path]
) -> None:
    """rename between two names of one inode never reaches the server: the kernel does nothing, mv says why."""
    beach, sea = tag("beach"), tag("sea")
    run("cp", note, shared / "inbox")
    shared.settled()
    run("ln", shared / "inbox" / note.name, beach)
    run("ln", beach / note.name, sea)
    for source in (beach, shared / "inbox"):
        refusal = run("mv", source / note.name, sea / note.name, check=False)
        assert "are the same file" in refusal.stderr
        (source / note.name).rename(sea / note.name)
    assert terms_of(shared, note.name) == {"beach", "sea"}
    run("rm", shared / "inbox" / note.name)
    run("rm", beach / note.name)
    assert terms_of(shared, note.name) == {"sea"}
    assert state_of(shared, note.name) == ["present"], "what carries a term only leaves the inbox"


def test_mv_renames_in_place(shared: Daemon, note: Path, tag: Callable[[str], Path], word: str) -> None:
    beach = tag("beach")
    run("cp", note, beach)
    shared.settled()
    inode = (beach / note.name).stat().st_ino
    run("mv", beach / note.name, beach / f"renamed-{word}.txt")
    assert os.listdir(beach) == [f"renamed-{word}.txt"]
    assert (beach / f"renamed-{word}.txt").stat().st_ino == inode
    assert (shared / "untagged").exists()
    assert not (shared / "by-type/other" / note.name).exists()
    assert (shared / "by-type/other" / f"renamed-{word}.txt").stat().st_ino == inode


def test_mv_over_another_asset_loses_neither(shared: Daemon, note: Path, word: str) -> None:
    """It is how editors save: the file is the next version of the one it replaces (see test_versions)."""
    run("cp", note, shared / "inbox")
    other = shared / "inbox" / f"other-{word}.txt"
    other.write_text(f"other {word}")
    shared.settled()
    inode = other.stat().st_ino
    (shared / "inbox" / note.name).rename(other)
    shared.settled()
    assert not (shared / "inbox" / note.name).exists()
    assert other.read_bytes() == note.read_bytes()
    assert other.stat().st_ino == inode
    versions = shared / "versions" / other.name
    assert [(versions / name).read_bytes() for name in sorted(os.listdir(versions))] == [
        f"other {word}".encode(), note.read_bytes(),
    ]  # fmt: skip


def test_mv_from_untagged_and_from_a_date_tags(shared: Daemon, note: Path, tag: Callable[[str], Path]) -> None:
    beach = tag("beach")
    os.utime(note, (1_500_000_000, 1_500_000_000))
    run("cp", "-p", note, shared / "inbox")
    shared.settled()
    dated = shared / "by-date/2017/07/14" / note.name
    run("mv", dated, beach)
    assert os.listdir(beach) == [note.name]
    assert dated.exists(), "the file stays on its date"
    (beach / note.name).unlink()
    assert (shared / "untagged" / note.name).exists()
    run("mv", shared / "untagged" / note.name, beach)
    assert not (shared / "untagged" / note.name).exists()
    assert os.listdir(beach) == [note.name]


def test_ln_tags(shared: Daemon, note: Path, tag: Callable[[str], Path]) -> None:
    beach, sea = tag("beach"), tag("sea")
    run("cp", note, beach)
    shared.settled()
    run("ln", beach / note.name, sea)
    assert terms_of(shared, note.name) == {"beach", "sea"}
    assert (sea / note.name).stat().st_ino == (beach / note.name).stat().st_ino
    with refused(errno.EEXIST):
        os.link(beach / note.name, sea / note.name)
    with refused(errno.EPERM):
        os.link(beach / note.name, sea / "another-name.txt")
    assert os.listdir(sea) == [note.name]


def test_cp_into_two_terms_at_once_means_both(shared: Daemon, note: Path, tag: Callable[[str], Path]) -> None:
    beach, red = tag("beach"), tag("red")
    run("cp", note, beach / red.name)
    shared.settled()
    assert terms_of(shared, note.name) == {"beach", "red"}
    assert os.listdir(beach / red.name) == [note.name]
    assert os.listdir(beach) == [note.name], "red is not listed there: it is no narrower term"


def test_a_ranked_name_moved_into_a_term_is_listed_under_the_assets_own(
    shared: Daemon, tag: Callable[[str], Path], word: str
) -> None:
    """similar-to lists `01 name`: the kernel must not go on believing in that name elsewhere."""
    from tests.sample_media import png

    beach = tag("beach")
    for seed in (1, 2):
        run("cp", png(Path(f"/tmp/{word}-{os.getpid()}-{seed}.png"), seed=seed, size=(64, 48)), shared / "inbox")
        os.unlink(f"/tmp/{word}-{os.getpid()}-{seed}.png")
    shared.idle()
    place = shared / "similar-to" / f"{word}-{os.getpid()}-1.png"
    ranked = min(os.listdir(place))
    run("mv", place / ranked, beach)
    assert os.listdir(beach) == [ranked[3:]]
    until(lambda: not (beach / ranked).exists(), "the ranked name is forgotten")
    assert (beach / ranked[3:]).exists()


# --- terms ----------------------------------------------------------------------------------------------------


def test_mkdir_and_rmdir_of_terms(shared: Daemon, tag: Callable[[str], Path], word: str) -> None:
    beach = tag("beach")
    narrower = beach / f"sunset-{word}"
    narrower.mkdir()
    assert os.listdir(beach) == [narrower.name]
    assert narrower.name not in os.listdir(shared / "by-tag")
    with refused(errno.EEXIST):
        (shared / "by-tag" / narrower.name).mkdir()
    with refused(errno.ENOTEMPTY):
        beach.rmdir()
    narrower.rmdir()
    beach.rmdir()
    assert not beach.exists()
    assert beach.name not in os.listdir(shared / "by-tag")
    beach.mkdir()
    assert os.listdir(beach) == []
    beach.rmdir()


def test_rmdir_of_a_used_term_is_refused(shared: Daemon, note: Path, tag: Callable[[str], Path]) -> None:
    beach = tag("beach")
    run("cp", note, beach)
    shared.settled()
    with refused(errno.ENOTEMPTY):
        beach.rmdir()
    assert os.listdir(beach) == [note.name]


def test_rmdir_does_not_remove_a_term_that_is_only_reachable_there(shared: Daemon, tag: Callable[[str], Path]) -> None:
    beach, red = tag("beach"), tag("red")
    with refused(errno.EPERM):
        (beach / red.name).rmdir()
    assert red.name in os.listdir(shared / "by-tag")


def test_a_term_is_renamed_while_somebody_is_inside(
    shared: Daemon, note: Path, tag: Callable[[str], Path], word: str
) -> None:
    beach = tag("beach")
    run("cp", note, beach)
    shared.settled()
    inside = subprocess.Popen(
        ["sh", "-c", 'read go; /bin/pwd -P; ls; cat -- *.txt | wc -c'], cwd=beach, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    run("mv", beach, shared / "by-tag" / f"strand-{word}")
    assert not beach.exists()
    assert os.listdir(shared / "by-tag" / f"strand-{word}") == [note.name]
    said, _ = inside.communicate("go\n", timeout=180)
    assert said.splitlines() == [str(shared / "by-tag" / f"strand-{word}"), note.name, str(note.stat().st_size)]
    assert terms_of(shared, note.name) == {"strand"}


def test_the_old_name_of_a_renamed_term_is_a_term_of_its_own(
    shared: Daemon, note: Path, tag: Callable[[str], Path], word: str
) -> None:
    beach = tag("beach")
    run("cp", note, beach)
    shared.settled()
    strand = shared / "by-tag" / f"strand-{word}"
    run("mv", beach, strand)
    beach.mkdir()
    assert os.listdir(beach) == []
    assert beach.stat().st_ino != strand.stat().st_ino
    assert os.listdir(strand) == [note.name]


def test_a_renamed_term_leaves_every_place_where_it_was_reachable(
    shared: Daemon, tag: Callable[[str], Path], word: str
) -> None:
    beach, red = tag("beach"), tag("red")
    assert os.listdir(red / beach.name) == []
    run("mv", beach, shared / "by-tag" / f"strand-{word}")
    until(lambda: not (red / beach.name).exists(), "the kernel forgets the old name elsewhere")
    assert (red / f"strand-{word}").is_dir()
    (shared / "by-tag" / f"strand-{word}").rmdir()
    until(lambda: not (red / f"strand-{word}").exists(), "and that of a removed term")


def test_a_term_is_moved_below_another(shared: Daemon, note: Path, tag: Callable[[str], Path]) -> None:
    nature, beach = tag("nature"), tag("beach")
    run("cp", note, beach)
    shared.settled()
    run("mv", beach, nature)
    assert set(os.listdir(nature)) == {beach.name, note.name}
    assert os.listdir(nature / beach.name) == [note.name]
    with refused(errno.EINVAL):
        (shared / "by-tag" / nature.name).rename(nature / beach.name / "below-itself")
    run("mv", nature / beach.name, shared / "by-tag")
    assert os.listdir(nature) == []
    assert os.listdir(shared / "by-tag" / beach.name) == [note.name]


# --- removing -------------------------------------------------------------------------------------------------


def test_rm_in_a_term_only_untags(shared: Daemon, note: Path, tag: Callable[[str], Path]) -> None:
    beach, sea = tag("beach"), tag("sea")
    run("cp", note, beach)
    shared.settled()
    run("ln", beach / note.name, sea)
    run("rm", beach / note.name)
    assert terms_of(shared, note.name) == {"sea"}
    run("rm", sea / note.name)
    assert state_of(shared, note.name) == ["present"]
    assert (shared / "untagged" / note.name).read_bytes() == note.read_bytes()


def test_rm_right_after_cp_into_a_term_keeps_the_bytes(
    shared: Daemon, word: str, tmp_path: Path, tag: Callable[[str], Path]
) -> None:
    beach, source = tag("beach"), tmp_path / f"{word}.bin"
    source.write_bytes(os.urandom(8 << 20))
    run("cp", source, beach)
    run("rm", beach / source.name)
    shared.settled()
    assert state_of(shared, source.name) == ["present"]
    assert terms_of(shared, source.name) == set()
    assert (shared / "untagged" / source.name).read_bytes() == source.read_bytes()


def test_rm_r_of_a_term_with_narrower_ones(
    shared: Daemon, word: str, tmp_path: Path, tag: Callable[[str], Path]
) -> None:
    beach = tag("beach")
    narrower = beach / f"sunset-{word}"
    narrower.mkdir()
    for number in range(5):
        (tmp_path / f"{word}-{number}.txt").write_text(f"{word} {number}")
        run("cp", tmp_path / f"{word}-{number}.txt", narrower if number % 2 else beach)
    shared.settled()
    run("rm", "-r", beach)
    assert not beach.exists()
    assert not (shared / "by-tag" / narrower.name).exists()
    for number in range(5):
        assert (shared / "untagged" / f"{word}-{number}.txt").read_text() == f"{word} {number}"


def test_rm_in_the_inbox_trashes_and_keeps_the_bytes(shared: Daemon, note: Path) -> None:
    run("cp", note, shared / "inbox")
    shared.settled()
    run("rm", shared / "inbox" / note.name)
    assert state_of(shared, note.name) == ["trashed"]
    for view in ("inbox", "untagged", "by-type/other", "similar-to"):
        assert not (shared / view / note.name).exists(), view
    assert original_files(shared, note.name) == []
    (aside,) = original_files(shared, f"*-{note.name}")
    assert aside.parent.name == ".damfs-trash"
    assert aside.read_bytes() == (shared / "trash" / note.name).read_bytes() == note.read_bytes()


def test_a_trashed_file_received_again_is_there_again(shared: Daemon, note: Path) -> None:
    run("cp", note, shared / "inbox")
    shared.settled()
    run("rm", shared / "inbox" / note.name)
    run("cp", note, shared / "inbox")
    shared.settled()
    assert (shared / "inbox" / note.name).read_bytes() == note.read_bytes()
    assert sorted(state_of(shared, note.name)) == ["present", "trashed"]


# --- what has no meaning --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dated(shared: Daemon, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An asset of the module, shown in every view."""
    source = tmp_path_factory.mktemp("dated") / "dated.txt"
    source.write_text("dated")
    os.utime(source, (1_400_000_000, 1_400_000_000))
    run("cp", "-p", source, shared / "inbox")
    shared.settled()
    return source.name


READ_ONLY_PLACES = (
    "", "by-date", "by-date/2014/05/13", "by-type", "by-type/other", "untagged", "similar-to", "similar-to/dated.txt",
    "originals", "proxies", "proxies/library", "versions", "versions/dated.txt", ".damfs", ".damfs/help", "by-tag/..",
)  # fmt: skip


@pytest.mark.parametrize("place", READ_ONLY_PLACES)
def test_nothing_can_be_made_where_it_has_no_meaning(shared: Daemon, dated: str, place: str) -> None:
    shared.idle()
    before = dump(shared.library)
    with refused(errno.EPERM):
        (shared / place / "new.txt").write_text("x")
    with refused(errno.EPERM):
        (shared / place / "new").mkdir()
    with refused(errno.EPERM):
        os.link(shared / "inbox" / dated, shared / place / "linked.txt")
    with refused(errno.EPERM):
        os.symlink("somewhere", shared / place / "symlink")
    with refused(errno.EPERM):
        os.mkfifo(shared / place / "pipe")
    with refused(errno.EPERM):
        (shared / "inbox" / dated).rename(shared / place / "moved.txt")
    assert dump(shared.library) == before


@pytest.mark.parametrize("place", ["by-date/2014/05/13", "by-type/other", "untagged"])
def test_rm_where_it_has_no_meaning(shared: Daemon, dated: str, place: str) -> None:
    shared.idle()
    before = dump(shared.library)
    with refused(errno.EPERM):
        (shared / place / dated).unlink()
    assert dump(shared.library) == before


def test_rm_of_an_original_and_of_what_damfs_makes(shared: Daemon, dated: str) -> None:
    for path in ("README.md", ".damfs/status", ".damfs/help/architecture.md"):
        assert (shared / path).exists()
        with refused(errno.EPERM):
            (shared / path).unlink()
        with refused(errno.EPERM):
            (shared / path).write_text("x")
    with refused(errno.EPERM):
        (shared / "by-date").rmdir()
    with refused(errno.EPERM):
        (shared / "by-type/video").rmdir()
    with refused(errno.EPERM):
        (shared / "by-date").rename(shared / "by-day")


def test_by_tag_itself_takes_terms_only(shared: Daemon, dated: str) -> None:
    with refused(errno.EPERM):
        (shared / "by-tag/new.txt").write_text("x")
    with refused(errno.EPERM):
        (shared / "inbox" / dated).rename(shared / "by-tag" / dated)
    with refused(errno.EPERM):
        (shared / "inbox/folder").mkdir()


def test_files_belong_to_the_user_of_the_daemon(shared: Daemon, dated: str) -> None:
    path = shared / "inbox" / dated
    os.chown(path, os.getuid(), os.getgid())


def test_desktop_droppings_are_not_kept(shared: Daemon, note: Path) -> None:
    for name in (".DS_Store", "._x.mov", "Thumbs.db", "desktop.ini"):
        with refused(errno.EPERM):
            (shared / "inbox" / name).write_text("x")
    with refused(errno.EPERM):
        (shared / "by-tag/.Trash-1000").mkdir()
    run("cp", note, shared / "inbox")
    with refused(errno.EPERM):
        (shared / "inbox" / note.name).rename(shared / "inbox/.DS_Store")


# --- names ----------------------------------------------------------------------------------------------------

ODD = {
    "newline": "line\nbreak.txt",
    "quotes": 'it\'s "quoted" `back` $HOME \\ * ?.txt',
    "emoji": "🏖️ 👩‍👩‍👧 beach 🎬.txt",
    "spaces": "  leading and trailing .txt ",
    "leading-dash": "-rf.txt",
    "dot": ".hidden-but-kept.txt",
    "tilde": "clip~4.txt",
    "long": "ü" * 125 + "x.txt",
    "nfd": unicodedata.normalize("NFD", "Café Ångström.txt"),
    "control": "tab\tbell\x07.txt",
    "no-ending": "README",
    "right-to-left": "שלום.txt",
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_names_come_back(shared: Daemon, tmp_path: Path, kind: str) -> None:
    """As they are, but in NFC, without control characters; and they can be asked for as they were written."""
    written = ODD[kind]
    source = tmp_path / "source"
    source.write_text(kind)
    target = shared / "inbox" / written
    shutil.copyfile(source, target)
    assert target.read_text() == kind
    shared.settled()
    listed = re.sub(r"[\x00-\x1f]", "_", unicodedata.normalize("NFC", written))
    assert listed in os.listdir(shared / "inbox")
    assert target.read_text() == kind
    assert target.stat().st_ino == (shared / "inbox" / listed).stat().st_ino
    originals = [path for path in original_files(shared, "*") if path.is_file() and path.read_bytes() == kind.encode()]
    assert [path.name.lstrip("_.") for path in originals] == [listed.lstrip("_.")]
    (shared / "inbox" / listed).rename(shared / "inbox" / f"plain-{kind}.txt")
    assert not target.exists()
    assert listed not in os.listdir(shared / "inbox")


def test_names_that_are_no_text(shared: Daemon) -> None:
    raw = os.fsencode(shared / "inbox") + b"/caf\xe9.txt"
    with open(raw, "wb") as file:
        file.write(b"latin")
    shared.settled()
    assert "caf\ufffd.txt" in os.listdir(shared / "inbox")
    with open(raw, "rb") as file:
        assert file.read() == b"latin"
    for place in ("by-tag", "similar-to", "originals", "originals/library", "by-date", "proxies", ".damfs", ""):
        assert not os.path.lexists(os.fsencode(shared / place) + b"/\xff\xfe")


def test_nfc_and_nfd_are_one_name(shared: Daemon, word: str) -> None:
    composed, decomposed = f"é-{word}.txt", unicodedata.normalize("NFD", f"é-{word}.txt")
    (shared / "inbox" / decomposed).write_text("x")
    with refused(errno.EEXIST):
        os.open(shared / "inbox" / composed, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    shared.settled()
    (shared / "by-tag" / unicodedata.normalize("NFD", f"Köln-{word}")).mkdir()
    assert unicodedata.normalize("NFC", f"Köln-{word}") in os.listdir(shared / "by-tag")
    run("mv", shared / "inbox" / decomposed, shared / "by-tag" / unicodedata.normalize("NFD", f"Köln-{word}"))
    assert os.listdir(shared / "by-tag" / f"Köln-{word}") == [composed]


@pytest.mark.parametrize("length", [256, 1000])
def test_names_that_are_too_long(shared: Daemon, dated: str, length: int) -> None:
    for attempt in (
        lambda path: path.write_text("x"),
        lambda path: path.stat(),
        lambda path: path.mkdir(),
        lambda path: (shared / "inbox" / dated).rename(path),
        lambda path: os.link(shared / "inbox" / dated, path),
    ):
        with refused(errno.ENAMETOOLONG):
            attempt(shared / "inbox" / ("n" * length))


def test_255_bytes_twice_in_one_place(shared: Daemon, word: str) -> None:
    """The qualified name of the second one is cut so that it fits."""
    name = (word + "ß" * 200).encode()[:250].decode(errors="ignore") + ".txt"
    first = shared / "inbox" / name
    first.write_text("first")
    shared.settled()
    (shared / "by-tag" / f"long-{word}").mkdir()
    run("mv", first, shared / "by-tag" / f"long-{word}")
    first.write_text("second")
    shared.settled()
    listed = [each for each in os.listdir(shared / "by-type/other") if each.startswith(word)]
    assert len(listed) == 2
    assert all(len(each.encode()) <= 255 for each in listed)
    assert {(shared / "by-type/other" / each).read_text() for each in listed} == {"first", "second"}
