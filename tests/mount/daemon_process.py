"""A damfs daemon in a process of its own, over a library and a mountpoint of the test's: started, asked, ended, killed.

Blocks. `end` checks what every orderly end has to leave behind; `wreck` cleans up after anything.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import msgspec

from damfs.core.library import make_library
from damfs.core.status_report import Status
from damfs.integration.client import call
from damfs.integration.wire import Add, GetStatus, Scan
from damfs.settings import SETTINGS_FILE

READY = b"ready"
START_LIMIT_S = 120.0
END_LIMIT_S = 120.0
LIMIT_S = 90.0
"""Of any other wait. Each wait ends with its condition: a limit only says that it never will."""
POLL_S = 0.01
REST_S = 1.5
STATEMENTS = "damfs_catalog_statements_total"
QUICK = '[model]\nname = "none"\n'
"""Settings of most tests: no model is loaded."""
CUT_WORKER = "EOFError: Ran out of input"
"""What Python prints last in a worker that was just being started when its daemon was killed."""
TRACEBACK = "Traceback (most recent call last):"
DAMFS = (sys.executable, "-c", "from damfs.integration.cli import main; main()")


def new_library(path: Path, settings: str = QUICK) -> Path:
    make_library(path)
    (path / SETTINGS_FILE).write_text(settings)
    return path


def damfs(*words: str | Path, check: bool = True, limit_s: float = 2 * LIMIT_S) -> subprocess.CompletedProcess[str]:
    """Run the command line; with ``check`` it has to succeed."""
    command = [*DAMFS, *map(str, words)]
    bare = subprocess.run(command, capture_output=True, timeout=limit_s, check=False, env=environment())
    done = subprocess.CompletedProcess(bare.args, bare.returncode, os.fsdecode(bare.stdout), os.fsdecode(bare.stderr))
    if check and done.returncode:
        raise AssertionError(f"damfs {words} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


@contextmanager
def begun(*words: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The command line at work. It does not outlive the block, whatever fails: some would read for hours."""
    process = subprocess.Popen(
        [*DAMFS, *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def environment() -> dict[str, str]:
    """Of what a test starts: without byte code every start would compile everything again."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(*words: str | Path, check: bool = True, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program as a person would, in the C.UTF-8 locale."""
    done = subprocess.run(
        [os.fspath(word) for word in words], capture_output=True, text=True, errors="surrogateescape",
        timeout=2 * LIMIT_S, check=False, cwd=cwd, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    if check and done.returncode:
        raise AssertionError(f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def complaint(*words: str | Path, limit_s: float = LIMIT_S) -> str:
    """What a program says on standard error; AssertionError when it waits. It is not waited for: perhaps nobody can."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"{words} waits") from None
    with process.stderr:
        return process.stderr.read()


def until(condition: Callable[[], bool], what: str, limit_s: float = LIMIT_S) -> float:
    """Ask again and again; the seconds it took. For what the system under test does not announce."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > limit_s:
            raise AssertionError(f"not within {limit_s} s: {what}")
        time.sleep(POLL_S)
    return time.monotonic() - began


def drawn_seed() -> int:
    """Another one each time; in CI always the same, as with hypothesis: the change is to be judged, not the dice."""
    seed = int(os.environ.get("DAMFS_TEST_SEED", 7 if os.environ.get("CI") else time.time_ns() % 10_000))
    print(f"seed {seed}")
    return seed


def lists(place: Path, *names: str) -> None:
    """What was done by another door than the mount is seen there when the kernel has been told, a moment later."""
    seen: list[list[str] | str] = []

    def looked() -> bool:
        try:
            seen.append(sorted(os.listdir(place)))
        except OSError as error:
            seen.append(str(error))
        return seen[-1] == sorted(names)

    try:
        until(looked, "")
    except AssertionError:
        raise AssertionError(f"{place} never listed {sorted(names)}, at last: {seen[-1]}") from None


def is_mounted(mountpoint: Path) -> bool:
    lines = os.fsdecode(Path("/proc/self/mountinfo").read_bytes()).split("\n")
    return any(_unescaped(line.split(" ")[4]) == str(mountpoint) for line in lines if line)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def rows(library: Path, sql: str, *values: object) -> list[tuple[object, ...]]:
    """Ask the catalog from outside, as another process would see it."""
    with closing(sqlite3.connect(library / "state" / "catalog.sqlite3", timeout=60)) as connection:
        return connection.execute(sql, values).fetchall()


TABLES = "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
"""Those that any SQLite can read; the content of virtual tables lies in others."""


def dump(library: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table; but not what the daemon notes by itself: when vectors were saved, for which
    settings jobs were planned, how far the feed was followed, and the texts, which follow a moment later."""
    tables = [str(name) for (name,) in rows(library, TABLES) if not str(name).startswith(("asset_text", "text_due"))]
    found = {table: sorted(rows(library, f'SELECT * FROM "{table}"'), key=repr) for table in tables}
    own = ("vectors:", "planned-for", "words-followed", "sidecars-followed")
    return {**found, "property": [row for row in found["property"] if not str(row[0]).startswith(own)]}


@dataclass(slots=True)
class Daemon:
    library: Path
    mountpoint: Path
    options: Sequence[str] = ()
    announced: list[str] = field(default_factory=list)
    """Regular expressions of the warnings and errors this test makes the daemon log."""
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    _starts: int = 0
    _orphans: list[int] = field(default_factory=list)
    _killed: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def log_path(self) -> Path:
        """Each start has its own: what the workers of a killed daemon say as they end is not in the next one's."""
        return self.mountpoint.with_name(f"{self.mountpoint.name}.{self._starts}.log")

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> Daemon:
        """Returns when the mount answers. The daemon's refusal is an AssertionError that holds its line."""
        said = self.try_start()
        assert said == READY, said.decode()
        return self

    def try_start(self) -> bytes:
        """What the daemon told whoever waits for it."""
        with self.begin() as pipe:
            assert select.select([pipe], [], [], START_LIMIT_S)[0], "the daemon said nothing"
            said = pipe.read()
        if said != READY:
            assert self.process is not None
            self.process.wait(END_LIMIT_S)
        return said

    def begin(self) -> BinaryIO:
        """Start it and do not wait; where it will say that it is ready, or why not."""
        read_end, write_end = os.pipe()
        command = [sys.executable, "-m", "daemon", str(self.library), str(self.mountpoint)]
        for option in self.options:
            command += ["-o", option]
        self._starts, self._orphans = self._starts + 1, []
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--ready-fd", str(write_end)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                pass_fds=(write_end,), env={**environment(), **self.environment},
            )  # fmt: skip
        os.close(write_end)
        return os.fdopen(read_end, "rb")

    def log(self) -> str:
        """What it wrote since its last start."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def complaints(self) -> list[str]:
        """Of the daemon and its processes. Several that end together may print through each other."""
        self._await_orphans()
        log = self.log().split("\n")
        lines = [line for line in log if re.search(r" (WARNING|ERROR|CRITICAL) |Traceback", line)]
        for _ in range(min(log.count(CUT_WORKER), lines.count(TRACEBACK))):
            lines.remove(TRACEBACK)
        return [line for line in lines if not any(re.search(each, line) for each in self.announced)]

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """kill -9. One thread may stay caught in the kernel until the connection is ended: the next start does that."""
        assert self.process is not None
        self._orphans = descendants(self.pid)
        self.signal(signal.SIGKILL)
        until(lambda: state_of(self.pid) in "ZX", "killed")
        self._killed.append(self.process)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(1)

    def _await_orphans(self) -> None:
        """What a killed daemon leaves ends a moment later, and may say something first; what is stopped does not."""
        while self._orphans:
            if state_of(orphan := self._orphans.pop()) not in "Tt":
                await_end(orphan)

    def end(self) -> None:
        """TERM, and the checks of an orderly end."""
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGTERM)
        self.check_end()

    def check_end(self) -> None:
        assert self.process is not None
        try:
            code = self.process.wait(END_LIMIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon does not end:\n{self.log()}") from None
        assert code == 0, f"the daemon ended with {code}:\n{self.log()}"
        assert not is_mounted(self.mountpoint), "the mount is still there"
        assert os.listdir(self.mountpoint) == []
        assert self.complaints() == [], self.log()

    def wreck(self) -> None:
        """Whatever state it is in: no process and no mount stays behind."""
        if self.process is not None and self.process.poll() is None and self.process not in self._killed:
            self.kill()
        while is_mounted(self.mountpoint):
            subprocess.run(["umount", "-f", str(self.mountpoint)], check=False, stderr=subprocess.DEVNULL)
            subprocess.run(["umount", "-l", str(self.mountpoint)], check=False, stderr=subprocess.DEVNULL)
        for killed in self._killed:
            killed.wait(END_LIMIT_S)

    def status(self) -> Status:
        return msgspec.convert(call(self.library, GetStatus()), Status)

    def settled(self, limit_s: float = LIMIT_S) -> Status:
        """Until nothing is being received, sealed or scanned; jobs may go on."""
        until(lambda: is_settled(self.status()), "settled", limit_s)
        return self.status()

    def idle(self, limit_s: float = 180.0) -> Status:
        """Until no job is left either."""
        until(lambda: is_settled(now := self.status()) and not now.to_do, "idle", limit_s)
        return self.status()

    def stats(self) -> dict[str, int]:
        """The counters of .damfs/stats; reading them is counted as well."""
        lines = (self.mountpoint / ".damfs" / "stats").read_text().splitlines()
        return {name: int(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def stats_at_rest(self) -> dict[str, int]:
        """When no statement was run for a while: what an earlier test began, and those who gather news, have ended."""
        looks, since = [self.stats()], time.monotonic()

        def is_at_rest() -> bool:
            nonlocal since
            time.sleep(0.1)  # looking is counted as well
            looks.append(self.stats())
            if looks[-1][STATEMENTS] != looks[-2][STATEMENTS]:
                since = time.monotonic()
            return time.monotonic() - since > REST_S

        until(is_at_rest, "at rest")
        return looks[-1]

    def costing(self, acts: Mapping[str, Callable[[], object]]) -> list[str]:
        """Which of them seem to run a statement. Half a minute after its start, and so on, the daemon runs some by
        itself: two that seem to are none."""
        found = []
        for name, act in acts.items():
            before = self.stats()[STATEMENTS]
            act()
            if self.stats()[STATEMENTS] != before:
                found.append(name)
        return found

    def add(self, folder: Path) -> object:
        return call(self.library, Add(str(folder)))

    def scan(self, store: str = "") -> object:
        return call(self.library, Scan(store))

    def __truediv__(self, path: str) -> Path:
        return self.mountpoint / path


def is_settled(status: Status) -> bool:
    return not (status.unsettled or status.scanning)


def descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # the thread, or the process, has ended since it was listed
            for child in map(int, task.read_text().split()):
                found += [child, *descendants(child)]
    return found


def state_of(pid: int) -> str:
    """As ps shows it; X when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def await_end(pid: int, limit_s: float = LIMIT_S) -> None:
    try:
        ended = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([ended], [], [], limit_s)[0], f"process {pid} did not end: {command_of(pid)}"
    finally:
        os.close(ended)


def command_of(pid: int) -> str:
    """Empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def operations(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """How often each FUSE operation was called between two looks at the counters."""
    found = {}
    for name, value in after.items():
        match = re.fullmatch(r'damfs_fuse_operations_total\{operation="(\w+)"\}', name)
        if match and value != before.get(name, 0):
            found[match[1]] = value - before.get(name, 0)
    return found
