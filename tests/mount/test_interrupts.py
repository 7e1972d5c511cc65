"""Ctrl-C or kill in the middle of a long command: one line, exit code 130 or 143, no traceback; also within a file that
would take hours to read, and it can be run again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.mount.conftest import Serve
from tests.mount.daemon_process import QUICK, begun, damfs, descendants, new_library, rows, until
from tests.mount.test_model_worker import hanging
from tests.mount.test_models import needs_models

ENDLESS = 1 << 40
"""Bytes of a file that occupies none."""
TERMS = 3_000
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


def interrupted(
    what: str | Callable[[int], bool],
    *words: str,
    by: signal.Signals = signal.SIGINT,
    more: dict[str, str] | None = None,
) -> None:
    """``what``: what the command has open when it is in the middle of its work, or how its process looks then."""

    def is_at_work() -> bool:
        return has_open(process.pid, what) if isinstance(what, str) else what(process.pid)

    with begun(*words) as process:
        until(lambda: is_at_work() or process.poll() is not None, f"{words[0]} is at work", 100)
        process.send_signal(by)
        out, said = process.communicate(timeout=180)
    assert (process.returncode, out) == (128 + by, "")
    assert said.splitlines(keepends=True)[-1] == SAID
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("words", "by"),
    [
        (("add", "footage"), signal.SIGINT),
        (("scan",), signal.SIGINT),
        (("verify",), signal.SIGINT),
        (("rebuild", "--yes"), signal.SIGINT),
        (("sidecar", "sync"), signal.SIGINT),
        (("sidecar", "sync"), signal.SIGTERM),
    ],
)
def test_a_command_alone_stops_within_a_file(footage: Path, words: tuple[str, ...], by: signal.Signals) -> None:
    library = str(footage / "library")
    group = words[:2] if words[0] == "sidecar" else words[:1]
    rest = [str(footage / word) if word == "footage" else word for word in words[len(group) :]]
    interrupted("big.mov", *group, library, *rest, by=by)
    os.truncate(footage / "footage/big.mov", 20)
    damfs(*group, library, *rest, check=words[0] != "verify")
    assert rows(footage / "library", "SELECT count(*) FROM asset WHERE name = 'small.mov'") == [(1,)]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_dedupe_stops_while_it_reads_the_copy_to_keep(tmp_path: Path, by: signal.Signals) -> None:
    folder, library = tmp_path / "footage", new_library(tmp_path / "library", QUICK)
    folder.mkdir()
    files = [folder / "big.mov", folder / "other big.mov"]
    for file in files:
        file.write_bytes(b"the same")
    damfs("add", library, folder)
    for file in files:
        os.truncate(file, ENDLESS)
    try:
        interrupted("big.mov", "dedupe", str(library), "--exact", "--apply", by=by)
    finally:
        for file in files:
            os.truncate(file, len(b"the same"))
    assert rows(library, "SELECT count(*) FROM asset WHERE state = 'trashed'") == [(0,)]
    assert "1 in the trash" in damfs("dedupe", library, "--exact", "--apply").stdout


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_an_import_of_terms_goes_on(tmp_path: Path, by: signal.Signals) -> None:
    library, table = str(new_library(tmp_path / "library", QUICK)), tmp_path / "terms.csv"
    table.write_text("name,broader\n" + "".join(f"term {number},\n" for number in range(TERMS)))
    count = "SELECT count(*) FROM term"
    interrupted(lambda _: rows(Path(library), count) != [(0,)], "term", "import", library, str(table), by=by)
    ((kept,),) = rows(Path(library), count)
    assert isinstance(kept, int)
    assert 0 < kept < TERMS
    assert f"{TERMS - kept:,} new" in damfs("term", "import", library, table).stdout
    assert rows(Path(library), count) == [(TERMS,)]


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_who_waits_for_a_library_stops_waiting(serve: Serve, footage: Path, by: signal.Signals) -> None:
    dam = serve(footage / "library").start()
    until(lambda: has_open(dam.pid, "big.mov"), "it reads", 100)
    interrupted("socket:", "status", str(footage / "library"), "--wait", by=by)
    os.truncate(footage / "footage/big.mov", 20)
    again = damfs("status", footage / "library", "--wait", check=False)
    assert again.returncode in {0, 1}, "it waits until all is done: 1 says that a job failed, as for what is no film"
    assert again.stderr == ""


def test_a_command_that_a_daemon_works_for_stops_alone(serve: Serve, footage: Path) -> None:
    """And the daemon, when it is ended, does not read on for hours."""
    dam = serve(footage / "library").start()
    until(lambda: has_open(dam.pid, "big.mov"), "it reads", 100)
    interrupted("socket:", "scan", str(footage / "library"))
    assert (dam / "originals/footage/small.mov").read_bytes() == b"small"
    dam.end()


@needs_models
@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_model_that_is_being_loaded_is_let_go(tmp_path: Path, by: signal.Signals) -> None:
    library, workers = new_library(tmp_path / "library", QUICK), set[int]()

    def is_loading(process: int) -> bool:
        workers.update(filter(is_worker, descendants(process)))
        return bool(workers)

    interrupted(is_loading, "model", "use", str(library), "default", by=by, more=hanging(tmp_path))
    until(lambda: not any(Path(f"/proc/{each}").exists() for each in workers), "no worker is left", 100)
    assert json.loads(damfs("model", "status", library, "--json").stdout)["wanted"] == "none"


def is_worker(process: int) -> bool:
    with suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()
    return False
