"""When the frames of a file are shown whose container writes no times, only an order: AVI.

FFmpeg guesses times from the order of coding, wrongly wherever pictures refer to later ones. But frames leave the
decoder in the order in which they are shown, each with the packet that set it free: those are counted. Pure; one run
keeps state.
"""

from __future__ import annotations

from collections.abc import Sequence

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

COUNTED = frozenset({"avi"})


def are_counted(container: InputContainer) -> bool:
    return container.format.name in COUNTED


class CountedTimes:
    """Of one stream, from where it is read on."""

    def __init__(self, reorders: bool) -> None:
        self._reorders = reorders
        self._first: int | None = None
        """Of the first packet."""
        self._late: int | None = None
        """By how much later than its packet came the first frame comes out."""
        self._next = 0

    def packet(self, packet: Packet[VideoStream] | Packet[AudioStream]) -> None:
        if self._first is None and packet.size:
            self._first = packet.dts

    def give(self, frame: VideoFrame) -> None:
        """The frame its time; what is left in the decoder at the end comes without a packet, one after the other."""
        if frame.dts is not None:
            if self._late is None:
                self._late = frame.dts - (frame.dts if self._first is None else self._first) if self._reorders else 0
            self._next = frame.dts - self._late
        frame.pts = self._next
        self._next += frame.duration or 1


def clocks(container: InputContainer, streams: Sequence[VideoStream | AudioStream]) -> dict[int, CountedTimes]:
    """By stream; none where times are written."""
    pictures = [each for each in streams if isinstance(each, VideoStream)] if are_counted(container) else []
    return {stream.index: CountedTimes(bool(stream.codec_context.has_b_frames)) for stream in pictures}
