"""Processors for test_job_runner: what each does depends on the name of the file. They run in real workers."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence
from pathlib import Path

from damfs.core.processors.processor import (
    MadeEmbedding,
    MadeRendition,
    Output,
    Processor,
    Proposal,
    Subject,
    Work,
    Worker,
)
from damfs.errors import BadMedia, ModelUnavailable
from damfs.model import RenditionKind

FIFO = "started.fifo"


class First(Processor):
    """Finds out everything there is to find out."""

    name = "probe"
    version = 1
    priority = 1

    def accepts(self, subject: Subject) -> bool:
        return subject.name.startswith("good")

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        proxy = out / "proxy.mov"
        proxy.write_bytes(b"proxy of " + source.read_bytes())
        return Output(
            facts={"media": "audio", "captured_local": "2019-05-06T07:08:09", "width": 3},
            renditions=(MadeRendition(RenditionKind.PROXY, "dnxhr-lb", proxy, {"frames": 1}),),
            embeddings=(MadeEmbedding("look-1", struct.pack("<2f", 1.0, 0.0)),),
            proposals=(Proposal("beach", 0.4), Proposal("sea", 0.99), Proposal("no such term", 1.0)),
        )


class Second(First):
    """Builds on the first: says what it was told."""

    name = "preview"
    needs = frozenset({"probe"})

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        proxy = subject.renditions["proxy/dnxhr-lb"].read_bytes().decode()
        return Output({"told": subject.facts["probe"]["width"], "proxy": proxy, "source": source.read_bytes().decode()})


class Bad(First):
    name = "bad"

    def accepts(self, subject: Subject) -> bool:
        return subject.name.startswith(self.name)

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        raise BadMedia(f"{subject.name}: ends after 12 of 30 frames")


class Elsewhere(Bad):
    """Its file is put elsewhere just when it is to be read."""

    name = "elsewhere"

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        source.rename(source.with_name("moved away.mov"))
        raise BadMedia(f"{source.name}: is not there")


class Crashing(Bad):
    name = "crash"

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        ctypes.string_at(0)
        raise AssertionError("reading address 0 was survived")


class Endless(Bad):
    """Tells through a fifo beside the source that it has begun."""

    name = "endless"

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        (out / "left over").write_bytes(b"x")
        (source.parent / FIFO).write_text("begun")
        while True:
            pass


class TooLong(Bad):
    name = "long"
    timeout_s = 1.0

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        while True:
            pass


class Failing(Bad):
    name = "fail"

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        raise RuntimeError("no luck\nthis time")


class Unstorable(Bad):
    """Its result cannot become rows and files."""

    name = "unstorable"

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        made = out / "x.jpeg"
        made.write_bytes(b"x")
        return Output({}, (MadeRendition(RenditionKind.POSTER, "../../../escape", made),))


class NoModel(Bad):
    name = "model"
    worker = Worker.MODEL

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        if (source.parent / "weights").exists():
            return Output({"ran": True})
        raise ModelUnavailable("model.name: there is no such model")


class Hanging(Bad):
    name = "hanging"
    worker = Worker.MODEL
    timeout_s = 0.5

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        while True:
            pass


class Batch(Bad):
    """Tells how many went through it together."""

    name = "batch"
    worker = Worker.MODEL
    batch = 8

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        raise AssertionError("run_many is asked")

    def run_many(self, works: Sequence[Work]) -> list[Output | Exception]:
        if any("deadly" in work.subject.name for work in works):
            ctypes.string_at(0)
        return [self._made(work, len(works)) for work in works]

    def _made(self, work: Work, together: int) -> Output | Exception:
        if "broken" in work.subject.name:
            return BadMedia(f"{work.subject.name}: ends after 12 of 30 frames")
        return Output({"together": together, "pid": os.getpid()})


class NeedsTerms(First):
    name = "auto_tag"

    def accepts(self, subject: Subject) -> bool:
        return bool(subject.settings["terms"])
