"""New files whose first bytes the native module writes: the same results as without it, whatever else is done to them.

Each test runs with the module and without it.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from damfs.presentation.fuse import native
from tests.mount.conftest import serving
from tests.mount.daemon_process import Daemon, rows, run, until

SEVERAL = 5
BEGINNING = 128 << 10
"""What is behind is written by Python."""


@pytest.fixture(scope="module", params=["native", "plain"])
def dam(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    environment = {native.SWITCH: native.OFF} if request.param == "plain" else {}
    with serving(tmp_path_factory.mktemp("receiving")) as serve:
        yield serve(environment=environment).start()


def create(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o640)


def seen_by_another(path: Path) -> bytes:
    """As another process has it, and its size as a listing tells it."""
    code = "import os,sys; p=sys.argv[1]; sys.stdout.buffer.write(open(p,'rb').read()); print(os.stat(p).st_size)"
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, check=True, timeout=60)
    content, size = done.stdout[: os.stat(path).st_size], int(done.stdout[os.stat(path).st_size :])
    assert size == len(content)
    return content


def test_what_was_written_is_there_at_once(dam: Daemon) -> None:
    path = dam / "inbox/at-once.bin"
    fd = create(path)
    assert os.write(fd, b"first") == 5
    assert seen_by_another(path) == b"first"
    assert os.pread(fd, 10, 0) == b"first"
    os.pwrite(fd, b"behind a hole", 1000)
    os.pwrite(fd, b"F", 0)
    expected = b"First" + bytes(995) + b"behind a hole"
    assert seen_by_another(path) == expected
    os.fsync(fd)
    os.close(fd)
    assert path.read_bytes() == expected
    dam.settled()
    assert path.read_bytes() == expected


def test_its_attributes_are_those_of_the_catalog(dam: Daemon) -> None:
    """While it is written, when it was closed, and when it is sealed; and the time of its directory."""
    path = dam / "inbox/attributes.bin"
    fd = create(path)
    os.write(fd, b"x" * 1234)
    written = os.fstat(fd)
    os.close(fd)
    closed, folder = path.stat(), (dam / "inbox").stat()
    assert (closed.st_size, closed.st_blocks, closed.st_mode & 0o777) == (1234, 3, 0o640)
    assert closed == written
    dam.settled()
    ((size, mtime_ns, made_ns),) = rows(
        dam.library, "SELECT size, mtime_ns, created_ns FROM asset WHERE name = 'attributes.bin'"
    )
    assert (size, mtime_ns) == (closed.st_size, closed.st_mtime_ns)
    assert folder.st_mtime_ns == made_ns
    sealed = path.stat()
    assert (sealed.st_mtime_ns, sealed.st_size, sealed.st_ino) == (closed.st_mtime_ns, 1234, closed.st_ino)


def test_the_directory_moves_on_with_each_new_file(dam: Daemon) -> None:
    times = []
    for number in range(SEVERAL):
        os.close(create(dam / f"inbox/moves-{number}.bin"))
        times.append((dam / "inbox").stat().st_mtime_ns)
    assert times == sorted(set(times))
    assert len(os.listdir(dam / "inbox")) >= SEVERAL  # so that the catalog has all of them
    made = rows(dam.library, "SELECT created_ns FROM asset WHERE name LIKE 'moves-%' ORDER BY name")
    assert times == [at_ns for (at_ns,) in made]
    (dam / "inbox/moves-0.bin").unlink()
    assert (dam / "inbox").stat().st_mtime_ns > times[-1]


def test_a_time_and_a_mode_that_are_set_while_it_is_written(dam: Daemon) -> None:
    path = dam / "inbox/dated.bin"
    fd = create(path)
    os.write(fd, b"some")
    os.utime(path, ns=(10**18, 10**18))
    os.fchmod(fd, 0o600)
    assert path.stat().st_mtime_ns == 10**18
    os.close(fd)
    dam.settled()
    assert path.stat().st_mtime_ns == 10**18
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == b"some"


def test_it_is_cut_and_written_on(dam: Daemon) -> None:
    path = dam / "inbox/cut.bin"
    fd = create(path)
    os.write(fd, b"0123456789")
    os.ftruncate(fd, 4)
    assert path.stat().st_size == 4
    os.pwrite(fd, b"xy", 2)
    os.close(fd)
    assert path.stat().st_size == 4
    dam.settled()
    assert path.read_bytes() == b"01xy"


def test_two_write_it(dam: Daemon) -> None:
    path = dam / "inbox/two.bin"
    one = create(path)
    os.write(one, b"aaaa")
    other = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(other, b"bb")
    os.write(one, b"c")
    os.close(one)
    os.write(other, b"dd")
    assert path.stat().st_size == 8
    os.close(other)
    dam.settled()
    assert path.read_bytes() == b"aaaacbdd"


def test_what_is_longer_goes_both_ways(dam: Daemon) -> None:
    path, content = dam / "inbox/longer.bin", os.urandom(3 * BEGINNING + 17)
    fd = create(path)
    for start in reversed(range(0, len(content), 50_000)):
        os.pwrite(fd, content[start : start + 50_000], start)
    assert path.stat().st_size == len(content)
    os.close(fd)
    assert seen_by_another(path) == content
    dam.settled()
    assert path.read_bytes() == content


def test_it_is_renamed_removed_and_made_again_while_it_is_open(dam: Daemon) -> None:
    path = dam / "inbox/renamed.bin"
    fd = create(path)
    os.write(fd, b"one")
    path.rename(dam / "inbox/other.bin")
    os.write(fd, b"two")
    again = create(path)
    os.write(again, b"three")
    path.unlink()
    os.write(again, b"four")
    assert os.fstat(again).st_nlink == 0
    assert os.pread(again, 99, 0) == b"threefour"
    os.close(again)
    os.close(fd)
    dam.settled()
    assert (dam / "inbox/other.bin").read_bytes() == b"onetwo"
    assert not path.exists()


def test_it_is_saved_over_an_original_while_it_is_open(dam: Daemon) -> None:
    path, temporary = dam / "inbox/saved.bin", dam / "inbox/saved.bin.tmp"
    path.write_bytes(b"before")
    dam.settled()
    fd = create(temporary)
    os.write(fd, b"after")
    temporary.replace(path)
    os.write(fd, b"wards")
    os.close(fd)
    dam.settled()
    assert path.read_bytes() == b"afterwards"


def test_a_writer_without_the_right_to_it_takes_set_user_ids_away(dam: Daemon) -> None:
    path = dam / "inbox/set-user-id.bin"
    fd = create(path)
    os.write(fd, b"one")
    os.fchmod(fd, 0o4755)
    os.write(fd, b"two")
    os.close(fd)
    dam.settled()
    assert path.read_bytes() == b"onetwo"
    assert path.stat().st_mode & 0o7777 == (0o4755 if os.geteuid() == 0 else 0o755)


def test_many_are_open_at_once(dam: Daemon) -> None:
    """More than the module looks after."""
    paths = [dam / f"inbox/open-{number}.bin" for number in range(50)]
    fds = [create(path) for path in paths]
    for turn in range(3):
        for number, fd in enumerate(fds):
            os.write(fd, b"%d.%d " % (number, turn))
    for fd in fds:
        os.close(fd)
    dam.settled()
    for number, path in enumerate(paths):
        assert path.read_bytes() == b"".join(b"%d.%d " % (number, turn) for turn in range(3))


def test_copies_of_several_programs(dam: Daemon, tmp_path: Path) -> None:
    for program in range(3):
        (tmp_path / str(program)).mkdir()
        for number in range(20):
            (tmp_path / str(program) / f"by-{program}-{number}.bin").write_bytes(os.urandom(1 + 7000 * number))
    programs = [
        subprocess.Popen(["cp", "-t", dam / "inbox", *(tmp_path / str(program)).iterdir()]) for program in range(3)
    ]
    assert [program.wait(60) for program in programs] == [0, 0, 0]
    dam.settled()
    for path in tmp_path.glob("*/*.bin"):
        run("cmp", path, dam / "inbox" / path.name)


def present(dam: Daemon, name: str) -> int:
    return len(rows(dam.library, "SELECT 1 FROM asset WHERE state = 'present' AND name GLOB ?", name))


def has_arrived(dam: Daemon, name: str) -> bool:
    return present(dam, name) == 1


def test_files_that_are_closed_one_after_the_other_all_arrive(dam: Daemon, tmp_path: Path) -> None:
    """Python may hear of a close later than of what comes next; nobody has to ask for the last ones."""
    contents = {f"held-{each}.dat": b"held %d" % each for each in range(40)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    run("cp", "-t", dam / "inbox", *(tmp_path / name for name in contents))
    until(lambda: present(dam, "held-*") == len(contents), "each of the files is an asset")
    assert {name: (dam / "inbox" / name).read_bytes() for name in contents} == contents


def test_a_close_is_heard_of_when_somebody_has_looked_around_after_it_and_nothing_comes(dam: Daemon) -> None:
    for each in range(10):
        (dam / f"inbox/close-then-look-{each}.dat").write_bytes(b"bytes of its own, then a look %d" % each)
        assert not (dam / f"inbox/nothing-of-the-kind-{each}").exists()
        until(functools.partial(has_arrived, dam, f"close-then-look-{each}.dat"), "it is an asset")


def test_who_looks_around_all_the_time_does_not_hold_a_close(dam: Daemon) -> None:
    program = "import os,sys\nwhile True: os.path.exists(f'{sys.argv[1]}/{os.urandom(8).hex()}')"
    looking = subprocess.Popen([sys.executable, "-c", program, dam / "inbox"])
    try:
        (dam / "inbox/looked-around.dat").write_bytes(b"bytes of its own, looked around")
        until(lambda: present(dam, "looked-around.dat") == 1, "the file is an asset")
    finally:
        looking.kill()
        looking.wait()
