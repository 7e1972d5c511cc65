"""Going to a moment of a clip: the key frame before it, and the frame that is shown at it.

Runs in worker processes only (imports av). Times are seconds from the first frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from damfs.core.processors import media, untimed
from damfs.errors import BadMedia

STEPS_BACK = (Fraction(0), Fraction(1), Fraction(5), Fraction(30))
"""Seconds to go back further when a seek did not land at or before its goal, as happens in streams without an index."""
HALF_MS = Fraction(1, 2000)
"""Names say milliseconds: a frame begins up to half of one after the time that it is called by."""


BEFORE_ALL = Fraction(10)
"""Seconds that no frame is decoded before it is shown."""
REORDERED = 64
"""Frames that may stand before an earlier one in a file at most."""
AnyStream = VideoStream | AudioStream


def origin_of(stream: AnyStream) -> Fraction:
    return (stream.start_time or 0) * (stream.time_base or Fraction(1))


def time_of(stream: AnyStream, pts: int) -> Fraction:
    return pts * (stream.time_base or Fraction(1)) - origin_of(stream)


def seek(container: InputContainer, stream: AnyStream, at: Fraction) -> None:
    """To a key frame at or before a moment, where the container has an index of them."""
    base, start = stream.time_base or Fraction(1), stream.start_time or 0
    if at <= 0 or untimed.is_untimed(container, stream):
        rewind(container, stream)
    else:
        container.seek(start + int(at / base), stream=stream, backward=True)


def rewind(container: InputContainer, stream: AnyStream) -> None:
    """To the first packet: streams without an index go by when frames are decoded, and the first one is decoded before
    it is shown."""
    start = stream.start_time or 0
    try:
        container.seek(start - round(BEFORE_ALL / (stream.time_base or Fraction(1))), stream=stream, backward=True)
    except av.FFmpegError:  # some containers know no time before their index begins
        container.seek(start, stream=stream, backward=True)


def frames_from(container: InputContainer, stream: VideoStream, at: Fraction) -> Iterator[VideoFrame]:
    """Frames in the order they are shown, from one at or before ``at`` on where there is one."""
    for back in STEPS_BACK:
        seek(container, stream, at - back)
        shown = (frame for _, frame in media.decoded(container, [stream], media.Damage()))
        frames = (frame for frame in shown if isinstance(frame, VideoFrame) and frame.pts is not None)
        first = next(frames, None)
        if first is not None and (time_of(stream, first.pts or 0) <= at or back >= at or back is STEPS_BACK[-1]):
            yield first
            yield from frames
            return


def frame_at(container: InputContainer, stream: VideoStream, at: Fraction, name: str) -> VideoFrame:
    """The frame that is shown at a moment. Raises BadMedia when none can be decoded there."""
    found = None
    for frame in frames_from(container, stream, at + HALF_MS):
        if found is not None and time_of(stream, frame.pts or 0) > at + HALF_MS:
            break
        found = frame
    if found is None:
        raise BadMedia(f"{name}: no picture can be decoded at {float(at):.3f} s{media.ADVICE}")
    return found


def key_before(container: InputContainer, stream: AnyStream, at: Fraction) -> Fraction:
    """The time of the last key frame (of sound: packet) at or before a moment; of the first one where there is none."""
    first = Fraction(0)
    for back in STEPS_BACK:
        seek(container, stream, at - back)
        keys = list(_keys_up_to(container, stream, at + HALF_MS))
        before = [key for key in keys if key <= at + HALF_MS]
        if before:
            return before[-1]
        first = keys[0] if keys else first
    return first


def _keys_up_to(container: InputContainer, stream: AnyStream, at: Fraction) -> Iterator[Fraction]:
    """Times of key frames from here on, the first one behind ``at`` included."""
    for packet in media.packets(container, [stream], media.Damage()):
        time = packet_time(packet, stream)
        if time is None:
            continue
        if packet.is_keyframe:
            yield time
        if time > at:
            return


def end_before(container: InputContainer, stream: VideoStream, at: Fraction) -> Fraction:
    """When the last frame that begins before a moment ends; that moment where there is none."""
    for back in STEPS_BACK:
        seek(container, stream, at - back)
        ends = list(_ends_before(container, stream, at - HALF_MS))
        if ends:
            return max(ends)[1]
    return at


def _ends_before(container: InputContainer, stream: VideoStream, at: Fraction) -> Iterator[tuple[Fraction, Fraction]]:
    """When frames that begin before a moment begin and end, from here on."""
    usual, late = 1 / (media.rate_of(stream) or Fraction(25)), 0
    for packet in media.packets(container, [stream], media.Damage()):
        time = packet_time(packet, stream)
        if time is None:
            continue
        late = late + 1 if time >= at else 0
        if late > REORDERED:
            return
        if not late:
            yield time, time + ((packet.duration or 0) * (packet.time_base or Fraction(0)) or usual)


def packet_time(packet: Packet[VideoStream] | Packet[AudioStream], stream: AnyStream) -> Fraction | None:
    """When the packet's frame is shown; None for the empty ones that end a file."""
    at = packet.pts if packet.pts is not None else packet.dts
    return None if at is None or not packet.size else time_of(stream, at)
