"""The commands about versions: which there are, and going back to one. Added to the command group of `cli`.

Blocks.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

import click
import msgspec

from damfs.errors import Refused
from damfs.integration import mounts, progress
from damfs.integration.cli_options import AS_JSON, examples
from damfs.integration.client import call
from damfs.integration.wire import GetVersions, Request, Revert, Target, VersionRow

PATH = click.argument("path", type=click.Path(path_type=Path))
OWNER = click.option(
    "--library", type=click.Path(path_type=Path), help="For a path outside a mount: the library it belongs to."
)
DIGITS = 12


@click.command(epilog=examples("damfs versions ~/dam/inbox/clip.mov", "damfs versions ~/dam/inbox/clip.mov --json"))
@PATH
@OWNER
@AS_JSON
def versions(path: Path, library: Path | None, as_json: bool) -> None:
    """The versions of a file: every time something was written over it. Their bytes are in versions/ of the mount."""
    owner, target = found(path, library)
    rows = msgspec.convert(call(owner, GetVersions(target)), list[VersionRow])
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(rows), indent=2))
        return
    for row in rows:
        when = datetime.fromtimestamp(row.mtime_ns / 1e9).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        mark = "  current" if row.current else ""
        click.echo(f"{row.number:>4}  {when}  {row.size:>15,}  {row.digest[:DIGITS]}{mark}")


@click.command(epilog=examples("damfs revert ~/dam/inbox/clip.mov 1"))
@PATH
@click.argument("number", type=click.IntRange(min=1))
@OWNER
@AS_JSON
def revert(path: Path, number: int, library: Path | None, as_json: bool) -> None:
    """Give a file the bytes of an earlier version again: as a new version, so that nothing is lost."""
    owner, target = found(path, library)
    row = msgspec.convert(_ask(owner, Revert(target, number)), VersionRow)
    said = f"{path} has the bytes of version {number} again; its version is {row.number} now"
    click.echo(json.dumps(msgspec.to_builtins(row), indent=2) if as_json else said)


def found(path: Path, library: Path | None) -> tuple[Path, Target]:
    """The library that a file belongs to, and how to name it there. Raises Refused, NotFound."""
    mount = mounts.mount_of(path)
    if mount is not None:
        return Path(mount.source), Target(asset=mounts.asset_of(path))
    if library is None:
        raise Refused(f"{path} is in no damfs mount; name the library it belongs to with --library")
    return library.absolute(), Target(path=os.fsencode(os.path.realpath(path)))


def _ask(library: Path, request: Request) -> object:
    with progress.shown(quiet=True) as report:
        return call(library, request, report)


COMMANDS = (versions, revert)
