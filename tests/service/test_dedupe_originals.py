"""`damfs dedupe` and originals: what was encoded anew goes, whatever an encoder made it longer or higher by."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from damfs.core.dedupe_report import as_text
from damfs.core.deduplicating import dedupe
from damfs.core.duplicate_groups import Sort
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.model import AssetState
from tests.sample_media import h264, jpeg
from tests.service.test_duplicates import taken_in
from tests.small_library import opened, the_asset


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with opened(tmp_path / "library") as made:
        yield made


def encoded_anew(source: Path, target: Path, crf: int, more: int, height: int = 180) -> Path:
    """``more``: how often the last frame is shown again."""
    import av

    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream("libx264", rate=25, options={"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = 320, height, "yuv420p"
        frames = [frame.reformat(width=320, height=height, format="rgb24") for frame in read.decode(video=0)]
        for number, frame in enumerate([*frames, *frames[-1:] * more]):
            again = av.VideoFrame.from_ndarray(frame.to_ndarray(), format="rgb24")
            again.pts, again.time_base = number, Fraction(1, 25)
            written.mux(stream.encode(again))
        written.mux(stream.encode(None))
    return target


@pytest.mark.parametrize("first", ["master.mp4", "web.mp4"])
async def test_the_master_stays_beside_an_encode_that_is_a_frame_longer(
    library: Library, tmp_path: Path, first: str
) -> None:
    source = h264(tmp_path / "source.mp4", seconds=3.96, source="mandelbrot", size=(320, 180))
    encoded_anew(source, tmp_path / "master.mp4", 2, 0)
    encoded_anew(source, tmp_path / "web.mp4", 32, 1)
    for name in sorted(("master.mp4", "web.mp4"), key=lambda name: name != first):
        await taken_in(library, tmp_path / name, tmp_path)
    report = await dedupe(library, Reception(library), [Sort.NEAR], apply=True)
    assert (report.moved, report.problems) == (1, []), as_text(report)
    assert the_asset(library, "master.mp4").state is AssetState.PRESENT
    assert the_asset(library, "web.mp4").state is AssetState.TRASHED


async def test_pictures_that_may_each_be_the_original_stay(library: Library, tmp_path: Path) -> None:
    await taken_in(library, jpeg(tmp_path / "fine.jpg", scene="flowers", size=(600, 400)), tmp_path)
    with Image.open(tmp_path / "fine.jpg") as fine:
        fine.resize((602, 400)).save(tmp_path / "wider.jpg", quality=20)
        fine.save(tmp_path / "whole.png")
    for name in ("wider.jpg", "whole.png"):
        await taken_in(library, tmp_path / name, tmp_path)
    report = await dedupe(library, Reception(library), [Sort.NEAR], apply=True)
    assert {name: the_asset(library, name).state for name in ("fine.jpg", "whole.png", "wider.jpg")} == {
        "fine.jpg": AssetState.PRESENT,
        "whole.png": AssetState.PRESENT,
        "wider.jpg": AssetState.TRASHED,
    }, as_text(report)
