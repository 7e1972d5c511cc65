"""Files that the native module makes before the catalog knows of them: nobody sees a difference, whatever happens."""

from __future__ import annotations

import functools
import itertools
import json
import os
import random
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from damfs.integration.client import call
from damfs.integration.wire import RestoreAssets, Tag, UndoLast
from damfs.model import AssetId
from damfs.presentation.views.names import qualified
from tests.mount.conftest import Serve
from tests.mount.daemon_process import Daemon, damfs, drawn_seed, lists, rows, run, until
from tests.mount.test_live import watching
from tests.mount.test_native import calls

SEVERAL = 8
"""After which the module knows every name of the directory."""
ID_MASK = (1 << 56) - 1
SEEN_S = 90.0
_numbers = itertools.count()


@pytest.fixture(scope="module")
def dam(shared: Daemon) -> Daemon:
    return warm(shared)


def warm(dam: Daemon) -> Daemon:
    """The module makes files from now on: it knows every name, which it learns after some files."""
    until(lambda: knows_every_name(dam), "Python is not asked whether a name is there")
    dam.settled()
    return dam


def knows_every_name(dam: Daemon) -> bool:
    make(dam, *(f"warm-{next(_numbers)}.dat" for _ in range(3)))
    path = dam / f"inbox/absent-{next(_numbers)}.dat"
    return calls(dam, path.exists)["lookup"] == 0


def create(path: Path, mode: int = 0o644) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)


def make(dam: Daemon, *names: str) -> None:
    """As cp does; but for the first, the module makes them."""
    for name in names:
        with open(create(dam / f"inbox/{name}"), "wb", buffering=0) as file:
            file.write(b"bytes of " + name.encode())


def made_by_module(dam: Daemon, *names: str) -> None:
    """And the test really is about that."""
    assert calls(dam, lambda: make(dam, *names))["create"] <= 1


def catalogued(dam: Daemon) -> list[str]:
    """Names of what is in the inbox."""
    found = rows(
        dam.library, "SELECT name FROM asset WHERE NOT triaged AND state IN ('present', 'receiving') ORDER BY name"
    )
    return [str(name) for (name,) in found]


def check_unharmed(dam: Daemon) -> None:
    assert dam.stats().get("damfs_fuse_unexpected_errors_total", 0) == 0, dam.log()


# --- names ----------------------------------------------------------------------------------------------------


def exists_by_every_question(path: Path) -> bool:
    """Whether it is there; whichever way one asks, it is the same."""
    seen = path.exists()
    try:
        os.close(os.open(path, os.O_RDONLY))
    except FileNotFoundError:
        assert not seen, f"{path.name} is there for stat, not for open"
    else:
        assert seen, f"{path.name} is there for open, not for stat"
    return seen


