"""A clip made again by a profile: fewer lines, the same frames at the same times, all sound tracks, timecode.

Runs in worker processes only (imports av); writes one file below the job's own directory and may be killed at any
moment. Pictures and sound both start at 0, as editors expect; a source track that starts later gets silence.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from damfs.core.processors import media, proxy_plan
from damfs.core.processors.frame_clock import Clock, Readings
from damfs.core.processors.proxy_plan import Plan
from damfs.core.processors.sound_track import SoundTrack, latest_sound, pulled

Report = Callable[[float], None]


@dataclass(slots=True)
class Tally:
    """What went through; ``end`` is when the last frame ends, in seconds."""

    steady: bool = True
    """Whether the written frames follow each other at equal intervals."""
    times: array[int] = field(default_factory=lambda: array("q"))
    """When each written frame is shown, in the plan's time base."""
    clock: Readings = field(default_factory=Readings)
    end: Fraction = Fraction(0)
    damage: media.Damage = field(default_factory=media.Damage)


def transcode(
    source: Path,
    target: Path,
    name: str,
    plan: Plan,
    by_frame: bool = True,
    report: Report = lambda _: None,
    frames: int = 0,
    device: str = "",
) -> Tally:
    """Make the proxy at ``target``. ``by_frame``: see media.use_threads. ``report`` is told the share that is done, of
    so many ``frames``. ``device``: what decodes, '' for software."""
    damage = media.Damage()
    kind = plan.profile.ending.removeprefix(".")
    options = dict(plan.profile.container_options)
    with (
        media.opened(source, name, device) as container,
        av.open(str(target), "w", format=kind, container_options=options) as out,
    ):
        picture = proxy_plan.usable_pictures(container, name)
        media.use_threads(picture, plan.threads, by_frame)
        out.metadata.update(plan.tags)
        pictures = PictureTrack(out, picture, plan)
        latest = latest_sound(container)
        sounds = {
            stream.index: SoundTrack(out, stream, plan, name, latest) for stream in media.sound_streams(container)
        }
        streams: list[VideoStream | AudioStream] = [picture, *media.sound_streams(container)]
        for stream, frame in media.decoded(container, streams, damage):
            if isinstance(frame, VideoFrame):
                pictures.write(frame)
                report(len(pictures.times) / max(1, frames))
            else:
                write_sound(sounds[stream.index], frame, damage)
        pictures.close()
        for track in sounds.values():
            track.close()
        return tally_of(pictures, damage)


def tally_of(made: PictureTrack, damage: media.Damage) -> Tally:
    steps = [after - before for before, after in pairwise(made.times)]
    uneven = (max(steps, default=0) - min(steps, default=0)) * made.plan.time_base * made.plan.rate
    return Tally(
        steady=uneven < Fraction(1, 5), times=made.times, clock=made.clock.readings, end=made.end, damage=damage
    )


def write_sound(track: SoundTrack, frame: AudioFrame, damage: media.Damage) -> None:
    try:
        track.write(frame)
    except av.FFmpegError as error:  # a damaged frame that no filter takes
        damage.note(error)


class PictureTrack:
    """Frames in, scaled and upright, at their own times; a frame whose size differs gets a filter graph of its own."""

    def __init__(self, out: OutputContainer, source: VideoStream, plan: Plan) -> None:
        self.out, self.source, self.plan = out, source, plan
        options = dict(plan.encoder.options)
        if plan.field_order in proxy_plan.BOTTOM_FIRST:
            options |= plan.encoder.bottom_first
        stream = out.add_stream(plan.encoder.codec, rate=plan.rate, options=options)
        assert isinstance(stream, VideoStream)
        self.stream = stream
        self.graph: Graph | None = None
        self.shape: tuple[int, int, str] | None = None
        self.clock = Clock(plan)
        self.due: deque[tuple[int, int]] = deque()
        """Time and duration of the frames that are in the filter."""
        self.times = array("q")
        self.end = Fraction(0)
        self.configure()

    def configure(self) -> None:
        context, plan = self.stream.codec_context, self.plan
        context.width, context.height, context.pix_fmt = plan.width, plan.height, plan.encoder.pixel_format
        context.time_base = plan.time_base
        context.sample_aspect_ratio = plan.sample_aspect
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = plan.colour
        context.field_order = plan.field_order
        context.thread_count = plan.threads
        context.thread_type = "AUTO"  # PyAV's own choice is by slice: most encoders then hold everything up
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
            self.flush()
            self.graph, self.shape = picture_graph(self.source, frame, self.plan), shape
        self.due.append(self.clock.place(frame))
        self.graph.vpush(frame)
        self.drain(self.graph)

    def drain(self, graph: Graph) -> None:
        for made in pulled(graph):
            if isinstance(made, VideoFrame):
                self.encode(made, *self.due.popleft())

    def flush(self) -> None:
        if self.graph is not None:
            self.graph.vpush(None)
            self.drain(self.graph)
            self.due.clear()

    def encode(self, frame: VideoFrame, at: int, duration: int) -> None:
        frame.pts, frame.time_base, frame.duration = at, self.plan.time_base, duration
        frame.pict_type = 0
        # some encoders ask the frame, which has what the filter made of the source's
        frame.color_primaries, frame.color_trc, frame.colorspace, frame.color_range = self.plan.colour
        self.out.mux(self.stream.encode(frame))
        self.times.append(at)
        self.end = max(self.end, (at + duration) * self.plan.time_base)

    def close(self) -> None:
        self.flush()
        if self.times:
            self.out.mux(self.stream.encode(None))


def picture_graph(source: VideoStream, frame: VideoFrame, plan: Plan) -> Graph:
    """Scale (fields apart where interlaced), turn upright, convert."""
    graph = Graph()
    graph.threads = plan.threads
    width, height = (plan.height, plan.width) if plan.turn.swaps else (plan.width, plan.height)
    graph.link_nodes(
        graph.add_buffer(
            template=source, width=frame.width, height=frame.height, format=frame.format, time_base=source.time_base
        ),
        *([graph.add("bwdif", "mode=send_frame:deint=interlaced")] if plan.profile.deinterlace else []),
        graph.add("scale", f"w={width}:h={height}:interl=-1:flags=bicubic{plan.matrix}"),
        *(graph.add(name, args) for name, args in plan.turn.filters),
        graph.add("format", f"pix_fmts={plan.encoder.pixel_format}"),
        graph.add("buffersink"),
    ).configure()
    return graph
