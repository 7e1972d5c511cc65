"""How each frame of a clip differs from the one before: FFmpeg's ``scdet`` on small pictures, looked at once more by
`cut_finder`; decoding is the cost.

Runs in worker processes only (imports av); decodes every frame, keeps a few small ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from av.container import InputContainer
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from damfs.core.processors import media
from damfs.core.processors.cut_finder import CutFinder, Look, Plane
from damfs.core.processors.keyframes import moment
from damfs.core.processors.scene_list import Difference
from damfs.core.processors.sound_track import pulled

WIDTH, HEIGHT = 160, 90
SQUARE = 5
"""Pixels of the small picture whose mean is compared: noise, and what moves a little, is lost in it."""
THRESHOLD = 10
"""Of the filter; its own default, which found every cut between bright scenes of what was tried."""


def differences(container: InputContainer, stream: VideoStream, damage: media.Damage) -> Iterator[Difference]:
    media.use_threads(stream, min(2, len(os.sched_getaffinity(0))), by_frame=True)
    stream.codec_context.options = {"skip_loop_filter": "all"}  # a fifth less work, and no cut more or less
    graph: Graph | None = None
    shape: object = None
    finder = CutFinder()
    for _, frame in media.decoded(container, [stream], damage):
        if isinstance(frame, VideoFrame):
            if graph is None or shape != shape_of(frame):
                graph, shape = comparing(stream, frame), shape_of(frame)
            graph.vpush(frame)
            for seen in pulled(graph):
                if isinstance(seen, VideoFrame):
                    yield from finder.add(look(seen, stream))
    yield from finder.rest()


def shape_of(frame: VideoFrame) -> tuple[int, int, str]:
    """A stream may change it midway, a graph cannot."""
    return frame.width, frame.height, frame.format.name


def comparing(stream: VideoStream, frame: VideoFrame) -> Graph:
    """Frames go in; they come out small, with what the filter says of them."""
    graph = Graph()
    width, height, pixels = frame.width, frame.height, frame.format
    graph.link_nodes(
        graph.add_buffer(template=stream, width=width, height=height, format=pixels, time_base=stream.time_base),
        graph.add("scale", f"{WIDTH}:{HEIGHT}:flags=area"),
        graph.add("format", "pix_fmts=yuv420p"),
        graph.add("scdet", f"threshold={THRESHOLD}"),
        graph.add("buffersink"),
    ).configure()
    return graph


def look(seen: VideoFrame, stream: VideoStream) -> Look:
    said = seen.metadata
    percent = float(said.get("lavfi.scd.mafd", 0.0))
    return Look(moment(seen, stream), percent, "lavfi.scd.time" in said, light_of(seen))


def light_of(seen: VideoFrame) -> Plane:
    """Means of the squares of its luma."""
    plane = seen.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:HEIGHT, :WIDTH]
    squares = rows.reshape(HEIGHT // SQUARE, SQUARE, WIDTH // SQUARE, SQUARE)
    return np.asarray(squares.mean(axis=(1, 3)), np.float32)
