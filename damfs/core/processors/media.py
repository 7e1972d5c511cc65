"""What the processors share about moving pictures and sound: opening, streams, timing, geometry, damage.

Runs in worker processes only (imports av): everything blocks, and any file may be hostile. FFmpeg may open local
files of known kinds and nothing else, so a playlist named .mov cannot make it read other files or the network.
av.logging.set_level is never called: with Python logging on, frame-threaded decoders deadlock on damaged files.
"""

from __future__ import annotations

import errno
import math
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from damfs.core.processors import untimed
from damfs.core.processors.capture import timecode_of_tags
from damfs.errors import BadMedia

MAX_PIXELS = 1_000_000_000
PROOF_PACKETS = 400
"""Packets read before a file without one decodable frame counts as damaged."""
ADVICE = "; if it played before, restore it from a copy"
NANO = 1_000_000_000
LONGEST_NS = 366 * 24 * 3600 * NANO
DEMUXERS = (
    "mov,matroska,webm,avi,mxf,mpegts,mpeg,mpegvideo,m4v,flv,asf,ogg,rm,gxf,dv,wtv,nut,ivf,h264,hevc,vvc,obu,vc1,mjpeg,"
    "wav,w64,aiff,au,caf,flac,mp3,aac,ac3,eac3,dts,dtshd,truehd,amr,ape,wv,tta,tak,dsf,iff,apng,gif,"
    "yuv4mpegpipe,dpx_pipe,exr_pipe,hdr_pipe,j2k_pipe,jpegxl_pipe,jpegls_pipe,psd_pipe,qoi_pipe,sgi_pipe,tiff_pipe"
)
OPEN_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": DEMUXERS}

