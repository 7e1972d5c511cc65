"""Whether two files were recorded one after the other, by what was written down of them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from damfs.model import Facts

NUMBERED: Final = re.compile(r"(.*?)(\d+)")
DEVICE: Final = ("camera_make", "camera_model", "serial")
MOMENT: Final = ("captured_local", "captured_utc_ns")


@dataclass(frozen=True, slots=True)
class Recording:
    """``facts``: those of the probe."""

    name: str
    facts: Facts


def are_two(one: Recording, other: Recording) -> bool:
    """Taken at different moments, by different cameras, or numbered by a camera as two of the same size."""
    if any(_differ(one.facts, other.facts, key) for key in (*MOMENT, *DEVICE)):
        return True
    size = [(each.facts.get("width"), each.facts.get("height")) for each in (one, other)]
    return size[0] == size[1] and _follow(one.name, other.name)


def _differ(one: Facts, other: Facts, key: str) -> bool:
    values = one.get(key), other.get(key)
    return None not in values and values[0] != values[1]


def _follow(one: str, other: str) -> bool:
    found = [NUMBERED.fullmatch(PurePosixPath(name).stem) for name in (one, other)]
    first, second = found
    return bool(first and second and first[1].lower() == second[1].lower() and first[2] != second[2])
