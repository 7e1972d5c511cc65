"""A clip made again as an editing proxy: fewer lines, the same frames at the same times, all sound tracks, timecode.

Runs in worker processes only (imports av); writes one QuickTime file below the job's own directory and may be killed
at any moment. Pictures and sound both start at 0, as editors expect; a source track that starts later gets silence.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Literal

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
from damfs.errors import BadMedia

KEPT_TAGS = ("creation_time", "location", "make", "model")
QUICKTIME_LANGUAGES = {
    "deu": "ger", "fre": "fra", "nld": "dut", "swe": "sve", "ell": "gre", "isl": "ice", "zho": "chi", "sqi": "alb",
    "rum": "ron", "cze": "ces", "slo": "slk", "mkd": "mac", "hye": "arm", "kat": "geo", "msa": "may", "mya": "bur",
    "bod": "tib", "cym": "wel", "eus": "baq",
}  # fmt: skip
"""ISO 639-2 codes by the spelling that QuickTime's table of languages has for them."""
USUAL_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
BT709, SMPTE170M, FULL_RANGE = 1, 6, 2
INTERLACED = (2, 3, 4, 5)
SCALE_MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020", 10: "bt2020"}
EXACT_CONTAINERS = ("mov", "mxf")
"""Containers in which each packet is a frame, so that a frame that does not come out is missing."""


@dataclass(frozen=True, slots=True)
class Profile:
    codec: Literal["dnxhd", "libx264"]
    pixel_format: str
    options: dict[str, str]
    smallest: tuple[int, int] = (2, 2)
    """The encoder refuses smaller pictures; such sources are enlarged."""
    spaces: frozenset[int] | None = None
    """Colour matrices (FFmpeg's numbers) that the bitstream can name; others are converted to BT.709."""
    fields: bool = False
    """The encoder can keep interlaced pictures as such; DNxHR cannot."""


