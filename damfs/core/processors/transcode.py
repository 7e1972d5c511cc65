"""A clip made again as an editing proxy: fewer lines, the same frames at the same times, all sound tracks, timecode.

Runs in worker processes only (imports av); writes one QuickTime file below the job's own directory and may be killed
at any moment. Pictures and sound both start at 0, as editors expect; a source track that starts later gets silence.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import InputContainer, OutputContainer
from av.error import BlockingIOError as AvBlockingIOError
from av.error import EOFError as AvEOFError
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from damfs.core.processors import media
from damfs.core.processors.proxy_plan import Plan
from damfs.errors import BadMedia

QUICKTIME_LANGUAGES = {
    "deu": "ger", "fre": "fra", "nld": "dut", "swe": "sve", "ell": "gre", "isl": "ice", "zho": "chi", "sqi": "alb",
    "rum": "ron", "cze": "ces", "slo": "slk", "mkd": "mac", "hye": "arm", "kat": "geo", "msa": "may", "mya": "bur",
    "bod": "tib", "cym": "wel", "eus": "baq",
}  # fmt: skip
"""ISO 639-2 codes by the spelling that QuickTime's table of languages has for them."""
USUAL_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
EXACT_CONTAINERS = ("mov", "mxf")
"""Containers in which each packet is a frame, so that a frame that does not come out is missing."""


@dataclass(slots=True)
class Tally:
    """What went through; ``end`` is when the last frame ends, in seconds."""

    source_frames: int = 0
    """By the source's index, or what could be read of it where that says nothing."""
    missing: int = 0
    """Frames that the source must have and that were not decoded."""
    steady: bool = True
    """Whether the written frames follow each other at equal intervals."""
    times: array[int] = field(default_factory=lambda: array("q"))
    """When each written frame is shown, in the plan's time base."""
    end: Fraction = Fraction(0)
    damage: media.Damage = field(default_factory=media.Damage)


def transcode(source: Path, target: Path, name: str, plan: Plan, by_frame: bool = True) -> Tally:
    """Make the proxy at ``target``. ``by_frame``: see media.use_threads."""
    damage = media.Damage()
    with media.opened(source, name) as container, av.open(str(target), "w", format="mov") as out:
        picture = media.picture_stream(container)
        if picture is None:
            raise BadMedia(f"{name}: no proxy: it holds no pictures that can be decoded here")
        media.use_threads(picture, plan.threads, by_frame)
        out.metadata.update(plan.tags)
        pictures = PictureTrack(out, picture, plan)
        sounds = {stream.index: SoundTrack(out, stream, plan) for stream in media.sound_streams(container)}
        streams: list[VideoStream | AudioStream] = [picture, *media.sound_streams(container)]
        for stream, frame in media.decoded(container, streams, damage):
            if isinstance(frame, VideoFrame):
                pictures.write(frame)
            else:
                write_sound(sounds[stream.index], frame, damage)
        pictures.close()
        for track in sounds.values():
            track.close()
        return tally_of(container, picture, pictures, damage)


def tally_of(container: InputContainer, source: VideoStream, made: PictureTrack, damage: media.Damage) -> Tally:
    written = len(made.times)
    claimed = source.frames - damage.discarded if source.frames else damage.packets
    exact = container.format.name.split(",")[0] in EXACT_CONTAINERS
    steps = [after - before for before, after in pairwise(made.times)]
    uneven = (max(steps, default=0) - min(steps, default=0)) * made.plan.time_base * made.plan.rate
    return Tally(
        source_frames=claimed if exact else written + damage.errors,
        missing=max(0, claimed - written) if exact else damage.errors,
        steady=uneven < Fraction(1, 5),
        times=made.times,
        end=made.end,
        damage=damage,
    )


def write_sound(track: SoundTrack, frame: AudioFrame, damage: media.Damage) -> None:
    try:
        track.write(frame)
    except av.FFmpegError as error:  # a damaged frame that no filter takes; the encoder's own errors come from close
        damage.note(error)


def pulled(graph: Graph) -> Iterator[VideoFrame | AudioFrame]:
    while True:
        try:
            yield graph.pull()
        except (AvBlockingIOError, AvEOFError):
            return


class PictureTrack:
    """Frames in, scaled and upright, at their own times; a frame whose size differs gets a filter graph of its own."""

    def __init__(self, out: OutputContainer, source: VideoStream, plan: Plan) -> None:
        self.out, self.source, self.plan = out, source, plan
        self.stream = out.add_stream(plan.profile.codec, rate=plan.rate, options=dict(plan.profile.options))
        self.graph: Graph | None = None
        self.shape: tuple[int, int, str] | None = None
        self.clock = Clock(plan)
        self.times = array("q")
        self.end = Fraction(0)
        self.configure()

    def configure(self) -> None:
        context, plan = self.stream.codec_context, self.plan
        context.width, context.height, context.pix_fmt = plan.width, plan.height, plan.profile.pixel_format
        context.time_base = plan.time_base
        context.sample_aspect_ratio = plan.sample_aspect
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = plan.colour
        context.field_order = plan.field_order
        context.thread_count = plan.threads
        context.flags |= Flags.frame_duration
        if plan.interlaced:
            context.flags |= Flags.interlaced_dct
        if plan.timecode is not None:
            self.stream.metadata["timecode"] = plan.timecode
        if plan.reel is not None:
            self.stream.metadata["reel_name"] = plan.reel

    def write(self, frame: VideoFrame) -> None:
        shape = (frame.width, frame.height, frame.format.name)
        if self.graph is None or shape != self.shape:
            self.graph, self.shape = picture_graph(self.source, frame, self.plan), shape
        at, duration = self.clock.place(frame)
        self.graph.vpush(frame)
        for made in pulled(self.graph):
            if isinstance(made, VideoFrame):
                self.encode(made, at, duration)

    def encode(self, frame: VideoFrame, at: int, duration: int) -> None:
        frame.pts, frame.time_base, frame.duration = at, self.plan.time_base, duration
        frame.pict_type = 0
        self.out.mux(self.stream.encode(frame))
        self.times.append(at)
        self.end = max(self.end, (at + duration) * self.plan.time_base)

    def close(self) -> None:
        if self.times:
            self.out.mux(self.stream.encode(None))


