"""The command that says what a file is: its fields by group, in plain words. Added to the command group of `cli`.

Blocks.
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path

import click
import msgspec

from damfs.core.asset_info import AssetInfo
from damfs.integration.cli_options import AS_JSON, examples
from damfs.integration.cli_versions import OWNER, PATH, found
from damfs.integration.client import call
from damfs.integration.wire import GetInfo

WIDTH = 30


@click.command(
    epilog=examples(
        "damfs info ~/dam/inbox/clip.mov",
        "damfs info --library ~/library ~/Videos/clip.mov",
        "damfs info ~/dam/inbox/clip.mov --json",
    )
)
@PATH
@OWNER
@AS_JSON
def info(path: Path, library: Path | None, as_json: bool) -> None:
    """What is known of a file: format, pictures, colour, sound, camera, time and place.

    Each field can be asked for, e.g. camera:"Sony FX3"; --json tells their names, and the XMP properties of the IPTC
    standards that they stand for.
    """
    owner, target = found(path, library)
    answer = call(owner, GetInfo(target))
    if as_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    click.echo(as_text(msgspec.convert(answer, AssetInfo)), nl=False)


def as_text(known: AssetInfo) -> str:
    lines = [f"{known.name}: {known.media}, {known.size:,} bytes"]
    for group, fields in groupby(known.fields, key=lambda field: field.group):
        lines.append(group)
        lines += [f"  {field.label:<{WIDTH}}{field.text}" for field in fields]
    unfinished = [job for job in known.jobs if job.state != "done"]
    lines += ["Work"] if unfinished else []
    lines += [f"  {job.processor:<{WIDTH}}{job.state}{': ' if job.error else ''}{job.error}" for job in unfinished]
    if not known.fields and not unfinished:
        lines.append("  nothing is known of its content")
    return "\n".join(lines) + "\n"


COMMANDS = (info,)