UNSPECIFIED = 2
PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020"} | {
    10: "smpte428", 11: "smpte431", 12: "smpte432", 22: "ebu3213"
}  # fmt: skip
TRANSFERS = {1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100"} | {
    10: "log316", 11: "iec61966-2-4", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084",
    17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
SPACES = {0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc", 10: "bt2020c"}
RANGES = {1: "tv", 2: "pc"}
FIELD_ORDERS = {1: "progressive", 2: "tt", 3: "bb", 4: "tb", 5: "bt"}


@dataclass(slots=True)
class Damage:
    """What could and could not be read, counted; ``first`` is the first error in words."""

    errors: int = 0
    packets: int = 0
    """Packets of pictures meant to be shown."""
    frames: int = 0
    """Pictures that came out of the decoder."""
    discarded: int = 0
    """Packets of pictures that an edit list hides."""
    first: str = ""

    def note(self, error: Exception) -> None:
        self.errors += 1
        self.first = self.first or said(error)


def said(error: Exception) -> str:
    """An error in words, without FFmpeg's number and file name."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())


def shown(name: str) -> str:
    """A file name fit for a line of text."""
    return "".join(c if c.isprintable() else "?" for c in name)


def check_bytes(source: Path, name: str) -> None:
    """Raises BadMedia for an empty file, OSError for one that cannot be read now."""
    with source.open("rb") as file:
        if not file.read(1):
            raise BadMedia(f"{shown(name)}: not playable: the file is empty (0 bytes); copy it again from its source")


@contextmanager
def opened(source: Path, name: str, device: str = "") -> Iterator[InputContainer]:
    """The container, closed at the end. ``device``: the kind that decodes its pictures; '': software. Raises BadMedia
    when it is none."""
    check_bytes(source, name)
    accelerator = HWAccel(device) if device else None
    try:
        container = av.open(
            str(source), "r", options=dict(OPEN_OPTIONS), metadata_errors="replace", hwaccel=accelerator
        )
    except Exception as error:  # noqa: BLE001 - hostile files raise UnicodeDecodeError, IndexError, MemoryError as well
        if device:  # most likely it is the device's fault, and software will tell
            raise RuntimeError(said(error)) from None
        raise BadMedia(f"{shown(name)}: not playable: {why_not(source, error)}") from None
    with container:
        yield container


def why_not(source: Path, error: Exception) -> str:
    """Why a file does not open, and what to do, in words."""
    with source.open("rb") as file:
        head = file.read(4096)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip") and b"moov" not in top_boxes(source):
        return "moov atom not found; the recording was not finished or the copy broke off: copy it again or repair it"
    if is_text(head):
        return "it holds text, not media; give it the suffix of what it is"
    if getattr(error, "errno", None) == errno.ENOMEM:
        return "its index asks for more memory, or for more streams, than a file may have"
    return f"no media that is known ({said(error)}); if it played before, restore it from a copy"


def is_text(head: bytes) -> bool:
    if b"\0" in head:
        return False
    try:
        text = head[: len(head) - 3 if len(head) == 4096 else len(head)].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c in "\r\n\t\f" for c in text)


def top_boxes(source: Path, limit: int = 64) -> list[bytes]:
    """Types of the outermost boxes of a QuickTime or MP4 file, as far as they can be followed."""
    found: list[bytes] = []
    size = source.stat().st_size
    with source.open("rb") as file:
        at = 0
        while at + 8 <= size and len(found) < limit:
            file.seek(at)
            head = file.read(16)
            length, kind = struct.unpack(">I4s", head[:8])
            if length == 1 and len(head) == 16:
                length = struct.unpack(">Q", head[8:])[0]
            if at + length > size or (length < 8 and length != 0):
                return found
            found.append(kind)
            at = size if length == 0 else at + length
    return found


def picture_stream(container: InputContainer) -> VideoStream | None:
    """The first stream of moving pictures; cover art and streams without a decoder do not count."""
    for stream in container.streams.video:
        if stream.codec_context is not None and not stream.disposition & Disposition.attached_pic:
            return stream
    return None


def sound_streams(container: InputContainer) -> list[AudioStream]:
    """Sound tracks that can be decoded."""
    return [stream for stream in container.streams.audio if stream.codec_context is not None]


def use_threads(stream: VideoStream, threads: int, by_frame: bool) -> None:
    """By frame is quick; by slice decodes most H.264 on one core, but loses no sound frame beside a damaged one."""
    stream.thread_type = "AUTO" if by_frame else "SLICE"
    stream.codec_context.thread_count = threads


def decoded(
    container: InputContainer,
    streams: Sequence[VideoStream | AudioStream],
    damage: Damage,
    limit: int | None = None,
) -> Iterator[tuple[VideoStream | AudioStream, VideoFrame | AudioFrame]]:
    """Every frame that can be decoded (of the first ``limit`` packets), with its stream; errors go to ``damage``."""
    times = untimed.Times() if any(untimed.is_untimed(container, stream) for stream in streams) else None
    for packet in islice(packets(container, streams, damage), limit):
        if times is not None:
            times.enter(packet)
        try:
            frames = packet.decode()
        except Exception as error:  # noqa: BLE001 - any exception may come out of a damaged packet; the rest goes on
            damage.note(error)
            if times is not None:
                times.lose(packet)
            continue
        for frame in frames:
            if isinstance(frame, VideoFrame | AudioFrame):
                damage.frames += isinstance(frame, VideoFrame)
                if times is not None:
                    times.leave(frame)
                yield packet.stream, frame


def first_frame(container: InputContainer, stream: VideoStream, name: str) -> VideoFrame:
    """Raises BadMedia when no picture near the start can be decoded."""
    damage = Damage()
    for _, frame in decoded(container, [stream], damage, PROOF_PACKETS):
        if isinstance(frame, VideoFrame):
            return frame
    raise BadMedia(f"{name}: not playable: no picture can be decoded ({damage.first or 'there is none'}){ADVICE}")


def packets(
    container: InputContainer, streams: Sequence[VideoStream | AudioStream], damage: Damage
) -> Iterator[Packet[VideoStream] | Packet[AudioStream]]:
    """Packets, the empty ones that flush the decoders at the end included, until nothing more can be read."""
    source = container.demux(*streams)
    by_order = {stream.index for stream in streams if untimed.is_untimed(container, stream)}
    while True:
        try:
            packet = next(source)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - a damaged index raises anything; what was read before is kept
            damage.note(error)
            return
        if packet.size == 0 and packet.dts is not None:
            continue  # a dropped frame (AVI): the decoder would take it for the end
        if packet.stream.index in by_order:
            packet.pts = packet.dts
        if isinstance(packet.stream, VideoStream) and packet.size:
            damage.discarded += packet.is_discard
            damage.packets += not packet.is_discard
        yield packet  # type: ignore[misc]  # demux was asked for these two kinds of stream only


def check_size(width: int, height: int, name: str) -> None:
    """Raises BadMedia for a size that no decoder should be asked for."""
    if width <= 0 or height <= 0:
        raise BadMedia(f"{shown(name)}: not playable: it says its pictures are {width}x{height}")
    if width * height > MAX_PIXELS:
        raise BadMedia(f"{shown(name)}: {width}x{height} is over the limit of {MAX_PIXELS // 1_000_000} megapixels")


def stream_duration(container: InputContainer, stream: VideoStream | AudioStream | None) -> int | None:
    """Nanoseconds: of the stream where it says so, else of the container."""
    if stream is not None and stream.duration and stream.time_base:
        return sensible(round(stream.duration * stream.time_base * NANO))
    if stream is not None and "DURATION" in stream.metadata:
        return sensible(clock_ns(stream.metadata["DURATION"]))
    return sensible(container.duration * 1000 if container.duration else None)


def sensible(duration_ns: int | None) -> int | None:
    """Nobody recorded for years, or for less than nothing: a file that says so does not know."""
    return duration_ns if duration_ns is not None and 0 < duration_ns < LONGEST_NS else None


def clock_ns(text: str) -> int | None:
    """Matroska's ``00:00:01.021000000``."""
    try:
        hours, minutes, seconds = text.strip("\0 ").split(":")
        return round((int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)) * NANO)
    except ValueError:
        return None


def start_timecode(container: InputContainer) -> str | None:
    """Timecode of the first frame, from a tmcd track, a stream or the container (MXF)."""
    for stream in container.streams:
        if stream.type in ("video", "data"):
            found = timecode_of_tags(stream.metadata)
            if found is not None:
                return found
    return timecode_of_tags(container.metadata)


def reel_name(container: InputContainer) -> str | None:
    for stream in container.streams:
        if "reel_name" in stream.metadata:
            return stream.metadata["reel_name"]
    return container.metadata.get("reel_name")


def rate_of(stream: VideoStream) -> Fraction | None:
    """Frames a second on average; None when nothing sensible is known."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate is not None and 0 < rate <= 10_000:
            return rate
    return None


def rational_text(value: Fraction | None) -> str | None:
    """``30000/1001``, also ``25/1``."""
    return None if value is None else f"{value.numerator}/{value.denominator}"


def codec_name(stream: Stream) -> str | None:
    """Of the coding, as ffprobe has it, not of what decodes it here: ``av1``, not ``libdav1d``."""
    context = getattr(stream, "codec_context", None)
    return None if context is None else str(context.codec.canonical_name)


def video_facts(stream: VideoStream) -> dict[str, object]:
    context = stream.codec_context
    pixels = context.format
    return {
        "codec": codec_name(stream),
        "profile": context.profile,
        "pixel_format": pixels.name if pixels is not None else None,
        "bit_depth": pixels.components[0].bits if pixels is not None and pixels.components else None,
        "frame_rate": rational_text(rate_of(stream)),
        "frames": stream.frames or None,
        "time_base": rational_text(stream.time_base),
        "field_order": FIELD_ORDERS.get(context.field_order),
        "sample_aspect": rational_text(sample_aspect(stream)),
        "colour_range": RANGES.get(context.color_range),
        "colour_primaries": PRIMARIES.get(context.color_primaries),
        "colour_transfer": TRANSFERS.get(context.color_trc),
        "colour_space": SPACES.get(context.colorspace),
    }


def audio_facts(stream: AudioStream) -> dict[str, object]:
    context = stream.codec_context
    layout = context.layout.name
    return {
        "codec": codec_name(stream),
        "channels": context.layout.nb_channels,
        "layout": None if layout.endswith("channels") else layout,
        "sample_rate": context.sample_rate,
        "language": language(stream),
    }


def language(stream: Stream) -> str | None:
    found = stream.metadata.get("language", "").strip("\0 ")
    return None if found in ("", "und") else found


def sample_aspect(stream: VideoStream) -> Fraction:
    """Width of a stored pixel by its height, 1 where nothing (or nonsense) is said."""
    found = stream.sample_aspect_ratio
    return found if found is not None and Fraction(1, 10) <= found <= 10 else Fraction(1)


@dataclass(frozen=True, slots=True)
class Turn:
    """How a stored picture becomes upright: FFmpeg filters in order, and the clockwise angle."""

    filters: tuple[tuple[str, str | None], ...] = ()
    clockwise: int = 0

    @property
    def swaps(self) -> bool:
        return any(name == "transpose" for name, _ in self.filters)


def turn_of(frame: VideoFrame) -> Turn:
    try:
        data: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18 does not know every kind of side data, and then shows none
        return turn_of_angle(-frame.rotation % 360)
    return Turn() if data is None else turn_of_matrix(struct.unpack("=9i", bytes(data)))


def turn_of_angle(clockwise: int) -> Turn:
    matrices = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
    a, b, c, d = matrices.get(clockwise, (1, 0, 0, 1))
    return turn_of_matrix((a, b, 0, c, d, 0, 0, 0, 1))


def turn_of_matrix(matrix: Sequence[int]) -> Turn:
    """The filters that the ffmpeg program inserts for a display matrix (configure_input_video_filter)."""
    across, down = math.hypot(matrix[0], matrix[3]), math.hypot(matrix[1], matrix[4])
    if not across or not down:
        return Turn()
    clockwise = round(math.degrees(math.atan2(matrix[1] / down, matrix[0] / across))) % 360
    if abs(clockwise - 90) <= 1:
        return Turn((("transpose", "cclock_flip" if matrix[3] > 0 else "clock"),), 90)
    if abs(clockwise - 270) <= 1:
        return Turn((("transpose", "clock_flip" if matrix[3] < 0 else "cclock"),), 270)
    if abs(clockwise - 180) <= 1:
        flips = (("hflip", matrix[0] < 0), ("vflip", matrix[4] < 0))
        return Turn(tuple((name, None) for name, wanted in flips if wanted), 180)
    return Turn((("vflip", None),)) if matrix[4] < 0 else Turn()


def upright(width: int, height: int, turn: Turn) -> tuple[int, int]:
    return (height, width) if turn.swaps else (width, height)


def fit(width: int, height: int, box: int) -> tuple[int, int]:
    """The size within a square of ``box`` that keeps the aspect; never larger than the source."""
    scale = min(1.0, box / width, box / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def assumed_space(frame: VideoFrame) -> str:
    """The matrix players use for pictures that do not say theirs: BT.709 for HD, BT.601 below."""
    return "itu709" if frame.height >= 720 or frame.width >= 1280 else "itu601"
