"""Guards of every test: a warning that was logged, a mount or a process left behind, and a skipped mount test all fail.

A test that means to make damfs warn says so: ``@pytest.mark.expect_warnings("part of the message", ...)`` (regular
expressions; each must be logged, nothing else may be). Mounts have to be made below ``tmp_path``. A test that needs
a server which nobody would install for it says ``@pytest.mark.needs_programs("smbd")``: where it is missing the test is
skipped, except in CI, which has it.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import re
import select
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

MOUNT_TESTS = Path(__file__).parent / "mount"
SESSION_VARIABLE = "DAMFS_TEST_SESSION"
GRACE_S = 90.0
PYTHONS_OWN = (b"multiprocessing.resource_tracker", b"multiprocessing.forkserver")
"""Processes that multiprocessing keeps until the interpreter ends."""


def pytest_configure(config: pytest.Config) -> None:
    # Shells and nohup start what runs in the background so, and every command that a test interrupts would inherit it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    config.addinivalue_line("markers", "expect_warnings(*patterns): this test makes damfs log these warnings")
    config.addinivalue_line("markers", "needs_programs(*names): skipped where one of these programs is not installed")


# --- warnings -------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _no_unexpected_warnings(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    marker = request.node.get_closest_marker("expect_warnings")
    patterns = [] if marker is None else list(marker.args)
    messages = warnings_in(caplog)
    unexpected = [text for text in messages if not any(re.search(pattern, text) for pattern in patterns)]
    absent = [pattern for pattern in patterns if not any(re.search(pattern, text) for text in messages)]
    if unexpected:
        pytest.fail("logged without being expected:\n" + "\n".join(unexpected), pytrace=False)
    if absent:
        pytest.fail("expected to be logged, but was not:\n" + "\n".join(absent), pytrace=False)


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged as a warning or worse since the test's set-up began; its teardown so far included."""
    records = [*caplog.get_records("setup"), *caplog.get_records("call"), *caplog.get_records("teardown")]
    return [record.getMessage() for record in records if record.levelno >= logging.WARNING]


# --- mount tests may not skip ---------------------------------------------------------------------------------


def fuse_problem() -> str | None:
    """Why nothing can be mounted here, or None."""
    device = os.environ.get("DAMFS_TEST_FUSE_DEVICE", "/dev/fuse")
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"mount tests need {device}: {error.strerror}"
    return None


def is_mount_test(node: pytest.Item | pytest.Collector) -> bool:
    return MOUNT_TESTS in node.path.parents


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if is_mount_test(item) and (problem := fuse_problem()):
        pytest.fail(problem, pytrace=False)
    if missing := missing_programs(item):
        pytest.skip(f"{', '.join(missing)} missing: CI=true ./bootstrap setup --test installs what it can")


def missing_programs(node: pytest.Item | pytest.Collector) -> list[str]:
    """Servers and desktops, which not every machine can have."""
    names = [name for marker in node.iter_markers("needs_programs") for name in marker.args]
    return [name for name in names if program(name) is None]


def program(name: str) -> str | None:
    """Its path; servers and parts of desktops lie where the path of people does not lead."""
    beside = ["/usr/sbin", "/sbin", "/usr/lib/tumbler-1", *glob.glob("/usr/lib/*/tumbler-1")]
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), *beside]))


def refuse_skip(report: pytest.TestReport | pytest.CollectReport, node: pytest.Item | pytest.Collector) -> None:
    if report.skipped and is_mount_test(node) and not hasattr(report, "wasxfail") and not missing_programs(node):
        report.outcome = "failed"
        report.longrepr = f"a mount test may not be skipped: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report, item)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report, collector)
    return report


# --- nothing is left behind -----------------------------------------------------------------------------------


def mounts_below(directory: Path) -> list[str]:
    lines = Path("/proc/self/mountinfo").read_bytes().rstrip(b"\n").split(b"\n")  # a carriage return is part of a name
    paths = [re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), line.split(b" ")[4]) for line in lines]
    return [os.fsdecode(path) for path in paths if path.startswith(os.fsencode(directory) + b"/")]


def processes_of(session: str) -> dict[int, str]:
    """Processes that inherited this session's variable, daemons that left the family included, by id."""
    wanted = f"{SESSION_VARIABLE}={session}".encode()
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            environment, command = (entry / "environ").read_bytes(), (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if wanted in environment.split(b"\0") and not any(name in command for name in PYTHONS_OWN):
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


def wait_until_gone(session: str) -> dict[int, str]:
    """Workers end a moment after their daemon; what is left after the grace time was forgotten."""
    deadline = time.monotonic() + GRACE_S
    for process in processes_of(session):
        with contextlib.suppress(ProcessLookupError):
            ended = os.pidfd_open(process)
            select.select([ended], [], [], max(0.0, deadline - time.monotonic()))
            os.close(ended)
    return processes_of(session)


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    session = uuid.uuid4().hex
    os.environ[SESSION_VARIABLE] = session
    yield
    processes, mounts = wait_until_gone(session), mounts_below(tmp_path_factory.getbasetemp().resolve())
    for mount in mounts:
        subprocess.run(["umount", "-l", mount], check=False)
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    left = [f"mounted: {mount}" for mount in mounts] + [f"running: {pid} {cmd}" for pid, cmd in processes.items()]
    if left:
        pytest.fail("the tests left behind:\n" + "\n".join(left), pytrace=False)
