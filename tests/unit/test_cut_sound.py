"""Sound of pieces and of joined clips: nothing of what it holds is rounded away, and what is damaged is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.packet import Packet
from numpy.typing import NDArray

from damfs.core.processors.pieces import AnyPacket
from damfs.errors import BadMedia
from tests.sample_media import write
from tests.unit.test_concat import joined
from tests.unit.test_splice import MPEG2, exact

LOUD = 4.0
CLIP = replace(MPEG2, seconds=1.2)


def with_sound(source: Path, target: Path, codec: str, samples: str, peak: float) -> Path:
    """The pictures of a clip, with a tone that goes beyond what whole numbers hold, or hardly changes them."""
    rate = 48000
    wave = peak * np.sin(np.arange(round(1.2 * rate)) / 20)
    with av.open(str(source)) as clip, av.open(str(target), "w") as out:
        picture = out.add_stream_from_template(clip.streams.video[0])
        sound = out.add_stream(codec, rate=rate, layout="mono")
        assert isinstance(sound, AudioStream)
        for packet in clip.demux(video=0):
            if packet.size:
                packet.stream = picture
                out.mux(packet)
        scale, kind = (2**31, np.int32) if samples == "s32" else (1, np.float64 if samples == "dbl" else np.float32)
        held = (wave * scale).astype(kind)[None, :]
        frame = av.AudioFrame.from_ndarray(held, samples, "mono")  # type: ignore[arg-type]  # one of three kinds
        frame.sample_rate, frame.pts = rate, 0
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))
    return target


def heard(path: Path) -> tuple[str, NDArray[np.float64]]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray().astype(np.float64)[0] for frame in container.decode(audio=0)]
        return container.streams.audio[0].codec_context.name, np.concatenate(frames)


@pytest.mark.parametrize(
    ("codec", "samples", "peak"),
    [("pcm_f32le", "flt", LOUD), ("pcm_f64le", "dbl", LOUD), ("pcm_s32le", "s32", 2e-8), ("pcm_s24le", "s32", 0.5)],
)
def test_samples_are_kept_as_fine_and_as_loud_as_they_are(
    tmp_path: Path, codec: str, samples: str, peak: float
) -> None:
    plain = write(tmp_path / "plain.mov", replace(CLIP, tracks=()))
    clip = with_sound(plain, tmp_path / "clip.mov", codec, samples, peak)
    _, theirs = heard(clip)
    for made in (exact(clip, tmp_path / "piece", 0, 1200).path, joined(tmp_path / "out", clip, clip)):
        kept, ours = heard(made)
        assert kept == codec
        assert np.array_equal(ours[: len(theirs)], theirs)


def damaged(source: Path, target: Path, numbers: range) -> Path:
    """With nonsense in these packets of the sound."""
    with av.open(str(source)) as clip, av.open(str(target), "w") as out:
        made = {stream.index: out.add_stream_from_template(stream) for stream in clip.streams}
        seen = 0
        for packet in clip.demux(video=0, audio=0):
            if not packet.size:
                continue
            each: AnyPacket = packet  # type: ignore[assignment]  # subtitles there are none
            if packet.stream.type == "audio":
                if seen in numbers:
                    each = cast("Packet[AudioStream]", Packet(b"\x55" * packet.size))
                    each.pts, each.dts, each.time_base = packet.pts, packet.dts, packet.time_base
                    each.duration = packet.duration
                seen += 1
            each.stream = made[packet.stream.index]  # type: ignore[assignment]  # of the same kind
            out.mux(each)
    return target


def test_damaged_sound_is_told_of_a_piece_and_refused_where_clips_are_joined(tmp_path: Path) -> None:
    good = write(tmp_path / "good.mkv", replace(CLIP, sound="mp2"))
    bad = damaged(good, tmp_path / "bad.mkv", range(20, 23))
    assert "errors" not in exact(good, tmp_path / "whole", 200, 1000).detail
    assert int(str(exact(bad, tmp_path / "piece", 200, 1000).detail["errors"])) >= 1
    assert "errors" not in exact(bad, tmp_path / "before", 0, 400).detail, "what is not in the piece does not matter"
    with pytest.raises(BadMedia, match=r"^bad\.mkv: not joined: its sound cannot be decoded at 0\.4\d\d s"):
        joined(tmp_path / "out", good, bad)
