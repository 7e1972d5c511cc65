"""Each rule of the catalog, broken by hand: `check` finds it, the repair mends it, a second check is clean."""

from __future__ import annotations

import os
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from damfs.catalog import derived
from damfs.catalog.invariants import Invariant, rules
from damfs.core.backups import newest_first
from damfs.core.check import WORK_ON_FILES, check, repair
from damfs.core.check_report import CheckReport, as_text
from damfs.core.commands import Receive
from damfs.core.library import Library
from damfs.model import AssetId, BlobId, RenditionKind
from tests.small_library import added, asset, opened, received, scanned, term

RULES = {rule.name: rule for rule in rules()}
BEACH_BLOB = "(SELECT blob FROM asset WHERE name = 'beach.mov')"
VECTOR = struct.pack("<4f", 0.5, 0.5, 0.5, 0.5)


TAGGING = "INSERT INTO tagging (asset, term, source, confidence, created_ns) "
PROPOSAL = "INSERT INTO proposal (asset, term, processor, confidence, created_ns) "


@dataclass(frozen=True, slots=True)
class Damage:
    """What breaks a rule: statements run with every safeguard off, and work on files."""

    sql: str = ""
    files: Callable[[Library], None] = lambda _: None


def _index_lacks_a_row(connection: apsw.Connection) -> None:
    """Hide an index while a row is written, so that it does not know the row."""
    (saved,) = connection.execute(
        "SELECT name, rootpage, sql FROM sqlite_schema WHERE name = 'asset_by_day'"
    ).fetchall()
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("DELETE FROM sqlite_schema WHERE name = 'asset_by_day'")
    connection.execute("PRAGMA writable_schema = RESET")
    connection.execute("UPDATE asset SET day = '1999-12-31' WHERE name = 'beach.mov'")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("INSERT INTO sqlite_schema VALUES ('index', ?, 'asset', ?, ?)", saved)
    connection.execute("PRAGMA writable_schema = RESET")


