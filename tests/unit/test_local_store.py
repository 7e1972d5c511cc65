"""What a local file system does to a store: full disks, lost volumes, crashes between two steps, odd trees."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from blake3 import blake3

from damfs.errors import Conflict, DamfsError, NoSpace, ReadOnly, Unavailable
from damfs.model import Key, StoreKind
from damfs.storage import disk_errors, placing
from damfs.storage.blob_store import FileFact, WalkProblem
from damfs.storage.local import LocalStore

CLIP = Key(b"2026/11/22/clip.mov")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "originals"
    folder.mkdir()
    return folder


@pytest.fixture
def store(root: Path) -> LocalStore:
    return LocalStore(root, StoreKind.WRITABLE)


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own. Needs root, as the machine of the tests has it."""
    folder = tmp_path / "volume"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "damfs-test", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a disk of its own here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], capture_output=True, check=False)


@contextmanager
def as_nobody(root: Path) -> Iterator[None]:
    """Root may read everything; the user nobody may not. (Others than root just go on as they are.)"""
    if os.geteuid():
        yield
        return
    for folder in [root, *root.parents]:
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def staged(folder: Path, data: bytes = b"bytes") -> Path:
    path = folder / "7"
    path.write_bytes(data)
    return path


# --- disks -----------------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_nothing_half(volume: Path, tmp_path: Path) -> None:
    store = LocalStore(volume, StoreKind.WRITABLE)
    source = staged(tmp_path, os.urandom(400_000))
    with pytest.raises(NoSpace, match=r"full; free some space"):
        store.publish(source, CLIP)
    assert source.stat().st_size == 400_000
    assert not [file for _, _, files in os.walk(volume) for file in files]
    source.write_bytes(b"small")
    store.publish(source, CLIP)
    assert store.hash(CLIP).digest == blake3(b"small").digest()


def test_a_disk_that_is_mounted_read_only(volume: Path, tmp_path: Path) -> None:
    store = LocalStore(volume, StoreKind.WRITABLE)
    store.publish(staged(tmp_path), CLIP)
    subprocess.run(["mount", "-o", "remount,ro", volume], check=True)
    for call in (
        lambda: store.publish(staged(tmp_path), Key(b"2026/11/22/other")),
        lambda: store.move(CLIP, Key(b"x")),
        lambda: store.remove(CLIP),
    ):
        with pytest.raises(ReadOnly, match="mounted read-only"):
            call()
    assert store.hash(CLIP).size == 5


def test_a_volume_that_goes_away_during_a_walk_is_not_an_empty_folder(volume: Path) -> None:
    for number in range(20):
        (volume / f"folder {number}").mkdir()
        (volume / f"folder {number}" / "file").write_bytes(b"x")
    walk = LocalStore(volume, StoreKind.READ_ONLY).walk()
    assert isinstance(next(walk), FileFact)
    subprocess.run(["umount", "-l", volume], check=True)
    with pytest.raises(Unavailable, match="volume changed while"):
        for _ in walk:
            pass


# --- crashes ---------------------------------------------------------------------------------------------------

STEPS = ["fsync", "mkdir", "link", "unlink"]


class Crash(BaseException):
    """Nothing catches it: from the disk's point of view the process ended there."""


class Syscalls:
    """Counts the calls that change the disk, and ends the process before a chosen one."""

    def __init__(self, patch: pytest.MonkeyPatch, crash_at: int = 1_000) -> None:
        self.seen: list[str] = []
        self._crash_at = crash_at
        for name in STEPS:
            patch.setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            if len(self.seen) == self._crash_at:
                raise Crash
            self.seen.append(name)
            return real(*args, **kwargs)

        return call


