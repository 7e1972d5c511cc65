"""Steps of programs that are killed (see `kill_load`): folders and files arranged in originals/library/."""

from __future__ import annotations

import os
from dataclasses import replace

from tests.mount.kill_load import FEW, MANY, File, Picture, Scene, Step, Writing, digest_of
from tests.mount.kill_steps import write

FOLDERS = 8
DEPTH = 3


def make(scene: Scene) -> Step | None:
    if len(scene.picture.folders) >= FOLDERS:
        return None
    path = _new_path(scene, scene.some_folder())
    after = replace(scene.picture, folders=scene.picture.folders | {path})
    return Step(scene.folder(path).mkdir, after)


def _new_path(scene: Scene, above: str | None) -> str:
    name = scene.new_name("")
    is_top = above is None or above.count("/") + 1 >= DEPTH or scene.dice.random() < 0.4
    return name if is_top else f"{above}/{name}"


def _is_empty(picture: Picture, folder: str) -> bool:
    return not any(file.folder == folder for file in picture.files.values()) and not any(
        other.startswith(folder + "/") for other in picture.folders
    )


def _empty(scene: Scene) -> str | None:
    empty = [folder for folder in sorted(scene.picture.folders) if _is_empty(scene.picture, folder)]
    return scene.dice.choice(empty) if empty else None


def remove(scene: Scene) -> Step | None:
    folder = _empty(scene)
    if folder is None:
        return None
    return Step(scene.folder(folder).rmdir, replace(scene.picture, folders=scene.picture.folders - {folder}))


def rename(scene: Scene) -> Step | None:
    """With all that is in it, to another place; also over an empty folder."""
    old = scene.some_folder()
    if old is None:
        return None
    empty = _empty(scene)
    new = empty if empty is not None and scene.dice.random() < 0.3 else _new_path(scene, scene.some_folder())
    if f"{new}/".startswith(f"{old}/") or f"{old}/".startswith(f"{new}/"):
        return None

    def moved(path: str) -> str:
        return new + path[len(old) :] if f"{path}/".startswith(f"{old}/") else path

    files = {
        name: file if file.folder is None else replace(file, folder=moved(file.folder))
        for name, file in scene.picture.files.items()
    }
    after = replace(scene.picture, files=files, folders=frozenset(map(moved, scene.picture.folders)) | {new})
    return Step(lambda: os.rename(scene.folder(old), scene.folder(new)), after)


def copy_in(scene: Scene) -> Step | None:
    folder = scene.some_folder()
    if folder is None or len(scene.picture.files) >= MANY:
        return None
    content, suffix = scene.content()
    name = scene.new_name(suffix)

    def do() -> None:
        scene.writing[name] = Writing(content)
        with (scene.folder(folder) / name).open("xb", buffering=0) as file:
            write(file.fileno(), content)
        del scene.writing[name]

    return Step(do, scene.picture.having(name, File(digest_of(content), inbox=False, folder=folder)))


def move(scene: Scene) -> Step | None:
    """A file into a folder: from another, from the inbox (triaged), from a term (untagged)."""
    name, folder = scene.some_file(), scene.some_folder()
    if name is None or folder is None or scene.picture.files[name].folder == folder:
        return None
    file = scene.picture.files[name]
    places = scene.places(file)
    if not places:
        return None
    source = scene.dice.choice(places)
    after = replace(file, inbox=False, folder=folder)
    if source.parent.name == "by-tag":
        after = replace(after, terms=file.terms - {source.name})
    return Step(lambda: (source / name).rename(scene.folder(folder) / name), scene.picture.having(name, after))


def remove_file(scene: Scene) -> Step | None:
    """rm: into the trash, whatever else it is shown in."""
    name = scene.some_file(placed=True)
    if name is None or len(scene.picture.files) < FEW or not scene.has_arrived(name):
        return None
    folder = scene.picture.files[name].folder
    assert folder is not None
    return Step((scene.folder(folder) / name).unlink, scene.picture.trashing(name))


def restore(scene: Scene) -> Step | None:
    """mv out of trash/ into a folder."""
    folder = scene.some_folder()
    name = scene.dice.choice(sorted(scene.picture.trashed)) if scene.picture.trashed else None
    if name is None or folder is None:
        return None
    after = replace(scene.picture.trashed[name], folder=folder)
    return Step(
        lambda: (scene.root / "trash" / name).rename(scene.folder(folder) / name), scene.picture.restoring(name, after)
    )  # fmt: skip


STEPS = (make, make, remove, rename, copy_in, copy_in, move, move, remove_file, restore)
