"""The conformance suite of `BlobStore`, over every kind of place that damfs can keep bytes in.

Each place is real: a folder, a folder whose staging is on another device, and one whose hard links are refused.
"""

from __future__ import annotations

import errno
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from blake3 import blake3

from damfs.errors import Conflict, NotEmpty, NotFound, ReadOnly, Unavailable
from damfs.model import Key, StoreKind
from damfs.storage.blob_store import BlobStore, FileFact, WalkProblem
from damfs.storage.local import LocalStore

CLIP = Key(b"2026/11/22/clip.mov")
AWKWARD_NAMES = [
    b"with\nnewline.mov",
    b"quote'\"`$.mov",
    b"\xff\xfe not utf-8.mov",
    "ünïcødé 東京 🎬.mov".encode(),
    b"n" * 251 + b".mov",
    b"-rf",
    b"back\\slash",
]


@dataclass(frozen=True)
class Place:
    """A store with the folder its bytes are really in, and one to stage in."""

    store: BlobStore
    root: Path
    staging: Path

    def staged(self, data: bytes, name: str = "7") -> Path:
        path = self.staging / name
        path.write_bytes(data)
        return path

    def publish(self, data: bytes, key: Key = CLIP) -> FileFact:
        return self.store.publish(self.staged(data), key)

    def as_read_only(self) -> BlobStore:
        return LocalStore(self.root, StoreKind.READ_ONLY)

    def keys(self) -> set[Key]:
        return {met.key for met in self.store.walk() if isinstance(met, FileFact)}

    def problems(self) -> dict[Key, str]:
        return {met.key: met.reason for met in self.store.walk() if isinstance(met, WalkProblem)}


@pytest.fixture(params=["one-device", "two-devices", "no-hard-links"])
def place(request: pytest.FixtureRequest, tmp_path: Path, memory_disk: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    root = tmp_path / "originals"
    staging = memory_disk if request.param == "two-devices" else tmp_path / "staging"
    for folder in (root, staging):
        folder.mkdir(exist_ok=True)
    if request.param == "two-devices":
        assert root.stat().st_dev != staging.stat().st_dev
    if request.param == "no-hard-links":
        monkeypatch.setattr(os, "link", refused)
    return Place(LocalStore(root, StoreKind.WRITABLE), root, staging)


@pytest.fixture
def memory_disk() -> Iterator[Path]:
    """A folder on tmpfs: another device than that of tmp_path."""
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="damfs-test-") as folder:
        yield Path(folder)


def refused(*_: object, **__: object) -> None:
    """What link(2) answers on FAT."""
    raise PermissionError(errno.EPERM, "Operation not permitted")


def test_published_bytes_are_there_and_the_staged_name_is_gone(place: Place) -> None:
    staged = place.staged(b"moving pictures")
    os.utime(staged, ns=(5, 1_700_000_000_123_456_789))
    staged.chmod(0o640)
    fact = place.store.publish(staged, CLIP)
    published = place.root / "2026/11/22/clip.mov"
    assert published.read_bytes() == b"moving pictures"
    assert fact == FileFact(CLIP, 15, 1_700_000_000_123_456_789, published.stat().st_ino)
    assert published.stat().st_mode & 0o777 == 0o640
    assert not staged.exists()
    assert place.store.stat(CLIP) == fact
    assert [file.name for file in published.parent.iterdir()] == ["clip.mov"]


def test_publish_never_replaces(place: Place) -> None:
    place.publish(b"first")
    staged = place.staged(b"second")
    with pytest.raises(Conflict, match=r"clip\.mov.*taken"):
        place.store.publish(staged, CLIP)
    assert (place.root / "2026/11/22/clip.mov").read_bytes() == b"first"
    assert staged.read_bytes() == b"second"


def test_of_many_publishes_to_one_key_one_wins_and_nothing_is_lost(place: Place) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def publish(number: int) -> None:
        staged = place.staged(b"%d" % number * 1000, str(number))
        start.wait()
        try:
            place.store.publish(staged, CLIP)
            outcomes.append("published")
        except Conflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict"] * 7 + ["published"]
    everything = [file.read_bytes() for file in place.staging.iterdir()] + [
        (place.root / os.fsdecode(CLIP)).read_bytes()
    ]
    assert sorted(everything) == sorted(b"%d" % number * 1000 for number in range(8))


