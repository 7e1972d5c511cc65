"""The daemon is killed while the native module makes files: what a program has closed is there, and nothing else is."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from contextlib import suppress

import pytest

from damfs.storage.received_notes import RECEIVED_NOTES
from tests.mount.conftest import Serve
from tests.mount.daemon_process import Daemon, damfs, drawn_seed, rows
from tests.mount.test_making import check_unharmed, create, made_by_module, warm

FILES = 200
ROUNDS = 2
PART = ".part"
KILLED = "was interrupted|is a stale mount"
COPIER = """
import os, sys
place, stem = sys.argv[1:3]
for number in range(int(sys.argv[3])):
    try:
        fd = os.open(f"{place}/{stem}-{number}.dat", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
        os.write(fd, b"%d " % number * (number % 90 + 1))
        os.close(fd)
    except OSError:
        break
    print(number, flush=True)
"""


@pytest.fixture
def dam(serve: Serve) -> Daemon:
    return serve(announced=[KILLED]).start()


def content_of(number: int) -> bytes:
    return b"%d " % number * (number % 90 + 1)


def test_a_copy_in_the_middle_of_which_the_daemon_is_killed(dam: Daemon) -> None:
    """What was closed is there by its name, or as what arrived, with all of its bytes. Of the one that was being made
    there is all that was written, which is all or nothing here; and there is nothing else."""
    dice = random.Random(drawn_seed())
    for turn in range(ROUNDS):
        warm(dam)
        others = set(os.listdir(dam / "inbox"))
        command = [sys.executable, "-c", COPIER, str(dam / "inbox"), f"turn-{turn}", str(FILES)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as copier:
            assert copier.stdout is not None
            closed = [copier.stdout.readline() for _ in range(dice.randrange(1, FILES // 2))]
            dam.kill()
            dam.start()
            closed += copier.stdout.readlines()
        check_copied(dam, f"turn-{turn}", len(closed))
        gone = {name.removesuffix(PART) for name in others} - {
            name.removesuffix(PART) for name in os.listdir(dam / "inbox")
        }
        assert gone == set(), "what was there before"
    dam.end()
    assert "rules hold" in damfs("check", dam.library).stdout


def test_what_is_closed_just_before_an_orderly_end_is_whole(dam: Daemon) -> None:
    """Nobody waits for the answer to a close, which may still be on its way to the daemon."""
    warm(dam)
    for turn in range(4):
        names = [f"end-{turn}-{number}.dat" for number in range(6)]
        for name in names:
            with open(create(dam / "inbox" / name), "wb", buffering=0) as file:
                file.write(name.encode())
        dam.end()
        dam.start()
        assert [(dam / "inbox" / name).read_bytes() for name in names] == [name.encode() for name in names]
    assert not any(name.endswith(PART) for name in os.listdir(dam / "inbox"))


def check_copied(dam: Daemon, stem: str, closed: int) -> None:
    dam.settled()
    there = [name for name in os.listdir(dam / "inbox") if name.startswith(stem)]
    numbers = sorted(int(name.removesuffix(PART).removesuffix(".dat").rpartition("-")[2]) for name in there)
    assert numbers in (list(range(closed)), list(range(closed + 1)))
    for name in there:
        number = int(name.removesuffix(PART).removesuffix(".dat").rpartition("-")[2])
        assert (dam / "inbox" / name).read_bytes() == content_of(number), name
        assert (dam / "inbox" / name).stat().st_mode & 0o777 == 0o640
    assert not (dam.library / "state" / RECEIVED_NOTES).exists() or not noted(dam)
    assert set(os.listdir(dam.library / "state/staging")) == {
        str(id_) for (id_,) in rows(dam.library, "SELECT id FROM asset WHERE state = 'receiving'")
    }
    ((given,),) = rows(
        dam.library, "SELECT seq >= (SELECT max(id) FROM asset) FROM sqlite_sequence WHERE name = 'asset'"
    )
    assert given == 1, "the next asset gets a number of its own"


def noted(dam: Daemon) -> bytes:
    return (dam.library / "state" / RECEIVED_NOTES).read_bytes()


def test_what_was_synced_is_there_after_a_kill_at_once(dam: Daemon) -> None:
    """P1; and what was written next to it and not synced, as the machine did not fail."""
    warm(dam)
    synced, other, empty = (create(dam / f"inbox/{name}.dat") for name in ("synced", "other", "empty"))
    os.write(synced, b"synced")
    os.write(other, b"other")
    os.fsync(synced)
    dam.kill()
    for fd in (synced, other, empty):
        with suppress(OSError):
            os.close(fd)
    dam.start()
    found = {path.name: path.read_bytes() for path in (dam / "inbox").iterdir() if "warm" not in path.name}
    assert found == {"synced.dat.part": b"synced", "other.dat.part": b"other"}


def test_as_the_daemon_leaves_it_when_it_is_killed_before_it_knows(dam: Daemon) -> None:
    """Staged files and notes as the module makes them: a start of the real daemon."""
    warm(dam)
    dam.idle()
    ((next_,),) = rows(dam.library, "SELECT seq FROM sqlite_sequence WHERE name = 'asset'")
    dam.kill()
    first, staging = int(str(next_)) + 1, dam.library / "state/staging"
    lines = []
    for number, content in enumerate((b"one", b"", b"three" * 1000)):
        (staging / str(first + number)).write_bytes(content)
        lines.append(f"{first + number} 1795409468606633019 416 left-{number}.dat\n")
    (staging / str(first + 7)).write_bytes(b"nobody was told of it")
    (dam.library / "state" / RECEIVED_NOTES).write_text("".join(lines) + f"{first + 7} 17954")
    dam.start()
    left = {path.name: path for path in (dam / "inbox").iterdir() if "warm" not in path.name}
    assert {name: path.read_bytes() for name, path in left.items()} == {
        "left-0.dat.part": b"one", "left-2.dat.part": b"three" * 1000,
    }  # fmt: skip
    assert {path.stat().st_mode & 0o777 for path in left.values()} == {0o640}
    path = left["left-0.dat.part"]
    path.rename(dam / "inbox/left-0.dat")
    dam.settled()
    assert (dam / "inbox/left-0.dat").read_bytes() == b"one", "who knows that it is whole may say so"
    warm(dam)
    made_by_module(dam, *(f"after-{number}.dat" for number in range(6)))
    dam.settled()
    check_unharmed(dam)
