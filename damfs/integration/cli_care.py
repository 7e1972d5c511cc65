"""The commands that look after a library: verify, check, rebuild, doctor. Added to the command group of `cli`.

Blocks. Exit codes are part of what they answer; their help says what each means.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import click
import msgspec

from damfs.core import check_report, rebuild_report, verify_report
from damfs.core.scan_report import ScanProgress
from damfs.integration import diagnosis, progress
from damfs.integration.cli_options import AS_JSON, LIBRARY, examples
from damfs.integration.client import call
from damfs.integration.diagnosis import Health
from damfs.integration.wire import Check, Progress, Verify

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


class Duration(click.ParamType[float]):
    """90, 90s, 10m, 1h30m, 2d: as seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip().lower()
        if not text or not re.fullmatch(r"(\d+(\.\d+)?[smhd])*(\d+(\.\d+)?)?", text):
            self.fail(f"{value!r} is no duration; write one like 90s, 10m or 1h30m", param, ctx)
        parts = re.findall(r"(\d+(?:\.\d+)?)([smhd]?)", text)
        return sum(float(number) * UNITS[unit] for number, unit in parts)


@click.command(
    epilog=examples(
        "damfs verify ~/library", "damfs verify ~/library Videos --time-limit 10m", "damfs verify ~/library --json"
    )
)
@LIBRARY
@click.argument("store", default="")
@click.option("--time-limit", type=Duration(), default="0", help="Stop after so long, e.g. 10m; the next run goes on.")
@AS_JSON
def verify(library: Path, store: str, time_limit: float, as_json: bool) -> None:
    """Read every file of one store, or of all, and compare it with its digest.

    Marks what is damaged, missing or good again, tells of files that the catalog does not know, and changes no file.
    Works mounted or not. It may be stopped at any time; the next run goes on there.

    Exit codes: 0 every file that can be reached is good (stores that are offline are named), 1 damage was found (or an
    error), 3 the time limit came before the end.
    """
    with progress.shown(quiet=as_json) as report:
        answer = call(library.absolute(), Verify(store, time_limit), report)
    found = msgspec.convert(answer, verify_report.VerifyReport)
    _show({**_plain(found), "exit_code": int(found.exit_code)} if as_json else verify_report.as_text(found))
    sys.exit(found.exit_code)


@click.command(epilog=examples("damfs check ~/library", "damfs check ~/library --repair"))
@LIBRARY
@click.option("--repair", is_flag=True, help="Mend what can be mended, after a copy of the catalog was made.")
@AS_JSON
def check(library: Path, repair: bool, as_json: bool) -> None:
    """Check the rules of the catalog; it changes nothing without --repair.

    Works mounted or not (mounted, a few rules are left out); a repair only when it is not mounted.

    Exit codes: 0 all rules hold (or were mended), 1 some do not (or an error).
    """
    found = msgspec.convert(call(library.absolute(), Check(repair)), check_report.CheckReport)
    _show({**_plain(found), "clean": found.clean} if as_json else check_report.as_text(found))
    sys.exit(0 if found.clean else 1)


@click.command(epilog=examples("damfs rebuild ~/library", "damfs rebuild ~/library --yes"))
@LIBRARY
@click.option("--yes", is_flag=True, help="Do not ask.")
@AS_JSON
def rebuild(library: Path, yes: bool, as_json: bool) -> None:
    """Make the catalog anew, from the files and from what old catalogs still tell.

    For a catalog that is lost or that `damfs check --repair` cannot mend. Every file is read. The old catalog is kept
    in state/backups/, no file of a store is changed. Names, dates and tags come back as far as the old catalog, or
    else its newest copy in state/backups/, can be read.
    """
    library = library.absolute()
    if not yes:
        click.echo(f"The catalog of {library} is made anew: every file is read. The old one is kept.", err=True)
        if not _agreed():
            sys.exit("nothing was done; answer y, or say --yes where nobody can answer")
    found = _rebuilt(library, quiet=as_json)
    _show(_plain(found) if as_json else rebuild_report.as_text(found))


def _agreed() -> bool:
    try:
        return click.confirm("Go on?", err=True)
    except click.Abort:  # also where there is no terminal
        click.echo(err=True)
        return False


def _rebuilt(library: Path, *, quiet: bool) -> rebuild_report.RebuildReport:
    from damfs.core.rebuild import rebuild as rebuild_catalog  # takes most of a second to import
    from damfs.integration.running import run

    with progress.shown(quiet=quiet) as report:
        return run(rebuild_catalog, library, _forward(report))


def _forward(report: Callable[[Progress], None]) -> Callable[[str, ScanProgress], None]:
    def forward(store: str, now: ScanProgress) -> None:
        done, total = (now.files_read, now.files) if now.files else (now.walked, 0)
        report(Progress(store, done, total, now.size_read, now.size))

    return forward


@click.command(epilog=examples("damfs doctor", "damfs doctor ~/library", "damfs doctor ~/library --json"))
@click.argument("library", required=False, type=click.Path(path_type=Path))
@AS_JSON
def doctor(library: Path | None, as_json: bool) -> None:
    """Say whether this machine, and a library, have all that damfs needs, and what to do where not.

    Exit codes: 0 nothing is bad, 1 something is.
    """
    from damfs.integration.machine_checks import machine_checks

    found = list(machine_checks())
    if library is not None:
        from damfs.integration.library_checks import library_checks

        found += library_checks(library.absolute())
    _show([_plain(each) for each in found] if as_json else diagnosis.as_text(found))
    sys.exit(1 if any(each.health is Health.BAD for each in found) else 0)


COMMANDS = (verify, check, rebuild, doctor)


def _plain(record: object) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(record)
    return plain


def _show(answer: object) -> None:
    """Text as it is, anything else as JSON."""
    if isinstance(answer, str):
        click.echo(answer, nl=False)
    else:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