def test_publish_under_a_file_is_a_conflict(place: Place) -> None:
    place.publish(b"x", Key(b"a"))
    with pytest.raises(Conflict, match="not a folder"):
        place.publish(b"y", Key(b"a/b"))


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_awkward_names_go_all_the_way(place: Place, name: bytes) -> None:
    key = Key(b"folder " + name[:200] + b"/" + name)
    place.publish(b"bytes", key)
    assert place.keys() == {key}
    assert place.store.hash(key).digest == blake3(b"bytes").digest()
    assert os.fsencode(place.store.path(key)) == os.fsencode(place.root) + b"/" + key
    place.store.remove(key)
    with pytest.raises(NotFound) as raised:
        place.store.stat(key)
    assert "\n" not in str(raised.value)
    str(raised.value).encode("utf-8")


def test_a_name_too_long_is_one_clear_line(place: Place) -> None:
    with pytest.raises(Unavailable, match="too long"):
        place.publish(b"x", Key(b"n" * 256))


@pytest.mark.parametrize("size", [0, 1, 8192, 8193, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_333_333])
def test_hash_is_that_of_all_bytes(place: Place, size: int) -> None:
    data = os.urandom(size)
    fact = place.publish(data)
    hashed = place.store.hash(CLIP)
    assert hashed.digest == blake3(data).digest()
    assert (hashed.size, hashed.head, hashed.fact) == (size, data[:8192], fact)


def test_open_reads(place: Place) -> None:
    place.publish(b"0123456789")
    descriptor = place.store.open(CLIP)
    try:
        assert os.pread(descriptor, 4, 3) == b"3456"
        assert os.get_blocking(descriptor)
        assert not os.get_inheritable(descriptor)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(descriptor, b"x")
    finally:
        os.close(descriptor)


def test_link_gives_the_same_bytes_a_second_name(place: Place) -> None:
    place.publish(b"shared")
    other = Key(b"projects/a/other.mov")
    fact = place.store.link(CLIP, other)
    assert place.store.stat(other) == fact
    assert place.keys() == {CLIP, other}
    assert place.store.hash(other).digest == place.store.hash(CLIP).digest
    place.store.remove(CLIP)
    assert place.store.hash(other).digest == blake3(b"shared").digest()
    with pytest.raises(Conflict):
        place.store.link(other, other)


def test_replace_takes_the_place_of_a_file_in_one_step(place: Place) -> None:
    place.publish(b"first")
    with open(place.root / "2026/11/22/clip.mov", "rb") as reader:
        staged = place.staged(b"second")
        os.utime(staged, ns=(5, 1_700_000_000_000_000_000))
        fact = place.store.replace(staged, CLIP)
        assert reader.read() == b"first", "whoever has the old bytes open keeps them"
    published = place.root / "2026/11/22/clip.mov"
    assert published.read_bytes() == b"second"
    assert fact == FileFact(CLIP, 6, 1_700_000_000_000_000_000, published.stat().st_ino) == place.store.stat(CLIP)
    assert not staged.exists()
    assert [file.name for file in published.parent.iterdir()] == ["clip.mov"]


def test_replace_leaves_other_names_of_the_old_bytes_alone(place: Place) -> None:
    place.publish(b"first")
    place.store.link(CLIP, Key(b"2026/11/22/clip~v1.mov"))
    place.store.replace(place.staged(b"second"), CLIP)
    assert (place.root / "2026/11/22/clip~v1.mov").read_bytes() == b"first"
    assert (place.root / "2026/11/22/clip.mov").read_bytes() == b"second"


def test_replace_by_another_name_of_the_same_file(place: Place) -> None:
    """rename(2) does nothing then, and leaves both names."""
    place.publish(b"first")
    again = place.root.parent / "again"
    try:
        again.hardlink_to(place.root / CLIP.decode())
    except OSError:
        pytest.skip("this place has no hard links")
    place.store.replace(again, CLIP)
    assert not again.exists()
    assert (place.root / CLIP.decode()).read_bytes() == b"first"


def test_replace_needs_something_to_replace(place: Place) -> None:
    staged = place.staged(b"second")
    with pytest.raises(NotFound):
        place.store.replace(staged, CLIP)
    place.publish(b"first", Key(b"2026/11/22/other.mov"))
    staged = place.staged(b"second", "8")
    with pytest.raises(NotFound):
        place.store.replace(staged, CLIP)
    with pytest.raises(NotFound):
        place.store.replace(staged, Key(b"2026/11/22"))
    assert staged.read_bytes() == b"second"
    with pytest.raises(ReadOnly):
        place.as_read_only().replace(staged, Key(b"2026/11/22/other.mov"))
    assert (place.root / "2026/11/22/other.mov").read_bytes() == b"first"


