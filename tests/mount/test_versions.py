"""Writing over originals through the mount: every way to do it makes a version, and nothing that was is lost.

Everything runs twice: with what the kernel can do by itself, and with DAMFS_NATIVE=off.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest

from damfs.presentation.fuse import native
from tests.mount.conftest import Serve, serving
from tests.mount.daemon_process import Daemon, damfs, rows, run, until
from tests.mount.test_writing import refused

FIRST, SECOND = b"first bytes\n" * 50_000, b"second, shorter\n" * 9_000
STALE = "is a stale mount of a daemon that died"
_numbers = count(1)


@pytest.fixture(scope="module", params=["native", "plain"])
def dam(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A mounted library with a term."""
    with serving(tmp_path_factory.mktemp("versions")) as serve:
        environment = {} if request.param == "native" else {native.SWITCH: native.OFF}
        made = serve(environment=environment).start()
        (made / "by-tag/beach").mkdir()
        yield made


@pytest.fixture
def clip(dam: Daemon) -> Path:
    """An original that carries the term."""
    path = dam / f"by-tag/beach/clip-{next(_numbers)}.bin"
    path.write_bytes(FIRST)
    dam.settled()
    return path


def versions_of(dam: Daemon, path: Path) -> list[bytes]:
    """The bytes of each version, as versions/ shows them."""
    folder = dam / "versions" / path.name
    names = sorted(os.listdir(folder))
    assert names == [f"v{number:04d}.bin" for number in range(1, len(names) + 1)]
    return [(folder / name).read_bytes() for name in names]


def overwritten(dam: Daemon, path: Path, wanted: bytes, *before: bytes) -> None:
    """The file has those bytes at once, and after it was sealed; the ones before are versions."""
    assert path.read_bytes() == wanted
    dam.settled()
    assert path.read_bytes() == wanted
    assert path.stat().st_size == len(wanted)
    assert versions_of(dam, path) == [*(before or (FIRST,)), wanted]
    (original,) = (dam.library / "originals").rglob(path.name)
    assert original.read_bytes() == wanted


def test_cp_over_an_original_is_a_version_of_the_same_asset(dam: Daemon, clip: Path, tmp_path: Path) -> None:
    inode = clip.stat().st_ino
    other = tmp_path / "other.bin"
    other.write_bytes(SECOND)
    run("cp", other, clip)
    overwritten(dam, clip, SECOND)
    assert clip.stat().st_ino == inode
    assert clip.name in os.listdir(dam / "by-tag/beach")
    assert clip.name in os.listdir(dam / "versions")
    kept = next((dam.library / "originals").rglob(f"{clip.stem}~v1.bin"))
    assert kept.read_bytes() == FIRST
    assert kept.name not in os.listdir(next((dam / "originals").rglob(clip.name)).parent)
    run("cp", "-p", other, clip)
    dam.settled()
    assert len(versions_of(dam, clip)) == 2, "the same bytes are no version"
    assert clip.stat().st_mtime_ns == other.stat().st_mtime_ns


def test_append(dam: Daemon, clip: Path) -> None:
    with clip.open("ab") as file:
        file.write(b"more")
    overwritten(dam, clip, FIRST + b"more")


def test_random_writes(dam: Daemon, clip: Path) -> None:
    wanted = bytearray(FIRST)
    with clip.open("r+b") as file:
        for offset in (0, 5_000, 123_456, len(FIRST) - 3):
            file.seek(offset)
            file.write(b"XYZ")
            wanted[offset : offset + 3] = b"XYZ"
        file.flush()
        assert clip.read_bytes() == wanted, "who opens it meanwhile reads the draft"
    overwritten(dam, clip, bytes(wanted))


def test_mmap_writes(dam: Daemon, clip: Path) -> None:
    wanted = b"mapped" + FIRST[6:]
    with clip.open("r+b") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED) as mapped:
        mapped[:6] = b"mapped"
    overwritten(dam, clip, wanted)


def test_truncate(dam: Daemon, clip: Path) -> None:
    os.truncate(clip, 1_000)
    assert clip.stat().st_size == 1_000
    overwritten(dam, clip, FIRST[:1_000])
    with clip.open("r+b") as file:
        os.ftruncate(file.fileno(), 2_000)
        assert clip.stat().st_size == 2_000
    overwritten(dam, clip, FIRST[:1_000] + bytes(1_000), FIRST, FIRST[:1_000])


def test_truncate_to_nothing(dam: Daemon, clip: Path) -> None:
    clip.open("wb").close()
    overwritten(dam, clip, b"")


def test_opening_to_write_and_writing_nothing_changes_nothing(dam: Daemon, clip: Path) -> None:
    before = clip.stat()
    clip.open("r+b").close()
    dam.settled()
    after = clip.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert versions_of(dam, clip) == [FIRST]
    until(lambda: rows(dam.library, "SELECT * FROM rewrite") == [], "what was staged is dropped")
    assert list((dam.library / "state/staging").iterdir()) == []


