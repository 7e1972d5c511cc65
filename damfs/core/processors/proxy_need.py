"""Whether a clip needs a proxy at all, and by which profile: what is small and quick to decode already needs none.

Runs in worker processes only (imports av); reads the index, or the first packets where there is none.
"""

from __future__ import annotations

from itertools import islice

from av.container import InputContainer
from av.video.stream import VideoStream

from damfs.core.processors import media
from damfs.core.processors.profiles import PROFILES, Profile
from damfs.core.processors.proxy_plan import SizeRule, has_fields, usable_pictures

QUICK = frozenset({"prores", "dnxhd", "mjpeg", "cfhd", "dvvideo", "rawvideo", "v210", "hap"})
"""Codecs of whole pictures that every editor decodes at once."""
LONG_GROUPS = frozenset({"h264", "hevc"})
"""Codecs of whole pictures as well, where a camera wrote nothing else."""
LOOKED_AT = 60


def choose(container: InputContainer, name: str, wanted: Profile) -> tuple[Profile, str]:
    """The profile itself, or the one that takes its place, with the reason."""
    if wanted.for_fields and has_fields(usable_pictures(container, name)):
        return PROFILES[wanted.for_fields], f"{wanted.name} holds no fields, and the source is interlaced"
    return wanted, ""


def needless(container: InputContainer, name: str, profile: Profile, rule: SizeRule) -> str:
    """Why there is nothing to be gained; '' where there is."""
    stream = usable_pictures(container, name)
    small = stream.height <= rule.lines if rule.lines else max(stream.width, stream.height) <= rule.longest
    if not profile.editing or not small or not is_whole(container, stream):
        return ""
    return f"{stream.width}x{stream.height} {stream.codec_context.name} of whole pictures is as quick as a proxy"


def is_whole(container: InputContainer, stream: VideoStream) -> bool:
    """Whether every picture stands for itself."""
    codec = stream.codec_context.name
    if codec in QUICK:
        return True
    return codec in LONG_GROUPS and all_keys(container, stream)


def all_keys(container: InputContainer, stream: VideoStream) -> bool:
    entries = list(islice(stream.index_entries, LOOKED_AT))
    if entries:
        return all(entry.is_keyframe for entry in entries)
    container.seek(0)
    packets = list(islice(media.packets(container, [stream], media.Damage()), LOOKED_AT))
    return bool(packets) and all(packet.is_keyframe for packet in packets if packet.size)
