"""mount(8) and fstab: by the helper mount.fuse.damfs, or by `damfs` in root's path; mounts of another user.

In mount namespaces of their own, so that nothing of this machine changes.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from damfs.integration.launching import become
from damfs.integration.mount_command import FAILED, WRONG_CALL
from tests.mount.daemon_process import await_end, environment, is_mounted, new_library
from tests.mount.test_lifecycle import daemon_of, log_of, wreck

HELPER = (sys.executable, "-c", "from damfs.integration.mount_command import main; main()")
PROGRAM = (sys.executable, "-c", "from damfs.integration.cli import main; main()")
ROOT = Path(__file__).parents[2]
NOBODY = 65534
READ_ANYTHING = "+dac_read_search"
"""This checkout may lie in a folder that only root may enter."""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    return new_library(tmp_path / "library")


@pytest.fixture
def mountpoint(tmp_path: Path, library: Path) -> Iterator[Path]:
    path = tmp_path / "dam"
    path.mkdir()
    yield path
    wreck(library, path)


def helper(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HELPER, *words], capture_output=True, text=True, timeout=180, check=False, env=environment()
    )  # fmt: skip


def options_of(mountpoint: Path, table: str | None = None) -> set[str]:
    lines = (table or Path("/proc/self/mounts").read_text()).splitlines()
    (line,) = (line for line in lines if str(mountpoint) in line)
    return set(line.split()[3].split(","))


# --- the helper, called as mount(8) does ----------------------------------------------------------------------


def test_the_helper_as_mount_8_calls_it(library: Path, mountpoint: Path) -> None:
    done = helper(
        library, mountpoint, "-o", "rw,noexec,nosuid,nodev,allow_other,nofail,_netdev,user", "-t", "fuse.damfs"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert {"rw", "noexec", "nosuid", "nodev", "allow_other"} <= options_of(mountpoint)
    (mountpoint / "inbox/a.txt").write_text("a")


def test_the_helper_only_pretends_when_told(library: Path, mountpoint: Path) -> None:
    assert helper(library, mountpoint, "-f", "-v", "-o", "rw").returncode == 0
    assert not is_mounted(mountpoint)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("{library}", "{mountpoint}", "-o", "rw,uid=5"), FAILED, "setuid=USER"),
        (("{library}", "{mountpoint}", "-o", "remount,ro"), FAILED, "unmount it"),
        (("{library}", "{mountpoint}", "-o", "setuid=no-such-user"), FAILED, "no user no-such-user"),
        (("{library}", "{mountpoint}", "-o", "nonsense"), FAILED, "fuse: unknown option(s): `-o nonsense'"),
        (("{library}", "{mountpoint}/nothing", "-o", "rw"), FAILED, "does not exist"),
        (("{mountpoint}", "{mountpoint}", "-o", "rw"), FAILED, "damfs init"),
    ],
)
def test_what_the_helper_cannot_mount(
    library: Path, mountpoint: Path, words: tuple[str, ...], code: int, told: str
) -> None:
    done = helper(*(word.format(library=library, mountpoint=mountpoint) for word in words))
    assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
    assert done.stderr.startswith("mount.fuse.damfs: ")
    assert told in done.stderr
    assert not is_mounted(mountpoint)


def test_a_wrong_call_of_the_helper(library: Path) -> None:
    assert helper(library).returncode == WRONG_CALL


# --- mount(8) itself ------------------------------------------------------------------------------------------


def program(path: Path, words: tuple[str, ...]) -> Path:
    """A program of this checkout that also starts with the bare environment that mount(8) gives."""
    path.parent.mkdir(exist_ok=True)
    variables = {name: os.environ[name] for name in ("PYTHONPATH", "DAMFS_TEST_SESSION") if name in os.environ}
    given = " ".join(shlex.quote(f"{name}={value}") for name, value in variables.items())
    path.write_text(f'#!/bin/sh\nexec env {given} {shlex.join(words)} "$@"\n')
    path.chmod(0o755)
    return path


def in_own_namespace(script: str, **paths: Path) -> str:
    """What a shell script says that may mount and may replace folders of the system: nobody else sees it."""
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-euc", script], capture_output=True, text=True,
        timeout=180, check=False, env={**os.environ, **{name: str(path) for name, path in paths.items()}},
    )  # fmt: skip
    assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout


USE = """
echo one > "$mountpoint/inbox/one.txt"
grep -F "$(basename "$(dirname "$library")")" /proc/self/mounts
"""
END = """
umount "$mountpoint"
! grep -F "$(basename "$(dirname "$library")")" /proc/self/mounts
"""


def test_mount_with_the_helper_in_sbin(library: Path, mountpoint: Path, tmp_path: Path) -> None:
    made = program(tmp_path / "mount.fuse.damfs", HELPER)
    table = in_own_namespace(
        'mount -t tmpfs none /usr/sbin; ln -s "$made" /usr/sbin/mount.fuse.damfs\n'
        f'mount -t fuse.damfs "$library" "$mountpoint" -o allow_other,noatime,nofail,x-systemd.automount\n{USE}{END}',
        library=library, mountpoint=mountpoint, made=made,
    )  # fmt: skip
    assert {"rw", "allow_other", "noatime", "nosuid", "nodev"} <= options_of(mountpoint, table)
    ended_in_order(library)


def ended_in_order(library: Path) -> None:
    """umount(8) does not wait for it."""
    await_end(daemon_of(library), 30)
    log = log_of(library)
    assert "Traceback" not in log
    assert list((library / "originals").rglob("one.txt")), log


def test_mount_with_damfs_in_the_path_and_nothing_in_sbin(library: Path, mountpoint: Path, tmp_path: Path) -> None:
    """mount.fuse3, which comes with FUSE, runs `damfs LIBRARY MOUNTPOINT -o …`."""
    made = program(tmp_path / "damfs", PROGRAM)
    table = in_own_namespace(
        'mount -t tmpfs none /usr/local/bin; ln -s "$made" /usr/local/bin/damfs\n'
        f'mount -t fuse.damfs "$library" "$mountpoint" -o ro\n{USE.replace("echo", "! echo")}{END}',
        library=library, mountpoint=mountpoint, made=made,
    )  # fmt: skip
    assert "ro" in options_of(mountpoint, table)


def test_a_line_of_fstab(tmp_path: Path) -> None:
    """Mounted by `mount -a` at the start, once however often it is called; spaces in the paths."""
    library, mountpoint = new_library(tmp_path / "my library"), tmp_path / "my dam"
    mountpoint.mkdir()
    line = f"{library} {mountpoint}".replace("my ", "my\\040") + " fuse.damfs allow_other,nofail,_netdev,user 0 0\n"
    (tmp_path / "fstab").write_text(line)
    try:
        table = in_own_namespace(
            'mount -t tmpfs none /usr/sbin; ln -s "$made" /usr/sbin/mount.fuse.damfs\n'
            f'mount -T "$fstab" -a; mount -T "$fstab" -a\n{USE}'
            f'umount "$mountpoint"; flock "$library/state/lock" true; mount -T "$fstab" "$mountpoint"; grep one '
            f'"$mountpoint/inbox/one.txt"; {END}',
            library=library, mountpoint=mountpoint, fstab=tmp_path / "fstab",
            made=program(tmp_path / "mount.fuse.damfs", HELPER),
        )  # fmt: skip
        assert {"allow_other", "noexec"} <= set(table.split()[3].split(","))
        assert table.splitlines()[-1] == "one"
        ended_in_order(library)
    finally:
        wreck(library, mountpoint)


# --- other users ----------------------------------------------------------------------------------------------


def test_a_mount_of_another_user_by_setuid(library: Path, mountpoint: Path) -> None:
    """As mount(8) does it as root; only a program that everybody may read can be run so."""
    script = (
        "import os, sys; from damfs.integration.launching import become; become('nobody');"
        "print(os.getuid(), os.geteuid(), os.getgid(), sorted(set(os.getgroups())), os.environ['HOME'])"
    )
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment()
    ).stdout.split()  # fmt: skip
    assert said[:2] == [str(NOBODY)] * 2
    assert "0" not in said[2:-1]


def test_becoming_who_one_is_changes_nothing() -> None:
    become("root")
    assert os.geteuid() == 0


FOR_EVERYBODY = (
    "mount -t tmpfs none /mnt; mknod /mnt/fuse c 10 229; chmod 666 /mnt/fuse; mount --bind /mnt/fuse /dev/fuse\n"
    'cp -a "$library" /mnt/library; mkdir /mnt/dam; chown -R nobody /mnt/library'
)
"""The device, as machines with udev have it, and a library of nobody's."""
AS_NOBODY = (
    f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --inh-caps={READ_ANYTHING}"
    f" --ambient-caps={READ_ANYTHING}"
)


