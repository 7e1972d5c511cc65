"""A piece of a clip with its packets as they are: quick, nothing is lost, and it begins with a key frame.

Runs in worker processes only (imports av); writes one file below the job's own directory, may be killed at any moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from damfs.core.processors import media, pieces, places, untimed
from damfs.core.processors.pieces import SLACK, AnyPacket, AnyStream, Cut
from damfs.core.processors.places import HALF_MS, REORDERED
from damfs.core.processors.splice_plan import decoding_times
from damfs.errors import BadMedia


class NotCopyable(Exception):
    """QuickTime does not hold these packets."""


class Trimmed(Exception):
    """The key frame that the piece needs was trimmed away: copied, it would be shown again."""


def copied(source: Path, target: Path, name: str, start: Fraction, end: Fraction) -> Cut:
    """From the key frame (of sound alone: the packet) at or before ``start``. Raises NotCopyable, Trimmed, BadMedia."""
    with media.opened(source, name) as container:
        streams = pieces.streams_of(container)
        if not streams:
            raise BadMedia(f"{name}: nothing to cut: it holds neither pictures nor sound that can be decoded here")
        leader = streams[0]
        if untimed.is_untimed(container, leader):
            raise NotCopyable(untimed.WHY)
        first = places.key_before(container, leader, start)
        if first < 0 and isinstance(leader, VideoStream):
            raise Trimmed
        first = max(first, Fraction(0))  # what comes before sound begins only has its decoder warm up
        try:
            return written(container, target, streams, first, end)
        except (av.FFmpegError, ValueError, TypeError) as error:
            raise NotCopyable(media.said(error)) from None


@dataclass(slots=True)
class Window:
    """Which packets of the pictures a piece is made of: up to the last frame before its end, with those it needs, and
    with those that are shown before one that it needs: a piece has no gaps."""

    first: Fraction
    end: Fraction
    started: bool = False
    over: bool = False
    held: list[tuple[AnyPacket, Fraction]] = field(default_factory=list)
    """Shown after the end, but perhaps needed by a frame that is shown before it."""

    def taken(self, packet: AnyPacket, time: Fraction, decoded_at: Fraction | None) -> list[tuple[AnyPacket, Fraction]]:
        self.started = self.started or (packet.is_keyframe and time >= self.first)
        if not self.started or time < self.first:
            return []  # it needs frames before the key frame
        self.over = self.over or (decoded_at is not None and decoded_at >= self.end) or len(self.held) >= REORDERED
        self.held.append((packet, time))
        if self.over or time >= self.end - HALF_MS:
            return []
        taken, self.held = self.held, []
        self.end = max(self.end, *(shown + HALF_MS for _, shown in taken))
        return taken


def packets_of(
    container: InputContainer, streams: list[AnyStream], first: Fraction, end: Fraction
) -> Iterator[tuple[AnyPacket, Fraction]]:
    """The packets of a piece, each with the time at which it is shown."""
    origin, window = pieces.origin_of(streams), Window(first, end)
    window.over = not isinstance(streams[0], VideoStream)
    if isinstance(streams[0], VideoStream):
        pieces.go_to(container, streams[0], first)
    else:  # PCM is cut into packets from where reading begins
        places.seek(container, streams[0], first)
    for packet in media.packets(container, streams, media.Damage()):
        at = packet.pts if packet.pts is not None else packet.dts
        if at is None or not packet.size or packet.time_base is None:
            continue
        time = at * packet.time_base - origin
        if isinstance(packet.stream, VideoStream):
            decoded_at = None if packet.dts is None else packet.dts * packet.time_base - origin
            yield from window.taken(packet, time, decoded_at)
        elif first - HALF_MS <= time < end - HALF_MS:
            yield packet, time
        if window.over and time > end + SLACK:
            return


def decoded_at(
    container: InputContainer, streams: list[AnyStream], first: Fraction, end: Fraction
) -> Mapping[int, int]:
    """When the frames of the piece are decoded, by when they are shown, without a hole where frames that need others
    are left out; nothing where the packets do not say when they are shown."""
    if not isinstance(streams[0], VideoStream):
        return {}
    shown = [packet.pts for packet, _ in packets_of(container, streams[:1], first, end)]
    timed = [pts for pts in shown if pts is not None]
    return decoding_times(timed) if timed and len(set(timed)) == len(shown) else {}


def written(container: InputContainer, target: Path, streams: list[AnyStream], first: Fraction, end: Fraction) -> Cut:
    origin, last, count = pieces.origin_of(streams), None, 0
    decoded = decoded_at(container, streams, first, end)
    with av.open(str(target), "w", format="mov") as out:
        out.metadata.update(pieces.kept_tags(container))
        made = {stream.index: out.add_stream_from_template(stream) for stream in streams}
        for stream in streams:
            pieces.give_tag(made[stream.index], stream)
            made[stream.index].metadata.update(pieces.kept_of_stream(stream))
        if isinstance(streams[0], VideoStream):
            pieces.give_timecode(made[streams[0].index], container, streams[0], first)
        for packet, time in packets_of(container, streams, first, end):
            base = packet.time_base or Fraction(1)
            if packet.stream.index == streams[0].index:
                count += isinstance(packet.stream, VideoStream)
                packet.dts = decoded.get(packet.pts, packet.dts) if packet.pts is not None else packet.dts
                last = max(last or first, time + (packet.duration or 0) * base)
            shift = round((first + origin) / base)
            packet.pts = None if packet.pts is None else packet.pts - shift
            packet.dts = None if packet.dts is None else packet.dts - shift
            packet.stream = made[packet.stream.index]
            out.mux(packet)
    if last is None:
        raise ValueError("no packets in this span")
    return Cut(first, last, count, 0)
