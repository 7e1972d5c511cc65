"""damfs.toml: every setting with its default, its meaning and its check, and the commented file made of them.

Reading blocks (one small file); the result is frozen. An unknown key or a wrong type is BadSettings with the
line's path, never a silent default.
"""

from __future__ import annotations

import os
import tomllib
import zoneinfo
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from damfs.errors import BadLibrary, BadSettings
from damfs.model import Facts

SETTINGS_FILE = "damfs.toml"
ORIGINALS = "originals"
"""The folder of a library's own store."""

DEEP_METADATA = ("exiftool", "place", "loudness")
"""Processors that read more of a file than the probe does."""
PREVIEWING = frozenset({"sprite", "sheet", "waveform"})
"""Processors that share the table of previews."""
Count = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(gt=0, le=1)]
ProxyProfile = Literal["dnxhr-lb", "prores-proxy", "h264-intra", "h264-intra-mp4", "h264"]
FEWEST_LINES = 120


class LibrarySettings(Struct, frozen=True, forbid_unknown_fields=True):
    timezone: str = ""
    """Zone for capture times that carry none, e.g. "Europe/Berlin"; empty: the zone of this machine."""


class IndexerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    workers: Annotated[int, Meta(ge=0)] = 0
    """Media worker processes; 0: one for each core."""
    memory_limit_mb: Count = 3072
    """Address space of a media worker; a decoder that wants more fails its one job."""
    scan_threads: Count = 4
    """Files hashed at a time by a scan."""
    watch: bool = True
    """Watch read-only stores for changes while mounted."""
    attempts: Count = 3
    """Tries of a job before it counts as failed for good."""
    time_limit_s: Annotated[int, Meta(ge=0)] = 0
    """The longest that a job may take, without what media workers wait for a processor that other programs use; 0: as
    long as its processor allows."""
    time_factor: Annotated[float, Meta(gt=0)] = 1
    """By which the time that each processor allows is multiplied, before ``time_limit_s`` is looked at."""


class ModelSettings(Struct, frozen=True, forbid_unknown_fields=True):
    name: str = "default"
    """"default": MiniLM and EfficientNet-Lite0 from packages; "none": the built-in descriptor only;
    anything else: a sentence-transformers model, by hub name or local path."""
    threads: Annotated[int, Meta(ge=0)] = 0
    """Threads of the model worker; 0: one for each core."""
    idle_minutes: Annotated[float, Meta(ge=0)] = 10
    """A model that nobody asked for so long gives its memory back; 0: never."""
    memory_limit_mb: Annotated[int, Meta(ge=0)] = 0
    """Address space of the model worker; 0: no limit. Libraries of models reserve more than they use."""