@pytest.mark.parametrize("allowed", [False, True])
def test_allow_other_of_a_user_who_is_not_root(library: Path, tmp_path: Path, allowed: bool) -> None:
    (tmp_path / "fuse.conf").write_text("user_allow_other\n" if allowed else "# user_allow_other\n")
    said = in_own_namespace(
        f"{FOR_EVERYBODY} /mnt/dam\n"
        'mount --bind "$conf" /etc/fuse.conf\n'
        f'{AS_NOBODY} "$damfs" mount -o allow_other /mnt/library /mnt/dam 2>&1 || echo "exit code $?"\n'
        'if mountpoint -q /mnt/dam; then grep -F /mnt/dam /proc/self/mounts; ls /mnt/dam; umount /mnt/dam; fi',
        library=library, conf=tmp_path / "fuse.conf", damfs=program(tmp_path / "bin/damfs", PROGRAM),
    ).splitlines()  # fmt: skip
    if allowed:
        assert len(said) > 2, said
        assert {"allow_other", f"user_id={NOBODY}"} <= options_of(Path("/mnt/dam"), said[1])
        assert "inbox" in said
    else:
        assert len(said) == 2
        assert "only root may use allow_other, unless /etc/fuse.conf has the line user_allow_other" in said[0]
        assert said[1] == "exit code 1"