def test_move_renames_without_replacing(place: Place) -> None:
    place.publish(b"first", Key(b"a/1"))
    place.publish(b"second", Key(b"a/2"))
    with pytest.raises(Conflict):
        place.store.move(Key(b"a/1"), Key(b"a/2"))
    fact = place.store.move(Key(b"a/1"), Key(b"b/c/1"))
    assert fact == place.store.stat(Key(b"b/c/1"))
    assert place.keys() == {b"a/2", b"b/c/1"}
    assert place.store.hash(Key(b"a/2")).digest == blake3(b"second").digest()


def test_what_is_not_there(place: Place) -> None:
    missing = Key(b"no/such/file")
    calls: list[Callable[[], object]] = [
        lambda: place.store.stat(missing),
        lambda: place.store.open(missing),
        lambda: place.store.hash(missing),
        lambda: place.store.link(missing, Key(b"x/y")),
        lambda: place.store.move(missing, Key(b"x/y")),
        lambda: place.store.remove(missing),
        lambda: place.store.publish(place.staging / "99", Key(b"x/y")),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call()
    assert list(place.root.iterdir()) == []


@pytest.mark.parametrize("key", [b"", b"/etc/passwd", b"../x", b"a/../../x", b"a//b", b"./a", b"a/", b"a/.", b"a\0b"])
def test_keys_cannot_leave_the_store(place: Place, key: bytes) -> None:
    calls: list[Callable[[Key], object]] = [
        place.store.stat,
        place.store.open,
        place.store.path,
        place.store.hash,
        place.store.remove,
        lambda bad: place.publish(b"x", bad),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call(Key(key))


def test_links_are_never_followed(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (place.root / "folder").symlink_to(outside)
    (place.root / "file").symlink_to(outside / "secret")
    for key in (Key(b"folder/secret"), Key(b"file")):
        for call in (place.store.stat, place.store.open, place.store.hash, place.store.remove):
            with pytest.raises(NotFound):
                call(key)
    with pytest.raises(Conflict):
        place.publish(b"x", Key(b"folder/new"))
    assert [file.name for file in outside.iterdir()] == ["secret"]


def test_only_regular_files_count(place: Place) -> None:
    os.mkfifo(place.root / "pipe")
    (place.root / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.root / "socket"))
        for name in (b"pipe", b"socket", b"folder"):
            for call in (place.store.stat, place.store.open, place.store.hash, place.store.remove):
                with pytest.raises(NotFound, match="not a file"):
                    call(Key(name))
        assert set(place.problems()) == {b"pipe", b"socket"}


def test_a_store_that_is_gone_is_offline_not_empty(place: Place) -> None:
    place.publish(b"x")
    assert place.store.online()
    place.root.rename(place.root.with_name("unplugged"))
    assert not place.store.online()
    calls: list[Callable[[], object]] = [
        lambda: place.store.stat(CLIP),
        lambda: place.store.open(CLIP),
        lambda: place.store.hash(CLIP),
        lambda: place.store.remove(CLIP),
        lambda: place.publish(b"y", Key(b"new")),
        lambda: list(place.store.walk()),
    ]
    for call in calls:
        with pytest.raises(Unavailable, match="volume"):
            call()
    assert not place.root.exists()


def test_a_read_only_store_reads_and_is_never_touched(place: Place) -> None:
    fact = place.publish(b"x")
    before = appearance(place.root)
    store = place.as_read_only()
    assert store.kind is StoreKind.READ_ONLY
    assert store.hash(CLIP).digest == blake3(b"x").digest()
    assert list(store.walk()) == [fact]
    os.close(store.open(CLIP))
    other = Key(b"other/name")
    calls: list[Callable[[], object]] = [
        lambda: store.publish(place.staged(b"y"), other),
        lambda: store.link(CLIP, other),
        lambda: store.move(CLIP, other),
        lambda: store.remove(CLIP),
        lambda: store.make_folder(other),
        lambda: store.remove_folder(Key(b"2026")),
        lambda: store.move_folder(Key(b"2026"), other),
    ]
    for call in calls:
        with pytest.raises(ReadOnly, match="read-only store"):
            call()
    assert (place.staging / "7").exists()
    assert appearance(place.root) == before


def appearance(root: Path) -> dict[str, tuple[int, ...]]:
    """Times of access too: reading must not change those of a store that is not ours."""
    paths = [root / "2026/11/22/clip.mov", *root.glob("2026"), root]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino, path.stat().st_nlink) for path in paths} | {
        "atime": (paths[0].stat().st_atime_ns,)
    }


