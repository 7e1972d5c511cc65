"""`sync FILE` opens it to read only: what others wrote to it meanwhile is as whole afterwards as it was before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from damfs.core.commands import Receive
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.upkeep import settle_interrupted
from damfs.presentation.fuse.draft_files import Draft
from damfs.presentation.fuse.drafts import Drafts
from tests.small_library import assets_named, files_below, opened, received


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "library"


@pytest.fixture
def library(path: Path) -> Iterator[Library]:
    with opened(path) as made:
        yield made


async def begun(library: Library, drafts: Drafts, *, again: bool) -> Draft:
    """A file that is being written, for the first time or ``again``."""
    if again:
        return await drafts.begin((await received(library, "clip.txt", b"one")).id, truncate=True)
    return await drafts.create(library.perform(Receive("clip.txt", 0o644, triaged=False), "test"))


@pytest.mark.parametrize("again", [False, True])
async def test_who_reads_a_file_syncs_it_when_it_was_written_on_and_closed(
    library: Library, path: Path, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    """The file has grown since, and damfs ends before it is sealed: it is whole."""
    monkeypatch.setattr(Drafts, "begin_seal", lambda *_: None)
    async with trio.open_nursery() as nursery:
        drafts = Drafts(library, Reception(library), nursery)
        draft = await begun(library, drafts, again=again)
        await drafts.write(draft, 0, b"short")
        reader = await drafts.join(draft.asset, writes=False, truncate=False)
        assert reader is draft
        await drafts.leave(draft, writes=True)
        await written_on(drafts, draft, b"longer than that", again=again)
        await drafts.sync(reader)
        await drafts.leave(reader, writes=False)
        nursery.cancel_scope.cancel()
    with opened(path) as after:
        await settle_interrupted(after, Reception(after))
        assert [each.name for each in assets_named(after, "clip.txt")] == ["clip.txt"]
        assert b"longer than that" in files_below(after.originals).values()


async def written_on(drafts: Drafts, before: Draft, data: bytes, *, again: bool) -> None:
    if again:
        draft = await drafts.begin(before.asset, truncate=False)
    else:
        draft = await drafts.join(before.asset, writes=True, truncate=False)
    assert draft is not before
    await drafts.write(draft, 0, data)
    await drafts.leave(draft, writes=True)
