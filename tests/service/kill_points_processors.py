"""Two processors that build on each other, for tests that look at what becomes of jobs."""

from __future__ import annotations

from pathlib import Path

from damfs.core.processors.processor import MadeRendition, Output, Processor, Subject
from damfs.model import RenditionKind
from tests.small_library import entry_points_of


class Poster(Processor):
    name = "preview"
    version = 1
    priority = 10

    def accepts(self, subject: Subject) -> bool:
        return True

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        poster = out / "poster.jpeg"
        poster.write_bytes(source.read_bytes()[::-1])
        return Output({"width": 3}, (MadeRendition(RenditionKind.POSTER, "jpeg", poster),))


class AfterPoster(Poster):
    """Is planned in the transaction that ends a poster."""

    name = "after"
    needs = frozenset({"preview"})

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        return Output({"seen": str(subject.facts["preview"]["width"])})


PROCESSORS = entry_points_of(Poster, AfterPoster)
