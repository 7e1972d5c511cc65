"""A piece of a clip that begins and ends where it was asked to, with all of its frames encoded anew.

Runs in worker processes only (imports av); writes one file below the job's own directory, may be killed at any moment.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from damfs.core.processors import media, pieces, places, proxy_plan
from damfs.core.processors.cut_sound import PcmTrack
from damfs.core.processors.pieces import SLACK, AnyStream, Cut
from damfs.core.processors.places import HALF_MS
from damfs.core.processors.sound_track import pulled
from damfs.errors import BadMedia

Report = Callable[[float], None]
ENCODER: Final[Literal["libx264"]] = "libx264"
OPTIONS = {"preset": "veryfast", "crf": "16", "bf": "0"}
"""For a piece that is used in place of the original: hardly a loss, and far smaller than an intermediate codec."""
PIXEL_FORMATS = frozenset(
    {"yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"}
)
"""What the encoder takes as it is."""
DEEP, SHALLOW = "yuv422p10le", "yuv420p"
MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
"""How colours are coded, by FFmpeg's number, as its scale filter calls it."""


def encoded(
    source: Path,
    target: Path,
    name: str,
    start: Fraction,
    end: Fraction,
    *,
    why: str = "",
    report: Report = lambda _: None,
) -> Cut:
    """From the frame that is shown at ``start`` up to the one before ``end``; sound to the sample."""
    with media.opened(source, name) as container:
        streams = pieces.streams_of(container)
        if not streams:
            raise BadMedia(f"{name}: nothing to cut: it holds neither pictures nor sound that can be decoded here")
        leader, first, last, frame, begin = streams[0], start, end, None, start
        if isinstance(leader, VideoStream):
            frame = places.frame_at(container, leader, start, name)
            first = places.time_of(leader, frame.pts or 0)
            begin = min(first, places.key_before(container, leader, first))
            last = places.end_before(container, leader, end)
        with av.open(str(target), "w", format="mov") as out:
            out.metadata.update(pieces.kept_tags(container))
            piece = Piece(out, container, streams, (first, end), last, frame)
            last = piece.written(begin, report)
    count = sum(track.count for track in piece.pictures.values())
    return Cut(first, last, count, count, why, piece.damage.errors)


class Piece:
    """Everything between two moments, through the encoders of each track."""

    def __init__(
        self,
        out: OutputContainer,
        container: InputContainer,
        streams: list[AnyStream],
        span: tuple[Fraction, Fraction],
        last: Fraction,
        frame: VideoFrame | None,
    ) -> None:
        """``last``: when the last frame ends, and so the sound. ``frame``: the first one; the encoders want to be told
        everything before the first packet is written."""
        self.container, self.streams, (self.first, self.end) = container, streams, span
        self.origin, self.damage = pieces.origin_of(streams), media.Damage()
        self.pictures = {
            stream.index: PictureTrack(out, container, stream, self.first, frame)
            for stream in streams
            if isinstance(stream, VideoStream) and frame is not None
        }
        self.sounds = {
            stream.index: PcmTrack(out, stream, span[0], last) for stream in streams if isinstance(stream, AudioStream)
        }

    def written(self, begin: Fraction, report: Report) -> Fraction:
        """When the last frame (or sample) ends. ``begin``: where decoding has to begin."""
        last = self.first
        pieces.go_to(self.container, self.streams[0], begin)
        for stream, frame in media.decoded(self.container, self.streams, self.damage):
            if frame.pts is None or frame.time_base is None:
                continue
            at = frame.pts * frame.time_base - self.origin
            if at > self.end + SLACK:
                break
            report(float(max(Fraction(0), at - self.first) / (self.end - self.first)))
            if isinstance(frame, AudioFrame):
                self.sounds[stream.index].write(frame, at)
            elif self.first <= at < self.end - HALF_MS:
                last = max(last, at + (frame.duration or 0) * frame.time_base)
                self.pictures[stream.index].write(frame)
        for pictures in self.pictures.values():
            pictures.close()
        for sounds in self.sounds.values():
            sounds.close()
        return last if self.pictures else self.end


