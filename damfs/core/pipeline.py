"""Which processors are due for a blob, and in which order processors build on each other.

Pure: no I/O, no clock, no event loop. What the caller passes is all there is to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter

from damfs.core.processors.processor import Processor, Subject
from damfs.errors import DamfsError
from damfs.model import Facts

NO_SETTINGS: Mapping[str, Facts] = {}
AGAIN = 100
"""Added to the priority of what is done again: something is there already, so whatever is new goes first."""


class CircularNeeds(DamfsError):
    """Processors that wait for each other; ``names`` are those of the circle."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        super().__init__(f"processors that need each other can never run: {' needs '.join(self.names)}")


@dataclass(frozen=True, slots=True)
class Planned:
    """A job to enqueue."""

    processor: str
    version: int
    priority: int


@lru_cache(maxsize=8)
def ordered(processors: tuple[Processor, ...]) -> tuple[Processor, ...]:
    """Needs before what needs them. Raises CircularNeeds. Needs that are not among them are passed over."""
    by_name = {processor.name: processor for processor in processors}
    sorter = TopologicalSorter(
        {name: sorted((each.needs | each.after) & by_name.keys()) for name, each in by_name.items()}
    )
    try:
        return tuple(by_name[name] for name in sorter.static_order())
    except CycleError as error:
        # graphlib lists each name before the one that needs it
        raise CircularNeeds(list(reversed(error.args[1]))) from None


def plan(
    subject: Subject,
    done: Mapping[str, int],
    waiting: Set[str],
    processors: Sequence[Processor],
    settings: Mapping[str, Facts] = NO_SETTINGS,
    failed: Set[str] = frozenset(),
) -> tuple[Planned, ...]:
    """The jobs to enqueue now, most urgent first.

    ``done``: processor to the version that is done. ``waiting``: those with a job already (or one that failed for
    good, which ``failed`` tells as well). ``settings``: each processor's own table, put into the subject it is asked
    about.

    A processor is due when it is not done at its version (or says that what it found holds no more), all its needs are
    settled, and it accepts the subject. A need is settled when it is done at its version, or when its own needs are
    settled and it declines: an answer given before the facts are there would not count. A new version plans that
    processor again, not those that build on it: they say so with a version of their own. While a need is being done
    anew, they wait for it. What a processor only comes after may also have failed.
    """
    settled: set[str] = set()
    due = []
    missed = {name for processor in processors for name in processor.after} - {each.name for each in processors}
    for processor in ordered(tuple(processors)):
        is_done = done.get(processor.name) == processor.version
        if is_done:
            settled.add(processor.name)
        if processor.needs <= settled and processor.after <= settled | missed | failed:
            asked = _asked(subject, settings.get(processor.name, subject.settings))
            if not _accepts(processor, asked):
                settled.add(processor.name)
            elif processor.name not in waiting and not (is_done and _is_current(processor, asked)):
                due.append(Planned(processor.name, processor.version, processor.priority + AGAIN * is_done))
    return tuple(sorted(due, key=lambda planned: planned.priority))


def _asked(subject: Subject, settings: Facts) -> Subject:
    """As `dataclasses.replace`, which takes five times as long, makes it: each file is asked about twenty times."""
    return Subject(
        subject.name, subject.media, subject.size, subject.facts, subject.renditions, settings, subject.models,
        subject.beside, subject.words,
    )  # fmt: skip


def _is_current(processor: Processor, subject: Subject) -> bool:
    try:
        return processor.is_current(subject)
    except Exception:  # noqa: BLE001 - a plug-in's fault: what it has found stays
        return True


def _accepts(processor: Processor, subject: Subject) -> bool:
    try:
        return processor.accepts(subject)
    except Exception:  # noqa: BLE001 - a plug-in's fault: the worker asks again, and there it is a failed job with a reason
        return True
