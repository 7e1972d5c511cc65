"""A disk that fills while small files are copied: whoever made a file, what was written is there and nothing else."""

from __future__ import annotations

import mmap
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from damfs.presentation.fuse import native
from tests.mount.conftest import Serve
from tests.mount.consistency import check_consistent
from tests.mount.daemon_process import QUICK, new_library, run
from tests.mount.test_making import check_unharmed, make
from tests.mount.test_making_refused import contents, made_until_told

TOLD = "no space left|tried again|held back"


@contextmanager
def small_disk(path: Path) -> Iterator[Path]:
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", path], check=True)
    try:
        yield path
    finally:
        run("umount", "-l", path)


def fill(path: Path, leave: int) -> None:
    """But for so many pages."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
    with path.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(mmap.PAGESIZE))
    os.truncate(path, path.stat().st_size // mmap.PAGESIZE * mmap.PAGESIZE - leave * mmap.PAGESIZE)


@pytest.mark.parametrize(("module", "left"), [("native", (0, 14, 40)), ("plain", (7, 25))])
def test_a_disk_that_fills_while_small_files_are_copied(
    serve: Serve, tmp_path: Path, module: str, left: tuple[int, ...]
) -> None:
    """Wherever it is that the last page is missing. What was written is there, and nothing that was not."""
    if os.geteuid():
        pytest.fail("needs root, as the machine of the tests has it")
    with small_disk(tmp_path / "small") as disk:
        environment = {native.SWITCH: native.OFF} if module == "plain" else {}
        dam = serve(new_library(disk / "library", QUICK), announced=[TOLD], environment=environment).start()
        make(dam, "first.dat", "second.dat")
        written: dict[str, bytes] = {}
        for leave in left:
            dam.settled()
            fill(disk / "filler", leave)
            written |= made_until_told(dam, f"full-{leave}")
            (disk / "filler").unlink()
        dam.settled()
        assert contents(dam, "full") == written
        check_unharmed(dam)
        dam.end()
        dam.start()
        assert contents(dam, "full") == written
        check_consistent(dam)
        dam.end()