class PictureTrack:
    """Frames in, upright, at their own times from 0 on."""

    def __init__(
        self,
        out: OutputContainer,
        container: InputContainer,
        source: VideoStream,
        first: Fraction,
        frame: VideoFrame,
    ) -> None:
        self.out, self.source = out, source
        self.base = source.time_base or Fraction(1, 90000)
        self.shift = round((first + places.origin_of(source)) / self.base)
        rate = media.rate_of(source) or Fraction(25)
        self.fields = proxy_plan.has_fields(source) and not media.turn_of(frame).swaps
        bottom = source.codec_context.field_order in proxy_plan.BOTTOM_FIRST
        params = {"x264-params": "bff=1" if bottom else "tff=1"} if self.fields else {}
        self.stream = out.add_stream(ENCODER, rate=rate, options=OPTIONS | params)
        pieces.give_timecode(self.stream, container, source, first)
        self.configure(frame)
        self.graph: Graph | None = None
        self.shape: tuple[int, int, str] | None = None
        self.count = 0

    def configure(self, frame: VideoFrame) -> None:
        context, source, turn = self.stream.codec_context, self.source.codec_context, media.turn_of(frame)
        width, height = media.upright(frame.width, frame.height, turn)
        depth = frame.format.components[0].bits if frame.format.components else 8
        pixels = frame.format.name
        context.width, context.height = width - width % 2, height - height % 2
        context.pix_fmt = pixels if pixels in PIXEL_FORMATS else DEEP if depth > 8 else SHALLOW
        context.time_base = self.base
        aspect = media.sample_aspect(self.source)
        context.sample_aspect_ratio = 1 / aspect if turn.swaps else aspect
        context.color_primaries, context.color_trc = source.color_primaries, source.color_trc
        context.colorspace, context.color_range = source.colorspace, source.color_range
        if self.fields:
            context.field_order = source.field_order
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me

    def write(self, frame: VideoFrame) -> None:
        shape = (frame.width, frame.height, frame.format.name)
        if self.graph is None or shape != self.shape:
            self.graph, self.shape = self.graph_for(frame), shape
        duration = frame.duration
        self.count += 1
        frame.pts = (frame.pts or 0) - self.shift
        self.graph.vpush(frame)
        for made in pulled(self.graph):
            if isinstance(made, VideoFrame):
                made.time_base, made.duration, made.pict_type = self.base, duration, 0
                self.out.mux(self.stream.encode(made))

    def graph_for(self, frame: VideoFrame) -> Graph:
        graph = Graph()
        graph.link_nodes(
            graph.add_buffer(
                template=self.source, width=frame.width, height=frame.height, format=frame.format, time_base=self.base
            ),
            *(graph.add(name, args) for name, args in [*media.turn_of(frame).filters, *self.conversion(frame)]),
            graph.add("buffersink"),
        ).configure()
        return graph

    def conversion(self, frame: VideoFrame) -> list[tuple[str, str | None]]:
        """To the encoder's size and pixel format, if need be, in the colours as they are: left alone, the filter turns
        those that are named into what it takes for usual."""
        context = self.stream.codec_context
        size = media.upright(frame.width, frame.height, media.turn_of(frame))
        if (*size, frame.format.name) == (context.width, context.height, context.pix_fmt):
            return []
        assumed = "bt709" if media.assumed_space(frame) == "itu709" else "bt601"
        matrix = MATRICES.get(self.source.codec_context.colorspace, assumed)
        same = f"in_color_matrix={matrix}:out_color_matrix={matrix}"
        return [
            ("scale", f"w={context.width}:h={context.height}:interl=-1:flags=bicubic:{same}"),
            ("format", f"pix_fmts={context.pix_fmt}"),
        ]

    def close(self) -> None:
        self.out.mux(self.stream.encode(None))
