"""The commands about sidecars. Added to the command group of `cli`.

Blocks.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import msgspec

from damfs.core import sidecar_report
from damfs.integration import mounts, progress
from damfs.integration.cli_options import AS_JSON, LIBRARY, examples
from damfs.integration.client import call
from damfs.integration.wire_pairs import SyncSidecars


@click.group(epilog=examples("damfs sidecar sync ~/library", "damfs sidecar sync ~/library --read-only --json"))
def sidecar() -> None:
    """XMP files beside originals (IMG_1.CR2.xmp), in which programs tell each other of tags and ratings."""


@sidecar.command(epilog=examples("damfs sidecar sync ~/library", "damfs sidecar sync ~/library --read-only --json"))
@LIBRARY
@click.option("--read-only", is_flag=True, help="Only take over what programs wrote; write no file.")
@AS_JSON
def sync(library: Path, read_only: bool, as_json: bool) -> None:
    """Bring sidecars and the catalog into step, both ways. LIBRARY may be where it is mounted.

    What a program changed in a sidecar since the last time is taken over. Then tags, ratings, labels and descriptions
    are written into the sidecars of writable stores, which are made where there are none; whatever else stands in them
    is kept. Where both sides changed, tags are united, and of a rating or a description the newer one holds. Sidecars
    of read-only stores are read and never written.

    Exit codes: 0 all are in step, 1 some were left alone (or an error).
    """
    with progress.shown(quiet=as_json) as report:
        answer = call(mounts.library_of(library), SyncSidecars(write=not read_only), report)
    found = msgspec.convert(answer, sidecar_report.SidecarReport)
    click.echo(
        json.dumps(msgspec.to_builtins(found), indent=2) if as_json else sidecar_report.as_text(found), nl=as_json
    )
    sys.exit(1 if found.problems else 0)


COMMANDS = (sidecar,)
