"""proxy: a light file that an editor can use in place of the clip, checked against it before it is kept.

``accepts`` is pure; ``run`` happens in a worker process, writes below ``out`` only and may be killed at any moment.
`Proxy` makes the profile of the settings; each further profile is a processor of its own, so that one that fails, or
takes long, is its own job.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from damfs.core.processors.camera_proxy import JUDGED, has_copy, is_copy
from damfs.core.processors.processor import MadeRendition, Output, Processor, Subject
from damfs.core.processors.profiles import PROFILES, USUAL, Profile
from damfs.core.processors.proxy_gate import check_rows, check_tally
from damfs.core.processors.telling import PROGRESS, teller
from damfs.model import Facts, Media, RenditionKind

if TYPE_CHECKING:  # the daemon imports this module and must not load what decodes
    from damfs.core.processors.conformance import Row
    from damfs.core.processors.profiles import Encoder
    from damfs.core.processors.proxy_plan import Plan, SizeRule
    from damfs.core.processors.transcode import Tally

ASKED = "asked"
"""Facts that people asked for: ``asked["proxies"]`` are profiles that somebody wants of these bytes."""
MOST_THREADS = 8
HOURS_S = 3600.0
STALLED_S = 60.0
"""A card that takes and gives nothing for so long hangs."""


class Proxy(Processor):
    """A small, quickly decoded stand-in for a clip, published only when it is equal in what editors compare."""

    name: ClassVar[str] = "proxy"
    version: ClassVar[int] = 2
    needs: ClassVar[frozenset[str]] = frozenset({"probe"})
    after: ClassVar[frozenset[str]] = frozenset({JUDGED})
    priority: ClassVar[int] = 80
    timeout_s: ClassVar[float] = 12 * HOURS_S

    def accepts(self, subject: Subject) -> bool:
        enabled = bool(subject.settings.get("enabled", True)) and not has_copy(subject) and not is_copy(subject)
        return is_video(subject) and (enabled or self.profile(subject) in asked(subject))

    def profile(self, subject: Subject) -> str:
        return str(subject.settings.get("profile", USUAL))

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from damfs.core.processors import media, proxy_need, proxy_plan

        name = media.shown(subject.name)
        wanted = self.profile(subject)
        rule = proxy_plan.SizeRule(number(subject, "lines", 0), number(subject, "longest", 1280))
        with media.opened(source, name) as container:
            chosen, why = proxy_need.choose(container, name, PROFILES[wanted])
            needless = "" if is_forced(subject, wanted) else proxy_need.needless(container, name, chosen, rule)
            codec = media.codec_name(proxy_plan.usable_pictures(container, name))
        if needless:
            return Output(facts={"wanted": wanted, "profile": None, "needless": needless})
        made = make(source, out, name, chosen, rule, subject, codec)
        told: Facts = {"wanted": wanted, "profile": chosen.name, **({"instead": why} if why else {})}
        return Output(facts={**told, **made.detail_facts()}, renditions=(made.rendition(why),))


class Further(Proxy):
    """A profile beside the one of the settings: wanted of every clip (``also``), or asked for."""

    after: ClassVar[frozenset[str]] = frozenset({"proxy"})
    priority: ClassVar[int] = 85
    makes: ClassVar[str]

    def accepts(self, subject: Subject) -> bool:
        made = subject.facts.get("proxy", {})
        if not is_video(subject) or self.makes == made.get("profile"):
            return False
        if self.makes in asked(subject):
            return True
        if is_copy(subject):
            return False
        settings = subject.settings
        also, usual = settings.get("also", ()), settings.get("profile", USUAL)
        wanted = {usual, *(also if isinstance(also, list | tuple) else ())}
        by_proxy = made.get("wanted", usual)  # where it has not run it is spared, and so is this
        return bool(settings.get("enabled", True)) and self.makes in wanted and self.makes != by_proxy

    def profile(self, subject: Subject) -> str:
        return self.makes


class DnxhrLb(Further):
    """DNxHR LB, where it is not what the settings say."""

    name = "proxy-dnxhr-lb"
    makes = "dnxhr-lb"


class ProresProxy(Further):
    """ProRes 422 Proxy."""

    name = "proxy-prores-proxy"
    makes = "prores-proxy"


class H264Intra(Further):
    """All-intra H.264 with PCM."""

    name = "proxy-h264-intra"
    makes = "h264-intra"


class H264IntraMp4(Further):
    """All-intra H.264 with AAC, in an MP4 file."""

    name = "proxy-h264-intra-mp4"
    makes = "h264-intra-mp4"


class H264(Further):
    """H.264 to be looked at in a browser."""

    name = "proxy-h264"
    makes = "h264"


def is_video(subject: Subject) -> bool:
    return subject.facts.get("probe", {}).get("media", subject.media) == Media.VIDEO


def asked(subject: Subject) -> frozenset[str]:
    """Profiles that somebody asked for."""
    found = subject.facts.get(ASKED, {}).get("proxies", ())
    return frozenset(found) if isinstance(found, list | tuple) else frozenset()


def is_forced(subject: Subject, wanted: str) -> bool:
    return bool(subject.settings.get("needless")) or wanted in asked(subject)


def number(subject: Subject, key: str, usual: int) -> int:
    return int(str(subject.settings.get(key, usual)))


class Made:
    """A proxy that passed the gate. ``device``: what decoded, ``passed_over``: what was tried and why it did not do."""

    def __init__(self, target: Path, plan: Plan, tally: Tally, rows: tuple[Row, ...], device: str) -> None:
        self.target, self.plan, self.tally, self.rows = target, plan, tally, rows
        self.device, self.passed_over = device, ""

    def detail_facts(self) -> Facts:
        size = {"width": self.plan.width, "height": self.plan.height}
        return {**size, "errors": self.tally.damage.errors}

    def rendition(self, why: str) -> MadeRendition:
        said = {"instead": why, "decoder": self.device, "passed_over": self.passed_over}
        detail: Facts = {
            "profile": self.plan.profile.name,
            "encoder": self.plan.encoder.codec,
            "width": self.plan.width,
            "height": self.plan.height,
            "properties": {row.name: row.facts() for row in self.rows},
            **{key: value for key, value in said.items() if value},
        }
        return MadeRendition(RenditionKind.PROXY, self.plan.profile.name, self.target, detail)


def make(
    source: Path, out: Path, name: str, profile: Profile, rule: SizeRule, subject: Subject, codec: str | None
) -> Made:
    """By a graphics card where that works for this very file, else in software. Raises BadMedia, UnequalProxy.

    Whatever goes wrong with the card (an error, a crash, a hang, a result that the gate refuses) concerns this file.
    """
    from damfs.core.processors import apart, hardware

    way = hardware.way(profile, codec) if subject.settings.get("hardware", "auto") in {"auto", True} else None
    passed_over = ""
    if way is not None:
        try:
            return apart.call(ATTEMPT, way.encoder, source, out, name, profile, rule, way.device, stalled_s=STALLED_S)
        except apart.Failed as error:
            passed_over = f"{way.said}: {error}"
            print(f"{passed_over}; {name} is done in software")  # noqa: T201  # the worker's log
    made = made_by(profile.software, source, out, name, profile, rule)
    made.passed_over = passed_over
    return made


def made_by(
    encoder: Encoder, source: Path, out: Path, name: str, profile: Profile, rule: SizeRule, device: str = ""
) -> Made:
    from damfs.core.processors import conformance, media, proxy_plan, source_frames, transcode

    target = out / f"proxy{profile.ending}"
    report = teller(out / PROGRESS)
    threads = min(MOST_THREADS, len(os.sched_getaffinity(0)))
    held = source_frames.held(source, name)
    with media.opened(source, name) as container:
        plan = proxy_plan.make_plan(container, name, profile, encoder, rule, threads, held.rate)
    held = held.since(plan.origin)
    attempt = functools.partial(
        transcode.transcode, source, target, name, plan, report=report, frames=held.frames, device=device
    )
    tally = attempt()
    if tally.damage.errors:
        tally = attempt(by_frame=False)
    check_tally(tally, held.frames, name)
    rows = conformance.compare(source, target, name, plan, tally, held)
    check_rows(rows, tally, name)
    return Made(target, plan, tally, rows, device)


ATTEMPT = made_by
"""What is tried with a graphics card."""
