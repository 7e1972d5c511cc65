"""The command about duplicates. Added to the command group of `cli`.

Blocks.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
import msgspec

from damfs.core import dedupe_report
from damfs.integration import mounts, progress
from damfs.integration.cli_options import AS_JSON, LIBRARY, examples
from damfs.integration.client import call
from damfs.integration.wire_pairs import Dedupe


@click.command(
    epilog=examples(
        "damfs dedupe ~/library", "damfs dedupe ~/library --exact --apply", "damfs dedupe ~/dam --near --json"
    )
)
@LIBRARY
@click.option("--exact", is_flag=True, help="Only files with the same bytes.")
@click.option("--near", is_flag=True, help="Only what looks alike: scaled, encoded anew, cut, of one scene.")
@click.option("--apply", "do_it", is_flag=True, help="Merge and put the others into the trash (--exact unless --near).")
@click.option("--dry-run", is_flag=True, help="Only show; that is what happens without --apply as well.")
@AS_JSON
def dedupe(library: Path, exact: bool, near: bool, do_it: bool, dry_run: bool, as_json: bool) -> None:
    """Show groups of duplicates, with the copy that is best to keep. LIBRARY may be where it is mounted.

    The best copy has the most pixels, the longest duration, comes from a camera, is larger, lies in the library's own
    store, more was said of it, and it is older: in this order. What is better than it in anything (longer, finer, with
    more sound) is kept as well. With --apply its bytes are read and proved first; then it gets the tags, rating,
    comment and attributes of the others, and these go into the trash, group by group (damfs undo --list shows what it
    takes back). Crops, pictures of one scene and takes of one film are shown and never moved: what looks alike goes
    only if it was not recorded apart and no part of it differs, closely looked at.

    Exit codes: 0 done, 1 some groups were left as they are (or an error).
    """
    if do_it and dry_run:
        raise click.UsageError("--apply and --dry-run exclude each other")
    both = exact == near
    request = Dedupe(exact=exact or both, near=near or (both and not do_it), apply=do_it)
    with progress.shown(quiet=as_json or not do_it) as report:
        answer = call(mounts.library_of(library), request, report)
    found = msgspec.convert(answer, dedupe_report.DedupeReport)
    click.echo(
        json.dumps(msgspec.to_builtins(found), indent=2) if as_json else dedupe_report.as_text(found), nl=as_json
    )
    sys.exit(1 if found.problems else 0)


COMMANDS = (dedupe,)
