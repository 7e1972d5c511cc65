"""The command that joins clips. Added to the command group of `cli`.

Blocks.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from damfs.core.processors.profiles import USUAL
from damfs.integration import ending, progress
from damfs.integration.cli_options import AS_JSON, examples

if TYPE_CHECKING:  # takes long to import; most commands do without
    from damfs.integration.concat import JoinedPart


@click.command(
    epilog=examples(
        "damfs concat ~/dam/inbox/a.mov ~/dam/inbox/b.mov -o ~/Desktop/both.mov",
        "damfs concat ~/dam/clips/a.mov/*.mov -o ~/dam/inbox/best.mov",
        "damfs concat a.mp4 b.mov -o both.mov --profile prores-proxy",
    )
)
@click.argument("paths", nargs=-1, required=True, metavar="PATH PATH...", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="What to make; must not exist yet."
)
@click.option("--profile", default="", help="Encode the clips alike by this profile first, in the height of the first.")
@AS_JSON
def concat(paths: tuple[Path, ...], output: Path, profile: str, as_json: bool) -> None:
    """Join clips, or pieces of clips, to one file, in the order in which they are named.

    The pictures are copied as they are, so the clips must be alike; if not, the property that differs is named. The
    file has the timecode and the sound tracks of the first one. It is decoded and checked before it appears. -o may
    lie anywhere; in inbox/ or by-tag/ of a mount it is a new file of the library.

    Exit codes: 0 made, 1 an error, 130 interrupted (Ctrl-C leaves nothing behind).
    """
    from damfs.integration.concat import Order
    from damfs.integration.concat import concat as join

    hint = shlex.join(["damfs", "concat", *map(str, paths), "-o", str(output), "--profile", USUAL])
    try:
        with progress.shown(quiet=as_json) as report:
            made = join(Order(paths, output, profile, hint), report)
    except KeyboardInterrupt:
        ending.interrupted("interrupted; nothing was left behind")
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(made), indent=2, ensure_ascii=False))
    else:
        said = f"{made.size:,} bytes, {len(made.parts)} clips, {made.frames:,} frames, {made.method}"
        click.echo(f"{output} ({said}{''.join(map(lacks, made.parts))})")


def lacks(part: JoinedPart) -> str:
    packets = "1 packet" if part.errors == 1 else f"{part.errors} packets"
    return f"; {part.name} is damaged: {packets} could not be decoded" if part.errors else ""


COMMANDS = (concat,)
