"""The guards of tests/conftest.py, each seen to fail a test that deserves it: pytest runs them over small suites."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent.parent / "conftest.py"
Outcome = dict[str, int]


def outcome_of(tmp_path: Path, where: str, code: str, **environment: str) -> tuple[Outcome, str]:
    """What pytest counts (passed, failed, error …) and prints for a suite of one file under the project's conftest."""
    tests = tmp_path / "tests"
    (tests / where).parent.mkdir(parents=True)
    shutil.copy(CONFTEST, tests)
    (tests / where).write_text(code)
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", str(tmp_path), "-p", "no:cacheprovider"]
    command += [f"--basetemp={tmp_path / 'inner'}", str(tests)]
    variables = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", done.stdout.splitlines()[-1])}
    assert (done.returncode == 0) == (not {"failed", "error", "errors"} & set(counts)), done.stdout
    return {word: counts[word] for word in counts if word in ("passed", "failed", "error", "skipped")}, done.stdout


WARNING = "import logging, pytest\ndef test_it():\n    logging.getLogger('damfs').warning('the disk is %s', 'full')\n"


def test_a_logged_warning_fails_the_test(tmp_path: Path) -> None:
    counts, printed = outcome_of(tmp_path, "unit/test_x.py", WARNING)
    assert counts == {"passed": 1, "error": 1}
    assert "the disk is full" in printed


def test_an_expected_warning_passes(tmp_path: Path) -> None:
    code = WARNING.replace("def test", "@pytest.mark.expect_warnings('disk is')\ndef test")
    assert outcome_of(tmp_path, "unit/test_x.py", code)[0] == {"passed": 1}


@pytest.mark.parametrize("patterns", ["'disk on fire'", "'disk is', 'disk on fire'", ""])
def test_only_the_expected_warnings_pass_and_all_of_them(tmp_path: Path, patterns: str) -> None:
    code = WARNING.replace("def test", f"@pytest.mark.expect_warnings({patterns})\ndef test")
    assert outcome_of(tmp_path, "unit/test_x.py", code)[0] == {"passed": 1, "error": 1}


def test_an_info_line_passes(tmp_path: Path) -> None:
    assert outcome_of(tmp_path, "unit/test_x.py", WARNING.replace(".warning", ".info"))[0] == {"passed": 1}


PLAIN = "def test_it(): pass\n"


def test_mount_tests_fail_without_fuse(tmp_path: Path) -> None:
    missing = str(tmp_path / "no-fuse")
    counts, printed = outcome_of(tmp_path, "mount/test_x.py", PLAIN, DAMFS_TEST_FUSE_DEVICE=missing)
    assert counts["error"] == 1
    assert f"mount tests need {missing}: No such file" in printed


def test_other_tests_do_not_need_fuse(tmp_path: Path) -> None:
    missing = str(tmp_path / "no-fuse")
    assert outcome_of(tmp_path, "unit/test_x.py", PLAIN, DAMFS_TEST_FUSE_DEVICE=missing)[0] == {"passed": 1}


@pytest.mark.parametrize(
    "code",
    ["import pytest\ndef test_it(): pytest.skip('no')\n", "import pytest\n@pytest.mark.skip\ndef test_it(): pass\n"],
)
def test_a_mount_test_may_not_skip(tmp_path: Path, code: str) -> None:
    counts, printed = outcome_of(tmp_path, "mount/test_x.py", code, DAMFS_TEST_FUSE_DEVICE="/dev/null")
    assert "skipped" not in counts
    assert "passed" not in counts
    assert "a mount test may not be skipped" in printed


@pytest.mark.parametrize(
    ("program", "ci", "expected"),
    [("no-such-server", "", {"skipped": 1}), ("no-such-server", "yes", {"error": 1}), ("sh", "", {"passed": 1})],
)
def test_a_mount_test_may_skip_for_want_of_a_server_except_in_ci(
    tmp_path: Path, program: str, ci: str, expected: Outcome
) -> None:
    code = f"import pytest\n@pytest.mark.needs_programs({program!r})\ndef test_it(): pass\n"
    assert outcome_of(tmp_path, "mount/test_x.py", code, DAMFS_TEST_FUSE_DEVICE="/dev/null", CI=ci)[0] == expected


def test_a_skipped_module_of_mount_tests_fails(tmp_path: Path) -> None:
    code = "import pytest\npytest.skip('no', allow_module_level=True)\n"
    counts, printed = outcome_of(tmp_path, "mount/test_x.py", code, DAMFS_TEST_FUSE_DEVICE="/dev/null")
    assert "skipped" not in counts
    assert "a mount test may not be skipped" in printed


def test_a_process_left_behind_fails_the_session_and_is_ended(tmp_path: Path) -> None:
    code = (
        "import pathlib, subprocess\ndef test_it():\n"
        "    child = subprocess.Popen(['setsid', 'sleep', '1000'], start_new_session=True)\n"
        f"    pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
        "    child.returncode = 0\n"
    )
    counts, printed = outcome_of(tmp_path, "unit/test_x.py", code)
    assert counts == {"passed": 1, "error": 1}
    assert "sleep 1000" in printed
    left = Path("/proc", (tmp_path / "pid").read_text(), "cmdline")
    assert not left.exists() or not left.read_bytes()


def test_a_mount_left_behind_fails_the_session_and_is_taken_away(tmp_path: Path) -> None:
    code = (
        "import subprocess\ndef test_it(tmp_path):\n"
        "    place = tmp_path / 'a b'\n"
        "    place.mkdir()\n"
        "    subprocess.run(['mount', '-t', 'tmpfs', 'none', str(place)], check=True)\n"
    )
    if os.geteuid() != 0:
        pytest.skip("making a mount to forget needs root")
    counts, printed = outcome_of(tmp_path, "unit/test_x.py", code)
    assert counts == {"passed": 1, "error": 1}
    assert "a b" in printed
    assert str(tmp_path).encode() not in Path("/proc/self/mountinfo").read_bytes()
