"""Ctrl-C in the middle of a long command: one line, exit code 130, no traceback; also within a file that would take
hours to read, and it can be run again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.mount.conftest import Serve
from tests.mount.daemon_process import QUICK, begun, damfs, new_library, rows, until

ENDLESS = 1 << 40
"""Bytes of a file that occupies none."""
SAID = "interrupted; what was done so far is kept, run the command again to go on\n"


@pytest.fixture
def footage(tmp_path: Path) -> Iterator[Path]:
    """A folder with a file that is catalogued and has become endless since."""
    folder = tmp_path / "footage"
    folder.mkdir()
    (folder / "small.mov").write_bytes(b"small")
    (folder / "big.mov").write_bytes(b"small as well")
    library = new_library(tmp_path / "library", QUICK)
    damfs("add", library, folder)
    os.truncate(folder / "big.mov", ENDLESS)
    yield tmp_path
    (folder / "big.mov").unlink()


def has_open(process: int, name: str) -> bool:
    """Whether it has a file (or ``socket:``) open."""
    with suppress(OSError):
        return any(name in os.readlink(f"/proc/{process}/fd/{each}") for each in os.listdir(f"/proc/{process}/fd"))
    return False


def interrupted(what: str, *words: str) -> None:
    """``what``: what the command has open when it is in the middle of its work."""
    with begun(*words) as process:
        until(lambda: has_open(process.pid, what) or process.poll() is not None, f"{words[0]} is at work", 100)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=180)
    assert (process.returncode, out, said.lstrip("\n")) == (130, "", SAID)


@pytest.mark.parametrize(
    "words", [("add", "footage"), ("scan",), ("verify",), ("rebuild", "--yes"), ("sidecar", "sync")]
)
def test_a_command_alone_stops_within_a_file(footage: Path, words: tuple[str, ...]) -> None:
    library = str(footage / "library")
    group = words[:2] if words[0] == "sidecar" else words[:1]
    rest = [str(footage / word) if word == "footage" else word for word in words[len(group) :]]
    interrupted("big.mov", *group, library, *rest)
    os.truncate(footage / "footage/big.mov", 20)
    damfs(*group, library, *rest, check=words[0] != "verify")
    assert rows(footage / "library", "SELECT count(*) FROM asset WHERE name = 'small.mov'") == [(1,)]


def test_a_command_that_a_daemon_works_for_stops_alone(serve: Serve, footage: Path) -> None:
    """And the daemon, when it is ended, does not read on for hours."""
    dam = serve(footage / "library").start()
    until(lambda: has_open(dam.pid, "big.mov"), "it reads", 100)
    interrupted("socket:", "scan", str(footage / "library"))
    assert (dam / "originals/footage/small.mov").read_bytes() == b"small"
    dam.end()