def check_taken(path: Path) -> None:
    """The name is there: nobody makes another, and who opens it gets what is there."""
    inode = path.stat().st_ino
    with pytest.raises(FileExistsError):
        create(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    assert os.fstat(fd).st_ino == inode
    os.close(fd)
    assert exists_by_every_question(path)
    assert os.listdir(path.parent).count(path.name) == 1


def check_free(path: Path) -> None:
    """The name is not there: who makes it gets a new file."""
    assert not exists_by_every_question(path)
    os.close(create(path))
    path.unlink()


def come_by_rename(dam: Daemon, name: str) -> None:
    make(dam, f"{name}.before")
    (dam / f"inbox/{name}.before").rename(dam / f"inbox/{name}")


def come_out_of_the_trash(dam: Daemon, name: str) -> None:
    make(dam, name)
    dam.settled()
    files = dam / f".Trash-{os.getuid()}/files"
    (dam / f"inbox/{name}").rename(files / name)
    check_free(dam / f"inbox/{name}")
    (files / name).rename(dam / f"inbox/{name}")


def come_by_command_out_of_the_trash(dam: Daemon, name: str) -> None:
    make(dam, name)
    dam.settled()
    (dam / f"inbox/{name}").unlink()
    assert not exists_by_every_question(dam / f"inbox/{name}")
    call(dam.library, RestoreAssets(names=(name,)))
    until((dam / f"inbox/{name}").exists, "the kernel has heard that it is there again")


def come_by_undo(dam: Daemon, name: str) -> None:
    make(dam, name)
    dam.settled()
    (dam / "by-tag/undone").mkdir()
    (dam / f"inbox/{name}").rename(dam / f"by-tag/undone/{name}")
    assert not exists_by_every_question(dam / f"inbox/{name}")
    call(dam.library, UndoLast())
    until((dam / f"inbox/{name}").exists, "the kernel has heard that it is there again")
    lists(dam / "by-tag/undone")


def come_by_another_program(dam: Daemon, name: str) -> None:
    run("sh", "-c", 'umask 077; echo text > "$0"', dam / f"inbox/{name}")


def come_by_a_temporary_name(dam: Daemon, name: str) -> None:
    temporary = dam / f"inbox/{name}.tmp"
    temporary.write_text("text")
    temporary.replace(dam / f"inbox/{name}")


Way = Callable[[Daemon, str], object]
WAYS: list[Way] = [
    come_by_rename,
    come_out_of_the_trash,
    come_by_command_out_of_the_trash,
    come_by_undo,
    come_by_another_program,
    come_by_a_temporary_name,
]


@pytest.mark.parametrize("way", WAYS)
def test_a_name_that_came_is_taken_and_one_that_went_is_free(dam: Daemon, way: Way) -> None:
    name = f"{way.__name__}.dat"
    made_by_module(dam, f"one-{name}", f"two-{name}")
    way(dam, name)
    check_taken(dam / f"inbox/{name}")
    dam.settled()
    check_taken(dam / f"inbox/{name}")
    (dam / f"inbox/{name}").unlink()
    check_free(dam / f"inbox/{name}")
    make(dam, name)
    check_taken(dam / f"inbox/{name}")
    dam.settled()
    assert sorted(os.listdir(dam / "inbox")) == catalogued(dam)


ODD = (
    "NFD-e\u0301.dat", ".hidden.dat", "two words.dat", "UPPER.DAT", "upper.dat", "a", "ab", "abc",
    "x" * 251 + ".dat", "-dash.dat", "dots..dat", "ends.dat.", "_.dat", "tilde~zz.dat", "CON", "nul.txt", "a.part",
)  # fmt: skip


def test_odd_names_are_those_that_were_asked_for(dam: Daemon) -> None:
    """Each is made, there, and the same file by every question; whoever makes them."""
    make(dam, "odd-warm.dat")
    for number, name in enumerate(ODD):
        make(dam, name)
        check_odd(dam, name)
        make(dam, f"odd-{number}.dat")
    dam.settled()
    for name in ODD:
        check_odd(dam, name)
        assert (dam / f"inbox/{name}").read_bytes() == b"bytes of " + name.encode()
    assert sorted(os.listdir(dam / "inbox")) == catalogued(dam)


def check_odd(dam: Daemon, name: str) -> None:
    path = dam / f"inbox/{name}"
    assert exists_by_every_question(path)
    with pytest.raises(FileExistsError):
        create(path)
    assert os.listdir(dam / "inbox").count(unicodedata.normalize("NFC", name)) == 1


@pytest.mark.parametrize("name", ["Thumbs.db", "THUMBS.DB", "DESKTOP.INI", "autorun.inf", "AutoRun.Inf", "mach_kernel",
                                  "._clip.mov", ".DS_Store", ".Trash-7"])  # fmt: skip
def test_what_only_desktops_leave_behind_is_refused_as_ever(dam: Daemon, name: str) -> None:
    make(dam, f"beside-{name.replace('.', '-')}.dat")
    assert not exists_by_every_question(dam / f"inbox/{name}")
    with pytest.raises(PermissionError):
        create(dam / f"inbox/{name}")
    assert name not in os.listdir(dam / "inbox")


def test_a_name_that_is_too_long_is_refused_as_ever(dam: Daemon) -> None:
    with pytest.raises(OSError, match="File name too long"):
        create(dam / ("inbox/" + "y" * 252 + ".dat"))


def test_the_same_name_in_other_letters_is_another_file(dam: Daemon) -> None:
    made_by_module(dam, "Case.dat", "case.dat", "CASE.DAT")
    assert (dam / "inbox/CASE.DAT").read_bytes() == b"bytes of CASE.DAT"
    assert {"Case.dat", "case.dat", "CASE.DAT"} <= set(os.listdir(dam / "inbox"))


def test_a_qualified_name_leads_to_a_file_that_was_just_made(dam: Daemon) -> None:
    made_by_module(dam, "plain-1.dat", "qualified.dat")
    id_ = AssetId((dam / "inbox/qualified.dat").stat().st_ino & ID_MASK)
    make(dam, "plain-2.dat")
    path = dam / f"inbox/{qualified('qualified.dat', id_)}"
    assert path.read_bytes() == b"bytes of qualified.dat"
    with pytest.raises(FileExistsError):
        create(path)


def test_of_namesakes_the_older_one_keeps_its_name(dam: Daemon) -> None:
    """Whoever made them: Python makes those of a term, the module those of the inbox."""
    made_by_module(dam, "before-namesake.dat")
    (dam / "by-tag/elder").mkdir()
    (dam / "by-tag/elder/namesake.dat").write_bytes(b"of the elder")
    made_by_module(dam, "between-namesakes.dat", "namesake.dat", "after-namesake.dat")
    dam.settled()
    assert (dam / "by-type/other/namesake.dat").read_bytes() == b"of the elder"
    assert (dam / "inbox/namesake.dat").read_bytes() == b"bytes of namesake.dat"


def test_a_hard_link_into_the_inbox_is_refused_and_leaves_its_name_free(dam: Daemon) -> None:
    make(dam, "linked.dat", "beside-linked.dat")
    dam.settled()
    with pytest.raises(PermissionError):
        os.link(dam / "inbox/linked.dat", dam / "inbox/another.dat")
    check_free(dam / "inbox/another.dat")


MAKER = """
import os, sys
place, seed, flags, names = sys.argv[1], int(sys.argv[2]), os.O_WRONLY | os.O_CREAT | int(sys.argv[3]), 16
os.umask(0o77 if seed % 2 else 0o22)
won = 0
for number in range(names):
    try:
        fd = os.open(f"{place}/race-{(number * 7 + seed) % names}.dat", flags, 0o666)
    except FileExistsError:
        continue
    won += 1
    os.write(fd, b"x" * 100)
    os.close(fd)
print(won)
"""


@pytest.mark.parametrize("exclusive", [True, False])
def test_programs_that_make_the_same_names(dam: Daemon, exclusive: bool) -> None:
    """Of other umasks, so that Python and the module take turns: of those with O_EXCL one makes each name."""
    names = sorted(f"race-{number}.dat" for number in range(16))
    command = [sys.executable, "-c", MAKER, str(dam / "inbox")]
    programs = [
        subprocess.Popen([*command, str(seed), str(os.O_EXCL * exclusive)], stdout=subprocess.PIPE, text=True)
        for seed in range(3)
    ]
    won = [int(program.communicate(timeout=2 * SEEN_S)[0]) for program in programs]
    assert sum(won) == (len(names) if exclusive else 3 * len(names))
    assert sorted(name for name in os.listdir(dam / "inbox") if name.startswith("race-")) == names
    dam.settled()
    assert sorted(os.listdir(dam / "inbox")) == catalogued(dam)
    for name in names:
        (dam / "inbox" / name).unlink()
    check_unharmed(dam)


def test_names_hold_whatever_a_program_does(dam: Daemon) -> None:
    """Making, removing, renaming and asking in any order: as on any other file system."""
    dice, known = random.Random(drawn_seed()), dict[str, bytes]()
    for step in range(200):
        name, other = (f"any-{dice.randrange(12)}.bin" for _ in range(2))
        path, act = dam / f"inbox/{name}", dice.randrange(6)
        if act == 0 and name in known:
            path.unlink()
            del known[name]
        elif act == 1 and name in known and other not in known:
            path.rename(dam / f"inbox/{other}")
            known[other] = known.pop(name)
        elif act == 2:
            assert path.exists() == (name in known), f"{name} at step {step}"
        elif name in known:
            with pytest.raises(FileExistsError):
                create(path)
        else:
            fd = create(path, dice.choice([0o644, 0o644, 0o644, 0o600]))
            known[name] = b"%d" % step
            os.write(fd, known[name])
            os.close(fd)
    assert {path.name: path.read_bytes() for path in (dam / "inbox").glob("any-*")} == known
    dam.settled()
    check_places(dam)
    check_unharmed(dam)


def check_places(dam: Daemon) -> None:
    """Every place shows what the catalog says, as soon as the kernel was told."""
    lists(dam / "inbox", *catalogued(dam))
    wanted = {name for name in catalogued(dam) if name.startswith("any-")}
    (day,) = {str(day) for (day,) in rows(dam.library, "SELECT DISTINCT day FROM asset WHERE NOT triaged")}
    for place in ("untagged", "by-type/other", f"by-date/{day.replace('-', '/')}"):
        shown = functools.partial(shows, dam / place, wanted)
        until(shown, f"{place} lists what was made", SEEN_S)


def shows(place: Path, wanted: set[str]) -> bool:
    return {name for name in os.listdir(place) if name.startswith("any-")} == wanted


# --- what is told ---------------------------------------------------------------------------------------------


def test_watchers_hear_of_each_name_once(dam: Daemon, tmp_path: Path) -> None:
    """Also when another asset comes to be called like one that the module made."""
    (dam / "by-tag/watched").mkdir()
    names = ["watched.dat", *(f"watched-{number}.dat" for number in range(6))]
    with watching(tmp_path / "said.txt", dam / "inbox", dam / "by-type/other") as watcher:
        made_by_module(dam, "before-these.dat", *names)  # so that their ids ascend: Python has numbers of its own
        dam.settled()
        watcher.hears(*(f"CREATE {dam / place / name}" for place in ("inbox", "by-type/other") for name in names))
        id_ = AssetId((dam / "inbox/watched-1.dat").stat().st_ino & ID_MASK)
        call(dam.library, Tag((id_,), ("watched",)))
        (dam / "by-tag/watched/watched-1.dat").rename(dam / "by-tag/watched/watched.dat")
        twin = qualified("watched.dat", id_)
        watcher.hears(f"CREATE {dam / 'inbox' / twin}", f"DELETE {dam / 'inbox/watched-1.dat'}")
        (dam / "inbox/watched-2.dat").unlink()
        make(dam, "watched-last.dat")
        watcher.hears(
            f"DELETE {dam / 'by-type/other/watched-2.dat'}", f"CREATE {dam / 'by-type/other/watched-last.dat'}"
        )
        said = [line for line in watcher.lines() if str(dam / "inbox/watched") in line]
    told = [f"CREATE {dam / 'inbox' / name}" for name in [*names, twin, "watched-last.dat"]]
    told += [f"DELETE {dam / 'inbox' / name}" for name in ("watched-1.dat", "watched-2.dat")]
    assert sorted(said) == sorted(told)


def test_nobody_is_told_that_all_is_settled_while_a_file_is_no_asset(dam: Daemon) -> None:
    """Whatever is asked first after a copy: the socket, the mount."""
    for turn in range(12):
        names = [f"settled-{turn}-{number}.dat" for number in range(1 + turn % 4)]
        make(dam, *names)
        settled = dam.status().unsettled == 0
        states = rows(dam.library, f"SELECT state FROM asset WHERE name LIKE 'settled-{turn}-%'")
        assert len(states) == len(names), "who asks by the socket hears of all"
        assert states == [("present",)] * len(names) or not settled
    make(dam, "waited-for-1.dat", "waited-for-2.dat")
    told = json.loads(damfs("status", dam.library, "--wait", "--json").stdout)
    assert told["unsettled"] == 0
    assert rows(dam.library, "SELECT state FROM asset WHERE name LIKE 'waited-for-%'") == [("present",)] * 2


STAT = "import os, sys; s = os.stat(sys.argv[1]); print(s.st_ino, s.st_mode, s.st_size, s.st_mtime_ns, s.st_ctime_ns)"


def test_it_looks_the_same_before_and_after_the_catalog_knows_it(dam: Daemon) -> None:
    """To its maker by name and descriptor, to another program, and its directory to both."""
    made_by_module(dam, "looks-0.dat")
    for name, content in (("looks-1.dat", b""), ("looks-2.dat", b"x" * 1000), ("looks-3.dat", b"y" * 100_000)):
        path = dam / f"inbox/{name}"
        before = path.parent.stat()
        fd = create(path, 0o644)
        os.write(fd, content)
        own, folder = os.fstat(fd), path.parent.stat()
        shown = [own.st_ino, own.st_mode, own.st_size, own.st_mtime_ns, own.st_ctime_ns]
        other = run(sys.executable, "-c", STAT, path).stdout.split()
        assert other == [str(each) for each in shown]
        assert name in os.listdir(path.parent)
        assert (os.fstat(fd), path.stat(), path.parent.stat()) == (own, own, folder)
        os.close(fd)
        assert path.stat() == own
        dam.settled()
        assert [path.stat().st_mtime_ns, path.stat().st_size] == [own.st_mtime_ns, len(content)]
        assert before.st_mtime_ns < folder.st_mtime_ns <= own.st_mtime_ns
        assert (own.st_uid, own.st_gid, own.st_mode & 0o7777) == (os.getuid(), os.getgid(), 0o644)


def test_files_that_were_only_touched(dam: Daemon) -> None:
    names = [f"touched-{number}.dat" for number in range(5)]
    run("touch", *(dam / f"inbox/{name}" for name in names))
    run("touch", "-d", "@1000000000", dam / "inbox/touched-1.dat")
    dam.settled()
    assert [(dam / f"inbox/{name}").stat().st_size for name in names] == [0] * 5
    assert (dam / "inbox/touched-1.dat").stat().st_mtime_ns == 10**18
    kept = rows(dam.library, "SELECT name FROM asset WHERE state = 'present' AND name LIKE 'touched-%' ORDER BY name")
    assert [name for (name,) in kept] == names


def test_a_hundred_files_are_open_at_once(dam: Daemon) -> None:
    """More than the module looks after; each has an asset of its own."""
    names = [f"open-{number}.dat" for number in range(100)]
    fds = [create(dam / f"inbox/{name}") for name in names]
    for number, fd in enumerate(fds):
        os.write(fd, b"%d" % number)
    assert len({os.fstat(fd).st_ino for fd in fds}) == 100
    for fd in fds[::2] + fds[1::2]:
        os.close(fd)
    assert [(dam / f"inbox/{name}").read_bytes() for name in names] == [b"%d" % number for number in range(100)]
    dam.settled()
    assert {path.name: path.read_bytes() for path in (dam / "inbox").glob("open-*")} == {
        name: b"%d" % number for number, name in enumerate(names)
    }
    check_unharmed(dam)


def test_files_belong_to_those_who_make_them(serve: Serve) -> None:
    """In turns, of other groups and with other modes; others may do what the modes say and nothing else."""
    if os.getuid():
        pytest.fail("needs root, as the machine of the tests has it")
    dam = warm(serve(options=("allow_other",)).start())

    def other(user: int, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=dam / "inbox", capture_output=True, text=True, check=False, user=user, group=1000,
            extra_groups=[],
        )  # fmt: skip

    for number in range(3):
        fd = create(dam / f"inbox/root-{number}.dat", 0o600 if number == 1 else 0o644)
        assert other(0, "sh", "-c", f"echo > group-{number}.dat").returncode == 0
        refused = other(1000, "sh", "-c", f"echo > user-{number}.dat")
        assert "Permission denied" in refused.stderr
        os.write(fd, b"of root")
        os.close(fd)
        read = other(1000, "cat", f"root-{number}.dat")
        assert read.stdout == ("" if number == 1 else "of root")
    for settled in (False, True):
        if settled:
            dam.settled()
        for number in range(3):
            mine, group = ((dam / f"inbox/{who}-{number}.dat").stat() for who in ("root", "group"))
            assert (mine.st_uid, mine.st_gid, mine.st_mode & 0o777) == (0, 0, 0o600 if number == 1 else 0o644)
            assert (group.st_uid, group.st_gid, group.st_mode & 0o777) == (0, 1000, 0o644)
    assert not [name for name in os.listdir(dam / "inbox") if name.startswith("user-")]
    check_unharmed(dam)


def test_a_read_only_mount_makes_nothing(serve: Serve) -> None:
    dam = serve(options=("ro",)).start()
    for number in range(SEVERAL):
        with pytest.raises(OSError, match="Read-only file system"):
            create(dam / f"inbox/{number}.dat")
    assert os.listdir(dam / "inbox") == []
