"""Listing a tag beside TMSU, the best known tag file system, where its program is on the PATH: seconds.

Both show the same files of the disk; TMSU shows links to them. The first listing after each mount, and repeated ones.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from damfs.integration.mounts import mount_at
from tests.bench.figure import Figure, figure, in_turns
from tests.bench.ground import BenchFailed, Ground
from tests.bench.listing import ls
from tests.bench.synthetic import FEW, MANY

PROGRAM = "tmsu"
TMSU = "the same tag in TMSU"
FLAGS = "-lU"
AT_ONCE = 500
"""Files for each call of its program."""
MOUNT_LIMIT_S = 120.0


def measure(ground: Ground) -> Iterator[Figure]:
    if shutil.which(PROGRAM) is None:
        ground.say(f"{PROGRAM} is not on the PATH: nothing to compare with")
        return
    made = ground.populated()
    with ground.mounted(made.library) as daemon:
        daemon.wait_until_quiet()
        for word, term, twin in (("few", FEW, made.few_twin), ("many", MANY, made.twin)):
            ground.say(f"list-peer-{word} …")
            place = daemon.mountpoint / "by-tag" / term
            with tagged(ground, twin, term) as peer:
                first_s, peer_first_s = ls(FLAGS, place), ls(FLAGS, peer)
                seconds = in_turns(
                    ground.size.runs, {"mount": partial(ls, FLAGS, place), TMSU: partial(ls, FLAGS, peer)}
                )
                detail = {
                    "command": f"ls {FLAGS}",
                    "entries": len(list(place.iterdir())),
                    "first_after_mount_s": first_s,
                    "tmsu_first_s": peer_first_s,
                    "first_ratio": first_s / peer_first_s,
                }
            yield figure(f"list-peer-{word}", "s", seconds["mount"], {TMSU: seconds[TMSU]}, detail)


@contextmanager
def tagged(ground: Ground, folder: Path, term: str) -> Iterator[Path]:
    """The directory of a tag of TMSU that every file of the folder carries."""
    home, mountpoint = ground.new("tmsu"), ground.new("tmsu-mount")
    ask(home, "init")
    names = sorted(str(path) for path in folder.iterdir())
    for start in range(0, len(names), AT_ONCE):
        ask(home, "tag", f"--tags={term}", *names[start : start + AT_ONCE])
    ask(home, "mount", str(mountpoint))
    try:
        deadline = time.monotonic() + MOUNT_LIMIT_S
        while mount_at(mountpoint) is None:
            if time.monotonic() > deadline:
                raise BenchFailed(f"{PROGRAM} does not mount")
            time.sleep(0.05)
        yield mountpoint / "tags" / term
    finally:
        subprocess.run(["fusermount3", "-u", "-z", str(mountpoint)], check=True)


def ask(home: Path, *words: str) -> None:
    subprocess.run([PROGRAM, *words], cwd=home, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