def test_publish_is_durable_step_by_step(store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes before the name, each folder's name before what is in it, the old name last."""
    source = staged(tmp_path)
    calls = Syscalls(monkeypatch)
    store.publish(source, CLIP)
    folders = ["mkdir", "fsync"] * 3
    assert calls.seen == ["fsync", *folders, "link", "fsync", "unlink", "fsync"]
    calls.seen.clear()
    source.write_bytes(b"second")
    store.publish(source, Key(b"2026/11/22/second.mov"))
    assert calls.seen == ["fsync", "link", "fsync", "unlink", "fsync"]


def test_folders_another_process_made_are_made_durable_too(
    root: Path, store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "2026/11/22").mkdir(parents=True)
    source = staged(tmp_path)
    calls = Syscalls(monkeypatch)
    store.publish(source, CLIP)
    assert calls.seen == ["fsync", "fsync", "fsync", "fsync", "link", "fsync", "unlink", "fsync"]


@pytest.mark.parametrize("crash_at", range(11))
def test_a_crash_between_any_two_steps_loses_nothing(
    crash_at: int, root: Path, store: LocalStore, tmp_path: Path
) -> None:
    source = staged(tmp_path, b"precious")
    with pytest.MonkeyPatch.context() as patch:
        Syscalls(patch, crash_at)
        with pytest.raises(Crash):
            store.publish(source, CLIP)
    published = root / os.fsdecode(CLIP)
    there = [path for path in (source, published) if path.exists()]
    assert there
    assert all(path.read_bytes() == b"precious" for path in there)
    restarted = LocalStore(root, StoreKind.WRITABLE)
    if source.exists():
        restarted.publish(source, CLIP)
    assert [met.key for met in restarted.walk()] == [CLIP]
    assert restarted.hash(CLIP).digest == blake3(b"precious").digest()
    assert not source.exists()
    assert published.stat().st_nlink == 1


def test_a_crash_while_copying_leaves_one_hidden_file_that_is_reported(
    root: Path, store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = staged(tmp_path, b"precious")
    monkeypatch.setattr("damfs.storage.local.link", lambda *_: False)
    monkeypatch.setattr("damfs.storage.local.rename", lambda *_: False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(placing, "rename", crash)
        patch.setattr(placing, "_unlink_if_there", lambda *_: None)
        with pytest.raises(Crash):
            store.publish(source, Key(b"clip.mov"))
    (problem,) = store.walk()
    assert isinstance(problem, WalkProblem)
    assert problem.key.startswith(b".damfs-copy-")
    assert "can be deleted" in problem.reason
    store.publish(source, Key(b"clip.mov"))
    assert [met.key for met in store.walk()] == [b"clip.mov"]


def crash(*_: object) -> bool:
    raise Crash


def test_where_nothing_works_the_staged_file_stays(
    root: Path, store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = staged(tmp_path, b"precious")
    for module in ("damfs.storage.local", "damfs.storage.placing"):
        monkeypatch.setattr(f"{module}.link", lambda *_: False)
        monkeypatch.setattr(f"{module}.rename", lambda *_: False)
    with pytest.raises(Unavailable, match="not supported"):
        store.publish(source, Key(b"clip.mov"))
    assert source.read_bytes() == b"precious"
    assert list(root.iterdir()) == []


def test_another_file_under_the_key_is_no_end_of_an_interrupted_publish(store: LocalStore, tmp_path: Path) -> None:
    store.publish(staged(tmp_path, b"same bytes"), CLIP)
    with pytest.raises(Conflict):
        store.publish(staged(tmp_path, b"same bytes"), CLIP)


# --- reading ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"longer than before"),
        lambda path: os.truncate(path, 0),
        lambda path: os.utime(path, ns=(0, 1)),
    ],
    ids=["grows", "truncated", "touched"],
)
def test_a_file_that_changes_while_it_is_hashed(
    change: Callable[[Path], object], root: Path, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = root / "clip.mov"
    path.write_bytes(b"before")
    real = os.preadv
    changes = iter([change])

    def preadv(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        count = real(descriptor, buffers, offset)
        for each in changes:
            each(path)
        return count

    monkeypatch.setattr(os, "preadv", preadv)
    with pytest.raises(Unavailable, match=r"clip\.mov': changed while it was read"):
        store.hash(Key(b"clip.mov"))
    assert store.hash(Key(b"clip.mov")).fact == store.stat(Key(b"clip.mov"))


def test_hashing_leaves_the_access_time_of_a_read_only_store_alone(root: Path) -> None:
    path = root / "clip.mov"
    path.write_bytes(b"x")
    os.utime(path, ns=(1, 2_000_000_000))  # relatime would update an access time before the modification
    LocalStore(root, StoreKind.READ_ONLY).hash(Key(b"clip.mov"))
    assert path.stat().st_atime_ns == 1


def test_files_that_may_not_be_read(root: Path) -> None:
    make_tree(root, ["open/file", "closed/file", "secret"])
    (root / "secret").chmod(0)
    (root / "closed").chmod(0)
    store = LocalStore(root, StoreKind.READ_ONLY)
    try:
        with as_nobody(root):
            met = {found.key: found for found in store.walk()}
            for key in (Key(b"secret"), Key(b"closed/file")):
                with pytest.raises(Unavailable, match="permission denied; give the user that runs damfs access"):
                    store.hash(key)
            assert store.hash(Key(b"open/file")).size == 1
    finally:
        (root / "closed").chmod(0o755)
    assert set(met) == {b"open/file", b"closed", b"secret"}
    problem = met[Key(b"closed")]
    assert isinstance(problem, WalkProblem)
    assert "permission denied" in problem.reason


def test_reading_what_belongs_to_somebody_else(root: Path) -> None:
    """O_NOATIME is for owners; the others just read."""
    make_tree(root, ["file"])
    with as_nobody(root):
        assert LocalStore(root, StoreKind.READ_ONLY).hash(Key(b"file")).size == 1


# --- walking ---------------------------------------------------------------------------------------------------


def make_tree(root: Path, names: list[str]) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_walk_meets_every_file_once(root: Path, store: LocalStore) -> None:
    names = ["a", "b/c", "b/d/e/f", "b/d/e.mov", "naïve/ü", "with space/x y", "new\nline/x"]
    make_tree(root, names)
    (root / "empty").mkdir()
    met = list(store.walk())
    assert sorted(found.key for found in met) == sorted(name.encode() for name in names)
    assert all(found == store.stat(found.key) for found in met)


def test_walk_follows_no_link_and_no_loop(root: Path, store: LocalStore) -> None:
    make_tree(root, ["folder/file"])
    (root / "folder/loop").symlink_to(root)
    (root / "file link").symlink_to("folder/file")
    (root / "dangling").symlink_to("nowhere")
    met = {found.key: found for found in store.walk()}
    assert isinstance(met.pop(Key(b"folder/file")), FileFact)
    links = {Key(b"folder/loop"), Key(b"file link"), Key(b"dangling")}
    assert met == {key: WalkProblem(key, "a symbolic link, not followed") for key in links}


def test_walk_reports_what_is_no_file(root: Path, store: LocalStore) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "socket"))
        met = set(store.walk())
    reason = "a socket, pipe or device, not a file"
    assert met == {WalkProblem(Key(b"pipe"), reason), WalkProblem(Key(b"socket"), reason)}


def test_walk_goes_on_when_a_folder_vanishes(root: Path, store: LocalStore) -> None:
    make_tree(root, [f"{number}/file" for number in range(5)])
    walk = store.walk()
    met = [next(walk)]
    left = next(folder for folder in root.iterdir() if not met[0].key.startswith(folder.name.encode()))
    (left / "file").unlink()
    left.rmdir()
    met += walk
    (problem,) = [found for found in met if isinstance(found, WalkProblem)]
    assert problem == WalkProblem(Key(left.name.encode()), f"'{left}': no such file")
    assert len(met) == 5


@contextmanager
def nested(root: Path, name: str, depth: int) -> Iterator[None]:
    """Folders in folders, with a file in the last; taken away by rm, because Python's rmtree recurses."""
    folder = os.open(root, os.O_RDONLY)
    try:
        for _ in range(depth):
            os.mkdir(name, dir_fd=folder)
            outer, folder = folder, os.open(name, os.O_RDONLY, dir_fd=folder)
            os.close(outer)
        os.close(os.open("deep", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
        yield
    finally:
        os.close(folder)
        subprocess.run(["rm", "-r", root / name], check=True)


def test_walk_is_not_bound_by_recursion(root: Path, store: LocalStore) -> None:
    with nested(root, "d", 1500):
        (found,) = store.walk()
        assert found == store.stat(found.key)
        assert found.key.count(b"/") == 1500


def test_a_path_too_long_for_the_system_is_a_problem_not_an_end(root: Path, store: LocalStore) -> None:
    make_tree(root, ["a/file"])
    with nested(root, "d" * 250, 20):
        met = list(store.walk())
    assert [found.key for found in met if isinstance(found, FileFact)] == [b"a/file"]
    (problem,) = [found for found in met if isinstance(found, WalkProblem)]
    assert "too long" in problem.reason


def test_walk_leaves_out_the_mountpoint(root: Path) -> None:
    make_tree(root, ["file", "dam/by-tag/x", "elsewhere/dam/file"])
    store = LocalStore(root, StoreKind.READ_ONLY, skip=frozenset({root / "dam", Path("/nowhere")}))
    assert {found.key for found in store.walk()} == {b"file", b"elsewhere/dam/file"}


def test_a_root_that_is_a_link_is_the_folder_it_leads_to(root: Path, tmp_path: Path) -> None:
    make_tree(root, ["file"])
    (tmp_path / "link").symlink_to(root)
    store = LocalStore(tmp_path / "link", StoreKind.READ_ONLY)
    assert [found.key for found in store.walk()] == [b"file"]
    assert store.hash(Key(b"file")).size == 1


def test_a_root_that_is_a_file_is_offline(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = LocalStore(tmp_path / "file", StoreKind.READ_ONLY)
    assert not store.online()
    with pytest.raises(Unavailable):
        list(store.walk())


def test_every_error_is_one_line_that_names_the_path() -> None:
    for number in (2, 5, 13, 17, 28, 30, 116, 122, 999):
        error = disk_errors.translated(OSError(number, "x"), b"/store/a\nb\xff")
        assert isinstance(error, DamfsError)
        assert "'/store/a\\nb\\udcff'" in str(error)
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (StoreKind.WRITABLE, {b".damfs-trash/7-x.mov", b".mine/x.mov", b"a/.damfs-trash/8-y.mov"}),
        (StoreKind.READ_ONLY, set()),
    ],
)
def test_a_walk_passes_hidden_folders_by_but_for_those_of_the_writable_store(
    root: Path, kind: StoreKind, wanted: set[bytes]
) -> None:
    for name in (".damfs-trash/7-x.mov", ".mine/x.mov", "a/.damfs-trash/8-y.mov", ".damfs-staging/9"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    assert {found.key for found in LocalStore(root, kind).walk()} == wanted
