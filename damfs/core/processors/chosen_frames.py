"""Frames of a clip at chosen moments, by seeking to key frames; what is short and has few is decoded through.

Runs in worker processes only (imports av); holds one frame at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL.Image import Image

from damfs.core.processors import media
from damfs.core.processors.keyframes import begin_keyframes, keyframe_here, keyframes_near, moment, picture_of, seek
from damfs.errors import BadMedia

Pick = Callable[[InputContainer, VideoStream, int], Iterator[VideoFrame]]
"""Chooses frames of a clip of so many nanoseconds."""

SHORT_NS = 60 * media.NANO
"""A clip up to this is decoded through where its key frames are too few."""
ENOUGH = 0.5
"""Share of the moments that key frames have to show."""
PACKETS_INTO_SCENE = 600
SETTLED_NS = 200_000_000
"""How far into a scene its first good frame is: the very first may still be part of a dissolve."""


def small_pictures(
    source: Path, name: str, what: str, longest: int, damage: media.Damage, pick: Pick
) -> tuple[int, list[tuple[int, Image]]]:
    """How long the clip is, and what was picked as moments and pictures, in order. Raises BadMedia where there is
    nothing: no ``what`` can be made then."""
    with media.opened(source, name) as container:
        stream = media.picture_stream(container)
        if stream is None:
            raise BadMedia(f"{name}: no {what}: it holds no pictures that can be decoded here; nothing is to be done")
        media.check_size(stream.width, stream.height, name)
        duration = media.stream_duration(container, stream) or 0
        frames = pick(container, stream, duration)
        shown = [(moment(frame, stream), picture_of(frame, stream, longest)) for frame in frames]
    if not shown:
        why = damage.first or "there is none"
        raise BadMedia(f"{name}: no {what}: no picture can be decoded ({why}){media.ADVICE}")
    return duration, sorted(shown, key=lambda each: each[0])


def frames_near(
    container: InputContainer, stream: VideoStream, moments: Sequence[int], duration_ns: int, damage: media.Damage
) -> Iterator[VideoFrame]:
    """At or before each moment (nanoseconds from the start, ascending), each frame once."""
    if duration_ns > SHORT_NS or has_enough_keys(container, stream, len(moments)):
        yield from keyframes_near(container, stream, moments, damage)
        return
    stream.codec_context.skip_frame = "DEFAULT"
    seek(container, stream, 0, damage)
    ahead = list(moments)
    for _, frame in media.decoded(container, [stream], damage):
        if ahead and isinstance(frame, VideoFrame) and moment(frame, stream) >= ahead[0]:
            yield frame
            ahead = [each for each in ahead if each > moment(frame, stream)]


def has_enough_keys(container: InputContainer, stream: VideoStream, wanted: int) -> bool:
    """By the packets alone. Reads all of the stream: for short clips."""
    quiet = media.Damage()
    seek(container, stream, 0, quiet)
    keys = sum(packet.is_keyframe for packet in media.packets(container, [stream], quiet))
    return keys >= wanted * ENOUGH


def frame_of_scene(
    container: InputContainer, stream: VideoStream, start_ns: int, end_ns: int, damage: media.Damage
) -> VideoFrame | None:
    """The key frame before its middle; where that belongs to the scene before, the first settled frame of this one."""
    middle = (start_ns + end_ns) // 2
    begin_keyframes(stream)
    seek(container, stream, middle, damage)
    found = next(keyframe_here(container, stream, damage, set()), None)
    if found is not None and moment(found, stream) >= start_ns:
        return found
    stream.codec_context.skip_frame = "DEFAULT"
    settled = min(start_ns + SETTLED_NS, middle)
    seek(container, stream, settled, damage)
    last = None
    for _, frame in islice(media.decoded(container, [stream], damage, PACKETS_INTO_SCENE), PACKETS_INTO_SCENE):
        if isinstance(frame, VideoFrame):
            last = frame
            if moment(frame, stream) >= settled:
                return frame
    return last