class ProxySettings(Struct, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True
    profile: ProxyProfile = "dnxhr-lb"
    """What is made of every video, and shown in proxies/."""
    also: tuple[ProxyProfile, ...] = ()
    """Profiles that are made of every video beside that."""
    lines: Annotated[int, Meta(ge=0, le=2160)] = 0
    """Height of proxies; smaller sources keep their own. 0: half the size of the source."""
    longest: Annotated[int, Meta(ge=256, le=4096)] = 1280
    """With lines = 0: the longer side is no longer than this."""
    needless: bool = False
    """Also of clips that need none: small ones in which every picture stands for itself."""
    hardware: Literal["auto", "off"] | bool = "auto"
    """Use encoders and decoders of a graphics card where they work; true means "auto", false "off"."""


class PreviewsSettings(Struct, frozen=True, forbid_unknown_fields=True):
    sprites: bool = True
    sprite_interval_s: Annotated[float, Meta(ge=0.5)] = 5
    """Seconds from one small picture to the next; more in clips that would need over 400, less in short ones."""
    sprite_columns: Annotated[int, Meta(ge=1, le=50)] = 10
    sheets: bool = True
    sheet_columns: Annotated[int, Meta(ge=1, le=20)] = 4
    sheet_cells: Annotated[int, Meta(ge=1, le=200)] = 24
    """Pictures on a contact sheet at most."""
    waveforms: bool = True


class ScenesSettings(Struct, frozen=True, forbid_unknown_fields=True):
    up_to_minutes: Annotated[float, Meta(ge=0)] = 20
    """Clips of more minutes of 1080p than this are not searched for scenes; larger pictures count more; 0: none is."""


class VocabularySettings(Struct, frozen=True, forbid_unknown_fields=True):
    open: bool = True
    """Terms come by being used; false: only by `damfs term`, an unknown one is refused."""


class ClipSettings(Struct, frozen=True, forbid_unknown_fields=True):
    limit_mb: Count = 10240
    """Space for pieces and frames that somebody asked for in clips/ and frames/; the longest unused are removed."""
    time_limit_s: Count = 3600
    """The longest that making a piece, or joining clips, may take."""


class AutoTagSettings(Struct, frozen=True, forbid_unknown_fields=True):
    enabled: bool = True
    """Propose terms of the vocabulary, as soon as there is one."""
    accept_above: Annotated[float, Meta(ge=0, le=1)] = 1.0
    """Proposals with more confidence than this become tags by themselves; 1.0: none does."""


class MetadataSettings(Struct, frozen=True, forbid_unknown_fields=True):
    exiftool: bool = True
    """Have ExifTool read what the probe cannot (maker notes, RAW, R3D), where it is installed."""
    places: bool = True
    """Name the country and region of positions, offline."""
    loudness: bool = False
    """Measure the loudness of everything with sound: reads all of it, which takes long."""


class SimilarSettings(Struct, frozen=True, forbid_unknown_fields=True):
    count: Count = 50
    """Neighbours listed in a directory of similar-to/."""


class SearchSettings(Struct, frozen=True, forbid_unknown_fields=True):
    count: Count = 200
    """Files listed in a directory of search/ whose words give an order; conditions alone list all that they hold of."""
    at_once: Annotated[int, Meta(ge=1, le=16)] = 2
    """Searches that run at a time; others wait for their turn."""
    wait_s: Annotated[float, Meta(ge=0, le=60)] = 5.0
    """How long a search waits for the model; then it answers by the texts alone."""


class TrashSettings(Struct, frozen=True, forbid_unknown_fields=True):
    days: Annotated[int, Meta(ge=0)] = 30
    """How long the trash keeps an asset and its bytes; 0: for ever."""


class MountSettings(Struct, frozen=True, forbid_unknown_fields=True):
    live: bool = True
    """Tell programs that watch a directory of the mount (inotify) of changes that were not made through it."""


class VersionSettings(Struct, frozen=True, forbid_unknown_fields=True):
    keep: Annotated[int, Meta(ge=0)] = 0
    """Versions of an asset that are kept beside its first; 0: all."""


class SidecarSettings(Struct, frozen=True, forbid_unknown_fields=True):
    read: bool = True
    """Take over what programs write into XMP sidecars beside originals."""
    write: bool = False
    """Write tags, ratings, labels and descriptions into XMP sidecars beside originals in writable stores by itself."""


MODEL_USERS = ("embedding", "wording", "moments")
"""Processors that are told which model is in use."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    library: LibrarySettings = LibrarySettings()
    indexer: IndexerSettings = IndexerSettings()
    model: ModelSettings = ModelSettings()
    proxy: ProxySettings = ProxySettings()
    clips: ClipSettings = ClipSettings()
    previews: PreviewsSettings = PreviewsSettings()
    scenes: ScenesSettings = ScenesSettings()
    vocabulary: VocabularySettings = VocabularySettings()
    auto_tag: AutoTagSettings = AutoTagSettings()
    metadata: MetadataSettings = MetadataSettings()
    similar: SimilarSettings = SimilarSettings()
    search: SearchSettings = SearchSettings()
    trash: TrashSettings = TrashSettings()
    mount: MountSettings = MountSettings()
    versions: VersionSettings = VersionSettings()
    sidecars: SidecarSettings = SidecarSettings()

    def of_processor(self, name: str) -> Facts:
        """The table a processor is given: its own, or the model's for those that use one; {} for others."""
        if name.startswith("proxy-"):  # each further profile is a processor
            name = "proxy"
        models = {"name": self.model.name, "threads": self.model.threads}
        tables = {
            "proxy": self.proxy, "auto_tag": self.auto_tag, "scenes": self.scenes,
            **dict.fromkeys(MODEL_USERS, models),
            **dict.fromkeys(PREVIEWING, self.previews), **dict.fromkeys(DEEP_METADATA, self.metadata),
        }  # fmt: skip
        table = tables.get(name)
        return {} if table is None else msgspec.to_builtins(table)


def cores() -> int:
    """Cores this process may run on (a container's share, not the machine's)."""
    return len(os.sched_getaffinity(0))


def read_settings(library: Path) -> Settings:
    """The settings of a library. Raises BadLibrary when there is no file, BadSettings when it is wrong."""
    path = library / SETTINGS_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadLibrary(f"{library} is no damfs library; {_how_to_make(library)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(f"{path} cannot be read: {error}") from None
    return parse_settings(text, str(path))


def _how_to_make(library: Path) -> str:
    if (library / ORIGINALS).is_dir():
        return f"if its {ORIGINALS}/ are those of one, make it one again with: damfs rebuild {library}"
    return f"make one with: damfs init {library}"


def parse_settings(text: str, where: str) -> Settings:
    """Settings from TOML text; ``where`` names the file in errors (BadSettings)."""
    try:
        settings = msgspec.convert(tomllib.loads(text), Settings)
    except tomllib.TOMLDecodeError as error:
        raise BadSettings(f"{where} is not valid TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise BadSettings(f"{where}: {error}; mend or remove that setting") from None
    check_timezone(settings.library.timezone, where)
    if 0 < settings.proxy.lines < FEWEST_LINES:
        raise BadSettings(f"{where}: proxy.lines: at least {FEWEST_LINES}, or 0 for half the size of the source")
    return settings


def check_timezone(name: str, where: str) -> None:
    """Raises BadSettings when the zone is unknown."""
    if not name:
        return
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        raise BadSettings(f'{where}: library.timezone: no zone "{name}"; use one like "Europe/Berlin"') from None


DEFAULT_SETTINGS = """\
# Settings of this damfs library. Every line that starts with "# name =" shows a default: take the "#" away to
# change it. After a change: restart the mount, or send the daemon SIGHUP.

[library]
# Zone for capture times that carry none, e.g. "Europe/Berlin"; "": the zone of this machine.
# timezone = ""

[indexer]
# Media worker processes (probe, previews, proxies); 0: one for each core.
# workers = 0
# Address space of a media worker in MB; a decoder that wants more fails its one job.
# memory_limit_mb = 3072
# Files hashed at a time by a scan.
# scan_threads = 4
# Watch read-only stores for changes while mounted.
# watch = true
# Tries of a job before it counts as failed for good.
# attempts = 3
# The longest a job may take, in seconds; 0: as long as its processor allows (a minute for the probe, more for proxies).
# Media workers run where no other program wants a processor; while they wait for one, no time counts.
# time_limit_s = 0
# By how much more than that each kind of job may take before it counts as stuck, e.g. 5 for a slow network or tape.
# time_factor = 1

[model]
# "default": MiniLM and EfficientNet-Lite0, from packages, no network. "none": the built-in descriptor only.
# Anything else: a sentence-transformers model, by hub name or local path (CLIP-like ones included).
# name = "default"
# Threads of the model worker; 0: one for each core.
# threads = 0
# Minutes after which a model that nobody asked for gives its memory back; 0: never.
# idle_minutes = 10
# Address space of the model worker in MB (what it reserves, more than what it uses); 0: no limit.
# memory_limit_mb = 0

[proxy]
# enabled = true
# What is made of every video and shown in proxies/: "dnxhr-lb" (.mov, large, cheap to edit; interlaced sources by
# prores-proxy), "prores-proxy" (.mov), "h264-intra" (.mov, small), "h264-intra-mp4" (AAC), "h264" (.mp4, for the web).
# profile = "dnxhr-lb"
# Profiles that are made of every video beside that, e.g. ["h264"].
# also = []
# Height of proxies; smaller sources keep their own. 0: half the size of the source.
# lines = 0
# Where it is half: the longer side is no longer than this; sources up to 960 keep their size.
# longest = 1280
# Also of clips that need none: those no larger than that in which every picture stands for itself (ProRes, DNxHR …).
# needless = false
# "auto": use encoders and decoders of a graphics card (NVENC, QSV, NVDEC) where they work: each is proven once; a file
# for which one fails, hangs or makes something unequal is done in software. "off": software only. See `damfs doctor`.
# hardware = "auto"

[previews]
# Small pictures of a clip in one, with WebVTT, for scrubbing: how many seconds from one to the next (further apart in
# very long clips), and how many side by side.
# sprites = true
# sprite_interval_s = 5
# sprite_columns = 10
# Contact sheets of scenes: how many pictures side by side, and how many at most.
# sheets = true
# sheet_columns = 4
# sheet_cells = 24
# Pictures of how loud the sound is.
# waveforms = true

[scenes]
# To find the cuts of a clip all of it is decoded: not done for clips of more minutes of 1080p than this (4K counts
# four times); 0: for none. Without scenes, contact sheets show evenly spread moments.
# up_to_minutes = 20

[vocabulary]
# Terms come by being used (mkdir in by-tag/, damfs tag, tags in a file manager). false: a term that is not known is
# refused, and `damfs term add` and `damfs term import` alone extend the vocabulary.
# open = true

[clips]
# Space in MB for pieces and frames of clips that somebody asked for by name (clips/, frames/): those that were not used
# for the longest time are removed, and made again when they are asked for again.
# limit_mb = 10240
# The longest in seconds that making a piece, or joining clips (damfs concat), may take.
# time_limit_s = 3600

[auto_tag]
# Propose terms of the vocabulary, as soon as there is one (every directory of by-tag/ is a term).
# enabled = true
# Proposals with more confidence than this become tags by themselves; 1.0: none does.
# accept_above = 1.0

[metadata]
# Have ExifTool read what the probe cannot (maker notes, RAW, R3D), where it is installed.
# exiftool = true
# Name the country and region of positions, offline.
# places = true
# Measure the loudness (EBU R 128) of everything with sound: reads all of it, which takes long.
# loudness = false

[similar]
# Neighbours listed in a directory of similar-to/.
# count = 50

[search]
# Files listed in a directory of search/ whose words give an order; conditions alone list all that they hold of.
# count = 200
# Searches that run at a time; others wait for their turn.
# at_once = 2
# Seconds that a search waits for the model; then it answers by the texts alone.
# wait_s = 5.0

[trash]
# Days that the trash keeps an asset and its bytes; nothing else ever deletes an original. 0: for ever.
# days = 30

[mount]
# Tell programs that watch a directory of the mount (file managers do) of changes that were not made through it.
# live = true

[versions]
# How many of the newest versions of an overwritten file are kept, the current one included; 0: all. The first one, what
# was there before anything was written over it, is always kept as well.
# keep = 0

[sidecars]
# Take over what programs write into XMP sidecars (IMG_1.CR2.xmp, IMG_1.xmp) beside originals, while mounted.
# read = true
# Write what people say of an asset into a sidecar beside it, in writable stores, while mounted. `damfs sidecar sync`
# writes once, whatever stands here.
# write = false
"""
