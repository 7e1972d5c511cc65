"""What damfs needs of the machine: FUSE, kernel, workers, models. Each check is one function and one `Diagnosis`.

Blocks: reads files below /proc, /sys and /etc, starts one short process. Changes nothing.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import damfs
from damfs.integration import client, mounts
from damfs.integration.diagnosis import Diagnosis, bad, ok, warn

OLDEST_KERNEL = (5, 10)
PASSTHROUGH_KERNEL = (6, 9)
CAP_SYS_ADMIN = 21
MODULE = "presentation/fuse/_passthrough*.so"
WORKER_LIMIT_S = 60.0
WORKER = "import av, PIL, blake3; from damfs.core import worker_process; print('av', av.__version__)"
CARD_LIMIT_S = 120.0
CARD = "from damfs.core.processors import hardware; hardware.tell()"
ROOT_USER = 0
FUSE_CONF = Path("/etc/fuse.conf")
HELPER = Path("/sbin/mount.fuse.damfs")
"""What mount(8) looks for."""


def machine_checks() -> Iterator[Diagnosis]:
    """Every check that needs no library."""
    yield fuse_device(Path("/dev/fuse"))
    yield unmounting()
    yield other_users(FUSE_CONF)
    yield mount_program(HELPER)
    yield kernel(os.uname().release)
    yield worker()
    yield graphics_card()
    yield time_zone(Path("/etc/localtime"))
    yield stale_mounts(mounts.mounts())


def fuse_device(path: Path) -> Diagnosis:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return bad("fuse", f"{path} is not there; load it with: modprobe fuse (in a container: --device {path})")
    except OSError as error:
        return bad("fuse", f"{path} cannot be opened ({error.strerror}); give your user access to it")
    return ok("fuse", f"{path} can be opened")


def unmounting(program: str = "fusermount3") -> Diagnosis:
    found = shutil.which(program)
    if found:
        return ok(program, found)
    text = f"{program} is not installed; install the package fuse3"
    return warn(program, text) if os.geteuid() == ROOT_USER else bad(program, text)


def other_users(config: Path, user: int | None = None) -> Diagnosis:
    """Whether a mount may be shown to other users."""
    name = "allow_other"
    if (os.geteuid() if user is None else user) == ROOT_USER:
        return ok(name, "root may always mount with -o allow_other")
    if may_share(config, user):
        return ok(name, "users may mount with -o allow_other")
    return warn(
        name, f"only you will see your mounts; to share them (Samba, other users) add user_allow_other to {config}"
    )


def may_share(config: Path = FUSE_CONF, user: int | None = None) -> bool:
    """Whether fusermount3 lets the user mount with allow_other."""
    if (os.geteuid() if user is None else user) == ROOT_USER:
        return True
    try:
        return any(line.strip() == "user_allow_other" for line in config.read_text(encoding="utf-8").splitlines())
    except OSError:
        return False


def mount_program(helper: Path) -> Diagnosis:
    """Whether mount(8) and /etc/fstab know damfs. Nothing else needs it."""
    name = "mount(8)"
    if os.access(helper, os.X_OK):
        return ok(name, f"{helper} is there: mount -t fuse.damfs LIBRARY MOUNTPOINT, and lines of /etc/fstab, work")
    program = Path(sys.executable).with_name(helper.name)
    return ok(name, f"not set up; for mount -t fuse.damfs and /etc/fstab, once, as root: ln -s {program} {helper}")


def release_of(text: str) -> tuple[int, int]:
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def kernel(release: str) -> Diagnosis:
    if release_of(release) < OLDEST_KERNEL:
        return warn("kernel", f"Linux {release} is old; damfs is tested from {'.'.join(map(str, OLDEST_KERNEL))} on")
    return ok("kernel", f"Linux {release}")


def passthrough_expected(release: str, capabilities: int, package: Path) -> Diagnosis:
    """Without a daemon to ask: whether a mount could let the kernel read files itself."""
    name, slower = "native", "files are read through the daemon, which is slower"
    if not any(package.glob(MODULE)):
        return warn(name, f"the native module was not built: {slower}; install a C compiler and install damfs again")
    if release_of(release) < PASSTHROUGH_KERNEL:
        return warn(name, f"Linux {release} has no passthrough: {slower}; Linux has it from 6.9 on")
    if not capabilities >> CAP_SYS_ADMIN & 1:
        return warn(name, f"needs CAP_SYS_ADMIN: {slower}; mount as root, or by the systemd unit")
    return ok(name, "the kernel can read files itself; `damfs status` of a mounted library says whether it does")


def capabilities() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)[1], 16)  # type: ignore[index]  # every Linux has it


def package_path() -> Path:
    return Path(damfs.__path__[0])


def worker(code: str = WORKER) -> Diagnosis:
    """Whether a process like those that decode media can be started, and has what it needs."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=WORKER_LIMIT_S, check=False
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return bad("workers", f"no worker can be started: {error}")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return bad("workers", f"media cannot be decoded: {last}; install damfs again (./bootstrap)")
    return ok("workers", f"can be started ({done.stdout.strip()})")


def graphics_card(code: str = CARD) -> Diagnosis:
    """What of a graphics card makes proxies here, found out by trying, and why the rest does not."""
    name = "hardware"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=CARD_LIMIT_S, check=False
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return warn(name, f'a graphics card could not be tried: {error}; with trouble set proxy.hardware = "off"')
    proofs = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not proofs:
        return warn(name, f"a graphics card could not be tried (exit code {done.returncode}); software makes proxies")
    return ok(name, _card_text(proofs))


def _card_text(proofs: list[dict[str, str]]) -> str:
    names: dict[str, list[str]] = {}
    for each in proofs:
        names.setdefault(each["why"], []).append(_card_name(each))
    works = ", ".join(names.pop("", []))
    why = "; ".join(f"{', '.join(those)}: {reason}" for reason, those in names.items())
    if works:
        return f"{works}{f' (not {why})' if why else ''}"
    return f"no graphics card helps, software makes proxies ({why})"


def _card_name(proof: dict[str, str]) -> str:
    return proof["name"] if proof["kind"] == "encoder" else f"{proof['name']} decoding {proof['what']}"


def time_zone(link: Path) -> Diagnosis:
    name = time.strftime("%Z, UTC%z")
    if not os.environ.get("TZ") and not link.exists():
        return warn("time zone", f"none is set, so {name} is used; set library.timezone in damfs.toml or {link}")
    return ok("time zone", name)


def stale_mounts(found: list[mounts.Mount]) -> Diagnosis:
    """Mounts whose daemon is dead. Does not touch the mounts: a daemon that hangs would hang us."""
    ours = [mount for mount in found if mount.kind == mounts.FILE_SYSTEM]
    dead = [mount for mount in ours if not _is_served(mount)]
    if dead:
        names = ", ".join(str(mount.mountpoint) for mount in dead)
        return warn("mounts", f"stale, their daemon is dead: {names}; clean up with: damfs umount {dead[0].mountpoint}")
    return ok("mounts", ", ".join(f"{mount.source} on {mount.mountpoint}" for mount in ours) or "none")


def _is_served(mount: mounts.Mount) -> bool:
    try:
        os.stat(Path(mount.source) / "state")
        connection = client.connect(Path(mount.source))
    except PermissionError:
        return True  # another user's: we cannot ask
    except OSError:
        return False
    if connection is None:
        return False
    connection.close()
    return True
