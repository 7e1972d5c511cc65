"""The `damfs` command on libraries that nobody has mounted: answers, JSON, exit codes, and bad input in one line."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from damfs.integration.cli import cli, main
from tests.sample_media import png


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str

    def json(self) -> object:
        return json.loads(self.out)


class Damfs:
    """Runs the command in this process, as its entry point does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: str | Path, code: int = 0) -> Said:
        """``code``: the exit code it has to end with."""
        self._monkeypatch.setattr(sys, "argv", ["damfs", *map(str, words)])
        self._capsys.readouterr()
        ended: object = 0
        try:
            main()
        except SystemExit as end:
            ended = end.code
        captured = self._capsys.readouterr()
        said = Said(ended if isinstance(ended, int) else 1, captured.out, captured.err)
        if isinstance(ended, str):  # the interpreter prints it
            said = Said(1, captured.out, f"{captured.err}{ended}\n")
        assert said.code == code, said
        assert "Traceback" not in said.err
        return said

    def refuse(self, *words: str | Path) -> str:
        """The one line that a command fails with."""
        said = self(*words, code=1)
        assert said.out == ""
        (line,) = said.err.splitlines()
        assert line.startswith("damfs: ")
        return line


@pytest.fixture
def damfs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Damfs:
    return Damfs(monkeypatch, capsys)


@pytest.fixture
def library(tmp_path: Path, damfs: Damfs) -> Path:
    damfs("init", tmp_path / "library")
    return tmp_path / "library"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "Photos"
    png(folder / "2024/a.png", size=(32, 24))
    png(folder / "b.png", seed=2, size=(32, 24))
    return folder


def commands() -> Iterator[tuple[str, click.Command]]:
    yield "damfs", cli
    yield from cli.commands.items()


# --- help -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "command"), list(commands()))
def test_every_help_holds_an_example(damfs: Damfs, name: str, command: click.Command) -> None:
    said = damfs(*([] if name == "damfs" else [name]), "--help")
    assert "Examples:\n" in said.out
    assert "  damfs " in said.out.partition("Examples:")[2]
    assert (command.help or "").splitlines()[0] in " ".join(said.out.split())


def test_wrong_usage_is_exit_code_2(damfs: Damfs, library: Path) -> None:
    for words in (["nonsense"], ["add", library], ["status"], ["status", library, "--nonsense"], ["tag"]):
        said = damfs(*words, code=2)
        assert "Usage:" in said.err
        assert said.out == ""


def test_the_installed_command_and_its_version() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "damfs", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("damfs, version ")


def test_an_answer_that_nobody_reads_to_the_end_is_no_error(library: Path) -> None:
    program = "from damfs.integration.cli import main; main()"
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" status "$2" | true', sys.executable, program, library],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""


# --- init -----------------------------------------------------------------------------------------------------


def test_init_makes_a_library_and_says_what_to_do_next(damfs: Damfs, tmp_path: Path) -> None:
    path = tmp_path / "new" / "library"
    said = damfs("init", path)
    assert f"damfs add {path}" in said.out
    assert sorted(os.listdir(path)) == ["damfs.toml", "originals", "state"]
    assert damfs("status", path).out.startswith("library ")


def test_init_where_something_is(damfs: Damfs, library: Path, folder: Path, tmp_path: Path) -> None:
    assert "is a damfs library already" in damfs.refuse("init", library)
    assert "is not empty" in damfs.refuse("init", folder)
    (tmp_path / "file").write_text("x")
    assert "is not a directory" in damfs.refuse("init", tmp_path / "file")
    assert "file/below" in damfs.refuse("init", tmp_path / "file/below")


# --- add and scan ---------------------------------------------------------------------------------------------


def test_add_and_scan(damfs: Damfs, library: Path, folder: Path) -> None:
    assert damfs("add", library, folder).out == "Photos: 2 new\n"
    assert damfs("add", library, folder).out == "Photos: 2 unchanged\n"
    (folder / "b.png").rename(folder / "c.png")
    (folder / "2024/a.png").unlink()
    png(folder / "d.png", seed=4, size=(32, 24))
    reports = damfs("scan", library, "Photos", "--json").json()
    assert isinstance(reports, list)
    assert [report["store"] for report in reports] == ["Photos"]
    assert reports[0]["counts"] == {"moved": 1, "new": 1, "missing": 1}
    assert reports[0]["problems"] == []
    both = damfs("scan", library).out.splitlines()
    assert [line.partition(":")[0] for line in both] == ["library", "Photos"]


def test_add_under_another_name(damfs: Damfs, library: Path, folder: Path) -> None:
    assert damfs("add", library, folder, "--name", "Card 7").out == "Card 7: 2 new\n"
    assert 'as the store "Card 7"' in damfs.refuse("add", library, folder, "--name", "Card 8")
    assert "choose another name" in damfs.refuse("add", library, folder.parent, "--name", "library")
    other = folder.with_name("other")
    other.mkdir()
    assert "--name" in damfs.refuse("add", library, other, "--name", "Card 7")


