"""Every declared field is told by a real file that carries it, through the processors, as `damfs info` shows it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
import pytest

from damfs.catalog.fields import BROWSABLE, FIELDS, Kind
from damfs.core.asset_info import FieldInfo, field_info
from damfs.core.processors.exiftool import ExifTool
from damfs.core.processors.loudness import Loudness
from damfs.core.processors.place import Place
from damfs.core.processors.probe import Probe
from damfs.core.processors.processor import Subject
from damfs.model import Facts, Media
from tests import sample_media
from tests.sample_media.running import RECORDERS, recorded
from tests.unit.test_probe_detail import HDR10, remuxed

SMALL = (64, 48)
PHOTO = {
    "XMP-dc:Title": "At the sea", "XMP-dc:Description": "Two gulls", "XMP-dc:Creator": "A. Person",
    "XMP-dc:Rights": "CC0", "XMP-dc:Subject": "gull", "IPTC:Keywords": "sea", "XMP-photoshop:Headline": "Gulls",
    "XMP-photoshop:Credit": "The Agency", "XMP-iptcExt:Event": "Summer 2024", "EXIF:SerialNumber": "4711",
    "EXIF:ISO": "400", "EXIF:ExposureTime": "1/250", "EXIF:FNumber": "2.8", "EXIF:FocalLength": "35",
    "EXIF:GPSAltitude": "33",
}  # fmt: skip
QUICKTIME = {
    "com.apple.quicktime.make": "Apple", "com.apple.quicktime.model": "iPhone 15 Pro",
    "com.apple.quicktime.creationdate": "2024-07-15T14:34:56+0200",
    "com.apple.quicktime.location.ISO6709": "+48.8584+002.2945+033.000/",
    "com.apple.quicktime.camera.lens_model": "iPhone 15 Pro back camera 6.86mm f/1.78",
}  # fmt: skip


def photo(folder: Path) -> Path:
    path = sample_media.jpeg(folder / "photo.jpg", size=SMALL)
    words = [f"-{tag}={value}" for tag, value in PHOTO.items()]
    subprocess.run(["exiftool", "-q", "-overwrite_original", *words, path], check=True)
    return path


def phone(folder: Path) -> Path:
    return sample_media.h264(
        folder / "phone.mov", size=SMALL, seconds=0.4, rotation=90, metadata=QUICKTIME,
        container_options={"movflags": "use_metadata_tags"},
    )  # fmt: skip


def graded(folder: Path) -> Path:
    options = {"preset": "ultrafast", "x265-params": HDR10}
    return sample_media.hevc10(folder / "hdr.mp4", seconds=0.2, size=(320, 180), options=options)


def cinema(folder: Path) -> Path:
    return sample_media.prores(
        folder / "A001.mov", size=SMALL, seconds=0.4, reel="A001", created=datetime(2024, 7, 15, tzinfo=UTC),
        sample_aspect=Fraction(4, 3),
    )  # fmt: skip


def film(folder: Path) -> Path:
    source = sample_media.h264(folder / "source.mp4", seconds=0.4, size=SMALL)
    return remuxed(source, folder / "film.mkv", subtitles="ger", chapters=2)


def long_sound(folder: Path) -> Path:
    path = folder / "long.wav"
    with (
        av.open("sine=frequency=400:sample_rate=8000:duration=61", format="lavfi") as source,
        av.open(str(path), "w") as made,
    ):
        stream = made.add_stream("pcm_s16le", rate=8000, layout="mono")
        for frame in source.decode(audio=0):
            made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    return path


def live(folder: Path) -> Path:
    return recorded(folder / "live.mkv", RECORDERS["live.mkv"])[0]


MAKERS: tuple[Callable[[Path], Path], ...] = (photo, phone, graded, cinema, film, long_sound, live)


def facts_of(path: Path) -> dict[str, Facts]:
    """As the jobs of a file find them, one after the other."""
    found: dict[str, Facts] = {}
    kind = {".jpg": Media.IMAGE, ".wav": Media.AUDIO}.get(path.suffix, Media.VIDEO)
    for processor in (Probe(), ExifTool(), Place(), Loudness()):
        settings = {"loudness": True} if path.suffix == ".wav" else {}
        subject = Subject(path.name, kind, path.stat().st_size, dict(found), settings=settings)
        out = path.parent / f"{path.name}-{processor.name}"
        out.mkdir()
        if processor.accepts(subject):
            found[processor.name] = processor.run(path, out, subject).facts
    return found


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, FieldInfo]]:
    """What is shown of each file, by its maker and the field."""
    folder = tmp_path_factory.mktemp("told")
    found = {}
    for make in MAKERS:
        facts = facts_of(make(folder))
        infos = (field_info(field, facts) for field in FIELDS)
        found[make.__name__] = {info.field: info for info in infos if info is not None}
    return found


@pytest.mark.needs_programs("exiftool")
def test_each_field_is_told_by_a_file_that_carries_it(told: dict[str, dict[str, FieldInfo]]) -> None:
    said = {name for infos in told.values() for name in infos}
    assert {field.name for field in FIELDS} - said == set()
    assert {field.name for field in FIELDS if field.kind is Kind.SHOWN} <= said
    assert set(BROWSABLE) == {"camera", "codec", "lens", "place", "resolution"}


@pytest.mark.needs_programs("exiftool")
@pytest.mark.parametrize(
    ("maker", "field", "text"),
    [
        ("photo", "camera", "Fujifilm X-T5"),
        ("photo", "title", "At the sea"),
        ("photo", "headline", "Gulls"),
        ("photo", "credit", "The Agency"),
        ("photo", "event", "Summer 2024"),
        ("photo", "keyword", "gull, sea"),
        ("photo", "serial", "4711"),
        ("photo", "iso", "400"),
        ("photo", "exposure", "1/250 s"),
        ("photo", "altitude", "33 m"),
        ("phone", "camera", "Apple iPhone 15 Pro"),
        ("phone", "lens", "iPhone 15 Pro back camera 6.86mm f/1.78"),
        ("phone", "captured", "2024-07-15 14:34:56 +02:00"),
        ("phone", "place", "France/Île-de-France"),
        ("phone", "rotation", "270°"),
        ("graded", "hdr", "PQ"),
        ("graded", "max-light", "1,000 cd/m²"),
        ("cinema", "timecode", "10:58:07:12"),
        ("cinema", "reel", "A001"),
        ("cinema", "codec", "prores"),
        ("cinema", "language", "eng, fra"),
        ("cinema", "resolution", "64x48"),
        ("film", "chapters", "2"),
        ("film", "subtitles", "ger"),
        ("live", "unfinished", "its recording is not finished: its length is not written yet"),
    ],
)
def test_as_people_read_it(told: dict[str, dict[str, FieldInfo]], maker: str, field: str, text: str) -> None:
    assert told[maker][field].text == text
