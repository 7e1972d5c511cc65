"""Files that say only when their frames are stored, of codecs that show them in another order: AVI, where FFmpeg takes
one time for the other. Frames come out of the decoder in the order in which they are shown: each has the earliest time
that is left of those that went in.

Runs in worker processes only (imports av). Right from the beginning of a file on, so nobody may jump into such a one.
"""

from __future__ import annotations

import heapq

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

REORDERING = frozenset({"h264", "hevc", "mpeg4"})
"""Of the codecs that do so, those whose order FFmpeg does not tell by their packets."""
WHY = "the file does not say when its frames are shown"


def is_untimed(container: InputContainer, stream: VideoStream | AudioStream) -> bool:
    if container.format.name != "avi" or not isinstance(stream, VideoStream):
        return False
    context = stream.codec_context
    return context.codec.canonical_name in REORDERING and bool(context.has_b_frames)


class Times:
    """Of the pictures that are in the decoder."""

    def __init__(self) -> None:
        self.left: list[int] = []

    def enter(self, packet: Packet[VideoStream] | Packet[AudioStream]) -> None:
        if isinstance(packet.stream, VideoStream) and packet.size and packet.pts is not None:
            heapq.heappush(self.left, packet.pts)

    def lose(self, packet: Packet[VideoStream] | Packet[AudioStream]) -> None:
        """No frame comes of it."""
        if packet.pts in self.left:
            self.left.remove(packet.pts)
            heapq.heapify(self.left)

    def leave(self, frame: VideoFrame | AudioFrame) -> None:
        if isinstance(frame, VideoFrame):
            frame.pts = heapq.heappop(self.left) if self.left else None
