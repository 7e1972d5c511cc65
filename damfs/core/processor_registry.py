"""The processors that are installed, found by entry point: those that can be used, and why the others cannot.

Loading imports the modules of processors (not their codecs and models, which they import in ``run``) and happens
once, before the event loop serves. A processor that is broken gets a status; it never stops anything.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points

from damfs.core.pipeline import CircularNeeds, ordered
from damfs.core.processors.processor import Processor, Worker

GROUP = "damfs.processors"
READY = "ready"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProcessorRef:
    """What the worker pool has to know of a processor. ``reference``: ``module:attribute`` of its class."""

    name: str
    reference: str
    worker: Worker
    timeout_s: float
    batch: int = 1


@dataclass(frozen=True, slots=True)
class ProcessorRegistry:
    """``processors`` stand after what they need; ``statuses`` has "ready" or a reason for each one installed."""

    processors: tuple[Processor, ...]
    references: Mapping[str, ProcessorRef]
    statuses: Mapping[str, str]

    @classmethod
    def load(cls, points: Iterable[EntryPoint] | None = None) -> ProcessorRegistry:
        """``points``: those of the installed packages if left out."""
        loading = _Loading()
        for point in entry_points(group=GROUP) if points is None else points:
            loading.add(point)
        loading.drop_circles()
        loading.drop_unmet()
        usable = loading.in_order()
        references = {processor.name: _reference(processor, loading.values[processor.name]) for processor in usable}
        statuses = {processor.name: READY for processor in usable} | loading.reasons
        return cls(usable, references, dict(sorted(statuses.items())))


@dataclass(slots=True)
class _Loading:
    processors: dict[str, Processor] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def in_order(self) -> tuple[Processor, ...]:
        return ordered(tuple(self.processors.values()))

    def add(self, point: EntryPoint) -> None:
        try:
            processor = _instance(point)
        except Exception as error:  # noqa: BLE001 - whatever a plug-in raises, it is its own status only
            _log.warning("processor %s (%s) cannot be loaded", point.name, point.value, exc_info=True)
            self.reasons[point.name] = f"cannot be loaded: {type(error).__name__}: {_one_line(error)}"
            return
        if processor.name in self.processors:
            other = self.values[processor.name]
            self.reasons[f"{processor.name} ({point.value})"] = f'the name "{processor.name}" is taken by {other}'
            return
        self.processors[processor.name] = processor
        self.values[processor.name] = point.value

    def drop_circles(self) -> None:
        while True:
            try:
                self.in_order()
            except CircularNeeds as circle:
                for name in set(circle.names):
                    del self.processors[name]
                    self.reasons[name] = str(circle)
            else:
                return

    def drop_unmet(self) -> None:
        """Needs come first in the order, so what needs a dropped one is dropped as well."""
        for processor in self.in_order():
            for need in sorted(processor.needs - self.processors.keys()):
                why = "cannot be used" if need in self.reasons else "is not installed"
                self.reasons.setdefault(processor.name, f"needs {need}, which {why}")
                self.processors.pop(processor.name, None)


def _instance(point: EntryPoint) -> Processor:
    kind = point.load()
    if not (inspect.isclass(kind) and issubclass(kind, Processor)):
        raise TypeError(f"{point.value} is no subclass of Processor")
    processor: Processor = kind()
    if not (isinstance(getattr(kind, "name", None), str) and kind.name):
        raise TypeError(f"{point.value} has no name")
    if not (isinstance(getattr(kind, "version", None), int) and kind.version > 0):
        raise TypeError(f"{point.value} has no version (a number from 1)")
    if not all(isinstance(need, str) for need in frozenset(kind.needs)):
        raise TypeError(f"{point.value} needs something that is not the name of a processor")
    return processor


def _reference(processor: Processor, value: str) -> ProcessorRef:
    return ProcessorRef(processor.name, value, processor.worker, processor.timeout_s, processor.batch)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