class Clock:
    """Times of the proxy's frames: the source's from 0 on, strictly rising, in the proxy's time base."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.shift = Fraction(0)
        self.next = 0
        self.last = -1

    def place(self, frame: VideoFrame) -> tuple[int, int]:
        """Time and duration of the next frame. One without a time, or before its predecessor, follows that directly."""
        base = self.plan.time_base
        source_base = frame.time_base or base
        lasts = frame.duration * source_base if frame.duration else 1 / self.plan.rate
        duration = max(1, round(lasts / base))
        at = self.next if frame.pts is None else round((frame.pts * source_base - self.plan.origin + self.shift) / base)
        if (at - self.last) * base < -1:  # the source's clock was reset, as in streams cut together
            self.shift += (self.next - at) * base
            at = self.next
        at = max(at, self.last + 1)
        self.last, self.next = at, at + duration
        return at, duration


def picture_graph(source: VideoStream, frame: VideoFrame, plan: Plan) -> Graph:
    """Scale (fields apart where interlaced), turn upright, convert."""
    graph = Graph()
    graph.threads = plan.threads
    width, height = (plan.height, plan.width) if plan.turn.swaps else (plan.width, plan.height)
    graph.link_nodes(
        graph.add_buffer(
            template=source, width=frame.width, height=frame.height, format=frame.format, time_base=source.time_base
        ),
        graph.add("scale", f"w={width}:h={height}:interl=-1:flags=bicubic{plan.matrix}"),
        *(graph.add(name, args) for name, args in plan.turn.filters),
        graph.add("format", f"pix_fmts={plan.profile.pixel_format}"),
        graph.add("buffersink"),
    ).configure()
    return graph


class SoundTrack:
    """One track as 16-bit PCM with the source's channels and rate; gaps become silence, so that it stays in step."""

    def __init__(self, out: OutputContainer, source: AudioStream, plan: Plan) -> None:
        self.out, self.source, self.plan = out, source, plan
        self.layout = layout_for(source)
        self.rate = source.codec_context.sample_rate or 48000
        stream = out.add_stream("pcm_s16le", rate=self.rate, layout=self.layout)
        assert isinstance(stream, AudioStream)
        self.stream = stream
        found = media.language(source)
        if found is not None:
            self.stream.metadata["language"] = QUICKTIME_LANGUAGES.get(found, found)
        self.graph: Graph | None = None
        self.shape: tuple[str, str, int] | None = None
        self.empty = True

    def write(self, frame: AudioFrame) -> None:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self.graph is None or shape != self.shape:
            first = self.graph is None
            self.flush()
            self.graph, self.shape = self.graph_for(frame, first), shape
        if frame.pts is not None and frame.time_base is not None:
            frame.pts -= round(self.plan.origin / frame.time_base)
        self.graph.push(frame)
        self.drain(self.graph)

    def graph_for(self, frame: AudioFrame, first: bool) -> Graph:
        graph = Graph()
        start = ":first_pts=0" if first else ""
        graph.link_nodes(
            graph.add_abuffer(
                sample_rate=frame.sample_rate, format=frame.format, layout=frame.layout, time_base=frame.time_base
            ),
            graph.add("aresample", f"{self.rate}:async=1{start}"),
            graph.add("aformat", f"sample_fmts=s16:channel_layouts={self.layout}:sample_rates={self.rate}"),
            graph.add("abuffersink"),
        ).configure()
        return graph

    def drain(self, graph: Graph) -> None:
        for made in pulled(graph):
            if isinstance(made, AudioFrame):
                self.out.mux(self.stream.encode(made))
                self.empty = False

    def flush(self) -> None:
        if self.graph is not None:
            self.graph.push(None)
            self.drain(self.graph)

    def close(self) -> None:
        self.flush()
        if self.empty:  # a moment of silence, or the file would lack the track
            self.out.mux(self.stream.encode(silence(self.layout, self.rate)))
        self.out.mux(self.stream.encode(None))


def silence(layout: str, rate: int) -> AudioFrame:
    frame = AudioFrame(format="s16", layout=layout, samples=1024)
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), 0
    return frame


def layout_for(source: AudioStream) -> str:
    """The source's channels by name; MXF and AVI say their number only."""
    layout = source.codec_context.layout
    return USUAL_LAYOUTS.get(layout.nb_channels, layout.name) if layout.name.endswith("channels") else layout.name
