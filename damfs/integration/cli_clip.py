"""The command that cuts: pieces and frames of clips. Added to the command group of `cli`.

Blocks.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import click
import msgspec

from damfs.core.spans import said_ms, time_name
from damfs.errors import Refused
from damfs.integration import delivering, ending, mounts, progress
from damfs.integration.cli_options import AS_JSON, examples
from damfs.integration.cli_versions import OWNER, PATH, found
from damfs.integration.client import call
from damfs.integration.cut_row import CutRow
from damfs.integration.wire import Cut, Target
from damfs.model import RenditionKind

FOLDERS = {RenditionKind.CLIP: "clips", RenditionKind.FRAME: "frames"}


def milliseconds(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Of a time that a person types."""
    try:
        return None if value is None else said_ms(value)
    except ValueError:
        raise click.BadParameter(
            f"{value} is no time; say it like 00:01:12.500, 1:12.5 or 72.5 (hours, minutes, seconds and thousandths, "
            "from the first frame on)"
        ) from None


@click.command(
    epilog=examples(
        "damfs clip ~/dam/inbox/clip.mov --in 00:01:12 --out 00:01:20.500",
        "damfs clip ~/dam/inbox/clip.mov --in 1:12 --out 1:20.5 --exact -o ~/Desktop/piece.mov",
        "damfs clip ~/dam/inbox/clip.mov --frame 1:12.040 -o ~/Desktop/frame.jpg",
    )
)
@PATH
@click.option(
    "--in", "start_ms", metavar="TIME", callback=milliseconds, help="Where the piece begins, from the first frame on."
)
@click.option("--out", "end_ms", metavar="TIME", callback=milliseconds, help="Where it ends.")
@click.option("--exact", is_flag=True, help="Begin and end at those very frames; else at key frames.")
@click.option(
    "--frame", "at_ms", metavar="TIME", callback=milliseconds, help="One frame as a JPEG, instead of a piece."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Copy it there; must not exist yet.")
@OWNER
@AS_JSON
def clip(
    path: Path,
    start_ms: int | None,
    end_ms: int | None,
    exact: bool,
    at_ms: int | None,
    output: Path | None,
    library: Path | None,
    as_json: bool,
) -> None:
    """Cut a piece (or one frame) out of a clip.

    The same files are in the mount by name: clips/<clip>/00-01-12.000_00-01-20.500.mov, frames/<clip>/00-01-12.040.jpg.
    A piece begins at the key frame at or before --in, with the bytes as they are. With --exact it begins and ends at
    those very frames: copied all the same, but for the few around its cuts, where the codec allows; else encoded.

    Exit codes: 0 made, 1 an error, 130 interrupted (Ctrl-C leaves nothing behind).
    """
    if output is not None:
        delivering.check_free(output)
    owner, target = found(path, library)
    request = wanted(target, (start_ms, end_ms), at_ms, exact=exact)
    row = made(owner, request, quiet=as_json)
    if output is not None:
        delivering.copy(Path(row.file), output)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(row), indent=2))
    else:
        click.echo(f"{output or shown(path, row)} ({row.size:,} bytes, {said(row)})")


def made(owner: Path, request: Cut, *, quiet: bool) -> CutRow:
    try:
        with progress.shown(quiet=quiet) as report:
            return msgspec.convert(call(owner, request, report), CutRow)
    except KeyboardInterrupt:
        call(owner, msgspec.structs.replace(request, withdraw=True))
        ending.interrupted("interrupted; nothing was left behind")


def wanted(target: Target, span: tuple[int | None, int | None], at_ms: int | None, *, exact: bool) -> Cut:
    """Raises UsageError, Refused."""
    start_ms, end_ms = span
    if at_ms is not None:
        if start_ms is not None or end_ms is not None or exact:
            raise click.UsageError("--frame is one frame; leave out --in, --out and --exact")
        return Cut(target, at_ms=at_ms)
    if start_ms is None or end_ms is None:
        raise click.UsageError("say where the piece begins and ends with --in and --out, or name one --frame")
    if end_ms <= start_ms:
        ends = " and ".join(f"{name} {time_name(at).replace('-', ':')}" for name, at in
                            (("--in", start_ms), ("--out", end_ms)))  # fmt: skip
        raise Refused(f"--out must be later than --in; you said {ends}")
    return Cut(target, start_ms=start_ms, end_ms=end_ms, exact=exact)


def shown(path: Path, row: CutRow) -> str:
    """Where it is: in the mount that the clip was named in, else in the library."""
    mount = mounts.mount_of(path)
    for name in () if mount is None else (row.asset_name, path.name):
        folder = mount.mountpoint / FOLDERS[RenditionKind(row.kind)] / name if mount is not None else path
        if is_of(folder, row.asset):
            return os.fspath(folder / row.name)
    return row.file


def is_of(folder: Path, asset: int) -> bool:
    """Whether a directory of the mount stands for the asset: its inode number says so."""
    try:
        return os.stat(folder).st_ino & ((1 << mounts.ID_BITS) - 1) == asset
    except OSError:
        return False


def said(row: CutRow) -> str:
    """How it was made, and what it lacks."""
    lacks = "; its source is damaged there: {} could not be decoded".format(
        "1 packet" if row.errors == 1 else f"{row.errors} packets"
    )
    return how(row) + (lacks if row.errors else "")


def how(row: CutRow) -> str:
    times = " to ".join(part.replace("-", ":") for part in row.cut.split("_"))
    if not row.method:
        return f"the frame of {times}"
    if row.method == "smart":
        return f"{times}, copied but for {row.encoded_frames} of {row.frames} frames at its cuts"
    return f"{times}, {row.method}" + (f": {row.why}" if row.why else "")


COMMANDS = (clip,)
