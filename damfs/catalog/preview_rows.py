"""The previews of the files of a folder: renditions of what each file holds now. Point reads; ``list_…`` may scan."""

from __future__ import annotations

from typing import NamedTuple

from damfs.catalog.database import Connection
from damfs.model import CopyId, FolderId, RenditionId, RenditionKind


class ShownPreview(NamedTuple):
    name: bytes
    """Name of the original in its folder."""
    copy: CopyId
    kind: RenditionKind
    profile: str
    rendition: RenditionId
    key: str
    size: int
    made_ns: int
    cells: int
    """Pictures in it, where its maker said so."""


SELECT = (
    "SELECT c.name, c.id, r.kind, r.profile, r.id, r.key, r.size, r.made_ns,"
    " coalesce(json_extract(r.detail, '$.cells'), 0)"
    " FROM copy AS c JOIN asset AS a ON a.id = c.asset CROSS JOIN rendition AS r ON r.blob = c.blob"
    " WHERE c.state <> 'missing' AND a.visible AND c.blob = a.blob"
    " AND r.kind IN ('poster', 'contact-sheet', 'sprite', 'waveform')"
)
"""CROSS: the files lead to the renditions, not the other way round."""


def list_previews(connection: Connection, folder: FolderId) -> list[ShownPreview]:
    return _read(connection, " AND c.folder = ? ORDER BY c.name, r.id", folder)


def of_file(connection: Connection, folder: FolderId, name: bytes) -> list[ShownPreview]:
    return _read(connection, " AND c.folder = ? AND c.name = ? ORDER BY r.id", folder, name)


def of_copy(connection: Connection, copy: CopyId) -> list[ShownPreview]:
    return _read(connection, " AND c.id = ? ORDER BY r.id", copy)


def folder_of(connection: Connection, copy: CopyId) -> FolderId | None:
    found = connection.value(int, "SELECT folder FROM copy WHERE id = ?", copy)
    return None if found is None else FolderId(found)


def _read(connection: Connection, where: str, *values: object) -> list[ShownPreview]:
    rows = connection.rows(SELECT + where, *values)
    return [ShownPreview(name, copy, RenditionKind(kind), *rest) for name, copy, kind, *rest in rows]
