"""Steps of programs that are killed (see `kill_load`): files written again, described, trashed and restored."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.mount.kill_load import FEW, File, Scene, Step, Writing, digest_of
from tests.mount.kill_steps import write

VERSIONS = 6
"""So often a file is written again."""


def overwrite(scene: Scene) -> Step | None:
    """`cp` over it: O_TRUNC and new bytes."""
    name = _one_to_write(scene)
    if name is None:
        return None
    path, content = scene.shown_at(name), scene.content_of(Path(name).suffix)
    return _written(scene, name, Writing(content, over=True), lambda: os.open(path, os.O_WRONLY | os.O_TRUNC))


def patch(scene: Scene) -> Step | None:
    """Bytes in the middle, or behind the end."""
    name = _one_to_write(scene)
    if name is None or not name.endswith(".txt"):
        return None
    path = scene.shown_at(name)
    base = path.read_bytes()
    new = scene.content_of(".txt")
    writing = Writing(new, base=base, offset=scene.dice.randrange(len(base)), over=True)
    return _written(scene, name, writing, lambda: os.open(path, os.O_WRONLY))


def _one_to_write(scene: Scene) -> str | None:
    name = scene.some_file()
    if name is None or len(scene.picture.files[name].kept) >= VERSIONS or not scene.has_arrived(name):
        return None
    return name


def _written(scene: Scene, name: str, writing: Writing, open_: Callable[[], int]) -> Step:
    sync = scene.dice.random() < 0.3

    def do() -> None:
        fd = open_()
        scene.writing[name] = writing
        try:
            os.lseek(fd, writing.offset, os.SEEK_SET)
            write(fd, writing.content)
            if sync:
                os.fsync(fd)
                scene.writing[name] = replace(writing, synced=len(writing.content))
        finally:
            os.close(fd)
        del scene.writing[name]

    return Step(do, scene.picture.having(name, _next_version(scene, name, writing.written(len(writing.content)))))


def _next_version(scene: Scene, name: str, content: bytes) -> File:
    file, digest = scene.picture.files[name], digest_of(content)
    if digest == file.digest:
        return file
    return replace(file, digest=digest, kept=file.kept | {file.digest})


def save(scene: Scene) -> Step | None:
    """As editors do: a temporary file beside it, renamed over it."""
    name = _one_to_write(scene)
    if name is None or not scene.places(scene.picture.files[name]):
        return None
    directory, content = scene.dice.choice(scene.places(scene.picture.files[name])), scene.content_of(Path(name).suffix)
    writing, sync = Writing(content, over=True), scene.dice.random() < 0.5

    def do() -> None:
        part = directory / (name + ".part")
        scene.writing[name] = writing
        with part.open("xb", buffering=0) as file:
            write(file.fileno(), content)
            if sync:
                os.fsync(file.fileno())
                scene.writing[name] = replace(writing, synced=len(content))
        part.rename(directory / name)
        del scene.writing[name]

    return Step(do, scene.picture.having(name, _next_version(scene, name, content)))


def set_tags(scene: Scene) -> Step | None:
    """A file manager writes all tags of a file at once."""
    name, terms = scene.some_file(), sorted(scene.picture.terms)
    if name is None or not terms:
        return None
    path, given = scene.shown_at(name), scene.dice.sample(terms, scene.dice.randint(1, len(terms)))
    after = replace(scene.picture.files[name], terms=frozenset(given))
    return Step(
        lambda: os.setxattr(path, "user.xdg.tags", ",".join(given).encode()), scene.picture.having(name, after)
    )  # fmt: skip


def comment(scene: Scene) -> Step | None:
    name = scene.some_file()
    if name is None:
        return None
    path, text = scene.shown_at(name), f"take {scene.dice.randrange(1000)}"
    after = replace(scene.picture.files[name], comment=text)
    return Step(lambda: os.setxattr(path, "user.xdg.comment", text.encode()), scene.picture.having(name, after))


def remove(scene: Scene) -> Step | None:
    """rm in the inbox: into the trash, bytes and all."""
    name = scene.some_file(inbox=True, tagged=False)
    if name is None or len(scene.picture.files) < FEW or not scene.has_arrived(name):
        return None
    return Step((scene.root / "inbox" / name).unlink, scene.picture.trashing(name))


def trash(scene: Scene) -> Step | None:
    """mv into trash/, from wherever it is shown."""
    name = scene.some_file()
    if name is None or len(scene.picture.files) < FEW or not scene.has_arrived(name):
        return None
    path = scene.shown_at(name)
    return Step(lambda: path.rename(scene.root / "trash" / name), scene.picture.trashing(name))


def restore(scene: Scene) -> Step | None:
    """mv out of trash/ into the inbox."""
    name = scene.dice.choice(sorted(scene.picture.trashed)) if scene.picture.trashed else None
    if name is None:
        return None
    file = replace(scene.picture.trashed[name], inbox=True)
    after = scene.picture.restoring(name, file)
    return Step(
        lambda: (scene.root / "trash" / name).rename(scene.root / "inbox" / name),
        replace(after, folders=after.folders | with_above(file.folder)),
    )  # fmt: skip


def with_above(folder: str | None) -> frozenset[str]:
    """A folder and those that it lies in."""
    parts = [] if folder is None else folder.split("/")
    return frozenset("/".join(parts[:length]) for length in range(1, len(parts) + 1))


STEPS = (overwrite, overwrite, patch, save, save, set_tags, comment, remove, trash, restore)
