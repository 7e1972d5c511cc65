"""scenes: where a clip cuts from one scene to the next, and how much moves in each; found by decoding all of it.

``accepts`` is pure; ``run`` happens in a worker process and writes nothing. Others read ``facts["scenes"]["scenes"]``:
a list of ``{"start_ns": int, "end_ns": int, "motion": float}``, times from the clip's first frame, one after the other
without a gap, never empty; motion from 0 (nothing moves) towards 1. The facts are absent where this was not run.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from damfs.core.processors.processor import Output, Processor, Subject
from damfs.errors import BadMedia
from damfs.model import Facts, Media

UP_TO_MINUTES = 20
FULL_HD = 1920 * 1080
MINUTE_NS = 60_000_000_000


class Scenes(Processor):
    """Cuts and motion, by ``scdet`` and a second look; declines what would take long (``scenes.up_to_minutes``)."""

    name: ClassVar[str] = "scenes"
    version: ClassVar[int] = 2
    needs: ClassVar[frozenset[str]] = frozenset({"probe"})
    priority: ClassVar[int] = 60
    timeout_s: ClassVar[float] = 3600.0

    def accepts(self, subject: Subject) -> bool:
        probed = subject.facts.get("probe", {})
        limit = float(str(subject.settings.get("up_to_minutes", UP_TO_MINUTES)))
        return probed.get("media", subject.media) == Media.VIDEO and 0 < minutes_of(probed) <= limit

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from damfs.core.processors import media
        from damfs.core.processors.frame_differences import differences
        from damfs.core.processors.scene_list import SceneList

        name = media.shown(subject.name)
        damage, found = media.Damage(), SceneList()
        with media.opened(source, name) as container:
            stream = media.picture_stream(container)
            if stream is None:
                raise BadMedia(
                    f"{name}: no scenes: it holds no pictures that can be decoded here; nothing is to be done"
                )
            media.check_size(stream.width, stream.height, name)
            for each in differences(container, stream, damage):
                found.add(each)
        scenes = found.closed()
        if not scenes:
            why = damage.first or "there is none"
            raise BadMedia(f"{name}: no scenes: no picture can be decoded ({why}){media.ADVICE}")
        facts = {"scenes": [scene.facts() for scene in scenes], "frames": found.frames, "errors": damage.errors}
        return Output(facts=facts)


def minutes_of(probed: Facts) -> float:
    """How long decoding takes, in minutes of 1080p: larger pictures count more. 0 where the probe does not know."""
    duration, width, height = (probed.get(key) for key in ("duration_ns", "width", "height"))
    if not (isinstance(duration, int) and isinstance(width, int) and isinstance(height, int)):
        return 0.0
    return duration / MINUTE_NS * max(0.25, width * height / FULL_HD)
