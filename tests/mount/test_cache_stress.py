"""What the kernel remembers while programs tag, rename, list and open at the same time: after quiet every listing and
every name is what the catalog says."""

from __future__ import annotations

import errno
import multiprocessing
import os
import random
import subprocess
import time
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from damfs.errors import DamfsError
from damfs.integration.client import call
from damfs.integration.wire import Tag
from damfs.model import AssetId
from damfs.presentation.views.names import shown_names
from tests.mount.daemon_process import QUICK, Daemon, drawn_seed, rows, run, until

if TYPE_CHECKING:
    from tests.mount.conftest import Serve

ROUNDS = int(os.environ.get("DAMFS_TEST_ROUNDS", "3"))
ROUND_S = 2.0
FILES = 12
TERMS = ("beach", "sea", "red")
PAIRS = [(one, other) for one, other in product(TERMS, TERMS) if one != other]
ID_MASK = (1 << 56) - 1
OTHERS_WERE_FASTER = {errno.ENOENT, errno.EEXIST, errno.ESTALE, errno.EPERM, errno.EIO}
WRITERS_LOSE = OTHERS_WERE_FASTER - {errno.EIO}


def tag_by_command(dice: random.Random, library: Path, ids: list[int]) -> None:
    some = tuple(dice.sample(ids, dice.choice((1, 1, 2, FILES))))
    call(library, Tag(some, (dice.choice(TERMS),), remove=dice.random() < 0.5))


def write_by_mount(dice: random.Random, root: Path, number: int) -> None:
    place = root / "by-tag" / dice.choice(TERMS)
    other = root / "by-tag" / dice.choice(TERMS)
    listed = os.listdir(place)
    if not listed:
        return
    name = dice.choice(listed)
    if dice.random() < 0.3:
        (place / name).rename(other / name)
    elif dice.random() < 0.5:
        (place / name).rename(place / f"{dice.choice('abcdef')}.txt")
    elif dice.random() < 0.5:
        os.link(place / name, other / name)
    else:
        (place / name).unlink()


def writer(seed: int, dam: Daemon, ids: list[int], end: float) -> None:
    dice = random.Random(seed)
    while time.monotonic() < end:
        try:
            if dice.random() < 0.5:
                tag_by_command(dice, dam.library, ids)
            else:
                write_by_mount(dice, dam.mountpoint, seed)
        except DamfsError:
            continue
        except OSError as error:
            if error.errno not in WRITERS_LOSE:
                raise


def reader(seed: int, dam: Daemon, end: float) -> None:
    dice = random.Random(seed)
    places = [dam / f"by-tag/{term}" for term in TERMS] + [dam / f"by-tag/{one}/{other}" for one, other in PAIRS]
    while time.monotonic() < end:
        place = dice.choice(places)
        for name in os.listdir(place):
            try:
                number = (place / name).stat().st_ino & ID_MASK
                content = (place / name).read_text()
            except OSError as error:
                if error.errno not in WRITERS_LOSE:
                    raise
                continue
            assert content.startswith("file "), f"bytes that nobody wrote in {number}: {content!r}"


def listed_by_catalog(library: Path, terms: tuple[str, ...]) -> dict[str, int]:
    """Name to asset, from tables alone: the vocabulary here has no narrower terms."""
    marks = " ".join(
        "AND a.id IN (SELECT g.asset FROM tagging AS g JOIN term AS t ON t.id = g.term WHERE t.name = ?)" for _ in terms
    )
    found = rows(
        library, f"SELECT a.id, a.name FROM asset AS a WHERE a.state = 'present' {marks} ORDER BY a.id", *terms
    )
    ids, names = [AssetId(int(str(id_))) for id_, _ in found], [str(name) for _, name in found]
    return dict(zip(shown_names(ids, names), ids, strict=True))


def listed_by_mount(place: Path) -> dict[str, int]:
    return {entry.name: entry.inode() & ID_MASK for entry in os.scandir(place)}


def stale_names(dam: Daemon, names: set[str]) -> list[str]:
    """Where the mount and the catalog differ. Names before listings: a listing tells the kernel anew what it lists."""
    wrong = []
    for terms in [(), *((term,) for term in TERMS), *PAIRS]:
        if not terms:
            continue
        place = dam.mountpoint.joinpath("by-tag", *terms)
        wanted = listed_by_catalog(dam.library, terms)
        for name in names:
            inode = inode_of(place / name)
            if inode != wanted.get(name) and not (inode is not None and name not in wanted and "~" in name):
                wrong.append(f"{place.name}/{name}: {inode}, not {wanted.get(name)}")
        listed = listed_by_mount(place)
        if listed != wanted:
            wrong.append(f"{place}: {listed}, not {wanted}")
    return wrong


def inode_of(path: Path) -> int | None:
    try:
        return path.stat().st_ino & ID_MASK
    except FileNotFoundError:
        return None


def watched(*places: Path) -> subprocess.Popen[bytes]:
    """Only then are live folders at work."""
    return subprocess.Popen(["inotifywait", "-q", "-m", *places], stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(("live", "native"), [("true", "on"), ("false", "on"), ("true", "off")])
def test_writers_and_readers(
    serve: Serve, tmp_path: Path, request: pytest.FixtureRequest, live: str, native: str
) -> None:
    environment = {"DAMFS_NATIVE": "off"} if native == "off" else {}
    dam = serve(settings=f"{QUICK}[mount]\nlive = {live}\n", environment=environment).start()
    seed = drawn_seed()
    for term in TERMS:
        (dam / "by-tag" / term).mkdir()
    for number in range(FILES):
        (tmp_path / f"{'abcdef'[number % 6]}.txt").write_text(f"file {number}")
        run("cp", tmp_path / f"{'abcdef'[number % 6]}.txt", dam / f"by-tag/{TERMS[number % 3]}/n{number}.txt")
    dam.idle()
    ids = [int(str(id_)) for (id_,) in rows(dam.library, "SELECT id FROM asset")]
    watcher = watched(dam.mountpoint / "by-tag", *(dam / f"by-tag/{term}" for term in TERMS))
    request.addfinalizer(watcher.wait)
    request.addfinalizer(watcher.kill)
    fork = multiprocessing.get_context("fork")
    for round_ in range(ROUNDS):
        end = time.monotonic() + ROUND_S
        programs = [fork.Process(target=writer, args=(seed + 10 * round_ + n, dam, ids, end)) for n in range(2)]
        programs += [fork.Process(target=reader, args=(seed + 10 * round_ + 5 + n, dam, end)) for n in range(2)]
        for each in programs:
            each.start()
        for each in programs:
            each.join(120)
        codes = [each.exitcode for each in programs]
        for each in programs:
            each.kill()
        assert codes == [0] * len(programs), f"seed {seed}, round {round_}"
        names = {name for terms in [(term,) for term in TERMS] for name in listed_by_catalog(dam.library, terms)}
        names |= {f"{letter}.txt" for letter in "abcdef"}
        wrong: list[list[str]] = []

        def agrees() -> bool:
            wrong.append(stale_names(dam, names))  # noqa: B023  # called in this round only
            return not wrong[-1]  # noqa: B023

        try:
            until(agrees, "mount and catalog agree")
        except AssertionError:
            raise AssertionError(f"seed {seed}, round {round_}: {wrong[-1]}") from None
    assert dam.stats().get("damfs_fuse_unexpected_errors_total", 0) == 0, dam.log()
    assert ("damfs_live_reenactments_total" in dam.stats()) == (live == "true")
