"""Clips one after the other in one file, with the packets of their pictures as they are; and the proof that it plays.

Runs in worker processes only (imports av); writes one file below the job's own directory, may be killed at any moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from damfs.core.processors import joinable, media, nal_units, pieces, places, proof, splice
from damfs.core.processors.joinable import Part
from damfs.core.processors.joined_sound import JoinedSound, Undecodable, times_of
from damfs.core.processors.splice_plan import decoding_times
from damfs.errors import BadMedia

Report = Callable[[int], None]
"""Frames done."""
COARSE = Fraction(1, 1000)
"""Ticks of containers that tell times by the millisecond."""


def joined(parts: list[Part], target: Path, report: Report = lambda _: None) -> None:
    """Raises BadMedia."""
    try:
        with av.open(str(target), "w", format=CONTAINERS[target.suffix.lower()]) as out:
            Joiner(parts, out).write(report)
    except (av.FFmpegError, ValueError, TypeError) as error:
        other = ".mov" if target.suffix.lower() != ".mov" else ".mkv"
        raise BadMedia(
            f"{target.suffix} does not hold these clips ({media.said(error)}); try {other}, or {TRY}"
        ) from None


TRY = "encode the clips alike with --profile NAME"
CONTAINERS = {".mov": "mov", ".mp4": "mp4", ".mkv": "matroska"}


class Joiner:
    def __init__(self, parts: list[Part], out: OutputContainer) -> None:
        self.parts, self.out = parts, out
        first = parts[0]
        self.codec = first.properties["codec"]
        self.base = joinable.common_base(part.base for part in parts)
        self.offsets = list(offsets_of(parts))
        self.shown = [
            [round((offset + pts * part.base) / self.base) for pts in part.stored]
            for part, offset in zip(parts, self.offsets, strict=True)
        ]
        self.decoded = decoding_times([pts for each in self.shown for pts in each])
        self.done = 0

    def write(self, report: Report) -> None:
        track: VideoStream | None = None
        sounds: list[JoinedSound] = []
        for number, part in enumerate(self.parts):
            with media.opened(part.path, part.name) as container:
                picture = media.picture_stream(container)
                assert picture is not None
                if track is None:
                    track, sounds = self.prepared(container, picture)
                self.write_part(number, container, picture, track, sounds, report)
        for sound in sounds:
            sound.close()

    def prepared(self, container: InputContainer, picture: VideoStream) -> tuple[VideoStream, list[JoinedSound]]:
        """The tracks of the file, as those of the first part are."""
        self.out.metadata.update(pieces.kept_tags(container))
        track = self.out.add_stream_from_template(picture)
        track.time_base = self.base
        pieces.give_timecode(track, container, picture, Fraction(0))
        if self.codec in splice.FILTERS:
            sets = joinable.merged_sets(self.parts) or ()
            track.codec_context.extradata = nal_units.with_starts(sets)
        if self.codec == "hevc":
            track.codec_context.codec_tag = splice.IN_BAND
        codecs = zip(*(part.sound for part in self.parts), strict=True)
        streams = media.sound_streams(container)
        return track, [JoinedSound.of(self.out, *each) for each in zip(streams, map(set, codecs), strict=True)]

    def write_part(
        self,
        number: int,
        container: InputContainer,
        picture: VideoStream,
        track: VideoStream,
        sounds: list[JoinedSound],
        report: Report,
    ) -> None:
        part, offset = self.parts[number], self.offsets[number]
        streams = media.sound_streams(container)
        by_index = {stream.index: sound for stream, sound in zip(streams, sounds, strict=True)}
        first, shown = places.origin_of(picture), iter(self.shown[number])
        filter_ = BitStreamFilterContext(splice.FILTERS[self.codec], picture) if self.codec in splice.FILTERS else None
        for sound in sounds:
            sound.begin(offset, part.lasts)
        left = len(part.stored)
        for packet in media.packets(container, [picture, *streams], media.Damage()):
            if isinstance(packet.stream, VideoStream):
                if packet.size:
                    left -= 1
                    self.put(packet, next(shown), track, filter_, ends=not left and part is not self.parts[-1])
                    self.done += 1
                    report(self.done)
            elif (times := times_of(packet, first)) is not None:
                self.take(by_index[packet.stream.index], packet, times, part)
        for sound in sounds:
            sound.end()

    def take(
        self, sound: JoinedSound, packet: Packet[AudioStream], times: tuple[Fraction, Fraction], part: Part
    ) -> None:
        try:
            sound.take(packet, *times)
        except Undecodable as error:
            at = max(0.0, float(times[0]))
            told = f"not joined: its sound cannot be decoded at {at:.3f} s ({error})"
            raise BadMedia(f"{part.name}: {told}{media.ADVICE}") from None

    def put(
        self,
        packet: Packet[VideoStream],
        pts: int,
        track: VideoStream,
        filter_: BitStreamFilterContext | None,
        *,
        ends: bool,
    ) -> None:
        """``ends``: whether it is the last of a part that another follows."""
        lasts = round((packet.duration or 0) * (packet.time_base or self.base) / self.base)
        for made in [packet] if filter_ is None else filter_.filter(packet):
            each = splice.ended(made) if ends and self.codec == "hevc" else made
            each.time_base, each.duration = self.base, lasts
            each.pts, each.dts, each.stream = pts, self.decoded[pts], track
            self.out.mux(cast("Packet[VideoStream]", each))


def offsets_of(parts: list[Part]) -> Iterator[Fraction]:
    """When each begins, in seconds."""
    at = Fraction(0)
    for part in parts:
        yield at
        at += part.lasts


def prove(parts: list[Part], target: Path, report: Report = lambda _: None) -> list[int]:
    """Decode all of it: every frame at its time, and each part begins with its own first frame. How much of each part
    cannot be decoded there either, and costs no frame. Raises BadMedia."""
    joiner_times = [
        offset + at * part.base
        for part, offset in zip(parts, offsets_of(parts), strict=True)
        for at in sorted(part.stored)
    ]
    begins = dict(zip(starts_of(parts), parts, strict=True))
    damage, seen = media.Damage(), 0
    with media.opened(target, target.name) as container:
        for _, frame in media.decoded(container, pieces.streams_of(container), damage):
            if not isinstance(frame, VideoFrame):
                continue
            at = (frame.pts or 0) * (frame.time_base or Fraction(1))
            if seen >= len(joiner_times) or abs(at - joiner_times[seen]) > COARSE:
                raise unsound(parts, seen, at, damage)
            if seen in begins:
                check_first(begins[seen], frame)
            seen += 1
            report(seen)
    errors = [errors_of(part) if damage.errors else 0 for part in parts]
    if damage.errors > sum(errors) or seen != len(joiner_times):
        told = f" ({damage.first})" if damage.errors else ""
        raise BadMedia(f"the joined file did not prove sound: {seen} of {len(joiner_times)} frames{told}; {TRY}")
    return errors


def unsound(parts: list[Part], number: int, at: Fraction, damage: media.Damage) -> BadMedia:
    """``number``: the frame that should be there, ``at``: when the one is shown that is there instead."""
    first = 0
    for part in parts:
        if damage.errors and number < first + len(part.stored):
            return joinable.gap(part.name, sorted(part.stored)[number - first] * part.base, damage.first)
        first += len(part.stored)
    return BadMedia(f"the joined file did not prove sound: frame {number} is shown at {float(at):.3f} s; {TRY}")


def errors_of(part: Part) -> int:
    """Packets of a clip that cannot be decoded."""
    damage = media.Damage()
    with media.opened(part.path, part.name) as container:
        for _ in media.decoded(container, pieces.streams_of(container), damage):
            pass
    return damage.errors


def starts_of(parts: list[Part]) -> Iterator[int]:
    """Which frame each begins with."""
    number = 0
    for part in parts:
        yield number
        number += len(part.stored)


def check_first(part: Part, frame: VideoFrame) -> None:
    with media.opened(part.path, part.name) as container:
        picture = media.picture_stream(container)
        assert picture is not None
        wanted = proof.planes_of(media.first_frame(container, picture, part.name))
    if not all(np.array_equal(a, b) for a, b in zip(wanted, proof.planes_of(frame), strict=True)):
        raise BadMedia(f"the joined file did not prove sound: {part.name} begins with another frame; {TRY}")
