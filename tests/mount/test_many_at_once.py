"""Several programs do what they like in the mount at the same time: no error that nobody foresaw, each file has the
bytes that the catalog says, and what the kernel remembers in the end is what a fresh mount shows."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import shutil
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from tests.mount.daemon_process import Daemon, damfs, drawn_seed, rows, until

if TYPE_CHECKING:
    from tests.mount.conftest import Serve

PROGRAMS = 4
STEPS = 250
EXPECTED = {
    errno.ENOENT, errno.EEXIST, errno.EPERM, errno.ENOTEMPTY, errno.EINVAL, errno.ENOTDIR, errno.EISDIR, errno.ESTALE
}  # fmt: skip
"""What a program may meet when others were faster, or when an operation has no meaning there."""
TERMS = ("beach", "sea", "red", "sunset")
NAMES = tuple(f"{stem}.txt" for stem in ("a", "b", "c", "d", "e~1", "f"))
CONTENTS = tuple(f"content {number}\n" * number for number in range(1, 5))


def place(dice: random.Random, root: Path) -> Path:
    return root / dice.choice(
        ["inbox", "by-tag", "untagged", "by-type/other", *(f"by-tag/{term}" for term in TERMS),
         f"by-tag/{dice.choice(TERMS)}/{dice.choice(TERMS)}"]
    )  # fmt: skip


def write(dice: random.Random, root: Path) -> None:
    with (place(dice, root) / dice.choice(NAMES)).open("x") as file:
        file.write(dice.choice(CONTENTS))


def rename(dice: random.Random, root: Path) -> None:
    (place(dice, root) / dice.choice(NAMES)).rename(place(dice, root) / dice.choice(NAMES))


def move(dice: random.Random, root: Path) -> None:
    name = dice.choice(NAMES)
    (place(dice, root) / name).rename(place(dice, root) / name)


def link(dice: random.Random, root: Path) -> None:
    name = dice.choice(NAMES)
    os.link(place(dice, root) / name, place(dice, root) / name)


def unlink(dice: random.Random, root: Path) -> None:
    (place(dice, root) / dice.choice(NAMES)).unlink()


def copy(dice: random.Random, root: Path) -> None:
    name = dice.choice(NAMES)
    shutil.copyfile(place(dice, root) / name, place(dice, root) / name)


def make_term(dice: random.Random, root: Path) -> None:
    (root / "by-tag" / dice.choice(["", *TERMS]) / dice.choice(TERMS)).mkdir()


def remove_term(dice: random.Random, root: Path) -> None:
    (root / "by-tag" / dice.choice(["", *TERMS]) / dice.choice(TERMS)).rmdir()


def rename_term(dice: random.Random, root: Path) -> None:
    old = root / "by-tag" / dice.choice(["", *TERMS]) / dice.choice(TERMS)
    old.rename(root / "by-tag" / dice.choice(["", *TERMS]) / dice.choice(TERMS))


def look(dice: random.Random, root: Path) -> None:
    for entry in os.scandir(place(dice, root)):
        entry.stat()


def read(dice: random.Random, root: Path) -> None:
    """Two that write into one file at once may mix its lines, here as on a disk."""
    content = (place(dice, root) / dice.choice(NAMES)).read_text()
    lines = zip_longest(*(whole.splitlines(keepends=True) for whole in CONTENTS))
    written = all(line in those for line, those in zip(content.splitlines(keepends=True), lines, strict=False))
    assert written, f"bytes that nobody wrote: {content!r}"
    assert len(content) <= len(CONTENTS[-1])


ACTIONS: tuple[Callable[[random.Random, Path], None], ...] = (
    write, write, write, rename, move, move, link, unlink, copy, make_term, make_term, remove_term, rename_term, look,
    look, read,
)  # fmt: skip


def program(seed: int, root: Path) -> None:
    """One program: an unforeseen errno ends it with a traceback and an exit code."""
    dice = random.Random(seed)
    for _ in range(STEPS):
        try:
            dice.choice(ACTIONS)(dice, root)
        except shutil.SameFileError:
            continue
        except OSError as error:
            if error.errno not in EXPECTED:
                raise


Looks = dict[str, tuple[int, int, int] | None]


def everything(root: Path) -> Looks:
    """Every path below the mount with its inode, size and mtime; and every name that a program may have used.

    Names first: a listing tells the kernel anew what it lists, and would hide what it remembers wrongly.
    """
    places = ["inbox", "by-tag", "untagged", "by-type/other", *(f"by-tag/{term}" for term in TERMS)]
    places += [f"by-tag/{one}/{two}" for one in TERMS for two in TERMS]
    found = {f"{place}/{name}": look_at(root / place / name) for place in places for name in (*NAMES, *TERMS)}
    for folder, folders, files in os.walk(root):
        for name in [*folders, *files]:
            path = Path(folder, name)
            found[str(path.relative_to(root))] = look_at(path)
    return found


def look_at(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    # a directory that was renamed keeps its inode until the mount ends
    return 0 if path.is_dir() else status.st_ino, status.st_size, status.st_mtime_ns


def test_programs_at_work_together(serve: Serve) -> None:
    seed = drawn_seed()
    dam = serve().start()
    for term in TERMS:
        (dam / "by-tag" / term).mkdir()
    fork = multiprocessing.get_context("fork")
    programs = [fork.Process(target=program, args=(seed + number, dam.mountpoint)) for number in range(PROGRAMS)]
    for each in programs:
        each.start()
    for each in programs:
        each.join(120)
    codes = [each.exitcode for each in programs]
    for each in programs:
        each.kill()
    assert codes == [0] * PROGRAMS, f"seed {seed}"
    dam.settled()
    assert dam.stats().get("damfs_fuse_unexpected_errors_total", 0) == 0, dam.log()
    remembered = settled_view(dam)
    assert len({seen[0] for seen in remembered.values() if seen}) > 10, "the programs did something"
    assert rows(dam.library, "SELECT copy, key FROM file_move") == [], f"seed {seed}: moves that never ended"
    dam.end()
    damfs("check", dam.library)
    damfs("verify", dam.library)
    dam.start()
    assert settled_view(dam) == remembered, f"seed {seed}"


def settled_view(dam: Daemon) -> Looks:
    """When the last notices have reached the kernel, two looks agree."""
    seen: list[Looks] = []

    def agree() -> bool:
        seen.append(everything(dam.mountpoint))
        return len(seen) > 1 and seen[-1] == seen[-2]

    until(agree, "two looks agree")
    return seen[-1]