def test_while_it_is_written_size_and_time_are_the_drafts(dam: Daemon, clip: Path) -> None:
    elsewhere = dam / "untagged" / clip.name
    before = clip.stat()
    with clip.open("wb") as file:
        file.write(b"short")
        file.flush()
        assert clip.stat().st_size == 5
        assert clip.stat().st_mtime_ns > before.st_mtime_ns
        shown = {entry.name: entry.stat().st_size for entry in os.scandir(dam / "by-tag/beach")}
        assert shown[clip.name] == 5
    assert not elsewhere.exists()
    overwritten(dam, clip, b"short")


@pytest.mark.parametrize("wanted", [SECOND, FIRST + SECOND, b""], ids=["shorter", "longer", "empty"])
def test_who_has_it_open_keeps_the_old_bytes(dam: Daemon, clip: Path, wanted: bytes) -> None:
    inode, elsewhere = clip.stat().st_ino, dam / "by-type/other" / clip.name
    assert elsewhere.stat().st_size == len(FIRST)
    with clip.open("rb") as old, mmap.mmap(old.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        assert old.read(1_000) == FIRST[:1_000]
        clip.write_bytes(wanted)
        assert clip.read_bytes() == wanted
        assert old.read() == FIRST[1_000:]
        dam.settled()
        assert clip.read_bytes() == wanted
        assert os.pread(old.fileno(), len(FIRST) + 1, 0) == FIRST
        assert mapped[:] == FIRST
        assert os.fstat(old.fileno()).st_size == len(FIRST)
        assert clip.stat().st_ino == os.fstat(old.fileno()).st_ino == inode
        until(lambda: elsewhere.stat().st_size == len(wanted), "told of in the other directory")
        assert elsewhere.read_bytes() == wanted
        with clip.open("rb") as new:
            clip.write_bytes(b"third")
            assert new.read() == wanted
            assert clip.read_bytes() == b"third"
            assert os.pread(old.fileno(), len(FIRST) + 1, 0) == FIRST
    overwritten(dam, clip, b"third", FIRST, wanted)
    assert clip.stat().st_ino == inode
    listed = {entry.name: entry.inode() for entry in os.scandir(clip.parent)}
    assert listed[clip.name] == inode


def test_who_truncates_by_name_leaves_readers_alone(dam: Daemon, clip: Path) -> None:
    with clip.open("rb") as old:
        os.truncate(clip, 10)
        assert old.read() == FIRST
        assert clip.read_bytes() == FIRST[:10]
    overwritten(dam, clip, FIRST[:10])


def test_a_mapping_of_the_old_bytes_is_never_written(dam: Daemon, clip: Path) -> None:
    with clip.open("rb") as old:
        with clip.open("r+b") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_SHARED) as mapped:
            mapped[:6] = b"mapped"
        assert old.read() == FIRST
        dam.settled()
        assert os.pread(old.fileno(), 10, 0) == FIRST[:10]
    overwritten(dam, clip, b"mapped" + FIRST[6:])


def test_a_time_that_is_set_while_the_version_before_is_made_is_shown_at_once(dam: Daemon, clip: Path) -> None:
    """`touch -d` opens the file to write, writes nothing, and closes it."""
    when = 0
    for number in range(1, 25):
        with clip.open("r+b") as file:
            file.truncate(number)
        when = number * 1_000_000_007
        descriptor = os.open(clip, os.O_WRONLY)
        os.utime(descriptor, ns=(when, when))
        os.close(descriptor)
        for _ in range(5):
            assert clip.stat().st_mtime_ns == when
    dam.settled()
    assert clip.stat().st_mtime_ns == when
    until(lambda: rows(dam.library, "SELECT * FROM rewrite") == [], "what was staged is dropped")


def test_two_writers_at_once(dam: Daemon, clip: Path) -> None:
    with clip.open("r+b") as one, clip.open("r+b") as two:
        one.write(b"one")
        one.flush()
        two.seek(100)
        two.write(b"two")
    overwritten(dam, clip, b"one" + FIRST[3:100] + b"two" + FIRST[103:])


def test_versions_cannot_be_written(dam: Daemon, clip: Path) -> None:
    clip.write_bytes(SECOND)
    dam.settled()
    old = dam / "versions" / clip.name / "v0001.bin"
    with refused(errno.EPERM):
        old.open("r+b")
    with refused(errno.EPERM):
        os.truncate(old, 0)
    with refused(errno.EPERM):
        old.unlink()
    with refused(errno.EPERM):
        (old.parent / "new.bin").write_bytes(b"")
    assert not (old.parent / "v0003.bin").exists()
    assert not (old.parent / "v1.bin").exists()
    assert versions_of(dam, clip) == [FIRST, SECOND]