DAMAGES: dict[str, Damage] = {
    "integrity": Damage(),  # see _index_lacks_a_row
    "references": Damage(f"DELETE FROM blob WHERE id = {BEACH_BLOB}"),
    "properties": Damage("DELETE FROM property"),
    "row-ids": Damage("UPDATE sqlite_sequence SET seq = 1 WHERE name IN ('asset', 'rendition', 'change')"),
    "library-store": Damage("UPDATE store SET kind = 'read-only' WHERE name = 'library'"),
    "store-root": Damage("DELETE FROM folder WHERE parent IS NULL AND store = 2"),
    "copy-folder": Damage("DELETE FROM folder WHERE name = CAST('card' AS BLOB)"),
    "folder-reached": Damage(
        "UPDATE folder SET parent = (SELECT id FROM folder WHERE name = CAST('day' AS BLOB))"
        " WHERE name = CAST('card' AS BLOB)"
    ),
    "folder-store": Damage("UPDATE folder SET store = 1 WHERE name = CAST('card' AS BLOB)"),
    "copy-store": Damage("UPDATE copy SET store = 1 WHERE store = 2"),
    "copy-asset": Damage("UPDATE copy SET asset = 4711 WHERE store = 2"),
    "folder-live": Damage("UPDATE folder SET live = 0"),
    "version-asset": Damage("INSERT INTO version SELECT 99, 4711, 1, blob, 0, 0 FROM version WHERE id = 1"),
    "asset-version": Damage("UPDATE asset SET version = 4711; DELETE FROM version WHERE id = 1"),
    "asset-bytes": Damage("UPDATE asset SET size = 4711 WHERE name = 'beach.mov'"),
    "asset-mtime": Damage("UPDATE asset SET mtime_ns = 4711 WHERE name = 'beach.mov'"),
    "version-numbers": Damage("INSERT INTO version (asset, number, blob, mtime_ns, created_ns)"
                              " SELECT asset, 7, blob, mtime_ns, 0 FROM version WHERE number = 2"),
    "rewrite-staged": Damage("INSERT INTO rewrite VALUES (1, 1, 5, 0, 0)"),
    "rewrite-asset": Damage("INSERT INTO rewrite VALUES (4711, 1, 5, 0, 0)"),
    "asset-lost": Damage(f"UPDATE copy SET state = 'missing' WHERE blob = {BEACH_BLOB}"),
    "asset-found": Damage("UPDATE asset SET state = 'missing' WHERE name = 'beach.mov'"),
    "asset-name": Damage("UPDATE asset SET name = 'a/b' || char(0) WHERE name = 'beach.mov'; UPDATE asset SET name = ''"
                         " WHERE name = 'two.mov'"),
    "asset-trashed": Damage("UPDATE asset SET state = 'trashed' WHERE name = 'two.mov'"),
    "trashed-asset": Damage("INSERT INTO trashed VALUES (1, 7, '')"),
    "aside-copy": Damage("INSERT INTO aside VALUES (4711, CAST('a/b.mov' AS BLOB), 0)"),
    "trash-name": Damage("INSERT INTO trash_name VALUES (1000, 'beach.mov', 1)"),
    "aside-folder": Damage("INSERT INTO aside SELECT id, CAST('a/b.mov' AS BLOB), 0 FROM copy"
                           f" WHERE blob = {BEACH_BLOB}"),
    "trashed-aside": Damage("UPDATE asset SET state = 'trashed' WHERE name = 'beach.mov';"
                            " INSERT INTO trashed VALUES (1, 7, '')"),
    "destination-receiving": Damage("INSERT INTO destination VALUES (1, 1, CAST('a.mov' AS BLOB))"),
    "destination-store": Damage("INSERT INTO destination SELECT 4711, max(id), CAST('a.mov' AS BLOB) FROM folder"
                                " WHERE store = 2"),
    "placed-copy": Damage("INSERT INTO placed SELECT id FROM copy WHERE store = 2"),
    "folder-move": Damage("INSERT INTO folder_move VALUES (4711, 1, CAST('new' AS BLOB))"),
    "folder-moved": Damage("INSERT INTO folder_move SELECT id, 1, CAST('new' AS BLOB) FROM folder"
                           " WHERE name = CAST('2024' AS BLOB)"),
    "file-move": Damage("INSERT INTO file_move VALUES (4711, CAST('new.mov' AS BLOB))"),
    "file-moved": Damage("INSERT INTO file_move SELECT id, CAST('new.mov' AS BLOB) FROM copy"
                         f" WHERE blob = {BEACH_BLOB}"),
    "receiving-staged": Damage(files=lambda library: _lose_staged(library)),
    "staged-received": Damage(files=lambda library: os.close(library.staging.create(beach_of(library)))),
    "blob-used": Damage("INSERT INTO blob (digest, size) VALUES (zeroblob(32), 7)"),
    "fact-blob": Damage("INSERT INTO fact VALUES (4711, 'probe', '{}')"),
    "field-blob": Damage("INSERT INTO field_text VALUES (4711, 'camera', 'fx3', 'FX3');"
                         " INSERT INTO field_number VALUES (4711, 'width', 1920.0)"),
    "rendition-blob": Damage("UPDATE rendition SET blob = 4711"),
    "embedding-blob": Damage("UPDATE embedding SET blob = 4711"),
    "job-blob": Damage("INSERT INTO job (blob, processor, processor_version, priority, state, due_ns, updated_ns)"
                       " VALUES (4711, 'probe', 1, 1, 'waiting', 0, 0)"),
    "job-leased": Damage("UPDATE job SET state = 'leased', due_ns = 9"),
    "fact-json": Damage("UPDATE fact SET facts = '{\"media\": \"vid'"),
    "rendition-detail": Damage("UPDATE rendition SET detail = '[]'"),
    "embedding-size": Damage("UPDATE embedding SET vector = x'00ff' WHERE id = 1"),
    "rendition-file": Damage(files=lambda library: next(library.renditions.glob("*/*")).unlink()),
    "file-rendition": Damage(files=lambda library: (library.renditions / "ab" / "stray.jpg").touch()),
    "remark-asset": Damage("INSERT INTO remark VALUES (4711, 6, '')"),
    "attribute-asset": Damage("INSERT INTO attribute VALUES (4711, x'757365722e61', x'31')"),
    "tagging-asset": Damage(TAGGING + "VALUES (4711, 1, 'person', 1.0, 0)"),
    "tagging-term": Damage(TAGGING + "VALUES (1, 4711, 'person', 1.0, 0)"),
    "judgement-rows": Damage("INSERT INTO judgement VALUES (4711, 1, 0.5, '', '', 0);"
                             " INSERT INTO judgement VALUES (1, 4711, 0.5, '', '', 0)"),
    "term-rows": Damage("INSERT INTO term_label VALUES (4711, '', 'plage', 0);"
                        " INSERT INTO term_note VALUES (4711, '', 'a note');"
                        " INSERT INTO term_detail (term, prompt) VALUES (4711, 'a photo');"
                        " INSERT INTO term_relation VALUES (1, 4711)"),
    "proposal-asset": Damage(PROPOSAL + "VALUES (4711, 1, 'auto_tag/1', 0.5, 0)"),
    "proposal-term": Damage(PROPOSAL + "VALUES (1, 4711, 'auto_tag/1', 0.5, 0);"
                            " " + PROPOSAL + "SELECT asset, term, 'auto_tag/1', 0.5, 0 FROM tagging"),
    "term-broader": Damage("UPDATE term SET broader = 4711 WHERE name = 'sunset'"),
    "term-circle": Damage("UPDATE term SET broader = (SELECT id FROM term WHERE name = 'sunset') WHERE name = 'sea'"),
    "term-name": Damage("UPDATE term SET name = 'a/b' WHERE name = 'sunset'"),
    "text-sound": Damage("UPDATE asset_text_data SET block = x'00112233445566' WHERE id > 10"),
    "text-complete": Damage("INSERT INTO asset_text_docsize (id, sz, origin) VALUES (4711, x'0000000000', 1)"),
    "term-text": Damage("DELETE FROM term_text_docsize WHERE id = 1"),
    "change-json": Damage("UPDATE change SET names = '[', facets = 'x', detail = '3' WHERE seq = 3"),
    "facet-time": Damage("DELETE FROM facet"),
}  # fmt: skip


