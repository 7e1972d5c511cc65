"""The unit files, read by systemd itself: nothing misspelt, no missing program, nothing that hides the mount."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
SYSTEM_UNIT = SYSTEMD / "damfs@.service"
USER_UNIT = SYSTEMD / "user" / "damfs@.service"
DAMFS = Path(sys.executable).parent / "damfs"
HIDES_THE_MOUNT = {
    "BindPaths",
    "InaccessiblePaths",
    "PrivateDevices",
    "PrivateMounts",
    "PrivateTmp",
    "ProtectHome",
    "ProtectSystem",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "TemporaryFileSystem",
}


def verify(unit: Path, tmp_path: Path, text: str) -> subprocess.CompletedProcess[str]:
    """What systemd-analyze says of an instance of the unit; the damfs of this environment stands for the installed."""
    own = re.sub(r"(?m)^(ExecStart=)\S*/damfs\b", lambda found: f'{found[1]}"{DAMFS}"', text)
    (tmp_path / "damfs@.service").write_text(own)
    instance = tmp_path / "damfs@films-2026.service"
    instance.symlink_to("damfs@.service")
    scope = ["--user"] if unit == USER_UNIT else []
    runtime = tmp_path / "runtime"
    runtime.mkdir(mode=0o700)
    return subprocess.run(
        ["systemd-analyze", *scope, "--man=no", "verify", str(instance)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(runtime)},
        capture_output=True,
        text=True,
        check=False,
    )


def settings(unit: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # names are case-sensitive
    parser.read_string(unit.read_text())
    return parser["Service"]


@pytest.mark.parametrize("unit", [SYSTEM_UNIT, USER_UNIT], ids=["system", "user"])
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    done = verify(unit, tmp_path, unit.read_text())
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("unit", [SYSTEM_UNIT, USER_UNIT], ids=["system", "user"])
@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("KillMode=mixed", "KillModus=mixed"),
        ("Restart=on-failure", "Restart=sometimes"),
        ("ExecStart=", "ExecStart=/missing "),
    ],
)
def test_a_mistake_would_be_seen(unit: Path, right: str, wrong: str, tmp_path: Path) -> None:
    text = unit.read_text()
    assert f"\n{right}" in text
    done = verify(unit, tmp_path, text.replace(f"\n{right}", f"\n{wrong}"))
    assert done.returncode != 0 or done.stderr


@pytest.mark.parametrize("unit", [SYSTEM_UNIT, USER_UNIT], ids=["system", "user"])
def test_nothing_hides_the_mount(unit: Path) -> None:
    assert not HIDES_THE_MOUNT & set(settings(unit))


@pytest.mark.parametrize("unit", [SYSTEM_UNIT, USER_UNIT], ids=["system", "user"])
def test_what_is_mounted_is_what_is_cleaned_up(unit: Path) -> None:
    service = settings(unit)
    mountpoint = service["ExecStart"].split()[-1]
    assert service["ExecStopPost"].split()[-1] == mountpoint
    assert service["ExecStartPre"].split()[-1] == mountpoint
    assert "%I" not in unit.read_text().partition("[Unit]")[2]


def test_the_system_unit_is_hardened_as_far_as_mounting_allows(tmp_path: Path) -> None:
    copy = tmp_path / "damfs@.service"
    copy.write_text(SYSTEM_UNIT.read_text())
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=45", "--no-pager", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
