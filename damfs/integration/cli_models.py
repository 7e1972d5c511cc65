"""The commands about models: damfs model list, status, use, drop. Added to the command group of `cli`.

Blocks. What `status --wait` and `use --wait` show is asked of the daemon again and again.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import msgspec

from damfs.core import model_report
from damfs.core.model_report import ModelStatus
from damfs.integration import progress
from damfs.integration.cli_options import AS_JSON, LIBRARY, examples
from damfs.integration.client import call
from damfs.integration.wire import DropModel, GetModels, UseModel

WAIT = click.option("--wait", is_flag=True, help="Show progress until the model answers.")


@click.group(
    epilog=examples(
        "damfs model status ~/library", "damfs model use ~/library ~/models/clip-vit-b32 --wait",
        "damfs model use ~/library default",
    )
)  # fmt: skip
def model() -> None:
    """The models that turn pictures and words into vectors: see them, choose one."""


@model.command("list", epilog=examples("damfs model list ~/library", "damfs model list ~/library --json"))
@LIBRARY
@AS_JSON
def list_(library: Path, as_json: bool) -> None:
    """The models whose vectors are kept: name, state, files, and the ids and lengths of the vectors."""
    found = _asked(library)
    click.echo(_json(found.spaces) if as_json else model_report.table(found), nl=as_json)


@model.command(epilog=examples("damfs model status ~/library", "damfs model status ~/library --wait"))
@LIBRARY
@WAIT
@AS_JSON
def status(library: Path, wait: bool, as_json: bool) -> None:
    """Which model is wanted, which answers, and how far the library is embedded. Exit code 1 when it cannot be used."""
    found = progress.wait_for_model(lambda: _asked(library), show=not as_json) if wait else _asked(library)
    _show(found, as_json=as_json)


@model.command(
    epilog=examples(
        "damfs model use ~/library default", "damfs model use ~/library ~/models/clip-vit-b32 --wait",
        "damfs model use ~/library sentence-transformers/clip-ViT-B-32",
    )
)  # fmt: skip
@LIBRARY
@click.argument("name", metavar="NAME|PATH")
@WAIT
@AS_JSON
def use(library: Path, name: str, wait: bool, as_json: bool) -> None:
    """Use another model: "default", "none", a sentence-transformers model of the hub by name, or one in a directory.

    It is loaded and tried first; one that does not work changes nothing. Then the library is embedded anew in the
    background (while it is mounted); the model before answers until that is nearly done, and its vectors are kept:
    "damfs model drop" removes them.
    """
    if not as_json:
        click.echo(f"trying {name}: loading a model takes up to a minute …", err=True)
    answer = call(library.absolute(), UseModel(named(name)))
    found = msgspec.convert(answer, ModelStatus)
    if wait:
        found = progress.wait_for_model(lambda: _asked(library), show=not as_json)
    if wait or as_json:
        _show(found, as_json=as_json)
    elif found.wanted != found.answers:
        before = found.answers or "the built-in visual descriptor"
        click.echo(f"{name} works: the library is embedded anew with it; until then {before} answers")
        click.echo(f"see how far it is: damfs model status {library} --wait")


@model.command(epilog=examples("damfs model drop ~/library default"))
@LIBRARY
@click.argument("name")
@AS_JSON
def drop(library: Path, name: str, as_json: bool) -> None:
    """Remove the vectors of a model that is not in use any more. They can be made again."""
    answer = call(library.absolute(), DropModel(named(name)))
    assert isinstance(answer, dict)
    click.echo(json.dumps(answer) if as_json else f"{answer['vectors']:,} vectors of {name} are gone")


COMMANDS = (model,)


def named(name: str) -> str:
    """As the settings have it: a directory by its absolute path, since the daemon runs elsewhere."""
    path = Path(name).expanduser()
    return str(path.absolute()) if name.startswith((".", "~", "/")) or path.is_dir() else name


def _asked(library: Path) -> ModelStatus:
    return msgspec.convert(call(library.absolute(), GetModels()), ModelStatus)


def _show(found: ModelStatus, *, as_json: bool) -> None:
    left = found.seconds_left
    plain = {**msgspec.to_builtins(found), "seconds_left": None if left is None else round(left)}
    click.echo(json.dumps(plain, indent=2) if as_json else model_report.as_text(found), nl=as_json)
    if found.trouble:
        sys.exit(1)


def _json(spaces: list[model_report.SpaceStatus]) -> str:
    return json.dumps(msgspec.to_builtins(spaces), indent=2)
