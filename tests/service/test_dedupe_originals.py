"""`damfs dedupe` and originals: what was encoded anew goes, whatever an encoder made it longer or higher by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from damfs.core.dedupe_report import as_text
from damfs.core.deduplicating import dedupe
from damfs.core.duplicate_groups import Sort
from damfs.core.library import Library
from damfs.core.processors import same_film
from damfs.core.processors.same_film import Film
from damfs.core.reception import Reception
from damfs.model import AssetState
from tests.sample_media import h264, jpeg
from tests.service.test_duplicates import take, taken_in
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


def with_sound(picture: Path, target: Path, tracks: Sequence[NDArray[np.float64]]) -> Film:
    """The film with these tracks of PCM at 8 kHz."""
    import av

    with av.open(str(picture)) as read, av.open(str(target), "w") as written:
        shown = written.add_stream_from_template(read.streams.video[0])
        streams = [written.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in tracks]
        for packet in read.demux(video=0):
            if packet.dts is not None:
                packet.stream = shown
                written.mux(packet)
        for stream, samples in zip(streams, tracks, strict=True):
            frame = av.AudioFrame.from_ndarray((samples * 30_000).astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 8000, 0, Fraction(1, 8000)
            written.mux(stream.encode(frame))
            written.mux(stream.encode(None))
    return Film(target.name, target)


def test_every_sound_track_of_a_film_is_listened_to(tmp_path: Path) -> None:
    at = np.arange(4 * 8000) / 8000
    music, speech = (np.sin(at * 3000) * np.abs(np.sin(at * beats)) for beats in (3.1, 7.7))
    picture = take(tmp_path / "take.mp4", 1)
    both = with_sound(picture, tmp_path / "both.mov", [music, speech])
    silent = with_sound(picture, tmp_path / "silent.mov", [music, speech * 0])
    dubbed = with_sound(picture, tmp_path / "dubbed.mov", [music, music])
    tone = with_sound(picture, tmp_path / "tone.mov", [music, np.sin(at * 3000)])
    one = with_sound(picture, tmp_path / "one.mov", [music])
    assert same_film.objection(both, both, 0) is None
    assert same_film.objection(both, silent, 0) is None, "nothing is lost with silence"
    assert same_film.objection(silent, both, 0) == "its sound is in no other, track 2"
    assert same_film.objection(silent, tone, 0) == "its sound is in no other, track 2"
    assert same_film.objection(dubbed, both, 0) == "another sound, track 2"
    assert same_film.objection(one, both, 0) == same_film.objection(both, one, 0) == "another number of sound tracks"
    assert same_film.objection(both, Film(picture.name, picture), 0) is None, "without any sound"


async def test_nothing_that_lies_in_the_current_directory_is_imported(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await taken_in(library, jpeg(tmp_path / "whole.jpg", scene="flowers", size=(600, 400)), tmp_path)
    with Image.open(tmp_path / "whole.jpg") as whole:
        whole.resize((300, 200)).save(tmp_path / "small.jpg", quality=60)
    await taken_in(library, tmp_path / "small.jpg", tmp_path)
    (tmp_path / "numpy.py").write_text("open('was_imported', 'w')\nraise RuntimeError\n")
    monkeypatch.chdir(tmp_path)
    report = await dedupe(library, Reception(library), [Sort.NEAR], apply=True)
    assert not (tmp_path / "was_imported").exists()
    assert (report.moved, report.problems) == (1, [])
