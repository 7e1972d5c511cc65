"""The commands trash, restore and undo as a person calls them, for a library that is not mounted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result

from damfs.integration.cli import cli
from tests.small_library import asset, opened, received, tags, the_asset


async def _fill(path: Path) -> None:
    with opened(path) as made:
        await received(made, "beach.mov", b"waves", "holiday")
        await received(made, "city.mov", b"cars")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    trio.run(_fill, tmp_path / "library")
    return tmp_path / "library"


def damfs(*words: str | Path) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def beach(library: Path) -> Path:
    return library / "originals/2024/07/15/beach.mov"


def test_there_and_back(library: Path) -> None:
    assert damfs("trash", "--list", library).stdout == "the trash is empty\n"
    done = damfs("trash", "--library", library, beach(library), "--json")
    assert json.loads(done.stdout) == {"trashed": 1}
    assert not beach(library).exists()
    (listed,) = json.loads(damfs("trash", "--list", library, "--json").stdout)
    assert (listed["name"], listed["size"], listed["from"]) == ("beach.mov", 5, "")
    assert "beach.mov, kept until 20" in damfs("trash", "--list", library).stdout
    assert damfs("restore", "--library", library, "beach.mov").stdout == "1 restored\n"
    assert beach(library).read_bytes() == b"waves"


def test_kept_for_ever(library: Path) -> None:
    with (library / "damfs.toml").open("a") as settings:
        settings.write("\n[trash]\ndays = 0\n")
    damfs("trash", "--library", library, beach(library))
    assert damfs("trash", "--list", library).stdout.endswith("beach.mov, kept for ever\n")
    assert json.loads(damfs("trash", "--list", library, "--json").stdout)[0]["until_ns"] == 0


def test_verify_reads_what_is_in_the_trash(library: Path) -> None:
    damfs("trash", "--library", library, beach(library))
    assert damfs("verify", library).stdout.startswith("2 good")
    (aside,) = (library / "originals/.damfs-trash").iterdir()
    aside.write_bytes(b"WAVES")
    found = json.loads(damfs("verify", library, "--json").stdout)
    assert found["counts"] == {"good": 1, "damaged": 1}
    assert found["troubles"][0]["key"] == f".damfs-trash/{aside.name}"
    (aside.parent / "stray").touch()
    assert "unknown" in damfs("verify", library).stdout


def test_undo(library: Path) -> None:
    assert "there is nothing to undo" in damfs("undo", library, "--list").stdout
    assert "there is nothing to undo" in str(damfs("undo", library).exception)
    damfs("untag", "--library", library, beach(library), "holiday")
    damfs("trash", "--library", library, beach(library))
    lines = damfs("undo", library, "--list").stdout.splitlines()
    assert [line.partition("  ")[2] for line in lines] == [
        "1 asset trashed (beach.mov)  (by cli)",
        "1 tag taken away (holiday)  (by cli)",
    ]
    done = json.loads(damfs("undo", library, "--json").stdout)
    assert (done["what"], done["done"], done["left_out"]) == ("1 asset trashed (beach.mov)", 1, 0)
    assert beach(library).read_bytes() == b"waves"
    assert damfs("undo", library).stdout.startswith("undone: 1 tag taken away (holiday), of 20")
    with opened(library) as made:
        assert tags(made, the_asset(made, "beach.mov").id) == ["holiday"]
        assert asset(made, the_asset(made, "beach.mov").id).state == "present"


def test_what_cannot_be_taken_back_is_said(library: Path) -> None:
    damfs("trash", "--library", library, beach(library))
    with opened(library) as made:
        made.db.writer.run("DELETE FROM copy WHERE asset = ?", the_asset(made, "beach.mov").id)
        made.db.writer.run("DELETE FROM asset WHERE name = 'beach.mov'")
    done = damfs("undo", library)
    assert "; 1 could not be taken back (no asset " in done.stdout


def test_wrong_words(library: Path, tmp_path: Path) -> None:
    assert "in no damfs mount" in str(damfs("trash", beach(library)).exception)
    assert "is no file of this library" in str(damfs("trash", "--library", library, tmp_path / "x").exception)
    assert 'no "x" in the trash' in str(damfs("restore", "--library", library, "x").exception)
    assert "name one library" in damfs("trash", "--list", library, library).stderr
    damfs("trash", "--library", library, beach(library))
    trio.run(_receive_again, library)
    damfs("trash", "--library", library, beach(library))
    assert '2 assets named "beach.mov"' in str(damfs("restore", "--library", library, "beach.mov").exception)


async def _receive_again(path: Path) -> None:
    with opened(path) as made:
        await received(made, "beach.mov", b"waves, again")
