"""The `damfs` command. Each command asks a library through `client` and shows the answer to a person or as JSON.

Blocks. Errors become one line and exit code 1 (2: wrong usage); no traceback reaches a user.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from damfs.core.scan_report import ScanReport
from damfs.core.status_report import Status, as_text
from damfs.errors import DamfsError, Refused
from damfs.integration import (
    cli_care,
    cli_clip,
    cli_concat,
    cli_dedupe,
    cli_info,
    cli_models,
    cli_proxies,
    cli_search,
    cli_sidecar,
    cli_suggest,
    cli_tags,
    cli_terms,
    cli_trash,
    cli_versions,
    ending,
    launching,
    mount_command,
    mounts,
    progress,
)
from damfs.integration.cli_options import AS_JSON, LIBRARY, examples
from damfs.integration.client import call
from damfs.integration.wire import Add, GetStatus, GetStores, Request, Retry, Scan, Tag
from damfs.settings import SETTINGS_FILE

F = TypeVar("F", bound=Callable[..., object])


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "damfs init ~/library",
        "damfs add ~/library ~/Videos",
        "damfs mount ~/library ~/dam",
        "ls ~/dam/by-date/2026/11/22",
    ),
)
@click.version_option(package_name="damfs")
def cli() -> None:
    """Browse a media library by meaning, as a filesystem."""


@cli.command(epilog=examples("damfs init ~/library"))
@LIBRARY
def init(library: Path) -> None:
    """Make a new library: its settings, a store for originals, a catalog."""
    from damfs.core.library import make_library  # the catalog takes long to import; most commands do without

    make_library(library.absolute())
    click.echo(f"{library} is a library now; its settings: {library / SETTINGS_FILE}")
    click.echo(f"Next: damfs add {library} FOLDER   or   damfs mount {library} MOUNTPOINT")


@cli.command(epilog=examples("damfs add ~/library ~/Videos", "damfs add ~/library /mnt/card --name Card-7"))
@LIBRARY
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--name", default="", help="Name of the store below originals/; the folder's own name if left out.")
@AS_JSON
def add(library: Path, folder: Path, name: str, as_json: bool) -> None:
    """Index a folder in place. Nothing in it is ever touched. Again: look for changes."""
    _show_scans([_ask(library, Add(str(folder.absolute()), name), quiet=as_json)], as_json=as_json)


@cli.command(epilog=examples("damfs scan ~/library", "damfs scan ~/library Videos --json"))
@LIBRARY
@click.argument("store", default="")
@AS_JSON
def scan(library: Path, store: str, as_json: bool) -> None:
    """Look for changes in one store, or in all of them."""
    answer = _ask(library, Scan(store), quiet=as_json)
    assert isinstance(answer, list)
    _show_scans(answer, as_json=as_json)


@cli.command(
    epilog=examples(
        "damfs mount ~/library ~/dam",
        "damfs mount ~/library ~/dam -o ro",
        "damfs mount -f -o allow_other ~/library /mnt/dam",
    )
)
@LIBRARY
@click.argument("mountpoint", type=click.Path(path_type=Path))
@click.option("-f", "--foreground", is_flag=True, help="Stay in the foreground and log to the terminal.")
@click.option("-o", "--options", multiple=True, help="Mount options, e.g. allow_other,ro; may be given again.")
def mount(library: Path, mountpoint: Path, foreground: bool, options: tuple[str, ...]) -> None:
    """Mount a library; returns when the mount answers.

    Options are those of mount(8) and FUSE: ro (nobody can write through the mount; indexing goes on), allow_other,
    noexec, max_read=N …; setuid=USER runs the daemon as that user.
    """
    launching.launch(library.absolute(), mountpoint.absolute(), options, foreground=foreground)
    click.echo(f"{library} is mounted on {mountpoint}; unmount it with: damfs umount {mountpoint}")


@cli.command(epilog=examples("damfs umount ~/dam"))
@click.argument("mountpoint", type=click.Path(path_type=Path))
def umount(mountpoint: Path) -> None:
    """Unmount, and wait until the daemon has put everything in order."""
    launching.end(mountpoint.absolute())


@cli.command(
    epilog=examples("damfs status ~/library", "damfs status ~/library --wait", "damfs status ~/library --json")
)
@LIBRARY
@click.option("--wait", is_flag=True, help="Show progress until every job is done.")
@AS_JSON
def status(library: Path, wait: bool, as_json: bool) -> None:
    """How a library is. Exit code 1 when a job has failed for good."""

    def ask() -> Status:
        return msgspec.convert(_ask(library, GetStatus(), quiet=True), Status)

    found = progress.wait_until_done(ask, show=not as_json) if wait else ask()
    click.echo(json.dumps(msgspec.to_builtins(found), indent=2) if as_json else as_text(found), nl=as_json)
    if found.failed:
        sys.exit(1)


@cli.command(epilog=examples("damfs stores ~/library --json"))
@LIBRARY
@AS_JSON
def stores(library: Path, as_json: bool) -> None:
    """The stores of a library."""
    answer = _ask(library, GetStores(), quiet=True)
    assert isinstance(answer, list)
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    for store in answer:
        where = store["root"] or str(library / "originals")
        click.echo(f"{store['name']}\t{store['kind']}\t{'online' if store['online'] else 'OFFLINE'}\t{where}")


@cli.command(
    epilog=examples("damfs tag ~/dam/inbox/clip.mov beach sunset", "damfs tag ~/dam/by-date/2026/11/22/*.jpg -- beach")
)
@click.argument("words", nargs=-1, required=True, metavar="PATH... [--] TERM...")
@click.option(
    "--library", type=click.Path(path_type=Path), help="For paths outside a mount: the library they belong to."
)
def tag(words: tuple[str, ...], library: Path | None) -> None:
    """Tag assets. Existing files are taken as paths, from the first other word on they are terms."""
    _tag(words, library, remove=False)


@cli.command(
    epilog=examples(
        "damfs untag ~/dam/by-tag/beach/clip.mov beach", "damfs untag --everywhere --library ~/library beach"
    )
)
@click.argument("words", nargs=-1, required=True, metavar="PATH... [--] TERM...")
@click.option("--everywhere", is_flag=True, help="From every asset that carries the terms; name --library, no paths.")
@click.option(
    "--library", type=click.Path(path_type=Path), help="For paths outside a mount: the library they belong to."
)
def untag(words: tuple[str, ...], library: Path | None, *, everywhere: bool) -> None:
    """Take terms away from assets. The bytes stay; damfs undo gives the terms back."""
    if not everywhere:
        _tag(words, library, remove=True)
        return
    if library is None:
        raise click.UsageError("name the library, e.g.: damfs untag --everywhere --library ~/library beach")
    answer = _ask(
        library, Tag((), tuple(word for word in words if word != "--"), remove=True, everywhere=True), quiet=True
    )
    assert isinstance(answer, dict)
    click.echo(f"{answer['assets']:,} assets untagged; to take that back: damfs undo {library}")


@cli.command(epilog=examples("damfs retry ~/library", "damfs retry ~/library proxy"))
@LIBRARY
@click.argument("processor", default="")
@AS_JSON
def retry(library: Path, processor: str, as_json: bool) -> None:
    """Try failed jobs again, of one processor or of all."""
    answer = _ask(library, Retry(processor), quiet=True)
    assert isinstance(answer, dict)
    click.echo(json.dumps(answer) if as_json else f"{answer['retried']} jobs wait again; they run while it is mounted")


for command in (
    *cli_care.COMMANDS,
    *cli_clip.COMMANDS,
    *cli_concat.COMMANDS,
    *cli_info.COMMANDS,
    *cli_models.COMMANDS,
    *cli_proxies.COMMANDS,
    *cli_search.COMMANDS,
    *cli_dedupe.COMMANDS,
    *cli_sidecar.COMMANDS,
    *cli_suggest.COMMANDS,
    *cli_tags.COMMANDS,
    *cli_terms.COMMANDS,
    *cli_trash.COMMANDS,
    *cli_versions.COMMANDS,
):
    cli.add_command(command)


def _ask(library: Path, request: Request, *, quiet: bool) -> object:
    with progress.shown(quiet=quiet) as report:
        return call(library.absolute(), request, report)


def _show_scans(answers: list[object], *, as_json: bool) -> None:
    reports = [msgspec.convert(answer, ScanReport) for answer in answers]
    if as_json:
        click.echo(json.dumps([msgspec.to_builtins(report) for report in reports], indent=2))
        return
    for report in reports:
        counts = ", ".join(f"{number:,} {kind}" for kind, number in report.counts.items()) or "nothing there"
        click.echo(f"{report.store}: {counts}")
        for file in report.waiting:
            click.echo(f"  not yet: {file}; a later scan takes it", err=True)
        for file in report.given_up:
            click.echo(f"  taken as it is, nobody has gone on with it for long: {file}", err=True)
        for problem in report.problems:
            click.echo(f"  left out: {problem}", err=True)


def _tag(words: tuple[str, ...], library: Path | None, *, remove: bool) -> None:
    paths, terms = split_words(words)
    shown: dict[Path, list[int]] = {}
    stored: dict[Path, list[bytes]] = {}
    for path in paths:
        found = mounts.mount_of(path)
        if found is not None:
            shown.setdefault(Path(found.source), []).append(mounts.asset_of(path))
        elif library is not None:
            stored.setdefault(library.absolute(), []).append(os.fsencode(os.path.realpath(path)))
        else:
            raise Refused(f"{path} is in no damfs mount; name the library it belongs to with --library")
    for owner in {**shown, **stored}:
        call(owner, Tag(tuple(shown.get(owner, ())), terms, remove=remove, paths=tuple(stored.get(owner, ()))))


def split_words(words: tuple[str, ...]) -> tuple[list[Path], tuple[str, ...]]:
    """Paths first, then terms; ``--`` or the first word that is no file (after one path at least) begins the terms."""
    position = 1
    while position < len(words) and words[position] != "--" and os.path.lexists(words[position]):
        position += 1
    terms = words[position + 1 :] if words[position : position + 1] == ("--",) else words[position:]
    if not terms:
        raise click.UsageError("name at least one term after the paths, e.g.: damfs tag clip.mov beach")
    return [Path(word) for word in words[:position]], terms


def main() -> None:
    """Entry point, also of mount.fuse3."""
    if mount_command.is_call(sys.argv[1:]):
        mount_command.main()
    else:
        _main()


def _main() -> None:
    """Errors become one line."""
    ending.heed()
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        ending.interrupted("interrupted; what was done so far is kept, run the command again to go on")
    except BrokenPipeError:
        sys.exit(0)
    except DamfsError as error:
        sys.exit(f"damfs: {error}")
    except UnicodeEncodeError:
        sys.exit("damfs: a path holds bytes that are no UTF-8; rename that file or folder, or name it by another path")
    except OSError as error:
        sys.exit(f"damfs: {error.filename or 'system'}: {error.strerror or error}")
