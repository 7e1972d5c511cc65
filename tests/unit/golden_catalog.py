"""Writes the dump of a small catalog of the present schema; once released it is never written again.

python -m tests.unit.golden_catalog > tests/unit/golden/schema-3.sql
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import apsw

from damfs.catalog import (
    assets,
    derived,
    desktop_trash,
    duplicates,
    folders,
    job_table,
    proposals,
    remarks,
    rewrites,
    saved_searches,
    sidecars,
    spaces,
    stores,
    term_names,
    trash,
    vocabulary,
)
from damfs.catalog.change_feed import Recorder
from damfs.catalog.database import Connection
from damfs.catalog.migrations import SCHEMA_VERSION, open_catalog, schema_text
from damfs.catalog.predicates import tag_facet
from damfs.catalog.proposals import Origin
from damfs.catalog.term_names import Detail, Label
from damfs.model import TRASH_FOLDER, AssetState, Digest, Key, Media, RenditionKind, StoreKind, TagSource
from tests.small_library import TABLES


def fill(tx: Connection) -> None:
    """One row at least of every table."""
    derived.set_property(tx, "library-id", "00" * 16)
    store = stores.add_store(tx, "library", StoreKind.WRITABLE, "", 1)
    folder, _ = stores.ensure_folder(tx, store, [b"2024", b"07", b"15"])
    folders.set_attribute(tx, folder, 0o750, 13)
    folders.begin_move(tx, folders.Move(folder, stores.root_folder(tx, store), b"moved"))
    blob = stores.ensure_blob(tx, Digest(bytes(range(32))), 1000)
    clip = assets.insert_present(tx, "clip.mov", Media.VIDEO, blob, 1000, 2, 0o644, "2024-07-15", 3)
    stores.add_copy(tx, blob, clip, store, folder, b"clip.mov", 1000, 2, 4, 5)
    folders.begin_file_move(tx, stores.copies_of_asset(tx, clip)[0].id, Key(b"moved/clip.mov"))
    folders.set_owner(tx, clip, 1000, 100)
    folders.mark_placed(tx, folder, b"clip.mov")
    draft = assets.insert_receiving(tx, "new.mov", Media.VIDEO, 0o644, "2024-07-15", 14, triaged=True)
    folders.set_destination(tx, draft, folder, b"new.mov")
    rewrites.begin(tx, clip, 1000, 5)
    beach = vocabulary.define(tx, "beach", None, 6)
    sunset = vocabulary.define(tx, "sunset", beach, 7)
    vocabulary.attach(tx, clip, sunset, TagSource.PERSON, 1.0, 8)
    proposals.propose(tx, clip, beach, Origin("auto_tag/1", "conse-minilm-1"), 0.5, 9)
    city = vocabulary.define(tx, "city", None, 9)
    proposals.judge(tx, clip, city, proposals.Proposal(0.4, "auto_tag/1", "conse-minilm-1"), 9)
    term_names.add_label(tx, beach, Label("fr", "plage", preferred=True))
    term_names.set_note(tx, beach, "en", "where sand meets the sea")
    term_names.set_detail(tx, beach, Detail("en", "a photo taken on a beach", "http://example.org/beach"))
    term_names.relate(tx, beach, city)
    remarks.set_rating(tx, clip, 8)
    remarks.set_comment(tx, clip, "the good one")
    remarks.set_attribute(tx, clip, b"user.mime_type", b"video/quicktime")
    derived.set_facts(tx, blob, "probe", {"width": 1920, "camera_model": "FX3"})
    derived.set_rendition(tx, blob, RenditionKind.PROXY, "dnxhr-lb", "00/clip.mov", 9, {}, 10)
    derived.set_embedding(tx, blob, "look-1", None, bytes(16))
    derived.set_embedding(tx, blob, "look-1", 5, bytes(16))
    derived.set_embedding(tx, blob, "look-1", 5, bytes(16))
    spaces.learn(tx, spaces.Space("m@1#text", "m", None, None, "m@1#text", {"m@1#text": 4}), 13)
    job_table.enqueue(tx, blob, "probe", 1, 10, 11)
    gone = assets.insert_present(tx, "gone.mov", Media.VIDEO, blob, 1000, 2, 0o644, "2024-07-15", 3)
    aside, _ = stores.ensure_folder(tx, store, [TRASH_FOLDER])
    stores.add_copy(tx, blob, gone, store, aside, b"2-gone.mov", 1000, 2, 4, 5)
    copy = stores.copies_of_asset(tx, gone)[0].id
    assets.set_state(tx, gone, AssetState.TRASHED)
    trash.put(tx, gone, 12, "inbox/gone.mov")
    trash.set_aside(tx, copy, Key(b"2024/07/15/gone.mov"), unfinished=False)
    trash.doom(tx, store, Key(TRASH_FOLDER + b"/1-old.mov"))
    desktop_trash.set_name(tx, 1000, "gone.mov", gone)
    desktop_trash.make_note(tx, 1000, "gone.mov.trashinfo", 12)
    note = assets.insert_present(tx, "clip.mov.xmp", Media.OTHER, blob, 1000, 2, 0o644, "2024-07-15", 3)
    sidecars.link(tx, note, gone)
    sidecars.note(tx, note, Digest(bytes(range(32))), {"stars": 3}, own=True)
    sidecars.link(tx, note, clip)
    sidecars.note(tx, note, Digest(bytes(range(32))), {"stars": 4}, own=True)
    sidecars.set_due(tx, clip, "no space left")
    other = stores.ensure_blob(tx, Digest(bytes(range(1, 33))), 900)
    duplicates.set_near(tx, blob, [duplicates.Near(other, 0.1, "scaled to 50 %")], "1")
    duplicates.set_clip_marks(tx, blob, [17])
    saved_searches.save(tx, "beach -tag:work", 15)
    changes = Recorder(tx, "cli", 12)
    changes.record("tagged", {tag_facet(sunset)}, asset=clip, names=("clip.mov",))
    changes.finish()


def dumped(connection: Connection) -> Iterator[str]:
    """SQL text that makes the catalog again."""
    yield schema_text()
    for table in TABLES:
        columns = ", ".join(name for (name,) in connection.rows("SELECT name FROM pragma_table_info(?)", table))
        rows = connection.rows(f"SELECT {columns} FROM {table}")
        assert rows, table
        for row in rows:
            yield f"INSERT INTO {table} ({columns}) VALUES ({', '.join(map(apsw.format_sql_value, row))});"
    yield f"PRAGMA user_version = {SCHEMA_VERSION};"


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(open_catalog(Path(directory) / "catalog.sqlite3", create=True)) as database,
    ):
        with database.transaction() as tx:
            fill(tx)
        sys.stdout.write("\n".join(dumped(database.writer)) + "\n")


if __name__ == "__main__":
    main()
