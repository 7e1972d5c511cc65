"""What programs do to a library while its daemon is killed: steps of which each says beforehand what it will lead to.

A program works on files and terms of its own, so that its picture of them is exact. A step that fails because the
daemon died leaves two pictures: before it and after it; one of them has to be found. To add operations, write a
function like those below and put it into ``STEPS``.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.sample_media import paint

LARGEST = 30_000
TERMS = 4
DEAD = frozenset({errno.ENOTCONN, errno.ECONNABORTED})
"""What a program is told when nobody serves the mount."""
FEW, MANY = 5, 60
"""Below so many files of its own a program makes more; above it makes no more."""


@dataclass(frozen=True, slots=True)
class File:
    """How a file has to be found; ``kept``: digests of bytes that it had before."""

    digest: str
    inbox: bool
    terms: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Picture:
    """All that a program has in the library. ``gone``: digests of bytes that no name leads to, and that are kept."""

    files: Mapping[str, File] = field(default_factory=dict)
    terms: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()

    def having(self, name: str, file: File) -> Picture:
        return replace(self, files={**self.files, name: file})

    def without(self, name: str) -> Picture:
        return replace(self, files={other: file for other, file in self.files.items() if other != name})

    def as_found(self) -> tuple[dict[str, tuple[bool, frozenset[str]]], frozenset[str]]:
        """What directories show of it: each file's places, and the terms."""
        return {name: (file.inbox, file.terms) for name, file in self.files.items()}, self.terms

    def digests(self) -> set[str]:
        """Of all bytes that must not be lost."""
        kept = [digest for file in self.files.values() for digest in (file.digest, *file.kept)]
        return {*kept, *self.gone}


@dataclass(frozen=True, slots=True)
class Writing:
    """Bytes on their way: a prefix may be found as ``name.part``, with all that was synced."""

    content: bytes
    synced: int = 0


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
        if self.dice.random() < 0.2:
            buffer = io.BytesIO()
            paint("city", (96, 64), self.dice.randrange(1 << 30)).save(buffer, "png")
            return buffer.getvalue(), ".png"
        return self.dice.randbytes(self.dice.randrange(1, LARGEST)), ".txt"

    def some_file(self, *, inbox: bool | None = None, tagged: bool | None = None) -> str | None:
        wanted = [
            name
            for name, file in self.picture.files.items()
            if inbox in {None, file.inbox} and tagged in {None, bool(file.terms)}
        ]
        return self.dice.choice(sorted(wanted)) if wanted else None

    def some_term(self, *, other_than: frozenset[str] = frozenset()) -> str | None:
        wanted = sorted(self.picture.terms - other_than)
        return self.dice.choice(wanted) if wanted else None

    def term(self, name: str) -> Path:
        return self.root / "by-tag" / name


@dataclass(frozen=True, slots=True)
class Step:
    do: Callable[[], object]
    after: Picture


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- steps: None where there is nothing to do it to -----------------------------------------------------------


def copy_in(scene: Scene) -> Step | None:
    """cp into the inbox or a term, with and without fsync."""
    if len(scene.picture.files) >= MANY:
        return None
    content, suffix = scene.content()
    name, term = scene.new_name(suffix), scene.some_term() if scene.dice.random() < 0.4 else None
    path = (scene.root / "inbox" if term is None else scene.term(term)) / name
    sync = scene.dice.random() < 0.3

    def do() -> None:
        scene.writing[name] = Writing(content)
        with path.open("xb", buffering=0) as file:
            write(file.fileno(), content)
            if sync:
                os.fsync(file.fileno())
                scene.writing[name] = Writing(content, synced=len(content))
        del scene.writing[name]

    file = File(digest_of(content), term is None, frozenset([term] if term else []))
    return Step(do, scene.picture.having(name, file))


def write(fd: int, content: bytes) -> None:
    for start in range(0, len(content), 16_384):
        os.write(fd, content[start : start + 16_384])


def download(scene: Scene) -> Step | None:
    """Under a temporary name, then renamed."""
    if len(scene.picture.files) >= MANY:
        return None
    content, suffix = scene.content()
    name = scene.new_name(suffix)
    path = scene.root / "inbox" / name

    def do() -> None:
        part = path.with_name(name + ".part")
        scene.writing[name] = Writing(content)
        with part.open("xb", buffering=0) as file:
            write(file.fileno(), content)
        part.rename(path)
        del scene.writing[name]

    return Step(do, scene.picture.having(name, File(digest_of(content), inbox=True)))


