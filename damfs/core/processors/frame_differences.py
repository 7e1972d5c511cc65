"""How each frame of a clip differs from the one before: FFmpeg's ``scdet`` on small pictures; decoding is the cost.

Runs in worker processes only (imports av); decodes every frame, keeps none.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from av.container import InputContainer
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from damfs.core.processors import media
from damfs.core.processors.keyframes import moment
from damfs.core.processors.scene_list import Difference
from damfs.core.processors.sound_track import pulled

LOOKED_AT = "160:90"
THRESHOLD = 10
"""Of the filter; its own default, which found every cut of what was tried."""


def differences(container: InputContainer, stream: VideoStream, damage: media.Damage) -> Iterator[Difference]:
    media.use_threads(stream, min(2, len(os.sched_getaffinity(0))), by_frame=True)
    stream.codec_context.options = {"skip_loop_filter": "all"}  # a fifth less work, and no cut more or less
    graph: Graph | None = None
    shape: object = None
    for _, frame in media.decoded(container, [stream], damage):
        if isinstance(frame, VideoFrame):
            if graph is None or shape != shape_of(frame):
                graph, shape = comparing(stream, frame), shape_of(frame)
            graph.vpush(frame)
            yield from (told(seen, stream) for seen in pulled(graph) if isinstance(seen, VideoFrame))


def shape_of(frame: VideoFrame) -> tuple[int, int, str]:
    """A stream may change it midway, a graph cannot."""
    return frame.width, frame.height, frame.format.name


def comparing(stream: VideoStream, frame: VideoFrame) -> Graph:
    """Frames go in; they come out small, with what the filter says of them."""
    graph = Graph()
    width, height, pixels = frame.width, frame.height, frame.format
    graph.link_nodes(
        graph.add_buffer(template=stream, width=width, height=height, format=pixels, time_base=stream.time_base),
        graph.add("scale", f"{LOOKED_AT}:flags=area"),
        graph.add("scdet", f"threshold={THRESHOLD}"),
        graph.add("buffersink"),
    ).configure()
    return graph


def told(seen: VideoFrame, stream: VideoStream) -> Difference:
    said = seen.metadata
    return Difference(moment(seen, stream), float(said.get("lavfi.scd.mafd", 0.0)), "lavfi.scd.time" in said)
