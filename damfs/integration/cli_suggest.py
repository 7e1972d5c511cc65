"""The command about what models propose: `damfs suggest`. Added to the command group of `cli`.

Blocks.
"""

from __future__ import annotations

import json
from pathlib import Path

import click

from damfs.errors import Refused
from damfs.integration import mounts
from damfs.integration.cli_options import AS_JSON, LIBRARY, examples
from damfs.integration.client import call
from damfs.integration.term_requests import GetSuggestions, Judge, SuggestAll

LIST, ACCEPT, REFUSE, AGAIN = "list", "accept", "refuse", "again"


@click.command(
    epilog=examples(
        "damfs suggest ~/library",
        "damfs suggest ~/library list beach --json",
        "damfs suggest ~/library accept --above 0.9",
        "damfs suggest ~/library accept beach ~/dam/suggested/beach/a.jpg",
        "damfs suggest ~/library refuse beach",
        "damfs suggest ~/library again",
    )
)
@LIBRARY
@click.argument("action", type=click.Choice([LIST, ACCEPT, REFUSE, AGAIN]), default=LIST)
@click.argument("term", default="")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--above", type=click.FloatRange(0, 1), default=0.0, help="Only what is at least so sure, 0 to 1.")
@AS_JSON
def suggest(library: Path, action: str, term: str, paths: tuple[Path, ...], above: float, as_json: bool) -> None:
    """Terms that models propose, and what you say to that.

    list shows them, surest first; accept makes them tags; refuse has them never come again for those files; again looks
    at every picture once more, e.g. after the vocabulary has grown. PATHS are files in a mount.
    """
    owner = library.absolute()
    if action == AGAIN:
        answer = call(owner, SuggestAll())
        assert isinstance(answer, dict)
        click.echo(json.dumps(answer) if as_json else f"{answer['jobs']:,} files are looked at again while mounted")
        return
    if action == LIST:
        _list(owner, term, above, as_json=as_json)
        return
    if not term and not above:
        raise click.UsageError(f"say which: a term, --above, or both, e.g.: damfs suggest {library} {action} beach")
    assets = tuple(_asset_of(path, owner) for path in paths)
    answer = call(owner, Judge(action == ACCEPT, term, assets, above))
    assert isinstance(answer, dict)
    done = "accepted" if action == ACCEPT else "refused"
    click.echo(
        json.dumps(answer) if as_json else f"{answer['suggestions']:,} {done}; to take that back: damfs undo {library}"
    )


def _asset_of(path: Path, library: Path) -> int:
    mount = mounts.mount_of(path)
    if mount is None or Path(mount.source) != library:
        raise Refused(f"{path} is in no mount of {library}; name files by their path in it")
    return mounts.asset_of(path)


def _list(library: Path, term: str, above: float, *, as_json: bool) -> None:
    answer = call(library, GetSuggestions(term, above))
    assert isinstance(answer, list)
    if as_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    for each in answer:
        click.echo(f"{each['confidence']:.2f}  {each['term']}  {each['name']}")
    if not answer:
        click.echo("nothing is suggested; terms come from by-tag/ and damfs term, suggestions from the indexer")


COMMANDS = (suggest,)
