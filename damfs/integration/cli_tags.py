"""The command that lists terms: of a library, or of files with who says so. Added to the command group of `cli`.

Blocks.
"""

from __future__ import annotations

import json
from pathlib import Path

import click
import msgspec

from damfs.core.said_tags import SaidTag, as_text
from damfs.integration import mounts
from damfs.integration.cli_options import AS_JSON, examples
from damfs.integration.cli_versions import OWNER, found
from damfs.integration.client import call
from damfs.integration.wire import GetTags, GetTagsOf


@click.command(
    epilog=examples(
        "damfs tags ~/library",
        "damfs tags ~/dam/by-tag/beach/clip.mov",
        "damfs tags ~/dam/inbox/*.jpg --json",
        "damfs tags --library ~/library ~/Videos/clip.mov",
    )
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="LIBRARY|PATH...")
@OWNER
@AS_JSON
def tags(paths: tuple[Path, ...], library: Path | None, as_json: bool) -> None:
    """The terms of a library, with how many assets were given each; or those of files, with who says so.

    Of a file: person, rule or model, how sure, by which processor, version and model; and what is only suggested.
    LIBRARY may be where it is mounted.
    """
    if library is None and len(paths) == 1 and _is_library(paths[0]):
        _list_terms(paths[0], as_json=as_json)
        return
    said = [(path, _of(path, library)) for path in paths]
    if as_json:
        told = [{"path": str(path), "tags": msgspec.to_builtins(each)} for path, each in said]
        click.echo(json.dumps(told if len(paths) > 1 else told[0]["tags"], indent=2, ensure_ascii=False))
        return
    for path, each in said:
        if len(paths) > 1:
            click.echo(f"{path}:")
        click.echo(as_text(each) or f"no terms yet; give it one with: damfs tag {path} TERM\n", nl=False)


def _is_library(path: Path) -> bool:
    """Or is meant to be one."""
    return path.is_dir() or (not path.exists() and mounts.mount_of(path) is None)


def _of(path: Path, library: Path | None) -> list[SaidTag]:
    owner, target = found(path, library)
    return msgspec.convert(call(owner, GetTagsOf(target)), list[SaidTag])


def _list_terms(library: Path, *, as_json: bool) -> None:
    answer = call(mounts.library_of(library), GetTags())
    assert isinstance(answer, list)
    if as_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    if not answer:
        click.echo("no terms yet; make one with: mkdir MOUNTPOINT/by-tag/beach")
    for term in answer:
        above = f"  (below {term['broader']})" if term["broader"] else ""
        click.echo(f"{term['assets']:>8,}  {term['term']}{above}")


COMMANDS = (tags,)
