"""What copying and encoding a piece of a clip share: what was really cut, and what the piece says of its origin.

Runs in worker processes only (imports av).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from damfs.core.processors import media, places
from damfs.core.timecodes import timecode_after

KEPT_TAGS = ("creation_time", "location", "make", "model")
HEVC_BESIDE, HEVC_IN_BAND = "hvc1", "hev1"
"""Tags of HEVC in QuickTime, by where its parameter sets lie."""
SLACK = Fraction(1)
"""Seconds read before and behind a piece: sound and pictures of one time may lie so far apart in the file."""

AnyPacket: TypeAlias = "Packet[VideoStream] | Packet[AudioStream]"  # PyAV's class takes no parameters when it runs
AnyStream = VideoStream | AudioStream


@dataclass(frozen=True, slots=True)
class Cut:
    """What was really cut, in seconds from the first frame."""

    start: Fraction
    end: Fraction
    frames: int
    encoded: int
    """How many of the frames were encoded anew; the others are copied."""
    why: str = ""
    """Why all of them were, where some might have been copied."""
    errors: int = 0
    """What could not be decoded of the pictures and the sound that were read for it."""

    @property
    def method(self) -> str:
        if not self.encoded and not self.why:
            return "copied"
        return "encoded" if self.encoded == self.frames else "smart"


def streams_of(container: InputContainer) -> list[AnyStream]:
    """The pictures first, if there are any; then every sound track that can be decoded."""
    picture = media.picture_stream(container)
    return [*([] if picture is None else [picture]), *media.sound_streams(container)]


def origin_of(streams: list[AnyStream]) -> Fraction:
    """Seconds in the file's clock at which the pictures begin; the sound where there are none."""
    return (streams[0].start_time or 0) * (streams[0].time_base or Fraction(1))


def go_to(container: InputContainer, leader: AnyStream, at: Fraction) -> None:
    """To a key frame at or before a moment, with some slack."""
    places.seek(container, leader, at - SLACK)


def kept_tags(container: InputContainer) -> dict[str, str]:
    return {tag: container.metadata[tag] for tag in KEPT_TAGS if tag in container.metadata}


def kept_of_stream(stream: AnyStream) -> dict[str, str]:
    found = media.language(stream) if isinstance(stream, AudioStream) else None
    return {} if found is None else {"language": found}


def give_tag(made: AnyStream, source: AnyStream) -> None:
    """Of HEVC whose parameter sets lie beside its packets, where the source does not say otherwise: QuickTime plays no
    other, which is what the muxer would say."""
    if media.codec_name(source) == "hevc" and source.codec_context.codec_tag != HEVC_IN_BAND:
        made.codec_context.codec_tag = HEVC_BESIDE


def give_timecode(made: AnyStream, container: InputContainer, picture: VideoStream, first: Fraction) -> None:
    """The timecode of the first frame of the piece, and the reel that it is of."""
    rate, timecode, reel = media.rate_of(picture), media.start_timecode(container), media.reel_name(container)
    found = None if rate is None or timecode is None else timecode_after(timecode, rate, round(first * rate))
    if found is not None:
        made.metadata["timecode"] = found
        if isinstance(made, VideoStream) and rate is not None:  # else the muxer takes its time base for the rate
            made.codec_context.framerate = rate
    if found is not None and reel is not None:
        made.metadata["reel_name"] = reel
