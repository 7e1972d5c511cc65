"""Many suggestions are accepted or refused in short transactions, as one thing to take back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from damfs.catalog import change_feed, proposals
from damfs.catalog.proposals import Origin
from damfs.core.judging import AT_ONCE
from damfs.core.library import Library
from damfs.core.suggesting import RefuseProposal, Suggest
from damfs.core.undo import take_back
from damfs.core.undo_groups import list_groups
from damfs.integration.terms import Terms
from damfs.integration.wire_terms import Judge
from damfs.model import AssetId, Seq
from tests.service.test_importing_terms import Watch
from tests.small_library import opened, scanned, tags, term

NUMBER = 4 * AT_ONCE + 5


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


async def suggested(library: Library, number: int) -> list[AssetId]:
    for each in range(number):
        (library.originals / f"{each}.txt").write_text(str(each))
    await scanned(library, "library")
    ids = [AssetId(id_) for (id_,) in library.db.writer.rows("SELECT id FROM asset ORDER BY id")]
    sea, origin = term(library, "sea"), Origin("auto_tag/2", "m")
    library.execute([Suggest(id_, origin, [(sea, 0.9)]) for id_ in ids], "test")
    return ids


def waiting(library: Library) -> int:
    return len(proposals.list_proposed(library.db.writer, 0.0, None))


def transactions(library: Library, since: Seq) -> list[int]:
    """How many changes each of them made."""
    counts: dict[int, int] = {}
    for change in change_feed.list_since(library.db.writer, since, -1):
        counts[change.at_ns] = counts.get(change.at_ns, 0) + 1
    return list(counts.values())


@pytest.mark.parametrize("accept", [True, False])
async def test_many_are_judged_in_parts_and_taken_back_together(library: Library, accept: bool) -> None:
    ids = await suggested(library, NUMBER)
    assert waiting(library) == NUMBER
    watch, since = Watch(library), change_feed.last_seq(library.db.writer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch.turn)
        told = await Terms(library).answer(Judge(accept, "sea"), lambda _: None)
        await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert told == {"suggestions": NUMBER}
    assert watch.turns > 2, "others have their turn meanwhile"
    assert max(transactions(library, since)) == AT_ONCE
    assert waiting(library) == 0
    assert tags(library, ids[-1]) == (["sea"] if accept else [])
    undone = await take_back(library, list_groups(library.db.writer, 1)[0])
    assert (undone.done, undone.left_out, waiting(library)) == (NUMBER, [], NUMBER)
    assert tags(library, ids[-1]) == []


async def test_what_is_gone_meanwhile_is_passed_over(library: Library) -> None:
    ids = await suggested(library, 3 * AT_ONCE + 2)
    sea = term(library, "sea")

    async def another() -> None:
        since = change_feed.last_seq(library.db.writer)
        while change_feed.last_seq(library.db.writer) == since:
            await trio.lowlevel.checkpoint()
        left = proposals.list_proposed(library.db.writer, 0.0, sea)
        library.perform(RefuseProposal(left[0].asset, sea), "test")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(another)
        told = await Terms(library).answer(Judge(True, "sea"), lambda _: None)
    assert told == {"suggestions": len(ids) - 1}
    assert waiting(library) == 0
