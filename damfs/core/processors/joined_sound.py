"""One sound track of joined clips: as long in each part as its pictures are.

Runs in worker processes only (imports av); writes into the container it is given. AAC is copied (it meets the pictures
of each part to half a packet), everything else is written as PCM, to the sample, with silence where there is none.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph
from av.packet import Packet

from damfs.core.processors import media, pieces
from damfs.core.processors.cut_sound import COPIED, pcm_for
from damfs.core.processors.sound_track import layout_for, pulled, silence


class Undecodable(Exception):
    """A packet of sound; the text says why. Silence in its place would be found when it is too late."""


class JoinedSound(ABC):
    """A track made from those of several clips: begin and end each, with its packets between."""

    @staticmethod
    def of(out: OutputContainer, first: AudioStream, codecs: set[str]) -> JoinedSound:
        """``codecs``: of this track in all parts."""
        return CopiedSounds(out, first) if len(codecs) == 1 and codecs <= COPIED else PcmSounds(out, first, codecs)

    @abstractmethod
    def begin(self, offset: Fraction, lasts: Fraction) -> None:
        """The next part: when it begins in what is written, and how long it lasts."""

    @abstractmethod
    def take(self, packet: Packet[AudioStream], at: Fraction, lasts: Fraction) -> None:
        """A packet of the part, its time from the part's first picture on, and how long it is. Raises Undecodable."""

    @abstractmethod
    def end(self) -> None:
        """The part ends."""

    @abstractmethod
    def close(self) -> None: ...


class CopiedSounds(JoinedSound):
    """Their packets as they are."""

    def __init__(self, out: OutputContainer, first: AudioStream) -> None:
        self.out = out
        self.stream = out.add_stream_from_template(first)
        self.stream.metadata.update(pieces.kept_of_stream(first))
        self.offset = self.lasts = Fraction(0)
        self.last: Fraction | None = None
        """When the last packet ends."""

    def begin(self, offset: Fraction, lasts: Fraction) -> None:
        self.offset, self.lasts = offset, lasts

    def take(self, packet: Packet[AudioStream], at: Fraction, lasts: Fraction) -> None:
        """What begins before the part's pictures is kept in front of the first part, where the container hides it."""
        time = self.offset + at
        if at >= self.lasts - lasts / 2 or (self.last is not None and time < self.last - lasts / 2):
            return
        base = packet.time_base or Fraction(1, 48000)
        if self.last is not None and abs(time - self.last) <= lasts / 2:
            time = self.last
        packet.pts = packet.dts = round(time / base)
        packet.stream = self.stream
        self.last = packet.pts * base + lasts
        self.out.mux(packet)

    def end(self) -> None:
        """Packets need no flushing."""

    def close(self) -> None:
        """Nothing is held."""


class PcmSounds(JoinedSound):
    """Decoded, and written as PCM."""

    def __init__(self, out: OutputContainer, first: AudioStream, codecs: set[str]) -> None:
        context = first.codec_context
        codec, self.format = pcm_for(first, codecs)
        self.out = out
        self.rate, self.layout = context.sample_rate or 48000, layout_for(first)
        stream = out.add_stream(codec, rate=self.rate, layout=self.layout)
        assert isinstance(stream, AudioStream)
        self.stream = stream
        stream.metadata.update(pieces.kept_of_stream(first))
        self.graph: Graph | None = None
        self.written = self.until = 0
        """Samples: so far, and at the end of the part."""

    def begin(self, offset: Fraction, lasts: Fraction) -> None:
        self.until = round((offset + lasts) * self.rate)

    def take(self, packet: Packet[AudioStream], at: Fraction, lasts: Fraction) -> None:
        shift = at - (packet.pts or 0) * (packet.time_base or Fraction(0))
        try:
            frames = packet.decode()
        except Exception as error:  # noqa: BLE001 - as in media.decoded: any exception
            raise Undecodable(media.said(error)) from None
        for frame in frames:
            if frame.pts is not None and frame.time_base is not None:
                frame.pts = round((frame.pts * frame.time_base + shift) / frame.time_base)
                self.push(frame)

    def push(self, frame: AudioFrame) -> None:
        if self.graph is None:
            self.graph = self.graph_for(frame)
        self.graph.push(frame)
        self.drain(self.graph)

    def graph_for(self, frame: AudioFrame) -> Graph:
        samples = self.until - self.written
        graph = Graph()
        graph.link_nodes(
            graph.add_abuffer(
                sample_rate=frame.sample_rate, format=frame.format, layout=frame.layout, time_base=frame.time_base
            ),
            graph.add("aresample", f"{self.rate}:async=1:first_pts=0"),
            graph.add("apad", f"whole_len={samples}"),
            graph.add("atrim", f"end_sample={samples}"),
            graph.add("aformat", f"sample_fmts={self.format}:channel_layouts={self.layout}:sample_rates={self.rate}"),
            graph.add("abuffersink"),
        ).configure()
        return graph

    def drain(self, graph: Graph) -> None:
        for made in pulled(graph):
            if isinstance(made, AudioFrame):
                made.pts, made.time_base = self.written, Fraction(1, self.rate)
                self.written += made.samples
                self.out.mux(self.stream.encode(made))

    def end(self) -> None:
        if self.graph is None:
            self.push(silence(self.format, self.layout, self.rate))
        assert self.graph is not None
        self.graph.push(None)
        self.drain(self.graph)
        self.graph = None

    def close(self) -> None:
        self.out.mux(self.stream.encode(None))


def times_of(packet: Packet[AudioStream], origin: Fraction) -> tuple[Fraction, Fraction] | None:
    """When a packet is heard, from the first picture on, and for how long; None for one that is no sound."""
    if not packet.size or packet.pts is None or packet.time_base is None:
        return None
    return packet.pts * packet.time_base - origin, (packet.duration or 0) * packet.time_base
