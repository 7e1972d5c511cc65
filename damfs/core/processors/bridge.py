"""Pictures encoded so that they can stand beside copied ones in one track: same size, pixels, profile and colours.

Runs in worker processes only (imports av). A bridge stands for itself: it begins with a key frame, and its frames are
stored in the order in which they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.codec.context import Flags
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from damfs.core.processors import media, nal_units
from damfs.core.processors.splice_plan import NotSplicable

LONGEST = 3000
"""Frames of a bridge at most: it is kept in memory. What needs more is better encoded as a whole."""
H264_PROFILES = {"Constrained Baseline": "baseline", "Baseline": "baseline", "Main": "main"}
WHOLE_PICTURES = (0, 1)
"""What a stream says of its fields when it has none."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to encode for one codec. ``fields``: whether the encoder takes interlaced pictures."""

    encoder: str
    options: Mapping[str, str]
    fields: bool = True


ENDLESS = "9999"
RECIPES = {
    "h264": Recipe("libx264", {"preset": "veryfast", "crf": "12", "bf": "0", "g": ENDLESS, "sc_threshold": "0"}),
    "hevc": Recipe("libx265", {"preset": "veryfast", "crf": "12"}, fields=False),
    "mpeg2video": Recipe("mpeg2video", {"bf": "0", "g": "600", "sc_threshold": "1000000000"}),
}
X265 = "log-level=none:repeat-headers=1:bframes=0:open-gop=0:keyint=9999:scenecut=0:info=0:hrd=0:aud=0"
FINEST_MPEG2 = 2 * 118
"""Quality 2 in FFmpeg's lambda: what is encoded anew is hardly told from what was there."""


@dataclass(slots=True)
class Bridge:
    """Encoded frames in order, as packets without times; the parameter sets lie in the first one."""

    packets: list[Packet[VideoStream]] = field(default_factory=list)

    @property
    def sets(self) -> list[bytes]:
        """Of H.264."""
        units = nal_units.units_between_starts(bytes(self.packets[0])) if self.packets else ()
        kinds = (nal_units.H264_SPS, nal_units.H264_PPS)
        return [unit for unit in units if nal_units.h264_kind(unit) in kinds]


def bridge(source: VideoStream, frames: Iterable[VideoFrame], number: int | None) -> Bridge:
    """``number``: by which H.264 parameter sets of the bridge go, so that they stand beside those of the source.

    Raises NotSplicable.
    """
    made, context, shape = Bridge(), None, None
    try:
        for at, frame in enumerate(frames):
            if context is None:
                context, shape = _encoder(source, frame, number), _shape(frame)
            if _shape(frame) != shape:
                raise NotSplicable("its pictures change their size or format")
            frame.pts, frame.time_base, frame.pict_type = at, context.time_base, 0
            made.packets += context.encode(frame)
        if context is not None:
            made.packets += context.encode(None)
    except (av.FFmpegError, ValueError) as error:
        raise NotSplicable(f"no frame like those of the clip can be encoded ({media.said(error)})") from None
    return made


def _shape(frame: VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def check(source: VideoStream, frames: int) -> None:
    """Whether frames of such a clip can be encoded at all. Raises NotSplicable with the reason."""
    if not frames:
        return
    codec = media.codec_name(source) or "its codec"
    recipe = RECIPES.get(codec)
    if recipe is None:
        raise NotSplicable(f"there is no encoder here that continues {codec}")
    if frames > LONGEST:
        raise NotSplicable(f"{frames} frames lie between its key frames")
    if source.codec_context.field_order not in WHOLE_PICTURES and not recipe.fields:
        raise NotSplicable(f"{codec} with fields cannot be encoded here")
    pixels = source.codec_context.pix_fmt
    formats = av.Codec(recipe.encoder, "w").video_formats or []
    if pixels not in {each.name for each in formats}:
        raise NotSplicable(f"{pixels} cannot be encoded as {codec} here")


def _encoder(source: VideoStream, frame: VideoFrame, number: int | None) -> VideoCodecContext:
    of, codec = source.codec_context, media.codec_name(source) or ""
    recipe, rate = RECIPES[codec], media.rate_of(source) or Fraction(25)
    context = av.CodecContext.create(recipe.encoder, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.framerate, context.time_base = rate, 1 / rate
    context.sample_aspect_ratio = media.sample_aspect(source)
    context.color_primaries, context.color_trc = of.color_primaries, of.color_trc
    context.colorspace, context.color_range = of.colorspace, of.color_range
    context.options = {**recipe.options, **_options(codec, of.profile, number)}
    if codec == "mpeg2video":
        context.flags |= Flags.qscale
        context.global_quality = FINEST_MPEG2
    if of.field_order not in WHOLE_PICTURES:
        context.field_order = of.field_order
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me
    return context


def _options(codec: str, profile: str | None, number: int | None) -> dict[str, str]:
    if codec == "hevc":
        return {"x265-params": X265}
    if codec != "h264":
        return {}
    known = H264_PROFILES.get(profile or "")
    return {"x264-params": f"sps-id={number or 0}", **({} if known is None else {"profile": known})}