def test_twins_that_share_their_bytes_are_not_changed(dam: Daemon, clip: Path) -> None:
    twin = clip.with_name(f"twin-{clip.name}")
    shutil.copyfile(clip, twin)
    dam.settled()
    clip.write_bytes(SECOND)
    overwritten(dam, clip, SECOND)
    assert twin.read_bytes() == FIRST
    twin.write_bytes(SECOND)
    dam.settled()
    files = [next((dam.library / "originals").rglob(path.name)) for path in (clip, twin)]
    assert os.path.samefile(*files), "bytes are stored once"
    assert len(versions_of(dam, twin)) == 2


def test_revert_makes_a_version_and_loses_nothing(dam: Daemon, clip: Path) -> None:
    clip.write_bytes(SECOND)
    dam.settled()
    with clip.open("rb") as open_before:
        damfs("revert", clip, "1")
        until(lambda: clip.read_bytes() == FIRST, "the first bytes are shown")
        assert open_before.read() == SECOND
    until(lambda: versions_of(dam, clip) == [FIRST, SECOND, FIRST], "three versions")
    until(lambda: clip.stat().st_size == len(FIRST), "the size of the first")
    clip.write_bytes(b"fourth")
    dam.settled()
    assert versions_of(dam, clip) == [FIRST, SECOND, FIRST, b"fourth"]
    listed = json.loads(damfs("versions", clip, "--json").stdout)
    assert [each["number"] for each in listed] == [1, 2, 3, 4]
    assert [each["current"] for each in listed] == [False, False, False, True]
    assert listed[0]["digest"] == listed[2]["digest"] != listed[1]["digest"]
    assert [each["size"] for each in listed] == [len(FIRST), len(SECOND), len(FIRST), 6]
    told = damfs("versions", clip).stdout.splitlines()
    assert len(told) == 4
    assert [line.rstrip().endswith("current") for line in told] == [False, False, False, True]
    missing = damfs("revert", clip, "9", check=False)
    assert missing.returncode == 1
    assert "has no version 9" in missing.stderr


Save = Callable[[Path, bytes], None]


def like_libreoffice(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"lu{path.stem}.tmp")
    temporary.write_bytes(content)
    temporary.rename(path)


