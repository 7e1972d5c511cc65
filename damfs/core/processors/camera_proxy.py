"""camera_proxy: whether the small copy that the camera recorded beside a clip can be used in place of a proxy of ours.

``accepts`` is pure; ``run`` happens in a worker process and only reads. Which files may be such copies stands in the
facts `PAIR` of both: of the clip {"proxies": digests}, of the copy {"of": digest} (see core/camera_proxies). What is
found here is a fact of the clip: {"proxy": digest, "report": …} of the first that conforms, and ``refused``: each
other one's reason and report by its digest.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from damfs.core.processors.processor import Output, Processor, Subject
from damfs.errors import BadMedia
from damfs.model import Facts

PAIR = "camera_pair"
JUDGED = "camera_proxy"
COPY_ENDINGS = (".lrv", ".lrf")
"""Nothing else is called like that."""


class CameraProxy(Processor):
    """Holds the camera's own copy to the conformance gate."""

    name: ClassVar[str] = JUDGED
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset({"probe"})
    priority: ClassVar[int] = 75
    timeout_s: ClassVar[float] = 3600.0

    def accepts(self, subject: Subject) -> bool:
        return bool(copies_of(subject))

    def is_current(self, subject: Subject) -> bool:
        return subject.facts.get(JUDGED, {}).get("looked_at") == list(copies_of(subject))

    def reads(self, subject: Subject) -> tuple[str, ...]:
        return copies_of(subject)

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        from damfs.core.processors import recorded

        refused: dict[str, object] = {}
        told: Facts = {"looked_at": list(copies_of(subject))}
        for digest, path in subject.beside.items():
            try:
                found = recorded.judge(source, path, subject.name)
            except BadMedia as error:  # making a proxy will fail by it, and be told of
                refused[digest] = {"why": str(error)}
                continue
            if not found.why:
                return Output(facts={**told, "proxy": digest, "report": found.report, "refused": refused})
            refused[digest] = {"why": found.why, "report": found.report}
        return Output(facts={**told, "refused": refused})


def copies_of(subject: Subject) -> tuple[str, ...]:
    """Digests of what may be a camera's copies of it."""
    found = subject.facts.get(PAIR, {}).get("proxies", ())
    return tuple(map(str, found)) if isinstance(found, list | tuple) else ()


def is_copy(subject: Subject) -> bool:
    """Whether it is itself such a copy of another clip, which may not have arrived yet."""
    return "of" in subject.facts.get(PAIR, {}) or is_copys_name(subject.name)


def is_copys_name(name: str) -> bool:
    return name.lower().endswith(COPY_ENDINGS)


def has_copy(subject: Subject) -> bool:
    """Whether one conforms."""
    return "proxy" in subject.facts.get(JUDGED, {})
