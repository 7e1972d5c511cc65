"""A piece that begins and ends at any frame and is copied all the same, but for the frames around its two cuts.

Runs in worker processes only (imports av); writes one file below the job's own directory, may be killed at any moment.
What was joined is decoded and compared with the source (`proof`) before anybody gets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from damfs.core.processors import bridge, media, nal_units, pieces, places, untimed
from damfs.core.processors.bridge import Bridge
from damfs.core.processors.cut_sound import SoundOfPiece
from damfs.core.processors.pieces import SLACK, AnyPacket, AnyStream
from damfs.core.processors.places import HALF_MS, REORDERED
from damfs.core.processors.splice_plan import NotSplicable, Plan, Stored, plan_of

Report = Callable[[float], None]
FILTERS = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
"""To units with start codes, which the muxer takes together with those of an encoder."""
IN_BAND = "hev1"
"""The tag of HEVC whose parameter sets lie in the stream: those of the encoder have the same numbers."""


@dataclass(frozen=True, slots=True)
class Spliced:
    """``first``: the time of its first frame, in seconds from the clip's; ``end``: when its last one ends."""

    plan: Plan
    first: Fraction
    end: Fraction
    errors: int = 0
    """Packets of its sound that could not be decoded."""


def spliced(
    source: Path, target: Path, name: str, span: tuple[Fraction, Fraction], *, report: Report = lambda _: None
) -> Spliced:
    """Raises NotSplicable with the reason, BadMedia."""
    with media.opened(source, name) as container:
        streams = pieces.streams_of(container)
        if not streams or not isinstance(streams[0], VideoStream):
            raise NotSplicable("sound alone is written anew, to the sample")
        picture = streams[0]
        if untimed.is_untimed(container, picture):
            raise NotSplicable(untimed.WHY)
        media.check_size(picture.width, picture.height, name)
        plan, last = planned(container, picture, *span)
        bridge.check(picture, plan.encoded)
        sets = nal_units.h264_sets(picture.codec_context.extradata or b"")
        number = nal_units.free_number(sets)
        head = bridge.bridge(picture, frames_shown(container, picture, plan.head), number)
        tail = bridge.bridge(picture, frames_shown(container, picture, plan.tail), number)
        if (len(head.packets), len(tail.packets)) != (len(plan.head), len(plan.tail)):
            raise NotSplicable("not every frame around its cuts can be decoded")
        base = picture.time_base or Fraction(1, 90000)
        made = Spliced(plan, places.time_of(picture, plan.shown[0]), last * base - places.origin_of(picture))
        try:
            errors = Splicer(container, streams, made, (head, tail)).write(target, report)
        except (av.FFmpegError, ValueError, TypeError) as error:
            raise NotSplicable(f"QuickTime does not hold it as it is ({media.said(error)})") from None
        return replace(made, errors=errors)


