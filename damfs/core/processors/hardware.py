"""Which encoders of a profile can be used here: those that need a device are proven once in a worker, by encoding.

Runs in worker processes only (imports av). Blocks for the time of a few small frames, once for each encoder.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from fractions import Fraction

import av
from av.video.stream import VideoStream

from damfs.core.processors.profiles import Encoder, Profile

PROOF_SIZE = (256, 144)
PROOF_FRAMES = 4


def usable(profile: Profile, *, hardware: bool) -> Iterator[Encoder]:
    """Best first. The last one is software, so there always is one."""
    for encoder in profile.encoders:
        if not encoder.hardware or (hardware and proven(encoder.codec, encoder.pixel_format)):
            yield encoder


@functools.cache
def proven(codec: str, pixel_format: str) -> bool:
    """Whether it makes packets of frames: that it is compiled in says nothing of a device."""
    try:
        return packets_of(codec, pixel_format) >= PROOF_FRAMES
    except Exception:  # noqa: BLE001 - drivers that are missing or broken raise anything (CUDA: PermissionError)
        return False


def packets_of(codec: str, pixel_format: str) -> int:
    """Encoded into nothing."""
    width, height = PROOF_SIZE
    with av.open("/dev/null", "w", format="null") as out:
        stream = out.add_stream(codec, rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        made = 0
        for number in range(PROOF_FRAMES):
            frame = av.VideoFrame(width, height, pixel_format)
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            made += len(stream.encode(frame))
        return made + len(stream.encode(None))
