"""proxy: a light QuickTime file that an editor can use in place of the clip, checked against it before it is kept.

``accepts`` is pure; ``run`` happens in a worker process, writes below ``out`` only and may be killed at any moment.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from damfs.core.processors.processor import MadeRendition, Output, Processor, Subject
from damfs.errors import BadMedia, DamfsError
from damfs.model import Media, RenditionKind

if TYPE_CHECKING:  # the daemon imports this module and must not load what decodes
    from damfs.core.processors.conformance import Report
    from damfs.core.processors.transcode import Tally

MUST_BE_EQUAL = ("frame_times", "audio_tracks", "audio_channels", "sample_rates", "timecode")
"""Properties in which a proxy that differs is thrown away: an editor would show other frames or refuse it."""


class UnequalProxy(DamfsError):
    """The proxy came out different from its source, and the source is not to blame."""


class Proxy(Processor):
    """A small, quickly decoded stand-in for a clip, published only when it is equal in what editors compare."""

    name: ClassVar[str] = "proxy"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset({"probe"})
    priority: ClassVar[int] = 80
    timeout_s: ClassVar[float] = 3600.0

    def accepts(self, subject: Subject) -> bool:
        kind = subject.facts.get("probe", {}).get("media", subject.media)
        return kind == Media.VIDEO and bool(subject.settings.get("enabled", True))

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from damfs.core.processors import conformance, media, proxy_plan, transcode

        name = media.shown(subject.name)
        profile = str(subject.settings.get("profile", "dnxhr-lb"))
        lines = int(str(subject.settings.get("lines", 540)))
        target = out / "proxy.mov"
        threads = min(2, len(os.sched_getaffinity(0)))
        with media.opened(source, name) as container:
            plan = proxy_plan.make_plan(container, name, proxy_plan.PROFILES[profile], lines, threads)
        tally = transcode.transcode(source, target, name, plan)
        if tally.damage.errors:
            tally = transcode.transcode(source, target, name, plan, by_frame=False)
        check_tally(tally, name)
        report = conformance.compare(source, target, name, plan, tally)
        check_report(report, tally, name)
        size = {"width": plan.width, "height": plan.height}
        return Output(
            facts={**size, "profile": profile, "errors": tally.damage.errors},
            renditions=(MadeRendition(RenditionKind.PROXY, profile, target, report),),
        )


def check_tally(tally: Tally, name: str) -> None:
    """Raises BadMedia when more is missing than single damaged frames, UnequalProxy when nothing explains the loss."""
    written = len(tally.times)
    if written and tally.missing <= tally.damage.errors:
        return
    if not written or tally.damage.errors or tally.damage.packets < tally.source_frames:
        why = tally.damage.first or "the file ends before its index says"
        raise BadMedia(
            f"{name}: no proxy: only {written} of {tally.source_frames} frames can be read ({why}); "
            "copy the file again from its source"
        )
    raise UnequalProxy(f"{name}: no proxy: {written} of {tally.source_frames} frames came out of the decoder")


def check_report(report: Report, tally: Tally, name: str) -> None:
    """Raises BadMedia or UnequalProxy, by whether the source is damaged."""
    for key in MUST_BE_EQUAL:
        source, proxy, equal = report[key]
        if not equal and tally.damage.errors:
            raise BadMedia(
                f"{name}: no proxy: the file is damaged ({tally.damage.first}); copy it again from its source"
            )
        if not equal:
            raise UnequalProxy(f"{name}: no proxy: {key} would be {proxy} instead of {source}; please report this file")
