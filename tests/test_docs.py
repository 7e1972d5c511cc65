"""Everything a user can name is documented: views, commands, processors, settings; and the settings file shows each."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import click
import msgspec
import pytest

from damfs.integration.cli import cli
from damfs.settings import DEFAULT_SETTINGS, Settings

DOCS = Path(__file__).parent.parent / "damfs" / "docs"
ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")
MOUNT = (DOCS / "mount.md").read_text(encoding="utf-8")


def setting_names() -> list[str]:
    return [
        f"{table.name}.{field.name}"
        for table in msgspec.structs.fields(Settings)
        for field in msgspec.structs.fields(table.type)
    ]


def first_cells(text: str) -> set[str]:
    """The words in backquotes in the first column of the tables of a document."""
    rows = (line.split("|")[1] for line in text.splitlines() if line.startswith("|"))
    return {word for row in rows for word in row.split("`")[1::2]}


CELLS = first_cells(ARCHITECTURE)


@pytest.mark.parametrize("view", [point.load().name for point in entry_points(group="damfs.views")])
def test_each_view_is_documented_for_developers_and_in_the_mount(view: str) -> None:
    assert view in CELLS
    assert f"`{view}/" in MOUNT


@pytest.mark.parametrize("processor", [point.name for point in entry_points(group="damfs.processors")])
def test_each_processor_is_documented(processor: str) -> None:
    assert processor in CELLS


@pytest.mark.parametrize("command", sorted(cli.commands))
def test_each_command_is_documented_and_shows_an_example(command: str) -> None:
    assert command in CELLS
    context = click.Context(cli.commands[command], info_name=f"damfs {command}")
    text = cli.commands[command].get_help(context)
    assert "Examples:" in text
    assert f"damfs {command}" in text.partition("Examples:")[2]


@pytest.mark.parametrize("setting", setting_names())
def test_each_setting_is_documented_and_stands_in_the_settings_file(setting: str) -> None:
    assert setting in CELLS
    table, name = setting.split(".")
    section = DEFAULT_SETTINGS.partition(f"[{table}]")[2].partition("\n[")[0]
    assert f"# {name} = " in section


def test_nothing_that_is_not_there_counts_as_documented() -> None:
    assert "by-nothing" not in CELLS
    assert "library.nothing" not in CELLS


def test_the_settings_file_shows_the_defaults() -> None:
    """Taking every comment mark away changes nothing: what it shows is what holds."""
    lines = (
        line.removeprefix("# ") if " = " in line and line.startswith("# ") else line
        for line in DEFAULT_SETTINGS.splitlines()
    )
    uncommented = "\n".join(line for line in lines if not line.startswith("#"))
    assert msgspec.toml.decode(uncommented, type=Settings) == Settings()
