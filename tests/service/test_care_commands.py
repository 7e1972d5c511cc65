"""The commands verify, check and rebuild as a person calls them: text, JSON, exit codes, wrong words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result

from damfs.integration.cli import cli
from damfs.integration.cli_care import Duration
from tests.small_library import opened, received


async def _fill(path: Path) -> None:
    with opened(path) as made:
        await received(made, "beach.mov", b"waves", "holiday")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    trio.run(_fill, tmp_path / "library")
    return tmp_path / "library"


def damfs(*words: str | Path, answer: str = "") -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words], input=answer)


def beach(library: Path) -> Path:
    return library / "originals" / "2024" / "07" / "15" / "beach.mov"


def test_verify_a_sound_library(library: Path) -> None:
    done = damfs("verify", library)
    assert (done.exit_code, done.stdout.partition(";")[0]) == (0, "1 good")


def test_verify_finds_damage(library: Path) -> None:
    beach(library).write_bytes(b"WAVES")
    done = damfs("verify", library, "library", "--json")
    found = json.loads(done.stdout)
    assert done.exit_code == found["exit_code"] == 1
    assert found["counts"] == {"damaged": 1}
    assert [trouble["key"] for trouble in found["troubles"]] == ["2024/07/15/beach.mov"]
    assert "damaged    library: 2024/07/15/beach.mov" in damfs("verify", library).stdout


def test_verify_within_a_time_limit(library: Path) -> None:
    done = damfs("verify", library, "--time-limit", "0.0000001s")
    assert done.exit_code == 3
    assert "1 files are left" in done.stdout


def test_verify_wrong_words(library: Path) -> None:
    assert "no duration" in damfs("verify", library, "--time-limit", "soon").stderr
    assert 'no store "nowhere"' in str(damfs("verify", library, "nowhere").exception)


DURATIONS = {"0": 0, "90": 90, "90s": 90, "10m": 600, "1h30m": 5400, "1.5h": 5400, "2d": 172_800}


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
def test_durations(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


def test_check_and_repair(library: Path) -> None:
    assert damfs("check", library).exit_code == 0
    with opened(library) as made:
        made.db.writer.run("UPDATE asset SET size = 7")
    done = damfs("check", library)
    assert done.exit_code == 1
    assert "asset-bytes" in done.stdout
    assert f"damfs check {library} --repair" in done.stdout
    done = damfs("check", library, "--repair", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["clean"] is True
    assert damfs("check", library).exit_code == 0


def test_rebuild_asks_first(library: Path) -> None:
    before = (library / "state" / "catalog.sqlite3").read_bytes()
    for answer in ("n\n", ""):
        asked = damfs("rebuild", library, answer=answer)
        assert asked.exit_code == 1
        assert "nothing was done" in asked.output
    assert (library / "state" / "catalog.sqlite3").read_bytes() == before
    done = damfs("rebuild", library, answer="y\n")
    assert done.exit_code == 0, done.output
    assert "1 tags of 1 terms" in done.stdout


def test_a_lost_catalog_says_what_to_do_and_that_works(library: Path) -> None:
    (library / "state" / "catalog.sqlite3").unlink()
    assert "damfs rebuild" in str(damfs("status", library).exception)
    assert damfs("rebuild", library, "--yes", "--json").exit_code == 0
    assert damfs("check", library).exit_code == 0
    assert damfs("status", library).exit_code == 0
