"""The frame of a clip that shows best what is in it: a few key frames are looked at, one is taken.

Runs in worker processes only (imports av); reads a handful of key frames, not the clip.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from damfs.core.processors import media, picture_score
from damfs.errors import BadMedia

SHARES = (Fraction(1, 10), Fraction(3, 10), Fraction(1, 2), Fraction(7, 10), Fraction(9, 10))
"""Where in the clip key frames are looked at."""
GOOD = 0.5
"""Score below which a clip of few key frames is searched frame by frame: its first frame may be black, or not sharp."""
SEARCH_PACKETS, SEARCH_STEP = 300, 12
SEARCH_LONGER = 1500
"""Packets after which the search ends even where nothing good was found."""
PACKETS_TO_KEY = 600
"""Packets read after a seek before the place counts as unreadable."""
PROGRESSIVE = (0, 1)
"""Field orders of FFmpeg: unknown and progressive."""
PQ, HLG = 16, 18
FLIPS = {
    ("transpose", "clock"): Image.Transpose.ROTATE_270,
    ("transpose", "cclock"): Image.Transpose.ROTATE_90,
    ("transpose", "cclock_flip"): Image.Transpose.TRANSPOSE,
    ("transpose", "clock_flip"): Image.Transpose.TRANSVERSE,
    ("hflip", None): Image.Transpose.FLIP_LEFT_RIGHT,
    ("vflip", None): Image.Transpose.FLIP_TOP_BOTTOM,
}
BT2020_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])


@dataclass(frozen=True, slots=True)
class Shot:
    picture: Image.Image
    """Upright, square pixels, sRGB."""
    at_ns: int
    decoded: int = 1
    """Pictures that were decoded to find it."""


def best_shot(container: InputContainer, stream: VideoStream, name: str, longest: int) -> Shot:
    """Neither black nor flat nor blurred if there is such a frame. Raises BadMedia when none can be decoded."""
    damage = media.Damage()
    rated = [(score(frame), frame) for frame in spread_keyframes(container, stream, damage)]
    if len(rated) < 3 and best_of(rated) < GOOD:
        for number, frame in first_frames(container, stream, damage):
            rated.append((score(frame), frame))
            if number >= SEARCH_PACKETS and best_of(rated) >= GOOD:
                break
    if not rated:
        why = damage.first or "there is none"
        raise BadMedia(f"{name}: no picture can be decoded ({why}); if it played before, restore it from a copy")
    best = max(rated, key=lambda pair: pair[0])[1]
    return Shot(picture_of(best, stream, longest), moment(best, stream), damage.frames)


def best_of(rated: Sequence[tuple[float, VideoFrame]]) -> float:
    return max((rate for rate, _ in rated), default=0.0)


def moment(frame: VideoFrame, stream: VideoStream) -> int:
    """Nanoseconds from the start of the stream."""
    base = frame.time_base or stream.time_base  # what a decoder gives back at its end does not say
    if frame.pts is None or base is None:
        return 0
    return max(0, round((frame.pts - (stream.start_time or 0)) * base * media.NANO))


def spread_keyframes(container: InputContainer, stream: VideoStream, damage: media.Damage) -> Iterator[VideoFrame]:
    duration = media.stream_duration(container, stream)
    if duration is None:
        begin_keyframes(stream)
        yield from keyframe_here(container, stream, damage, set())
    else:
        yield from keyframes_near(container, stream, [int(share * duration) for share in SHARES], damage)


def keyframes_near(
    container: InputContainer, stream: VideoStream, moments: Iterable[int], damage: media.Damage
) -> Iterator[VideoFrame]:
    """The key frame at or before each moment (nanoseconds from the start), each once: found by seeking."""
    begin_keyframes(stream)
    seen: set[int] = set()
    for at_ns in moments:
        seek(container, stream, at_ns, damage)
        yield from keyframe_here(container, stream, damage, seen)


def begin_keyframes(stream: VideoStream) -> None:
    """A field of an interlaced picture may be no key frame by itself: there nothing is left out."""
    progressive = stream.codec_context.field_order in PROGRESSIVE
    stream.codec_context.skip_frame = "NONKEY" if progressive else "DEFAULT"


def seek(container: InputContainer, stream: VideoStream, at_ns: int, damage: media.Damage) -> None:
    """To the key frame before; where it fails, reading goes on where it was."""
    if stream.time_base is None:
        return
    target = (stream.start_time or 0) + int(Fraction(at_ns, media.NANO) / stream.time_base)
    try:
        container.seek(target, stream=stream, backward=True)
    except Exception as error:  # noqa: BLE001 - a damaged index raises anything; the next place may be fine
        damage.note(error)


def keyframe_here(
    container: InputContainer, stream: VideoStream, damage: media.Damage, seen: set[int]
) -> Iterator[VideoFrame]:
    """The next key frame, if its time is not among ``seen``, which it joins.

    A decoder that reorders gives a frame back only when later ones came, three key frames for one: so it is told that
    there are none.
    """
    whole = stream.codec_context.field_order in PROGRESSIVE
    for packet in islice(media.packets(container, [stream], damage), PACKETS_TO_KEY):
        if packet.is_keyframe and packet.pts is not None and packet.pts in seen:
            return
        try:
            frames = packet.decode()
            if not frames and whole and packet.is_keyframe and packet.size:
                frames = stream.codec_context.decode(None)
                stream.codec_context.flush_buffers()
        except Exception as error:  # noqa: BLE001 - any exception may come out of a damaged packet; the rest goes on
            damage.note(error)
            continue
        for frame in frames:
            if isinstance(frame, VideoFrame):
                damage.frames += 1
                if frame.pts not in seen:
                    seen.add(-1 if frame.pts is None else frame.pts)
                    yield frame
                return


def first_frames(
    container: InputContainer, stream: VideoStream, damage: media.Damage
) -> Iterator[tuple[int, VideoFrame]]:
    """Every twelfth frame from the start, with its number."""
    stream.codec_context.skip_frame = "DEFAULT"
    seek(container, stream, 0, damage)
    for number, (_, frame) in enumerate(media.decoded(container, [stream], damage, SEARCH_LONGER)):
        if isinstance(frame, VideoFrame) and number % SEARCH_STEP == 0:
            yield number, frame


def score(frame: VideoFrame) -> float:
    """See picture_score; a frame that the decoder calls damaged counts little."""
    width, height = media.fit(frame.width, frame.height, picture_score.SIZE)
    small = frame.reformat(width=width, height=height, format="rgb24").to_ndarray().astype(np.uint8, copy=False)
    return (0.3 if frame.is_corrupt else 1.0) * picture_score.score(small)


def picture_of(frame: VideoFrame, stream: VideoStream, longest: int, turn: media.Turn | None = None) -> Image.Image:
    """The frame as a person sees it: pixel aspect, rotation and HDR worked in.

    ``turn``: who makes many pictures of a stream finds it once (`media.turn_of`), for to ask a frame for it makes a
    circle of PyAV's objects: the frame and the threads that scaled it last until the next garbage collection.
    """
    aspect = media.sample_aspect(stream)
    across, down = frame.width * max(aspect, Fraction(1)), frame.height / min(aspect, Fraction(1))
    width, height = media.fit(max(1, round(across)), max(1, round(down)), longest)
    space = media.assumed_space(frame) if frame.colorspace == media.UNSPECIFIED else None
    rgb = frame.reformat(width=width, height=height, format="rgb24", src_colorspace=space)
    picture = Image.fromarray(standard_range(rgb.to_ndarray().astype(np.uint8, copy=False), frame.color_trc))
    for step in (media.turn_of(frame) if turn is None else turn).filters:
        picture = picture.transpose(FLIPS[step])
    return picture


def standard_range(pixels: NDArray[np.uint8], transfer: int) -> NDArray[np.uint8]:
    """HDR (PQ or HLG in BT.2020) turned into sRGB: 203 nits become white's neighbourhood, highlights roll off."""
    if transfer not in (PQ, HLG):
        return pixels
    coded = (pixels / 255).astype(np.float32)
    nits = pq_nits(coded) if transfer == PQ else hlg_nits(coded)
    linear = np.clip((nits / 203) @ BT2020_TO_BT709.T.astype(np.float32), 0, None)
    rolled = linear * (1 + linear / 25) / (1 + linear * 0.6)
    clipped = np.clip(rolled, 0, 1)
    display = np.where(clipped <= 0.0031308, 12.92 * clipped, 1.055 * clipped ** (1 / 2.4) - 0.055)
    return np.asarray(display * 255 + 0.5, dtype=np.uint8)


def pq_nits(coded: NDArray[np.float32]) -> NDArray[np.float32]:
    """SMPTE ST 2084."""
    power = coded ** (32 / 2523)
    return np.asarray(10000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (8192 / 1305))


def hlg_nits(coded: NDArray[np.float32]) -> NDArray[np.float32]:
    """ARIB STD-B67 on a screen of 1000 nits (BT.2100, gamma 1.2)."""
    scene = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    luminance = scene @ np.array([0.2627, 0.678, 0.0593], dtype=np.float32)
    return np.asarray(1000 * scene * np.maximum(luminance, 1e-6)[..., None] ** 0.2)
