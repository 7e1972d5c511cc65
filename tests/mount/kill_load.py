"""What programs do to a library while its daemon is killed: steps of which each says beforehand what it will lead to.

A program works on files and terms of its own, so that its picture of them is exact. A step that fails because the
daemon died leaves two pictures: before it and after it; one of them has to be found. Here are the pictures and the
programs; the steps are in `kill_steps`, `kill_saves` and `kill_folders`.
"""

from __future__ import annotations

import errno
import io
import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from blake3 import blake3

from tests.sample_media import paint

LARGEST = 30_000
SHARED = 0.3
"""How often a content is one of few that all programs write: bytes that are stored once, whoever replaces them."""
POOL = 6
TERMS = 4
DEAD = frozenset({errno.ENOTCONN, errno.ECONNABORTED})
"""What a program is told when nobody serves the mount."""
FEW, MANY = 5, 60
"""Below so many files of its own a program makes more; above it makes no more."""


@dataclass(frozen=True, slots=True)
class File:
    """How a file has to be found; ``kept``: digests of its earlier versions. ``folder``: of the program's, below
    originals/library/; None: damfs has filed it."""

    digest: str
    inbox: bool
    terms: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    folder: str | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What the directories show of a program's files, terms, folders and trash."""

    files: Mapping[str, File]
    terms: frozenset[str]
    folders: frozenset[str]
    trashed: Mapping[str, str]
    """Digests by name."""


@dataclass(frozen=True, slots=True)
class Picture:
    """All that a program has in the library. ``trashed``: as they were. ``gone``: digests of bytes that no name leads
    to, and that are kept. ``folders``: below originals/library/."""

    files: Mapping[str, File] = field(default_factory=dict)
    terms: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()
    trashed: Mapping[str, File] = field(default_factory=dict)
    folders: frozenset[str] = frozenset()

    def having(self, name: str, file: File) -> Picture:
        return replace(self, files={**self.files, name: file})

    def without(self, name: str) -> Picture:
        return replace(self, files={other: file for other, file in self.files.items() if other != name})

    def trashing(self, name: str) -> Picture:
        return replace(self.without(name), trashed={**self.trashed, name: self.files[name]})

    def restoring(self, name: str, file: File) -> Picture:
        trashed = {other: file for other, file in self.trashed.items() if other != name}
        return replace(self.having(name, file), trashed=trashed)

    def as_found(self) -> Found:
        shown = {name: replace(file, kept=frozenset()) for name, file in self.files.items()}
        return Found(shown, self.terms, self.folders, {name: file.digest for name, file in self.trashed.items()})

    def digests(self) -> set[str]:
        """Of all bytes that must not be lost."""
        files = [*self.files.values(), *self.trashed.values()]
        return {*self.gone, *(digest for file in files for digest in (file.digest, *file.kept))}


@dataclass(frozen=True, slots=True)
class Writing:
    """Bytes on their way: what was written so far may be found as ``name.part``, with all that was synced.

    They go to ``offset`` of ``base``, the bytes before; ``over``: there is an original, which stays as it is."""

    content: bytes
    synced: int = 0
    base: bytes = b""
    offset: int = 0
    over: bool = False

    def written(self, length: int) -> bytes:
        """The file when so many bytes were written."""
        end = self.offset + length
        return self.base[: self.offset] + self.content[:length] + self.base[end:]

    def length_of(self, found: bytes) -> int | None:
        """How much of it was written; None: somebody else wrote that."""
        there = found[self.offset :]
        pairs = enumerate(zip(there, self.content, strict=False))
        length = next((place for place, (one, other) in pairs if one != other), min(len(there), len(self.content)))
        return length if self.written(length) == found else None


