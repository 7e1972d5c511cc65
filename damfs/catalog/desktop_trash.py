"""What file managers keep in .Trash-<uid>: names of assets in files/, small texts in info/.

Point reads, or inside a transaction; functions named ``list_…`` may scan (reader thread).
"""

from __future__ import annotations

from typing import NamedTuple

from damfs.catalog.database import Connection
from damfs.model import AssetId


class Named(NamedTuple):
    """An asset as a file manager called it."""

    name: str
    asset: AssetId
    size: int
    mtime_ns: int
    mode: int


NAMED = "SELECT n.name, n.asset, a.size, a.mtime_ns, a.mode FROM trash_name AS n JOIN asset AS a ON a.id = n.asset"


def named(connection: Connection, uid: int, name: str) -> Named | None:
    row = connection.row(NAMED + " WHERE n.uid = ? AND n.name = ?", uid, name)
    return None if row is None else Named._make(row)


def list_named(connection: Connection, uid: int) -> list[Named]:
    return [Named._make(row) for row in connection.rows(NAMED + " WHERE n.uid = ? ORDER BY n.name", uid)]


def name_of(connection: Connection, asset: AssetId) -> tuple[int, str] | None:
    """Whose trash has the asset, under which name."""
    row = connection.row("SELECT uid, name FROM trash_name WHERE asset = ?", asset)
    return None if row is None else (row[0], row[1])


def set_name(tx: Connection, uid: int, name: str, asset: AssetId) -> None:
    tx.run("DELETE FROM trash_name WHERE asset = ?", asset)
    tx.run("INSERT INTO trash_name (uid, name, asset) VALUES (?, ?, ?)", uid, name, asset)


def drop_name(tx: Connection, asset: AssetId) -> None:
    tx.run("DELETE FROM trash_name WHERE asset = ?", asset)


class Note(NamedTuple):
    id: int
    uid: int
    name: str
    size: int
    at_ns: int


NOTE = "SELECT id, uid, name, length(content), at_ns FROM trash_note"


def note(connection: Connection, id_: int) -> Note | None:
    row = connection.row(NOTE + " WHERE id = ?", id_)
    return None if row is None else Note._make(row)


def note_named(connection: Connection, uid: int, name: str) -> Note | None:
    row = connection.row(NOTE + " WHERE uid = ? AND name = ?", uid, name)
    return None if row is None else Note._make(row)


def list_notes(connection: Connection, uid: int) -> list[Note]:
    return [Note._make(row) for row in connection.rows(NOTE + " WHERE uid = ? ORDER BY name", uid)]


def content_of(connection: Connection, id_: int) -> bytes | None:
    return connection.value(bytes, "SELECT content FROM trash_note WHERE id = ?", id_)


def make_note(tx: Connection, uid: int, name: str, at_ns: int) -> int:
    return tx.insert("INSERT INTO trash_note (uid, name, content, at_ns) VALUES (?, ?, x'', ?)", uid, name, at_ns)


def write_note(tx: Connection, id_: int, content: bytes, at_ns: int) -> None:
    tx.run("UPDATE trash_note SET content = ?, at_ns = ? WHERE id = ?", content, at_ns, id_)


def rename_note(tx: Connection, id_: int, name: str) -> None:
    """In place of one that has the name."""
    tx.run("DELETE FROM trash_note WHERE name = ? AND uid = (SELECT uid FROM trash_note WHERE id = ?)", name, id_)
    tx.run("UPDATE trash_note SET name = ? WHERE id = ?", name, id_)


def drop_note(tx: Connection, uid: int, name: str) -> None:
    tx.run("DELETE FROM trash_note WHERE uid = ? AND name = ?", uid, name)