def like_gimp(path: Path, content: bytes) -> None:
    """By way of a temporary name that GLib makes, with fsync."""
    temporary = path.with_name(".goutputstream-A1B2C3")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def like_rsync(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.Ab12Cd")
    temporary.write_bytes(content)
    os.utime(temporary, (1_600_000_000, 1_600_000_000))
    os.chmod(temporary, 0o640)
    temporary.replace(path)


def like_mv(path: Path, content: bytes) -> None:
    """A name that is not temporary: it is sealed before, as an asset of its own."""
    other = path.with_name(f"edited-{path.name}")
    other.write_bytes(content)
    run("mv", "-f", other, path)


def like_a_hasty_program(path: Path, content: bytes) -> None:
    """Renames before it has closed."""
    temporary = path.with_name(f"{path.name}.part")
    with temporary.open("wb") as file:
        file.write(content[:10])
        file.flush()
        temporary.replace(path)
        file.write(content[10:])


@pytest.mark.parametrize("save", [like_libreoffice, like_gimp, like_rsync, like_mv, like_a_hasty_program])
def test_saving_by_renaming_over_the_original(dam: Daemon, clip: Path, save: Save) -> None:
    inode = clip.stat().st_ino
    with clip.open("rb") as old:
        save(clip, SECOND)
        assert old.read() == FIRST
    overwritten(dam, clip, SECOND)
    assert clip.stat().st_ino == inode
    assert [name for name in os.listdir(clip.parent) if clip.stem in name] == [clip.name]
    assert clip.name not in os.listdir(dam / "untagged")
    if save is like_rsync:
        assert clip.stat().st_mtime == 1_600_000_000


def test_like_vim_that_writes_in_place(dam: Daemon, clip: Path) -> None:
    """With more than one link vim makes a backup by copying, and writes the file itself."""
    swap, backup = clip.with_name(f".{clip.name}.swp"), clip.with_name(f"{clip.name}~")
    swap.write_bytes(b"swap")
    shutil.copyfile(clip, backup)
    with clip.open("wb") as file:
        file.write(SECOND)
        file.flush()
        os.fsync(file.fileno())
    backup.unlink()
    swap.unlink()
    overwritten(dam, clip, SECOND)


def test_renaming_without_replacing_is_refused(dam: Daemon, clip: Path) -> None:
    other = clip.with_name(f"other-{clip.name}")
    other.write_bytes(SECOND)
    dam.settled()
    run("mv", "-n", other, clip)
    assert other.read_bytes() == SECOND
    assert versions_of(dam, clip) == [FIRST]


def test_a_file_of_a_read_only_store_cannot_be_written(dam: Daemon, tmp_path: Path) -> None:
    folder = tmp_path / f"footage-{next(_numbers)}"
    folder.mkdir()
    name = f"{folder.name}.bin"
    (folder / name).write_bytes(FIRST)
    dam.add(folder)
    path = dam / "untagged" / name
    with refused(errno.EROFS):
        path.open("r+b")
    with refused(errno.EROFS):
        path.write_bytes(b"")
    with refused(errno.EROFS):
        os.truncate(path, 0)
    assert path.read_bytes() == (folder / name).read_bytes() == FIRST
    dam.settled()
    until(lambda: rows(dam.library, "SELECT * FROM rewrite") == [], "what was staged is dropped")
    with refused(errno.EROFS):
        like_libreoffice_from(dam / "by-tag/beach", path)


@pytest.mark.parametrize("save", [like_gimp, None], ids=["overwritten-before", "first-time"])
def test_a_crash_while_overwriting_loses_nothing_that_was_synced(serve: Serve, save: Save | None) -> None:
    """kill -9 with the file still open after fsync: the original is whole, and so is what was written, beside it."""
    dam = serve().start()
    (dam / "by-tag/beach").mkdir()
    path = dam / "by-tag/beach/clip.bin"
    path.write_bytes(FIRST)
    dam.settled()
    if save is not None:
        save(path, SECOND)
        dam.settled()
    before = path.read_bytes()
    file = os.open(path, os.O_RDWR | os.O_TRUNC)
    try:
        os.write(file, b"synced")
        os.fsync(file)
        dam.kill()
    finally:
        with suppress(OSError):
            os.close(file)
    dam.announced += ["was interrupted; what was written over it", STALE]
    dam.start()
    assert path.read_bytes() == before
    assert (path.parent / "clip.bin.part").read_bytes() == b"synced"
    until(lambda: rows(dam.library, "SELECT * FROM rewrite") == [], "what was staged is dropped")
    (path.parent / "clip.bin.part").rename(path)
    dam.settled()
    assert path.read_bytes() == b"synced"
    assert versions_of(dam, path) == [FIRST, *([SECOND] if save is not None else []), b"synced"]


def test_what_was_closed_survives_a_crash(serve: Serve) -> None:
    dam = serve().start()
    path = dam / "inbox/clip.bin"
    path.write_bytes(FIRST)
    dam.settled()
    with path.open("wb") as file:
        file.write(SECOND * 200)
        file.flush()
        os.fsync(file.fileno())
    until(lambda: is_closed(dam), "closed")
    dam.kill()
    dam.announced.append(STALE)
    dam.start()
    dam.settled()
    assert path.read_bytes() == SECOND * 200
    assert versions_of(dam, path) == [FIRST, SECOND * 200]


def is_closed(dam: Daemon) -> bool:
    sealed = rows(dam.library, "SELECT 1 FROM version WHERE number = 2")
    return bool(sealed or rows(dam.library, "SELECT 1 FROM rewrite WHERE closed"))


def like_libreoffice_from(folder: Path, path: Path) -> None:
    """Into the place where the file of the read-only store is."""
    run("ln", path, folder)
    like_libreoffice(folder / path.name, SECOND)


def test_a_name_of_versions_leads_where_it_is_listed(serve: Serve) -> None:
    """Also of an asset whose namesake was never overwritten, of a sidecar, and for who has not listed it before."""
    dam = serve().start()
    one, other, folder = dam / "inbox", dam / "by-tag/other", dam / "originals/library/photos"
    other.mkdir()
    folder.mkdir()
    (folder / "i.jpg").write_bytes(b"no picture")
    second, first, sidecar = "second.txt", "first.txt", "i.jpg.xmp"
    written = [one / second, other / second, other / second, one / first, other / first, one / first]
    for number, path in enumerate([*written, folder / sidecar, folder / sidecar]):
        path.write_text(f'<x:xmpmeta xmlns:x="adobe:ns:meta/" number="{number}"/>')
        dam.settled()
    damfs("sidecar", "sync", dam.library, check=False)
    named = rows(dam.library, "SELECT a.name FROM sidecar AS s JOIN asset AS a ON a.id = s.asset")
    assert ("i.jpg.xmp",) in named
    listed = {name: (dam / "versions" / name).stat().st_ino for name in os.listdir(dam / "versions")}
    assert len(listed) == 3
    contents = {name: contents_below(dam / "versions" / name) for name in listed}
    dam.end()
    dam.start()
    for name, inode in listed.items():
        assert (dam / "versions" / name).stat().st_ino == inode
        assert contents_below(dam / "versions" / name) == contents[name]


def contents_below(folder: Path) -> list[str]:
    return [path.read_text() for path in sorted(folder.iterdir())]
