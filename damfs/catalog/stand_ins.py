"""What stands in for an original in an editor: the proxy that the camera made itself, else the one that was encoded.

Point reads (each finds its rows by an index), but for functions named ``list_…``. A camera's proxy is an asset of its
own; which it is stands in the facts ``camera_proxy`` of the original's bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from damfs.catalog.database import Connection, Row
from damfs.model import AssetId, BlobId, CopyId, FolderId

CAMERA_ENDING = ".mp4"
"""Cameras call their proxies .LRV or .LRF; they hold MP4."""


Profiles = Sequence[str]
"""Of which a proxy may be, first choice first."""


class StandIn(NamedTuple):
    copy: CopyId
    name: bytes
    """Name of the original in its folder."""
    asset: AssetId
    """The original."""
    is_asset: bool
    """Whether ``id`` is that of an asset; else of a rendition."""
    id: int
    ending: str
    size: int
    at_ns: int
    mode: int | None
    """None: of a rendition."""
    height: int | None
    original_height: int | None


COLUMNS = (
    "c.id, c.name, c.asset, r.id, r.key, r.size, r.made_ns, p.id, p.size, p.mtime_ns, p.mode,"
    " iif(p.id IS NULL, json_extract(r.detail, '$.height'),"
    "  (SELECT json_extract(facts, '$.height') FROM fact WHERE blob = p.blob AND processor = 'probe')),"
    " (SELECT json_extract(facts, '$.height') FROM fact WHERE blob = a.blob AND processor = 'probe')"
)
JOINED = (
    " LEFT JOIN rendition AS r ON r.id = (SELECT m.id FROM rendition AS m, json_each(?1) AS w"
    "  WHERE m.blob = a.blob AND m.kind = 'proxy' AND m.profile = w.value ORDER BY w.key LIMIT 1)"
    " LEFT JOIN asset AS p ON p.id = (SELECT min(q.id) FROM fact AS f"
    "  JOIN blob AS b ON b.digest = unhex(json_extract(f.facts, '$.proxy')) JOIN asset AS q ON q.blob = b.id"
    "  WHERE f.blob = a.blob AND f.processor = 'camera_proxy' AND q.visible)"
    " WHERE c.state <> 'missing' AND a.visible AND c.blob = a.blob AND (r.id IS NOT NULL OR p.id IS NOT NULL)"
)
STAND_INS = "SELECT " + COLUMNS + " FROM copy AS c JOIN asset AS a ON a.id = c.asset" + JOINED  # noqa: S608  # constants
HASHED = (
    "SELECT " + COLUMNS + ", json_extract(h.facts, '$.md5') FROM fact AS h JOIN asset AS a ON a.blob = h.blob"  # noqa: S608  # as above
    " JOIN copy AS c ON c.asset = a.id" + JOINED + " AND h.processor = 'editor_hash'"
)
ORDER = " ORDER BY c.asset, c.id"


def _stand_in(row: Row) -> StandIn:
    copy, name, asset, rendition, key, size, made_ns, camera, camera_size, camera_ns, mode, height, whole = row
    if camera is not None:
        return StandIn(copy, name, asset, True, camera, CAMERA_ENDING, camera_size, camera_ns, mode, height, whole)
    ending = "." + key.rpartition(".")[2]
    return StandIn(copy, name, asset, False, rendition, ending, size, made_ns, None, height, whole)


def list_of_folder(connection: Connection, profiles: Profiles, folder: FolderId) -> list[StandIn]:
    rows = connection.rows(STAND_INS + " AND c.folder = ?2" + ORDER, _text(profiles), folder)
    return [_stand_in(row) for row in rows]


def of_copy(connection: Connection, profiles: Profiles, copy: CopyId) -> StandIn | None:
    row = connection.row(STAND_INS + " AND c.id = ?2", _text(profiles), copy)
    return None if row is None else _stand_in(row)


def is_any(connection: Connection, profiles: Profiles, folder: FolderId) -> bool:
    """Whether anything in a folder has one."""
    return connection.row(STAND_INS + " AND c.folder = ?2 LIMIT 1", _text(profiles), folder) is not None


def of_asset(connection: Connection, profiles: Profiles, folder: FolderId, asset: AssetId) -> list[StandIn]:
    sql = STAND_INS + " AND c.folder = ?2 AND c.asset = ?3" + ORDER
    return [_stand_in(row) for row in connection.rows(sql, _text(profiles), folder, asset)]


def of_stem(connection: Connection, profiles: Profiles, folder: FolderId, stem: bytes) -> list[StandIn]:
    """Of originals called ``stem`` with any ending (or none), by asset: a range of one index."""
    sql = STAND_INS + " AND c.folder = ?2 AND (c.name = ?3 OR c.name >= ?4 AND c.name < ?5)" + ORDER
    rows = connection.rows(sql, _text(profiles), folder, stem, stem + b".", stem + b"/")
    return [_stand_in(row) for row in rows]


REFUSED = (
    "SELECT c.name FROM copy AS c JOIN blob AS own ON own.id = c.blob"
    " JOIN fact AS f ON f.blob = c.blob AND f.processor = 'camera_pair'"
    " JOIN blob AS b ON b.digest = unhex(json_extract(f.facts, '$.of'))"
    " JOIN fact AS j ON j.blob = b.id AND j.processor = 'camera_proxy'"
    " WHERE c.folder = ?1 AND json_extract(j.facts, '$.refused.\"' || lower(hex(own.digest)) || '\"') NOT NULL"
)


def list_refused(connection: Connection, folder: FolderId) -> set[bytes]:
    """Names of files in a folder that are a camera's copies and do not conform."""
    return {name for (name,) in connection.rows(REFUSED, folder)}


