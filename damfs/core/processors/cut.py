"""cut: a piece of a clip, or one frame of it, as somebody asked for it by name. Planned for nothing: see `on_demand`.

``run`` happens in a worker process, writes below ``out`` only and may be killed at any moment. The settings of the
subject say ``kind`` and ``profile`` of the rendition that is wanted: see `core.spans`.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import ClassVar

from damfs.core.processors.processor import MadeRendition, Output, Processor, Subject, Worker
from damfs.core.processors.telling import PROGRESS, teller
from damfs.core.spans import CLIP_ENDING, FRAME_ENDING, moment_of, span_of, time_name
from damfs.errors import BadMedia
from damfs.model import RenditionKind

JPEG_QUALITY = 92
LONGEST = 65_500
"""Side of a JPEG at most."""


class Cut(Processor):
    name: ClassVar[str] = "cut"
    version: ClassVar[int] = 2
    worker: ClassVar[Worker] = Worker.PROMPT
    timeout_s: ClassVar[float] = 600.0

    def accepts(self, subject: Subject) -> bool:
        return {"kind", "profile"} <= subject.settings.keys()

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from damfs.core.processors import media

        name, profile = media.shown(subject.name), str(subject.settings["profile"])
        if subject.settings["kind"] == RenditionKind.FRAME:
            return frame(source, out / f"frame{FRAME_ENDING}", name, profile)
        return piece(source, out / f"clip{CLIP_ENDING}", name, profile, teller(out / PROGRESS))


def piece(source: Path, target: Path, name: str, profile: str, report: Callable[[float], None]) -> Output:
    from damfs.core.processors import cutting

    span = span_of(profile + CLIP_ENDING)
    if span is None:
        raise ValueError(f"{profile} is no span")

    start, end = (Fraction(at_ms, 1000) for at_ms in (span.start_ms, span.end_ms))
    made = cutting.cut(source, target, name, start, end, exact=span.exact, report=report)
    if not target.exists():
        raise BadMedia(f"{name}: no piece: it holds neither a picture nor a sample of sound between these times")
    detail: dict[str, object] = {
        "cut": f"{time_name(round(made.start * 1000))}_{time_name(round(made.end * 1000))}",
        "method": made.method,
        "frames": made.frames,
        "encoded_frames": made.encoded,
        **({"why": made.why} if made.why else {}),
        **({"errors": made.errors} if made.errors else {}),
    }
    return Output(renditions=(MadeRendition(RenditionKind.CLIP, profile, target, detail),))


def frame(source: Path, target: Path, name: str, profile: str) -> Output:
    from damfs.core.processors import keyframes, media, places

    at_ms = moment_of(profile + FRAME_ENDING)
    if at_ms is None:
        raise ValueError(f"{profile} is no moment")

    with media.opened(source, name) as container:
        stream = media.picture_stream(container)
        if stream is None:
            raise BadMedia(f"{name}: no frame: it holds no pictures that can be decoded here")
        media.check_size(stream.width, stream.height, name)
        found = places.frame_at(container, stream, Fraction(at_ms, 1000), name)
        shown = round(places.time_of(stream, found.pts or 0) * 1000)
        keyframes.picture_of(found, stream, LONGEST).save(target, quality=JPEG_QUALITY)
    made = MadeRendition(RenditionKind.FRAME, profile, target, {"cut": time_name(max(0, shown))})
    return Output(renditions=(made,))
