"""probe: what a file really is: kind, size, streams, timecode, when and where it was recorded.

``accepts`` is pure; ``run`` happens in a worker process, reads only, and proves that the media can be decoded.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from damfs.core.finished import lacks
from damfs.core.processors.processor import Output, Processor, Subject
from damfs.errors import BadMedia
from damfs.model import Media

if TYPE_CHECKING:  # the daemon imports this module and must not load what decodes
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


class Probe(Processor):
    name: ClassVar[str] = "probe"
    version: ClassVar[int] = 3
    priority: ClassVar[int] = 10
    timeout_s: ClassVar[float] = 60.0

    def accepts(self, subject: Subject) -> bool:
        return subject.media is not Media.OTHER

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from damfs.core.processors import media, stills

        name = media.shown(subject.name)
        media.check_bytes(source, name)
        try:
            return Output(facts=stills.still_facts(source, name))
        except stills.NotAStill:
            with media.opened(source, name) as container:
                facts = container_facts(container, name, source.stat().st_size)
                return Output(facts={**facts, "unfinished": lacks(source)})


def container_facts(container: InputContainer, name: str, size: int) -> dict[str, object]:
    """Facts of a clip or sound file of so many bytes. Raises BadMedia when nothing in it can be decoded."""
    from damfs.core.processors import clip_detail, media, source_frames

    picture, sounds = media.picture_stream(container), media.sound_streams(container)
    stills_only = container.format.name.endswith("_pipe")
    if picture is None and not sounds:
        raise BadMedia(f"{name}: not playable: it holds neither pictures nor sound that can be decoded here")
    facts = {**clip_detail.container_detail(container), **tag_facts(container)}
    facts["container"] = container.format.name.split(",")[0]
    facts["audio"] = [media.audio_facts(stream) for stream in sounds[: clip_detail.LISTED_STREAMS]]
    if picture is None:
        prove_sound(container, sounds[0], name)
        return {**facts, "media": "audio", "duration_ns": media.stream_duration(container, sounds[0])}
    media.check_size(picture.width, picture.height, name)
    duration = None if stills_only else media.stream_duration(container, picture)
    found = frame_facts(picture, media.first_frame(container, picture, name))
    rate = None if stills_only else source_frames.rate_of(container, picture, size)
    said = {} if rate is None else {"frame_rate": media.rational_text(rate)}
    return {
        **facts,
        **found,
        "video": {**media.video_facts(picture), **said},
        "media": "image" if stills_only else "video",
        "duration_ns": duration,
    }


def tag_facts(container: InputContainer) -> dict[str, object]:
    from damfs.core.processors import capture, media

    tags = container.metadata
    make, model = capture.camera_of_tags(tags)
    return {
        **capture.captured_of_tags(tags).facts(),
        "gps": capture.gps_of_tags(tags),
        "camera_make": make,
        "camera_model": model,
        "lens": capture.plain(tags.get("com.apple.quicktime.camera.lens_model")),
        "timecode": media.start_timecode(container),
        "reel": capture.plain(media.reel_name(container)),
        "time_reference": whole(tags.get("time_reference")),
    }


def whole(text: str | None) -> int | None:
    """A broadcast wave's samples since midnight."""
    return int(text) if text is not None and text.isdecimal() and text != "0" else None


def frame_facts(stream: VideoStream, frame: VideoFrame) -> dict[str, object]:
    """Facts that need a decoded frame. Those of the codec are read after it: then the decoder knows them all."""
    from damfs.core.processors import clip_detail, media

    turn = media.turn_of(frame)
    width, height = media.upright(frame.width, frame.height, turn)
    return {
        "width": width,
        "height": height,
        "rotation": turn.clockwise,
        "hdr": clip_detail.hdr_detail(frame),
    }


def prove_sound(container: InputContainer, stream: AudioStream, name: str) -> None:
    from damfs.core.processors import media

    damage = media.Damage()
    if next(media.decoded(container, [stream], damage, media.PROOF_PACKETS), None) is None:
        why = damage.first or "there is none"
        raise BadMedia(f"{name}: not playable: no sound can be decoded ({why}){media.ADVICE}")
