"""One sound track of a piece, that begins and ends at the sample: its packets as they are, or PCM.

Runs in worker processes only (imports av); writes into the container it is given. Copied, the packets that the first
sample needs come before the beginning, where the container hides them (an edit list).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from fractions import Fraction

from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.filter import Graph
from av.packet import Packet

from damfs.core.processors import media, pieces
from damfs.core.processors.sound_track import pulled

FINE_SOUND = frozenset({"s32", "s32p", "s64", "s64p", "dbl", "dblp"})
UNROUNDED = {"pcm_f64": ("pcm_f64le", "dbl"), "pcm_f32": ("pcm_f32le", "flt"), "pcm_s32": ("pcm_s32le", "s32")}
"""PCM that fewer bits would round, or clip, by how its codecs' names begin: what it is written as, finest first."""
COPIED = frozenset({"aac"})
"""What is copied where a piece is cut at the frame. PCM is as good when it is written anew."""
NEEDED = 3
"""Packets before one that its samples may depend on."""


def pcm_for(source: AudioStream, codecs: Iterable[str]) -> tuple[str, str]:
    """Codec and sample format of PCM that keeps what tracks of these codecs hold. What is lossy has no more than 16
    bits to keep."""
    names, format_ = tuple(codecs), source.codec_context.format
    for begins, kept in UNROUNDED.items():
        if any(name.startswith(begins) for name in names):
            return kept
    fine = format_ is not None and format_.name in FINE_SOUND
    return ("pcm_s24le", "s32") if fine or any(name.startswith("pcm_s24") for name in names) else ("pcm_s16le", "s16")


class SoundOfPiece(ABC):
    """A track of a piece, made from the packets of one of the clip."""

    errors: int = 0
    """Packets that could not be decoded: there is silence in their place."""

    @staticmethod
    def of(out: OutputContainer, source: AudioStream, span: tuple[Fraction, Fraction]) -> SoundOfPiece:
        """``span``: from the first picture of the clip on, in seconds."""
        if media.codec_name(source) in COPIED:
            return CopiedSound(out, source, *span)
        return DecodedSound(out, source, *span)

    @abstractmethod
    def take(self, packet: Packet[AudioStream], at: Fraction) -> None:
        """The next packet of the source, and its time from the first picture on."""

    @abstractmethod
    def close(self) -> None: ...


class CopiedSound(SoundOfPiece):
    """Its packets as they are."""

    def __init__(self, out: OutputContainer, source: AudioStream, first: Fraction, end: Fraction) -> None:
        self.out, self.first, self.end = out, first, end
        self.stream = out.add_stream_from_template(source)
        self.stream.metadata.update(pieces.kept_of_stream(source))

    def take(self, packet: Packet[AudioStream], at: Fraction) -> None:
        if not packet.size or packet.time_base is None:
            return
        lasts = (packet.duration or 0) * packet.time_base
        if at + lasts * (NEEDED + 1) <= self.first or at >= self.end:
            return
        time = round((at - self.first) / packet.time_base)
        if at + lasts > self.end:
            packet.duration = max(1, round((self.end - at) / packet.time_base))
        packet.pts = packet.dts = time
        packet.stream = self.stream
        self.out.mux(packet)

    def close(self) -> None:
        """Packets need no flushing."""


class DecodedSound(SoundOfPiece):
    """Decoded, and written as PCM."""

    def __init__(self, out: OutputContainer, source: AudioStream, first: Fraction, end: Fraction) -> None:
        self.track = PcmTrack(out, source, first, end)

    def take(self, packet: Packet[AudioStream], at: Fraction) -> None:
        lasts = (packet.duration or 0) * (packet.time_base or Fraction(0))
        shift = None if packet.pts is None else at - packet.pts * (packet.time_base or Fraction(0))
        if at + lasts * (NEEDED + 1) <= self.track.first or shift is None:
            return
        try:
            frames = packet.decode()
        except Exception:  # noqa: BLE001 - as in media.decoded: any exception, and the rest goes on
            self.errors += at + lasts > self.track.first and at < self.track.end
            return
        for frame in frames:
            if frame.pts is not None and frame.time_base is not None:
                self.track.write(frame, frame.pts * frame.time_base + shift)

    def close(self) -> None:
        self.track.close()


class PcmTrack:
    """One track as PCM, to the sample."""

    def __init__(self, out: OutputContainer, source: AudioStream, first: Fraction, end: Fraction) -> None:
        self.out = out
        context = source.codec_context
        codec, self.format = pcm_for(source, [media.codec_name(source) or ""])
        self.rate, self.layout = context.sample_rate or 48000, context.layout.name
        stream = out.add_stream(codec, rate=self.rate, layout=self.layout)
        assert isinstance(stream, AudioStream)
        self.stream = stream
        stream.metadata.update(pieces.kept_of_stream(source))
        self.first, self.end = first, end
        self.graph: Graph | None = None

    def write(self, frame: AudioFrame, at: Fraction) -> None:
        """``at``: its time from the first frame."""
        if at + Fraction(frame.samples, frame.sample_rate) <= self.first or at >= self.end:
            return
        if self.graph is None:
            self.graph = self.graph_for(frame)
        frame.pts = round((at - self.first) / (frame.time_base or Fraction(1)))
        self.graph.push(frame)
        self.drain()

    def graph_for(self, frame: AudioFrame) -> Graph:
        graph = Graph()
        graph.link_nodes(
            graph.add_abuffer(
                sample_rate=frame.sample_rate, format=frame.format, layout=frame.layout, time_base=frame.time_base
            ),
            graph.add("aresample", f"{self.rate}:async=1:first_pts=0"),
            graph.add("atrim", f"start=0:end={float(self.end - self.first):.9f}"),
            graph.add("aformat", f"sample_fmts={self.format}:channel_layouts={self.layout}:sample_rates={self.rate}"),
            graph.add("abuffersink"),
        ).configure()
        return graph

    def drain(self) -> None:
        if self.graph is not None:
            for made in pulled(self.graph):
                if isinstance(made, AudioFrame):
                    self.out.mux(self.stream.encode(made))

    def close(self) -> None:
        if self.graph is not None:
            self.graph.push(None)
            self.drain()
            self.out.mux(self.stream.encode(None))
