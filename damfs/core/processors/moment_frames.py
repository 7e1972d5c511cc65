"""Pictures of a clip at given times, or key frames spread over the clip where none are given.

Runs in worker processes only (imports av); decodes from the key frame before each time, not the whole clip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from damfs.core.processors import keyframes, media
from damfs.errors import BadMedia

PACKETS_TO_FRAME = 600
"""Packets of the stream read from the key frame before a time: ten seconds and more at 50 frames a second."""


def frames_at(source: Path, name: str, times: Sequence[int], longest: int) -> Iterator[tuple[int, Image.Image]]:
    """(nanoseconds from the start, upright picture), in order, each frame once. Raises BadMedia."""
    shown = media.shown(name)
    with media.opened(source, shown) as container:
        stream = media.picture_stream(container)
        if stream is None:
            raise BadMedia(f"{shown}: it holds no pictures that can be decoded here")
        media.check_size(stream.width, stream.height, shown)
        damage = media.Damage()
        frames = _at(container, stream, times, damage) if times else _spread(container, stream, damage)
        seen: set[int | None] = set()
        turn = None
        for at_ns, frame in frames:
            if frame.pts not in seen:
                seen.add(frame.pts)
                turn = turn or media.turn_of(frame)
                yield at_ns, keyframes.picture_of(frame, stream, longest, turn)


def _spread(container: InputContainer, stream: VideoStream, damage: media.Damage) -> Iterator[tuple[int, VideoFrame]]:
    for frame in keyframes.spread_keyframes(container, stream, damage):
        yield keyframes.moment(frame, stream), frame


def _at(
    container: InputContainer, stream: VideoStream, times: Sequence[int], damage: media.Damage
) -> Iterator[tuple[int, VideoFrame]]:
    for at_ns in times:
        frame = _frame_at(container, stream, at_ns, damage)
        if frame is not None:
            yield at_ns, frame


def _frame_at(container: InputContainer, stream: VideoStream, at_ns: int, damage: media.Damage) -> VideoFrame | None:
    """The first frame at or after a time, if it can be decoded; else the last before it."""
    if stream.time_base is None:
        return None
    target = (stream.start_time or 0) + int(at_ns / media.NANO / stream.time_base)
    stream.codec_context.skip_frame = "DEFAULT"
    try:
        container.seek(target, stream=stream, backward=True)
    except Exception as error:  # noqa: BLE001 - a damaged index raises anything; the next place may be fine
        damage.note(error)
    last: VideoFrame | None = None
    for _, frame in media.decoded(container, [stream], damage, PACKETS_TO_FRAME):
        if isinstance(frame, VideoFrame):
            last = frame
            if frame.pts is None or frame.pts >= target:
                break
    return last