def test_what_fuse_says_of_a_mount_that_it_refuses_reaches_who_asked(library: Path, tmp_path: Path) -> None:
    said = in_own_namespace(
        f"{FOR_EVERYBODY}\n"
        f'{AS_NOBODY} "$damfs" mount /mnt/library /mnt/dam 2>&1 || echo "exit code $?"\n'
        "grep fusermount /mnt/library/state/daemon.log",
        library=library, damfs=program(tmp_path / "bin/damfs", PROGRAM),
    ).splitlines()  # fmt: skip
    refusal = "fusermount3: user has no write access to mountpoint /mnt/dam"
    assert said[:2] == [
        f"damfs: /mnt/dam cannot be mounted: {refusal}; what else is needed says: damfs doctor",
        "exit code 1",
    ]
    assert refusal in said[2:], "the log keeps it"


def test_folders_are_live_for_a_user_who_is_not_root(library: Path, tmp_path: Path) -> None:
    said = in_own_namespace(
        f"{FOR_EVERYBODY} /mnt/dam\n"
        f'{AS_NOBODY} "$damfs" mount /mnt/library /mnt/dam\n'
        f"{AS_NOBODY} mkdir /mnt/dam/by-tag/beach; {AS_NOBODY} sh -c 'echo a > /mnt/dam/inbox/a.txt'\n"
        f"{AS_NOBODY} inotifywait -t 30 -e create --format 'heard %e %f' /mnt/dam/by-tag/beach"
        ' 2>/mnt/watch & watcher=$!\n'
        "until grep -q established /mnt/watch; do sleep 0.1; done\n"
        f'{AS_NOBODY} "$damfs" tag /mnt/dam/inbox/a.txt beach; wait $watcher; {AS_NOBODY} ls /mnt/dam/by-tag/beach\n'
        f'{AS_NOBODY} "$damfs" umount /mnt/dam',
        library=library, damfs=program(tmp_path / "bin/damfs", PROGRAM),
    ).splitlines()  # fmt: skip
    assert "heard CREATE a.txt" in said
    assert "a.txt" in said
