"""Which frames a file holds, and when each is shown, by its index or its packets alone: what decoders are judged by.

Runs in worker processes only (imports av); reads the index where that says it all, else every packet, and decodes
nothing. Any file may be hostile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from damfs.core.processors import media, places
from damfs.core.processors.proxy_plan import USUAL_RATES, has_fields

INDEXED = ("mov",)
"""Containers whose index has every frame."""
SECOND_FIELD = Fraction(3, 5)
"""Of a frame: what comes sooner after another, in an interlaced stream, is its second field."""
OFF = Fraction(1, 2)
"""Frames by which a header's rate counts otherwise than the times: less is rounding."""
NEAR = Fraction(1, 10)
"""Share by which a header's rate may be off: short pieces lose or win a frame."""
MEASURED = 64 << 20
"""Bytes of a file whose packets are read to tell its rate, at most."""
VP8_SHOWN = 0x10
"""Bit of a packet's first byte; without it the picture is only for others to refer to."""


@dataclass(frozen=True, slots=True)
class Held:
    """Frames of a file. ``times``: in seconds by the file's own clock, rising; empty where it says none."""

    frames: int
    times: tuple[Fraction, ...]
    end: Fraction
    """When the last one ends."""
    tick: Fraction
    """Of the file's clock."""
    first_key: Fraction | None = None
    """When the first picture is shown that needs no other; what is shown before it cannot be decoded."""

    def since(self, origin: Fraction) -> Held:
        """Without frames before the first key frame, unless they were decoded: ``origin`` is that of the first."""
        start = origin if self.first_key is None else min(origin, self.first_key)
        kept = tuple(at for at in self.times if at >= start)
        return Held(self.frames - len(self.times) + len(kept), kept, self.end, self.tick, self.first_key)

    def rate(self, said: Fraction | None) -> Fraction | None:
        """That of the times where they are even and the header counts otherwise: its average has the gaps between times
        of decoding in it, where frames were cut off that others were stored among; and what rounding to ticks does."""
        times = self.times if self.first_key is None else [at for at in self.times if at >= self.first_key]
        usual = self.usual_rate(times, said)
        if usual is not None:
            return usual
        steps = {after - before for before, after in pairwise(times)}
        step = steps.pop() if len(steps) == 1 else Fraction(0)
        return said if said is None or not step or abs(step * said - 1) * len(times) < OFF else 1 / step

    def usual_rate(self, times: Sequence[Fraction], said: Fraction | None) -> Fraction | None:
        """The usual one by which all times are, but for rounding to ticks."""
        if said is None or len(times) < 2 or (said in USUAL_RATES and self.fits(times, said)):
            return said if said in USUAL_RATES else None
        near = sorted(
            (rate for rate in USUAL_RATES if abs(rate / said - 1) < NEAR), key=lambda rate: abs(rate / said - 1)
        )
        return next((rate for rate in near if self.fits(times, rate)), None)

    def fits(self, times: Sequence[Fraction], rate: Fraction) -> bool:
        step, slack = float(1 / rate), float(self.tick) * (1 + 1e-6)  # hours of footage are many fractions
        return all(abs(float(at - times[0]) - number * step) <= slack for number, at in enumerate(times))


NOTHING = Held(0, (), Fraction(0), Fraction(1))


def held(source: Path, name: str) -> Held:
    """Of the first stream of pictures. Raises BadMedia when the file does not open."""
    with media.opened(source, name) as container:
        stream = media.picture_stream(container)
        if stream is None or stream.time_base is None:
            return NOTHING
        return by_index(container, stream) or by_packets(container, stream)


def rate_of(container: InputContainer, stream: VideoStream, size: int) -> Fraction | None:
    """Frames a second as the gate finds them, as cheaply as can be: a usual rate that the header says is believed; else
    what the index says; else what the packets do, in a file of ``size`` bytes that is not too large for that."""
    said = media.rate_of(stream)
    if said is None or said in USUAL_RATES or stream.time_base is None:
        return said
    stored = as_stored(container, stream)
    usual = None if stored is None else stored.usual_rate(stored.times, said)
    if usual is not None or size > MEASURED:
        return usual or said
    places.rewind(container, stream)
    return by_packets(container, stream).rate(said)


def as_stored(container: InputContainer, stream: VideoStream) -> Held | None:
    """When frames are decoded, by the index: where that is even, so is when they are shown."""
    base = stream.time_base
    if base is None or container.format.name.split(",")[0] not in INDEXED:
        return None
    times = tuple(entry.timestamp * base for entry in stream.index_entries if not entry.is_discard)
    return Held(len(times), times, times[-1], base) if times else None


def by_index(container: InputContainer, stream: VideoStream) -> Held | None:
    """Where all frames are equally far apart, and shown in the order in which they are stored: its times are those of
    decoding, and say nothing of a frame that is missing between others that are shown before."""
    base = stream.time_base
    if base is None or container.format.name.split(",")[0] not in INDEXED or stream.codec_context.has_b_frames:
        return None
    entries = [entry for entry in stream.index_entries if not entry.is_discard]
    steps = {after.timestamp - before.timestamp for before, after in pairwise(entries)}
    shift = (stream.start_time or 0) - (entries[0].timestamp if entries else 0)
    if len(steps) != 1 or len(entries) != stream.frames or not entries[0].is_keyframe:
        return None
    times = tuple((entry.timestamp + shift) * base for entry in entries)
    return Held(len(times), times, times[-1] + steps.pop() * base, base, times[0])


def by_packets(container: InputContainer, stream: VideoStream) -> Held:
    base = stream.time_base or Fraction(1)
    found, first_key = [], None
    for packet in media.packets(container, [stream], media.Damage()):
        if packet.size and not packet.is_discard and is_shown(packet, stream.codec_context.name):
            found.append((packet.pts, packet.duration or 0))
            if first_key is None and packet.is_keyframe and packet.pts is not None:
                first_key = packet.pts * base
    timed = sorted((pts * base, lasts * base) for pts, lasts in found if pts is not None)
    times = [at for at, _ in timed]
    untimed = len(found) - len(timed)
    unread = max(0, indexed(container, stream) - len(found))
    if has_fields(stream):
        untimed = 0 if timed else untimed
        times = without_second_fields(times, media.rate_of(stream))
    end = max((at + lasts for at, lasts in timed), default=Fraction(0))
    return Held(len(times) + untimed + unread, () if untimed else tuple(times), end, base, first_key)


def indexed(container: InputContainer, stream: VideoStream) -> int:
    """Frames that the index names; where the file ends before they do, no packet tells of them."""
    if container.format.name.split(",")[0] not in INDEXED:
        return 0
    return sum(1 for entry in stream.index_entries if entry.size and not entry.is_discard)


def is_shown(packet: Packet[VideoStream] | Packet[AudioStream], codec: str) -> bool:
    """VP8 stores pictures that nobody sees as packets of their own."""
    return codec not in {"vp8", "libvpx"} or bool(bytes(packet)[0] & VP8_SHOWN)


def without_second_fields(times: Iterable[Fraction], rate: Fraction | None) -> list[Fraction]:
    """Some streams hold the two fields of a frame in two packets."""
    kept: list[Fraction] = []
    for at in times:
        if not (kept and rate and (at - kept[-1]) * rate < SECOND_FIELD):
            kept.append(at)
    return kept


def are_among(found: Sequence[Fraction], times: Sequence[Fraction], slack: Fraction) -> bool:
    """Whether each of the found times is one of the others, in their order; both rise."""
    left = iter(times)
    return all(any(abs(at - time) <= slack for time in left) for at in found)