def planned(container: InputContainer, picture: VideoStream, start: Fraction, end: Fraction) -> tuple[Plan, int]:
    """With the tick at which the last frame ends."""
    base, origin = picture.time_base or Fraction(1, 90000), places.origin_of(picture)
    from_tick, end_tick = ((at + origin) / base for at in (start + HALF_MS, end - HALF_MS))
    lasting: dict[int, int] = {}
    stored: list[Stored] = []
    for back in places.STEPS_BACK:
        places.seek(container, picture, start - back)
        stored = list(_stored(container, picture, end_tick, lasting))
        if back >= start or any(packet.key and packet.pts <= from_tick for packet in stored):
            break
    before = [packet.pts for packet in stored if packet.pts <= from_tick]
    plan = plan_of(stored, max(before, default=min((p.pts for p in stored), default=0)), -int(-end_tick // 1))
    return plan, plan.shown[-1] + lasting[plan.shown[-1]]


def _stored(
    container: InputContainer, picture: VideoStream, end: Fraction, lasting: dict[int, int]
) -> Iterator[Stored]:
    resets = _resets(picture)
    late = 0
    for packet in media.packets(container, [picture], media.Damage()):
        if not packet.size or packet.is_discard:
            continue
        if packet.pts is None:
            raise NotSplicable("its frames have no times of their own")
        late = late + 1 if packet.pts >= end else 0
        if late > REORDERED or (packet.dts is not None and packet.dts >= end):
            return
        lasting[packet.pts] = packet.duration or 0
        yield Stored(packet.pts, packet.is_keyframe, packet.is_keyframe and resets(packet))


def _resets(picture: VideoStream) -> Callable[[AnyPacket], bool]:
    """Whether a decoder starts afresh at a key frame: in H.264 it may be one that others before it refer over."""
    extradata, codec = picture.codec_context.extradata or b"", media.codec_name(picture)
    if codec == "h264":
        size = nal_units.h264_length_size(extradata)
        return lambda packet: any(
            nal_units.h264_kind(unit) == nal_units.H264_IDR for unit in nal_units.units_of(bytes(packet), size)
        )
    if codec == "hevc":
        size = nal_units.hevc_length_size(extradata)
        return lambda packet: any(
            nal_units.hevc_kind(unit) in nal_units.HEVC_IRAP for unit in nal_units.units_of(bytes(packet), size)
        )
    return lambda packet: True


def frames_shown(container: InputContainer, picture: VideoStream, wanted: tuple[int, ...]) -> Iterator[VideoFrame]:
    """The frames that are shown at these times."""
    if not wanted:
        return
    left = set(wanted)
    for frame in places.frames_from(container, picture, places.time_of(picture, wanted[0])):
        if frame.pts in left:
            left.discard(frame.pts)
            yield frame
        if not left or (frame.pts or 0) > wanted[-1]:
            return


class Splicer:
    """Writes the encoded and the copied packets of the pictures, and the sound beside them, in one pass."""

    def __init__(
        self, container: InputContainer, streams: list[AnyStream], made: Spliced, bridges: tuple[Bridge, Bridge]
    ) -> None:
        assert isinstance(streams[0], VideoStream)
        self.container, self.streams, self.picture, self.made = container, streams, streams[0], made
        self.head, self.tail = bridges
        self.plan = made.plan
        self.codec = media.codec_name(self.picture)
        self.joined = bool(self.head.packets or self.tail.packets)
        self.filter: BitStreamFilterContext | None = None
        self.tracks: dict[int, SoundOfPiece] = {}
        self.copied = 0

    def write(self, target: Path, report: Report) -> int:
        """How many packets of the sound could not be decoded."""
        with av.open(str(target), "w", format="mov") as out:
            out.metadata.update(pieces.kept_tags(self.container))
            self.out, self.track = out, out.add_stream_from_template(self.picture)
            pieces.give_tag(self.track, self.picture)
            pieces.give_timecode(self.track, self.container, self.picture, self.made.first)
            span = (self.made.first, self.made.end)
            self.tracks = {
                stream.index: SoundOfPiece.of(out, stream, span)
                for stream in self.streams
                if not isinstance(stream, VideoStream)
            }
            if self.joined:
                self.prepare()
            self.mux(self.head, self.plan.head)
            self.copy(report)
            self.mux(self.tail, self.plan.tail)
            for track in self.tracks.values():
                track.close()
        return sum(track.errors for track in self.tracks.values())

    def prepare(self) -> None:
        """Make the track one that holds packets of two encoders."""
        context, extradata = self.track.codec_context, self.picture.codec_context.extradata or b""
        if self.codec in FILTERS:
            self.filter = BitStreamFilterContext(FILTERS[self.codec], self.picture)
        if self.codec == "h264":
            of_source = nal_units.h264_sets(extradata)
            context.extradata = nal_units.with_starts([*of_source, *(self.head.sets or self.tail.sets)])
        elif self.codec == "hevc":
            context.extradata = nal_units.with_starts(nal_units.hevc_sets(extradata))
            context.codec_tag = IN_BAND

    def mux(self, made: Bridge, times: tuple[int, ...]) -> None:
        if made.packets and self.codec == "hevc":
            made.packets[-1] = ended(made.packets[-1])
        for packet, pts in zip(made.packets, times, strict=True):
            self.put(packet, pts)

    def put(self, packet: Packet[VideoStream], pts: int) -> None:
        first = self.plan.shown[0]
        packet.time_base = self.picture.time_base or Fraction(1, 90000)
        packet.pts, packet.dts, packet.stream = pts - first, self.plan.decoded[pts] - first, self.track
        self.out.mux(packet)

    def copy(self, report: Report) -> None:
        """All packets of the piece as they are stored: the pictures' and the sound's."""
        origin, over = places.origin_of(self.picture), self.made.end + SLACK
        pieces.go_to(self.container, self.picture, self.made.first)
        every = len(self.plan.copied)
        for packet in media.packets(self.container, self.streams, media.Damage()):
            at = packet.pts if packet.pts is not None else packet.dts
            if at is None or packet.time_base is None:
                continue
            time = at * packet.time_base - origin
            if isinstance(packet.stream, VideoStream):
                self.copy_picture(packet)
                report(self.copied / every)
            else:
                self.tracks[packet.stream.index].take(packet, time)
            if time > over and self.copied == every:
                return

    def copy_picture(self, packet: Packet[VideoStream]) -> None:
        pts = packet.pts
        if not packet.size or packet.is_discard or self.copied == len(self.plan.copied):
            return
        if pts is None or pts != self.plan.copied[self.copied]:
            return
        self.copied += 1
        for each in self.filter.filter(packet) if self.filter is not None else [packet]:
            self.put(each, pts)


def ended(packet: Packet[VideoStream]) -> Packet[VideoStream]:
    """With the mark that a sequence ends behind it."""
    made = cast("Packet[VideoStream]", Packet(bytes(packet) + nal_units.HEVC_END_OF_SEQUENCE))
    made.is_keyframe, made.duration = packet.is_keyframe, packet.duration
    return made
