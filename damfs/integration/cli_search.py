"""The commands that search: by a query, and for what is like a file. Added to the command group of `cli`.

Blocks.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import click
import msgspec

from damfs.errors import Refused
from damfs.integration import mounts, progress
from damfs.integration.cli_options import AS_JSON, examples
from damfs.integration.client import call
from damfs.integration.wire_search import FindSimilar, Found, FoundRow, GetSearches, KeepSearch, Search

LIMIT = click.option(
    "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="Files shown; 0: all that were found."
)
SECOND_NS = 1_000_000_000


@click.command(
    epilog=examples(
        "damfs search ~/library sunset beach",
        "damfs search ~/library 'red car tag:street -type:audio' --limit 5",
        "damfs search ~/library 'duration:>10s camera:\"Sony FX3\" date:2024-07..2024-09' --json",
        "damfs search ~/library --save 'rating:>=4 type:video'",
        "damfs search ~/library",
    )
)
@click.argument("library", type=click.Path(path_type=Path))
@click.argument("words", nargs=-1, metavar="[QUERY]...")
@LIMIT
@click.option("--save", is_flag=True, help="Keep the search: it is listed in search/ of the mount.")
@click.option("--forget", is_flag=True, help="Do not keep it any more.")
@AS_JSON
def search(library: Path, words: tuple[str, ...], limit: int, save: bool, forget: bool, as_json: bool) -> None:
    """What a query finds, best first. LIBRARY may be where it is mounted; without a QUERY: the searches that are kept.

    A query is words, "phrases" and conditions like tag:beach, type:video, date:2024-07, rating:>=3, duration:>10s,
    with AND, OR, NOT, - and parentheses; like:FILE finds what is like a file.
    """
    owner, query = mounts.library_of(library), " ".join(words)
    if not query.strip() and (words or save or forget):
        raise Refused(f"the query is empty; say what to search for, or list what is kept with: damfs search {library}")
    if not words:
        _list_kept(owner, as_json=as_json)
        return
    if save or forget:
        answer = call(owner, KeepSearch(query, forget=forget))
        click.echo(
            json.dumps(answer, ensure_ascii=False) if as_json else f"{query}: {'forgotten' if forget else 'kept'}"
        )
        return
    with progress.shown(quiet=as_json) as report:
        found = msgspec.convert(call(owner, Search(query, limit), report), Found)
    _show(found, as_json=as_json)


@click.command(
    epilog=examples("damfs similar ~/dam/inbox/clip.mov", "damfs similar ~/dam/inbox/clip.mov --at 00:01:12 --json")
)
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--at", "moment", default="", metavar="HH:MM:SS", help="What is like this moment of a video.")
@LIMIT
@click.option(
    "--library", type=click.Path(path_type=Path), help="For a path outside a mount: the library it belongs to."
)
@AS_JSON
def similar(path: Path, moment: str, limit: int, library: Path | None, as_json: bool) -> None:
    """What is most like a file, best first."""
    mount = mounts.mount_of(path)
    if mount is None and library is None:
        raise Refused(f"{path} is in no damfs mount; name the library it belongs to with --library")
    at_ns = parsed_time(moment) if moment else None
    if mount is not None:
        owner, request = Path(mount.source), FindSimilar(asset=mounts.asset_of(path), at_ns=at_ns, limit=limit)
    else:
        assert library is not None
        stored = os.fsencode(os.path.realpath(path))
        owner, request = library.absolute(), FindSimilar(path=stored, at_ns=at_ns, limit=limit)
    _show(msgspec.convert(call(owner, request), Found), as_json=as_json)


def parsed_time(text: str) -> int:
    """Nanoseconds of ``01:12``, ``00:01:12.5`` or ``00-01-12``."""
    match = re.fullmatch(r"(?:(\d{1,2})[:-])?(\d{1,2})[:-](\d{1,2}(?:\.\d{1,9})?)", text)
    if match is None:
        raise click.BadParameter(f'"{text}" is no time; write it like 00:01:12', param_hint="--at")
    hours, minutes, seconds = match.groups()
    return round((int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds)) * SECOND_NS)


def _list_kept(library: Path, *, as_json: bool) -> None:
    kept = msgspec.convert(call(library, GetSearches()), list[str])
    if as_json:
        click.echo(json.dumps(kept, indent=2, ensure_ascii=False))
    elif not kept:
        click.echo("no searches are kept; keep one with: mkdir 'MOUNTPOINT/search/QUERY'")
    for query in [] if as_json else kept:
        click.echo(query)


def _show(found: Found, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(found), indent=2, ensure_ascii=False))
        return
    for position, row in enumerate(found.rows, start=1):
        click.echo(_line(position, row))
    if not found.rows:
        click.echo("nothing found")
    elif len(found.rows) < found.total:
        click.echo(f"{len(found.rows):,} of {found.total:,} shown; --limit 0 shows all")
    if found.spaces and found.rows:
        click.echo(f"compared by {', '.join(found.spaces)}", err=True)
    if found.trouble:
        click.echo(f"compared as texts only: {found.trouble}", err=True)


def _line(position: int, row: FoundRow) -> str:
    score = "" if row.score is None else f"{row.score:6.3f}  "
    why = "" if row.score is None or not row.why else f"\n{' ' * 15}{row.why}"
    return f"{position:>4}  {score}{row.path or row.name}{why}"


COMMANDS = (search, similar)
"""Added to the command group."""
