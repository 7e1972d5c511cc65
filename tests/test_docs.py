"""Everything a user can name is documented: views, commands, processors, settings; and the settings file shows each."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import click
import msgspec
import pytest

from damfs.catalog import assets, stores
from damfs.core.library import make_library, open_library
from damfs.core.processors.processor import Processor, Subject
from damfs.errors import BadMedia, Refused
from damfs.integration.cli import cli
from damfs.model import Digest, Media
from damfs.presentation.views.view import Place, Thing, ThingKind, View
from damfs.settings import DEFAULT_SETTINGS, Settings

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
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


def readme_code(first_line: str) -> dict[str, object]:
    """What a Python block of the README defines."""
    (block,) = (block for block in README.split("```python\n")[1:] if block.startswith(first_line))
    defined: dict[str, object] = {}
    exec(block.partition("```")[0], defined)
    return defined


def test_the_view_of_the_readme_is_a_view(tmp_path: Path) -> None:
    make_library(tmp_path / "library")
    with open_library(tmp_path / "library") as library, library.db.transaction() as tx:
        blob = stores.ensure_blob(tx, Digest(bytes(32)), 1)
        id_ = assets.insert_present(tx, "clip.mov", Media.VIDEO, blob, 1, 1, 0o644, "2024-07-15", 1)
        view_class = readme_code("# damfs/presentation/views/yearly.py")["Yearly"]
        assert isinstance(view_class, type)
        assert issubclass(view_class, View)
        view = view_class(library)
        assert [entry.name for entry in view.list(tx, view.root())] == ["2024"]
        place = Place("yearly", ("2024", "video"))
        assert [entry.node for entry in view.list(tx, place)] == [Thing(ThingKind.ASSET, id_)]
        assert view.lookup(tx, place, "clip.mov") == view.list(tx, place)[0]
        with pytest.raises(Refused):
            view.enter(tx, place, id_)


def test_the_processor_of_the_readme_is_a_processor(tmp_path: Path) -> None:
    defined = readme_code("# your package, no change to damfs")
    defined["measure"] = lambda source: -23.0
    processor_class = defined["Loudness"]
    assert isinstance(processor_class, type)
    assert issubclass(processor_class, Processor)
    processor = processor_class()
    subject = Subject("take.wav", Media.AUDIO, 1, facts={"probe": {"duration_ns": 5}})
    assert processor.accepts(subject)
    assert processor.run(tmp_path / "take.wav", tmp_path, subject).facts == {"lufs": -23.0}
    with pytest.raises(BadMedia):
        processor.run(tmp_path, tmp_path, Subject("take.wav", Media.AUDIO, 1, facts={"probe": {"duration_ns": 0}}))