@dataclass(slots=True)
class Scene:
    """What a step may use: the mount, the program's dice and its picture of what is there."""

    root: Path
    program: str
    dice: random.Random
    picture: Picture = field(default_factory=Picture)
    writing: dict[str, Writing] = field(default_factory=dict)
    """By name; also what a step has left open on purpose."""
    open: list[int] = field(default_factory=list)
    number: int = 0

    def new_name(self, suffix: str = ".txt") -> str:
        self.number += 1
        return f"{self.program}-{self.number}{suffix}"

    def content(self) -> tuple[bytes, str]:
        """New bytes, and what they are called after."""
        suffix = ".png" if self.dice.random() < 0.2 else ".txt"
        return self.content_of(suffix), suffix

    def content_of(self, suffix: str) -> bytes:
        if suffix == ".png":
            buffer = io.BytesIO()
            paint("city", (96, 64), self.dice.randrange(1 << 30)).save(buffer, "png")
            return buffer.getvalue()
        if self.dice.random() < SHARED:
            return random.Random(self.dice.randrange(POOL)).randbytes(LARGEST)
        return self.dice.randbytes(self.dice.randrange(1, LARGEST))

    def some_file(
        self, *, inbox: bool | None = None, tagged: bool | None = None, placed: bool | None = None
    ) -> str | None:
        wanted = [
            name
            for name, file in self.picture.files.items()
            if inbox in {None, file.inbox}
            and tagged in {None, bool(file.terms)}
            and placed in {None, file.folder is not None}
        ]
        return self.dice.choice(sorted(wanted)) if wanted else None

    def some_term(self, *, other_than: frozenset[str] = frozenset()) -> str | None:
        wanted = sorted(self.picture.terms - other_than)
        return self.dice.choice(wanted) if wanted else None

    def some_folder(self) -> str | None:
        return self.dice.choice(sorted(self.picture.folders)) if self.picture.folders else None

    def term(self, name: str) -> Path:
        return self.root / "by-tag" / name

    def folder(self, path: str) -> Path:
        return self.root / "originals" / "library" / path

    def places(self, file: File) -> list[Path]:
        """That show it and may be written."""
        inbox = [self.root / "inbox"] if file.inbox else []
        folder = [] if file.folder is None else [self.folder(file.folder)]
        return [*inbox, *folder, *(self.term(term) for term in sorted(file.terms))]

    def shown_at(self, name: str) -> Path:
        """One of its paths, to read it."""
        return self.dice.choice(self.places(self.picture.files[name]) or [self.root / "untagged"]) / name

    def has_arrived(self, name: str) -> bool:
        """Whether its bytes are a version, so that the next ones cannot replace them."""
        try:
            digest = os.getxattr(self.shown_at(name), "user.damfs.digest")
        except OSError as error:
            if error.errno == errno.ENODATA:
                return False
            raise
        return os.fsdecode(digest) == self.picture.files[name].digest


@dataclass(frozen=True, slots=True)
class Step:
    do: Callable[[], object]
    after: Picture


MakeStep = Callable[[Scene], Step | None]
"""None where there is nothing to do it to."""


def digest_of(content: bytes) -> str:
    return blake3(content).hexdigest()


class Program(threading.Thread):
    """Takes steps until it is told to stop or the daemon dies.

    ``doubt``: the picture after the step that failed, if one did. ``wrong``: what must not happen at all.
    """

    def __init__(self, scene: Scene, steps: Sequence[MakeStep]) -> None:
        super().__init__(daemon=True)
        self.scene = scene
        self.choice = steps
        self.doubt: Picture | None = None
        self.wrong: BaseException | None = None
        self.steps = 0
        self.ending = threading.Event()

    def run(self) -> None:
        try:
            for step in self._chosen():
                self.doubt = step.after
                step.do()
                self.scene.picture, self.doubt = step.after, None
                self.steps += 1
        except OSError as error:
            if error.errno not in DEAD:
                self.wrong = error
        except AssertionError as error:
            self.wrong = error

    def _chosen(self) -> Iterator[Step]:
        while not self.ending.is_set():
            step = self.scene.dice.choice(self.choice)(self.scene)
            if step is not None:
                yield step
