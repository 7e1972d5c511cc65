"""The commands that take something back: trash, restore, undo. Added to the command group of `cli`.

Blocks.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

import click

from damfs.errors import Refused
from damfs.integration import mounts
from damfs.integration.cli_options import AS_JSON, examples
from damfs.integration.client import call
from damfs.integration.wire import GetTrash, GetUndo, RestoreAssets, TrashAssets, UndoLast

NS = 1_000_000_000
OWNER = click.option(
    "--library", type=click.Path(path_type=Path), help="For paths outside a mount: the library they belong to."
)


@click.command(epilog=examples("damfs trash ~/dam/by-date/2026/11/22/clip.mov", "damfs trash --list ~/library --json"))
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--list", "listing", is_flag=True, help="Show what is in the trash; PATH is the library or its mount.")
@OWNER
@AS_JSON
def trash(paths: tuple[Path, ...], listing: bool, library: Path | None, as_json: bool) -> None:
    """Put assets into the trash, or list it: since when, where from, and until when they are kept."""
    if listing:
        _list_trash(paths, as_json=as_json)
        return
    done = 0
    for owner, (assets, files) in _by_library(paths, library).items():
        answer = call(owner, TrashAssets(tuple(assets), tuple(os.fsencode(os.path.realpath(file)) for file in files)))
        assert isinstance(answer, dict)
        done += answer["trashed"]
    click.echo(json.dumps({"trashed": done}) if as_json else f"{done} in the trash; damfs restore brings back")


@click.command(epilog=examples("damfs restore ~/dam/trash/clip.mov", "damfs restore --library ~/library clip.mov"))
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path))
@click.option("--library", type=click.Path(path_type=Path), help="For names: the library in whose trash they are.")
@AS_JSON
def restore(paths: tuple[Path, ...], library: Path | None, as_json: bool) -> None:
    """Bring assets back out of the trash, their files to where they lay.

    PATH is one of trash/ in the mount or, with --library, the name of an asset in the trash.
    """
    done = 0
    for owner, (assets, names) in _by_library(paths, library).items():
        answer = call(owner, RestoreAssets(tuple(assets), tuple(name.name for name in names)))
        assert isinstance(answer, dict)
        done += answer["restored"]
    click.echo(json.dumps({"restored": done}) if as_json else f"{done} restored")


@click.command(epilog=examples("damfs undo ~/dam", "damfs undo ~/library --list --json"))
@click.argument("library", type=click.Path(path_type=Path))
@click.option("--list", "listing", is_flag=True, help="Show what can be taken back, and change nothing.")
@AS_JSON
def undo(library: Path, listing: bool, as_json: bool) -> None:
    """Take back what was done last: tags, names, ratings, terms, searches, the trash.

    LIBRARY may be where it is mounted.

    What was done at once or in a burst (`rm -r` of a tag, `mv` of many files) is taken back as one, and so is an import
    or a merge of terms, however long it took; what people have done since stays. Again: what was done before that.
    """
    owner = mounts.library_of(library)
    if listing:
        _list_undo(owner, as_json=as_json)
        return
    answer = call(owner, UndoLast())
    assert isinstance(answer, dict)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    left = f"; {answer['left_out']} could not be taken back ({answer['reasons'][0]})" if answer["left_out"] else ""
    click.echo(f"undone: {answer['what']}, of {_time(answer['at_ns'])}{left}")


COMMANDS = (trash, restore, undo)


def _by_library(paths: tuple[Path, ...], library: Path | None) -> dict[Path, tuple[list[int], list[Path]]]:
    """Assets by their files in a mount, and paths outside of one, by the library they belong to. Raises Refused."""
    found: dict[Path, tuple[list[int], list[Path]]] = {}
    for path in paths:
        mount = mounts.mount_of(path)
        if mount is not None:
            found.setdefault(Path(mount.source), ([], []))[0].append(mounts.asset_of(path))
        elif library is not None:
            found.setdefault(library.absolute(), ([], []))[1].append(path)
        else:
            raise Refused(f"{path} is in no damfs mount; name the library it belongs to with --library")
    return found


def _list_trash(paths: tuple[Path, ...], *, as_json: bool) -> None:
    if len(paths) != 1:
        raise click.UsageError("name one library, or where it is mounted: damfs trash --list LIBRARY")
    answer = call(mounts.library_of(paths[0]), GetTrash())
    assert isinstance(answer, list)
    if as_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    for each in answer:
        until = f"until {_time(each['until_ns'])}" if each["until_ns"] else "for ever"
        origin = f"  from {each['from']}" if each["from"] else ""
        click.echo(f"{_time(each['trashed_ns'])}  {each['name']}{origin}, kept {until}")
    if not answer:
        click.echo("the trash is empty")


def _list_undo(library: Path, *, as_json: bool) -> None:
    answer = call(library, GetUndo())
    assert isinstance(answer, list)
    if as_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    for each in answer:
        click.echo(f"{_time(each['at_ns'])}  {each['what']}  (by {each['by']})")
    if not answer:
        click.echo("there is nothing to undo")


def _time(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / NS).astimezone().strftime("%Y-%m-%d %H:%M:%S")
