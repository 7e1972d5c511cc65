""".damfs/: the files of jobs, and the events, which wait for what is new."""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from damfs.integration.client import call
from damfs.integration.wire import Tag
from tests.mount.daemon_process import Daemon, run, state_of, until

if TYPE_CHECKING:
    from tests.mount.conftest import Serve

ID_MASK = (1 << 56) - 1
_numbers = count(1)


@pytest.fixture
def received(shared: Daemon, tmp_path: Path) -> Path:
    source = tmp_path / f"event-{next(_numbers)}.dat"
    source.write_text(source.name)
    run("cp", source, shared / "inbox")
    shared.settled()
    return shared / "inbox" / source.name


def tag(dam: Daemon, path: Path, term: str) -> None:
    call(dam.library, Tag((path.stat().st_ino & ID_MASK,), (term,)))


@contextmanager
def reading(dam: Daemon, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program with the events as its standard input, opened when the block begins."""
    with (dam / ".damfs/events").open("rb") as events:
        process = subprocess.Popen(command, stdin=events, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait(90)
        assert process.stdout is not None
        process.stdout.close()


def next_event(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], 90)[0], "no event came"
    said = json.loads(process.stdout.readline())
    assert isinstance(said, dict)
    return said


def test_a_reader_that_waits_gets_what_is_new(shared: Daemon, received: Path) -> None:
    with reading(shared, "cat") as cat:
        for number in range(3):
            tag(shared, received, f"news-{number}")
            defined, tagged = next_event(cat), next_event(cat)
            assert (defined["kind"], defined["names"]) == ("term-defined", [f"news-{number}"])
            assert (tagged["kind"], tagged["names"], tagged["actor"]) == ("tagged", [received.name], "cli")
            assert tagged["asset"] == received.stat().st_ino & ID_MASK
            assert tagged["seq"] == defined["seq"] + 1


def test_a_reader_that_waits_long_still_reads_json(shared: Daemon, received: Path) -> None:
    """While nothing happens the read is answered now and then, with what JSON does not mind."""
    with reading(
        shared, sys.executable, "-c", "import sys; line = sys.stdin.readline(); print(line, end='')"
    ) as reader:
        with pytest.raises(subprocess.TimeoutExpired):
            reader.wait(6)
        tag(shared, received, f"late-{next(_numbers)}")
        assert reader.stdout is not None
        line = reader.stdout.readline()
        assert line.startswith(b"  ")
        assert json.loads(line)["kind"] == "term-defined"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_reader_that_waits_can_be_ended(shared: Daemon, number: signal.Signals) -> None:
    with reading(shared, "cat") as cat:
        until(lambda: state_of(cat.pid) in "SD", "it waits")
        cat.send_signal(number)
        assert cat.wait(90) == -number


CATCHES = """
import os
try:
    print("begun", flush=True)
    while os.read(0, 99):
        pass
except KeyboardInterrupt:
    print("caught", flush=True)
"""


def test_a_program_that_catches_signals_gets_them(shared: Daemon) -> None:
    """The kernel holds such a program until the read is answered."""
    with reading(shared, sys.executable, "-c", CATCHES) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == b"begun\n"
        until(lambda: state_of(reader.pid) == "S", "it waits")
        with pytest.raises(subprocess.TimeoutExpired):
            reader.wait(1.0)
        reader.send_signal(signal.SIGINT)
        assert select.select([reader.stdout], [], [], 90)[0]
        assert reader.stdout.readline() == b"caught\n"


def test_without_waiting(shared: Daemon, received: Path) -> None:
    fd = os.open(shared / ".damfs/events", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(BlockingIOError):
            os.read(fd, 100)
        tag(shared, received, f"now-{next(_numbers)}")
        said = b""
        while said.count(b"\n") < 2:
            said += os.read(fd, 7)
        assert [json.loads(line)["kind"] for line in said.splitlines()] == ["term-defined", "tagged"]
    finally:
        os.close(fd)


def test_too_many_readers_are_refused_and_the_mount_goes_on(shared: Daemon, received: Path) -> None:
    with ExitStack() as stack:
        cats = [stack.enter_context(reading(shared, "cat")) for _ in range(32)]
        for cat in cats:
            stack.callback(cat.kill)
        with pytest.raises(OSError, match="busy") as caught:
            (shared / ".damfs/events").open("rb")
        assert caught.value.errno == errno.EBUSY
        assert received.read_text() == received.name
    until(lambda: can_open(shared / ".damfs/events"), "the readers are gone")


def can_open(path: Path) -> bool:
    try:
        path.open("rb").close()
    except OSError:
        return False
    return True


def test_the_end_of_the_mount_is_the_end_of_the_file(serve: Serve) -> None:
    """A reader that was just not reading finds the mount gone: an error, and no endless wait either."""
    dam = serve().start()
    with reading(dam, "cat") as cat:
        until(lambda: state_of(cat.pid) in "SD", "it waits")
        dam.end()
        assert cat.wait(90) in {0, 1}


def test_a_failed_job_is_a_file_with_its_reason(dam: Daemon, tmp_path: Path) -> None:
    from tests.sample_media import jpeg

    broken = tmp_path / "broken.jpg"
    broken.write_bytes(jpeg(tmp_path / "whole.jpg").read_bytes()[:300])
    run("cp", broken, dam / "inbox")
    dam.idle()
    jobs = dam / ".damfs/jobs"
    found = os.listdir(jobs)
    assert [name for name in found if name.startswith("probe-broken.jpg~") and name.endswith(".txt")], found
    for name in found:
        text = (jobs / name).read_text()
        lines = dict(line.split(": ", 1) for line in text.splitlines())
        assert lines["file"] == "broken.jpg"
        assert lines["state"].startswith("failed")
        assert int(lines["attempts"]) >= 1
        assert lines["reason"] not in {"", "none"}
    assert {failure.name for failure in dam.status().failures} == {"broken.jpg"}
    for name in ("probe-broken.jpg~zz.txt", "x", "~1.txt", found[0].replace("broken", "other"), "a" * 255):
        with pytest.raises(FileNotFoundError):
            (jobs / name).stat()
    with pytest.raises(PermissionError):
        (jobs / found[0]).unlink()
    with pytest.raises(PermissionError):
        (jobs / "new.txt").write_text("x")


def test_a_running_job_is_a_file_while_it_runs(dam: Daemon, tmp_path: Path) -> None:
    from tests.sample_media import h264

    jobs = dam / ".damfs/jobs"
    assert os.listdir(jobs) == []
    seen: dict[str, str] = {}
    run("cp", h264(tmp_path / "long.mp4", seconds=6, size=(640, 360)), dam / "inbox")

    def look() -> bool:
        for name in os.listdir(jobs):
            try:
                seen[name] = (jobs / name).read_text()
            except OSError as error:
                if error.errno not in {errno.ENOENT, errno.ESTALE}:  # it was done in the meantime
                    raise
        return any("state: running" in text for text in seen.values())

    until(look, "a job runs")
    dam.idle()
    until(lambda: os.listdir(jobs) == [], "all are done")
    assert all("-long.mp4~" in name for name in seen)
