"""Steps of programs that are killed (see `kill_load`): files received, tagged, renamed, read, and their terms."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from tests.mount.kill_load import LARGEST, MANY, TERMS, File, Scene, Step, Writing, digest_of


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
    """Where it is shown; what lies in a folder of the program's, there: elsewhere only the asset gets another name."""
    name = scene.some_file()
    if name is None or not scene.places(scene.picture.files[name]):
        return None
    file, new = scene.picture.files[name], scene.new_name(Path(name).suffix)
    if file.folder is None:
        directory, after = scene.dice.choice(scene.places(file)), file
    else:  # who arranges it there has triaged it
        directory, after = scene.folder(file.folder), replace(file, inbox=False)
    return Step(
        lambda: (directory / name).rename(directory / new), scene.picture.without(name).having(new, after)
    )  # fmt: skip


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


def define_term(scene: Scene) -> Step | None:
    if len(scene.picture.terms) >= TERMS:
        return None
    name = scene.new_name("")
    return Step(scene.term(name).mkdir, replace(scene.picture, terms=scene.picture.terms | {name}))


def remove_term(scene: Scene) -> Step | None:
    there = [*scene.picture.files.values(), *scene.picture.trashed.values()]
    used = frozenset(term for file in there for term in file.terms)
    name = scene.some_term(other_than=used)
    if name is None:
        return None
    return Step(scene.term(name).rmdir, replace(scene.picture, terms=scene.picture.terms - {name}))


def rename_term(scene: Scene) -> Step | None:
    old = scene.some_term()
    if old is None:
        return None
    new = scene.new_name("")

    def renamed(file: File) -> File:
        return replace(file, terms=frozenset(new if term == old else term for term in file.terms))

    files = {name: renamed(file) for name, file in scene.picture.files.items()}
    trashed = {name: renamed(file) for name, file in scene.picture.trashed.items()}
    terms = scene.picture.terms - {old} | {new}
    after = replace(scene.picture, files=files, trashed=trashed, terms=terms)
    return Step(lambda: scene.term(old).rename(scene.term(new)), after)


def look(scene: Scene) -> Step | None:
    """Reading changes nothing, and what it finds is right."""
    name = scene.some_file()
    if name is None:
        return None
    file = scene.picture.files[name]

    def do() -> None:
        found = digest_of(scene.shown_at(name).read_bytes())
        assert found == file.digest, f"{name} reads as other bytes"

    return Step(do, scene.picture)


STEPS = (
    copy_in, copy_in, copy_in, download, record, rename, triage, triage, tag, retag, untag, define_term, remove_term,
    rename_term, look, look,
)  # fmt: skip
