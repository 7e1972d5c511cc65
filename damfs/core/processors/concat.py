"""concat: clips joined to one, on somebody's order. Planned for nothing: see `damfs.integration.concat`.

``run`` happens in a worker process, writes below ``out`` only and may be killed at any moment. The settings of the
subject name the ``sources`` (paths), their ``names``, the ``ending`` of what is made, and the ``profile`` if any.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from damfs.core.processors.processor import MadeRendition, Output, Processor, Subject, Worker
from damfs.core.processors.profiles import PROFILES, Encoder, Profile
from damfs.core.processors.proxy_gate import check_rows, check_tally
from damfs.core.processors.telling import PROGRESS, teller
from damfs.model import RenditionKind

if TYPE_CHECKING:  # the daemon may import this module and must not load what decodes
    from damfs.core.processors.joinable import Part
    from damfs.core.processors.proxy_plan import Plan
    from damfs.core.processors.source_frames import Held

MOST_THREADS = 8
LEVEL, LARGEST = "5.2", 4096 * 2304
"""Of H.264, for up to so many pixels at 60 a second."""
REFUSED = "not joined"
ROUNDED = 2
"""Ticks of a clip's clock by which its times may be off."""
UNSPECIFIED = 2
"""FFmpeg's number for colours that nothing is said of."""


class Concat(Processor):
    name: ClassVar[str] = "concat"
    version: ClassVar[int] = 1
    worker: ClassVar[Worker] = Worker.PROMPT

    def accepts(self, subject: Subject) -> bool:
        return {"sources", "names", "ending"} <= subject.settings.keys()

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from damfs.core.processors import joinable, joining, media

        told, profile = subject.settings, str(subject.settings.get("profile", ""))
        sources = [Path(str(each)) for each in _list(told["sources"])]
        names = [media.shown(str(each)) for each in _list(told["names"])]
        tell = teller(out / PROGRESS)
        encoding, errors = 0.8 if profile else 0.0, list[int]()
        if profile:
            sources, errors = _encoded(sources, names, out, profile, lambda share: tell(encoding * share))
        parts = [joinable.looked_at(*each) for each in zip(sources, names, strict=True)]
        joinable.check_alike(parts, "" if profile else str(told.get("hint", "")))
        target, count = out / f"joined{told['ending']}", sum(len(part.stored) for part in parts)
        steps = 2 * count / (1 - encoding)
        joining.joined(parts, target, lambda done: tell(encoding + done / steps))
        found = joining.prove(parts, target, lambda done: tell(encoding + (count + done) / steps))
        made = MadeRendition(RenditionKind.OTHER, "joined", target)
        return Output(facts=_facts(parts, profile, errors if profile else found), renditions=(made,))


def _facts(parts: list[Part], profile: str, errors: list[int]) -> dict[str, object]:
    return {
        "frames": sum(len(part.stored) for part in parts),
        "duration_s": float(sum(part.lasts for part in parts)),
        "method": f"encoded by {profile}" if profile else "copied",
        "parts": [
            {"name": part.name, "frames": len(part.stored), "errors": lost}
            for part, lost in zip(parts, errors, strict=True)
        ],
    }


def _encoded(
    sources: list[Path], names: list[str], out: Path, profile: str, tell: Callable[[float], None]
) -> tuple[list[Path], list[int]]:
    """Each by the profile, in the height of the first; and how much of each could not be decoded."""
    chosen, made, errors = PROFILES[profile], list[Path](), list[int]()
    for number, plan in enumerate(_plans(sources, names, chosen)):
        target = out / f"part-{number}{chosen.ending}"
        part_told = _part_of(tell, number, len(sources))
        errors.append(_encoded_whole(sources[number], target, names[number], plan, part_told))
        made.append(target)
    return made, errors


def _plans(sources: list[Path], names: list[str], profile: Profile) -> list[Plan]:
    """In the height, the colours and the ticks of time that make one film of all."""
    from damfs.core.processors import joinable, media, proxy_plan, source_frames

    with media.opened(sources[0], names[0]) as container:
        rule = proxy_plan.SizeRule(proxy_plan.usable_pictures(container, names[0]).height, 0)
    threads = min(MOST_THREADS, len(os.sched_getaffinity(0)))
    plans: list[Plan] = []
    for source, name in zip(sources, names, strict=True):
        held = source_frames.held(source, name)
        with media.opened(source, name) as container:
            plan = proxy_plan.make_plan(container, name, profile, profile.software, rule, threads, held.rate)
        plans.append(coloured_as(plans[0] if plans else plan, plan))
    bases, rates = {plan.time_base for plan in plans}, {plan.rate for plan in plans}
    base = bases.pop() if len(bases) == 1 else joinable.common_base(bases)
    return [replace(each, time_base=base, encoder=levelled(each) if len(rates) > 1 else each.encoder) for each in plans]


def levelled(plan: Plan) -> Encoder:
    """With a level that does not go by the rate, which would set the parameters of clips of variable rates apart."""
    encoder = plan.encoder
    if encoder.codec != "libx264" or plan.width * plan.height > LARGEST:
        return encoder
    return replace(encoder, options={**encoder.options, "level": LEVEL})


def _encoded_whole(source: Path, target: Path, name: str, plan: Plan, report: Callable[[float], None]) -> int:
    """Every frame of it and all of its sound, read back as that of a proxy is. Packets that could not be decoded, and
    cost no frame. Raises BadMedia, UnequalProxy."""
    from damfs.core.processors import conformance, source_frames, transcode

    held = source_frames.held(source, name).since(plan.origin)
    attempt = functools.partial(transcode.transcode, source, target, name, plan, report=report, frames=held.frames)
    tally = attempt()
    if tally.damage.errors:
        tally = attempt(by_frame=False)
    check_tally(tally, held.frames, name, REFUSED)
    check_gaps(held, [at * plan.time_base + plan.origin for at in tally.times], name, tally.damage.first)
    rows, meant = conformance.compare(source, target, name, plan, tally, held), conformance.meant_colour(plan)
    kept = tuple(row for row in rows if row.name not in meant or row.proxy != meant[row.name])
    check_rows(kept, tally, name, REFUSED)  # colours are those of the first clip, where they are meant to be
    return tally.damage.errors


def check_gaps(held: Held, times: list[Fraction], name: str, why: str) -> None:
    """Raises BadMedia with the first frame of the source that is not among those that were written."""
    from damfs.core.processors import joinable

    if len(times) >= held.frames:
        return
    pairs, slack = zip_longest(held.times, times), ROUNDED * held.tick
    missing = (at for at, made in pairs if at is not None and (made is None or abs(made - at) > slack))
    raise joinable.gap(name, next(missing, times[-1]) - min(times[0], *held.times), why)


def coloured_as(first: Plan, plan: Plan) -> Plan:
    """Coded in the matrix and range of the first. Primaries and curves are not converted: where both are named and
    differ they stay, and the clips do not match."""
    primaries, transfer = (
        ours if UNSPECIFIED in (ours, theirs) else theirs
        for ours, theirs in zip(first.colour[:2], plan.colour[:2], strict=True)
    )
    matrix = "".join([*re.findall(r":in_\w+=\w+", plan.matrix), *re.findall(r":out_\w+=\w+", first.matrix)])
    return replace(plan, colour=(primaries, transfer, *first.colour[2:]), matrix=matrix)


def _part_of(tell: Callable[[float], None], number: int, count: int) -> Callable[[float], None]:
    return lambda share: tell((number + share) / count)


def _list(value: object) -> list[object]:
    assert isinstance(value, list)
    return value