def test_walk_leaves_out_what_desktops_leave_behind(place: Place) -> None:
    place.publish(b"x", Key(b"day/clip.mov"))
    for name in (
        ".DS_Store",
        "day/._clip.mov",
        "day/Thumbs.db",
        ".Trash-1000/files/x",
        ".damfs-staging/7",
    ):
        path = place.root / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(b"")
    assert place.keys() == {b"day/clip.mov"}
    assert place.problems() == {}


def test_hidden_files_are_files_where_people_write(place: Place) -> None:
    """What is written into a folder of the writable store is found there whatever its name; folders that are indexed
    in place are full of what programs hide there."""
    place.publish(b"x", Key(b"day/.notes"))
    place.store.make_folder(Key(b".config"))
    assert place.keys() == {b"day/.notes"}
    assert set(place.store.folders()) == {b"day", b".config"}
    assert list(place.as_read_only().walk()) == []
    assert list(place.as_read_only().folders()) == [b"day"]


def test_folders_are_made_met_and_removed(place: Place) -> None:
    store = place.store
    for key in (b"a", b"a/b", b"a/b/c", b"d\xff\n"):
        store.make_folder(Key(key))
    place.publish(b"x", Key(b"a/file"))
    (place.root / "link").symlink_to("a")
    met = list(store.folders())
    assert set(met) == {b"a", b"a/b", b"a/b/c", b"d\xff\n"}
    assert met.index(Key(b"a")) < met.index(Key(b"a/b")) < met.index(Key(b"a/b/c")), "what holds others comes first"
    assert store.has_folder(Key(b"a/b"))
    assert not any(store.has_folder(Key(key)) for key in (b"a/x", b"a/file", b"a/file/x", b"link", b"link/b"))
    with pytest.raises(NotEmpty):
        store.remove_folder(Key(b"a"))
    store.remove_folder(Key(b"a/b/c"))
    assert not store.has_folder(Key(b"a/b/c"))


@pytest.mark.parametrize("key", [b"a", b"a/file"])
def test_a_folder_is_made_only_where_its_name_is_free(place: Place, key: bytes) -> None:
    place.publish(b"x", Key(b"a/file"))
    with pytest.raises(Conflict):
        place.store.make_folder(Key(key))
    for missing in (b"absent/x", b"a/file/x"):
        with pytest.raises(NotFound):
            place.store.make_folder(Key(missing))
    for call in (place.store.remove_folder, lambda bad: place.store.move_folder(bad, Key(b"new"))):
        for bad in (b"absent", b"a/file", b"../a", b""):
            with pytest.raises(NotFound):
                call(Key(bad))
    assert place.keys() == {b"a/file"}


def test_a_folder_is_moved_with_everything_below_it(place: Place) -> None:
    fact = place.publish(b"x", Key(b"a/b/file"))
    place.store.make_folder(Key(b"c"))
    place.store.move_folder(Key(b"a"), Key(b"c/d"))
    assert list(place.store.walk()) == [replace(fact, key=Key(b"c/d/b/file"))]
    place.store.make_folder(Key(b"empty"))
    place.store.move_folder(Key(b"c/d"), Key(b"empty"))
    assert place.keys() == {b"empty/b/file"}


def test_a_folder_takes_the_place_of_an_empty_one_only(place: Place) -> None:
    place.publish(b"x", Key(b"a/x"))
    place.publish(b"y", Key(b"b/y"))
    place.publish(b"z", Key(b"z"))
    with pytest.raises(NotEmpty):
        place.store.move_folder(Key(b"a"), Key(b"b"))
    with pytest.raises(Conflict):
        place.store.move_folder(Key(b"a"), Key(b"z"))
    with pytest.raises(NotFound):
        place.store.move_folder(Key(b"a"), Key(b"absent/a"))
    assert place.keys() == {b"a/x", b"b/y", b"z"}
