"""Large files are not read through for small pictures: what was decoded and read is counted, not how long it took."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from damfs.core.processors.preview import Preview
from damfs.core.processors.probe import Probe
from damfs.core.processors.processor import Output, Processor, Subject
from damfs.core.processors.sheet import Sheet
from damfs.core.processors.sprite import Sprite
from damfs.model import Media
from tests.sample_media import Clip, write

LARGE = (4000, 3000)
OF_THE_FILE = 0.02
"""Most of the file that one picture costs: itself, and what the container reads around it."""


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """61 s of whole pictures, 43 MB."""
    clip = Clip(codec="rawvideo", pixel_format="uyvy422", size=(160, 90), seconds=61, tracks=())
    return write(tmp_path_factory.mktemp("long") / "long.mov", clip)


def made(processor: Processor, path: Path, out: Path) -> Output:
    out.mkdir()
    return processor.run(path, out, Subject(path.name, Media.VIDEO, path.stat().st_size))


def bytes_read(act: Callable[[], object]) -> int:
    """By this process, as the kernel counts them."""

    def so_far() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("rchar:")).split()[1])

    before = so_far()
    act()
    return so_far() - before


@pytest.mark.parametrize(
    ("processor", "pictures"),
    [(Probe(), 1), (Preview(), 5), (Sprite(), 24), (Sheet(), 24)],
    ids=["probe", "preview", "sprite", "sheet"],
)
def test_a_long_clip_is_read_at_a_few_places_only(
    long: Path, tmp_path: Path, processor: Processor, pictures: int
) -> None:
    """Of 1,525 frames."""
    first = made(processor, long, tmp_path / "first")  # code that is loaded at the first time is read as well
    taken = bytes_read(lambda: made(processor, long, tmp_path / "again"))
    print(f"{processor.name}: {taken / long.stat().st_size:.3f} of the file")
    assert taken < OF_THE_FILE * pictures * long.stat().st_size
    if not isinstance(processor, Probe):
        assert 0 < int(str(first.facts["decoded"])) <= pictures


@pytest.mark.parametrize("processor", [Probe(), Preview()], ids=["probe", "preview"])
def test_a_large_photo_is_decoded_small(tmp_path: Path, processor: Processor, monkeypatch: pytest.MonkeyPatch) -> None:
    """A JPEG's decoder makes a half, a quarter or an eighth of the size as fast as a part of the work."""
    noise = np.random.default_rng(1).integers(0, 255, (LARGE[1] // 8, LARGE[0] // 8, 3), np.uint8)
    Image.fromarray(noise).resize(LARGE).save(tmp_path / "large.jpg", quality=90)
    sizes: list[tuple[int, int]] = []
    load = JpegImageFile.load

    def seen(image: JpegImageFile) -> object:
        found = load(image)
        sizes.append(image.size)
        return found

    monkeypatch.setattr(JpegImageFile, "load", seen)
    output = made(processor, tmp_path / "large.jpg", tmp_path / "out")
    assert sizes != []
    assert max(width * height for width, height in sizes) <= LARGE[0] * LARGE[1] // 4
    if isinstance(processor, Probe):
        assert (output.facts["width"], output.facts["height"]) == LARGE