def beach_of(library: Library) -> AssetId:
    return AssetId(library.db.writer.integer("SELECT id FROM asset WHERE name = 'beach.mov'"))


def _lose_staged(library: Library) -> None:
    library.perform(Receive("never.mov", 0o644, triaged=False), "test")


@pytest.fixture
async def library(tmp_path: Path) -> AsyncIterator[Library]:
    with opened(tmp_path / "library") as made:
        await _fill(made, tmp_path / "card")
        yield made


async def _fill(library: Library, folder: Path) -> None:
    """Two received files, one with two versions; a folder in place; tags; something derived of each kind."""
    sea = term(library, "sea")
    term(library, "sunset", sea)
    beach = await received(library, "beach.mov", b"waves", "sunset")
    (folder / "card" / "day").mkdir(parents=True)
    two = folder / "card" / "day" / "two.mov"
    two.write_bytes(b"first")
    added(library, folder, "footage")
    await scanned(library)
    two.write_bytes(b"second, longer")
    await scanned(library)
    assert beach.blob is not None
    _derive(library, beach.blob)
    while library.texts.step():
        pass


def _derive(library: Library, blob: BlobId) -> None:
    (library.renditions / "ab").mkdir()
    (library.renditions / "ab" / "poster.jpg").write_bytes(b"picture")
    with library.db.transaction() as tx:
        derived.set_facts(tx, blob, "probe", {"media": "video"})
        derived.set_rendition(tx, blob, RenditionKind.POSTER, "full", "ab/poster.jpg", 7, {}, 0)
        for at_ns in (None, 1, 2):
            derived.set_embedding(tx, blob, "look/1", at_ns, VECTOR)
        tx.run(
            "INSERT INTO job (blob, processor, processor_version, priority, state, due_ns, updated_ns)"
            " VALUES (?, 'probe', 1, 1, 'done', 0, 0)",
            blob,
        )