def record(scene: Scene) -> Step | None:
    """A recording that goes on until the daemon is killed: what was synced is there afterwards."""
    if scene.open:
        return None
    content, name = scene.dice.randbytes(LARGEST), scene.new_name(".rec")
    synced = scene.dice.randrange(1, LARGEST)

    def do() -> None:
        fd = os.open(scene.root / "inbox" / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        scene.open.append(fd)
        scene.writing[name] = Writing(content)
        write(fd, content[:synced])
        os.fsync(fd)
        scene.writing[name] = Writing(content, synced)
        write(fd, content[synced:])

    return Step(do, scene.picture)


def rename(scene: Scene) -> Step | None:
    name = scene.some_file()
    if name is None or not (scene.picture.files[name].inbox or scene.picture.files[name].terms):
        return None
    file, new = scene.picture.files[name], scene.new_name(Path(name).suffix)
    directory = directory_of(scene, file)
    return Step(
        lambda: (directory / name).rename(directory / new), scene.picture.without(name).having(new, file)
    )  # fmt: skip


def directory_of(scene: Scene, file: File) -> Path:
    """One that shows it and may be written."""
    places = ([scene.root / "inbox"] if file.inbox else []) + [scene.term(term) for term in sorted(file.terms)]
    return scene.dice.choice(places) if places else scene.root / "untagged"


def triage(scene: Scene) -> Step | None:
    """mv from the inbox, or from untagged/, into a term."""
    name, term = scene.some_file(tagged=False), scene.some_term()
    if name is None or term is None:
        return None
    file = scene.picture.files[name]
    source = scene.root / ("inbox" if file.inbox else "untagged")
    after = replace(file, inbox=False, terms=frozenset([term]))
    return Step(lambda: (source / name).rename(scene.term(term) / name), scene.picture.having(name, after))


def tag(scene: Scene) -> Step | None:
    """ln into one more term."""
    name = scene.some_file(tagged=True)
    if name is None:
        return None
    file = scene.picture.files[name]
    old, new = min(file.terms), scene.some_term(other_than=file.terms)
    if new is None:
        return None
    after = replace(file, terms=file.terms | {new})
    return Step(lambda: os.link(scene.term(old) / name, scene.term(new) / name), scene.picture.having(name, after))


def retag(scene: Scene) -> Step | None:
    """mv from one term into another."""
    name = scene.some_file(tagged=True)
    if name is None:
        return None
    file = scene.picture.files[name]
    old, new = scene.dice.choice(sorted(file.terms)), scene.some_term(other_than=file.terms)
    if new is None:
        return None
    after = replace(file, terms=file.terms - {old} | {new})
    return Step(lambda: (scene.term(old) / name).rename(scene.term(new) / name), scene.picture.having(name, after))


def untag(scene: Scene) -> Step | None:
    name = scene.some_file(tagged=True)
    if name is None:
        return None
    file = scene.picture.files[name]
    term = scene.dice.choice(sorted(file.terms))
    after = replace(file, terms=file.terms - {term})
    return Step((scene.term(term) / name).unlink, scene.picture.having(name, after))


def trash(scene: Scene) -> Step | None:
    """rm in the inbox: the bytes are kept."""
    name = scene.some_file(inbox=True, tagged=False)
    if name is None or len(scene.picture.files) < FEW:
        return None
    after = scene.picture.without(name)
    gone = after.gone | {scene.picture.files[name].digest}
    return Step((scene.root / "inbox" / name).unlink, replace(after, gone=gone))


def define_term(scene: Scene) -> Step | None:
    if len(scene.picture.terms) >= TERMS:
        return None
    name = scene.new_name("")
    return Step(scene.term(name).mkdir, replace(scene.picture, terms=scene.picture.terms | {name}))


def remove_term(scene: Scene) -> Step | None:
    used = frozenset(term for file in scene.picture.files.values() for term in file.terms)
    name = scene.some_term(other_than=used)
    if name is None:
        return None
    return Step(scene.term(name).rmdir, replace(scene.picture, terms=scene.picture.terms - {name}))


def rename_term(scene: Scene) -> Step | None:
    old = scene.some_term()
    if old is None:
        return None
    new = scene.new_name("")
    files = {
        name: replace(file, terms=frozenset(new if term == old else term for term in file.terms))
        for name, file in scene.picture.files.items()
    }
    after = replace(scene.picture, files=files, terms=scene.picture.terms - {old} | {new})
    return Step(lambda: scene.term(old).rename(scene.term(new)), after)


def look(scene: Scene) -> Step | None:
    """Reading changes nothing, and what it finds is right."""
    name = scene.some_file()
    if name is None:
        return None
    file = scene.picture.files[name]

    def do() -> None:
        found = digest_of((directory_of(scene, file) / name).read_bytes())
        assert found == file.digest, f"{name} reads as other bytes"

    return Step(do, scene.picture)


STEPS: tuple[Callable[[Scene], Step | None], ...] = (
    copy_in, copy_in, copy_in, download, record, rename, triage, triage, tag, retag, untag, trash, define_term,
    remove_term, rename_term, look, look,
)  # fmt: skip
"""Equally likely; to come: overwriting (``File.kept``), folders below originals/library/, restoring from the trash."""


class Program(threading.Thread):
    """Takes steps until it is told to stop or the daemon dies.

    ``doubt``: the picture after the step that failed, if one did. ``wrong``: what must not happen at all.
    """

    def __init__(self, scene: Scene) -> None:
        super().__init__(daemon=True)
        self.scene = scene
        self.doubt: Picture | None = None
        self.wrong: BaseException | None = None
        self.steps = 0
        self.ending = threading.Event()

    def run(self) -> None:
        try:
            for step in self._chosen():
                try:
                    step.do()
                except OSError as error:
                    if error.errno not in DEAD:
                        raise
                    self.doubt = step.after
                    return
                self.scene.picture = step.after
                self.steps += 1
        except (OSError, AssertionError) as error:
            self.wrong = error

    def _chosen(self) -> Iterator[Step]:
        while not self.ending.is_set():
            step = self.scene.dice.choice(STEPS)(self.scene)
            if step is not None:
                yield step
