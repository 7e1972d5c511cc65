"""One measured figure, the sizes it is measured at, and how both sides of a ratio are measured in turns. Pure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Detail = Mapping[str, object]
DIGITS = 4


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured. Sizes are bytes, ``notices`` is the number of changes whose lag is taken."""

    many: int
    few: int
    original: int
    scan_small: tuple[int, int]
    """Number of small files of a scan and the size of each."""
    scan_large: tuple[int, int]
    received: int
    notices: int
    runs: int
    clip_s: int = 60
    clip_lines: int = 1080
    photos: int = 6
    probed: int = 100
    transcoded_s: float = 4.0
    alike: tuple[int, int] = (6, 2)
    """Pictures among which duplicates are looked for, and of how many the edits are."""


KIB, MIB = 1 << 10, 1 << 20
SIZES = {
    "tiny": Size(
        300,
        20,
        2 * MIB,
        (40, 4 * KIB),
        (2, MIB),
        12,
        notices=5,
        runs=1,
        clip_s=20,
        clip_lines=180,
        photos=1,
        probed=8,
        transcoded_s=0.4,
    ),
    "small": Size(2_000, 1_000, 64 * MIB, (500, 64 * KIB), (4, 32 * MIB), 200, notices=60, runs=3, alike=(150, 10)),
    "full": Size(
        100_000,
        1_000,
        1024 * MIB,
        (5_000, 64 * KIB),
        (8, 128 * MIB),
        2_000,
        notices=300,
        runs=5,
        clip_s=600,
        probed=1000,
        transcoded_s=10.0,
        alike=(300, 40),
    ),
}
"""tiny: only to see that the bench works, within seconds."""


@dataclass(frozen=True, slots=True)
class Figure:
    """``ratio``: value by the first of ``beside``; what is good (more or less) follows from the unit."""

    name: str
    value: float
    unit: str
    runs: int
    spread: tuple[float, float]
    beside: Mapping[str, float] = field(default_factory=dict)
    detail: Detail = field(default_factory=dict)

    def line(self) -> str:
        """JSON of one line."""
        first = next(iter(self.beside.values()), None)
        return json.dumps(
            {
                "figure": self.name,
                "value": rounded(self.value),
                "unit": self.unit,
                "beside": {name: rounded(value) for name, value in self.beside.items()},
                "ratio": None if not first else rounded(self.value / first),
                "runs": self.runs,
                "spread": {"min": rounded(self.spread[0]), "max": rounded(self.spread[1])},
                "detail": {
                    name: rounded(value) if isinstance(value, float) else value for name, value in self.detail.items()
                },
            }
        )


def rounded(value: float) -> float:
    """To four significant digits: more is noise."""
    return float(f"{value:.{DIGITS}g}")


def figure(
    name: str, unit: str, values: Sequence[float], beside: Mapping[str, Sequence[float]] | None = None,
    detail: Detail | None = None,
) -> Figure:  # fmt: skip
    """The median of the runs, and of those it is compared with."""
    return Figure(
        name,
        statistics.median(values),
        unit,
        len(values),
        (min(values), max(values)),
        {other: statistics.median(measured) for other, measured in (beside or {}).items() if measured},
        detail or {},
    )


def in_turns(runs: int, sides: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Each side's measurements, A B A B …: what else the machine does meanwhile meets both."""
    measured: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, measure in sides.items():
            measured[name].append(measure())
    return measured


def rate(amount: float, seconds: Sequence[float]) -> list[float]:
    return [amount / each for each in seconds]


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest value that ``share`` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]
