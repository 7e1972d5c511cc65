"""What the kernel does by itself: reading originals and renditions, keeping listings. And that without the module, or
without the capability for it, everything works the ordinary way and says why."""

from __future__ import annotations

import mmap
import os
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from damfs.presentation.fuse import native
from tests.mount.conftest import Serve, serving
from tests.mount.daemon_process import STATEMENTS, Daemon, damfs, operations, rows, run, until
from tests.sample_media import h264

ROOT = Path(__file__).parent.parent.parent
MEBIBYTE = 1 << 20
SEEN_S = 90.0
CAP_SYS_ADMIN = 21
COPIES = 8
"""Of which one is not disturbed."""


@pytest.fixture(scope="module")
def dam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A mounted library with all that the machine allows."""
    with serving(tmp_path_factory.mktemp("native")) as serve:
        yield serve().start()


@pytest.fixture
def plain(serve: Serve) -> Daemon:
    return serve(environment={native.SWITCH: native.OFF}).start()


def received(dam: Daemon, name: str, content: bytes) -> Path:
    """A file of the inbox that is an asset."""
    path = dam / f"inbox/{name}"
    path.write_bytes(content)
    dam.settled()
    return path


def calls(dam: Daemon, act: Callable[[], object]) -> Counter[str]:
    """How often the daemon was called for something, by operation; but for the calls that asking costs."""
    first, second = dam.stats(), dam.stats()
    act()
    return Counter(operations(second, dam.stats())) - Counter(operations(first, second))


def check_not_read(dam: Daemon, act: Callable[[], object], opens: int) -> None:
    """That the kernel did it alone; on a machine without passthrough, that it was done."""
    called = calls(dam, act)
    assert called["open"] == opens
    if passes_through(dam):
        assert called["read"] == 0


def passes_through(dam: Daemon) -> bool:
    return dam.status().native.startswith("passthrough on")


def until_made_without_asking(dam: Daemon, directory: Path) -> None:
    """Of the first files one is made by Python, and each of which the name was asked for before another's commit; from
    a few on every name is known, and nothing that is committed beside them matters."""
    directory.mkdir()
    rounds = count()

    def is_without_asking() -> bool:
        number = next(rounds)
        files = [directory / f"first-{number}-{each}.dat" for each in range(4)]
        for file in files:
            file.write_text(file.name)
        called = calls(dam, lambda: run("cp", "-t", dam / "inbox", *files))
        dam.settled()
        return not called["create"] + called["lookup"]

    until(is_without_asking, "the daemon knows every name of the inbox")


def test_what_always_has_one_answer_never_reaches_python(dam: Daemon, tmp_path: Path) -> None:
    """The kernel asks for capabilities before the first write of each file, and tells of each close."""
    until_made_without_asking(dam, tmp_path / "before")
    names = [f"so-{number}.dat" for number in range(6)]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    before = dam.stats()["damfs_native_answers_total"]
    called = calls(dam, lambda: run("cp", "-t", dam / "inbox", *(tmp_path / name for name in names)))
    assert not called["create"] + called["write"] + called["flush"] + called["getxattr"]
    assert dam.stats()["damfs_native_answers_total"] - before >= 3 * len(names)
    dam.settled()
    assert [(dam / "inbox" / name).read_text() for name in names] == names


def test_a_small_file_costs_few_calls_and_statements(dam: Daemon, tmp_path: Path) -> None:
    """Where cp waits for a processor between its calls, each file is sealed alone, and what is committed between two
    calls makes the kernel ask again: of several copies one costs what it has to."""
    until_made_without_asking(dam, tmp_path / "before")
    number, rounds, told = 60, count(), list[str]()

    def is_cheap() -> bool:
        files = [tmp_path / f"cheap-{next(rounds)}.dat" for _ in range(number)]
        for file in files:
            file.write_text(f"bytes of its own, {file.name}")
        before = dam.stats_at_rest()
        run("cp", "-t", dam / "inbox", *files)
        dam.settled()
        after = dam.stats()  # one look: each is counted as well
        called, statements = operations(before, after), after[STATEMENTS] - before[STATEMENTS]
        assert not {"create", "write"} & called.keys(), str(called)
        told.append(f"{called}, {statements} statements")
        return (
            called.get("lookup", 0) <= 0.5 * number  # until every name is known, and of those who look at the counters
            and called.get("getattr", 0) <= 0.2 * number  # of two a file; none unless something else is committed
            and statements <= 15 * number  # some nine, and what was run beside
        )

    assert any(is_cheap() for _ in range(COPIES)), "\n".join(told)


def test_a_name_that_is_not_there_is_asked_for_once_until_something_changes(dam: Daemon) -> None:
    """With O_EXCL the kernel asks again before it makes a file. What another has made meanwhile is found."""
    (dam / "by-tag/asked").mkdir()  # of no other place but the inbox is every name known
    names = (f"asked-{number}.dat" for number in count())

    def is_asked_once() -> bool:
        new = dam / "by-tag/asked" / next(names)

        def made() -> None:
            assert not new.exists()
            os.close(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL))

        return calls(dam, made)["lookup"] == 1

    until(is_asked_once, "nothing else is committed between the two questions, and the directory is known")
    path = dam / "inbox/an-new.dat"
    for _ in range(3):
        assert not path.exists()
        run("cp", "/etc/hostname", path)
        with pytest.raises(FileExistsError):
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        dam.settled()
        path.unlink()
        with pytest.raises(FileNotFoundError):
            os.open(path, os.O_RDONLY)


def same_bytes(path: Path, content: bytes) -> None:
    assert path.read_bytes() == content


def read_past_the_cache(path: Path, content: bytes) -> None:
    """O_DIRECT wants memory that begins with a page: a mapping."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
    try:
        with mmap.mmap(-1, MEBIBYTE) as page:
            assert os.preadv(fd, [page], 0) == MEBIBYTE
            assert page[:] == content[:MEBIBYTE]
    finally:
        os.close(fd)


