"""Which models there are, which answers, how far the new one is: plain data, and text for people.

`model_status` scans: for a reader thread. The rest is pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field

PER_MINUTE, PER_HOUR = 60, 3600


@dataclass(frozen=True, slots=True)
class SpaceStatus:
    id: str
    name: str
    state: str
    """"answers", "is made" (the settings name it) or "is kept"."""
    files: int
    """Different files that have a vector."""
    models: dict[str, int]
    """Ids of its vectors, with how many numbers each has."""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    wanted: str
    """What model.name of the settings says."""
    answers: str
    """Name of the model that similar-to/ and searches ask; empty: the built-in descriptor."""
    words: str
    """The line of `damfs status`."""
    trouble: str
    """Why the wanted model cannot be used, and what to do; empty: nothing is known to be wrong."""
    done: int
    steps: int
    per_second: float
    """How many steps are done now; 0: none was lately."""
    mounted: bool = False
    """Whether anybody is there to do them."""
    notice: str = ""
    """That it has been silent for long, and what may be done."""
    spaces: list[SpaceStatus] = field(default_factory=list)

    @property
    def seconds_left(self) -> float | None:
        left = self.steps - self.done
        return None if not left or not self.per_second else left / self.per_second

    @property
    def settled(self) -> bool:
        """Whether the wanted model answers, or there is nothing it waits for but a person."""
        return bool(self.trouble) or (self.answers == self.wanted and self.done == self.steps)


def as_text(status: ModelStatus) -> str:
    lines = [
        f"wanted    {status.wanted}",
        f"answers   {status.answers or 'the built-in visual descriptor'}",
        f"progress  {progress_words(status)}",
    ]
    if status.trouble:
        lines.append(f"trouble   {status.trouble}")
    if status.notice:
        lines.append(f"notice    {status.wanted} {status.notice}")
    return "\n".join(lines) + "\n"


def progress_words(status: ModelStatus) -> str:
    if not status.steps:
        return "there is nothing to embed yet"
    words = f"{status.done:,} of {status.steps:,} steps"
    if status.per_second:
        words += f", {status.per_second:,.1f} a second"
    left = status.seconds_left
    return words if left is None else f"{words}, {duration(left)} left"


def duration(seconds: float) -> str:
    if seconds < 2 * PER_MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * PER_HOUR:
        return f"{seconds / PER_MINUTE:.0f} min"
    return f"{seconds / PER_HOUR:.1f} h"


def table(status: ModelStatus) -> str:
    """One line for each model whose vectors are kept."""
    if not status.spaces:
        return "no vectors of any model are kept yet; they are made while the library is mounted\n"
    lines = []
    for space in status.spaces:
        lengths = ", ".join(f"{model} ({length})" for model, length in sorted(space.models.items()))
        is_alone = sum(each.name == space.name for each in status.spaces) == 1
        name = space.name if is_alone else f"{space.name} ({space.id})"
        lines.append(f"{name}\t{space.state}\t{space.files:,} files\t{lengths}")
    return "\n".join(lines) + "\n"
