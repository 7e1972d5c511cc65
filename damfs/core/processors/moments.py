"""moments: one picture for each scene of a clip, small, side by side in one file: what the model looks at.

So a model that is chosen later needs no decoder. ``accepts`` is pure; ``run`` happens in a worker process and writes
below ``out`` only. Without scenes (see "scenes") the pictures are spread over the clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from damfs.core.processors.processor import MadeRendition, Output, Processor, Subject
from damfs.core.processors.strip import STRIP, save_strip
from damfs.model import Facts, Media, RenditionKind

SIDE = 256
"""Models look at 224 or more pixels of it; the strip of a clip of ten scenes is about 100 kB."""
MOST = 64
"""Pictures of one clip, however many scenes it has: then of every second, third ... one."""


class Moments(Processor):
    name: ClassVar[str] = "moments"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset({"preview"})
    after: ClassVar[frozenset[str]] = frozenset({"scenes"})
    priority: ClassVar[int] = 62
    timeout_s: ClassVar[float] = 600.0

    def accepts(self, subject: Subject) -> bool:
        probed = subject.facts.get("probe", {})
        return probed.get("media", subject.media) == Media.VIDEO and subject.settings.get("name") != "none"

    def is_current(self, subject: Subject) -> bool:
        return subject.facts.get("moments", {}).get("wanted") == wanted_times(subject.facts)

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        """Raises BadMedia when nothing can be decoded."""
        from damfs.core.processors.moment_frames import frames_at

        wanted = wanted_times(subject.facts)
        found = dict(frames_at(source, subject.name, wanted, SIDE))
        if not found:
            return Output(facts={"wanted": wanted, "at_ns": []})
        path = out / "moments.jpg"
        width, height = save_strip(list(found.values()), path)
        detail: Facts = {"at_ns": list(found), "width": width, "height": height}
        return Output(
            facts={"wanted": wanted, **detail},
            renditions=(MadeRendition(RenditionKind.OTHER, STRIP, path, detail),),
        )


def wanted_times(facts: Mapping[str, Facts]) -> list[int]:
    """Nanoseconds from the start: the middle of each scene; [] where scenes are not known."""
    scenes = facts.get("scenes", {}).get("scenes")
    if not isinstance(scenes, Sequence):
        return []
    middles = [(int(scene["start_ns"]) + int(scene["end_ns"])) // 2 for scene in scenes]
    step = -(-len(middles) // MOST) or 1
    return middles[::step]