def ls(path: Path) -> list[str]:
    return run("ls", "-U", path).stdout.split()


def built() -> bool:
    folder = Path(native.__file__).parent
    return native.SWITCH not in os.environ and any(folder.glob(f"{native.MODULE}*.so"))


def kernel_offers() -> bool:
    major, minor = (int(part) for part in os.uname().release.split(".")[:2])
    return (major, minor) >= (6, 9)


def has_sys_admin() -> bool:
    """And outside of every user namespace."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    everyone = Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]
    return bool(int(status["CapEff"], 16) >> CAP_SYS_ADMIN & 1) and everyone


def test_it_is_on_where_the_machine_has_what_it_needs_and_says_why_not_elsewhere(dam: Daemon) -> None:
    told = dam.status().native
    if built() and kernel_offers() and has_sys_admin():
        assert told == "passthrough on, listings kept by the kernel"
    else:
        assert re.match(r"passthrough off \(.{15,}\), listings ", told)


def test_what_is_read_never_reaches_the_daemon(dam: Daemon) -> None:
    content = os.urandom(9 * MEBIBYTE + 123)
    path = received(dam, "big.bin", content)
    original = next((dam.library / "originals").rglob("big.bin"))

    def read() -> None:
        same_bytes(path, content)
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            assert mapped[:] == content
            assert os.pread(file.fileno(), 10, len(content) - 5) == content[-5:]
        run("cmp", original, path)

    check_not_read(dam, read, opens=3)


def test_a_mapping_outlives_its_handle(dam: Daemon) -> None:
    path = received(dam, "mapped.bin", b"mapped" * 9999)
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
    assert path.read_bytes() == b"mapped" * 9999
    with mapped:
        assert mapped[:] == b"mapped" * 9999


def test_many_files_at_once_and_each_inode_many_times(dam: Daemon) -> None:
    contents = {f"many-{number}.bin": os.urandom(40_000 + number) for number in range(60)}
    for name, content in contents.items():
        (dam / f"inbox/{name}").write_bytes(content)
    dam.settled()

    def read(name: str) -> bool:
        with (dam / f"inbox/{name}").open("rb") as one, (dam / f"untagged/{name}").open("rb") as two:
            return one.read() == two.read() == contents[name]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, list(contents) * 5))


def test_a_draft_that_is_read_while_it_is_sealed(dam: Daemon) -> None:
    """Its inode goes the ordinary way as long as the reader is there, and is passed through afterwards."""
    path, content = dam / "inbox/sealed.bin", os.urandom(300_000)
    with path.open("wb") as writer:
        writer.write(content[:1000])
        writer.flush()
        reader = path.open("rb")
        assert reader.read(1000) == content[:1000]
        writer.write(content[1000:])
    with reader:
        dam.settled()
        assert path.read_bytes() == content
        assert reader.read() == content[1000:]
    check_not_read(dam, lambda: same_bytes(path, content), opens=1)


def test_new_bytes_of_an_original_that_is_open(dam: Daemon, tmp_path: Path) -> None:
    """Who had it open keeps the old bytes; who opens it now gets the new ones, though it is the same inode."""
    folder = tmp_path / "Edited"
    folder.mkdir()
    (folder / "cut.bin").write_bytes(b"old" * 50_000)
    dam.add(folder)
    dam.settled()
    path = dam / "originals/Edited/cut.bin"
    with path.open("rb") as before:
        assert before.read(3) == b"old"
        (folder / "new").write_bytes(b"new" * 60_000)
        (folder / "new").replace(folder / "cut.bin")
        dam.scan("Edited")
        dam.settled()
        with path.open("rb") as after:
            assert os.fstat(after.fileno()).st_ino == os.fstat(before.fileno()).st_ino
            assert after.read() == b"new" * 60_000
        if passes_through(dam):  # the ordinary way both read the inode's one page cache
            assert before.read() == (b"old" * 50_000)[3:]
    assert path.read_bytes() == b"new" * 60_000


def test_a_rendition_is_passed_through(dam: Daemon, tmp_path: Path) -> None:
    folder = tmp_path / "Shot"
    folder.mkdir()
    h264(folder / "clip.mp4", seconds=0.6)
    dam.add(folder)
    dam.idle()
    (proxy,) = (path for path in (dam / "proxies/Shot").iterdir() if path.is_file())
    made = {path.read_bytes() for path in (dam.library / "state/renditions").rglob("*") if path.is_file()}
    (content,) = (each for each in made if len(each) == proxy.stat().st_size)
    check_not_read(dam, lambda: same_bytes(proxy, content), opens=1)


def tag(dam: Daemon, name: str, term: str) -> None:
    """By another door than the mount."""
    damfs("tag", dam / f"inbox/{name}", term)


def test_a_repeated_listing_stays_in_the_kernel(dam: Daemon) -> None:
    received(dam, "kept.txt", b"kept")
    (dam / "by-tag/kept").mkdir()
    tag(dam, "kept.txt", "kept")
    until(lambda: ls(dam / "by-tag/kept") == ["kept.txt"], "listed", SEEN_S)

    def stays() -> bool:
        called = calls(dam, lambda: [ls(dam / "by-tag/kept") for _ in range(5)])
        assert called["opendir"] == 5
        return called["readdir"] == 0

    if dam.status().native.endswith("listings kept by the kernel"):
        until(stays, "asked once after the last notice, and not again")
    assert ls(dam / "by-tag/kept") == ["kept.txt"]


def test_a_change_is_seen_in_a_kept_listing(dam: Daemon) -> None:
    for name in ("one.txt", "two.txt"):
        received(dam, name, name.encode())
    (dam / "by-tag/seen").mkdir()
    tag(dam, "one.txt", "seen")
    until(lambda: ls(dam / "by-tag/seen") == ["one.txt"], "the first", SEEN_S)
    assert ls(dam / "by-tag/seen") == ["one.txt"]
    tag(dam, "two.txt", "seen")
    until(lambda: sorted(ls(dam / "by-tag/seen")) == ["one.txt", "two.txt"], "the second", SEEN_S)
    (dam / "by-tag/seen/one.txt").unlink()
    assert ls(dam / "by-tag/seen") == ["two.txt"]
    (dam / "by-tag/seen/two.txt").rename(dam / "by-tag/seen/three.txt")
    assert ls(dam / "by-tag/seen") == ["three.txt"]
    until(lambda: "three.txt" in ls(dam / "inbox") and "two.txt" not in ls(dam / "inbox"), "renamed", SEEN_S)


def test_listings_of_ranks_are_not_kept(dam: Daemon) -> None:
    received(dam, "ranked.txt", b"ranked")
    place = dam / "similar-to/ranked.txt"
    ls(place)
    assert calls(dam, lambda: ls(place))["readdir"] > 0


def test_a_kept_listing_that_shrinks_under_its_reader(dam: Daemon, tmp_path: Path) -> None:
    """As with `rm -r`: every name is told exactly once, whatever was removed of what was told."""
    folder = tmp_path / "Crowd"
    folder.mkdir()
    count = 800
    for number in range(count):
        (folder / f"a-name-that-fills-the-buffer-{number:05}.txt").write_text(str(number))
    dam.add(folder)
    dam.settled(90)
    (dam / "by-tag/crowd").mkdir()
    with os.scandir(folder) as found:
        names = sorted(entry.name for entry in found)
    for name in names:
        os.link(dam / f"originals/Crowd/{name}", dam / f"by-tag/crowd/{name}")
    place = dam / "by-tag/crowd"
    until(lambda: len(ls(place)) == count, "all tagged", SEEN_S)
    assert len(ls(place)) == count
    seen = []
    with os.scandir(place) as entries:
        for entry in entries:
            seen.append(entry.name)
            if len(seen) % 2:
                (place / entry.name).unlink()
            if len(seen) == 100:
                ls(place)  # has the kernel keep the listing of now instead
    assert sorted(seen) == names
    assert sorted(ls(place)) == sorted(seen[1::2])


def test_after_quiet_every_kept_listing_is_what_the_catalog_says(dam: Daemon) -> None:
    names = [f"busy-{number}.txt" for number in range(40)]
    for name in names:
        (dam / f"inbox/{name}").write_text(name)
    dam.settled()
    place = dam / "by-tag/busy"
    place.mkdir()
    quiet = threading.Event()

    def write(mine: list[str]) -> None:
        for turn in range(12):
            for name in mine:
                if turn % 3 != 1:
                    os.link(dam / f"inbox/{name}", place / name)
                if turn % 3 != 0:
                    (place / name).unlink()

    def read() -> int:
        number = 0
        while not quiet.is_set():
            ls(place)
            number += 1
        return number

    with ThreadPoolExecutor(6) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        writers = [pool.submit(write, names[start::2]) for start in range(2)]
        try:
            for writer in writers:
                writer.result()
            for name in names[::3]:
                os.link(dam / f"inbox/{name}", place / name)
        finally:
            quiet.set()
        assert all(reader.result() > 3 for reader in readers)
    tagged = "SELECT asset FROM tagging JOIN term ON term.id = tagging.term WHERE term.name = ?"
    told = {str(name) for (name,) in rows(dam.library, f"SELECT name FROM asset WHERE id IN ({tagged})", "busy")}
    assert told == set(names[::3])
    until(lambda: set(ls(place)) == told, "what the catalog says", SEEN_S)
    assert set(ls(place)) == told


def test_without_the_module_everything_works_and_says_why(plain: Daemon) -> None:
    content = os.urandom(2 * MEBIBYTE)
    path = received(plain, "plain.bin", content)
    same_bytes(path, content)
    assert calls(plain, lambda: [ls(plain / "inbox") for _ in range(3)])["readdir"] >= 3
    assert calls(plain, lambda: read_past_the_cache(path, content))["read"] > 0
    assert plain.status().native == "passthrough off (switched off by DAMFS_NATIVE=off), listings not kept"
    assert "switched off" in (plain / ".damfs/status").read_text()


UNPRIVILEGED = """
import sys
from pathlib import Path
from tests.mount.conftest import serving
with serving(Path(sys.argv[1])) as serve:
    dam = serve().start()
    (dam / "inbox/x.bin").write_bytes(b"x" * 99999)
    dam.settled()
    assert (dam / "inbox/x.bin").read_bytes() == b"x" * 99999
    print(dam.status().native)
"""


def test_without_the_module_the_kernel_asks_for_a_megabyte_at_once(plain: Daemon) -> None:
    content = os.urandom(16 * MEBIBYTE)
    path = received(plain, "long.bin", content)

    def read_anew() -> None:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            assert file.read() == content

    asked = calls(plain, read_anew)["read"]
    by_default = len(content) // (128 << 10)
    assert len(content) // MEBIBYTE <= asked <= (by_default // 4 if os.geteuid() == 0 else by_default + 8)


def test_where_the_kernel_refuses_passthrough_files_are_read_the_ordinary_way(tmp_path: Path) -> None:
    """In a user namespace root may mount FUSE but has no capability that counts outside. Others never have it."""
    confined = ["unshare", "-Urm"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*confined, sys.executable, "-c", UNPRIVILEGED, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("passthrough off (")
    if built() and kernel_offers():
        assert "CAP_SYS_ADMIN" in done.stdout
        assert "listings kept by the kernel" in done.stdout
