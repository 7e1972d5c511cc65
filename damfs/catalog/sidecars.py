"""Sidecars: which asset stands beside which original and speaks of it, and what it said last.

Point reads, or inside a transaction; functions named ``list_…`` may scan (reader thread).
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from damfs.catalog.database import Connection, Row
from damfs.catalog.stores import COPY, copy_of_row
from damfs.model import AssetId, Copy, Digest, Facts, FolderId, StoreId

COLUMNS = "s.asset, s.original, s.digest, s.own, s.said, s.problem"
NOTHING = Digest(b"")
ENDING = b".xmp"


class Sidecar(NamedTuple):
    asset: AssetId
    original: AssetId
    digest: Digest
    """Of the bytes that were read or written last; NOTHING: none yet."""
    own: bool
    """Whether damfs wrote them."""
    said: Facts
    problem: str


def _sidecar(row: Row) -> Sidecar:
    asset, original, digest, own, said, problem = row
    return Sidecar(asset, original, digest, bool(own), msgspec.json.decode(said, type=dict[str, object]), problem)


def of(connection: Connection, asset: AssetId) -> Sidecar | None:
    row = connection.row(f"SELECT {COLUMNS} FROM sidecar AS s WHERE s.asset = ?", asset)  # noqa: S608  # constant columns
    return None if row is None else _sidecar(row)


def of_original(connection: Connection, original: AssetId) -> list[Sidecar]:
    rows = connection.rows(f"SELECT {COLUMNS} FROM sidecar AS s WHERE s.original = ? ORDER BY s.asset", original)  # noqa: S608  # as above
    return [_sidecar(row) for row in rows]


def link(tx: Connection, asset: AssetId, original: AssetId) -> None:
    """From now on it speaks of that one; nothing of it was read yet, unless it stood beside it before."""
    unlink(tx, asset)
    tx.run(
        "INSERT INTO sidecar (asset, original, digest, own, said, problem)"
        " SELECT asset, original, digest, own, said, problem FROM parted_sidecar WHERE asset = ?1 AND original = ?2"
        " UNION ALL SELECT ?1, ?2, x'', 0, '{}', '' LIMIT 1",
        asset,
        original,
    )
    tx.run("DELETE FROM parted_sidecar WHERE asset = ? AND original = ?", asset, original)


def unlink(tx: Connection, asset: AssetId) -> None:
    """It speaks of nothing now. What it said is kept for when it stands beside that original again."""
    tx.run(
        "INSERT OR REPLACE INTO parted_sidecar (asset, original, digest, own, said, problem)"
        " SELECT asset, original, digest, own, said, problem FROM sidecar WHERE asset = ? AND digest <> x''",
        asset,
    )
    tx.run("DELETE FROM sidecar WHERE asset = ?", asset)


def note(tx: Connection, asset: AssetId, digest: Digest, said: Facts, *, own: bool) -> None:
    """Both are in step."""
    text = msgspec.json.encode(said).decode()
    tx.run(
        "UPDATE sidecar SET digest = ?, own = ?, said = ?, problem = '' WHERE asset = ?", digest, int(own), text, asset
    )


def note_problem(tx: Connection, asset: AssetId, digest: Digest, problem: str) -> None:
    """These bytes could not be read; what was said before them still counts as said."""
    tx.run("UPDATE sidecar SET digest = ?, own = 0, problem = ? WHERE asset = ?", digest, problem, asset)


def list_all(connection: Connection) -> list[AssetId]:
    return [asset for (asset,) in connection.rows("SELECT asset FROM sidecar ORDER BY asset")]


def list_unread(connection: Connection) -> list[AssetId]:
    """Those whose bytes are others than were read or written last, and can be read now."""
    rows = connection.rows(
        "SELECT s.asset FROM sidecar AS s JOIN asset AS a ON a.id = s.asset JOIN blob AS b ON b.id = a.blob"
        " WHERE a.state = 'present' AND b.digest <> s.digest ORDER BY s.asset"
    )
    return [asset for (asset,) in rows]


def problems(connection: Connection, limit: int) -> dict[AssetId, str]:
    """Why some could not be read."""
    return dict(connection.rows("SELECT asset, problem FROM sidecar WHERE problem <> '' ORDER BY asset LIMIT ?", limit))


def due_reason(connection: Connection, original: AssetId) -> str:
    """Why the last attempt to write what is said of it failed; '': it did not."""
    return connection.value(str, "SELECT reason FROM sidecar_due WHERE asset = ?", original) or ""


def set_due(tx: Connection, original: AssetId, reason: str) -> None:
    """'': all that is said of it is written."""
    tx.run("DELETE FROM sidecar_due WHERE asset = ?", original)
    if reason:
        tx.run("INSERT INTO sidecar_due (asset, reason) SELECT id, ? FROM asset WHERE id = ?", reason, original)


def due(connection: Connection, limit: int = -1) -> dict[AssetId, str]:
    """Originals of which something is to be written once more, with the reasons."""
    return dict(connection.rows("SELECT asset, reason FROM sidecar_due ORDER BY asset LIMIT ?", limit))


def list_files(connection: Connection, store: StoreId) -> list[AssetId]:
    """Assets with a file in the store that is called like a sidecar, or that was one. Scans the store's copies."""
    rows = connection.rows(
        "SELECT asset FROM copy WHERE store = ?1 AND state = 'present'"
        " AND lower(CAST(substr(name, -4) AS TEXT)) = '.xmp'"
        " UNION SELECT s.asset FROM sidecar AS s JOIN copy AS c ON c.asset = s.asset WHERE c.store = ?1 ORDER BY 1",
        store,
    )
    return [asset for (asset,) in rows]


def list_spoken_of(connection: Connection) -> list[AssetId]:
    """Visible assets with a file in a writable store of which people have said something, and that are no sidecars."""
    rows = connection.rows(
        "SELECT a.id FROM asset AS a WHERE a.state = 'present' AND a.id NOT IN (SELECT asset FROM sidecar)"
        " AND (EXISTS (SELECT 1 FROM tagging WHERE asset = a.id AND source = 'person')"
        "  OR EXISTS (SELECT 1 FROM remark WHERE asset = a.id AND (rating > 0 OR comment <> ''))"
        "  OR EXISTS (SELECT 1 FROM attribute WHERE asset = a.id AND name = CAST('user.xmp.label' AS BLOB)))"
        " AND EXISTS (SELECT 1 FROM copy AS c JOIN store AS s ON s.id = c.store AND s.kind = 'writable'"
        "  WHERE c.asset = a.id AND c.blob = a.blob AND c.state = 'present') ORDER BY a.id"
    )
    return [asset for (asset,) in rows]


def copies_with_stem(connection: Connection, folder: FolderId, stem: bytes) -> list[Copy]:
    """The files of a folder called ``stem`` with any ending: a range of one index."""
    rows = connection.rows(
        f"SELECT {COPY} FROM copy AS c WHERE folder = ? AND name >= ? AND name < ? AND state = 'present' ORDER BY name",  # noqa: S608  # as above
        folder,
        stem + b".",
        stem + b"/",
    )
    return [copy_of_row(row) for row in rows]


def last_said_ns(connection: Connection, asset: AssetId, kind: str) -> int:
    """When a change of that kind was last made to the asset; 0: never. Scans the feed."""
    return connection.integer("SELECT max(at_ns) FROM change WHERE asset = ? AND kind = ?", asset, kind)