PROFILES = {
    "dnxhr-lb": Profile("dnxhd", "yuv422p", {"profile": "dnxhr_lb"}, (256, 120), frozenset({1, 9})),
    "h264-intra": Profile("libx264", "yuv420p", {"preset": "veryfast", "crf": "23", "g": "1", "bf": "0"}, fields=True),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What the first frame tells about the proxy to be made."""

    profile: Profile
    threads: int
    turn: media.Turn
    width: int
    height: int
    sample_aspect: Fraction
    rate: Fraction
    time_base: Fraction
    origin: Fraction
    """Seconds at which the source's first frame is shown; 0 of the proxy."""
    colour: tuple[int, int, int, int]
    """Primaries, transfer, space, range of the proxy as FFmpeg's numbers."""
    matrix: str
    """Options of the scale filter that say how colours are coded."""
    field_order: int
    interlaced: bool
    timecode: str | None
    reel: str | None
    tags: dict[str, str]


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


def make_plan(container: InputContainer, name: str, profile: Profile, lines: int, threads: int) -> Plan:
    """Reads up to the first frame (all of the file's packets where times are too coarse to tell the rate)."""
    stream = media.picture_stream(container)
    if stream is None:
        raise BadMedia(f"{name}: no proxy: it holds no pictures that can be decoded here")
    media.check_size(stream.width, stream.height, name)
    frame = media.first_frame(container, stream, name)
    turn = media.turn_of(frame)
    interlaced = profile.fields and stream.codec_context.field_order in INTERLACED
    shape = media.upright(frame.width, frame.height, turn)
    width, height = proxy_size(shape, lines, profile.smallest, 4 if interlaced else 2)
    aspect = media.sample_aspect(stream)
    rate = media.rate_of(stream) or Fraction(25)
    source_base = stream.time_base or 1 / rate
    colour, matrix = colour_of(stream, frame, profile)
    steady = is_steady(container, stream, rate)
    return Plan(
        profile=profile,
        threads=threads,
        turn=turn,
        width=width,
        height=height,
        sample_aspect=1 / aspect if turn.swaps else aspect,
        rate=rate,
        time_base=1 / rate if steady else source_base,
        origin=(frame.pts or 0) * source_base,
        colour=colour,
        matrix=matrix,
        field_order=stream.codec_context.field_order,
        interlaced=interlaced,
        timecode=timecode_for(media.start_timecode(container), rate),
        reel=media.reel_name(container),
        tags={tag: container.metadata[tag] for tag in KEPT_TAGS if tag in container.metadata},
    )


def proxy_size(
    upright: tuple[int, int], lines: int, smallest: tuple[int, int] = (2, 2), step: int = 2
) -> tuple[int, int]:
    """``lines`` high or the source's own height, in even numbers, enlarged where the encoder has a minimum.

    ``step``: what the height must be a multiple of (4 for pairs of fields in 4:2:0).
    """
    width, height = upright
    wanted = min(height, lines)
    scale = max(Fraction(wanted, height), Fraction(smallest[0], width), Fraction(smallest[1], height))
    return nearest(width * scale, 2), nearest(height * scale, step)


def nearest(value: Fraction, step: int) -> int:
    return max(step, math.floor(value / step + Fraction(1, 2)) * step)


def is_steady(container: InputContainer, stream: VideoStream, rate: Fraction) -> bool:
    """Whether times rounded to milliseconds (Matroska, FLV) are those of a constant rate: then exact times are used."""
    base = stream.time_base
    if base is None or base < Fraction(1, 1000) or base == 1 / rate:
        return False
    container.seek(stream.start_time or 0, stream=stream)
    packets = media.packets(container, [stream], media.Damage())
    times = sorted(packet.pts for packet in packets if packet.pts is not None)
    one_tick = base * rate
    return bool(times) and all(abs((at - times[0]) * base * rate - n) <= one_tick for n, at in enumerate(times))


def colour_of(stream: VideoStream, frame: VideoFrame, profile: Profile) -> tuple[tuple[int, int, int, int], str]:
    """The proxy's tags and scale options. Without a matrix: the one players assume for the source's size.

    Both matrices and ranges are named: left alone, the filter converts tagged pictures to what it takes for usual.
    """
    context = stream.codec_context
    space, colour_range = context.colorspace, context.color_range
    if frame.format.is_rgb:
        return (context.color_primaries, context.color_trc, BT709, 1), ":out_color_matrix=bt709:out_range=tv"
    if space not in SCALE_MATRICES:
        space = BT709 if media.assumed_space(frame) == "itu709" else SMPTE170M
    made = space if profile.spaces is None or space in profile.spaces else BT709
    ranges = ":in_range=pc:out_range=pc" if colour_range == FULL_RANGE else ":in_range=tv:out_range=tv"
    matrices = f":in_color_matrix={SCALE_MATRICES[space]}:out_color_matrix={SCALE_MATRICES[made]}"
    return (context.color_primaries, context.color_trc, made, colour_range), matrices + ranges


def timecode_for(timecode: str | None, rate: Fraction) -> str | None:
    """Drop frame exists at multiples of 29.97 only; elsewhere the muxer would refuse the whole file."""
    if timecode is None or rate < 1:
        return None
    if rate.denominator == 1001 and rate.numerator % 30000 == 0:
        return timecode
    return timecode.replace(";", ":")


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
    return Tally(
        source_frames=claimed if exact or source.frames else written + damage.errors,
        missing=max(0, claimed - written) if exact else damage.errors,
        steady=not steps or max(steps) - min(steps) <= 1,
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

    def write(self, frame: AudioFrame) -> None:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self.shape:
            self.graph, self.shape = self.graph_for(frame, first=self.graph is None), shape
        assert self.graph is not None
        if frame.pts is not None and frame.time_base is not None:
            frame.pts -= round(self.plan.origin / frame.time_base)
        self.graph.push(frame)
        self.drain()

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

    def drain(self) -> None:
        assert self.graph is not None
        for made in pulled(self.graph):
            if isinstance(made, AudioFrame):
                self.out.mux(self.stream.encode(made))

    def close(self) -> None:
        if self.graph is None:
            return
        self.graph.push(None)
        self.drain()
        self.out.mux(self.stream.encode(None))


def layout_for(source: AudioStream) -> str:
    """The source's channels by name; MXF and AVI say their number only."""
    layout = source.codec_context.layout
    return USUAL_LAYOUTS.get(layout.nb_channels, layout.name) if layout.name.endswith("channels") else layout.name
