"""Poster and thumbnails of a clip beside ffmpegthumbnailer, of photos beside vipsthumbnail: seconds for the same sizes.

The processor runs here, in a process that is warm as a worker is; the programs start once for each size, as they must.
Everything is in the page cache. Without the programs there is nothing beside it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from damfs.core.processors.preview import POSTER_SIZE, THUMBNAIL_SIZES, Preview
from damfs.core.processors.processor import Subject
from damfs.core.processors.sprite import Sprite
from damfs.model import Media
from tests.bench.figure import Figure, figure, in_turns
from tests.bench.ground import Ground
from tests.sample_media import jpeg
from tests.sample_media.clips import FAST
from tests.sample_media.edited import Take, edited

SIZES = (POSTER_SIZE, *THUMBNAIL_SIZES)
TAKES = (Take("black", 1), Take("beach", 4, swing=0.2), Take("city", 5, swing=0.2))
TAKES_S = 10
GOP = {"g": "50"}
"""A key frame every two seconds, as cameras have it."""


def measure(ground: Ground) -> Iterator[Figure]:
    ground.say("previews-clip …")
    clip = long_clip(ground)
    ours = {"damfs": partial(previewed, ground, [clip])}
    seconds = in_turns(ground.size.runs, ours | beside(ground, "ffmpegthumbnailer", [clip], by_ffmpegthumbnailer))
    mine = seconds.pop("damfs")
    detail = {"clip_s": ground.size.clip_s, "lines": ground.size.clip_lines, "sizes": list(SIZES)}
    yield figure("previews-clip", "s", mine, seconds, detail)
    yield sprite_figure(ground, clip, detail)
    ground.say("previews-stills …")
    photos = [photo(ground, number) for number in range(ground.size.photos)]
    ours = {"damfs": partial(previewed, ground, photos)}
    seconds = in_turns(ground.size.runs, ours | beside(ground, "vipsthumbnail", photos, by_vipsthumbnail))
    mine = seconds.pop("damfs")
    yield figure("previews-stills", "s", mine, seconds, {"photos": len(photos), "sizes": list(SIZES)})


def sprite_figure(ground: Ground, clip: Path, detail: dict[str, object]) -> Figure:
    """Beside nothing: no program makes one."""
    seconds, facts = [], {}
    for _ in range(ground.size.runs):
        began = time.perf_counter()
        probed = Subject(clip.name, Media.VIDEO, clip.stat().st_size)
        facts = dict(Sprite().run(clip, ground.new("out"), probed).facts)
        seconds.append(time.perf_counter() - began)
    return figure(
        "previews-sprite", "s", seconds, None, {**detail, "cells": facts["cells"], "decoded": facts["decoded"]}
    )


def long_clip(ground: Ground) -> Path:
    """Ten seconds encoded, then repeated without encoding."""
    folder, lines = ground.new("clip"), ground.size.clip_lines
    short, whole = folder / "short.mp4", folder / "whole.mp4"
    edited(short, TAKES, size=(lines * 16 // 9, lines), options={**FAST, **GOP}, tracks=())
    again = str(ground.size.clip_s // TAKES_S - 1)
    command = ["ffmpeg", "-v", "error", "-stream_loop", again, "-i", str(short), "-c", "copy", str(whole)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return whole


def photo(ground: Ground, number: int) -> Path:
    lines = ground.size.clip_lines
    size = (lines * 4, lines * 8 // 3)
    return jpeg(ground.new("photo") / f"{number}.jpg", size=size, scene=("beach", "city", "flowers")[number % 3])


def previewed(ground: Ground, files: Sequence[Path]) -> float:
    outs = [ground.new("out") for _ in files]
    began = time.perf_counter()
    for file, out in zip(files, outs, strict=True):
        Preview().run(file, out, Subject(file.name, Media.VIDEO, file.stat().st_size))
    return time.perf_counter() - began


Command = Callable[[Path, Path, int], list[str]]


def beside(ground: Ground, program: str, files: Sequence[Path], command: Command) -> dict[str, Callable[[], float]]:
    """All sizes, and the largest alone."""
    if shutil.which(program) is None:
        return {}
    return {
        program: partial(run_all, ground, files, SIZES, command),
        f"{program}, {POSTER_SIZE} alone": partial(run_all, ground, files, SIZES[:1], command),
    }


def run_all(ground: Ground, files: Sequence[Path], sizes: Sequence[int], command: Command) -> float:
    out = ground.new("out")
    began = time.perf_counter()
    for number, file in enumerate(files):
        for size in sizes:
            ending = "png" if size <= 512 else "jpg"
            target = out / f"{number}-{size}.{ending}"
            subprocess.run(command(file, target, size), check=True, capture_output=True, env=ONE_THREAD)
            assert target.stat().st_size
    return time.perf_counter() - began


ONE_THREAD = {**os.environ, "VIPS_CONCURRENCY": "1"}
"""A worker has one thread for this as well."""


def by_ffmpegthumbnailer(source: Path, target: Path, size: int) -> list[str]:
    return ["ffmpegthumbnailer", "-i", str(source), "-o", str(target), "-s", str(size), "-q", "8"]


def by_vipsthumbnail(source: Path, target: Path, size: int) -> list[str]:
    return ["vipsthumbnail", str(source), "--size", str(size), "-o", str(target)]