def test_add_what_cannot_be_added(damfs: Damfs, library: Path, folder: Path) -> None:
    assert "no such folder" in damfs.refuse("add", library, folder / "missing")
    assert "is not a folder" in damfs.refuse("add", library, folder / "b.png")
    assert "part of the library itself" in damfs.refuse("add", library, library / "originals")
    assert "no store" in damfs.refuse("scan", library, "nonsense")


def test_problems_of_a_scan_are_told_and_do_not_end_it(damfs: Damfs, library: Path, folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    (folder / "loop").symlink_to(folder)
    said = damfs("add", library, folder)
    assert said.out == "Photos: 2 new\n"
    assert sorted(said.err.splitlines()) == [
        "  left out: 'loop': a symbolic link, not followed", "  left out: 'pipe': a socket, pipe or device, not a file"
    ]  # fmt: skip


def test_a_file_that_is_still_being_written_waits_and_is_told(damfs: Damfs, library: Path, folder: Path) -> None:
    with (folder / "running.mov").open("wb") as recording:
        recording.write(b"half")
        recording.flush()
        done = damfs("add", library, folder)
        assert "1 waiting" in done.out
        assert "not yet: 'running.mov': a program has it open for writing; a later scan takes it" in done.err
    assert "1 new" in damfs("scan", library, "Photos").out


def test_a_folder_that_is_gone_is_offline(damfs: Damfs, library: Path, folder: Path) -> None:
    damfs("add", library, folder)
    folder.rename(folder.with_name("away"))
    assert "is offline" in damfs.refuse("scan", library, "Photos")
    assert "Photos\tread-only\tOFFLINE" in damfs("stores", library).out
    assert "OFFLINE" in damfs("status", library).out
    folder.with_name("away").rename(folder)
    assert damfs("scan", library, "Photos").out == "Photos: 2 unchanged\n"
    assert "OFFLINE" not in damfs("stores", library).out


def test_paths_that_are_no_text(damfs: Damfs, library: Path, tmp_path: Path) -> None:
    raw = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    raw.mkdir()
    assert "UTF-8" in damfs.refuse("add", library, raw)


# --- status, stores, retry ------------------------------------------------------------------------------------


def test_status(damfs: Damfs, library: Path, folder: Path) -> None:
    damfs("add", library, folder)
    text = damfs("status", library).out
    assert "2 present" in text
    assert "probe: 2 waiting" in text
    assert "mounted" not in text.replace(str(library), "")
    found = damfs("status", library, "--json").json()
    assert isinstance(found, dict)
    assert found["assets"] == {"present": 2}
    assert found["failures"] == []
    assert found["mountpoint"] is None


def test_status_wait_does_not_wait_for_jobs_that_nobody_runs(damfs: Damfs, library: Path, folder: Path) -> None:
    damfs("add", library, folder)
    assert "2 waiting" in damfs("status", library, "--wait").out


def test_status_of_a_library_with_failed_jobs_and_retry(damfs: Damfs, library: Path, folder: Path) -> None:
    damfs("add", library, folder)
    with closing(sqlite3.connect(library / "state/catalog.sqlite3")) as catalog, catalog:
        catalog.execute("UPDATE job SET state = 'failed', error = 'a.png: broken' WHERE id = 1")
    said = damfs("status", library, code=1)
    assert len([line for line in said.out.splitlines() if line.startswith("failed ")]) == 1
    assert damfs("status", library, "--json", code=1).json()["failures"][0]["error"] == "a.png: broken"  # type: ignore[index]  # what JSON holds is asserted
    assert damfs("retry", library, "proxy", "--json").json() == {"retried": 0}
    assert damfs("retry", library).out.startswith("1 jobs")
    assert damfs("status", library).code == 0


def test_stores(damfs: Damfs, library: Path, folder: Path) -> None:
    damfs("add", library, folder)
    lines = [line.split("\t") for line in damfs("stores", library).out.splitlines()]
    assert lines == [["library", "writable", "online", str(library / "originals")],
                     ["Photos", "read-only", "online", str(folder)]]  # fmt: skip
    found = damfs("stores", library, "--json").json()
    assert isinstance(found, list)
    assert [store["name"] for store in found] == ["library", "Photos"]


# --- tags -----------------------------------------------------------------------------------------------------


def test_tag_and_untag_by_the_path_in_a_store(damfs: Damfs, library: Path, folder: Path) -> None:
    assert "no terms yet" in damfs("tags", library).out
    damfs("add", library, folder)
    damfs("tag", "--library", library, folder / "b.png", folder / "2024/a.png", "beach", "Red Car")
    damfs("untag", "--library", library, folder / "b.png", "--", "beach")
    assert damfs("tags", library, "--json").json() == [
        {"term": "Red Car", "broader": None, "assets": 2}, {"term": "beach", "broader": None, "assets": 1}
    ]  # fmt: skip
    assert [line.split() for line in damfs("tags", library).out.splitlines()] == [["2", "Red", "Car"], ["1", "beach"]]


def test_tags_and_the_terms_made_for_them_are_one_thing(damfs: Damfs, library: Path, folder: Path) -> None:
    damfs("add", library, folder)
    damfs("tag", "--library", library, folder / "b.png", folder / "2024/a.png", "new", "newer", "new")
    with closing(sqlite3.connect(library / "state/catalog.sqlite3")) as catalog:
        told = catalog.execute("SELECT count(DISTINCT at_ns), count(*) FROM change WHERE actor = 'cli' AND kind IN"
                               " ('tagged', 'term-defined')").fetchall()  # fmt: skip
    assert told == [(1, 6)], "so one undo takes all of it back, however slow the machine was"
    assert damfs("tag", "--library", library, folder / "b.png", "third", ".DS_Store", code=1).err.count("\n") == 1
    damfs("undo", library)
    assert "no terms yet" in damfs("tags", library).out


def test_tag_through_a_link_and_from_a_relative_path(
    damfs: Damfs, library: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damfs("add", library, folder)
    monkeypatch.chdir(folder)
    (folder.parent / "link").symlink_to(folder / "b.png")
    damfs("tag", "b.png", "one", "--library", "../library")
    damfs("tag", "../link", "two", "--library", "../library")
    assert damfs("tags", library, "--json").json() == [
        {"term": "one", "broader": None, "assets": 1}, {"term": "two", "broader": None, "assets": 1}
    ]  # fmt: skip


def test_tag_what_cannot_be_tagged(damfs: Damfs, library: Path, folder: Path) -> None:
    damfs("add", library, folder)
    png(folder / "unknown.png", seed=9, size=(32, 24))
    assert "damfs scan" in damfs.refuse("tag", "--library", library, folder / "unknown.png", "beach")
    assert "no damfs mount" in damfs.refuse("tag", folder / "b.png", "beach")
    assert "no term" in damfs.refuse("untag", "--library", library, folder / "b.png", "nonsense")
    assert "at least one term" in damfs("tag", "--library", library, folder / "b.png", code=2).err
    assert damfs("tags", library, "--json").json() == [], "a refused command changes nothing"


# --- libraries that cannot be used ----------------------------------------------------------------------------

COMMANDS = (["status"], ["scan"], ["stores"], ["tags"], ["retry"])


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: str(words[0]))
def test_what_is_no_library(damfs: Damfs, tmp_path: Path, words: list[str]) -> None:
    assert "damfs init" in damfs.refuse(*words, tmp_path / "missing")
    assert "damfs init" in damfs.refuse(*words, tmp_path)
    (tmp_path / "file").write_text("x")
    assert str(tmp_path / "file") in damfs.refuse(*words, tmp_path / "file")


def test_a_library_of_a_newer_damfs(damfs: Damfs, library: Path) -> None:
    with closing(sqlite3.connect(library / "state/catalog.sqlite3")) as catalog:
        catalog.execute("PRAGMA user_version = 9000")
    assert "newer damfs" in damfs.refuse("status", library)


def test_a_damaged_catalog(damfs: Damfs, library: Path) -> None:
    (library / "state/catalog.sqlite3").write_bytes(b"this is no database" * 1000)
    assert "catalog.sqlite3" in damfs.refuse("status", library)


def test_a_library_without_its_state(damfs: Damfs, library: Path) -> None:
    (library / "state").rename(library / "elsewhere")
    assert "state" in damfs.refuse("status", library)


@pytest.mark.parametrize("settings", ["[nonsense]\n", "[model]\nname = 3\n", "not toml", "[proxy]\nlines = 9\n"])
def test_settings_that_cannot_be_used(damfs: Damfs, library: Path, settings: str) -> None:
    (library / "damfs.toml").write_text(settings)
    assert "damfs.toml" in damfs.refuse("status", library)


def test_a_library_that_another_command_uses(damfs: Damfs, library: Path) -> None:
    import fcntl

    with (library / "state/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711\n")
        lock.flush()
        assert "in use by process 4711" in damfs.refuse("status", library)


def test_umount_where_nothing_is_mounted(damfs: Damfs, tmp_path: Path) -> None:
    assert "no damfs is mounted on" in damfs.refuse("umount", tmp_path)
    assert "no damfs is mounted on" in damfs.refuse("umount", tmp_path / "missing")


def test_nothing_here_logs_or_warns(damfs: Damfs, library: Path, folder: Path) -> None:
    """What a person sees is what the command says."""
    damfs("add", library, folder)
    assert damfs("status", library).err == ""
    assert damfs("scan", library).err == ""
