"""The commands about proxies: what there is of a file, and batches. Added to the command group of `cli`.

Blocks. Exit codes are part of what they answer; their help says what each means.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click
import msgspec

from damfs.core import batch_report
from damfs.core.batch_report import BatchReport
from damfs.errors import DamfsError, Refused
from damfs.integration import ending, mounts, progress, proxy_text
from damfs.integration.cli_options import AS_JSON, LIBRARY, examples
from damfs.integration.cli_versions import OWNER, PATH, found
from damfs.integration.client import call
from damfs.integration.proxy_report import ProxyReport
from damfs.integration.wire import GetProxies, Target, Transcode

PROFILE = click.option("--profile", default="", help="Which; that of the settings (proxy.profile) if left out.")


@click.command(
    epilog=examples(
        "damfs proxy ~/dam/by-tag/beach/clip.mov",
        "damfs proxy ~/dam/by-tag/beach/clip.mov --make --profile h264",
        "damfs proxy ~/dam/by-tag/beach/clip.mov --json",
    )
)
@PATH
@click.option("--make", is_flag=True, help="Have one made now, also where none is needed or an attempt has failed.")
@PROFILE
@OWNER
@AS_JSON
def proxy(path: Path, make: bool, profile: str, library: Path | None, as_json: bool) -> None:
    """The proxies of a video by each profile: whether they are made, and what the conformance gate found of each.

    A proxy is kept only when everything that editors compare (frames and their times, rate, timecode, reel, sound
    tracks, shape, fields, colours) is equal to the original, or differs for a reason that is said. The small copy that
    a camera recorded beside a clip is held to the same, and stands in for it if it passes.

    Exit codes: 0 said, 1 the one that was to be made failed (or an error).
    """
    owner, target = found(path, library)
    failed = make and not _made(owner, target, profile, quiet=as_json)
    report = msgspec.convert(call(owner, GetProxies(target)), ProxyReport)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(report), indent=2, ensure_ascii=False))
    else:
        click.echo(proxy_text.as_text(report, str(path)), nl=False)
    sys.exit(int(failed))


def _made(owner: Path, target: Target, profile: str, *, quiet: bool) -> bool:
    asked = Transcode(
        assets=(target.asset,) if target.asset else (),
        paths=(target.path,) if target.path else (),
        profile=profile,
        all_the_same=True,
    )
    batch = _run(owner, asked, quiet=quiet)
    return not (batch.failed or batch.delayed or batch.withdrawn)


@click.command(
    epilog=examples(
        "damfs transcode ~/library tag:beach type:video --profile h264",
        "damfs transcode ~/library ~/dam/by-date/2026/11 --profile prores-proxy",
        "damfs transcode ~/library '*' --json",
    )
)
@LIBRARY
@click.argument("query", nargs=-1, required=True, metavar="QUERY...")
@PROFILE
@AS_JSON
def transcode(library: Path, query: tuple[str, ...], profile: str, as_json: bool) -> None:
    """Make proxies of many videos by a profile, and wait for them.

    QUERY is files or folders (of the mount, or of a store), or a question as in search/ of the mount: tag:beach,
    type:video, date:2026-11, is:inbox, camera:…, * for everything. The same bytes are worked on once, whatever they are
    called; what was made before is not made again. Works mounted or not.

    Small copies that cameras record beside their clips (S03.MP4, LRV, LRF) are not worked on. Where such a copy passes
    the gate it stands in for the clip, and nothing is made of that unless --profile names one.

    It may be interrupted at any time (Ctrl-C): what was made is kept, what waits is taken back, and the same command
    goes on there.

    Exit codes: 0 all are there, 1 some failed or have to wait (or an error), 130 interrupted.
    """
    asked = asked_for(library.absolute(), query, profile)
    batch = _run(library.absolute(), asked, quiet=as_json)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(batch), indent=2, ensure_ascii=False))
    else:
        click.echo(batch_report.as_text(batch, str(library)), nl=False)
    sys.exit(1 if batch.failed or batch.delayed or batch.withdrawn else 0)


def asked_for(library: Path, query: tuple[str, ...], profile: str) -> Transcode:
    """Existing files and folders are taken as such, all else is a question."""
    words: list[str] = []
    shown: list[int] = []
    stored: list[bytes] = []
    for word in query:
        path = Path(word)
        if not os.path.lexists(path):
            words.append(word)
            continue
        mount = mounts.mount_of(path)
        if mount is None:
            stored += [os.fsencode(os.path.realpath(each)) for each in files_below(path)]
        elif Path(mount.source) != library:
            raise Refused(f"{path} is of another library: {mount.source}")
        else:
            shown += assets_of(files_below(path))
    if words and (shown or stored):
        raise Refused(f"name files or ask a question, not both at once; {words[0]} is no file")
    return Transcode(" ".join(words), tuple(dict.fromkeys(shown)), tuple(stored), profile)


def files_below(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        yield path
        return
    for folder, _, names in os.walk(path):
        yield from (Path(folder) / name for name in sorted(names))


def assets_of(paths: Iterable[Path]) -> Iterable[int]:
    """Those that are assets: a folder of the mount may hold texts and proxies as well."""
    for path in paths:
        try:
            yield mounts.asset_of(path)
        except DamfsError:
            continue


def _run(library: Path, asked: Transcode, *, quiet: bool) -> BatchReport:
    try:
        with progress.shown(quiet=quiet) as report:
            return msgspec.convert(call(library, asked, report), BatchReport)
    except KeyboardInterrupt:
        taken = msgspec.convert(call(library, msgspec.structs.replace(asked, withdraw=True)), BatchReport)
        ending.interrupted(batch_report.interrupted(taken.withdrawn))


COMMANDS = (proxy, transcode)
