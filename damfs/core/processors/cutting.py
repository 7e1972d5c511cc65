"""A piece of a clip that begins and ends where it was asked to: copied but for the frames at its cuts where that can be
proven, else encoded anew; or copied from a key frame on where that will do.

Runs in worker processes only (imports av); writes one file below the job's own directory, may be killed at any moment.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from damfs.core.processors import copying, encoding, proof, splice
from damfs.core.processors.copying import NotCopyable, Trimmed
from damfs.core.processors.pieces import Cut
from damfs.core.processors.splice_plan import NotSplicable

Report = Callable[[float], None]
WRITTEN = 0.3
"""Share of the time of a spliced piece that writing takes; the rest is proving it."""


def cut(
    source: Path,
    target: Path,
    name: str,
    start: Fraction,
    end: Fraction,
    *,
    exact: bool,
    report: Report = lambda _: None,
) -> Cut:
    """Raises BadMedia."""
    try:
        if exact:
            return spliced(source, target, name, (start, end), report)
        return unspliced(source, target, name, (start, end), report)
    except (NotCopyable, NotSplicable) as error:
        target.unlink(missing_ok=True)
        return encoding.encoded(source, target, name, start, end, why=str(error), report=report)


def unspliced(source: Path, target: Path, name: str, span: tuple[Fraction, Fraction], report: Report) -> Cut:
    try:
        return copying.copied(source, target, name, *span)
    except Trimmed:
        return spliced(source, target, name, span, report)


def spliced(source: Path, target: Path, name: str, span: tuple[Fraction, Fraction], report: Report) -> Cut:
    made = splice.spliced(source, target, name, span, report=lambda share: report(WRITTEN * share))
    proof.prove(source, target, name, made, lambda share: report(WRITTEN + (1 - WRITTEN) * share))
    return Cut(made.first, made.end, len(made.plan.shown), made.plan.encoded, errors=made.errors)
