"""Which encoders and decoders of a graphics card can be used here: each is proven once, by encoding or decoding.

Runs in worker processes only (imports av). Blocks: each proof is a process of its own (`apart`), for a driver may crash
or hang; where there is no device file there is nothing to prove.
"""

from __future__ import annotations

import functools
import glob
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from av.video.stream import VideoStream

from damfs.core.processors import apart
from damfs.core.processors.profiles import PROFILES, Encoder, Profile

PROOF_SIZE = (256, 144)
PROOF_FRAMES = 4
PROOF_STALLED_S = 15.0
GREY = 100
FAR_OFF = 6
"""By which the brightness of a proof's pictures may differ from what was encoded."""
DEVICE_FILES = ("/dev/nvidia[0-9c]*", "/dev/dri/renderD*", "/dev/dxg")
DECODED = {"h264": ("libx264", {}), "hevc": ("libx265", {"x265-params": "log-level=none"}), "vp9": ("libvpx-vp9", {})}
"""Codecs that cards decode, and what makes a sample of each."""
NEEDS = {
    "nvenc": "an NVIDIA card with its driver",
    "cuda": "an NVIDIA card with its driver",
    "qsv": "an Intel graphics chip with its media driver and oneVPL",
}


@dataclass(frozen=True, slots=True)
class Proof:
    """``name``: of an encoder, or of a kind of device that decodes ``what``. ``why``: it cannot be used; '': it can."""

    kind: str
    name: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Way:
    """How a proxy is made where a card helps. ``device``: what decodes, '' for software."""

    encoder: Encoder
    device: str

    @property
    def said(self) -> str:
        return " and ".join(filter(None, (f"{self.device} decoding" if self.device else "", self.encoder.codec)))


def way(profile: Profile, codec: str | None) -> Way | None:
    """The best that a card can do for a source of that codec; None: nothing."""
    encoders = (each for each in profile.encoders if each.hardware and proven(each.codec, each.pixel_format))
    encoder = next(encoders, profile.software)
    device = device_for(codec) if codec in DECODED else ""
    return Way(encoder, device) if encoder.hardware or device else None


def has_device() -> bool:
    return any(glob.glob(pattern) for pattern in DEVICE_FILES)


@functools.cache
def proven(codec: str, pixel_format: str) -> bool:
    """Whether it makes packets of frames: that it is compiled in says nothing of a device."""
    return has_device() and not why_not_encode(codec, pixel_format)


@functools.cache
def device_for(codec: str) -> str:
    """What decodes it; '' for nothing."""
    devices = devices_of(codec) if has_device() else ()
    return next((device for device in devices if not why_not_decode(device, codec)), "")


def devices_of(codec: str) -> tuple[str, ...]:
    """Kinds of devices that this build of FFmpeg can decode a codec by."""
    configs = av.codec.Codec(codec, "r").hardware_configs
    return tuple(dict.fromkeys(config.device_type.name for config in configs if config.is_supported))


def why_not_encode(codec: str, pixel_format: str) -> str:
    try:
        apart.call(prove_encoder, codec, pixel_format, stalled_s=PROOF_STALLED_S)
    except apart.Failed as error:
        return str(error)
    return ""


def why_not_decode(device: str, codec: str) -> str:
    try:
        apart.call(prove_decoder, device, codec, stalled_s=PROOF_STALLED_S)
    except apart.Failed as error:
        return str(error)
    return ""


def prove_encoder(codec: str, pixel_format: str) -> None:
    """Raises when what it makes is not what was given to it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "proof.mp4"
        encode_sample(path, codec, pixel_format, {})
        with av.open(str(path)) as container:
            check_sample(container)


def prove_decoder(device: str, codec: str) -> None:
    """Raises as `prove_encoder`, and where the device is not used at all."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "proof.mkv"
        encoder, options = DECODED[codec]
        encode_sample(path, encoder, "yuv420p", dict(options))
        with av.open(str(path), hwaccel=HWAccel(device)) as container:
            check_sample(container)
            if not container.streams.video[0].codec_context.is_hwaccel:
                raise RuntimeError("it was decoded in software")


def encode_sample(path: Path, codec: str, pixel_format: str, options: dict[str, str]) -> None:
    width, height = PROOF_SIZE
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        for number in range(PROOF_FRAMES):
            frame = av.VideoFrame(width, height, pixel_format)
            for plane in frame.planes:
                plane.update(bytes([GREY]) * plane.buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def check_sample(container: av.container.InputContainer) -> None:
    found = [bytes(frame.reformat(format="gray").planes[0])[: PROOF_SIZE[0]] for frame in container.decode(video=0)]
    if len(found) != PROOF_FRAMES:
        raise RuntimeError(f"{len(found)} of {PROOF_FRAMES} pictures came out")
    if any(abs(sum(line) / len(line) - GREY) > FAR_OFF for line in found):
        raise RuntimeError("its pictures are not those that were encoded")


def candidates() -> Iterator[Proof]:
    """All that this build of FFmpeg could use, proven one after the other."""
    rows = (encoder for profile in PROFILES.values() for encoder in profile.encoders if encoder.hardware)
    for codec, pixels in dict.fromkeys((row.codec, row.pixel_format) for row in rows):
        yield Proof("encoder", codec, codec.partition("_")[0], explained(codec, why_not_encode(codec, pixels)))
    for codec in DECODED:
        for device in devices_of(codec):
            yield Proof("decoder", device, codec, explained(device, why_not_decode(device, codec)))


def explained(name: str, why: str) -> str:
    needs = next((text for part, text in NEEDS.items() if part in name), "")
    return f"{why}; it needs {needs}" if why and needs else why


def tell() -> None:
    """For `damfs doctor`: a line of JSON for each."""
    for proof in candidates():
        print(json.dumps(asdict(proof)), flush=True)  # noqa: T201 - it is what it is for
