"""What has to hold of a library whose jobs are done: catalog, originals, renditions and staging tell the same story."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from damfs.storage.tree_walk import NOTES
from tests.mount.daemon_process import Daemon, rows

T = TypeVar("T")


def check_consistent(dam: Daemon) -> None:
    """No original without a row, no row without its file; nothing left over of what was under way."""
    originals, renditions = dam.library / "originals", dam.library / "state/renditions"
    files = {os.fsencode(path.relative_to(originals)) for path in originals.rglob("*") if is_original(path)}
    agree("originals", files, library_keys(dam.library))
    made = {str(path.relative_to(renditions)) for path in renditions.rglob("*") if path.is_file()}
    agree("renditions", made, {str(key) for (key,) in rows(dam.library, "SELECT key FROM rendition")})
    receiving = {str(id_) for (id_,) in rows(dam.library, "SELECT id FROM asset WHERE state = 'receiving'")}
    agree("staging", set(os.listdir(dam.library / "state/staging")), receiving)
    work = dam.library / "state/work"
    agree("work", {str(path) for path in work.rglob("*")}, set())
    lost = rows(dam.library, "SELECT name FROM asset a WHERE state = 'present'"
                " AND NOT EXISTS (SELECT 1 FROM copy WHERE asset = a.id AND state = 'present')")  # fmt: skip
    assert lost == [], f"present without a copy: {lost}"


def agree(what: str, files: set[T], known: set[T]) -> None:
    assert files == known, f"{what}: on disk only {files - known}, in the catalog only {known - files}"


def library_keys(library: Path) -> set[bytes]:
    """Keys of every present copy of the writable store."""
    folders = {id_: (parent, name) for id_, parent, name in rows(library, "SELECT id, parent, name FROM folder")}
    found = set()
    for folder, name in rows(
        library, "SELECT folder, c.name FROM copy c JOIN store s ON s.id = c.store"
        " WHERE s.name = 'library' AND c.state = 'present'"
    ):  # fmt: skip
        parts = [name]
        while folders[folder][0] is not None:
            folder, part = folders[folder]
            parts.append(part)
        found.add(b"/".join(part for part in reversed(parts) if isinstance(part, bytes)))
    return found


def is_original(path: Path) -> bool:
    """Whether it is a file of a person, and not one that the store keeps for itself."""
    return path.is_file() and not path.name.startswith(os.fsdecode(NOTES))
