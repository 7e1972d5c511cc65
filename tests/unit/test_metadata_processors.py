"""exiftool, place, loudness: what they find in real files, and that they keep still where they have nothing to say."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from damfs.core.processors import exiftool, place
from damfs.core.processors.exiftool import ExifTool, facts_of
from damfs.core.processors.loudness import Loudness
from damfs.core.processors.place import Place
from damfs.core.processors.probe import Probe
from damfs.core.processors.processor import Processor, Subject
from damfs.errors import BadMedia
from damfs.model import Facts, Media
from tests import sample_media

XMP = """<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
<rdf:Description xmlns:dc='http://purl.org/dc/elements/1.1/' xmlns:exif='http://ns.adobe.com/exif/1.0/'
 exif:DateTimeOriginal='2019-05-06T07:08:09+02:00'>
<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>At the sea</rdf:li></rdf:Alt></dc:title>
<dc:creator><rdf:Seq><rdf:li>A. Person</rdf:li></rdf:Seq></dc:creator></rdf:Description></rdf:RDF></x:xmpmeta>"""


def run(processor: Processor, path: Path, facts: dict[str, Facts] | None = None, name: str | None = None) -> Facts:
    out = path.parent / f"out-{os.urandom(4).hex()}"
    out.mkdir()
    found = processor.run(path, out, Subject(name or path.name, Media.IMAGE, path.stat().st_size, facts or {})).facts
    assert not list(out.iterdir())
    return found


# --- exiftool ---------------------------------------------------------------------------------------------------------


@pytest.mark.needs_programs("exiftool")
def test_exiftool_reads_what_pillow_does_not(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(sample_media.png(tmp_path / "b.png", size=(32, 24)).read_bytes())
    with_xmp(path)
    found = run(ExifTool(), path)
    assert (found["title"], found["artist"]) == ("At the sea", "A. Person")
    assert found["captured_local"] == "2019-05-06T07:08:09"


def with_xmp(path: Path) -> None:
    from PIL import Image, PngImagePlugin

    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", XMP)
    with Image.open(path) as picture:
        picture.load()
        picture.save(path, "PNG", pnginfo=texts)


@pytest.mark.needs_programs("exiftool")
def test_exiftool_agrees_with_the_probe(tmp_path: Path) -> None:
    path = sample_media.jpeg(tmp_path / "a.jpg", size=(64, 48))
    probed, found = Probe().run(path, tmp_path, Subject("a.jpg", Media.IMAGE, 1)).facts, run(ExifTool(), path)
    for name in ("camera_make", "camera_model", "lens", "captured_local"):
        assert found[name] == probed[name]
    assert found["gps"] == pytest.approx(probed["gps"], abs=1e-4)


@pytest.mark.needs_programs("exiftool")
def test_one_process_reads_all_files_whatever_they_are_called(tmp_path: Path) -> None:
    tool = ExifTool()
    path = sample_media.jpeg(tmp_path / "a.jpg", size=(64, 48))
    names = [
        "a.jpg",
        "-execute",
        "two\n-delete_original\n.jpg",
        os.fsdecode(b"caf\xe9.jpg"),
        "-stay_open\nFalse",
        "x" * 255,
    ]
    found = [run(tool, path, name=name) for name in names]
    assert all(each == found[0] != {} for each in found)
    assert tool._tool is not None
    pid = tool._tool._process.pid
    (tmp_path / "text.jpg").write_text("no picture")
    assert run(tool, tmp_path / "text.jpg") == {}
    assert tool._tool._process.pid == pid
    tool._tool.end()


@pytest.mark.needs_programs("exiftool")
def test_a_process_that_ended_is_replaced_and_one_that_hangs_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool, path = ExifTool(), sample_media.jpeg(tmp_path / "a.jpg", size=(64, 48))
    assert run(tool, path)
    first = tool._tool
    assert first is not None
    first.end()
    assert run(tool, path)
    hung = tool._tool
    assert hung is not None
    os.kill(hung._process.pid, signal.SIGSTOP)
    monkeypatch.setattr(exiftool, "ANSWER_S", 0.2)
    with pytest.raises(BadMedia, match=r"a.jpg: exiftool gave no answer within 0.2 s"):
        run(tool, path)
    assert not hung.runs()


def test_what_exiftool_does_not_know_is_not_said() -> None:
    told = {"Make": "Unknown (0)", "LensID": "----", "ISO": 0, "GPSLatitude": "x", "Creator": ["A", "B"], "Model": 6}
    assert facts_of(told, {}) == {"artist": "A, B", "camera_model": "6"}


def test_exiftool_does_not_date_what_the_probe_has_dated() -> None:
    told = {"DateTimeOriginal": "2024:07:15 12:34:56"}
    assert facts_of(told, {"captured_utc_ns": 5}) == {}
    assert facts_of(told, {"captured_utc_ns": None})["captured_local"] == "2024-07-15T12:34:56"


def test_exiftool_declines_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exiftool, "PROGRAM", None)
    assert not ExifTool().accepts(Subject("a.jpg", Media.IMAGE, 1))


# --- place ------------------------------------------------------------------------------------------------------------


def placed(lat: float, lon: float, tmp_path: Path) -> Facts:
    gps: dict[str, Facts] = {"probe": {"gps": {"lat": lat, "lon": lon}}}
    subject = Subject("a.jpg", Media.IMAGE, 1, gps)
    assert Place().accepts(subject)
    return Place().run(tmp_path / "a.jpg", tmp_path, subject).facts


@pytest.mark.skipif(not place.HAS_GAZETTEER, reason="without the package reverse-geocode places are a grid of degrees")
@pytest.mark.parametrize(
    ("lat", "lon", "country", "region"),
    [
        (48.8584, 2.2945, "France", "Île-de-France"),
        (-33.8568, 151.2153, "Australia", "New South Wales"),
        (1.35, 103.8, "Singapore", None),
    ],
)
def test_towns_name_their_country(lat: float, lon: float, country: str, region: str | None, tmp_path: Path) -> None:
    found = placed(lat, lon, tmp_path)["place"]
    assert isinstance(found, dict)
    assert (found["country"], found["region"]) == (country, region)


def test_far_from_towns_and_without_a_gazetteer_there_are_degrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert placed(0.5, -30.5, tmp_path) == {"place": {"country": "by degrees", "region": "00N 030W"}}
    monkeypatch.setattr(place, "HAS_GAZETTEER", False)
    assert placed(-33.8568, 151.2153, tmp_path) == {"place": {"country": "by degrees", "region": "33S 151E"}}


@pytest.mark.parametrize("gps", [None, {}, {"lat": "x", "lon": 1}, {"lat": 91, "lon": 0}, [1, 2]])
def test_without_a_position_there_is_no_place(gps: object) -> None:
    assert not Place().accepts(Subject("a.jpg", Media.IMAGE, 1, {"probe": {"gps": gps}}))


def test_distances() -> None:
    assert place.distance_km(52.52, 13.405, 48.8566, 2.3522) == pytest.approx(878, rel=0.01)
    assert place.distance_km(0, 179.5, 0, -179.5) == pytest.approx(111, rel=0.01)


# --- loudness ---------------------------------------------------------------------------------------------------------


def sound(path: Path, samples: np.ndarray) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48000, layout="stereo")
        for start in range(0, len(samples), 4800):
            part = np.ascontiguousarray(np.stack([samples[start : start + 4800]] * 2).T.reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(part, format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_tone_is_as_loud_as_the_standard_says(tmp_path: Path) -> None:
    """EBU Tech 3341, case 1: 1 kHz in both channels at -23 dBFS is -23 LUFS."""
    at = np.arange(48000 * 4) / 48000
    tone = (10 ** (-23 / 20) * 32767 * np.sin(2 * np.pi * 1000 * at)).astype(np.int16)
    found = run(Loudness(), sound(tmp_path / "a.wav", tone))
    assert found["integrated_lufs"] == pytest.approx(-23.0, abs=0.1)
    assert found["true_peak_dbtp"] == pytest.approx(-23.0, abs=0.3)
    assert found["range_lu"] is None, "four seconds have no range"


def test_silence_has_no_loudness(tmp_path: Path) -> None:
    found = run(Loudness(), sound(tmp_path / "a.wav", np.zeros(48000 * 2, np.int16)))
    assert found == {"integrated_lufs": None, "range_lu": None, "true_peak_dbtp": None}


def test_loudness_is_off_until_it_is_wanted(tmp_path: Path) -> None:
    facts: dict[str, Facts] = {"probe": {"audio": [{"codec": "aac"}]}}
    assert not Loudness().accepts(Subject("a.wav", Media.AUDIO, 1, facts))
    assert Loudness().accepts(Subject("a.wav", Media.AUDIO, 1, facts, settings={"loudness": True}))
    with pytest.raises(BadMedia, match="no sound"):
        run(Loudness(), sample_media.h264(tmp_path / "a.mp4", seconds=0.2, size=(64, 48), tracks=()))


def test_a_child_whose_parent_has_died_meanwhile_does_not_begin() -> None:
    """The kernel tells only of a death that comes after the child has asked for it."""
    begun = subprocess.Popen(["sleep", "100"], preexec_fn=functools.partial(exiftool.die_with, os.getpid()))
    orphan = subprocess.Popen(["sleep", "100"], preexec_fn=functools.partial(exiftool.die_with, os.getpid() + 1))
    try:
        assert orphan.wait(60) == -signal.SIGKILL
        assert begun.poll() is None
    finally:
        for each in (begun, orphan):
            each.kill()
            each.wait()
