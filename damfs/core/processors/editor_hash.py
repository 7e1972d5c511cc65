"""editor_hash: the hash by which Shotcut (and Kdenlive, for proxies of its own) know a file.

MD5 of the whole file up to 2 MB, else of its first and last million bytes: getFileHash in Shotcut's src/util.cpp.
``accepts`` is pure; ``run`` happens in a worker process and reads at most 2 MB.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import ClassVar

from damfs.core.processors.processor import Output, Processor, Subject
from damfs.model import Media

PART = 1_000_000


class EditorHash(Processor):
    name: ClassVar[str] = "editor_hash"
    version: ClassVar[int] = 1
    needs: ClassVar[frozenset[str]] = frozenset({"probe"})
    priority: ClassVar[int] = 40
    timeout_s: ClassVar[float] = 60.0

    def accepts(self, subject: Subject) -> bool:
        return subject.facts.get("probe", {}).get("media", subject.media) == Media.VIDEO

    def run(self, source: Path, out: Path, subject: Subject) -> Output:
        return Output(facts={"md5": sampled_md5(source)})


def sampled_md5(source: Path) -> str:
    size = source.stat().st_size
    made = hashlib.md5(usedforsecurity=False)
    with source.open("rb") as file:
        if size <= 2 * PART:
            made.update(file.read())
        else:
            made.update(file.read(PART))
            file.seek(size - PART)
            made.update(file.read())
    return made.hexdigest()