def is_refused(connection: Connection, folder: FolderId, name: bytes) -> bool:
    return connection.row(REFUSED + " AND c.name = ?2", folder, name) is not None


def list_widowed(connection: Connection) -> list[BlobId]:
    """Clips of which a copy by the camera is gone (or in the trash), and such copies whose clip is; and those of whose
    pair nothing is noted."""
    rows = connection.rows(
        "SELECT f.blob FROM fact AS f WHERE f.processor = 'camera_pair' AND EXISTS"
        " (SELECT 1 FROM (SELECT value FROM json_each(f.facts, '$.proxies') UNION ALL"
        "   SELECT json_extract(f.facts, '$.of') AS value) AS w WHERE w.value NOT NULL AND NOT EXISTS"
        "  (SELECT 1 FROM blob AS b JOIN asset AS q ON q.blob = b.id WHERE b.digest = unhex(w.value) AND q.visible))"
        " UNION SELECT f.blob FROM fact AS f WHERE f.processor = 'camera_proxy'"
        "  AND NOT EXISTS (SELECT 1 FROM fact AS p WHERE p.blob = f.blob AND p.processor = 'camera_pair')"
    )
    return [BlobId(blob) for (blob,) in rows]


def list_unpaired(connection: Connection) -> list[BlobId]:
    """Files called as cameras call their small copies, of which no clip is known."""
    rows = connection.rows(
        "SELECT DISTINCT c.blob FROM copy AS c WHERE c.state = 'present' AND c.blob NOT NULL"
        " AND (lower(substr(CAST(c.name AS TEXT), -4)) IN ('.lrv', '.lrf')"
        "  OR lower(substr(CAST(c.name AS TEXT), -7)) = 's03.mp4')"
        " AND NOT EXISTS (SELECT 1 FROM fact AS f WHERE f.blob = c.blob AND f.processor = 'camera_pair')"
    )
    return [BlobId(blob) for (blob,) in rows]


def of_hash(connection: Connection, profiles: Profiles, digest: str) -> StandIn | None:
    """Of an original that Shotcut and Kdenlive know by that hash (see the processor `editor_hash`)."""
    sql = HASHED + " AND json_extract(h.facts, '$.md5') = ?2" + ORDER + " LIMIT 1"
    row = connection.row(sql, _text(profiles), digest)
    return None if row is None else _stand_in(row[:-1])


def list_hashes(connection: Connection, profiles: Profiles) -> list[tuple[str, StandIn]]:
    """All that are known by a hash, each once."""
    found: dict[str, StandIn] = {}
    for *row, md5 in connection.rows(HASHED + ORDER, _text(profiles)):
        found.setdefault(md5, _stand_in(tuple(row)))
    return list(found.items())


def _text(names: Profiles) -> str:
    return msgspec.json.encode(list(names)).decode()
