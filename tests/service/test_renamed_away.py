"""Which file is the heir of one that was renamed away: the same directory and name, a backup name, within a minute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from damfs.catalog import remarks
from damfs.core.commands import Rename, Trash
from damfs.core.describing import SetRating
from damfs.core.library import Library
from damfs.model import Asset
from damfs.presentation.views.renamed_away import MOST, REMEMBERED_NS, RenamedAway
from damfs.presentation.views.view import Place
from tests.small_library import asset, opened, received, tags

HERE, ELSEWHERE = Place("inbox", ()), Place("by-tag", ("beach",))
START = 1_800_000_000_000_000_000


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        made.clock = lambda: START
        yield made


@pytest.fixture
async def old(library: Library) -> Asset:
    made = await received(library, "x.txt", b"old", "beach")
    library.perform(SetRating(made.id, 8), "test")
    return made


@pytest.fixture
async def new(library: Library) -> Asset:
    return await received(library, "new.txt", b"new")


def renamed(library: Library, away: RenamedAway, old: Asset, to: str = "x.txt~", place: Place = HERE) -> None:
    library.perform(Rename(old.id, to), "test")
    away.moved(asset(library, old.id), HERE, "x.txt", place, to)


@pytest.mark.parametrize("backup", ["x.txt~", "~WRL0001.tmp", "x.txt.bak", "x.txt.OLD", ".x.txt.swp"])
async def test_the_heir_is_described_as_the_old_one(library: Library, old: Asset, new: Asset, backup: str) -> None:
    away = RenamedAway(library)
    renamed(library, away, old, backup)
    away.arrived(new.id, HERE, "x.txt")
    assert tags(library, new.id) == tags(library, old.id) == ["beach"]
    assert remarks.remark(library.db.writer, new.id).rating == 8
    assert away.former_name(old.id, HERE, backup) == "x.txt"


async def test_what_an_heir_says_itself_stays(library: Library, old: Asset, new: Asset) -> None:
    away = RenamedAway(library)
    library.perform(SetRating(new.id, 2), "test")
    renamed(library, away, old)
    away.moved(new, HERE, "new.txt", HERE, "x.txt")
    assert tags(library, new.id) == ["beach"]
    assert remarks.remark(library.db.writer, new.id).rating == 2


@pytest.mark.parametrize(
    ("place", "name", "backup", "later"),
    [
        (HERE, "x.txt", "x.txt~", REMEMBERED_NS + 1),
        (HERE, "x.txt", "y.txt", 0),
        (HERE, "other.txt", "x.txt~", 0),
        (ELSEWHERE, "x.txt", "x.txt~", 0),
    ],
    ids=["after a minute", "renamed for good", "another name", "another directory"],
)
async def test_no_heir(
    library: Library, old: Asset, new: Asset, place: Place, name: str, backup: str, later: int
) -> None:
    away = RenamedAway(library)
    renamed(library, away, old, backup)
    library.clock = lambda: START + later
    away.arrived(new.id, place, name)
    assert tags(library, new.id) == []


async def test_a_clock_that_was_set_back_ends_it(library: Library, old: Asset, new: Asset) -> None:
    away = RenamedAway(library)
    renamed(library, away, old)
    library.clock = lambda: START - 1
    away.arrived(new.id, HERE, "x.txt")
    assert tags(library, new.id) == []


async def test_who_comes_back_or_is_trashed_has_no_heir(library: Library, old: Asset, new: Asset) -> None:
    away = RenamedAway(library)
    renamed(library, away, old)
    away.moved(old, HERE, "x.txt~", HERE, "x.txt")
    away.arrived(new.id, HERE, "x.txt")
    assert tags(library, new.id) == []
    renamed(library, away, old)
    library.perform(Trash(old.id), "test")
    assert away.former_name(old.id, HERE, "x.txt~") is None
    away.arrived(new.id, HERE, "x.txt")
    assert tags(library, new.id) == []


async def test_the_table_has_an_end(library: Library, old: Asset) -> None:
    away = RenamedAway(library)
    renamed(library, away, old)
    for number in range(MOST):
        away.moved(old, HERE, f"{number}.txt", HERE, f"{number}.txt~")
    assert away.former_name(old.id, HERE, "x.txt~") is None
    assert away.former_name(old.id, HERE, f"{MOST - 1}.txt~") == f"{MOST - 1}.txt"
