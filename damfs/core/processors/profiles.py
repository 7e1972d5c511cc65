"""What proxies there are: a table of profiles. A new one is a row here and a processor of three lines in `proxy`.

Pure data, without codecs: the daemon and the commands know profiles by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder of FFmpeg with its options. ``hardware``: it needs a device, and is proven before it is used."""

    codec: str
    pixel_format: str
    options: Mapping[str, str] = field(default_factory=dict)
    hardware: bool = False
    bottom_first: Mapping[str, str] = field(default_factory=dict)
    """Options beside those, for sources that show their bottom field first."""


@dataclass(frozen=True, slots=True)
class Profile:
    """``encoders``: best first, the last one in software. ``sound``: encoder of the sound tracks."""

    name: str
    encoders: tuple[Encoder, ...]
    ending: str = ".mov"
    sound: str = "pcm_s16le"
    container_options: Mapping[str, str] = field(default_factory=dict)
    editing: bool = True
    """Stands in for its source in an editor; else it is to be looked at only, and proxies/ does not show it."""
    smallest: tuple[int, int] = (2, 2)
    """The encoder refuses smaller pictures; such sources are enlarged."""
    spaces: frozenset[int] | None = None
    """Colour matrices (FFmpeg's numbers) that the bitstream can name; others are converted to BT.709."""
    primaries: frozenset[int] | None = None
    transfers: frozenset[int] | None = None
    full_range: bool = True
    """Whether full range can be said; else such pictures are converted."""
    for_fields: str = ""
    """The profile that takes its place for interlaced sources, where it cannot hold fields."""
    deinterlace: bool = False
    sound_rates: frozenset[int] | None = None
    most_channels: int = 64
    lacks: Mapping[str, str] = field(default_factory=dict)
    """Properties that it cannot keep, with the reason: the gate lets these pass and says why."""

    @property
    def software(self) -> Encoder:
        return self.encoders[-1]


AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000})
NVENC = {"preset": "p4", "rc": "vbr", "cq": "23"}
QSV = {"preset": "veryfast", "global_quality": "23"}
X264 = {"preset": "veryfast", "crf": "23"}
INTRA = {"g": "1", "bf": "0"}
SHORT_GROUPS = {"g": "60"}
NO_REEL = "an MP4 file has no place for it"


def h264_encoders(extra: Mapping[str, str]) -> tuple[Encoder, ...]:
    return (
        Encoder("h264_nvenc", "yuv420p", {**NVENC, **extra}, hardware=True),
        Encoder("h264_qsv", "nv12", {**QSV, **extra}, hardware=True),
        Encoder("libx264", "yuv420p", {**X264, **extra}, bottom_first={"x264-params": "bff=1"}),
    )


ROWS = (
    Profile(
        "dnxhr-lb",
        (Encoder("dnxhd", "yuv422p", {"profile": "dnxhr_lb"}),),
        smallest=(256, 120),
        spaces=frozenset({1, 9}),
        for_fields="prores-proxy",
        lacks={"colour_space": "DNxHR names BT.709 and BT.2020 only; the pictures were converted to BT.709"},
    ),
    Profile(
        "prores-proxy",
        (Encoder("prores_aw", "yuv422p10le", {"profile": "0", "vendor": "apl0"}),),
        spaces=frozenset({1, 6, 9}),
        primaries=frozenset({1, 5, 6, 9, 11, 12}),
        transfers=frozenset({1, 16, 18}),
        full_range=False,
        lacks={
            "colour_range": "ProRes knows limited range only; the pictures were converted",
            "colour_space": "ProRes names BT.601, BT.709 and BT.2020 only; the pictures were converted to BT.709",
            "colour_primaries": "ProRes has no name for these",
            "colour_transfer": "ProRes has no name for this curve",
        },
    ),
    Profile("h264-intra", h264_encoders(INTRA)),
    Profile(
        "h264-intra-mp4",
        h264_encoders(INTRA),
        ending=".mp4",
        sound="aac",
        sound_rates=AAC_RATES,
        most_channels=8,
        lacks={"reel": NO_REEL},
    ),
    Profile(
        "h264",
        h264_encoders(SHORT_GROUPS),
        ending=".mp4",
        sound="aac",
        container_options={"movflags": "+faststart"},
        editing=False,
        deinterlace=True,
        sound_rates=AAC_RATES,
        most_channels=8,
        lacks={"reel": NO_REEL, "field_order": "browsers show no fields: they were made whole pictures"},
    ),
)
PROFILES: Mapping[str, Profile] = {row.name: row for row in ROWS}
USUAL = "dnxhr-lb"
EDITING = tuple(row.name for row in ROWS if row.editing)


def shown_first(default: str) -> tuple[str, ...]:
    """Profiles that stand in for a source in an editor, in the order in which they are shown in its place."""
    return (default, *(name for name in EDITING if name != default))
