"""Pieces and frames made on demand: by real workers from real clips, once for all who ask, and told of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from damfs.catalog import derived
from damfs.core.library import Library
from damfs.core.on_demand import FAILED_FOR_NS, Maker, Wanted
from damfs.core.rendition_upkeep import tidy_renditions
from damfs.core.spans import Span
from damfs.core.worker_pool import open_worker_pool
from damfs.errors import Unavailable
from damfs.integration.cutting import cut, withdraw
from damfs.integration.wire import Progress
from damfs.model import RenditionKind
from tests.sample_media import Clip, h264, write
from tests.small_library import added, opened, scanned, the_asset

SPAN, MOMENT = "00-00-00.000_00-00-00.400", "00-00-00.200"


@dataclass(frozen=True, slots=True)
class Ground:
    library: Library
    maker: Maker

    def wanted(self, name: str, kind: RenditionKind = RenditionKind.CLIP, profile: str = SPAN) -> Wanted:
        asset = the_asset(self.library, name)
        assert asset.blob is not None
        return Wanted(asset.id, asset.blob, kind, profile)

    @property
    def makings(self) -> int:
        return self.library.counters["cuts_made"]


@asynccontextmanager
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    """A store with a clip and a text that is called one."""
    footage = tmp_path / "footage"
    h264(footage / "clip.mp4", size=(320, 180), seconds=0.6)
    (footage / "text.mov").write_text("no clip\n" * 100)
    with opened(tmp_path / "library") as library:
        added(library, footage)
        await scanned(library)
        async with open_worker_pool(library.settings) as pool, trio.open_nursery() as nursery:
            yield Ground(library, Maker(library, pool, nursery))


async def test_many_who_ask_wait_for_one_making(tmp_path: Path) -> None:
    async with ground(tmp_path) as here:
        wanted, found = here.wanted("clip.mp4"), []

        async def ask() -> None:
            found.append(await here.maker.make(wanted))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
        assert here.makings == 1
        assert len({each.id for each in found}) == 1
        path = here.library.renditions / found[0].key
        assert path.stat().st_size == found[0].size
        assert not (here.library.state / "work").exists() or not list((here.library.state / "work").iterdir())


async def test_a_making_goes_on_when_the_one_who_asked_gives_up(tmp_path: Path) -> None:
    async with ground(tmp_path) as here:
        wanted = here.wanted("clip.mp4", RenditionKind.FRAME, MOMENT)
        with trio.move_on_after(0):
            await here.maker.make(wanted)
        made = await here.maker.make(wanted)
        assert made.kind is RenditionKind.FRAME
        assert here.makings == 1


async def test_what_is_made_is_told_under_its_name(tmp_path: Path) -> None:
    async with ground(tmp_path) as here:
        asset = the_asset(here.library, "clip.mp4")
        with here.library.feed.follow() as batches:
            await here.maker.make(here.wanted("clip.mp4"))
            (change,) = [each for each in await anext(aiter(batches)) if each.kind == "cut-made"]
        assert change.facets == {f"cuts:{asset.id}", "cuts"}
        assert change.detail["keys"] == [f"{SPAN}.mov".encode().hex()]
        assert change.names == ("clip.mp4",)


async def test_what_cannot_be_made_says_why_and_is_left_alone_for_a_while(tmp_path: Path) -> None:
    async with ground(tmp_path) as here:
        now = here.library.clock()
        here.library.clock = lambda: now
        wanted = here.wanted("text.mov")
        for _ in range(2):
            with pytest.raises(Unavailable, match="it holds text, not media"):
                await here.maker.make(wanted)
        assert here.makings == 1
        now += FAILED_FOR_NS
        with pytest.raises(Unavailable, match="it holds text, not media"):
            await here.maker.make(wanted)
        assert here.makings == 2


async def test_a_file_that_is_gone_is_unavailable_and_not_half_a_piece(tmp_path: Path) -> None:
    async with ground(tmp_path) as here:
        (tmp_path / "footage/clip.mp4").unlink()
        with pytest.raises(Unavailable):
            await here.maker.make(here.wanted("clip.mp4"))
        assert derived.list_on_demand(here.library.db.writer) == []


async def test_a_piece_whose_file_was_removed_is_forgotten_and_made_again(tmp_path: Path) -> None:
    async with ground(tmp_path) as here:
        wanted = here.wanted("clip.mp4")
        first = await here.maker.make(wanted)
        (here.library.renditions / first.key).unlink()
        await tidy_renditions(here.library, here.library.clock())
        assert derived.list_on_demand(here.library.db.writer) == []
        second = await here.maker.make(wanted)
        assert (second.id, second.size) != (first.id, 0)
        assert (here.library.renditions / second.key).stat().st_size == second.size


async def test_whoever_waits_is_told_of_frames_and_may_withdraw(tmp_path: Path) -> None:
    """Nobody else wants it: the worker is stopped, nothing is left, and it is made when it is asked for again."""
    footage = tmp_path / "footage"
    write(footage / "old.mp4", Clip(codec="mpeg4", options={"g": "300"}, size=(960, 540), seconds=8, tracks=()))
    with opened(tmp_path / "library") as library:
        added(library, footage)
        await scanned(library)
        asset = the_asset(library, "old.mp4")
        assert asset.blob is not None
        facts = {"duration_ns": 8 * 10**9, "media": "video", "video": {"frame_rate": "25/1"}}
        with library.db.transaction() as tx:
            derived.set_facts(tx, asset.blob, "probe", facts)
        span, told = Span(200, 7800, True), list[Progress]()
        async with open_worker_pool(library.settings) as pool, trio.open_nursery() as nursery:
            maker = Maker(library, pool, nursery)
            errors: list[str] = []
            begun, ended = trio.Event(), trio.Event()

            def tell(progress: Progress) -> None:
                told.append(progress)
                begun.set()

            async def ask() -> None:
                try:
                    await cut(library, maker, asset.id, span, -1, tell)
                except Unavailable as error:
                    errors.append(str(error))
                ended.set()

            nursery.start_soon(ask)
            with trio.fail_after(100):
                await begun.wait()
            assert (told[0].total, told[0].unit, told[0].what) == (190, "frames", "old.mp4")
            assert withdraw(library, maker, asset.id, span, -1) == {"withdrawn": True}
            with trio.fail_after(100):
                await ended.wait()
        assert "interrupted" in errors[0]
        assert withdraw(library, maker, asset.id, span, -1) == {"withdrawn": False}
        assert derived.list_on_demand(library.db.writer) == []
        assert not list((library.state / "work").iterdir())
        assert library.not_made == {}
