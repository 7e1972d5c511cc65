"""kill -9 between every two durable steps, then start again: nothing closed is lost, nothing is left over (P2, P4).

Each scenario runs in a process of its own that dies before its first durable step, then (from the same start) before
its second, and so on until it is through. Page cache survives a kill: this is not about power loss.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from damfs.catalog import derived, folders, job_table, rewrites, stores, versions, vocabulary
from damfs.core.library import Library
from damfs.core.reception import Reception
from damfs.core.upkeep import repair, tidy
from damfs.model import AssetId, AssetState, TagSource
from tests.service.kill_points_child import CARD, SCENARIOS
from tests.service.kill_points_processors import PROCESSORS
from tests.small_library import (
    added,
    asset,
    assets_named,
    files_below,
    keys,
    opened,
    overwritten,
    received,
    scanned,
    tags,
    term,
    the_asset,
)

ROOT = Path(__file__).parent.parent.parent


async def prepare(path: Path, scenario: str = "") -> None:
    """A library with one asset of its own and a folder that changed since it was scanned."""
    with opened(path, PROCESSORS) as library:
        known = await received(library, "known.mov", b"known bytes", "beach")
        if scenario == "go_back":
            await overwritten(library, known.id, OTHER)
        footage = path.parent / "footage"
        added(library, footage)
        (footage / "day").mkdir()
        for name in ("moved.mov", "gone.mov", "stays.mov"):
            (footage / "day" / name).write_bytes(name.encode())
        await scanned(library)
        moved, beach = the_asset(library, "moved.mov").id, term(library, "beach")
        with library.db.transaction() as tx:
            vocabulary.attach(tx, moved, beach, TagSource.PERSON, 1.0, 1)
        (footage / "elsewhere").mkdir()
        (footage / "day/moved.mov").rename(footage / "elsewhere/renamed.mov")
        (footage / "day/gone.mov").unlink()
        (footage / "new.mov").write_bytes(b"new")


OTHER = b"other bytes, more of them"
Check = Callable[[Library, bool], None]


def check_everything(library: Library) -> None:
    """What has to hold in any library at rest."""
    originals, rows = files_below(library.originals), keys(library)
    assert set(originals) == set(rows), "no file without a row, no row without a file"
    assert {state for _, state in rows.values()} <= {"present"}
    for id_, size in library.staging.entries().items():
        draft = asset(library, id_)
        assert draft.state is AssetState.RECEIVING
        assert draft.name.endswith((".part", ".tmp"))
        assert draft.size == size
    for (id_,) in library.db.writer.rows("SELECT id FROM asset WHERE state = 'receiving'"):
        assert library.staging.path(AssetId(id_)).exists(), "no row without bytes"
    renditions = {row.key for row in derived.list_renditions(library.db.writer)}
    assert {key.decode() for key in files_below(library.renditions)} == renditions
    assert not (library.state / "work").exists()
    assert library.db.writer.integer("SELECT count(*) FROM job WHERE state = 'leased'") == 0
    assert library.db.writer.rows("PRAGMA foreign_key_check") == []
    known = the_asset(library, "known.mov")
    assert "beach" in tags(library, known.id)
    assert known.blob is not None
    first = versions.numbered(library.db.writer, known.id, 1)
    assert first is not None
    assert library.source_paths(first.blob)[0].read_bytes() == b"known bytes", "no version is ever lost"
    assert rewrites.every(library.db.writer) == []
    assert job_table.states_of(library.db.writer, known.blob).keys() >= {"preview"}, "jobs go on"


def check_receive(library: Library, closed: bool) -> None:
    whole = [each for each in assets_named(library, "clip.mov") if each.state is AssetState.PRESENT]
    parts = assets_named(library, "clip.mov.part")
    if closed:
        (clip,) = whole
        assert tags(library, clip.id) == ["beach"]
        assert clip.blob is not None
        assert library.source_paths(clip.blob)[0].read_bytes() == b"the first half, the second"
        assert parts == []
    assert len(whole) + len(parts) <= 1
    for part in parts:
        assert tags(library, part.id) == ["beach"]
        assert b"the first half, the second".startswith(library.staging.path(part.id).read_bytes())


def check_receive_twin(library: Library, closed: bool) -> None:
    assert tags(library, the_asset(library, "known.mov").id) == (["beach", "sea"] if closed else ["beach"])
    assert set(files_below(library.originals)) == {b"2024/07/15/known.mov"}


def check_receive_copy(library: Library, closed: bool) -> None:
    wanted = {b"2024/07/15/known.mov", *([b"2024/07/15/copy.mov"] if closed else [])}
    assert set(files_below(library.originals)) == wanted
    assert len({os.stat(library.originals / os.fsdecode(key)).st_ino for key in wanted}) == 1
    if closed:
        assert tags(library, the_asset(library, "copy.mov").id) == ["sea"]


def check_receive_card(library: Library, closed: bool) -> None:
    """Each has its own bytes, whatever else has its name and size."""
    for name in {name for name, _ in CARD}:
        found = sorted(assets_named(library, name), key=lambda each: each.id)
        wanted = [content for other, content in CARD if other == name]
        assert len(found) == len(wanted) or not closed
        for each, content in zip(found, wanted, strict=False):
            if each.state is AssetState.RECEIVING:
                assert not closed
                continue
            assert each.blob is not None
            assert library.source_paths(each.blob)[0].read_bytes() == content


def check_scan_moved(library: Library, closed: bool) -> None:
    moved = the_asset(library, "renamed.mov")
    assert tags(library, moved.id) == ["beach"]
    assert assets_named(library, "moved.mov") == []
    assert the_asset(library, "gone.mov").state is AssetState.MISSING
    assert the_asset(library, "new.mov").state is AssetState.PRESENT
    shown = {key: state for key, (_, state) in keys(library, "footage").items()}
    assert shown == {
        b"day/gone.mov": "missing",
        b"day/stays.mov": "present",
        b"elsewhere/renamed.mov": "present",
        b"new.mov": "present",
    }


def check_finish_job(library: Library, closed: bool) -> None:
    blob = the_asset(library, "known.mov").blob
    assert blob is not None
    states = job_table.states_of(library.db.writer, blob)
    if states["preview"][0] == "done":
        assert states["after"] == ("waiting", 1), "the next job is planned in the same transaction"
        assert [row.profile for row in derived.renditions_of(library.db.writer, blob)] == ["jpeg"]
    else:
        assert states == {"preview": ("waiting", 1)}
        assert derived.renditions_of(library.db.writer, blob) == []


def check_file_by_day(library: Library, closed: bool) -> None:
    """A crash may leave both names, never none."""
    known = the_asset(library, "known.mov")
    names = {key for key, (id_, _) in keys(library).items() if id_ == known.id}
    assert names
    assert names <= {b"2024/07/15/known.mov", b"2019/05/06/known.mov"}
    assert len({os.stat(library.originals / os.fsdecode(key)).st_ino for key in names}) == 1


def check_receive_into_folder(library: Library, closed: bool) -> None:
    whole = [each for each in assets_named(library, "clip.mov") if each.state is AssetState.PRESENT]
    assert len(whole) == (1 if closed else 0)
    wanted = {b"2024/07/15/known.mov"} | ({b"projects/clip.mov"} if closed else set())
    assert set(files_below(library.originals)) == wanted, "exactly where it was written"
    for part in assets_named(library, "clip.mov.part"):
        there = folders.destination(library.db.writer, part.id)
        assert there is not None
        assert there.name == b"clip.mov.part"


def check_move_folder(library: Library, closed: bool) -> None:
    """Before it or after it, never half; whatever it was given stays, and who is still being received comes along."""
    connection, store = library.db.writer, library.library_store().id
    here = [stores.folder_at(connection, store, [name]) for name in (b"2024", b"kept")]
    (found,) = [folder for folder in here if folder is not None]
    name = "2024" if here[0] is not None else "kept"
    if (library.path / "moved").exists():
        assert name == "kept"
    assert os.listdir(library.originals) == [name]
    attribute = folders.attribute(connection, found)
    assert attribute is None or attribute.mode == 0o750
    assert folders.moves(connection) == []
    names = {b"known.mov"} | ({b"clip.mov"} if closed else set())
    assert set(files_below(library.originals)) == {name.encode() + b"/07/15/" + each for each in names}


def check_move_file(library: Library, closed: bool) -> None:
    known = the_asset(library, "known.mov")
    (key,) = [key for key, (id_, _) in keys(library).items() if id_ == known.id]
    assert key in {b"2024/07/15/known.mov", b"a/known.mov"}
    assert known.triaged == (key == b"a/known.mov"), "what the move means besides is done with it, or not at all"
    if (library.path / "moved").exists():
        assert key == b"a/known.mov"


def check_replace_file(library: Library, closed: bool) -> None:
    content = {key: data for key, data in files_below(library.originals).items() if not key.startswith(b".")}
    assert b"third bytes" in content.values()
    assert b"other bytes" in files_below(library.originals).values(), "what was replaced is kept"
    if (library.path / "moved").exists():
        assert content == {b"2024/07/15/known.mov": b"known bytes", b"2024/07/15/other.mov": b"third bytes"}
        assert [asset.state for asset in assets_named(library, "other.mov")] == [AssetState.TRASHED]


PLAIN, ASIDE = b"2024/07/15/known.mov", re.compile(rb"\.damfs-trash/\d+-known\.mov")


def check_trash(library: Library, closed: bool) -> None:
    """Its file lies where its state says, under one name."""
    known = the_asset(library, "known.mov")
    (key,) = files_below(library.originals)
    assert (known.state is AssetState.TRASHED) == bool(ASIDE.fullmatch(key))
    assert known.state is AssetState.TRASHED or key == PLAIN
    root = stores.root_folder(library.db.writer, library.library_store().id)
    assert {folder.name for folder in stores.list_folders(library.db.writer, root)} <= {b"2024"}


def check_expire_old(library: Library, closed: bool) -> None:
    """Either it is whole in the trash, or nothing is left of it."""
    found = assets_named(library, "old.mov")
    files = {key for key in files_below(library.originals) if key.endswith(b"old.mov")}
    assert len(found) == len(files) <= 1
    for old in found:
        assert old.state is AssetState.TRASHED
        assert old.blob is not None
        assert library.source_paths(old.blob)[0].read_bytes() == b"the old bytes"
    assert library.db.writer.integer("SELECT count(*) FROM blob WHERE size = 13") == len(found)
    assert library.db.writer.rows("SELECT * FROM doomed") == []


def contents(library: Library) -> list[bytes]:
    """Of the versions of known.mov, oldest first."""
    found = versions.of_asset(library.db.writer, the_asset(library, "known.mov").id)
    assert [each.current for each in found] == [*[0] * (len(found) - 1), 1]
    return [library.source_paths(each.blob)[0].read_bytes() for each in found]


def check_overwrite(library: Library, closed: bool) -> None:
    """The new version whole, or the old one; and what was synced is in a file of its own."""
    found, parts = contents(library), assets_named(library, "known.mov.part")
    assert found == [b"known bytes", *([OTHER] if not parts and len(found) > 1 else [])]
    if closed:
        assert len(found) == 2
    elif (library.path / "synced").exists() and len(found) == 1:
        (part,) = parts
        assert library.staging.path(part.id).read_bytes().startswith(b"other bytes, ")
        assert tags(library, part.id) == ["beach"]
    kept = b"2024/07/15/known~v1.mov"
    assert set(keys(library)) == {b"2024/07/15/known.mov", *([kept] if len(found) > 1 else [])}


KNOWN_NAMES = {b"2024/07/15/known.mov", b"2024/07/15/second known.mov"}
EDIT_NAMES = {b"2024/07/15/edit.mov", b"2024/07/15/second edit.mov"}


def check_overwrite_two_names(library: Library, closed: bool) -> None:
    """No name of it is an asset of its own; both lead to the same bytes."""
    found, known = contents(library), the_asset(library, "known.mov").id
    assert {id_ for key, (id_, _) in keys(library).items() if key not in EDIT_NAMES} == {known}
    assert {each.name for each in assets_named(library, "second known.mov")} == set()
    names = KNOWN_NAMES & files_below(library.originals).keys()
    assert len({files_below(library.originals)[name] for name in names}) == 1
    assert len(found) == 2 or not closed


def check_supersede_by_arrived(library: Library, closed: bool) -> None:
    """As `rename` has to be: either nothing was done, or all. No name is an asset of its own."""
    found, files = contents(library), files_below(library.originals)
    edits = assets_named(library, "edit.mov")
    assert found in ([b"known bytes"], [b"known bytes", OTHER])
    assert bool(edits) != (found[1:] == [OTHER])
    assert {each for each in EDIT_NAMES if each in files} == (EDIT_NAMES if edits else set())
    assert not assets_named(library, "second edit.mov")
    assert not assets_named(library, "second known.mov")
    assert not (closed and edits)


def check_go_back(library: Library, closed: bool) -> None:
    found = contents(library)
    assert found in ([b"known bytes", OTHER], [b"known bytes", OTHER, b"known bytes"])
    assert set(files_below(library.originals).values()) == {b"known bytes", OTHER}


def check_save_over(library: Library, closed: bool) -> None:
    found = contents(library)
    assert found in ([b"known bytes"], [b"known bytes", OTHER])
    drafts = [each for each in assets_named(library, "known.mov.tmp") if library.staging.path(each.id).exists()]
    if closed:
        assert len(found) == 2
        assert drafts == []
    for draft in drafts:
        assert OTHER.startswith(library.staging.path(draft.id).read_bytes())


CHECKS: dict[str, Check] = {
    "receive": check_receive,
    "receive_twin": check_receive_twin,
    "receive_copy": check_receive_copy,
    "receive_card": check_receive_card,
    "scan_moved": check_scan_moved,
    "finish_job": check_finish_job,
    "file_by_day": check_file_by_day,
    "receive_into_folder": check_receive_into_folder,
    "move_folder": check_move_folder,
    "move_file": check_move_file,
    "replace_file": check_replace_file,
    "trash": check_trash,
    "restore": check_trash,
    "expire_old": check_expire_old,
    "overwrite": check_overwrite,
    "overwrite_two_names": check_overwrite_two_names,
    "supersede_by_arrived": check_supersede_by_arrived,
    "go_back": check_go_back,
    "save_over": check_save_over,
}


ANY_AGE = 1 << 62
"""Later than any file: what lies there is left over."""


async def start_again(path: Path, check: Check) -> None:
    """What the daemon does at its start: repair, then a scan of the writable store, then whatever there was to do."""
    closed = (path / "closed").exists()
    with opened(path, PROCESSORS) as library:
        await repair(library, Reception(library))
        await tidy(library, ANY_AGE)
        await scanned(library, "library")
        if check is check_scan_moved:
            await scanned(library, "footage")
        check_everything(library)
        check(library, closed)
        before = keys(library)
        await repair(library, Reception(library))
        await tidy(library, ANY_AGE)
        await scanned(library, "library")
        assert keys(library) == before, "a second start finds nothing to do"


def test_every_scenario_is_checked() -> None:
    assert CHECKS.keys() == SCENARIOS.keys()


LEAST = {
    "receive": {"COMMIT": 5, "fsync": 4, "link": 1, "unlink": 1, "mkdir": 0},
    "receive_twin": {"COMMIT": 4, "unlink": 1},
    "receive_copy": {"COMMIT": 4, "link": 1, "fsync": 2, "unlink": 1},
    "receive_card": {"COMMIT": 8, "fsync": 9, "link": 3, "unlink": 3},
    "scan_moved": {"COMMIT": 2},
    "finish_job": {"COMMIT": 1, "fsync": 2, "rename": 1},
    "file_by_day": {"COMMIT": 2, "link": 1, "unlink": 1},
    "receive_into_folder": {"COMMIT": 4, "mkdir": 1, "link": 1, "unlink": 1, "fsync": 2},
    "move_folder": {"COMMIT": 6, "rename": 1, "link": 1, "fsync": 2},
    "move_file": {"COMMIT": 3, "mkdir": 1, "rename_without_replacing": 1, "rmdir": 1},
    "replace_file": {"COMMIT": 4, "rename_without_replacing": 1, "link": 1, "unlink": 1, "mkdir": 1},
    "trash": {"COMMIT": 3, "mkdir": 1, "link": 1, "fsync": 2, "unlink": 1},
    "restore": {"COMMIT": 2, "link": 1, "fsync": 2, "unlink": 1},
    "expire_old": {"COMMIT": 2, "unlink": 1},
    "overwrite": {"COMMIT": 4, "link": 1, "rename": 1, "replace": 1, "fsync": 4},
    "overwrite_two_names": {"COMMIT": 6, "link": 1, "rename": 1, "replace": 1, "fsync": 6},
    "supersede_by_arrived": {"COMMIT": 6, "link": 2, "unlink": 4, "replace": 1, "fsync": 6},
    "go_back": {"COMMIT": 2, "link": 2, "rename": 1, "replace": 1, "fsync": 4},
    "save_over": {"COMMIT": 5, "link": 1, "rename": 1, "replace": 1, "fsync": 4},
}
"""Steps that each scenario is known to take: a step that is no longer seen would not be tested any more."""


INTERRUPTED = pytest.mark.expect_warnings("was interrupted; what (arrived|was written over it)")


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param("receive", marks=INTERRUPTED),
        pytest.param("receive_twin", marks=INTERRUPTED),
        pytest.param("receive_copy", marks=INTERRUPTED),
        pytest.param("receive_card", marks=INTERRUPTED),
        "scan_moved",
        "finish_job",
        "file_by_day",
        pytest.param("receive_into_folder", marks=INTERRUPTED),
        pytest.param("move_folder", marks=INTERRUPTED),
        "move_file",
        "replace_file",
        "trash",
        "restore",
        "expire_old",
        pytest.param("overwrite", marks=INTERRUPTED),
        pytest.param("overwrite_two_names", marks=INTERRUPTED),
        "supersede_by_arrived",
        "go_back",
        "save_over",
    ],
)
def test_killed_at_every_step(tmp_path: Path, scenario: str) -> None:
    start, runs = tmp_path / "start", tmp_path / "runs"
    trio.run(prepare, start / "library", scenario)
    command = [sys.executable, "-m", "tests.service.kill_points_child", str(start), scenario, str(runs)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    taken = ended.stdout.split()
    assert len(list(runs.iterdir())) > len(taken), (
        "one run for each step, and one to the end; a slow one may commit more"
    )
    for step, number in LEAST[scenario].items():
        assert taken.count(step) >= number, f"{step}: {taken}"
    for fatal in range(1, len(taken) + 2):
        trio.run(start_again, runs / str(fatal) / "library", CHECKS[scenario])
