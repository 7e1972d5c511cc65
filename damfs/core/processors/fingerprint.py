"""fingerprint: what a photo or clip looks like in little, so that near duplicates of it can be found.

``accepts`` is pure; ``run`` happens in a worker process and only reads. A clip is looked at five times a second at
most, at 120 moments at most: short ones frame by frame, of long ones the key frames that are nearest.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from damfs.core.processors.processor import Output, Processor, Subject
from damfs.model import Facts, Media

if TYPE_CHECKING:  # the daemon imports this module and must not load what decodes
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from PIL.Image import Image

MOMENTS = 120
STEP_NS = 200_000_000
DECODED_NS = 60_000_000_000
"""Clips up to this length are decoded as a whole."""
PICTURES = ("thumbnail/512", "thumbnail/256", "poster/jpeg")
"""Renditions that will do, best first."""
FRAME = 160


class Fingerprint(Processor):
    name: ClassVar[str] = "fingerprint"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset({"preview"})
    priority: ClassVar[int] = 70
    timeout_s: ClassVar[float] = 300.0

    def accepts(self, subject: Subject) -> bool:
        return subject.facts.get("probe", {}).get("media", subject.media) in (Media.VIDEO, Media.IMAGE)

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from PIL import Image

        path = next((subject.renditions[each] for each in PICTURES if each in subject.renditions), None)
        if path is None:
            return Output()  # there is nothing that can be shown of it
        with Image.open(path) as picture:
            found = picture_facts(picture.convert("RGB"))
        duration = subject.facts.get("probe", {}).get("duration_ns")
        if isinstance(duration, int) and duration > 0:
            found |= clip_facts(source, subject.name, duration)
        return Output(facts=found)


def picture_facts(picture: Image) -> dict[str, object]:
    """``small``: grey, row by row; ``turned``: how it looks mirrored and turned by quarters, half-precision floats."""
    import numpy as np
    from PIL.Image import Transpose

    from damfs.core.processors.look import look
    from damfs.core.processors.marks import small_grey

    small = small_grey(picture)
    picture.thumbnail((256, 256))
    turns = (Transpose.FLIP_LEFT_RIGHT, Transpose.ROTATE_90, Transpose.ROTATE_180, Transpose.ROTATE_270)
    turned = np.stack([look(picture.transpose(turn)) for turn in turns]).astype("<f2")
    return {"width": small.shape[1], "small": _text(small.tobytes()), "turned": _text(turned.tobytes())}


def clip_facts(source: Path, name: str, duration_ns: int) -> Facts:
    """``marks`` of 16 bytes each, at ``times_ms``. A clip of which nothing can be decoded has none."""
    from damfs.core.processors import media
    from damfs.core.processors.marks import mark_of

    step_ns = max(STEP_NS, duration_ns // MOMENTS)
    found: dict[int, bytes] = {}
    with media.opened(source, name) as container:
        stream = media.picture_stream(container)
        if stream is not None:
            for at_ns, picture in moments_shown(container, stream, duration_ns, step_ns, FRAME):
                mark = mark_of(picture)
                if mark is not None:
                    found.setdefault(at_ns // 1_000_000, mark)
    marks = sorted(found.items())[:MOMENTS]
    return {"times_ms": [at_ms for at_ms, _ in marks], "marks": _text(b"".join(mark for _, mark in marks))}


def moments_shown(
    container: InputContainer, stream: VideoStream, duration_ns: int, step_ns: int, longest: int
) -> Iterator[tuple[int, Image]]:
    """Pictures of a clip in the order of time, each with its own time: one a step, or key frames of a long one."""
    from damfs.core.processors import keyframes, media

    frames = _decoded(container, stream, step_ns)
    if duration_ns > DECODED_NS:
        frames = _sought(container, stream, duration_ns, step_ns)
    turn = None
    for at_ns, frame in frames:
        turn = turn or media.turn_of(frame)
        yield at_ns, keyframes.picture_of(frame, stream, longest, turn)


def _decoded(container: InputContainer, stream: VideoStream, step_ns: int) -> Iterator[tuple[int, VideoFrame]]:
    """The first frame of each step."""
    from av.video.frame import VideoFrame

    from damfs.core.processors import keyframes, media

    stream.thread_type = "AUTO"
    next_ns = 0
    for _, frame in media.decoded(container, [stream], media.Damage()):
        if isinstance(frame, VideoFrame) and keyframes.moment(frame, stream) >= next_ns:
            at_ns = keyframes.moment(frame, stream)
            next_ns = (at_ns // step_ns + 1) * step_ns
            yield at_ns, frame


def _sought(
    container: InputContainer, stream: VideoStream, duration_ns: int, step_ns: int
) -> Iterator[tuple[int, VideoFrame]]:
    """The key frame before each step, at its own time."""
    from damfs.core.processors import keyframes, media

    stream.codec_context.skip_frame = "NONKEY"
    damage, base, seen = media.Damage(), stream.time_base, set[int]()
    for target_ns in range(0, duration_ns, step_ns) if base is not None else ():
        assert base is not None
        try:
            container.seek((stream.start_time or 0) + int(target_ns / media.NANO / base), stream=stream, backward=True)
        except Exception as error:  # noqa: BLE001 - a damaged index raises anything; the next place may be fine
            damage.note(error)
        for frame in keyframes.keyframe_here(container, stream, damage, seen):
            yield keyframes.moment(frame, stream), frame


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