def break_rule(library: Library, name: str) -> None:
    connection = apsw.Connection(str(library.db.path))
    try:
        connection.execute("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON")
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
        if name == "integrity":
            _index_lacks_a_row(connection)
        connection.execute(DAMAGES[name].sql)
    finally:
        connection.close()
    DAMAGES[name].files(library)


def found(report: CheckReport) -> set[str]:
    return {finding.rule for finding in report.findings}


def test_every_rule_has_a_damage() -> None:
    assert DAMAGES.keys() == RULES.keys()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_says_how_it_is_mended(rule: Invariant) -> None:
    assert rule.mendable == bool(rule.mend or rule.name in WORK_ON_FILES)
    assert rule.meaning
    assert rule.remedy


async def test_a_sound_catalog_is_clean_and_nothing_is_written(library: Library) -> None:
    report = await repair(library)
    assert report.findings == []
    assert report.backup == ""
    assert report.rules == len(RULES)
    assert report.clean
    assert as_text(report) == f"all {len(RULES)} rules hold\n"


@pytest.mark.parametrize("name", [name for name, rule in RULES.items() if rule.mendable])
async def test_damage_is_found_and_mended(library: Library, name: str) -> None:
    break_rule(library, name)
    before = await check(library, at_rest=True)
    assert name in found(before)
    assert name in found(await check(library, at_rest=True)), "looking must not mend"
    report = await repair(library)
    assert report.clean, as_text(report)
    assert name in found(report)
    assert report.backup in map(str, newest_first(library.state / "backups"))
    assert (await check(library, at_rest=True)).findings == []


async def test_what_cannot_be_mended_is_told_with_what_to_do(library: Library) -> None:
    break_rule(library, "references")
    report = await repair(library)
    assert not report.clean
    assert "references" in found(report)
    assert "damfs rebuild" in as_text(report)


async def test_while_mounted_only_what_holds_at_any_moment_is_checked(library: Library) -> None:
    break_rule(library, "job-leased")
    report = await check(library, at_rest=False)
    assert report.findings == []
    assert "job-leased" in report.left_out
    assert len(report.left_out) + report.rules == len(RULES)


async def test_a_mended_rule_keeps_what_is_sound(library: Library) -> None:
    """A lost folder: the asset, its tags and its versions wait for the scan that finds the file again."""
    break_rule(library, "copy-folder")
    assert (await repair(library)).clean
    (state,) = library.db.writer.rows("SELECT state FROM asset WHERE name = 'two.mov'")
    assert state == ("missing",)
    await scanned(library)
    rows = library.db.writer.rows("SELECT state, (SELECT count(*) FROM version WHERE asset = asset.id) FROM asset"
                                  " WHERE name = 'two.mov'")  # fmt: skip
    assert rows == [("present", 2)]
    assert (await check(library, at_rest=True)).findings == []


async def test_bytes_behind_a_lost_row_are_adopted_by_the_repair(library: Library) -> None:
    """Published, but the crash came before the commit: the file is found again, not forgotten."""
    id_ = library.perform(Receive("late.mov", 0o644, triaged=False), "test")
    library.db.writer.run("UPDATE asset SET closed = 1, size = 4, mtime_ns = 0 WHERE id = ?", id_)
    target = library.originals / "1970" / "01" / "01" / "late.mov"
    target.parent.mkdir(parents=True)
    target.write_bytes(b"late")
    assert (await repair(library)).clean
    assert asset(library, id_).state == "present"
